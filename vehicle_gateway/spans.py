"""What rules that look once a second share: the second, a condition that lasts, day and night.

Place in the flow: motion, senses → **spans** → the rules of `events_*` and `hours`.

* A condition is on from its first second to its last; gaps shorter than `merge` belong to it, and
  it counts once it has been `hold` long.
* China has one zone and has had no summer time since 1991: an hour of the day is plain arithmetic.
* State is integers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vehicle_gateway.ticks import TICK_MS, TICK_US

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vehicle_gateway.places import Point

Event = dict[str, Any]
"""{kind, start_us, end_us, peak, unit, severity, rule}: what has ended, as the core stores it."""

HOUR_TICKS: Final = 3_600_000 // TICK_MS
DAY_H: Final = 24
CHINA_OFFSET_H: Final = 8


class Alert(NamedTuple):
    """What goes on at present and calls for the driver's ear.

    Attributes:
        kind: As the event that may come of it.
        level: `warn` before it counts, `alarm` since it does.
        since_us: When it began, microseconds UTC of the data.
    """

    kind: str
    level: str
    since_us: int


class Second(NamedTuple):
    """What is known of the vehicle once a second.

    Attributes:
        number: Tick at which it is known.
        speed_mmps: Last trusted speed; None when it is too old.
        running: Whether the engine turns; None when unknown.
        place: Where it is; None without a fresh fix.
        is_open: Whether a door is open; None where no door tells.
        is_belted: Whether the driver's belt is fastened; None where it does not tell.
        roll_ddeg: Attitude to the side in tenths of a degree; None where nothing measures it.
    """

    number: int
    speed_mmps: int | None
    running: bool | None
    place: Point | None
    is_open: bool | None = None
    is_belted: bool | None = None
    roll_ddeg: int | None = None


class Span:
    """Watches for a condition that lasts: tells (start, end, peak) when it is over."""

    def __init__(self, figures: Mapping[str, int]) -> None:
        self._hold = figures["hold_ms"] // TICK_MS
        self._merge = figures["merge_ms"] // TICK_MS
        self._start = self._end = self._peak = 0
        self._is_on = False

    def step(self, number: int, on: bool, value: int) -> tuple[int, int, int] | None:
        """Takes a second in; `value` competes for the peak while the condition is on."""
        self._is_on = on
        if on:
            self._start = self._start or number
            self._end = number + 1
            self._peak = max(self._peak, value)
        elif self._start and number - self._end + 1 >= self._merge:
            return self.finish()
        return None

    def finish(self) -> tuple[int, int, int] | None:
        """Ends it; returns it if it was long enough."""
        found = (self._start, self._end, self._peak) if self.lasts() else None
        self._start = self._end = self._peak = 0
        self._is_on = False
        return found

    @property
    def is_open(self) -> bool:
        """Whether it goes on, or may do so again before `merge` has passed."""
        return bool(self._start)

    def lasts(self) -> bool:
        """Says whether it goes on, and for long enough."""
        return bool(self._start) and self._end - self._start >= self._hold

    def alert(self, kind: str) -> list[Alert]:
        """Returns what is so at present as an alert."""
        if not self._is_on:
            return []
        return [Alert(kind, "alarm" if self.lasts() else "warn", self._start * TICK_US)]

    def state(self) -> list[int]:
        """Returns all that the next second depends on."""
        return [self._start, self._end, self._peak, int(self._is_on)]

    def restore(self, state: Sequence[int]) -> None:
        """Goes on from what `state` returned."""
        self._start, self._end, self._peak, on = state
        self._is_on = bool(on)


def is_between(number: int, from_h: int, until_h: int) -> bool:
    """Says whether a tick lies between two hours of the day in China; midnight may lie between."""
    hour = (number // HOUR_TICKS + CHINA_OFFSET_H) % DAY_H
    if from_h > until_h:
        return hour >= from_h or hour < until_h
    return from_h <= hour < until_h


def event(kind: str, times: tuple[int, int], peak: int, unit: str, **more: str) -> Event:
    """Lays an event out.

    Args:
        kind: As the core knows it.
        times: Ticks of its start and end.
        peak: In `unit`.
        unit: Of the peak.
        more: `severity` (`normal` unless given) and `rule` (`kind` unless given).
    """
    return {
        "kind": kind,
        "start_us": times[0] * TICK_US,
        "end_us": times[1] * TICK_US,
        "peak": peak,
        "unit": unit,
        "severity": more.get("severity", "normal"),
        "rule": more.get("rule", kind),
    }
