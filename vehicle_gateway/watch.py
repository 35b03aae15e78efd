"""Follows a condition through windows: when it is true, when not, and when nobody can say.

Place in the flow: decode (columns) + expression → **watch** → collect, triggers.

    samples of its signals   |  |    | |       |        asked at each of these instants, and at each
    answer              ?    F       T         F        whole second where it has `age` or `held`
    steps               ^    ^       ^         ^        only changes are kept

* It costs one answer per instant of its own signals, whatever else the window holds.
* What it knows at the end of a window it knows at the start of the next, also after a restart.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from vehicle_gateway.expression import SECOND_US, View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.columns import Group
    from vehicle_gateway.expression import Condition, Truth

CLOCK_TICKS_MAX: Final = 120
"""Whole seconds of a window at most: one that claims to be longer is asked at its samples."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The answers of a window: from each instant on until the next.

    Attributes:
        first: What held before the first instant.
    """

    first: Truth
    times_us: Sequence[int]
    answers: Sequence[Truth]

    def at(self, time_us: int) -> Truth:
        """Returns the answer that stood at an instant."""
        place = bisect_right(self.times_us, time_us)
        return self.answers[place - 1] if place else self.first

    def rises(self) -> list[int]:
        """Returns the instants at which it became true."""
        before = (self.first, *self.answers)
        return [
            time
            for time, was, now in zip(self.times_us, before, self.answers, strict=False)
            if now is True and was is not True
        ]


class Watch:
    """One condition of a campaign, and what is known of its signals."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition
        self._places = {signal: place for place, signal in enumerate(condition.signals)}
        self._view = condition.blank()
        self._last: Truth = None

    def feed(self, groups: Sequence[Group], end_us: int) -> Steps:
        """Takes a window in.

        Args:
            groups: All columns of the window.
            end_us: Time of its last frame.
        """
        samples = self._samples(groups)
        instants = {time for time, _, _ in samples}
        if self._condition.is_clocked:
            instants |= self._seconds(min(instants, default=end_us), end_us)
        first, times, answers, place = self._last, [], [], 0
        for instant in sorted(instants):
            while place < len(samples) and samples[place][0] <= instant:
                self._see(*samples[place])
                place += 1
            self._view.now_us = instant
            answer = self._condition.answer(self._view)
            if answer is not self._last:
                times.append(instant)
                answers.append(answer)
                self._last = answer
        return Steps(first, times, answers)

    def state(self) -> list[Any]:
        """Returns all that the next window depends on."""
        view = self._view
        return [self._last, view.now_us, view.raws, view.times_us, view.since_us]

    def restore(self, state: Sequence[Any]) -> None:
        """Goes on from what `state` returned."""
        self._last, now_us, raws, times_us, since_us = state
        self._view = View(now_us, list(raws), list(times_us), list(since_us))

    def _samples(self, groups: Sequence[Group]) -> list[tuple[int, int, int | None]]:
        """(time, place, raw) of the signals that are asked for, in order of time."""
        found = [
            (time, place, raw)
            for group in groups
            for signal, place in _shared(self._places, group.series)
            for time, raw in zip(group.times_us, group.series[signal], strict=True)
        ]
        found.sort(key=itemgetter(0))
        return found

    def _see(self, time_us: int, place: int, raw: int | None) -> None:
        self._view.raws[place] = raw
        if raw is not None:
            self._view.times_us[place] = time_us

    def _seconds(self, first_us: int, end_us: int) -> set[int]:
        """Whole seconds since the last window; few, where time has leapt."""
        begin_us = self._view.now_us
        if not 0 <= end_us - begin_us <= CLOCK_TICKS_MAX * SECOND_US:
            begin_us = min(first_us, end_us)
        begin_us = max(begin_us, end_us - CLOCK_TICKS_MAX * SECOND_US)
        return {*range(-(-begin_us // SECOND_US) * SECOND_US, end_us + 1, SECOND_US)}


def _shared(places: Mapping[int, int], series: Mapping[int, Any]) -> list[tuple[int, int]]:
    return [(signal, place) for signal, place in places.items() if signal in series]
