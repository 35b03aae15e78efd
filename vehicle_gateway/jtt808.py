"""Location reports of JT/T 808 as columns of the data catalogue, and their alarms as snapshots.

Place in the flow: door (`JTT808_LINE`) → **jtt808** → decode → events, trips, batch.

* One report is one row: everything in it has the time that the door gave the frame.
* Without a fix, or with coordinates that a plug-in has encrypted, place and satellite speed are
  absence. The recorder's own speed needs no satellites.
* `Vehicle.Speed` is the recorder's (item 0x03), from the wheel; the receiver's is beside it.
* An alarm of the vehicle is told when it comes and when it goes, never again while it stands. What
  the terminal thinks of the driving is in `Vehicle.Private.JTT808.Alarms`, which is personal.
* What cannot be read is counted and gives nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal
from edge.errors import LocalError, PeerError
from edge.ports import JTT808_LINE
from vehicle_gateway import jtt808_location as table
from vehicle_gateway.columns import Columns, Found
from vehicle_gateway.jtt808_location import ALARMS, Location, read_location

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping, Sequence

    from edge.ports import FrameChunk
    from vehicle_gateway.columns import Snapshot

STANDARD: Final = "jtt808"
SNAPSHOTS_MAX: Final = 64
FIX_3D: Final = 3


def _placed(report: Location) -> bool:
    return report.has(table.POSITIONED) and not report.has(table.SECRET)


def _scaled(report: Location, item: int, multiply: int, divide: int) -> int | None:
    value = report.items.get(item)
    return None if value is None else value * multiply // divide


def _area(report: Location) -> int | None:
    """Number of the area or route that an alarm is about (tables 28 to 30)."""
    items = report.items
    if table.AREA in items:
        return items[table.AREA] >> 8 & 0xFFFF_FFFF
    if table.ROUTE_TIME in items:
        return items[table.ROUTE_TIME] >> 24
    area = items.get(table.OVERSPEED_AREA)
    return None if area is None else area & 0xFFFF_FFFF


def _temperature(report: Location) -> int | None:
    """Bit 15 says below zero, the others are degrees (JT/T 808-2019 table 27)."""
    word = report.items.get(table.CABIN_TEMPERATURE)
    if word is None:
        return None
    return -(word & 0x7FFF) if word & 0x8000 else word


# What a report gives, and how: an integer in the scale of the data catalogue, or absence.
READERS: Final[Mapping[str, Callable[[Location], int | None]]] = {
    "Vehicle.CurrentLocation.Latitude": lambda it: it.latitude if _placed(it) else None,
    "Vehicle.CurrentLocation.Longitude": lambda it: it.longitude if _placed(it) else None,
    "Vehicle.CurrentLocation.Altitude": lambda it: it.altitude_m * 10 if _placed(it) else None,
    "Vehicle.CurrentLocation.Heading": lambda it: it.direction % 360 * 10 if _placed(it) else None,
    "Vehicle.Private.GNSS.Speed": lambda it: it.speed * 250 // 9 if _placed(it) else None,
    "Vehicle.Private.GNSS.FixType": lambda it: FIX_3D * it.has(table.POSITIONED),
    "Vehicle.Private.GNSS.Satellites": lambda it: it.items.get(table.SATELLITES),
    "Vehicle.Speed": lambda it: _scaled(it, table.RECORDER_SPEED, 256, 10),
    "Vehicle.TraveledDistance": lambda it: _scaled(it, table.MILEAGE, 20, 1),
    "Vehicle.Powertrain.FuelSystem.AbsoluteLevel": lambda it: it.items.get(table.FUEL),
    "Vehicle.Cabin.HVAC.AmbientAirTemperature": _temperature,
    "Vehicle.Cabin.Door.Row1.PassengerSide.IsOpen": lambda it: it.has(table.FRONT_DOOR),
    "Vehicle.Cabin.Door.Row2.PassengerSide.IsOpen": lambda it: it.has(table.MIDDLE_DOOR),
    "Vehicle.Private.Door.Rear.IsOpen": lambda it: it.has(table.REAR_DOOR),
    "Vehicle.Cabin.Door.Row1.DriverSide.IsOpen": lambda it: it.has(table.DRIVER_DOOR),
    "Vehicle.Private.JTT808.Ignition": lambda it: it.has(table.IGNITION),
    "Vehicle.Private.JTT808.Status": lambda it: it.status,
    "Vehicle.Private.JTT808.Alarms": lambda it: it.alarms,
    "Vehicle.Private.JTT808.Area": _area,
    "Vehicle.Private.JTT808.VehicleSignals": lambda it: it.items.get(table.VEHICLE_SIGNALS),
    "Vehicle.Private.JTT808.IO": lambda it: it.items.get(table.IO),
    "Vehicle.Private.JTT808.SignalStrength": lambda it: it.items.get(table.SIGNAL_STRENGTH),
}
JUDGEMENTS: Final = sum(
    1 << ALARMS.index(name)
    for name in (
        *("overspeed", "fatigue", "danger", "overspeed-warning", "fatigue-warning", "violation"),
        *("day-driving-limit", "parked-too-long", "area", "route", "route-time"),
        "route-deviation",
    )
)
"""Alarms that tell how or where somebody drives: they are told as samples, under their consent."""


class JttInterpreter:
    """Reports in, columns and snapshots out; remembers which alarms stand."""

    name = STANDARD

    def __init__(self) -> None:
        self._alarms = 0
        self._readers = {signal(path).id: read for path, read in READERS.items()}

    def claims(self, can_id: int) -> bool:
        """Says whether an id is that of a terminal's reports."""
        return can_id == JTT808_LINE

    def decode(self, chunk: FrameChunk, places: Sequence[int], counts: Counter[str]) -> Found:
        """Decodes the reports of a chunk."""
        found, taken, reports = Found(), [], []
        for place in places:
            try:
                report = read_location(chunk.payloads[place])
            except PeerError as error:
                counts[error.code] += 1
                continue
            taken.append(place)
            reports.append(report)
            self._watch(report, chunk.times_us[place], found.snapshots)
        self._count(reports, counts)
        if len(found.snapshots) > SNAPSHOTS_MAX:
            counts["jtt808-alarms"] += len(found.snapshots) - SNAPSHOTS_MAX
            del found.snapshots[SNAPSHOTS_MAX:]
        if taken:
            times_us = [chunk.times_us[place] for place in taken]
            found.columns.append(Columns(taken, times_us, self._series(reports)))
        return found

    def state(self) -> Mapping[str, Any]:
        """Returns the alarms that stand."""
        return {"alarms": self._alarms}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state of an interpreter before a restart."""
        alarms = state.get("alarms", 0)
        if not isinstance(alarms, int):
            raise LocalError("The saved state of JT/T 808 is damaged.", "decoder-state")
        self._alarms = alarms

    def _series(self, reports: Sequence[Location]) -> dict[int, list[int | None]]:
        series = {}
        for signal_id, read in self._readers.items():
            values = [read(each) for each in reports]
            if any(value is not None for value in values):
                series[signal_id] = [None if value is None else int(value) for value in values]
        return series

    def _watch(self, report: Location, at_us: int, snapshots: list[Snapshot]) -> None:
        """Tells alarms of the vehicle that have come (1) or gone (0)."""
        alarms = report.alarms & ~JUDGEMENTS
        changed, self._alarms = alarms ^ self._alarms, alarms
        if not changed:
            return
        values = {name: alarms >> bit & 1 for bit, name in enumerate(ALARMS) if changed >> bit & 1}
        snapshots.append(
            {"kind": "vehicle-status", "at_us": at_us, "standard": STANDARD, "values": values}
        )

    def _count(self, reports: Sequence[Location], counts: Counter[str]) -> None:
        for reason, number in (
            ("jtt808-items", sum(each.skipped for each in reports)),
            ("jtt808-no-fix", sum(not each.has(table.POSITIONED) for each in reports)),
            ("jtt808-secret", sum(each.has(table.SECRET) for each in reports)),
        ):
            if number:
                counts[reason] += number
