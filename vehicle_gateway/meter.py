"""What the speed of a trip adds up to: distance, time moving and idle, by night, percentiles.

Place in the flow: trips → **meter** (sums of one trip).

* Distance is the integral over neighbouring samples at most `GAP_US` apart, as the core computes
  it; nothing is interpolated over a gap. With a receiver's speed alone it needs no map either.
* Percentiles are of moving seconds, from a histogram in steps of `BIN_MMPS`: whole numbers that
  can be restored, rounded down to the step.
* What lies between two windows belongs to the later one.
"""

from __future__ import annotations

from itertools import pairwise
from operator import add, mul, sub
from typing import TYPE_CHECKING, Any, Final

from vehicle_gateway.spans import is_between
from vehicle_gateway.ticks import TICK_US, mmps_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GAP_US: Final = 10_000_000
SECOND_US: Final = 1_000_000
# (mm/s + mm/s) x us to metres.
DISTANCE_DIVISOR: Final = 2 * SECOND_US * 1_000
IDLE_MMPS: Final = mmps_of(3)
BIN_MMPS: Final = 250
BINS_MAX: Final = 400
PERCENTILES: Final = (50, 85, 95)


class Meter:
    """Sums of the speed of one trip.

    Args:
        night: Hours of the day between which it is night.

    Attributes:
        last: Time and mm/s of the last sample, empty before the first.
    """

    def __init__(self, night: tuple[int, int]) -> None:
        self._night = night
        self._distance = 0  # (mm/s + mm/s) x us
        self._measured_us = self._idle_us = self._night_us = self._speed_max = 0
        self._seconds: dict[int, int] = {}  # step of the histogram → moving seconds
        self.last: list[int] = []

    @property
    def distance_m(self) -> int:
        """Metres so far."""
        return self._distance // DISTANCE_DIVISOR

    def add(self, times: Sequence[int], speeds: Sequence[int]) -> None:
        """Takes the samples of a window in, in order of time."""
        if not times:
            return
        self._count_seconds(times, speeds)
        if self.last:
            times, speeds = [self.last[0], *times], [self.last[1], *speeds]
        spans = list(map(sub, times[1:], times))
        if spans and (min(spans) < 0 or max(spans) > GAP_US):
            spans = [span if 0 <= span <= GAP_US else 0 for span in spans]
        self._distance += sum(map(mul, map(add, speeds[1:], speeds), spans))
        self._speed_max = max(self._speed_max, *speeds)
        idle_us = 0
        if min(speeds) < IDLE_MMPS:
            idle_us = sum(
                span
                for span, (one, two) in zip(spans, pairwise(speeds), strict=True)
                if one + two < 2 * IDLE_MMPS
            )
        measured_us = sum(spans)
        self._idle_us += idle_us
        self._measured_us += measured_us
        if is_between(times[-1] // TICK_US, *self._night):
            self._night_us += measured_us - idle_us
        self.last = [times[-1], speeds[-1]]

    def summary(self) -> dict[str, int]:
        """Returns what the trip added up to."""
        moving_us = self._measured_us - self._idle_us
        return {
            "distance_m": self.distance_m,
            "moving_s": moving_us // SECOND_US,
            "idle_s": self._idle_us // SECOND_US,
            "night_s": self._night_us // SECOND_US,
            "night_permille": self._night_us * 1_000 // moving_us if moving_us else 0,
            "speed_mmps_max": self._speed_max,
            **{f"speed_mmps_p{part}": self._percentile(part) for part in PERCENTILES},
        }

    def state(self) -> dict[str, Any]:
        """Returns all that the next window depends on."""
        return {
            "sums": [
                self._distance,
                self._measured_us,
                self._idle_us,
                self._night_us,
                self._speed_max,
            ],
            "seconds": [part for pair in sorted(self._seconds.items()) for part in pair],
            "last": list(self.last),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        (
            self._distance,
            self._measured_us,
            self._idle_us,
            self._night_us,
            self._speed_max,
        ) = state["sums"]
        flat = state["seconds"]
        self._seconds = dict(zip(flat[::2], flat[1::2], strict=True))
        self.last = list(state["last"])

    def _count_seconds(self, times: Sequence[int], speeds: Sequence[int]) -> None:
        """Counts the last sample of each second, so that a fast bus weighs as a slow one.

        A second that a window's end cuts in two counts once: its first part is taken back.
        """
        by_second = dict(zip([time // SECOND_US for time in times], speeds, strict=True))
        if self.last and self.last[0] // SECOND_US in by_second:
            self._count_second(self.last[1], -1)
        for speed in by_second.values():
            self._count_second(speed, 1)

    def _count_second(self, speed: int, by: int) -> None:
        if speed >= IDLE_MMPS:
            step = min(speed // BIN_MMPS, BINS_MAX)
            self._seconds[step] = self._seconds.get(step, 0) + by

    def _percentile(self, part: int) -> int:
        """The speed that `part` per cent of the moving seconds do not exceed by a step."""
        due = sum(self._seconds.values()) * part
        passed = 0
        for step, seconds in sorted(self._seconds.items()):
            passed += seconds * 100
            if passed >= due:
                return step * BIN_MMPS
        return 0
