"""Asks on a bus for those who want answers: requests out, answers to whoever claims them.

Place in the flow: `edge.ports.Requester`s → **asking** ← can_bus, elm327.

* A bus on which nothing at all was heard for a minute is asleep. A frame would wake it and empty
  its battery, so from then on one is tried every five minutes; any frame that is heard ends that.
* Without requesters nothing is ever sent.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.ports import Requester

SILENT_US: Final = 60_000_000
PROBE_US: Final = 300_000_000


class Asking:
    """Drives requesters on one bus; time is an argument.

    Args:
        requesters: Who asks. Each sees the answers that it claims.
    """

    def __init__(self, requesters: Sequence[Requester]) -> None:
        self._requesters = tuple(requesters)
        self._heard_us: int | None = None
        self._probe_us = 0

    def __bool__(self) -> bool:
        """Says whether anybody ever asks."""
        return bool(self._requesters)

    @property
    def counts(self) -> Counter[str]:
        """What was odd about the answers so far, by reason."""
        total: Counter[str] = Counter()
        for each in self._requesters:
            total.update(each.counts)
        return total

    def due(self, now_us: int) -> list[tuple[int, bytes]]:
        """Returns the frames to send at this monotonic time, as (id, data)."""
        if self._heard_us is None:
            self._heard_us = now_us
        if now_us - self._heard_us < SILENT_US:
            return self._collect(now_us)
        if now_us < self._probe_us:
            return []
        frames = self._collect(now_us)
        if frames:
            self._probe_us = now_us + PROBE_US
        return frames

    def heard(self, can_id: int, payload: bytes, now_us: int) -> None:
        """Takes a received frame in, also one that nobody claims: the bus is awake."""
        self.wake(now_us)
        for each in self._requesters:
            if each.claims(can_id):
                each.heard(can_id, payload, now_us)

    def wake(self, now_us: int) -> None:
        """Takes in that the vehicle is awake, from elsewhere than its bus."""
        self._heard_us, self._probe_us = now_us, 0

    def _collect(self, now_us: int) -> list[tuple[int, bytes]]:
        return [frame for each in self._requesters for frame in each.due(now_us)]
