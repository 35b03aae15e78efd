"""gateway.toml: who this box is, what it listens to, and whom it reports to.

Place in the flow: gateway.toml → **config** → `__main__`. Paths are relative to the file.

* Provisioning writes [gateway], [broker] and [core]; a technician sets [source].
* Without [broker] the box records and seals, and everything waits in the outbox.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - msgspec reads the annotations at run time
from typing import Annotated, Literal

import msgspec


class GatewaySection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[gateway]`: who this box is.

    Attributes:
        device: Its id; the certificate's common name.
        org: Third level of its topics.
        vehicle: Id of the vehicle it is mounted in.
        data_dir: Folder of outbox and statements.
        identity: Private key of the device.
    """

    device: str
    org: str
    vehicle: str
    data_dir: Path
    identity: Path


class SourceSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[source]`, or several as `[[source]]`: what the box listens to.

    Attributes:
        kind: A recorded `log`, a live `can` bus, or the simulated vehicle (`sim`).
        log: The recording, where the kind is `log`.
        dbc: DBC files beside those of the profile.
        speed: Pace of a log or of the simulator: `full`, or `real` as it was recorded.
        interface: python-can's name of the adapter, such as `socketcan` or `slcan`.
        channel: Such as `can0` or a serial device.
        options: Further settings of that adapter, such as `bitrate`.
        profile: Vehicle profile: a name of ours or a TOML file.
    """

    kind: Literal["log", "can", "sim"] = "can"
    log: str = ""
    dbc: list[Path] = []
    speed: Literal["full", "real"] = "real"
    interface: str = "socketcan"
    channel: str = "can0"
    options: dict[str, str | int | bool] = {}
    profile: str = "obd_gnss_imu"


Sources = Annotated[list[SourceSection], msgspec.Meta(min_length=1, max_length=8)]


class BrokerSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[broker]`: where sealed messages go.

    Attributes:
        host: As the broker's certificate spells it.
        port: TCP port.
        ca: PEM roots that the broker's certificate must chain to.
        certificate: PEM certificate of this device.
    """

    host: str
    port: int
    ca: Path
    certificate: Path


class CoreSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[core]`: whom messages are sealed to, and whose word deletes them.

    Attributes:
        signing_public: File with the core's public signing key, hexadecimal.
        policy: File with the core's signed policy for this box: ciphers, and the key to seal to.
    """

    signing_public: Path
    policy: Path


class CampaignSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[campaign]`: the rules of driving events.

    Attributes:
        file: Campaign file, relative to this file; empty for the one that is built in.
    """

    file: str = ""


class OutboxSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[outbox]`: how much may wait.

    Attributes:
        bytes_max: Of sealed messages; then the least important and oldest make room.
        age_days_max: Of batches, in days of use, by no wall clock; then they are dropped.
    """

    bytes_max: int = 268_435_456
    age_days_max: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = 90


class GatewayConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    gateway: GatewaySection
    core: CoreSection
    broker: BrokerSection | None = None
    source: (
        SourceSection | Annotated[list[SourceSection], msgspec.Meta(min_length=1, max_length=8)]
    ) = SourceSection()
    campaign: CampaignSection = CampaignSection()
    outbox: OutboxSection = OutboxSection()

    @property
    def sources(self) -> list[SourceSection]:
        """All that the box listens to, the first first."""
        return self.source if isinstance(self.source, list) else [self.source]
