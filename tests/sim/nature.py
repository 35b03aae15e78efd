"""Time, chance and what is remembered: the part of the simulated world that obeys nobody.

Place in the flow: seed → **nature** → town → kiosks, boxes, core.

* One `random.Random(seed)` decides everything; whoever needs chance asks `Nature`.
* True time moves when `pass_time` is called and at no other moment.
* The trace holds what happened in words and numbers that do not depend on keys: signatures and
  sealed bytes differ from run to run, what the world does must not.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, deque

from edge.ports import Instant

START_US = 1_795_500_000_000_000
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
REMEMBERED = 12
"""Lines of the trace that a failure shows."""


class Violation(Exception):  # noqa: N818 - it is what was found, not what went wrong here
    """An invariant does not hold; the text is the invariant, and what was seen instead."""


def require(holds: object, invariant: str, seen: object = "") -> None:
    """Checks an invariant.

    Raises:
        Violation: It does not hold.
    """
    if not holds:
        raise Violation(f"{invariant} But: {seen}" if seen != "" else invariant)


class Nature:
    """Chance, true time and the trace of one world.

    Args:
        seed: Decides everything.

    Attributes:
        now_us: True time, microseconds UTC.
        counts: How often what happened.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now_us = START_US
        self.counts: Counter[str] = Counter()
        self.calm = False
        self.last: deque[str] = deque(maxlen=REMEMBERED)
        self._digest = hashlib.sha256()

    def pass_time(self, by_us: int) -> None:
        """Lets true time pass."""
        self.now_us += by_us

    def happens(self, probability: float) -> bool:
        """Draws; once the world is calm nothing bad happens any more."""
        return not self.calm and self.chance.random() < probability

    def tell(self, what: str, /, **details: object) -> None:
        """Adds a line to the trace and counts it under its first word."""
        self.counts[what] += 1
        words = " ".join(f"{name}={value}" for name, value in details.items())
        line = f"{(self.now_us - START_US) // SECOND_US}s {what} {words}"
        self.last.append(line)
        self._digest.update(line.encode() + b"\n")

    @property
    def trace(self) -> str:
        """What stands for the whole trace: 16 hexadecimal digits."""
        return self._digest.hexdigest()[:16]


class TrueClock:
    """The core's clock; fulfils `edge.ports.Clock`."""

    def __init__(self, nature: Nature) -> None:
        self._nature = nature

    def now(self) -> Instant:
        """Returns the true instant."""
        now_us = self._nature.now_us
        return Instant(now_us, "c0" * 8, now_us - START_US)


class WrongClock:
    """A device's clock: off, too fast or too slow, and now and then set; fulfils the same port.

    Args:
        nature: Knows the true time.
        off_us: How wrong it is at first.
        drift: What it gains in each microsecond.
    """

    def __init__(self, nature: Nature, off_us: int, drift: float) -> None:
        self._nature = nature
        self._drift = drift
        self._boot_us = self._set_us = nature.now_us
        self._shown_us = nature.now_us + off_us
        self._boots = 1

    def now(self) -> Instant:
        """Returns what the device believes."""
        now_us = self._nature.now_us
        passed_us = now_us - self._set_us
        wall_us = self._shown_us + passed_us + int(passed_us * self._drift)
        return Instant(max(0, wall_us), f"{self._boots:016x}", now_us - self._boot_us)

    def set_to(self, wall_us: int) -> None:
        """Somebody, or a dead battery, sets the clock."""
        self._set_us, self._shown_us = self._nature.now_us, wall_us

    def boot(self) -> None:
        """The device starts anew: another boot id, and monotonic time from zero."""
        self._boots += 1
        self._boot_us = self._nature.now_us


class Dice:
    """Entropy out of the seed; fulfils `edge.ports.Randomness`."""

    def __init__(self, nature: Nature) -> None:
        self._chance = nature.chance

    def token(self, count: int) -> bytes:
        """Returns bytes."""
        return self._chance.randbytes(count)
