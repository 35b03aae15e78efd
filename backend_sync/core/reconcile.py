"""Does everything add up? Journals against outcomes against ledger against drawers.

Place in the flow: journal, outcomes, ledger → **reconcile** → `lastmile-core report`.

* It reads what others wrote and trusts no running total: balances are derived again from the
  transfers, and amounts again from the signed bytes of the journal.
* lost = entries received that have neither an outcome nor a place in the queue, and withdrawals
  whose amount is not what the ledger moved for them.
* double = ledger movements for which no entry of a journal stands, and receipts booked twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg import IsolationLevel

from edge.journal import decode_entry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from backend_sync.core.database import Connection

READ_CHUNK: Final = 2_000

BALANCES_NOT_DERIVED: Final = """
    SELECT a.account FROM accounts a
    LEFT JOIN (
        SELECT account_id, sum(fen) AS fen FROM (
            SELECT credit_id AS account_id, amount_fen AS fen FROM transfers
            WHERE kind IN ('single', 'post')
            UNION ALL
            SELECT debit_id, -amount_fen FROM transfers WHERE kind IN ('single', 'post')
        ) AS moves GROUP BY account_id
    ) AS derived USING (account_id)
    WHERE a.balance_fen <> coalesce(derived.fen, 0) ORDER BY a.account"""


@dataclass(frozen=True, slots=True)
class Report:
    """The state of the books.

    Attributes:
        entries: Journal entries received.
        posted, suspense, declined: Entries by outcome; `waiting` has none yet.
        lost, double: See the module; both must be 0.
        ledger_sum_fen: Sum of all balances; must be 0.
        not_derived: Accounts whose balance does not follow from their transfers; must be empty.
        cash_fen: Cash by kiosk, according to the ledger.
        paid_out_fen: Cash paid out by kiosk, according to its journal alone.
        exceptions: Open exceptions by kind.
        quarantined: Devices that a person must look at.
    """

    entries: int
    posted: int
    suspense: int
    declined: int
    waiting: int
    lost: int
    double: int
    ledger_sum_fen: int
    not_derived: list[str]
    cash_fen: dict[str, int]
    paid_out_fen: dict[str, int]
    exceptions: dict[str, int]
    quarantined: list[str]

    @property
    def sound(self) -> bool:
        """Whether nothing is lost, double or out of balance."""
        return not (self.lost or self.double or self.ledger_sum_fen or self.not_derived)

    def as_dict(self) -> dict[str, Any]:
        """Returns the report as plain data, with `sound`."""
        return {**asdict(self), "sound": self.sound}


def reconcile(connection: Connection) -> Report:
    """Draws up the report, all of it as of one instant.

    Args:
        connection: Outside of a transaction.
    """
    connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    try:
        with connection.transaction():
            return _read(connection)
    finally:
        connection.set_isolation_level(None)


def _read(connection: Connection) -> Report:
    status = _counts(connection, "SELECT status, count(*) FROM outcomes GROUP BY status")
    unmatched, double, paid_out = _compare_journal(connection)
    return Report(
        entries=_number(connection, "SELECT count(*) FROM journal_entries"),
        posted=status.get("posted", 0),
        suspense=status.get("suspense", 0),
        declined=status.get("declined", 0),
        waiting=_number(connection, "SELECT count(*) FROM post_queue"),
        lost=unmatched + _number(
            connection,
            "SELECT count(*) FROM journal_entries e "
            "WHERE NOT EXISTS (SELECT FROM outcomes o WHERE o.op_id = e.op_id) "
            "AND NOT EXISTS (SELECT FROM post_queue q WHERE q.op_id = e.op_id)",
        ),
        double=double,
        ledger_sum_fen=_number(connection, "SELECT coalesce(sum(balance_fen), 0) FROM accounts"),
        not_derived=[str(row[0]) for row in connection.execute(BALANCES_NOT_DERIVED).fetchall()],
        cash_fen=_counts(
            connection,
            "SELECT substr(account, length('drawer:') + 1), -balance_fen FROM accounts "
            "WHERE kind = 'drawer' ORDER BY account",
        ),
        paid_out_fen=paid_out,
        exceptions=_counts(
            connection, "SELECT kind, count(*) FROM exceptions GROUP BY kind ORDER BY kind"
        ),
        quarantined=[
            str(row[0])
            for row in connection.execute(
                "SELECT device FROM devices WHERE state = 'quarantined' ORDER BY device"
            ).fetchall()
        ],
    )  # fmt: skip


def _compare_journal(connection: Connection) -> tuple[int, int, dict[str, int]]:
    """Walks the signed bytes of every settled withdrawal and compares them with the ledger.

    Returns:
        Withdrawals without their movement, movements too many, cash paid out by kiosk.
    """
    moved = _movements(connection)
    paid_out: Counter[str] = Counter()
    receipts: Counter[tuple[str, str]] = Counter()
    unmatched = 0
    for op_id, device, entry in _settled_withdrawals(connection):
        body = decode_entry(entry)["body"]
        fen = body.get("amount_fen")
        if not isinstance(fen, int) or fen <= 0:
            continue
        paid_out[device] += fen
        unmatched += moved.pop(op_id, 0) != fen
        receipts[device, str(body.get("receipt", op_id.hex))] += 1
    repeated = sum(count - 1 for count in receipts.values())
    return unmatched, len(moved) + repeated, dict(sorted(paid_out.items()))


def _movements(connection: Connection) -> dict[UUID, int]:
    rows = connection.execute(
        "SELECT transfer, amount_fen FROM transfers WHERE code IN ('withdrawal', 'suspense')"
    ).fetchall()
    return {transfer: int(fen) for transfer, fen in rows}


def _settled_withdrawals(connection: Connection) -> Iterable[tuple[UUID, str, bytes]]:
    with connection.cursor(name="settled") as cursor:
        cursor.itersize = READ_CHUNK
        cursor.execute(
            "SELECT op_id, device, entry FROM journal_entries JOIN outcomes USING (op_id) "
            "WHERE class = 'FACT' AND kind = 'cash-withdrawal' AND reason NOT LIKE 'unbooked: %%'"
        )
        for op_id, device, entry in cursor:
            yield op_id, str(device), bytes(entry)


def _counts(connection: Connection, query: str) -> dict[str, int]:
    return {str(key): int(value) for key, value in connection.execute(query.encode()).fetchall()}


def _number(connection: Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0
