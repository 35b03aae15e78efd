"""Double entry with two-phase transfers, posted a batch at a time.

Place in the flow: post, leases, registry → **ledger** → accounts, transfers, reservations.

Theory of operation. `post_batch` is three statements: lock the batch's accounts in order of id and
read them; read what is known of its transfer ids and reservations; write all outcomes at once.
Between the last two, `decide` walks the batch in order over the values read. It is pure, so the
tests compare it, and the tables it leaves, with an independent model.

    kind      needs                 does
    single    floor of the debit    moves amount from debit to credit
    pending   floor of the debit    reserves amount; balances stay
    post      an open reservation   moves amount out of it, from its debit to its credit
    void      an open reservation   gives back all that is left
    expire    an open reservation   as void, because its time was over

* balance_fen = credits - debits. Every transfer touches two accounts: the sum stays zero.
* The id of a transfer is made by whoever makes the act. The same id with the same content again
  is `exists`: nothing moves twice. The same id with other content is refused.
* Accounts are always locked in order of account_id: concurrent batches wait, they never deadlock.
* One refused transfer of a batch does not touch the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import class_row

from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from backend_sync.core.database import Connection

BATCH_MAX: Final = 10_000
AMOUNT_FEN_MAX: Final = 10**15
TWO_PHASE: Final = frozenset({"post", "void", "expire"})
KINDS: Final = TWO_PHASE | {"single", "pending"}


@dataclass(frozen=True, slots=True)
class Transfer:
    """An order to the ledger.

    Attributes:
        id: Made by the caller where the act happens; the same on every retry.
        kind: `single`, `pending`, `post`, `void` or `expire`.
        debit: Account whose balance falls; empty for the kinds that resolve a reservation.
        credit: Account whose balance rises; empty likewise.
        amount_fen: Above 0; not used by `void` and `expire`, which give back what is left.
        pending: The reservation to resolve.
        code: Why, in a word: `withdrawal`, `float`, `lease`, ...
    """

    id: UUID
    kind: str
    debit: str = ""
    credit: str = ""
    amount_fen: int = 0
    pending: UUID | None = None
    code: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transfer: `posted`, `exists` or `refused` with a reason."""

    id: UUID
    status: str
    reason: str = ""
    amount_fen: int = 0


@dataclass(slots=True)
class AccountState:
    """What the ledger must know of an account to decide."""

    account_id: int
    account: str
    balance_fen: int
    pending_debit_fen: int
    pending_credit_fen: int
    floor_fen: int | None

    def covers(self, amount_fen: int) -> bool:
        """Says whether the account can give that much and stay at or above its floor."""
        if self.floor_fen is None:
            return True
        return self.balance_fen - self.pending_debit_fen - amount_fen >= self.floor_fen


@dataclass(slots=True)
class Reservation:
    """What is left of a pending transfer, and between which accounts."""

    transfer: UUID
    debit: str
    credit: str
    remaining_fen: int
    closed: bool


@dataclass(slots=True)
class LedgerView:
    """The part of the ledger that a batch touches, as read under lock; `decide` works on it.

    Attributes:
        known: Transfers already posted, by id, as they were ordered.
        fresh: Transfers that `decide` has posted, with their accounts filled in.
    """

    accounts: dict[str, AccountState] = field(default_factory=dict)
    reservations: dict[UUID, Reservation] = field(default_factory=dict)
    known: dict[UUID, Transfer] = field(default_factory=dict)
    fresh: list[Transfer] = field(default_factory=list)


class Refusal(Exception):  # noqa: N818 - control flow inside `decide`, never leaves it
    """Why one transfer of a batch is not posted."""


def decide(view: LedgerView, batch: Sequence[Transfer]) -> list[Outcome]:
    """Decides about a batch in order, changing `view` as it goes.

    Returns:
        One outcome per transfer, in the same order.
    """
    return [_decide_one(view, transfer) for transfer in batch]


def _decide_one(view: LedgerView, order: Transfer) -> Outcome:
    known = view.known.get(order.id)
    if known is not None:
        if not _same(known, order):
            return Outcome(order.id, "refused", "id-conflict")
        return Outcome(order.id, "exists", amount_fen=known.amount_fen)
    try:
        done = _apply(view, order)
    except Refusal as refusal:
        return Outcome(order.id, "refused", str(refusal))
    view.known[order.id] = done
    view.fresh.append(done)
    return Outcome(order.id, "posted", amount_fen=done.amount_fen)


def _same(known: Transfer, order: Transfer) -> bool:
    """What a resolving order leaves open (accounts, or the amount of a void) may differ."""
    if order.kind in TWO_PHASE:
        amount = known.amount_fen if order.kind != "post" else order.amount_fen
        order = replace(order, debit=known.debit, credit=known.credit, amount_fen=amount)
    return replace(known, code="") == replace(order, code="")


def _apply(view: LedgerView, order: Transfer) -> Transfer:
    if order.kind in TWO_PHASE:
        return _resolve(view, order)
    debit, credit = _account(view, order.debit), _account(view, order.credit)
    if debit is credit:
        raise Refusal("same-account")
    if not 0 < order.amount_fen <= AMOUNT_FEN_MAX:
        raise Refusal("amount")
    if not debit.covers(order.amount_fen):
        raise Refusal("insufficient")
    if order.kind == "single":
        debit.balance_fen -= order.amount_fen
        credit.balance_fen += order.amount_fen
        return order
    debit.pending_debit_fen += order.amount_fen
    credit.pending_credit_fen += order.amount_fen
    view.reservations[order.id] = Reservation(
        order.id, order.debit, order.credit, order.amount_fen, closed=False
    )
    return order


def _resolve(view: LedgerView, order: Transfer) -> Transfer:
    reservation = view.reservations.get(order.pending) if order.pending else None
    if reservation is None:
        raise Refusal("pending-unknown")
    if reservation.closed:
        raise Refusal("pending-closed")
    amount_fen = order.amount_fen if order.kind == "post" else reservation.remaining_fen
    if not 0 < amount_fen <= reservation.remaining_fen:
        raise Refusal("exceeds-pending" if amount_fen > 0 else "amount")
    debit, credit = view.accounts[reservation.debit], view.accounts[reservation.credit]
    debit.pending_debit_fen -= amount_fen
    credit.pending_credit_fen -= amount_fen
    if order.kind == "post":
        debit.balance_fen -= amount_fen
        credit.balance_fen += amount_fen
    reservation.remaining_fen -= amount_fen
    reservation.closed = reservation.remaining_fen == 0
    return replace(order, debit=debit.account, credit=credit.account, amount_fen=amount_fen)


def _account(view: LedgerView, name: str) -> AccountState:
    found = view.accounts.get(name)
    if found is None:
        raise Refusal("account-unknown")
    return found


# ------------------------------------------------------------------ shell
LOCK_ACCOUNTS: Final = """
    SELECT account_id, account, balance_fen, pending_debit_fen, pending_credit_fen, floor_fen
    FROM accounts WHERE account_id = ANY (
        SELECT account_id FROM accounts WHERE account = ANY (%(names)s)
        UNION
        SELECT unnest(ARRAY[debit_id, credit_id]) FROM transfers WHERE transfer = ANY (%(pending)s)
    ) ORDER BY account_id FOR UPDATE"""

READ_TRANSFERS: Final = """
    SELECT transfer AS id, t.kind, d.account AS debit, c.account AS credit, t.amount_fen,
           t.pending, t.code
    FROM transfers t
    JOIN accounts d ON d.account_id = t.debit_id
    JOIN accounts c ON c.account_id = t.credit_id
    WHERE transfer = ANY (%(ids)s)"""

READ_RESERVATIONS: Final = """
    SELECT r.transfer, d.account AS debit, c.account AS credit, r.remaining_fen, r.closed
    FROM reservations r JOIN transfers t USING (transfer)
    JOIN accounts d ON d.account_id = t.debit_id
    JOIN accounts c ON c.account_id = t.credit_id
    WHERE r.transfer = ANY (%(pending)s)"""

WRITE: Final = """
    WITH posted AS (
        INSERT INTO transfers
            (transfer, kind, debit_id, credit_id, amount_fen, pending, code, posted_us)
        SELECT id, kind, debit, credit, amount, pending, code, %(now_us)s
        FROM unnest(%(ids)s::uuid[], %(kinds)s::text[], %(debits)s::bigint[],
                    %(credits)s::bigint[], %(amounts)s::bigint[], %(pendings)s::uuid[],
                    %(codes)s::text[])
             AS o (id, kind, debit, credit, amount, pending, code)
    ), balanced AS (
        UPDATE accounts a SET balance_fen = s.balance, pending_debit_fen = s.debit,
                              pending_credit_fen = s.credit
        FROM unnest(%(account_ids)s::bigint[], %(balances)s::bigint[],
                    %(pending_debits)s::bigint[], %(pending_credits)s::bigint[])
             AS s (account_id, balance, debit, credit)
        WHERE a.account_id = s.account_id
    )
    INSERT INTO reservations (transfer, remaining_fen, closed)
    SELECT * FROM unnest(%(reserved)s::uuid[], %(remaining)s::bigint[], %(closed)s::boolean[])
    ON CONFLICT (transfer) DO UPDATE
        SET remaining_fen = excluded.remaining_fen, closed = excluded.closed"""


def post_batch(connection: Connection, batch: Sequence[Transfer], now_us: int) -> list[Outcome]:
    """Posts a batch inside the caller's transaction.

    Args:
        connection: In a transaction; its commit is what makes the outcomes true.
        batch: At most `BATCH_MAX` orders, decided in this order.
        now_us: The present, microseconds UTC.

    Raises:
        LocalError: The batch is too large, or the connection is not in a transaction.
        psycopg.errors.UniqueViolation: Another batch took one of the ids for other accounts
            meanwhile; repeat the transaction, and the id is `refused` as a conflict.
    """
    if len(batch) > BATCH_MAX:
        raise LocalError(f"A batch has at most {BATCH_MAX} transfers; split it.", "batch-size")
    if connection.info.transaction_status.name != "INTRANS":
        raise LocalError("post_batch works inside a transaction; open one.", "no-transaction")
    view = _read_view(connection, batch)
    outcomes = decide(view, batch)
    if view.fresh:
        connection.execute(WRITE, _rows(view, now_us))
    return outcomes


def _read_view(connection: Connection, batch: Sequence[Transfer]) -> LedgerView:
    names = sorted({name for order in batch for name in (order.debit, order.credit) if name})
    pending = sorted({order.pending for order in batch if order.pending})
    ids = sorted({order.id for order in batch})
    keys: dict[str, Any] = {"names": names, "pending": pending, "ids": ids}
    # The order of these three matters: only what is read under the locks is still true at WRITE.
    with connection.cursor(row_factory=class_row(AccountState)) as cursor:
        accounts = cursor.execute(LOCK_ACCOUNTS, keys).fetchall()
    with connection.cursor(row_factory=class_row(Transfer)) as cursor:
        known = cursor.execute(READ_TRANSFERS, keys).fetchall()
    with connection.cursor(row_factory=class_row(Reservation)) as cursor:
        reservations = cursor.execute(READ_RESERVATIONS, keys).fetchall()
    locked = {each.account: each for each in accounts}
    return LedgerView(
        locked,
        # One made since the locks were taken counts as unknown, unless its accounts are locked.
        {each.transfer: each for each in reservations if {each.debit, each.credit} <= set(locked)},
        {each.id: each for each in known},
    )


def _rows(view: LedgerView, now_us: int) -> dict[str, Any]:
    """Turns what `decide` left into parallel columns for the one writing statement."""
    fresh = view.fresh
    moved = {name for order in fresh for name in (order.debit, order.credit)}
    accounts = [view.accounts[name] for name in sorted(moved)]
    touched = {order.pending or order.id for order in fresh if order.kind != "single"}
    reservations = [view.reservations[each] for each in sorted(touched)]
    account_id = {name: state.account_id for name, state in view.accounts.items()}
    return {
        "now_us": now_us,
        "ids": [order.id for order in fresh],
        "kinds": [order.kind for order in fresh],
        "debits": [account_id[order.debit] for order in fresh],
        "credits": [account_id[order.credit] for order in fresh],
        "amounts": [order.amount_fen for order in fresh],
        "pendings": [order.pending for order in fresh],
        "codes": [order.code for order in fresh],
        "account_ids": [each.account_id for each in accounts],
        "balances": [each.balance_fen for each in accounts],
        "pending_debits": [each.pending_debit_fen for each in accounts],
        "pending_credits": [each.pending_credit_fen for each in accounts],
        "reserved": [each.transfer for each in reservations],
        "remaining": [each.remaining_fen for each in reservations],
        "closed": [each.closed for each in reservations],
    }
