"""Which terminals have a connection to the broker: each under its own certificate, few at a time.

Place in the flow: door_terminal (outbox) → **door_brokers** → mqtt → broker → core, and back.

The broker lets a certificate write its own device's topic alone (DESIGN §6), and the door is no
exception: it speaks for each terminal with that terminal's key (ADR 0021).

* At most `places` connections at a time. A terminal that has something to send takes a free place,
  or that of one that has nothing, or of the one that has had its turn longest.
* A turn is at least `TURN_US`: long enough for a batch to be answered by the core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from vehicle_gateway.door_terminal import Terminal
    from vehicle_gateway.mqtt import Publisher

TURN_US: Final = 30_000_000


@dataclass(slots=True)
class _Place:
    terminal: Terminal
    publisher: Publisher
    since_us: int


class Brokers:
    """The connections that are open.

    Args:
        places: Most of them.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._open: dict[str, _Place] = {}

    def __len__(self) -> int:
        return len(self._open)

    def serve(self, terminal: Terminal, now_us: int) -> None:
        """Sends and hears for a terminal, with a connection if it needs one and may have one.

        Raises:
            DeviceFault: The disk is full or failing.
        """
        place = self._open.get(terminal.device)
        if place is None and not terminal.pipeline.sink.outbox.empty:
            place = self._take_place(terminal, now_us)
        if place is not None:
            place.publisher.pump()

    def close(self) -> None:
        """Leaves the broker."""
        for place in self._open.values():
            place.publisher.close()
        self._open.clear()

    def _take_place(self, terminal: Terminal, now_us: int) -> _Place | None:
        make = terminal.pipeline.publisher
        if make is None or (len(self._open) >= self._places and not self._make_room(now_us)):
            return None
        publisher = make()
        publisher.open()
        place = self._open[terminal.device] = _Place(terminal, publisher, now_us)
        return place

    def _make_room(self, now_us: int) -> bool:
        idle = [each for each in self._open.values() if each.terminal.pipeline.sink.outbox.empty]
        over = [each for each in self._open.values() if now_us - each.since_us >= TURN_US]
        leaving = min(idle or over, key=lambda each: each.since_us, default=None)
        if leaving is None:
            return False
        leaving.publisher.close()
        del self._open[leaving.terminal.device]
        return True
