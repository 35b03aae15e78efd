"""What to send next: a window over the outbox, and what to do when nobody answers.

Place in the flow: outbox → **publish** (decides) → mqtt (moves bytes) → broker → core, and back.

Theory of operation. The core's signed word is the only end of a message. Until then:

    waiting ──sent──> on its way ──PUBACK──> at the broker ──stored (signed)──> gone
       ^                  |                      |
       └── lease over ────┴── connected anew ────┘   what paho still holds, paho repeats itself

* At most `window` messages are under way; they are the first of the outbox, so an epoch's start
  goes before what it opens.
* A broker that forgot, a core that was away: a message without an answer goes again, the first
  time within 20 s, then ever more rarely, to two minutes; any answer makes it soon again
  (`edge.retry`). Sending twice is harmless, the core knows what it has.
* Sans-IO: time is an argument, nothing here touches network or store.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from edge.retry import Leases, Pauses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.outbox import Message
    from edge.ports import Randomness

WINDOW: Final = 64
RESEND: Final = Pauses(base_us=20_000_000, cap_us=120_000_000, least_us=10_000_000)

Key = tuple[int, int]


class SendPlan:
    """Which of the waiting messages are to be sent now.

    Args:
        randomness: Draws the jitter.
        window: Most messages under way.
        pauses: How long an answer of the core is waited for.
    """

    def __init__(
        self, randomness: Randomness, window: int = WINDOW, pauses: Pauses = RESEND
    ) -> None:
        self.window = window
        self._leases: Leases[Key] = Leases(pauses, randomness)
        self._confirmed: set[Key] = set()

    def next(
        self, waiting: Sequence[Message], now_us: int, room: int | None = None
    ) -> list[Message]:
        """Returns what to send now and takes it as sent.

        Args:
            waiting: The first `window` messages of the outbox; what is not among them any more
                has been settled.
            now_us: Monotonic time.
            room: Most bytes of messages, in order, that the data plan allows; None is no limit.
        """
        keys = {(each.epoch, each.seq) for each in waiting}
        self._confirmed &= keys
        self._leases.keep(keys, now_us)
        due = [
            each
            for each in waiting[: self.window]
            if self._leases.is_free((each.epoch, each.seq), now_us)
        ]
        if room is not None:
            due = _within(due, room)
        for each in due:
            self._confirmed.discard((each.epoch, each.seq))
            self._leases.take((each.epoch, each.seq), now_us)
        return due

    def confirm(self, key: Key) -> None:
        """The broker has a message; that is no promise of the core."""
        self._confirmed.add(key)

    def reconnect(self) -> None:
        """A connection began: the broker may have forgotten what it had confirmed."""
        self._leases.release(self._confirmed.__contains__)
        self._confirmed.clear()

    def move(self) -> None:
        """Another broker from here on: whatever was under way at the old one is due again."""
        self._leases.release(lambda _: True)
        self._confirmed.clear()

    def forget(self, key: Key) -> None:
        """A message could not be handed over after all; it is waiting again."""
        self._leases.release(key.__eq__)


def _within(due: Sequence[Message], room: int) -> list[Message]:
    """The first messages that fit; what does not fit waits, and all behind it."""
    sizes = accumulate(len(each.payload) for each in due)
    return [each for each, size in zip(due, sizes, strict=True) if size <= room]
