"""The kiosk's side: journal entries, each with the state that it changes, and what must be left.

Place in the flow: machine → **books** (journal + a till of its own) → life.

* Promised: an entry whose transaction was left is there, in its place, after any cut.
* The till's rows are those of the journal, neither more nor fewer.
* The counter is as far as the last entry says, or one ahead; never behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.errors import LocalError
from edge.journal import Journal
from edge.sqlite import Migrations
from edge.store import create_tables
from tests.powercut.machine import DEVICE, require

if TYPE_CHECKING:
    from edge.sqlite import Database
    from edge.store import Store
    from tests.powercut.machine import Machine

ENTRIES_MAX: Final = 3
UNDONE: Final = 0.1
TILL = Migrations("powercut_till")


@TILL()
def till_001(database: Database) -> None:
    """What the entries changed."""
    create_tables(
        database,
        """CREATE TABLE powercut_till (
            epoch INTEGER NOT NULL, seq INTEGER NOT NULL, amount_fen INTEGER NOT NULL,
            PRIMARY KEY (epoch, seq)
        )""",
    )


class Books:
    """Appends entries, and knows which of them were promised.

    Args:
        machine: Whose journal it is; half of all machines have a counter.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.counter = machine.counter if machine.chance.random() < 0.5 else None
        self.promised: list[bytes] = []
        self.under_way = 0
        self.store: Store
        self.journal: Journal

    def boot(self, store: Store) -> None:
        """Opens the journal and checks what was promised.

        Raises:
            Violation: Something is missing, or entry and state are not one.
        """
        self.store = store
        self.journal = Journal(store, DEVICE, self.machine, self.counter)
        self._check()

    def step(self) -> None:
        """Makes an entry, or some in one transaction, or takes them back."""
        chance = self.machine.chance
        count = 1 if self.counter else chance.randint(1, ENTRIES_MAX)
        undone = chance.random() < UNDONE
        self.under_way = 0 if undone else count
        try:
            made = self.write(count, undone)
        except LocalError:
            return
        self.machine.moment()
        self.promised += made
        self.under_way = 0

    def write(self, count: int, undone: bool) -> list[bytes]:
        """Writes entries and their state in one transaction; returns the chain's values."""
        with self.store.transaction():
            made = [self.enter() for _ in range(count)]
            if undone:
                raise LocalError("The customer has changed her mind.", "undone")
        return made

    def enter(self) -> bytes:
        """Writes one entry and its state."""
        link, epoch, seq = self.append()
        self.change(epoch, seq)
        return link

    def append(self) -> tuple[bytes, int, int]:
        """Writes an entry."""
        size = self.machine.chance.choice((8, 40, 400))
        body = {"of": f"{self.machine.chance.randrange(10**6):06}", "receipt": bytes(size)}
        entry = self.journal.append("FACT", "receipt-copy", body)
        return entry.hash, entry.epoch, entry.seq

    def change(self, epoch: int, seq: int) -> None:
        """Writes the state that an entry changes."""
        self.store.execute(
            "INSERT INTO powercut_till (epoch, seq, amount_fen) VALUES (?, ?, ?)", (epoch, seq, 1)
        )

    def _check(self) -> None:
        rows = self.store.rows("SELECT epoch, seq, hash FROM journal ORDER BY epoch, seq")
        links = [row["hash"] for row in rows]
        kept = links[: len(self.promised)]
        told = f"{len(self.promised)} were promised, {len(links)} are there."
        require(kept == self.promised, "lost", "A promised entry is there after a cut.", told)
        more = len(links) - len(self.promised)
        whole = more in {0, self.under_way}
        require(whole, "lost", "A transaction is kept wholly or not at all.", told)
        till = self.store.rows("SELECT epoch, seq FROM powercut_till ORDER BY epoch, seq")
        one = [(row["epoch"], row["seq"]) for row in till] == [
            (row["epoch"], row["seq"]) for row in rows
        ]
        require(one, "lost", "An entry and the state it changes are one.", f"{len(till)}; {told}")
        self._check_counter()
        self.promised, self.under_way = links, 0

    def _check_counter(self) -> None:
        head = self.journal.head()
        last = self.journal.find(head.epoch, head.seq) if head.seq else None
        if self.counter is None or last is None:
            return
        ahead = self.counter.read() - last["counter"]
        promise = "The counter is as far as the last entry, or one ahead."
        require(ahead in {0, 1}, "lost", promise, f"It is {ahead} ahead.")
