"""How long to wait before trying again: the one place that backs off.

Place in the flow: publish, mqtt, consumer, schedule → **retry** → when to send, connect or call.
Sans-IO: monotonic time and randomness in, a pause or a yes out.

Theory of operation. The n-th failure in a row is followed by a pause drawn evenly between
`least_us` and base · 2ⁿ, at most the cap (full jitter). What was sent is under a *lease* until its
answer comes or its pause is over:

    free ──take──> under way ──answer──> gone
     ^                 |
     └── pause over ───┘      the next lease is a longer one; any answer makes them short again

* After an outage everybody wants to speak at once; full jitter spreads them.
* Success forgets the failures: whoever answers is there.
* Nothing here gives up: a pause has an end, and a lease has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

    from edge.ports import Randomness

DOUBLINGS_MAX: Final = 32
DRAW_BYTES: Final = 6

Key = TypeVar("Key", bound="Hashable")


def draw(randomness: Randomness, least_us: int, most_us: int) -> int:
    """Returns a number from `least_us` to `most_us`, each about as likely."""
    drawn = int.from_bytes(randomness.token(DRAW_BYTES), "big")
    return least_us + (drawn * (most_us - least_us + 1) >> (8 * DRAW_BYTES))


@dataclass(frozen=True, slots=True)
class Pauses:
    """The measure of a back-off.

    Attributes:
        base_us: Longest pause after the first failure; doubled with each further one.
        cap_us: No pause is longer, unless `least_us` is.
        least_us: No pause is shorter: what an answer needs to arrive, or 0.
    """

    base_us: int
    cap_us: int
    least_us: int = 0

    def after(self, failures: int, randomness: Randomness) -> int:
        """Draws the pause after so many failures before this one."""
        doubled = self.base_us << min(failures, DOUBLINGS_MAX)
        return draw(randomness, self.least_us, max(self.least_us, min(doubled, self.cap_us)))


class Backoff:
    """Pauses of one thing that fails and is tried again.

    Args:
        pauses: Their measure.
        randomness: Draws the jitter.

    Attributes:
        failures: In a row.
    """

    def __init__(self, pauses: Pauses, randomness: Randomness) -> None:
        self._pauses = pauses
        self._randomness = randomness
        self.failures = 0

    def fail(self) -> int:
        """Notes a failure and returns the pause after it, in microseconds."""
        pause_us = self._pauses.after(self.failures, self._randomness)
        self.failures += 1
        return pause_us

    def succeed(self) -> None:
        """Forgets the failures."""
        self.failures = 0


@dataclass(slots=True)
class _Lease:
    until_us: int
    attempts: int


class Leases(Generic[Key]):
    """What is under way, each until its pause is over.

    Args:
        pauses: Their measure; the first lease of a key is as the pause after a first failure.
        randomness: Draws the jitter.
    """

    def __init__(self, pauses: Pauses, randomness: Randomness) -> None:
        self._pauses = pauses
        self._randomness = randomness
        self._held: dict[Key, _Lease] = {}

    def take(self, key: Key, now_us: int) -> None:
        """Begins a lease, longer than the last one of this key."""
        attempts = self._held[key].attempts if key in self._held else 0
        pause_us = self._pauses.after(attempts, self._randomness)
        self._held[key] = _Lease(now_us + pause_us, attempts + 1)

    def is_free(self, key: Key, now_us: int) -> bool:
        """Says whether nothing is under way, or its pause is over."""
        lease = self._held.get(key)
        return lease is None or now_us >= lease.until_us

    def keep(self, waiting: Collection[Key], now_us: int) -> None:
        """Forgets what no longer waits: it was answered, so the rest is asked for sooner."""
        answered = [key for key in self._held if key not in waiting]
        for key in answered:
            del self._held[key]
        if answered:
            self._shorten(now_us)

    def release(self, is_released: Callable[[Key], bool]) -> None:
        """Frees what did not get through after all; it is due at once."""
        self._held = {key: lease for key, lease in self._held.items() if not is_released(key)}

    def _shorten(self, now_us: int) -> None:
        for lease in self._held.values():
            if lease.attempts > 1:
                lease.attempts = 1
                pause_us = self._pauses.after(0, self._randomness)
                lease.until_us = min(lease.until_us, now_us + pause_us)
