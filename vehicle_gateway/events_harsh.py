"""Harsh braking, acceleration and cornering, each begun, refuted or told by the figures of a rule.

Place in the flow: motion → **events_harsh** → events.

    along    off ──strong (held)──> on ──weaker than release for merge_ms──> told, or refuted
    across   off ──strong in a turn, fast enough──> on ──as above──> told if it turned far enough

* An event is told once, when it has ended: the ticks of its start may lie in an earlier window.
* What the acceleration sensor alone saw is told only if the speed changed accordingly, or the
  vehicle turned; a bump, a gust or a knock against the box is refuted, and counted.
* State is integers: restored, the next tick gives what it would have given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vehicle_gateway.spans import Event, event
from vehicle_gateway.ticks import TICK_MS, mmps_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.motion import Tick


@dataclass(frozen=True, slots=True)
class HarshRule:
    """Thresholds of one kind in mm/s2 and ticks, all positive: `sign` turns the axis to them."""

    kind: str
    sign: int
    mean: int
    slope: int
    severe: int
    release: int
    speed_min: int
    hold: int
    merge: int
    agree: int
    mean_window: int
    window: int


class Harsh:
    """Watches for one kind of harsh manoeuvre."""

    # Ticks of what is going on (0 for none), its peak, and how far the speed has changed.
    _start: int
    _end: int
    _peak: int
    _reach: int
    _by_slope: bool
    _held_from: int
    _before: int  # speed of a second before it

    def __init__(self, rule: HarshRule) -> None:
        self._rule = rule
        self.refuted = 0
        self._clear()

    def step(self, tick: Tick) -> Event | None:
        """Takes a tick in; returns an event that has ended with it."""
        rule, sign = self._rule, self._rule.sign
        mean = 0 if tick.forward_mmps2 is None else tick.forward_mmps2 * sign
        slope = 0 if tick.slope_mmps2 is None else tick.slope_mmps2 * sign
        if self._end:
            return self._go_on(tick, mean, slope)
        held = self._hold(tick.number, mean >= rule.mean)
        by_slope = slope >= rule.slope
        speed, before = tick.speed_mmps, tick.before_mmps
        if not (held or by_slope) or speed is None or before is None:
            return None
        if max(before, speed) >= rule.speed_min:
            back = rule.window if by_slope else rule.hold
            self._start, self._end = tick.number + 1 - back, tick.number + 1
            self._peak = max(mean, slope)
            self._by_slope, self._before = by_slope, before
            self._reach = (speed - before) * sign
        return None

    def finish(self) -> Event | None:
        """Ends what is going on and forgets all; returns the event if it was one."""
        ended = self._tell() if self._end else None
        self._clear()
        return ended

    def state(self) -> list[int]:
        """Returns all that the next tick depends on."""
        numbers = [self._start, self._end, self._peak, int(self._by_slope), self._reach]
        return [*numbers, self._held_from, self._before, self.refuted]

    def restore(self, state: Sequence[int]) -> None:
        """Goes on from what `state` returned."""
        self._start, self._end, self._peak, by_slope, self._reach = state[:5]
        self._by_slope = bool(by_slope)
        self._held_from, self._before, self.refuted = state[5:]

    def _clear(self) -> None:
        self._start = self._end = self._peak = self._reach = self._held_from = 0
        self._by_slope = False
        self._before = 0

    def _hold(self, number: int, strong: bool) -> bool:
        """Says whether the mean has been strong for as long as the rule asks."""
        if not strong:
            self._held_from = 0
            return False
        self._held_from = self._held_from or number + 1 - self._rule.mean_window
        return number + 1 - self._held_from >= self._rule.hold

    def _go_on(self, tick: Tick, mean: int, slope: int) -> Event | None:
        rule = self._rule
        if tick.speed_mmps is not None:
            change = (tick.speed_mmps - self._before) * rule.sign
            self._reach = max(self._reach, change)
        if max(mean, slope) >= rule.release:
            self._end = tick.number + 1
            self._peak = max(self._peak, mean, slope)
            self._by_slope = self._by_slope or slope >= rule.slope
        elif tick.number - self._end >= rule.merge:
            return self.finish()
        return None

    def _tell(self) -> Event | None:
        rule = self._rule
        if not self._by_slope and self._reach < rule.agree:
            self.refuted += 1
            return None
        severity = "severe" if self._peak >= rule.severe else "normal"
        name = f"{rule.kind}-{'speed' if self._by_slope else 'imu'}"
        times = self._start, self._end
        return event(
            rule.kind, times, self._peak * rule.sign, "mm/s2", severity=severity, rule=name
        )


class Cornering:
    """Watches for a bend that is taken too fast.

    The sensor across the vehicle decides where it is known, and speed x rate of turn must bear it
    out; where it is not known, that product decides alone, and must last for more than one fix.
    """

    # Ticks of what is going on (0 for none), its peak, thousandths of a degree turned since.
    _start: int
    _end: int
    _peak: int
    _turned: int
    _last: int
    _by_sensor: int

    def __init__(self, campaign: Campaign) -> None:
        figures = campaign.figures("harsh-cornering")
        self._strong, self._release = figures["lateral_mmps2"], figures["release_mmps2"]
        self._severe = figures["severe_mmps2"]
        self._agree = figures["agree_percent"]
        self._speed = mmps_of(figures["speed_kmh_min"])
        self._turn = figures["turn_degrees"] * 1_000
        self._merge = figures["merge_ms"] // TICK_MS
        # By speed x turn, and by the sensor.
        self._holds = (figures["turn_hold_ms"] // TICK_MS, figures["hold_ms"] // TICK_MS)
        self.refuted = 0
        self._clear()

    def step(self, tick: Tick) -> Event | None:
        """Takes a tick in; returns an event that has ended with it."""
        bend = tick.bend_mmps2
        if bend is None or tick.turn_mdps is None or tick.speed_mmps is None:
            return None if not self._end else self._go_on(tick, 0)
        value, by_sensor = abs(bend), 0
        if tick.sideways_mmps2 is not None:
            # A camber or a knock to the other side is no bend.
            side = tick.sideways_mmps2 if bend > 0 else -tick.sideways_mmps2
            value, by_sensor = (side, 1) if value * 100 >= side * self._agree else (0, 1)
        if self._end:
            return self._go_on(tick, value)
        if value >= self._strong and tick.speed_mmps >= self._speed:
            self._start, self._end = tick.number, tick.number + 1
            self._peak, self._by_sensor = value, by_sensor
            self._turned, self._last = 0, tick.number
        return None

    def finish(self) -> Event | None:
        """Ends what is going on and forgets it; returns the event if it was one."""
        ended = self._tell() if self._end else None
        self._clear()
        return ended

    def state(self) -> list[int]:
        """Returns all that the next tick depends on."""
        numbers = [self._start, self._end, self._peak, self._turned, self._last]
        return [*numbers, self._by_sensor, self.refuted]

    def restore(self, state: Sequence[int]) -> None:
        """Goes on from what `state` returned."""
        self._start, self._end, self._peak, self._turned, self._last = state[:5]
        self._by_sensor, self.refuted = state[5:]

    def _clear(self) -> None:
        self._start = self._end = self._peak = self._turned = self._last = self._by_sensor = 0

    def _go_on(self, tick: Tick, value: int) -> Event | None:
        self._turned += (tick.turn_mdps or 0) * (tick.number - self._last) * TICK_MS // 1_000
        self._last = tick.number
        if value >= self._release:
            self._end = tick.number + 1
            self._peak = max(self._peak, value)
        elif tick.number - self._end >= self._merge:
            return self.finish()
        return None

    def _tell(self) -> Event | None:
        lasted = self._end - self._start >= self._holds[self._by_sensor]
        if not lasted or abs(self._turned) <= self._turn:
            self.refuted += 1
            return None
        severity = "severe" if self._peak >= self._severe else "normal"
        name = f"harsh-cornering-{'imu' if self._by_sensor else 'turn'}"
        times = self._start, self._end
        return event("harsh-cornering", times, self._peak, "mm/s2", severity=severity, rule=name)


def harsh_rule(campaign: Campaign, kind: str, sign: int) -> HarshRule:
    """Reads the thresholds of one kind in ticks and positive mm/s2."""
    figures, motion = campaign.figures(kind), campaign.figures("motion")
    return HarshRule(
        kind=kind,
        sign=sign,
        mean=figures["mean_mmps2"] * sign,
        slope=figures["slope_mmps2"] * sign,
        severe=figures["severe_mmps2"] * sign,
        release=figures["release_mmps2"] * sign,
        speed_min=mmps_of(figures["speed_kmh_min"]),
        hold=figures["hold_ms"] // TICK_MS,
        merge=figures["merge_ms"] // TICK_MS,
        agree=motion["agree_mmps"],
        mean_window=motion["mean_ms"] // TICK_MS,
        window=motion["slope_ms"] // TICK_MS,
    )
