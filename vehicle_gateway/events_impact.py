"""Collision and rollover: what shook or tilted the box is told only if the vehicle bears it out.

Place in the flow: decode, motion → **events_impact** → events.

    collision   a sample of 1 g or more beside what was felt before, but for up and down
                → an impulse over 0.3 s that no bump gives    else refuted
                → and a speed that has changed for good       else refuted
    rollover    gravity has turned by 30° and stays there, at 1 g (a bend feels heavier),
                or the attitude to the side is as large → and the vehicle does not drive on

* A pothole shakes hard and short, mostly up and down; a knock against the box changes no speed;
  hard braking is part of what was felt before. A box that fell off its bracket drives on.
* Whole windows without a sample that could be one are passed over by two calls in C.
* A speed that leaps to 0 is a glitch for all other rules; here it is what a wall does.
"""

from __future__ import annotations

from math import cos, isqrt, radians
from typing import TYPE_CHECKING, Any, Final

from vehicle_gateway.mounting import AXES
from vehicle_gateway.spans import Alert, Event, Second, event
from vehicle_gateway.ticks import TICK_MS, in_order, mmps_of, runs, scale_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.columns import Group
    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.motion import Motion, Tick

BASE_TICKS: Final = 10
MEAN_TICKS: Final = 15
COS_UNIT: Final = 1_000
GRAVITY_MMPS2: Final = 9_807

Extremes = dict[int, list[tuple[int, int] | None]]
"""Tick → lowest and highest of each axis in mm/s2; None for an axis without a sample."""


class Collision:
    """Watches for an impact."""

    # Tick of the impact (0 for none), its peak, speed before, whether its impulse is known, speed
    # after it (-1 for none), and what was felt before on each axis.
    _start: int
    _peak: int
    _before: int
    _after: int
    _base: list[int | None]
    _impulse: list[int]

    def __init__(self, campaign: Campaign, motion: Motion) -> None:
        figures = campaign.figures("collision")
        self._motion = motion
        self._hit = figures["impact_mmps2"]
        self._impulse_min = figures["impulse_mmps"]
        self._impulse_ticks = figures["impulse_ms"] // TICK_MS
        self._change = figures["speed_change_mmps"]
        self._confirm = figures["confirm_ms"] // TICK_MS
        self._severe = figures["severe_mmps2"]
        self._scales = [scale_of(path) for path in AXES]
        self.refuted = 0
        self._clear()

    @property
    def pending(self) -> bool:
        """Whether an impact waits for what the speed will say."""
        return bool(self._start)

    def screen(self, groups: Sequence[Group]) -> Extremes:
        """Returns the extremes of the ticks of a window; of none, if none can hold an impact."""
        columns = [
            (place, group.times_us, group.series[scale.id])
            for place, scale in enumerate(self._scales)
            for group in groups
            if scale.id in group.series
        ]
        if not any(self._may_hit(place, series) for place, _, series in columns):
            return {}
        found: Extremes = {}
        for place, times_us, series in columns:
            scale = self._scales[place]
            times, values = in_order(times_us, series)
            for tick, start, end in runs(times):
                ends = min(values[start:end]), max(values[start:end])
                low, high = (raw * scale.numerator // scale.denominator for raw in ends)
                found.setdefault(tick, [None] * len(AXES))[place] = (low, high)
        return found

    def step(self, tick: Tick, extremes: Sequence[tuple[int, int] | None] | None) -> Event | None:
        """Takes a tick in; returns a collision that was borne out by it."""
        if self._start:
            return self._go_on(tick)
        if extremes is None:
            return None
        base = self._motion.mounting.means(tick.number - 1, BASE_TICKS)
        peak = self._beside(base, extremes)
        if peak >= self._hit and tick.speed_mmps is not None:
            self._start, self._peak, self._base = tick.number, peak, base
            self._before = tick.before_mmps or tick.speed_mmps
            return self._go_on(tick)
        return None

    def finish(self) -> Event | None:
        """Ends what is going on: an impact that nothing bore out is none."""
        ended = self._judge() if self._start else None
        self._clear()
        return ended

    def state(self) -> list[Any]:
        """Returns all that the next tick depends on."""
        numbers = [self._start, self._peak, self._before, self._after, self.refuted]
        return [numbers, list(self._base), list(self._impulse)]

    def restore(self, state: Sequence[Any]) -> None:
        """Goes on from what `state` returned."""
        numbers, base, impulse = state
        self._start, self._peak, self._before, self._after, self.refuted = numbers
        self._base, self._impulse = list(base), list(impulse)

    # ------------------------------------------------------------ inside
    def _clear(self) -> None:
        self._start = self._peak = self._before = 0
        self._after = -1
        self._base, self._impulse = [], [0] * len(AXES)

    def _may_hit(self, place: int, series: Sequence[int | None]) -> bool:
        """Whether two samples of a column are as far apart as an axis of an impact must be."""
        _, values = in_order(range(len(series)), series)
        if not values or place == self._motion.mounting.vertical:
            return False
        scale = self._scales[place]
        # The larger of two axes makes at least 70 % of what both make together.
        return (
            max(values) - min(values)
        ) * scale.numerator * 10 >= 7 * self._hit * scale.denominator

    def _beside(
        self, base: Sequence[int | None], extremes: Sequence[tuple[int, int] | None]
    ) -> int:
        """How far the samples of a tick lie from what was felt before, but for up and down."""
        vertical = self._motion.mounting.vertical
        squares = [
            max(high - before, before - low) ** 2
            for place, (before, ends) in enumerate(zip(base, extremes, strict=True))
            if before is not None and ends is not None and place != vertical
            for low, high in [ends]
        ]
        return isqrt(sum(squares))

    def _go_on(self, tick: Tick) -> Event | None:
        if tick.number - self._start < self._impulse_ticks:
            now = self._motion.mounting.means(tick.number, 1)
            for place, (mean, before) in enumerate(zip(now, self._base, strict=True)):
                if mean is not None and before is not None:
                    self._impulse[place] += (mean - before) * TICK_MS // 1_000
        if tick.raw_mmps is not None and tick.number > self._start:
            self._after = tick.raw_mmps
        return self.finish() if tick.number - self._start >= self._confirm else None

    def _judge(self) -> Event | None:
        vertical = self._motion.mounting.vertical
        flat = [each for place, each in enumerate(self._impulse) if place != vertical]
        impulse = isqrt(sum(each * each for each in flat))
        changed = self._after >= 0 and abs(self._after - self._before) >= self._change
        if impulse < self._impulse_min or not changed:
            self.refuted += 1
            return None
        severity = "severe" if self._peak >= self._severe else "normal"
        times = self._start, self._start + self._confirm
        return event("collision", times, self._peak, "mm/s2", severity=severity)


class Rollover:
    """Watches for a vehicle on its side; the peak is the angle of the rule or more, in degrees."""

    def __init__(self, campaign: Campaign, motion: Motion) -> None:
        figures = campaign.figures("rollover")
        self._motion = motion
        self._degrees = figures["roll_degrees"]
        self._cos_squared = round(cos(radians(self._degrees)) ** 2 * COS_UNIT)
        self._hold = figures["hold_ms"] // TICK_MS
        self._settle = figures["settle_ms"] // TICK_MS
        self._drives = mmps_of(figures["speed_kmh_below"])
        self._doubt = figures["gravity_doubt_percent"]
        self._start = self._end = self._peak = 0
        self._by_attitude = self._told = 0
        self.refuted = 0

    def step(self, second: Second) -> Event | None:
        """Takes a second in; returns a rollover that was borne out by it."""
        by_attitude = second.roll_ddeg is not None and abs(second.roll_ddeg) >= self._degrees * 10
        if not (by_attitude or self._is_tilted(second.number)):
            if self._start and second.number - self._end > self._hold:
                self._clear()
            return None
        if not self._start:
            self._start, self._by_attitude = second.number, int(by_attitude)
        self._end = second.number
        self._peak = max(self._peak, abs(second.roll_ddeg or 0) // 10, self._degrees)
        if self._told or second.number - self._start < self._settle:
            return None
        if second.speed_mmps is not None and second.speed_mmps >= self._drives:
            self.refuted += 1
            self._told = 1  # a box that fell off its bracket: once is enough
            return None
        return self._tell()

    def finish(self) -> Event | None:
        """Ends what is going on: silence after a roll bears it out."""
        lasted = self._start and not self._told and self._end - self._start >= self._hold
        ended = self._tell() if lasted else None
        self._clear()
        return ended

    def alerts(self) -> list[Alert]:
        """Whoever lies on the side knows."""
        return []

    def state(self) -> list[int]:
        """Returns all that the next second depends on."""
        numbers = [self._start, self._end, self._peak, self._by_attitude, self._told]
        return [*numbers, self.refuted]

    def restore(self, state: Sequence[int]) -> None:
        """Goes on from what `state` returned."""
        self._start, self._end, self._peak, self._by_attitude, self._told = state[:5]
        self.refuted = state[5]

    def _clear(self) -> None:
        self._start = self._end = self._peak = self._by_attitude = self._told = 0

    def _is_tilted(self, number: int) -> bool:
        """Whether gravity points elsewhere than at rest, and is gravity alone."""
        rest = self._motion.mounting.rest
        now = self._motion.mounting.means(number, MEAN_TICKS)
        if rest is None or None in now:
            return False
        along = sum(one * (other or 0) for one, other in zip(rest, now, strict=True))
        was = sum(one * one for one in rest)  # it may be learning the new rest by now
        is_now = sum((one or 0) ** 2 for one in now)
        low, high = 100 - self._doubt, 100 + self._doubt
        if not low * low <= is_now * 10_000 // GRAVITY_MMPS2**2 <= high * high:
            return False
        return along <= 0 or along * along * COS_UNIT < self._cos_squared * was * is_now

    def _tell(self) -> Event:
        self._told = 1
        rule = f"rollover-{'attitude' if self._by_attitude else 'gravity'}"
        times = self._start, self._end + 1
        return event("rollover", times, self._peak, "degrees", severity="severe", rule=rule)
