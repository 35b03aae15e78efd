"""The quality gate of positions: what a receiver sends without a fix is absence, not a place.

Place in the flow: decoded columns of a chunk → **gnss**, gnss_places → `decode` hands them on.

* A position is present only while the receiver flags it valid, the current fix is one of position
  (type 2, 3 or 4: 0 is none, 1 is dead reckoning alone, 5 is time alone) and fresh, it is made of
  three satellites or more and no worse than `HDOP_MAX`, the last altitude was plausible, the
  coordinates are on Earth, and the vehicle can have come there from where it was. A real receiver
  without a fix sent `PositionValid = 1` with an altitude of -5,400 m for minutes.
* The rule acts on VSS paths, so it holds for every vehicle profile and for every standard.
* "Current" is the order of arrival on the bus, never the clock; only "fresh" and "can have come"
  ask how long it took. What the gate remembers survives a restart.
* Where no fix type is ever sent, the flag, altitude and coordinates decide; the same holds for
  satellites and dilution: what nobody says condemns nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal
from edge.errors import LocalError
from vehicle_gateway.gnss_places import Jumps

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from vehicle_gateway.columns import Columns

POSITION_FIXES: Final = frozenset({2, 3, 4})
FIX_AGE_US_MAX: Final = 10_000_000
SATELLITES_MIN: Final = 3
HDOP_MAX: Final = 10
ALTITUDE_M: Final = (-500, 9_000)

FIX: Final = "Vehicle.Private.GNSS.FixType"
SATELLITES: Final = "Vehicle.Private.GNSS.Satellites"
HDOP: Final = "Vehicle.Private.GNSS.HDOP"
SPEED: Final = "Vehicle.Private.GNSS.Speed"
ALTITUDE: Final = "Vehicle.CurrentLocation.Altitude"
LATITUDE: Final = "Vehicle.CurrentLocation.Latitude"
LONGITUDE: Final = "Vehicle.CurrentLocation.Longitude"
NEEDS_FIX: Final = (
    LATITUDE,
    LONGITUDE,
    ALTITUDE,
    "Vehicle.CurrentLocation.HorizontalAccuracy",
    SPEED,
)


class Gate:
    """Remembers the last fix, its quality and place, and whether the last altitude was plausible.

    Args:
        has_fix: Whether the vehicle profile maps a fix type at all.
    """

    def __init__(self, *, has_fix: bool) -> None:
        self._has_fix = has_fix
        self._fix: int | None = None
        self._fix_us = 0
        self._satellites: int | None = None
        self._hdop: int | None = None
        self._speed: int | None = None
        self._altitude_ok = True
        self._jumps = Jumps()
        self._ids = {path: signal(path).id for path in (FIX, SATELLITES, HDOP, *NEEDS_FIX)}
        self._gated = {self._ids[path] for path in NEEDS_FIX}
        self._concerned = {*self._gated, *self._ids.values()}
        self._altitude = _range(ALTITUDE, *ALTITUDE_M)
        self._hdop_max = _range(HDOP, 0, HDOP_MAX)[1]
        self._limits = {
            self._ids[LATITUDE]: _range(LATITUDE, -90, 90),
            self._ids[LONGITUDE]: _range(LONGITUDE, -180, 180),
        }

    def concerns(self, signal_ids: AbstractSet[int]) -> bool:
        """Tells whether a message with these signals must pass the gate."""
        return not signal_ids.isdisjoint(self._concerned)

    def apply(self, columns: Sequence[Columns], counts: Counter[str]) -> None:
        """Turns values that no fix stands behind into absence.

        Args:
            columns: All messages of one chunk that the gate concerns.
            counts: `gnss-no-fix`, `gnss-weak`, `gnss-implausible`, `gnss-jump` and `gnss-stale`,
                in frames.
        """
        self._require_fixes(columns, counts)
        self._require_quality(columns, counts)
        altitudes = self._track(columns, ALTITUDE, None)
        low, high = self._altitude
        plausible = _Track(
            altitudes.places,
            [self._altitude_ok, *(low <= (value or 0) <= high for value in altitudes.values[1:])],
        )
        for each in columns:
            if self._limits.keys() & set(each.series):
                self._require_place(each, plausible, counts)
            if self._ids[ALTITUDE] in each.series:
                self._require_altitude(each, counts)
        self._altitude_ok = bool(plausible.values[-1])
        self._require_way(columns, counts)

    def _track(self, columns: Sequence[Columns], path: str, before: int | None) -> _Track:
        signal_id = self._ids[path]
        seen = sorted(
            (place, value)
            for each in columns
            if signal_id in each.series
            for place, value in zip(each.places, each.series[signal_id], strict=True)
            if value is not None
        )
        return _Track([place for place, _ in seen], [before, *(value for _, value in seen)])

    def _require_fixes(self, columns: Sequence[Columns], counts: Counter[str]) -> None:
        fixes = self._track(columns, FIX, self._fix)
        if fixes.places:
            self._has_fix = True
        said_us = self._fix_times(columns)
        for each in columns:
            if self._has_fix and self._gated & set(each.series):
                self._require_fix(each, fixes, said_us, counts)
        self._fix, self._fix_us = _last(fixes), _last(said_us) or 0

    def _fix_times(self, columns: Sequence[Columns]) -> _Track:
        """When each fix was said, as a track like those of values."""
        said = sorted(
            (place, time)
            for each in columns
            for place, time, value in zip(
                each.places, each.times_us, each.series.get(self._ids[FIX], ()), strict=False
            )
            if value is not None
        )
        return _Track([place for place, _ in said], [self._fix_us, *(time for _, time in said)])

    def _require_fix(
        self, each: Columns, fixes: _Track, said_us: _Track, counts: Counter[str]
    ) -> None:
        self._blank(
            each,
            [fixes.at(place) in POSITION_FIXES for place in each.places],
            counts,
            "gnss-no-fix",
        )
        fresh = [
            time - (said_us.at(place) or 0) <= FIX_AGE_US_MAX
            for place, time in zip(each.places, each.times_us, strict=True)
        ]
        self._blank(each, fresh, counts, "gnss-stale")

    def _require_quality(self, columns: Sequence[Columns], counts: Counter[str]) -> None:
        satellites = self._track(columns, SATELLITES, self._satellites)
        hdops = self._track(columns, HDOP, self._hdop)
        for each in columns:
            if self._gated & set(each.series):
                keep = [
                    _least(satellites.at(place), SATELLITES_MIN)
                    and _most(hdops.at(place), self._hdop_max)
                    for place in each.places
                ]
                self._blank(each, keep, counts, "gnss-weak")
        self._satellites, self._hdop = _last(satellites), _last(hdops)

    def _require_place(self, each: Columns, plausible: _Track, counts: Counter[str]) -> None:
        keep = [bool(plausible.at(place)) for place in each.places]
        for signal_id, (low, high) in self._limits.items():
            for row, value in enumerate(each.series.get(signal_id, ())):
                if value is not None and not low <= value <= high:
                    keep[row] = False
        self._blank(each, keep, counts, "gnss-implausible")

    def _require_altitude(self, each: Columns, counts: Counter[str]) -> None:
        low, high = self._altitude
        values = each.series[self._ids[ALTITUDE]]
        keep = [value is None or low <= value <= high for value in values]
        self._blank(each, keep, counts, "gnss-implausible")

    def _require_way(self, columns: Sequence[Columns], counts: Counter[str]) -> None:
        """Judges the places of messages that hold both coordinates, as all that we know do."""
        speeds = self._track(columns, SPEED, self._speed)
        for each in columns:
            north = each.series.get(self._ids[LATITUDE])
            east = each.series.get(self._ids[LONGITUDE])
            if north is None or east is None:
                continue
            verdicts = [
                self._jumps.judge((time, latitude, longitude), speeds.at(place))
                if latitude is not None and longitude is not None
                else ""
                for place, time, latitude, longitude in zip(
                    each.places, each.times_us, north, east, strict=True
                )
            ]
            for reason in sorted(set(verdicts) - {""}):
                keep = [verdict != reason for verdict in verdicts]
                self._blank(each, keep, counts, reason)
        self._speed = _last(speeds)

    def _blank(self, each: Columns, keep: list[bool], counts: Counter[str], reason: str) -> None:
        """Blanks the gated signals of the frames that are not kept; counts those that had any."""
        if all(keep):
            return
        gated = self._gated & set(each.series)
        taken = sum(
            not kept and any(each.series[number][row] is not None for number in gated)
            for row, kept in enumerate(keep)
        )
        if not taken:
            return
        counts[reason] += taken
        for number in gated:
            each.series[number] = [
                value if kept else None
                for value, kept in zip(each.series[number], keep, strict=True)
            ]

    def state(self) -> dict[str, Any]:
        """Returns what must survive a restart, for `restore`."""
        known = {
            "fix": self._fix,
            "satellites": self._satellites,
            "hdop": self._hdop,
            "speed": self._speed,
            "fix_us": self._fix_us or None,
            "altitude_ok": int(self._altitude_ok),
            "way": self._jumps.state() or None,
        }
        return {name: value for name, value in known.items() if value is not None}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state of a gate before a restart.

        Raises:
            LocalError: It is no state of a gate.
        """
        try:
            self._fix, self._satellites, self._hdop, self._speed = (
                int(state[name]) if name in state else None
                for name in ("fix", "satellites", "hdop", "speed")
            )
            self._has_fix = self._has_fix or self._fix is not None
            self._fix_us = int(state.get("fix_us", 0))
            self._altitude_ok = bool(state.get("altitude_ok", 1))
            self._jumps.restore(state.get("way", []))
        except (AttributeError, TypeError, ValueError) as error:
            raise LocalError(
                f"The saved GNSS state is damaged: {error}.", "decoder-state"
            ) from error


@dataclass(frozen=True, slots=True)
class _Track:
    """A value over the places of a chunk; `values[0]` held before the first place."""

    places: list[int]
    values: Sequence[int | None]

    def at(self, place: int) -> int | None:
        return self.values[bisect_right(self.places, place)]


def _last(track: _Track) -> int | None:
    return track.values[-1]


def _least(value: int | None, least: int) -> bool:
    return value is None or value >= least


def _most(value: int | None, most: int) -> bool:
    return value is None or value <= most


def _range(path: str, low: int, high: int) -> tuple[int, int]:
    spec = signal(path)
    scale = spec.denominator // spec.numerator
    return low * scale, high * scale
