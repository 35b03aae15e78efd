"""What a device has beside its disk: power, chance, a clock, a counter; and how a promise breaks.

Place in the flow: disk → **machine** → books, box, pages → life.

* One `random.Random(seed)` decides everything.
* Whatever a person or another machine could notice happens behind `moment`: a machine without
  power tells nothing to anybody, and so promises nothing.
* The counter is a memory of its own: a cut leaves it before or after a step, never between.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final, Protocol

from edge.ports import Instant
from tests.powercut.disk import PowerCut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.sqlite import Migrations
    from edge.store import Store
    from tests.powercut.disk import Disk

    Opener = Callable[[Path, Sequence[Migrations]], Store]

KINDS: Final = ("lost", "nonce_repeats", "corrupt")
START_US: Final = 1_795_500_000_000_000
SECOND_US: Final = 1_000_000
HOUR_US: Final = 3_600 * SECOND_US
DEVICE: Final = "box-1"


class Violation(Exception):  # noqa: N818 - it is what was found, not what went wrong here
    """A promise was broken.

    Args:
        kind: One of `KINDS`.
        text: The promise, and what was seen instead.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def require(holds: object, kind: str, promise: str, seen: object = "") -> None:
    """Checks a promise.

    Raises:
        Violation: It does not hold.
    """
    if not holds:
        raise Violation(kind, f"{promise} But: {seen}" if seen != "" else promise)


class Machine:
    """One device; fulfils the ports `Clock`, `Randomness` and, by `counter`, `Counter`.

    Args:
        seed: Decides everything.

    Attributes:
        disk: The present one; a cut leaves another.
        open: Opens a file of the disk; the life closes it at the end of the process.
        boots: How often it was started.
    """

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.counter = SafeCounter(self)
        self.disk: Disk
        self.open: Opener
        self.boots = 0
        self._now_us = START_US
        self._booted_us = START_US

    def boot(self) -> None:
        """Starts anew: another boot id, and monotonic time from zero."""
        self.boots += 1
        self._booted_us = self._now_us

    def pass_time(self, by_us: int) -> None:
        """Lets time pass."""
        self._now_us += by_us

    def now(self) -> Instant:
        """Returns the present instant, of a clock that is right."""
        self._now_us += 1_000
        return Instant(self._now_us, f"{self.boots:016x}", self._now_us - self._booted_us)

    def token(self, count: int) -> bytes:
        """Returns bytes out of the seed."""
        return self.chance.randbytes(count)

    def moment(self) -> None:
        """Stands before everything that can be noticed outside.

        Raises:
            PowerCut: The power fails now, or has failed before.
        """
        if self.disk.off:
            raise PowerCut
        self.disk.moment("outside")


class SafeCounter:
    """A counter that loses nothing in a cut; fulfils `edge.ports.Counter`."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._value = 0

    def read(self) -> int:
        """Returns the value."""
        return self._value

    def advance_to(self, value: int) -> None:
        """Raises the value; the power may fail before or after that."""
        self._machine.moment()
        self._value = max(self._value, value)
        self._machine.moment()


class Worker(Protocol):
    """One part of the product at work, with its memory of what was promised."""

    def boot(self, store: Store) -> None:
        """Starts anew on what is left, and checks it.

        Raises:
            Violation: A promise was broken.
        """
        ...

    def step(self) -> None:
        """Does one thing."""
        ...
