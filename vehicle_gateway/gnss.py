"""The quality gate of positions: what a receiver sends without a fix is absence, not a place.

Place in the flow: decoded columns of a chunk → **gnss** → `decode` hands them on.

* A position is present only while the receiver flags it valid, the current fix is one of position
  (type 2, 3 or 4: 0 is none, 1 is dead reckoning alone, 5 is time alone), the last altitude was
  plausible and the coordinates are on Earth. A real receiver without a fix sent `PositionValid = 1`
  with an altitude of -5,400 m for minutes.
* The rule acts on VSS paths, so it holds for every vehicle profile.
* "Current" is the order of arrival on the bus, never the clock. The last fix survives a restart.
* A profile without a fix type leaves the flag, altitude and coordinates to decide.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.catalogue import signal
from edge.errors import LocalError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from vehicle_gateway.columns import Columns

POSITION_FIXES: Final = frozenset({2, 3, 4})
ALTITUDE_M: Final = (-500, 9_000)

FIX: Final = "Vehicle.Private.GNSS.FixType"
ALTITUDE: Final = "Vehicle.CurrentLocation.Altitude"
LATITUDE: Final = "Vehicle.CurrentLocation.Latitude"
LONGITUDE: Final = "Vehicle.CurrentLocation.Longitude"
NEEDS_FIX: Final = (
    LATITUDE,
    LONGITUDE,
    ALTITUDE,
    "Vehicle.CurrentLocation.HorizontalAccuracy",
    "Vehicle.Private.GNSS.Speed",
)


class Gate:
    """Remembers the last fix and whether the last altitude was plausible.

    Args:
        has_fix: Whether the vehicle profile maps a fix type at all.
    """

    def __init__(self, *, has_fix: bool) -> None:
        self._has_fix = has_fix
        self._fix: int | None = None
        self._altitude_ok = True
        self._ids = {path: signal(path).id for path in (FIX, *NEEDS_FIX)}
        self._gated = {self._ids[path] for path in NEEDS_FIX}
        self._concerned = {*self._gated, self._ids[FIX]}
        self._altitude = _range(ALTITUDE, *ALTITUDE_M)
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
            counts: `gnss-no-fix` and `gnss-implausible`, in frames.
        """
        fixes = self._track(columns, self._ids[FIX], self._fix)
        for each in columns:
            if self._has_fix and self._gated & set(each.series):
                self._require_fix(each, fixes, counts)
        self._fix = fixes.values[-1]
        altitudes = self._track(columns, self._ids[ALTITUDE], None)
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

    def _track(self, columns: Sequence[Columns], signal_id: int, before: int | None) -> _Track:
        seen = sorted(
            (place, value)
            for each in columns
            if signal_id in each.series
            for place, value in zip(each.places, each.series[signal_id], strict=True)
            if value is not None
        )
        return _Track([place for place, _ in seen], [before, *(value for _, value in seen)])

    def _require_fix(self, each: Columns, fixes: _Track, counts: Counter[str]) -> None:
        keep = [fixes.at(place) in POSITION_FIXES for place in each.places]
        self._blank(each, keep, counts, "gnss-no-fix")

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

    def _blank(self, each: Columns, keep: list[bool], counts: Counter[str], reason: str) -> None:
        """Blanks the gated signals of the frames that are not kept; counts those that had any."""
        if all(keep):
            return
        gated = self._gated & set(each.series)
        counts[reason] += sum(
            not kept and any(each.series[number][row] is not None for number in gated)
            for row, kept in enumerate(keep)
        )
        for number in gated:
            each.series[number] = [
                value if kept else None
                for value, kept in zip(each.series[number], keep, strict=True)
            ]

    def state(self) -> dict[str, int]:
        """Returns what must survive a restart, for `restore`."""
        fix = {} if self._fix is None else {"fix": self._fix}
        return {**fix, "altitude_ok": int(self._altitude_ok)}

    def restore(self, state: Mapping[str, int]) -> None:
        """Takes up the state of a gate before a restart.

        Raises:
            LocalError: It is no state of a gate.
        """
        try:
            self._fix = int(state["fix"]) if "fix" in state else None
            self._altitude_ok = bool(state.get("altitude_ok", 1))
        except (AttributeError, TypeError, ValueError) as error:
            raise LocalError(
                f"The saved GNSS state is damaged: {error}.", "decoder-state"
            ) from error


@dataclass(frozen=True, slots=True)
class _Track:
    """A value over the places of a chunk; `values[0]` held before the first place."""

    places: list[int]
    values: Sequence[int | bool | None]

    def at(self, place: int) -> int | bool | None:
        return self.values[bisect_right(self.places, place)]


def _range(path: str, low: int, high: int) -> tuple[int, int]:
    spec = signal(path)
    scale = spec.denominator // spec.numerator
    return low * scale, high * scale
