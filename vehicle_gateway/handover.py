"""Which of several brokers a box speaks to: the first while it is there, another while it is not.

Place in the flow: gateway.toml [broker] → **handover** (decides) → mqtt (moves).

    first ──nothing for PATIENCE──> second ──nothing for PATIENCE──> third ... first again
      ^                               |
      └──after RETURN, ever longer────┘   the first is nearer, cheaper, or simply the bank's own

* Sans-IO: whether there is a connection and the monotonic time are arguments.
* With one broker a move is to the same one, and made anew: with the certificate that now lies on
  the disk. So a certificate that expired on the road is replaced without a restart.
* What is under way at a broker that is left is sent again at the next; sending twice is harmless.
"""

from __future__ import annotations

from typing import Final

PATIENCE_US: Final = 60_000_000
RETURN_US: Final = 1_800_000_000
RETURN_US_MAX: Final = 16 * RETURN_US


class HandOver:
    """Follows the connection of one box.

    Args:
        brokers: How many there are.
        now_us: Monotonic time of the start.
        patience_us: How long a broker may be away before the next is tried.
        return_us: How long another broker is kept before the first is tried again.

    Attributes:
        current: The place of the broker in the list.
    """

    def __init__(
        self,
        brokers: int,
        now_us: int,
        patience_us: int = PATIENCE_US,
        return_us: int = RETURN_US,
    ) -> None:
        self._brokers = brokers
        self._patience_us = patience_us
        self._return_us = self._return_us_first = return_us
        self._good_us = self._moved_us = now_us
        self.current = 0

    def due(self, *, is_connected: bool, now_us: int) -> int | None:
        """Returns the broker to go to now, None to stay; a move is taken as made."""
        if is_connected:
            self._good_us = now_us
            if self.current == 0:
                self._return_us = self._return_us_first
            elif now_us - self._moved_us >= self._return_us:
                self._return_us = min(2 * self._return_us, RETURN_US_MAX)
                return self._move(0, now_us)
            return None
        if now_us - max(self._good_us, self._moved_us) < self._patience_us:
            return None
        return self._move((self.current + 1) % self._brokers, now_us)

    def _move(self, place: int, now_us: int) -> int:
        self.current, self._moved_us = place, now_us
        return place
