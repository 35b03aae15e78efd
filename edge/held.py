"""Epochs whose start the core refuses: held back so that the others go on, and tried again.

Place in the flow: outbox (a signed refusal of a start) → **held** → due, technician.

Theory of operation. Nothing of an epoch can be opened without its start. While the core refuses
the start, sending the rest would fill the window with what is never acknowledged:

    sent ──start refused──> held ──an epoch begins, its turn──> sent
                              └──the core takes another one that it had refused──> sent

* One at a time, the one that waits longest first: a core that was mended is found out, and one
  that was not is asked little.
* What is held stays in the outbox, counts towards its limits and ages as everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.store import Store


class HeldEpochs:
    """Which epochs are held; columns `refused` (why) and `held` (turn) of `outbox_epochs`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def hold(self, epoch: int, code: str) -> None:
        """Holds an epoch back; its turn comes after those that are held already."""
        self._store.execute(
            "UPDATE outbox_epochs SET refused = ?, "
            "held = (SELECT coalesce(max(held), 0) + 1 FROM outbox_epochs) WHERE epoch = ?",
            (code, epoch),
        )

    def try_next(self) -> None:
        """Lets the one go that is held longest."""
        self._store.execute(
            "UPDATE outbox_epochs SET held = NULL WHERE epoch = (SELECT epoch FROM outbox_epochs "
            "WHERE held IS NOT NULL ORDER BY held LIMIT 1)"
        )

    def believe(self, epoch: int) -> None:
        """Notes that the core has taken an epoch; had it refused it before, all may go."""
        mended = self._store.execute(
            "UPDATE outbox_epochs SET refused = NULL WHERE epoch = ? AND refused IS NOT NULL",
            (epoch,),
        )
        if mended:
            self._store.execute("UPDATE outbox_epochs SET held = NULL WHERE held IS NOT NULL")

    def faults(self) -> list[dict[str, Any]]:
        """Returns {epoch, code} of each whose start the core has refused."""
        return self._store.rows(
            "SELECT epoch, refused AS code FROM outbox_epochs WHERE refused IS NOT NULL "
            "ORDER BY epoch"
        )
