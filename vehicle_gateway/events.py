"""All rules of a campaign over one stream of windows: what happened, and what goes on.

Place in the flow: decode → motion, senses → **events** → trips, batch.

    every tick (100 ms)   events_harsh, events_impact                    short and sharp
    once a second         events_speed, events_places, events_cabin,     what lasts
                          events_impact (rollover), hours

* An event is told once, when it has ended: its start may lie in an earlier window.
* A gap in the data or a clock that was set back ends what was going on; nothing spans it. What a
  driver has driven is no such thing: `hours` keeps it.
* Every threshold is campaign data. State is integers and short texts: restored, the next window
  gives what it would have given; state of an older version begins anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from vehicle_gateway.events_cabin import CABIN, Idling, WhileMoving
from vehicle_gateway.events_harsh import Cornering, Harsh, harsh_rule
from vehicle_gateway.events_impact import Collision, Rollover
from vehicle_gateway.events_places import Geofences, NightBan, RouteDeviation
from vehicle_gateway.events_speed import Overspeed
from vehicle_gateway.hours import Hours
from vehicle_gateway.motion import Motion
from vehicle_gateway.senses import Senses
from vehicle_gateway.spans import Alert, Event, Second

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.columns import Group
    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.motion import Tick
    from vehicle_gateway.senses import Change

__all__ = ["Alert", "Event", "Events"]

STATE_VERSION: Final = 2
SECOND_TICKS: Final = 10


class _Rule(Protocol):
    """What ends, remembers and goes on."""

    def finish(self) -> Event | None: ...
    def state(self) -> Sequence[Any]: ...
    def restore(self, state: Sequence[Any]) -> None: ...


class _Sharp(_Rule, Protocol):
    """What looks at every tick, and may be refuted."""

    refuted: int


class _Lasting(_Rule, Protocol):
    """What looks once a second."""

    def step(self, second: Second) -> Event | None: ...
    def alerts(self) -> list[Alert]: ...


class Events:
    """All rules of a campaign."""

    def __init__(self, campaign: Campaign) -> None:
        self.motion = Motion(campaign)
        self._senses = Senses(campaign)
        self._gap = campaign.figures("motion")["speed_age_ms_max"] // (1_000 // SECOND_TICKS)
        self._brake = Harsh(harsh_rule(campaign, "harsh-brake", -1))
        self._gain = Harsh(harsh_rule(campaign, "harsh-acceleration", 1))
        self._corner = Cornering(campaign)
        self._collision = Collision(campaign, self.motion)
        self._rollover = Rollover(campaign, self.motion)
        self._hours = Hours(campaign)
        self._fences = Geofences(campaign)
        self._lasting: dict[str, _Lasting] = {
            "overspeed": Overspeed(campaign),
            "idling": Idling(campaign),
            "night-ban": NightBan(campaign),
            "route-deviation": RouteDeviation(campaign),
            "rollover": self._rollover,
            **{kind: WhileMoving(campaign, kind, wrong) for kind, wrong in CABIN.items()},
        }
        self._sharp: dict[str, _Sharp] = {
            "brake": self._brake,
            "gain": self._gain,
            "corner": self._corner,
            "collision": self._collision,
        }
        self._last = 0

    @property
    def refuted(self) -> int:
        """How often a sensor was not borne out by the speed or the turn."""
        return sum(each.refuted for each in (*self._sharp.values(), self._rollover))

    def feed(self, groups: Sequence[Group], driver: str | None = None) -> list[Event]:
        """Takes a window in.

        Args:
            groups: What was decoded of it.
            driver: Keyed tag of who is signed in, None for nobody.

        Returns:
            The events that have ended within this window, in order of their start.
        """
        left = self._hours.sign(driver)
        found = [left] if left else []
        changes = self._senses.window(groups)
        extremes = self._collision.screen(groups)
        place = 0
        for tick in self.motion.ticks(groups):
            number = tick.number
            if not 0 < number - self._last <= self._gap:
                found += self._end()
            for rule in (self._brake, self._gain, self._corner):
                ended = rule.step(tick)
                if ended:
                    found.append(ended)
            if extremes or self._collision.pending:
                ended = self._collision.step(tick, extremes.get(number))
                if ended:
                    found.append(ended)
            if number // SECOND_TICKS != self._last // SECOND_TICKS:
                place = self._take(changes, place, number)
                found += self._second(tick)
            self._last = number
        self._take(changes, place, None)
        return sorted(found, key=lambda event: (event["start_us"], event["kind"]))

    def alerts(self) -> list[Alert]:
        """Returns what goes on and calls for the driver's ear, in order of its start."""
        found = [alert for rule in self._lasting.values() for alert in rule.alerts()]
        found += self._hours.alerts()
        return sorted(found, key=lambda alert: (alert.since_us, alert.kind))

    @property
    def driving_left_s(self) -> int | None:
        """Seconds of driving until the next rest is due, None while unknown."""
        return self._hours.left_s

    def finish(self, driver: str | None = None) -> list[Event]:
        """Ends everything that is going on.

        Args:
            driver: Who is signed in now: what another has driven is not told under their name.
        """
        left = self._hours.sign(driver)
        return [*([left] if left else []), *self._end()]

    def state(self) -> dict[str, Any]:
        """Returns all that the next window depends on."""
        return {
            "v": STATE_VERSION,
            "last": self._last,
            "motion": self.motion.state(),
            "senses": self._senses.state(),
            "hours": self._hours.state(),
            "fences": self._fences.state(),
            "sharp": {name: rule.state() for name, rule in self._sharp.items()},
            "lasting": {name: rule.state() for name, rule in self._lasting.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned; that of an older version is passed over."""
        if state.get("v") != STATE_VERSION:
            return
        self._last = state["last"]
        self.motion.restore(state["motion"])
        self._senses.restore(state["senses"])
        self._hours.restore(state["hours"])
        self._fences.restore(state["fences"])
        for name, rule in self._sharp.items():
            rule.restore(state["sharp"][name])
        for name, each in self._lasting.items():
            each.restore(state["lasting"][name])

    # ------------------------------------------------------------ inside
    def _end(self) -> list[Event]:
        sharp = [rule.finish() for rule in self._sharp.values()]
        lasting = [rule.finish() for rule in self._lasting.values()]
        found = [event for event in (*sharp, *lasting, self._hours.finish()) if event]
        return found + self._fences.finish()

    def _take(self, changes: Sequence[Change], place: int, until: int | None) -> int:
        """Takes the changes up to a tick in, or all of them; returns the place of the next."""
        while place < len(changes) and (until is None or changes[place][0] <= until):
            self._senses.take(changes[place])
            place += 1
        return place

    def _second(self, tick: Tick) -> list[Event]:
        """Shows the second to all that look once in it."""
        senses, number = self._senses, tick.number
        second = Second(
            number,
            tick.speed_mmps,
            tick.running,
            senses.place(number),
            senses.is_open(number),
            senses.is_belted(number),
            senses.roll(number),
        )
        found = [rule.step(second) for rule in self._lasting.values()]
        found.append(self._hours.step(second))
        return [*(event for event in found if event), *self._fences.step(second)]
