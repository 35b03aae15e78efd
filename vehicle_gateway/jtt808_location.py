"""The body of a location report (0x0200, and each report of 0x0704): its bits, numbers and items.

Place in the flow: jtt808_messages → **jtt808_location** → jtt808 (columns), door (time).

    alarms 4 | status 4 | latitude 4 | longitude 4 | altitude 2 | speed 2 | direction 2 | time 6
    then items: id 1 | length 1 | content             JT/T 808-2013 tables 23 to 32, -2019 alike

* Degrees are in millionths and have no sign: hemispheres are status bits. Speed is 0.1 km/h.
* Times are those of Beijing (GMT+8) as BCD, to the second; a terminal without a clock sends zeros.
* Items that are not in the table are passed over by their length, and counted.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final

from edge.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Mapping

BASIC: Final = Struct(">IIIIHHH6s")
LOCATION_BYTES_MAX: Final = 1_023
BEIJING_US: Final = 8 * 3_600_000_000
SECOND_US: Final = 1_000_000

# Status bits (table 25). 6, 7 and 22 are of 2019.
IGNITION: Final = 0
POSITIONED: Final = 1
SOUTH: Final = 2
WEST: Final = 3
SECRET: Final = 5
FRONT_DOOR: Final = 13
MIDDLE_DOOR: Final = 14
REAR_DOOR: Final = 15
DRIVER_DOOR: Final = 16

ALARMS: Final = (
    # Table 24; the names that 2019 gives to bits 15 to 17 and 29. Bit 31 is reserved there.
    *("emergency", "overspeed", "fatigue", "danger", "gnss-fault", "gnss-antenna-cut"),
    *("gnss-antenna-short", "power-low", "power-cut", "display-fault", "speech-fault"),
    *("camera-fault", "card-reader-fault", "overspeed-warning", "fatigue-warning"),
    *("violation", "tyre-pressure", "blind-spot", "day-driving-limit", "parked-too-long"),
    *("area", "route", "route-time", "route-deviation", "speed-sensor-fault", "fuel-abnormal"),
    *("stolen", "illegal-ignition", "illegal-move", "collision", "rollover", "illegal-door"),
)

MILEAGE: Final = 0x01
FUEL: Final = 0x02
RECORDER_SPEED: Final = 0x03
CABIN_TEMPERATURE: Final = 0x06
OVERSPEED_AREA: Final = 0x11
AREA: Final = 0x12
ROUTE_TIME: Final = 0x13
VEHICLE_SIGNALS: Final = 0x25
IO: Final = 0x2A
SIGNAL_STRENGTH: Final = 0x30
SATELLITES: Final = 0x31
ITEMS: Final[Mapping[int, tuple[int, ...]]] = {
    MILEAGE: (4,),
    FUEL: (2,),
    RECORDER_SPEED: (2,),
    CABIN_TEMPERATURE: (2,),
    OVERSPEED_AREA: (1, 5),
    AREA: (6,),
    ROUTE_TIME: (7,),
    VEHICLE_SIGNALS: (4,),
    IO: (2,),
    SIGNAL_STRENGTH: (1,),
    SATELLITES: (1,),
}
"""Item → the lengths that the standard gives it (table 27)."""


@dataclass(frozen=True, slots=True)
class Location:
    """One report.

    Attributes:
        latitude: Millionths of a degree, north positive.
        longitude: Millionths of a degree, east positive.
        altitude_m: Metres.
        speed: Of the satellite receiver, 0.1 km/h.
        direction: Degrees clockwise from north.
        time_us: Microseconds UTC as the terminal believes; None where its time is no date.
        items: Item → unsigned integer of its bytes, of those in `ITEMS`.
        skipped: Items that were passed over.
    """

    alarms: int
    status: int
    latitude: int
    longitude: int
    altitude_m: int
    speed: int
    direction: int
    time_us: int | None
    items: Mapping[int, int]
    skipped: int

    def has(self, bit: int) -> bool:
        """Says whether a status bit is set."""
        return bool(self.status >> bit & 1)


def read_location(body: bytes) -> Location:
    """Reads a report.

    Raises:
        PeerError: `jtt808-body`: it is too short, or an item ends outside of it.
    """
    if not BASIC.size <= len(body) <= LOCATION_BYTES_MAX:
        raise _damaged("has another length than a report can have")
    alarms, status, latitude, longitude, altitude, speed, direction, time = BASIC.unpack_from(body)
    items, skipped = _read_items(body[BASIC.size :])
    return Location(
        alarms,
        status,
        -latitude if status >> SOUTH & 1 else latitude,
        -longitude if status >> WEST & 1 else longitude,
        _signed(altitude),
        speed,
        direction,
        read_time(time),
        items,
        skipped,
    )


def read_time(bcd: bytes) -> int | None:
    """Returns microseconds UTC of a time YYMMDDhhmmss of Beijing, None where it is no date."""
    digits = bcd.hex()
    if len(digits) != 12 or not digits.isdecimal():
        return None
    year, month, day, hour, minute, second = (int(digits[at : at + 2]) for at in range(0, 12, 2))
    if not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        return None
    if not 1 <= day <= calendar.monthrange(2_000 + year, month)[1]:
        return None
    seconds = calendar.timegm((2_000 + year, month, day, hour, minute, second))
    return seconds * SECOND_US - BEIJING_US


def alarm_names(word: int) -> list[str]:
    """Returns the names of the alarms that are set."""
    return [name for bit, name in enumerate(ALARMS) if word >> bit & 1]


def _read_items(content: bytes) -> tuple[dict[int, int], int]:
    items: dict[int, int] = {}
    at = skipped = 0
    while at < len(content):
        start = at + 2
        end = start + (content[at + 1] if start <= len(content) else 0)
        if start > len(content) or end > len(content):
            raise _damaged("has an item that ends outside of it")
        if end - start in ITEMS.get(content[at], ()):
            items[content[at]] = int.from_bytes(content[start:end], "big")
        else:
            skipped += 1
        at = end
    return items, skipped


def _signed(word: int) -> int:
    """An altitude below the sea is sent as two's complement by those who send it at all."""
    return word - 0x1_0000 if word & 0x8000 else word


def _damaged(why: str) -> PeerError:
    return PeerError(f"A location report {why}. Look at the terminal's version.", "jtt808-body")
