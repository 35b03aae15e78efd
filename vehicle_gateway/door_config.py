"""door.toml: where terminals are listened to, and which ones. Paths are relative to the file.

Place in the flow: door.toml → **door_config** → `__main__`, which composes the door.

* Each terminal has a folder that `lastmile-provision` prepared and installed, like that of a box:
  its identity, certificate, policy and gateway.toml.
* No two terminals may share a phone or a folder.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - msgspec reads the annotations at run time
from typing import Annotated, Final

import msgspec

from edge.errors import LocalError

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Phone = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,20}$")]
SETTINGS: Final = "gateway.toml"


class DoorSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[door]`: the door itself.

    Attributes:
        data_dir: Folder of its journal and its own key.
    """

    data_dir: Path


class ListenSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[listen]`: where terminals connect.

    Attributes:
        host: Address; beyond loopback only with a certificate or `trusted`.
        port: TCP port.
        certificate: PEM chain; without one terminals speak plain TCP, as most do.
        key: Its private key.
        trusted: The network is a closed one.
    """

    host: str = "127.0.0.1"
    port: Port = 7_808
    certificate: Path | None = None
    key: Path | None = None
    trusted: bool = False


class LimitsSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[limits]`: what terminals may take.

    Attributes:
        connections_max: At a time; more are closed at once.
        stranger_s: Time to show a code.
        silence_s: Time without a message; longer than the terminals' heartbeat.
        bytes_per_s: Of one connection in the long run.
        brokers_max: Connections to the broker at a time.
    """

    connections_max: Count = 2_048
    stranger_s: Count = 30
    silence_s: Count = 900
    bytes_per_s: Annotated[int, msgspec.Meta(ge=256, le=16_777_216)] = 16_384
    brokers_max: Count = 200


class TerminalSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[[terminal]]`: one terminal.

    Attributes:
        phone: Number of its SIM, as it stands in its headers.
        folder: Its provisioned folder.
    """

    phone: Phone
    folder: Path


class DoorConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    door: DoorSection
    listen: ListenSection = ListenSection()
    limits: LimitsSection = LimitsSection()
    terminal: list[TerminalSection] = []

    def by_phone(self) -> dict[str, Path]:
        """Returns phone, without leading zeros, → folder.

        Raises:
            LocalError: Two terminals have one phone or one folder.
        """
        found = {each.phone.lstrip("0"): each.folder for each in self.terminal}
        if len(set(found.values())) != len(self.terminal):
            raise LocalError(
                "Two [[terminal]] of door.toml have the same phone or folder. Correct one of them.",
                "door-terminals",
            )
        return found
