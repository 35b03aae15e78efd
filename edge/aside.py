"""Messages that the core can never take: out of the way, and kept for the technician.

Place in the flow: outbox (a signed refusal of the core) → **aside** → technician.

* Only sealed or signed bytes, as they were; nothing of them is ever sent again.
* Bounded by bytes, the oldest go first; what was ever set aside is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from edge.store import Store

BYTES_MAX: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Poison:
    """A message that was refused, and the core's word for why."""

    epoch: int
    seq: int
    priority: int
    message: bytes
    code: str


class Aside:
    """The set-aside messages of one outbox; table `outbox_aside`.

    Args:
        store: Of the outbox.
        bytes_max: How much of them is kept.
    """

    def __init__(self, store: Store, bytes_max: int = BYTES_MAX) -> None:
        self._store = store
        self._bytes_max = bytes_max

    def put(self, poison: Poison) -> None:
        """Keeps a message; older ones make room, and one that is too large is not kept."""
        self._store.execute(
            "INSERT INTO outbox_aside (epoch, seq, priority, code, message) VALUES (?, ?, ?, ?, ?)",
            (poison.epoch, poison.seq, poison.priority, poison.code, poison.message),
        )
        while self.counts()["aside_bytes"] > self._bytes_max:
            self._store.execute(
                "DELETE FROM outbox_aside WHERE id = (SELECT min(id) FROM outbox_aside)"
            )

    def kept(self) -> list[dict[str, Any]]:
        """Returns epoch, seq, priority, code and message of each, oldest first."""
        return self._store.rows(
            "SELECT epoch, seq, priority, code, message FROM outbox_aside ORDER BY id"
        )

    def counts(self) -> dict[str, int]:
        """Returns `aside_kept` and `aside_bytes`."""
        row = self._store.row(
            "SELECT count(*) AS kept, coalesce(sum(length(message)), 0) AS size FROM outbox_aside"
        )
        assert row is not None
        return {"aside_kept": row["kept"], "aside_bytes": row["size"]}
