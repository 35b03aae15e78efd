"""The kiosk's side: journal entries, each with the state that it changes, and what must be left.

Place in the flow: machine → **books** (journal + a till of its own) → life.

* Promised: an entry whose transaction was left is there, in its place, after any cut; or the core
  has closed its day, it was pruned, and the anchor says so.
* The till's rows are those of the journal, neither more nor fewer.
* The counter is as far as the last entry says, or one ahead; never behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.closing import DayClosed, sign_day_closed
from edge.errors import LocalError
from edge.journal import Head, Journal
from edge.sqlite import Migrations
from edge.store import create_tables
from tests.powercut.backend import CORE, CORE_VERIFY
from tests.powercut.machine import DEVICE, require

if TYPE_CHECKING:
    from edge.journal import Entry
    from edge.ports import Counter
    from edge.sqlite import Database
    from edge.store import Store
    from tests.powercut.machine import Machine

ENTRIES_MAX: Final = 3
UNDONE: Final = 0.1
PRUNED: Final = 0.08
TILL = Migrations("powercut_till")


@TILL()
def till_001(database: Database) -> None:
    """What the entries changed."""
    create_tables(
        database,
        "CREATE TABLE powercut_till (seq INTEGER PRIMARY KEY, amount_fen INTEGER NOT NULL)",
    )


class Books:
    """Appends entries, prunes closed days, and knows what was promised.

    Args:
        machine: Whose journal it is; half of all machines have a counter.

    Attributes:
        links: The chain's value after each promised entry, by number.
        pruned: Through which number entries were pruned at least.
        closed: Through which number the core has closed days.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.counter: Counter | None = machine.counter if machine.chance.random() < 0.5 else None
        self.links: dict[int, bytes] = {}
        self.under_way = 0
        self.pruned = self.closed = 0
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
        """Makes an entry, or some in one transaction; takes them back, or forgets old ones."""
        chance = self.machine.chance
        if self.links and chance.random() < PRUNED:
            self._close_day()
            return
        count = 1 if self.counter else chance.randint(1, ENTRIES_MAX)
        undone = chance.random() < UNDONE
        self.under_way = 0 if undone else count
        try:
            made = self.write(count, undone)
        except LocalError:
            return
        self.machine.moment()
        self.links |= made
        self.under_way = 0

    def write(self, count: int, undone: bool) -> dict[int, bytes]:
        """Writes entries and their state in one transaction; returns the chain's values."""
        with self.store.transaction():
            made = [self.append() for _ in range(count)]
            for entry in made:
                self.change(entry)
            if undone:
                raise LocalError("The customer has changed her mind.", "undone")
        return {entry.seq: entry.hash for entry in made}

    def append(self) -> Entry:
        """Writes an entry."""
        size = self.machine.chance.choice((8, 40, 400))
        body = {"of": f"{self.machine.chance.randrange(10**6):06}", "receipt": bytes(size)}
        return self.journal.append("FACT", "receipt-copy", body)

    def change(self, entry: Entry) -> None:
        """Writes the state that an entry changes."""
        self.store.execute(
            "INSERT INTO powercut_till (seq, amount_fen) VALUES (?, 1)", (entry.seq,)
        )

    def prune(self, statement: bytes, keep: int) -> None:
        """Forgets the entries of a closed day."""
        self.journal.prune(statement, CORE_VERIFY, keep)

    # ------------------------------------------------------------ inside
    def _close_day(self) -> None:
        """The core closes a day, and the device forgets some of what that covers."""
        seq = self.machine.chance.choice(sorted(self.links))
        at = Head(1, seq, self.links[seq])
        statement = sign_day_closed(CORE, DayClosed(DEVICE, "2026-07-01", at, seq, {}))
        self.closed = max(self.closed, seq)
        self.prune(statement, self.machine.chance.choice((0, 3)))
        self.machine.moment()
        self._note_anchor()

    def _note_anchor(self) -> None:
        anchor = self.journal.anchor()
        at = anchor.seq if anchor else 0
        require(self.pruned <= at <= self.closed, "lost", "Only closed days are pruned.", at)
        self.pruned = at
        self.links = {seq: link for seq, link in self.links.items() if seq > at}

    def _check(self) -> None:
        self._note_anchor()
        rows = self.store.rows("SELECT seq, hash FROM journal ORDER BY seq")
        there = {row["seq"]: row["hash"] for row in rows}
        told = f"{len(self.links)} were promised, {len(there)} are there."
        kept = {seq: there.get(seq) for seq in self.links}
        require(kept == self.links, "lost", "A promised entry is there after a cut.", told)
        whole = len(there) - len(self.links) in {0, self.under_way}
        require(whole, "lost", "A transaction is kept wholly or not at all.", told)
        self._check_till(max(there, default=self.pruned))
        self._check_counter()
        self.links, self.under_way = there, 0

    def _check_till(self, last: int) -> None:
        till = [row["seq"] for row in self.store.rows("SELECT seq FROM powercut_till ORDER BY seq")]
        one = till == list(range(1, last + 1))
        told = f"{len(till)} changes, {last} entries."
        require(one, "lost", "An entry and the state it changes are one.", told)

    def _check_counter(self) -> None:
        head = self.journal.head()
        last = self.journal.find(head.epoch, head.seq) if head.seq else None
        if self.counter is None or last is None:
            return
        ahead = self.counter.read() - last["counter"]
        promise = "The counter is as far as the last entry, or one ahead."
        require(ahead in {0, 1}, "lost", promise, f"It is {ahead} ahead.")
