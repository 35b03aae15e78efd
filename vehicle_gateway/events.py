"""Driving events from motion: harsh braking and acceleration, overspeed, idling.

Place in the flow: motion → **events** → trips, batch. Every threshold is campaign data.

    harsh     off ──strong (held)──> on ──weaker than release for merge_ms──> told, or refuted
    long      off ──condition──────> on ──condition off for merge_ms────────> told if hold_ms long

* An event is told once, when it has ended: the ticks of its start may lie in an earlier window.
* What the acceleration sensor alone saw is told only if the speed changed accordingly; a bump or a
  knock against the box is refuted, and counted.
* A gap in the data or a clock that was set back ends what was going on; nothing spans it.
* State is integers and short texts: restored, the next tick gives what it would have given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from vehicle_gateway.motion import Motion, Tick
from vehicle_gateway.ticks import TICK_MS, TICK_US, mmps_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.columns import Group
    from vehicle_gateway.campaign import Campaign

HOUR_TICKS: Final = 3_600_000 // TICK_MS
DAY_H: Final = 24
CHINA_OFFSET_H: Final = 8

Event = dict[str, Any]


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
    _before: int  # speed of a second ago, -1 when unknown
    _speeds: list[tuple[int, int]]

    def __init__(self, rule: HarshRule) -> None:
        self._rule = rule
        self.refuted = 0
        self._clear()

    def step(self, tick: Tick) -> Event | None:
        """Takes a tick in; returns an event that has ended with it."""
        mean, slope = self._along(tick.forward_mmps2), self._along(tick.slope_mmps2)
        if self._end:
            return self._go_on(tick, mean, slope)
        rule = self._rule
        held = self._hold(tick.number, mean >= rule.mean)
        by_slope = slope >= rule.slope
        if (held or by_slope) and tick.speed_mmps is not None:
            before = tick.speed_mmps if self._before < 0 else self._before
            if max(before, tick.speed_mmps) >= rule.speed_min:
                back = rule.window if by_slope else rule.hold
                self._start, self._end = tick.number + 1 - back, tick.number + 1
                self._peak = max(mean, slope)
                self._by_slope = by_slope
                self._reach = self._change(tick.speed_mmps)
        if not self._end:
            self._remember(tick)
        return None

    def finish(self) -> Event | None:
        """Ends what is going on and forgets all; returns the event if it was one."""
        ended = self._tell() if self._end else None
        self._clear()
        return ended

    def state(self) -> list[int]:
        """Returns all that the next tick depends on."""
        numbers = [self._start, self._end, self._peak, int(self._by_slope), self._reach]
        numbers += [self._held_from, self._before, self.refuted]
        return numbers + [part for pair in self._speeds for part in pair]

    def restore(self, state: Sequence[int]) -> None:
        """Goes on from what `state` returned."""
        self._start, self._end, self._peak, by_slope, self._reach = state[:5]
        self._by_slope = bool(by_slope)
        self._held_from, self._before, self.refuted = state[5:8]
        rest = state[8:]
        self._speeds = list(zip(rest[::2], rest[1::2], strict=True))

    def _clear(self) -> None:
        self._start = self._end = self._peak = self._reach = self._held_from = 0
        self._by_slope = False
        self._before = -1
        self._speeds = []

    def _along(self, value: int | None) -> int:
        """Acceleration in the direction of the rule; unknown is none."""
        return 0 if value is None else value * self._rule.sign

    def _hold(self, number: int, strong: bool) -> bool:
        """Says whether the mean has been strong for as long as the rule asks."""
        if not strong:
            self._held_from = 0
            return False
        self._held_from = self._held_from or number + 1 - self._rule.mean_window
        return number + 1 - self._held_from >= self._rule.hold

    def _remember(self, tick: Tick) -> None:
        """Keeps the speed of a second ago, which the change is measured from."""
        if tick.speed_mmps is None:
            return
        self._speeds.append((tick.number, tick.speed_mmps))
        while len(self._speeds) > 1 and self._speeds[1][0] <= tick.number - self._rule.window:
            del self._speeds[0]
        self._before = self._speeds[0][1]

    def _change(self, speed: int) -> int:
        return 0 if self._before < 0 else (speed - self._before) * self._rule.sign

    def _go_on(self, tick: Tick, mean: int, slope: int) -> Event | None:
        rule = self._rule
        if tick.speed_mmps is not None:
            self._reach = max(self._reach, self._change(tick.speed_mmps))
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
        return {
            "kind": rule.kind,
            "start_us": self._start * TICK_US,
            "end_us": self._end * TICK_US,
            "peak": self._peak * rule.sign,
            "unit": "mm/s2",
            "severity": "severe" if self._peak >= rule.severe else "normal",
            "rule": f"{rule.kind}-{'speed' if self._by_slope else 'imu'}",
        }


class Span:
    """Watches for a condition that lasts: tells (start, end, peak) when it is over."""

    def __init__(self, hold: int, merge: int) -> None:
        self._hold, self._merge = hold, merge
        self._start = self._end = self._peak = 0

    def step(self, number: int, on: bool, value: int) -> tuple[int, int, int] | None:
        """Takes a tick in; `value` competes for the peak while the condition is on."""
        if on:
            self._start = self._start or number
            self._end = number + 1
            self._peak = max(self._peak, value)
        elif self._start and number - self._end >= self._merge:
            return self.finish()
        return None

    def finish(self) -> tuple[int, int, int] | None:
        """Ends it; returns it if it was long enough."""
        found = (self._start, self._end, self._peak)
        self._start = self._end = self._peak = 0
        return found if found[0] and found[1] - found[0] >= self._hold else None

    def state(self) -> list[int]:
        """Returns all that the next tick depends on."""
        return [self._start, self._end, self._peak]

    def restore(self, state: Sequence[int]) -> None:
        """Goes on from what `state` returned."""
        self._start, self._end, self._peak = state


class Overspeed:
    """Speed over the limit of the campaign, by day and by night."""

    def __init__(self, campaign: Campaign) -> None:
        figures = campaign.figures("overspeed")
        self._limit = figures["limit_kmh"]
        self._margin = figures["margin_percent"]
        self._night = figures["night_percent"]
        self._from, self._until = figures["night_from_h"], figures["night_until_h"]
        self._severe = figures["severe_percent"]
        self.span = Span(figures["hold_ms"] // TICK_MS, figures["merge_ms"] // TICK_MS)

    def step(self, tick: Tick) -> Event | None:
        """Takes a tick in; returns an event that has ended with it."""
        if tick.speed_mmps is None:
            return None
        threshold = self._limit_mmps(tick.number) * (100 + self._margin) // 100
        over = tick.speed_mmps > threshold
        return self._tell(self.span.step(tick.number, over, tick.speed_mmps))

    def finish(self) -> Event | None:
        """Ends what is going on."""
        return self._tell(self.span.finish())

    def _limit_mmps(self, number: int) -> int:
        limit = mmps_of(self._limit)
        return limit * self._night // 100 if self._at_night(number) else limit

    def _at_night(self, number: int) -> bool:
        """China has one zone and no summer time since 1991."""
        hour = (number // HOUR_TICKS + CHINA_OFFSET_H) % DAY_H
        if self._from > self._until:
            return hour >= self._from or hour < self._until
        return self._from <= hour < self._until

    def _tell(self, found: tuple[int, int, int] | None) -> Event | None:
        if found is None:
            return None
        start, end, peak = found
        severe = peak * 100 > self._limit_mmps(start) * (100 + self._severe)
        return {
            "kind": "overspeed",
            "start_us": start * TICK_US,
            "end_us": end * TICK_US,
            "peak": peak,
            "unit": "mm/s",
            "severity": "severe" if severe else "normal",
            "rule": "overspeed-night" if self._at_night(start) else "overspeed-day",
        }


class Idling:
    """An engine that turns while the vehicle stands."""

    def __init__(self, campaign: Campaign) -> None:
        figures = campaign.figures("idling")
        self._below = mmps_of(figures["speed_kmh_below"])
        self.span = Span(figures["hold_ms"] // TICK_MS, figures["merge_ms"] // TICK_MS)

    def step(self, tick: Tick) -> Event | None:
        """Takes a tick in; returns an event that has ended with it."""
        if tick.speed_mmps is None or tick.running is None:
            return None
        idle = tick.running and tick.speed_mmps < self._below
        return self._tell(self.span.step(tick.number, idle, 0))

    def finish(self) -> Event | None:
        """Ends what is going on."""
        return self._tell(self.span.finish())

    def _tell(self, found: tuple[int, int, int] | None) -> Event | None:
        if found is None:
            return None
        start, end, _ = found
        return {
            "kind": "idling",
            "start_us": start * TICK_US,
            "end_us": end * TICK_US,
            "peak": (end - start) * TICK_MS // 1_000,
            "unit": "s",
            "severity": "normal",
            "rule": "idling",
        }


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


class Events:
    """All rules of a campaign over one stream of windows."""

    def __init__(self, campaign: Campaign) -> None:
        self.motion = Motion(campaign)
        self._gap = campaign.figures("motion")["speed_age_ms_max"] // TICK_MS
        self._brake = Harsh(harsh_rule(campaign, "harsh-brake", -1))
        self._gain = Harsh(harsh_rule(campaign, "harsh-acceleration", 1))
        self._overspeed = Overspeed(campaign)
        self._idling = Idling(campaign)
        self._watchers = (self._brake, self._gain, self._overspeed, self._idling)
        self._last = 0

    @property
    def refuted(self) -> int:
        """How often the acceleration sensor was not borne out by the speed."""
        return self._brake.refuted + self._gain.refuted

    def feed(self, groups: Sequence[Group]) -> list[Event]:
        """Returns the events that have ended within this window, in order of their start."""
        found: list[Event] = []
        for tick in self.motion.ticks(groups):
            if not 0 < tick.number - self._last <= self._gap:
                found += self.finish()
            self._last = tick.number
            found += [event for each in self._watchers if (event := each.step(tick))]
        return sorted(found, key=lambda event: (event["start_us"], event["kind"]))

    def finish(self) -> list[Event]:
        """Ends everything that is going on."""
        return [event for each in self._watchers if (event := each.finish())]

    def state(self) -> dict[str, Any]:
        """Returns all that the next window depends on."""
        return {
            "last": self._last,
            "motion": self.motion.state(),
            "brake": self._brake.state(),
            "gain": self._gain.state(),
            "overspeed": self._overspeed.span.state(),
            "idling": self._idling.span.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._last = state["last"]
        self.motion.restore(state["motion"])
        self._brake.restore(state["brake"])
        self._gain.restore(state["gain"])
        self._overspeed.span.restore(state["overspeed"])
        self._idling.span.restore(state["idling"])
