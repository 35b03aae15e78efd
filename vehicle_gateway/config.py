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
        kind: A recorded `log`, a live `can` bus, an OBD adapter (`elm327`), a receiver (`gnss`) or
            an inertial sensor (`imu`) on a serial line, or the simulated vehicle (`sim`).
        log: The recording, where the kind is `log`.
        dbc: DBC files beside those of the profile.
        speed: Pace of a log or of the simulator: `full`, or `real` as it was recorded.
        interface: python-can's name of the adapter, such as `socketcan` or `slcan`.
        channel: Such as `can0` or a serial device; of an `elm327` also `socket://host:port`.
        options: Further settings of that adapter, such as `bitrate`.
        profile: Vehicle profile: a name of ours or a TOML file.
        baud: Of the line of an adapter, receiver or sensor; 0 to seek it.
    """

    kind: Literal["log", "can", "elm327", "gnss", "imu", "sim"] = "can"
    log: str = ""
    dbc: list[Path] = []
    speed: Literal["full", "real"] = "real"
    interface: str = "socketcan"
    channel: str = "can0"
    options: dict[str, str | int | bool] = {}
    profile: str = "obd_gnss_imu"
    baud: Annotated[int, msgspec.Meta(ge=0, le=4_000_000)] = 0


Sources = Annotated[list[SourceSection], msgspec.Meta(min_length=1, max_length=8)]


class FallbackBroker(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Another broker of the same deployment, with certificates of the same issuer.

    Attributes:
        host: As its certificate spells it.
        port: TCP port.
    """

    host: str
    port: int


class BrokerSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[broker]`: where sealed messages go.

    Attributes:
        host: As the broker's certificate spells it.
        port: TCP port.
        ca: PEM roots that the broker's certificate must chain to.
        certificate: PEM certificate of this device.
        fallback: Brokers to go to while this one is away, in their order.
    """

    host: str
    port: int
    ca: Path
    certificate: Path
    fallback: Annotated[list[FallbackBroker], msgspec.Meta(max_length=8)] = []


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
        file: Campaign file that ends in .json, relative to this file, or the name of one of ours;
            empty for `default`.
        group: Name under which the core means this box among others; empty for none.
    """

    file: str = ""
    group: str = ""


class OutboxSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[outbox]`: how much may wait.

    Attributes:
        bytes_max: Of sealed messages; then the least important and oldest make room.
        age_days_max: Of batches, in days of use, by no wall clock; then they are dropped.
    """

    bytes_max: int = 268_435_456
    age_days_max: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = 90


class DataPlanSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[data_plan]`: what the SIM card may carry; without the section there is no limit.

    Attributes:
        bytes_per_month: All that was bought.
        reset_day: Day of the month on which it begins anew.
    """

    bytes_per_month: Annotated[int, msgspec.Meta(ge=1_000_000)]
    reset_day: Annotated[int, msgspec.Meta(ge=1, le=28)] = 1


class HealthSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[health]`: what the box tells of itself.

    Attributes:
        period_s: How often a sealed health message goes to the core.
        textfile: File for Prometheus's node exporter, such as
            `/var/lib/prometheus/node-exporter/lastmile.prom`; none without it.
        signal: File with the modem's signal strength in dBm, as its daemon writes it.
    """

    period_s: Annotated[int, msgspec.Meta(ge=60, le=86_400)] = 900
    textfile: Path | None = None
    signal: Path | None = None


class ClockSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[clock]`: what the box believes of the time.

    Attributes:
        ahead_days_max: How far past the last known time a clock may be and still be believed.
    """

    ahead_days_max: Annotated[int, msgspec.Meta(ge=1, le=7_000)] = 730


class PowerSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[power]`: when the box sleeps, and when it lets the battery be.

    Attributes:
        ignition: File of the key's GPIO line, such as `/sys/class/gpio/gpio17/value`.
        inverted: Whether 0 means on there.
        supply: File of the supply's converter, such as `/sys/bus/iio/.../in_voltage0_raw`.
        scale_uv: Microvolts of the battery that one of it stands for.
        system_volts: 12 or 24: thresholds are of a 12 V battery, and doubled.
        sleep_after_s: Of a silent bus with the key off or unknown.
        cut_mv: Supply under which the box ends, of a 12 V battery.
        cut_after_s: For so long.
        on_cut: Command that switches the box off then, such as `["systemctl", "poweroff"]`.
    """

    ignition: Path | None = None
    inverted: bool = False
    supply: Path | None = None
    scale_uv: Annotated[int, msgspec.Meta(ge=1)] = 1_000
    system_volts: Literal[12, 24] = 12
    sleep_after_s: Annotated[int, msgspec.Meta(ge=30, le=86_400)] = 600
    cut_mv: Annotated[int, msgspec.Meta(ge=9_000, le=13_000)] = 11_800
    cut_after_s: Annotated[int, msgspec.Meta(ge=10, le=3_600)] = 60
    on_cut: list[str] = []


class DriverSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[driver]`: how drivers sign in.

    Attributes:
        reader: Serial line of a card reader, such as `/dev/ttyUSB1`; empty for none.
        baud: Of that line.
        sign_out_after_min: Minutes after the last trip until nobody is signed in; 0 for never.
        consent_days: How long a consent that is given at the panel lives.
    """

    reader: str = ""
    baud: int = 9_600
    sign_out_after_min: Annotated[int, msgspec.Meta(ge=0, le=1_440)] = 30
    consent_days: Annotated[int, msgspec.Meta(ge=1, le=730)] = 365


class PanelSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[panel]`: what the driver sees and hears.

    Attributes:
        screen: Whether a screen is served (`lastmile-gateway panel`).
        language: What the screen begins with; a touch changes it.
        theme: `day` or `night`, or `auto`: by the light sensor, else by the hour.
        ambient: File of a light sensor, such as `/sys/bus/iio/.../in_illuminance_raw`.
        ambient_dark: Night below this reading.
        green: Folder of an LED, such as `/sys/class/leds/driver:green`: signed in.
        amber: The same: a warning.
        red: The same: an alarm.
        buzzer: File that takes 1 and 0.
    """

    screen: bool = True
    language: Literal["zh", "en"] = "zh"
    theme: Literal["auto", "day", "night"] = "auto"
    ambient: Path | None = None
    ambient_dark: Annotated[int, msgspec.Meta(ge=0)] = 40
    green: Path | None = None
    amber: Path | None = None
    red: Path | None = None
    buzzer: Path | None = None


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
    power: PowerSection = PowerSection()
    clock: ClockSection = ClockSection()
    data_plan: DataPlanSection | None = None
    health: HealthSection = HealthSection()
    driver: DriverSection | None = None
    panel: PanelSection | None = None

    @property
    def sources(self) -> list[SourceSection]:
        """All that the box listens to, the first first."""
        return self.source if isinstance(self.source, list) else [self.source]

    def files(self) -> dict[str, Path]:
        """Returns what provisioning must have left, by the name of its key."""
        found = {
            "identity": self.gateway.identity,
            "signing_public": self.core.signing_public,
            "policy": self.core.policy,
        }
        if self.broker:
            found |= {"ca": self.broker.ca, "certificate": self.broker.certificate}
        return found
