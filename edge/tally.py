"""How much waits in the outbox, and what became of the rest.

Place in the flow: outbox → **tally** → status; table `outbox_counts`.

* Counts are rows: they roll back with the transaction of what they count, and go on where they
  stood at the next start.
* `bytes` and `messages` are the present; every other name is a total.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.store import Store


class Tally:
    """The counts of one outbox.

    Attributes:
        bytes: Of the messages that wait, as of the last `measure` and what was counted since.
        messages: Their number.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.bytes = self.messages = 0
        self.measure()

    def measure(self) -> None:
        """Reads what waits anew: another transaction of ours may have been rolled back."""
        row = self._store.row(
            "SELECT value, (SELECT value FROM outbox_counts WHERE name = 'messages') AS messages "
            "FROM outbox_counts WHERE name = 'bytes'"
        )
        self.bytes, self.messages = (row["value"], row["messages"]) if row else (0, 0)

    def move(self, size: int, messages: int) -> None:
        """Counts messages that came (or, below zero, went)."""
        self.bytes += size
        self.messages += messages
        self.add("bytes", size)
        self.add("messages", messages)

    def add(self, name: str, by: int) -> None:
        """Adds to a total."""
        self._store.execute(
            "INSERT INTO outbox_counts (name, value) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (name, by),
        )

    def totals(self) -> dict[str, int]:
        """Returns every count by its name."""
        rows = self._store.rows("SELECT name, value FROM outbox_counts")
        return {row["name"]: int(row["value"]) for row in rows}
