"""What changes seldom: where the vehicle is, its doors, the driver's belt, its attitude.

Place in the flow: decode → ticks → **senses** → events (once a second).

* A value is known from its tick on and for as long as its sort of sensor may be silent; then it is
  unknown, never assumed.
* A position needs latitude and longitude of the same tick: half a fix is none.
* Of each second the last value counts: who looks once a second needs no more.
* The doors are all the doors of the data catalogue; one that is open is enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal, signals
from vehicle_gateway.gnss import LATITUDE, LONGITUDE
from vehicle_gateway.ticks import TICK_MS, latest_by_tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.columns import Group
    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.places import Point

DOORS: Final = (".Door.", ".IsOpen")
BELT: Final = "Vehicle.Cabin.Seat.Row1.DriverSide.IsBelted"
ROLL: Final = "Vehicle.Private.GNSS.Roll"
SECOND_TICKS: Final = 1_000 // TICK_MS
PLACE_KEY: Final = 0
"""No signal has this id."""

Change = tuple[int, int, Any]
"""Tick, signal id or `PLACE_KEY`, value."""


def door_paths() -> list[str]:
    """Returns the paths of all doors of the data catalogue."""
    paths = [spec.path for spec in signals()]
    return [path for path in paths if DOORS[0] in path and path.endswith(DOORS[1])]


class Senses:
    """Remembers what was last told of each."""

    def __init__(self, campaign: Campaign) -> None:
        figures = campaign.figures("motion")
        self._place_age = figures["place_age_ms_max"] // TICK_MS
        self._state_age = figures["cabin_age_ms_max"] // TICK_MS
        self._latitude, self._longitude = signal(LATITUDE).id, signal(LONGITUDE).id
        self._doors = frozenset(signal(path).id for path in door_paths())
        self._belt, self._roll = signal(BELT).id, signal(ROLL).id
        self._asked = self._doors | {self._belt, self._roll}
        self._known: dict[int, tuple[int, Any]] = {}

    def window(self, groups: Sequence[Group]) -> list[Change]:
        """Returns what a window tells, in order of time."""
        found: list[Change] = []
        for identity in {key for group in groups for key in group.series} & self._asked:
            told = latest_by_tick(groups, identity).items()
            by_second = {tick // SECOND_TICKS: (tick, identity, value) for tick, value in told}
            found += by_second.values()
        places = {tick // SECOND_TICKS: (tick, PLACE_KEY, at) for tick, at in self._places(groups)}
        return sorted([*found, *places.values()])

    def take(self, change: Change) -> None:
        """Takes what was told in."""
        tick, key, value = change
        self._known[key] = (tick, value)

    def place(self, tick: int) -> Point | None:
        """Where the vehicle is, None without a fresh fix."""
        found: Point | None = self._fresh(PLACE_KEY, tick, self._place_age)
        return found

    def is_open(self, tick: int) -> bool | None:
        """Whether a door is open; None where no door tells."""
        told = [self._fresh(door, tick, self._state_age) for door in self._doors & {*self._known}]
        known = [value for value in told if value is not None]
        return any(known) if known else None

    def is_belted(self, tick: int) -> bool | None:
        """Whether the driver's belt is fastened; None where it does not tell."""
        told = self._fresh(self._belt, tick, self._state_age)
        return None if told is None else bool(told)

    def roll(self, tick: int) -> int | None:
        """Attitude to the side in tenths of a degree."""
        found: int | None = self._fresh(self._roll, tick, self._place_age)
        return found

    def state(self) -> list[list[Any]]:
        """Returns all that the next window depends on."""
        return [
            [key, tick, list(value) if key == PLACE_KEY else value]
            for key, (tick, value) in sorted(self._known.items())
        ]

    def restore(self, state: Sequence[Sequence[Any]]) -> None:
        """Goes on from what `state` returned."""
        self._known = {
            key: (tick, tuple(value) if key == PLACE_KEY else value) for key, tick, value in state
        }

    def _fresh(self, key: int, tick: int, age: int) -> Any:  # noqa: ANN401 - a point or a number
        told = self._known.get(key)
        return told[1] if told is not None and 0 <= tick - told[0] <= age else None

    def _places(self, groups: Sequence[Group]) -> list[tuple[int, Point]]:
        east = latest_by_tick(groups, self._longitude)
        return [
            (tick, (latitude, east[tick]))
            for tick, latitude in latest_by_tick(groups, self._latitude).items()
            if tick in east
        ]
