"""The kiosk's own tables beside the journal: spends, receipts, the latest time.

Place in the flow: teller writes them in the transaction of the journal entry they belong to.

* They say nothing that the journal does not: an entry and its rows are one transaction.
* A spend is never changed or deleted, so what is left of a lease can only shrink.
* `time_floor` only rises: a clock that lost its battery cannot make an expired lease good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.sqlite import Migrations
from edge.store import create_tables
from kiosk_app.receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.sqlite import Database
    from edge.store import Store

FLOOR_AHEAD_US_MAX: Final = 366 * 86_400 * 1_000_000
"""One leap of the floor is at most a year: a clock gone mad must not stop a kiosk for ever."""

COLUMNS: Final = (
    "op_id, number, device, village, name_masked, account_masked, amount_fen, wall_us, epoch, seq,"
    " head"
)
# Only our own column names go into these texts.
INSERT_RECEIPT: Final = f"INSERT INTO receipts ({COLUMNS}) VALUES ({{marks}})"  # noqa: S608
SELECT_RECEIPT: Final = f"SELECT {COLUMNS} FROM receipts WHERE op_id = ?"  # noqa: S608
MIGRATIONS = Migrations("kiosk-till")


@MIGRATIONS()
def till_001(database: Database) -> None:
    """Spends, receipts and the time floor."""
    create_tables(
        database,
        """CREATE TABLE lease_spends (
            op_id      TEXT    PRIMARY KEY,
            lease      TEXT    NOT NULL,
            account    TEXT    NOT NULL,
            amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
            wall_us    INTEGER NOT NULL,
            answer     BLOB    NOT NULL UNIQUE
        )""",
        "CREATE INDEX lease_spends_lease ON lease_spends (lease)",
        "CREATE INDEX lease_spends_account ON lease_spends (account)",
        """CREATE TRIGGER lease_spends_unchanged BEFORE UPDATE ON lease_spends
            BEGIN SELECT RAISE(ABORT, 'spends are never changed'); END""",
        """CREATE TRIGGER lease_spends_permanent BEFORE DELETE ON lease_spends
            BEGIN SELECT RAISE(ABORT, 'spends are never deleted'); END""",
        """CREATE TABLE receipts (
            op_id          TEXT    PRIMARY KEY,
            number         TEXT    NOT NULL,
            device         TEXT    NOT NULL,
            village        TEXT    NOT NULL,
            name_masked    TEXT    NOT NULL,
            account_masked TEXT    NOT NULL,
            amount_fen     INTEGER NOT NULL,
            wall_us        INTEGER NOT NULL,
            epoch          INTEGER NOT NULL,
            seq            INTEGER NOT NULL,
            head           BLOB    NOT NULL,
            printed        INTEGER NOT NULL DEFAULT 0
        )""",
        "CREATE TABLE time_floor (id INTEGER PRIMARY KEY CHECK (id = 1), wall_us INTEGER NOT NULL)",
    )


@MIGRATIONS()
def till_002(database: Database) -> None:
    """The recovery of the journal, and from when on leases count; empty until that is known."""
    create_tables(
        database,
        """CREATE TABLE recovery (
            id             INTEGER PRIMARY KEY CHECK (id = 1),
            op_id          TEXT    NOT NULL,
            leases_from_us INTEGER
        )""",
    )


@dataclass(frozen=True, slots=True)
class Spend:
    """One withdrawal under a lease."""

    op_id: str
    lease: str
    account: str
    amount_fen: int
    wall_us: int


class Till:
    """The tables.

    Args:
        store: The journal's store, opened with `MIGRATIONS` too.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    # ------------------------------------------------------------ spends
    def spends(self, *, lease: str = "", account: str = "") -> Sequence[Spend]:
        """Returns withdrawals, of one lease, of one account, or all; oldest first."""
        rows = self.store.rows(
            "SELECT op_id, lease, account, amount_fen, wall_us FROM lease_spends "
            "WHERE (:lease = '' OR lease = :lease) AND (:account = '' OR account = :account) "
            "ORDER BY rowid",
            {"lease": lease, "account": account},
        )
        return [Spend(**row) for row in rows]

    def answer_is_spent(self, answer: bytes) -> bool:
        """Tells whether a PIN answer has paid before."""
        row = self.store.row("SELECT 1 AS spent FROM lease_spends WHERE answer = ?", (answer,))
        return row is not None

    def keep_spend(self, spend: Spend, answer: bytes) -> None:
        """Writes a withdrawal; inside the transaction of its journal entry."""
        self.store.execute(
            "INSERT INTO lease_spends (op_id, lease, account, amount_fen, wall_us, answer) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (spend.op_id, spend.lease, spend.account, spend.amount_fen, spend.wall_us, answer),
        )

    # ------------------------------------------------------------ recoveries
    def note_recovery(self, op_id: str) -> None:
        """Notes that entries may be lost: what leases spent is not known here any more."""
        self.store.execute(
            "INSERT INTO recovery (id, op_id) VALUES (1, ?) "
            "ON CONFLICT (id) DO UPDATE SET op_id = excluded.op_id, leases_from_us = NULL",
            (op_id,),
        )

    def note_leases_from(self, wall_us: int) -> None:
        """Notes from which instant of the core's on leases count again."""
        self.store.execute("UPDATE recovery SET leases_from_us = ? WHERE id = 1", (wall_us,))

    def recovery(self) -> tuple[str, int | None] | None:
        """Returns the entry of the latest recovery, and from when on leases count, if known."""
        row = self.store.row("SELECT op_id, leases_from_us FROM recovery WHERE id = 1")
        return (row["op_id"], row["leases_from_us"]) if row else None

    # ------------------------------------------------------------ receipts
    def keep_receipt(self, receipt: Receipt) -> None:
        """Writes a receipt; inside the transaction of its journal entry."""
        values = tuple(getattr(receipt, name.strip()) for name in COLUMNS.split(","))
        marks = ", ".join("?" for _ in values)
        self.store.execute(INSERT_RECEIPT.format(marks=marks), values)

    def receipt(self, op_id: str) -> Receipt | None:
        """Returns the receipt of an operation."""
        row = self.store.row(SELECT_RECEIPT, (op_id,))
        return Receipt(**row) if row else None

    def last_receipt(self) -> Receipt | None:
        """Returns the receipt of the latest operation."""
        row = self.store.row("SELECT op_id FROM receipts ORDER BY epoch DESC, seq DESC LIMIT 1")
        return self.receipt(row["op_id"]) if row else None

    def is_printed(self, op_id: str) -> bool:
        """Tells whether the receipt has come out of the printer once."""
        row = self.store.row("SELECT printed FROM receipts WHERE op_id = ?", (op_id,))
        return bool(row and row["printed"])

    def note_printed(self, op_id: str) -> None:
        """Notes that the receipt has come out of the printer."""
        self.store.execute("UPDATE receipts SET printed = 1 WHERE op_id = ?", (op_id,))

    # ------------------------------------------------------------ time
    def time_floor_us(self) -> int:
        """Returns the latest wall time that was seen, 0 at first."""
        row = self.store.row("SELECT wall_us FROM time_floor WHERE id = 1")
        return int(row["wall_us"]) if row else 0

    def raise_floor(self, wall_us: int, *, is_signed: bool = False) -> None:
        """Notes a time that was seen; an earlier one, or a leap of over a year, changes nothing.

        Args:
            wall_us: The time.
            is_signed: The core said so. Its time is no clock gone mad, however far it leaps: else
                a kiosk that first woke up in 1970 would stay there.
        """
        floor = self.time_floor_us()
        leaps = floor > 0 and wall_us > floor + FLOOR_AHEAD_US_MAX
        if wall_us <= floor or (leaps and not is_signed):
            return
        self.store.execute(
            "INSERT INTO time_floor (id, wall_us) VALUES (1, ?) "
            "ON CONFLICT (id) DO UPDATE SET wall_us = excluded.wall_us",
            (wall_us,),
        )
