"""Opens what a box listens to, from the words of its configuration.

Place in the flow: [source] of gateway.toml → `__main__` → **sources** → can_bus, slcan, elm327,
gnss_line, imu_line.

* The kind is the caller's choice; which driver serves it is known here alone.
* `interface = "slcan"` of kind `can` is our own reader: python-can's takes a byte a call.
* Nothing is opened before `chunks` is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.errors import LocalError
from hardware.drivers.can_bus import BusSettings, BusSource
from hardware.drivers.elm327 import ElmSettings, ElmSource
from hardware.drivers.gnss_line import GnssSource
from hardware.drivers.imu_line import ImuSource
from hardware.drivers.slcan import SlcanSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.ports import Clock, FrameSource, Requester

LINES: Final = {"gnss": GnssSource, "imu": ImuSource}
SLCAN_OPTIONS: Final[Mapping[str, int]] = {"bitrate": 500_000, "baud": 115_200}


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """What the configuration says of one live source.

    Attributes:
        kind: `can`, `elm327`, `gnss` or `imu`.
        channel: Such as `can0`, or a serial device.
        baud: Of a serial line.
        interface: python-can's name of a CAN adapter.
        options: Further settings of that adapter.
    """

    kind: str
    channel: str
    baud: int
    interface: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


def live_source(
    settings: LiveSettings, requesters: Sequence[Requester], clock: Clock
) -> FrameSource:
    """Returns a source in the present; recordings and the simulator are none.

    Raises:
        LocalError: There is no live source of that kind, or an option is none of its adapter's.
    """
    if settings.kind in LINES:
        return LINES[settings.kind](Path(settings.channel), settings.baud, clock)
    if settings.kind == "elm327":
        return ElmSource(ElmSettings(settings.channel, settings.baud, requesters), clock)
    if settings.kind != "can":
        raise LocalError(
            f"A source of kind {settings.kind} cannot be read beside others; make it the only "
            "[source].",
            "gateway-sources",
        )
    if settings.interface == "slcan":
        return _slcan(settings, requesters, clock)
    bus = BusSettings(settings.interface, settings.channel, settings.options, requesters)
    return BusSource(bus, clock)


def _slcan(settings: LiveSettings, requesters: Sequence[Requester], clock: Clock) -> SlcanSource:
    if not SLCAN_OPTIONS.keys() >= settings.options.keys():
        raise LocalError(
            "[source] options of slcan are bitrate and baud. Correct that key.", "gateway-slcan"
        )
    options = {**SLCAN_OPTIONS, **settings.options}
    return SlcanSource(
        Path(settings.channel),
        clock,
        bitrate=int(options["bitrate"]),
        requesters=requesters,
        baud=int(options["baud"]),
    )
