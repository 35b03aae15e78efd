"""What lies between devices and core: a network and a broker, neither of which can be trusted.

Place in the flow: kiosk ══ **wire** ══ core, and box → **wire** → core → **wire** → box.

    kiosk's network    is down for hours, one way or both; a request is lost, truncated, comes
                       twice, or hours late; an answer is lost, truncated, or is an old one
    broker             messages both ways are lost, repeated, reordered, truncated, or come late

* Once the world is calm all of it arrives, once and at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backend_sync.agent.link import Unreachable
from tests.sim.mortal import Death
from tests.sim.nature import HOUR_US

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sim.core import Core
    from tests.sim.nature import Nature

LOST: Final = 0.12
TRUNCATED: Final = 0.03
REPEATED: Final = 0.08
LATE: Final = 0.06
OLD: Final = 0.05
OUTAGE: Final = 0.03
OUTAGE_US_MAX: Final = 20 * HOUR_US
LATE_US_MAX: Final = 30 * HOUR_US
KEPT_MAX: Final = 50

Parcel = tuple[str, bytes]


def damage(nature: Nature, body: bytes) -> bytes:
    """Cuts a body off somewhere."""
    return body[: int(len(body) * nature.chance.random())]


class Network:
    """Carries requests of kiosks to the core.

    Args:
        nature: Decides what becomes of them.
        core: Answers.

    Attributes:
        is_down: Nothing of anybody's passes.
    """

    def __init__(self, nature: Nature, core: Core) -> None:
        self._nature, self._core = nature, core
        self._late: list[tuple[int, Parcel]] = []
        self._answers: dict[str, list[bytes]] = {}
        self._outages: dict[str, tuple[int, bool]] = {}
        self.is_down = False

    def deliver_late(self) -> None:
        """Lets requests arrive whose time has come; nobody waits for the answers any more."""
        now_us = self._nature.now_us
        due = [parcel for at_us, parcel in self._late if at_us <= now_us]
        self._late = [each for each in self._late if each[0] > now_us]
        for path, body in due:
            self._nature.tell("late", path=path)
            self._ask_core(path, body)

    def carry(self, path: str, body: bytes) -> bytes:
        """Brings a request to the core and its answer back.

        Raises:
            Unreachable: Something was lost on the way.
        """
        nature = self._nature
        nature.tell("frame" if path.endswith("journal") else "request", path=path)
        if nature.happens(LATE) or nature.happens(REPEATED):
            at_us = nature.now_us + nature.chance.randint(0, LATE_US_MAX)
            self._late.append((at_us, (path, body)))
        deaf, mute = self._outage(path.split("/")[3])
        if mute or nature.happens(LOST):
            raise self._lose("request")
        if nature.happens(TRUNCATED):
            body = damage(nature, body)
        if nature.happens(REPEATED):
            self._ask_core(path, body)
        answer = self._ask_core(path, body)
        if answer is None or deaf or nature.happens(LOST):
            raise self._lose("answer")
        return self._spoil(path, answer)

    def deafen(self, device: str, hours: int) -> None:
        """Loses every answer to a device for some hours; its requests arrive."""
        self._outages[device] = self._nature.now_us + hours * HOUR_US, False

    def _outage(self, device: str) -> tuple[bool, bool]:
        """Tells whether answers, and whether requests, of a device are lost at present."""
        nature = self._nature
        if nature.happens(OUTAGE):
            until_us = nature.now_us + nature.chance.randint(HOUR_US, OUTAGE_US_MAX)
            self._outages[device] = until_us, nature.happens(0.5)
            nature.tell("outage", device=device, mute=self._outages[device][1])
        until_us, mute = self._outages.get(device, (0, False))
        lasts = nature.now_us < until_us and not nature.calm
        return lasts or self.is_down, (lasts and mute) or self.is_down

    def _ask_core(self, path: str, body: bytes) -> bytes | None:
        try:
            return self._core.answer(path, body)
        except Death:
            return None

    def _spoil(self, path: str, answer: bytes) -> bytes:
        kept = self._answers.setdefault(path, [])
        if kept and self._nature.happens(OLD):
            return self._nature.chance.choice(kept)
        kept.append(answer)
        del kept[:-KEPT_MAX]
        return damage(self._nature, answer) if self._nature.happens(TRUNCATED) else answer

    def _lose(self, what: str) -> Unreachable:
        self._nature.tell("loss", what=what)
        return Unreachable("The core does not answer (simulated).")


class Broker:
    """Holds messages of both directions and delivers them as it likes.

    Args:
        nature: Decides what becomes of them.
        hear: Called with each acknowledgement that arrives at its device.
    """

    def __init__(self, nature: Nature, core: Core, hear: Callable[[str, bytes], None]) -> None:
        self._nature, self._core, self._hear = nature, core, hear
        self.up: list[Parcel] = []
        self.down: list[Parcel] = []
        self._old: list[Parcel] = []

    def publish(self, topic: str, message: bytes) -> None:
        """Takes a message of a box."""
        self._nature.tell("publish", topic=topic, size=len(message))
        self._take(self.up, (topic, message))

    def deliver_up(self, limit: int) -> None:
        """Brings messages to the core, which may be killed over them."""
        arrivals = self._draw(self.up, limit)
        try:
            acknowledgements = self._core.take_in(arrivals)
        except Death:
            # What was not confirmed comes again.
            self.up += arrivals
            return
        for parcel in acknowledgements:
            self._take(self.down, parcel)
            self._old = [*self._old, parcel][-KEPT_MAX:]

    def deliver_down(self, limit: int) -> None:
        """Brings acknowledgements to boxes; now and then one from long ago."""
        parcels = self._draw(self.down, limit)
        if self._old and self._nature.happens(OLD):
            parcels.append(self._nature.chance.choice(self._old))
        for topic, message in parcels:
            self._hear(topic, message)

    def _take(self, queue: list[Parcel], parcel: Parcel) -> None:
        nature = self._nature
        if nature.happens(LOST):
            nature.tell("loss", what="message")
            return
        topic, message = parcel
        queue.append((topic, damage(nature, message)) if nature.happens(TRUNCATED) else parcel)
        if nature.happens(REPEATED):
            queue.append(parcel)

    def _draw(self, queue: list[Parcel], limit: int) -> list[Parcel]:
        """Takes messages out: in order, or, while the world is wild, often in any order."""
        if self._nature.happens(0.5):
            self._nature.chance.shuffle(queue)
        taken = queue[:limit]
        del queue[:limit]
        return taken
