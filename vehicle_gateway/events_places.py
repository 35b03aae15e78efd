"""Rules of where a vehicle is: roads closed at night, the corridor of its route, and fences.

Place in the flow: motion, places → **events_places** → events.

* A vehicle that has not been on any of its routes yet has not left one: the drive from the depot
  is no deviation.
* Off the route beyond `leave_m`, back within `return_m`: between them all stays as it was, so a fix
  that wanders tells nothing.
* Without a fresh position nothing begins, and nothing ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vehicle_gateway.geo import Index, nearest_mm
from vehicle_gateway.spans import Alert, Event, Second, Span, event, is_between
from vehicle_gateway.ticks import TICK_MS, mmps_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vehicle_gateway.campaign import Campaign

PEAK_M_MAX = 100_000


class NightBan:
    """Driving where the class of the road forbids it at this hour; the peak is a speed."""

    def __init__(self, campaign: Campaign) -> None:
        figures = campaign.figures("night-ban")
        self._from, self._until = figures["from_h"], figures["until_h"]
        self._least = mmps_of(figures["speed_kmh_min"])
        self._span = Span(figures)
        self._bans = campaign.places.bans if campaign.places else []
        self._index = Index()
        for owner, ban in enumerate(self._bans):
            if ban.line:
                self._index.add_line(owner, ban.line, ban.width_m)
            else:
                self._index.add_area(owner, ban.area)

    def step(self, second: Second) -> Event | None:
        """Takes a second in; returns an event that has ended with it."""
        if not self._bans or second.place is None or second.speed_mmps is None:
            return None
        on = (
            second.speed_mmps >= self._least
            and is_between(second.number, self._from, self._until)
            and bool(self._index.at(second.place))
        )
        return self._tell(self._span.step(second.number, on, second.speed_mmps))

    def finish(self) -> Event | None:
        """Ends what is going on."""
        return self._tell(self._span.finish())

    def alerts(self) -> list[Alert]:
        """Driving where it is forbidden now."""
        return self._span.alert("night-ban")

    def state(self) -> list[int]:
        """Returns all that the next second depends on."""
        return self._span.state()

    def restore(self, state: Sequence[int]) -> None:
        """Goes on from what `state` returned."""
        self._span.restore(state)

    def _tell(self, found: tuple[int, int, int] | None) -> Event | None:
        return None if found is None else event("night-ban", found[:2], found[2], "mm/s")


class RouteDeviation:
    """A vehicle that has left the corridors of its routes; the peak is the distance in metres."""

    def __init__(self, campaign: Campaign) -> None:
        self._span = Span(campaign.figures("route-deviation"))
        self._corridors = campaign.places.corridors if campaign.places else []
        self._index = Index()
        for owner, corridor in enumerate(self._corridors):
            self._index.add_line(owner, corridor.line, corridor.leave_m)
        self._was_on = False
        self._is_off = False

    def step(self, second: Second) -> Event | None:
        """Takes a second in; returns an event that has ended with it."""
        if not self._corridors or second.place is None:
            return None
        near = self._index.at(second.place)
        if any(each.distance_mm <= self._corridors[each.owner].return_m * 1_000 for each in near):
            self._was_on, self._is_off = True, False
        elif not near:
            self._is_off = self._was_on
        away = 0
        if self._is_off:
            lines = (corridor.line for corridor in self._corridors)
            away = min(nearest_mm(second.place, lines) // 1_000, PEAK_M_MAX)
        return self._tell(self._span.step(second.number, self._is_off, away))

    def finish(self) -> Event | None:
        """Ends what is going on; the vehicle must be on a route again before it can leave one."""
        self._was_on = self._is_off = False
        return self._tell(self._span.finish())

    def alerts(self) -> list[Alert]:
        """Off the route for long enough to count; before, the fix may be wrong."""
        return [each for each in self._span.alert("route-deviation") if each.level == "alarm"]

    def state(self) -> list[int]:
        """Returns all that the next second depends on."""
        return [*self._span.state(), int(self._was_on), int(self._is_off)]

    def restore(self, state: Sequence[int]) -> None:
        """Goes on from what `state` returned."""
        self._span.restore(state[:4])
        self._was_on, self._is_off = bool(state[4]), bool(state[5])

    def _tell(self, found: tuple[int, int, int] | None) -> Event | None:
        return None if found is None else event("route-deviation", found[:2], found[2], "m")


class Geofences:
    """Stays within the fences of a campaign; the rule of an event is the fence's name."""

    def __init__(self, campaign: Campaign) -> None:
        self._figures = campaign.figures("geofence")
        fences = campaign.places.fences if campaign.places else []
        self._names = [fence.name for fence in fences]
        self._index = Index()
        for owner, fence in enumerate(fences):
            if fence.centre is None:
                self._index.add_area(owner, fence.area)
            else:
                self._index.add_circle(owner, fence.centre, fence.radius_m)
        self._stays: dict[str, Span] = {}

    def step(self, second: Second) -> list[Event]:
        """Takes a second in; returns the stays that have ended with it."""
        if not self._names or second.place is None:
            return []
        inside = {self._names[near.owner] for near in self._index.at(second.place)}
        for name in inside - self._stays.keys():
            self._stays[name] = Span(self._figures)
        found = []
        for name, stay in sorted(self._stays.items()):
            ended = stay.step(second.number, name in inside, 0)
            found += [self._event(name, ended)] if ended else []
        self._stays = {name: stay for name, stay in self._stays.items() if stay.is_open}
        return found

    def finish(self) -> list[Event]:
        """Ends what is going on."""
        ended = [(name, stay.finish()) for name, stay in sorted(self._stays.items())]
        self._stays = {}
        return [self._event(name, found) for name, found in ended if found]

    def state(self) -> list[list[int | str]]:
        """Returns all that the next second depends on."""
        return [[name, *stay.state()] for name, stay in sorted(self._stays.items())]

    def restore(self, state: Sequence[Sequence[int | str]]) -> None:
        """Goes on from what `state` returned."""
        self._stays = {}
        for name, *numbers in state:
            self._stays[str(name)] = Span(self._figures)
            self._stays[str(name)].restore([int(number) for number in numbers])

    def _event(self, name: str, found: tuple[int, int, int]) -> Event:
        start, end, _ = found
        seconds = (end - start) * TICK_MS // 1_000
        return event("geofence", (start, end), seconds, "s", rule=name)
