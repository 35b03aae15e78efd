"""Trips: from the first movement or turn of the engine until some minutes without either.

Place in the flow: events → **trips** → batch.

* A trip's id is the device and the second it began: the same recording gives the same ids, and no
  person is in them.
* Distance is the integral of `Vehicle.Speed` over neighbouring samples at most `GAP_US` apart, as
  the core computes it; nothing is interpolated over a gap.
* A window belongs to the trip that was open in it; the summary says what the whole trip held.
* State is integers and texts, as everywhere here.
"""

from __future__ import annotations

from itertools import pairwise
from operator import add, mul, sub
from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal
from vehicle_gateway.motion import ENGINE, SPEEDS
from vehicle_gateway.ticks import mmps_of, scale_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.columns import Group
    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.events import Event

GAP_US: Final = 10_000_000
SECOND_US: Final = 1_000_000
# (mm/s + mm/s) x us to metres.
DISTANCE_DIVISOR: Final = 2 * SECOND_US * 1_000
IDLE_MMPS: Final = mmps_of(3)
BACKWARDS_US: Final = 60 * SECOND_US

Summary = dict[str, Any]


class Trips:
    """Follows one vehicle through windows of data.

    Attributes:
        current: Id of the open trip, None between trips.
    """

    _start_us: int
    _active_us: int
    _distance: int  # (mm/s + mm/s) x us
    _speed_max: int
    _idle_us: int
    _last: list[int]  # time and speed of the last sample
    _events: dict[str, int]

    def __init__(self, campaign: Campaign, device: str) -> None:
        figures = campaign.figures("trip")
        self._device = device
        self._moving = mmps_of(figures["moving_kmh"])
        self._end_after_us = figures["end_after_ms"] * 1_000
        self._speeds = [scale_of(path) for path in SPEEDS]
        self._engine = signal(ENGINE).id
        self.current: str | None = None
        self._clear()

    def expire(self, now_us: int) -> Summary | None:
        """Ends the open trip if nothing has moved for long; call before `feed` of a window.

        Args:
            now_us: Start of the next window, or the present where the vehicle is silent.
        """
        if self.current is None:
            return None
        silent_us = now_us - self._active_us
        if silent_us >= self._end_after_us or silent_us < -BACKWARDS_US:
            return self.finish()
        return None

    def feed(self, groups: Sequence[Group], events: Sequence[Event]) -> str | None:
        """Takes a window in.

        Returns:
            The trip that it belongs to, None while the vehicle rests.
        """
        times, speeds = self._speed_of(groups)
        active_us = self._last_activity(groups, times, speeds)
        if active_us:
            if self.current is None:
                start_us = self._first_activity(groups, times, speeds)
                self.current = f"{self._device}-{start_us // SECOND_US}"
                self._start_us = start_us
            self._active_us = max(self._active_us, active_us)
        if self.current is not None:
            self._measure(times, speeds)
            for event in events:
                self._events[event["kind"]] = self._events.get(event["kind"], 0) + 1
        return self.current

    def finish(self) -> Summary | None:
        """Ends the open trip and returns what it was, None between trips."""
        if self.current is None:
            return None
        summary = {
            "trip": self.current,
            "start_us": self._start_us,
            "end_us": self._active_us,
            "duration_s": (self._active_us - self._start_us) // SECOND_US,
            "distance_m": self._distance // DISTANCE_DIVISOR,
            "speed_mmps_max": self._speed_max,
            "idle_s": self._idle_us // SECOND_US,
            "events": dict(sorted(self._events.items())),
        }
        self.current = None
        self._clear()
        return summary

    @property
    def speed_mmps(self) -> int | None:
        """The last speed of the open trip, None between trips."""
        return self._last[1] if self.current is not None and self._last else None

    def state(self) -> dict[str, Any]:
        """Returns all that the next window depends on."""
        return {
            "trip": self.current,
            "numbers": [
                self._start_us,
                self._active_us,
                self._distance,
                self._speed_max,
                self._idle_us,
            ],
            "last": list(self._last),
            "events": dict(self._events),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self.current = state["trip"]
        (
            self._start_us,
            self._active_us,
            self._distance,
            self._speed_max,
            self._idle_us,
        ) = state["numbers"]
        self._last = list(state["last"])
        self._events = dict(state["events"])

    def _clear(self) -> None:
        self._start_us = self._active_us = 0
        self._distance = self._speed_max = self._idle_us = 0
        self._last = []
        self._events = {}

    def _speed_of(self, groups: Sequence[Group]) -> tuple[list[int], list[int]]:
        """Times and mm/s of the bus's own speed where there is any, else of the receiver."""
        for scale in self._speeds:
            pairs = _samples(groups, scale.id)
            if pairs:
                return [time for time, _ in pairs], [
                    value * scale.numerator // scale.denominator for _, value in pairs
                ]
        return [], []

    def _last_activity(
        self, groups: Sequence[Group], times: Sequence[int], speeds: Sequence[int]
    ) -> int:
        moved = (t for t, v in zip(reversed(times), reversed(speeds), strict=True) if self._is(v))
        turned = (t for t, rpm in reversed(_samples(groups, self._engine)) if rpm > 0)
        return max(next(moved, 0), next(turned, 0))

    def _first_activity(
        self, groups: Sequence[Group], times: Sequence[int], speeds: Sequence[int]
    ) -> int:
        moved = (t for t, v in zip(times, speeds, strict=True) if self._is(v))
        turned = (t for t, rpm in _samples(groups, self._engine) if rpm > 0)
        return min(t for t in (next(moved, 0), next(turned, 0)) if t)

    def _is(self, speed: int) -> bool:
        return speed >= self._moving

    def _measure(self, times: list[int], speeds: list[int]) -> None:
        """Adds distance, idle time and the highest speed of the window."""
        if not times:
            return
        if self._last:
            times, speeds = [self._last[0], *times], [self._last[1], *speeds]
        spans = list(map(sub, times[1:], times))
        if spans and (min(spans) < 0 or max(spans) > GAP_US):
            spans = [span if 0 <= span <= GAP_US else 0 for span in spans]
        self._distance += sum(map(mul, map(add, speeds[1:], speeds), spans))
        self._speed_max = max(self._speed_max, *speeds)
        if min(speeds) < IDLE_MMPS:
            self._idle_us += sum(
                span
                for span, (one, two) in zip(spans, pairwise(speeds), strict=True)
                if one + two < 2 * IDLE_MMPS
            )
        self._last = [times[-1], speeds[-1]]


def _samples(groups: Sequence[Group], identity: int) -> list[tuple[int, int]]:
    """(time, raw) of a signal where it is present, in order of time."""
    found = [
        (time, value)
        for group in groups
        for time, value in zip(group.times_us, group.series.get(identity, ()), strict=False)
        if value is not None
    ]
    return sorted(found)
