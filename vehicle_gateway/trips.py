"""Trips: from the first movement or turn of the engine until some minutes without either.

Place in the flow: events, meter, consumption → **trips** → batch.

* A trip's id is the device and the second it began: the same recording gives the same ids, and no
  person is in them.
* Rates are thousandths of an event per 100 km, and unknown under a kilometre: no rate is made of a
  few metres.
* A window belongs to the trip that was open in it; the summary says what the whole trip held.
* State is integers and texts, as everywhere here; that of an older version is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal
from vehicle_gateway.consumption import Consumption, samples_of
from vehicle_gateway.meter import SECOND_US, Meter
from vehicle_gateway.motion import ENGINE, SPEEDS
from vehicle_gateway.ticks import mmps_of, scale_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.columns import Group
    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.events import Event

STATE_VERSION: Final = 2
RATE_M_MIN: Final = 1_000
# Thousandths of an event per 100 km, from events and metres.
RATE_FACTOR: Final = 1_000 * 100_000
SPEED_MAX: Final = 150_000
"""In mm/s: what claims to be faster is no vehicle."""
BACKWARDS_US: Final = 60 * SECOND_US

Summary = dict[str, Any]


class Trips:
    """Follows one vehicle through windows of data.

    Attributes:
        current: Id of the open trip, None between trips.
    """

    _start_us: int
    _active_us: int
    _meter: Meter
    _consumption: Consumption
    _events: dict[str, int]

    def __init__(self, campaign: Campaign, device: str) -> None:
        figures, night = campaign.figures("trip"), campaign.figures("overspeed")
        self._night = night["night_from_h"], night["night_until_h"]
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
        active = self._activity(groups, times, speeds)
        if active is not None:
            if self.current is None:
                self.current = f"{self._device}-{active[0] // SECOND_US}"
                self._start_us = self._active_us = active[0]
            self._active_us = max(self._active_us, active[1])
        if self.current is not None:
            self._meter.add(times, speeds)
            self._consumption.add(groups)
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
            **self._meter.summary(),
            **self._consumption.summary(),
            "events": dict(sorted(self._events.items())),
            "per_100km": self._rates(),
        }
        self.current = None
        self._clear()
        return summary

    @property
    def speed_mmps(self) -> int | None:
        """The last speed of the open trip, None between trips."""
        last = self._meter.last
        return last[1] if self.current is not None and last else None

    def state(self) -> dict[str, Any]:
        """Returns all that the next window depends on."""
        return {
            "v": STATE_VERSION,
            "trip": self.current,
            "times": [self._start_us, self._active_us],
            "meter": self._meter.state(),
            "consumption": self._consumption.state(),
            "events": dict(self._events),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        if state.get("v") != STATE_VERSION:
            return
        self.current = state["trip"]
        self._start_us, self._active_us = state["times"]
        self._meter.restore(state["meter"])
        self._consumption.restore(state["consumption"])
        self._events = dict(state["events"])

    def _clear(self) -> None:
        self._start_us = self._active_us = 0
        self._meter, self._consumption = Meter(self._night), Consumption()
        self._events = {}

    def _rates(self) -> dict[str, int]:
        distance = self._meter.distance_m
        if distance < RATE_M_MIN:
            return {}
        return {
            kind: count * RATE_FACTOR // distance for kind, count in sorted(self._events.items())
        }

    def _speed_of(self, groups: Sequence[Group]) -> tuple[list[int], list[int]]:
        """Times and mm/s of the bus's own speed where there is any, else of the receiver."""
        for scale in self._speeds:
            pairs = [
                (time, speed)
                for time, value in samples_of(groups, scale.id)
                if abs(speed := value * scale.numerator // scale.denominator) <= SPEED_MAX
            ]
            if pairs:
                times, speeds = zip(*pairs, strict=True)
                return list(times), list(speeds)
        return [], []

    def _activity(
        self, groups: Sequence[Group], times: Sequence[int], speeds: Sequence[int]
    ) -> tuple[int, int] | None:
        """When the vehicle first and last moved or turned its engine in a window."""
        active = [time for time, speed in zip(times, speeds, strict=True) if speed >= self._moving]
        active += [time for time, rpm in samples_of(groups, self._engine) if rpm > 0]
        return (min(active), max(active)) if active else None
