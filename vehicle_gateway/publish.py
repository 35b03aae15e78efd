"""What to send next: a window over the outbox, and what to do when nobody answers.

Place in the flow: outbox → **publish** (decides) → mqtt (moves bytes) → broker → core, and back.

Theory of operation. The core's signed word is the only end of a message. Until then:

    waiting ──sent──> on its way ──PUBACK──> at the broker ──stored (signed)──> gone
       ^                  |                      |
       └── resend_us over ┴── connected anew ────┘   what paho still holds, paho repeats itself

* At most `window` messages are under way; they are the first of the outbox, so an epoch's start
  goes before what it opens.
* A broker that forgot, a core that was away: a message without an answer goes again after
  `resend_us`, at the earliest. Sending twice is harmless, the core knows what it has.
* Sans-IO: time is an argument, nothing here touches network or store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.outbox import Message

WINDOW: Final = 64
RESEND_US: Final = 20_000_000

Key = tuple[int, int]


@dataclass(slots=True)
class _Sent:
    at_us: int
    is_confirmed: bool = False


class SendPlan:
    """Which of the waiting messages are to be sent now.

    Args:
        window: Most messages under way.
        resend_us: How long an answer of the core is waited for.
    """

    def __init__(self, window: int = WINDOW, resend_us: int = RESEND_US) -> None:
        self.window = window
        self._resend_us = resend_us
        self._sent: dict[Key, _Sent] = {}

    def next(self, waiting: Sequence[Message], now_us: int) -> list[Message]:
        """Returns what to send now and takes it as sent.

        Args:
            waiting: The first `window` messages of the outbox; what is not among them any more
                has been settled.
            now_us: Monotonic time.
        """
        keys = {(each.epoch, each.seq) for each in waiting}
        self._sent = {key: sent for key, sent in self._sent.items() if key in keys}
        due = [each for each in waiting[: self.window] if self._is_due(each, now_us)]
        for each in due:
            self._sent[each.epoch, each.seq] = _Sent(now_us)
        return due

    def confirm(self, key: Key) -> None:
        """The broker has a message; that is no promise of the core."""
        if key in self._sent:
            self._sent[key].is_confirmed = True

    def reconnect(self) -> None:
        """A connection began: the broker may have forgotten what it had confirmed."""
        self._sent = {key: sent for key, sent in self._sent.items() if not sent.is_confirmed}

    def forget(self, key: Key) -> None:
        """A message could not be handed over after all; it is waiting again."""
        self._sent.pop(key, None)

    def _is_due(self, message: Message, now_us: int) -> bool:
        sent = self._sent.get((message.epoch, message.seq))
        return sent is None or now_us - sent.at_us >= self._resend_us
