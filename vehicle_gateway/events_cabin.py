"""Rules of a vehicle that stands or moves as it should not: idling, an open door, no seat belt.

Place in the flow: motion, senses → spans → **events_cabin** → events.

* What no sensor tells is unknown, and an unknown begins or goes on with nothing.
* Peaks: idling in seconds; door and belt in mm/s, the highest speed meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vehicle_gateway.spans import Alert, Event, Second, Span, event
from vehicle_gateway.ticks import TICK_MS, mmps_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vehicle_gateway.campaign import Campaign


class Idling:
    """An engine that turns while the vehicle stands."""

    def __init__(self, campaign: Campaign) -> None:
        figures = campaign.figures("idling")
        self._below = mmps_of(figures["speed_kmh_below"])
        self._span = Span(figures)

    def step(self, second: Second) -> Event | None:
        """Takes a second in; returns an event that has ended with it."""
        if second.speed_mmps is None or second.running is None:
            return None
        idle = second.running and second.speed_mmps < self._below
        return self._tell(self._span.step(second.number, idle, 0))

    def finish(self) -> Event | None:
        """Ends what is going on."""
        return self._tell(self._span.finish())

    def alerts(self) -> list[Alert]:
        """An engine that idles is no matter for the ear."""
        return []

    def state(self) -> list[int]:
        """Returns all that the next second depends on."""
        return self._span.state()

    def restore(self, state: Sequence[int]) -> None:
        """Goes on from what `state` returned."""
        self._span.restore(state)

    def _tell(self, found: tuple[int, int, int] | None) -> Event | None:
        if found is None:
            return None
        start, end, _ = found
        return event("idling", (start, end), (end - start) * TICK_MS // 1_000, "s")


class WhileMoving:
    """Something in the cabin that must not be while the vehicle moves.

    Args:
        kind: Name of the rule and its event.
        is_wrong: Says of a second whether it is so; None when unknown.
    """

    def __init__(
        self, campaign: Campaign, kind: str, is_wrong: Callable[[Second], bool | None]
    ) -> None:
        figures = campaign.figures(kind)
        self._kind = kind
        self._is_wrong = is_wrong
        self._least = mmps_of(figures["speed_kmh_min"])
        self._span = Span(figures)

    def step(self, second: Second) -> Event | None:
        """Takes a second in; returns an event that has ended with it."""
        wrong = self._is_wrong(second)
        if wrong is None or second.speed_mmps is None:
            return None
        on = wrong and second.speed_mmps >= self._least
        return self._tell(self._span.step(second.number, on, second.speed_mmps))

    def finish(self) -> Event | None:
        """Ends what is going on."""
        return self._tell(self._span.finish())

    def alerts(self) -> list[Alert]:
        """What goes on and may be ended at once."""
        return self._span.alert(self._kind)

    def state(self) -> list[int]:
        """Returns all that the next second depends on."""
        return self._span.state()

    def restore(self, state: Sequence[int]) -> None:
        """Goes on from what `state` returned."""
        self._span.restore(state)

    def _tell(self, found: tuple[int, int, int] | None) -> Event | None:
        return None if found is None else event(self._kind, found[:2], found[2], "mm/s")


def door_is_open(second: Second) -> bool | None:
    """Whether a door is open."""
    return second.is_open


def belt_is_off(second: Second) -> bool | None:
    """Whether the driver's belt is not fastened."""
    return None if second.is_belted is None else not second.is_belted


CABIN: Final = {"door-open-moving": door_is_open, "seat-belt": belt_is_off}
"""Kind → what must not be."""
