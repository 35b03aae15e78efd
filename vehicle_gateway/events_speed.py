"""Overspeed: the posted limit where the vehicle is, by day and by night, and how far beyond it.

Place in the flow: motion, places → **events_speed** → events.

    on a road with a limit    the nearest; of those as near within the doubt of a fix the highest
    in an area with a limit   the smallest that holds
    roads without marks       the figure for unmarked rural roads
    nowhere of these          the figure for an ordinary road
    no fresh position         the last that was known, or the ordinary one if that is higher

* Where two answers are possible the driver has the benefit of the doubt.
* At night passengers' vehicles may drive a share of the limit, or what is posted if that is less.
* A limit that changes on the way changes the threshold, not the event: its severity is that of the
  worst second against the limit of that second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vehicle_gateway.geo import MICRO, Index, scale_at
from vehicle_gateway.spans import Alert, Event, Second, Span, event, is_between
from vehicle_gateway.ticks import mmps_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.places import Limit, Point

NONE: Final = 0


class Limits:
    """Answers which limit holds at a point.

    Args:
        unmarked_kmh: What holds where a limit names no figure.
        doubt_m: Roads that are this much further than the nearest may be the one driven.
    """

    def __init__(self, limits: Sequence[Limit], unmarked_kmh: int, doubt_m: int) -> None:
        self._doubt_mm = doubt_m * 1_000
        self._index = Index()
        self._found = [
            (limit.kmh or unmarked_kmh, limit.night_kmh or NONE, _size(limit.area))
            for limit in limits
        ]
        for owner, limit in enumerate(limits):
            if limit.line:
                self._index.add_line(owner, limit.line, limit.width_m)
            else:
                self._index.add_area(owner, limit.area)

    def at(self, point: Point) -> tuple[int, int] | None:
        """Returns km/h by day and what is posted for the night (0 for nothing); None for none."""
        near = self._index.at(point)
        roads = [each for each in near if each.is_line]
        if roads:
            last = roads[0].distance_mm + self._doubt_mm
            found = [self._found[road.owner] for road in roads if road.distance_mm <= last]
            return max(found, key=lambda limit: (limit[0], limit[1] or limit[0]))[:2]
        if near:
            return min((self._found[area.owner] for area in near), key=lambda limit: limit[2])[:2]
        return None


class Overspeed:
    """Speed over the limit and its margin for long."""

    def __init__(self, campaign: Campaign) -> None:
        figures = campaign.figures("overspeed")
        self._ordinary = figures["limit_kmh"]
        self._margin = figures["margin_percent"]
        self._night = figures["night_percent"]
        self._from, self._until = figures["night_from_h"], figures["night_until_h"]
        self._severe = figures["severe_percent"]
        self._span = Span(figures)
        posted = campaign.places.limits if campaign.places else []
        self._limits = Limits(posted, figures["unmarked_kmh"], figures["doubt_m"])
        self._is_posted = bool(posted)
        self._asked: Point | None = None
        # What holds by day and by night as posted, and whether it is posted.
        self._holds = [self._ordinary, NONE, 0]
        self._rule = ""
        self._worst = 0  # highest share of a limit during what goes on, per mille

    def step(self, second: Second) -> Event | None:
        """Takes a second in; returns an event that has ended with it."""
        speed = second.speed_mmps
        if speed is None:
            return None
        if self._is_posted:
            self._look_up(second.place)
        night = is_between(second.number, self._from, self._until)
        limit = self._limit_mmps(night=night)
        over = speed > limit * (100 + self._margin) // 100
        if over:
            self._rule = self._rule or self._name(night=night)
            self._worst = max(self._worst, speed * 1_000 // limit)
        return self._tell(self._span.step(second.number, over, speed))

    def finish(self) -> Event | None:
        """Ends what is going on."""
        return self._tell(self._span.finish())

    def alerts(self) -> list[Alert]:
        """A speed that is over the limit, from its first second."""
        return self._span.alert("overspeed")

    def state(self) -> list[int | str]:
        """Returns all that the next second depends on."""
        return [*self._span.state(), self._worst, self._rule, *self._holds]

    def restore(self, state: Sequence[int | str]) -> None:
        """Goes on from what `state` returned."""
        self._span.restore([int(number) for number in state[:4]])
        self._worst, self._rule = int(state[4]), str(state[5])
        self._holds = [int(number) for number in state[6:]]
        self._asked = None

    def _look_up(self, place: Point | None) -> None:
        """Asks anew where the vehicle has moved; without a place the higher one is held for it."""
        if place is None:
            if self._holds[0] < self._ordinary:
                self._holds = [self._ordinary, NONE, 0]
        elif place != self._asked:
            found = self._limits.at(place)
            self._holds = [self._ordinary, NONE, 0] if found is None else [*found, 1]
        self._asked = place

    def _limit_mmps(self, *, night: bool) -> int:
        day, posted_night, _ = self._holds
        if not night:
            return mmps_of(day)
        share = mmps_of(day) * self._night // 100
        return min(share, mmps_of(posted_night)) if posted_night else share

    def _name(self, *, night: bool) -> str:
        """Names the rule: whose limit, and by day or night."""
        day, posted_night, is_posted = self._holds
        which = f"posted-{posted_night if night and posted_night else day}-" if is_posted else ""
        return f"overspeed-{which}{'night' if night else 'day'}"

    def _tell(self, found: tuple[int, int, int] | None) -> Event | None:
        if self._span.is_open:
            return None
        worst, rule = self._worst, self._rule
        self._worst, self._rule = 0, ""
        if found is None:
            return None
        severity = "severe" if worst > 10 * (100 + self._severe) else "normal"
        return event("overspeed", found[:2], found[2], "mm/s", severity=severity, rule=rule)


def _size(area: Sequence[Point]) -> int:
    """Twice the size of an area in m2, to tell which of two is smaller; 0 for a line."""
    if not area:
        return 0
    north, east = scale_at(area[0][0])
    twice = sum(
        one[1] * other[0] - other[1] * one[0]
        for one, other in zip(area, [*area[1:], area[0]], strict=True)
    )
    return abs(twice) * (north // 1_000) * (east // 1_000) // MICRO**2
