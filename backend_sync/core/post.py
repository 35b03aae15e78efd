"""Second stage: turns journal entries into money moved, or says why it could not.

Place in the flow: accept → queue → **post** → ledger, outcomes, exceptions → downlink.

Theory of operation. A batch of queue rows is taken under lock (other posters pass it by), each
entry becomes a plan, and the plans' transfers are posted together. A FACT that the ledger refuses
becomes a plan for suspense and the batch is tried again from its savepoint, so every lock is
taken in one order. Outcome, exception, pages for the devices and the end of the queue row are one
transaction: killed at any instant, an entry is either wholly posted or still queued.

    entry                                 outcome      ledger
    FACT cash-withdrawal, lease good      posted       post: reservation → customer to drawer
    FACT cash-withdrawal, anything wrong  suspense     single: suspense to drawer, exception
    FACT that names no money we can read  suspense     nothing, exception
    FACT of another known kind            posted       nothing to move
    POISON, or a kind nobody knows        suspense     nothing, exception
    REQUEST without a handler             declined     nothing

* A FACT is never refused: the cash has moved, and the books follow.
* The transfer's id is the operation's id: posting twice moves money once.
* A PIN answer pays once: a second entry that shows it goes to suspense.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from backend_sync.core.accounts import SUSPENSE, drawer_account
from backend_sync.core.downlink import Item, publish
from backend_sync.core.exceptions import Raised, raise_exceptions
from backend_sync.core.leases import (
    LeaseState,
    Withdrawal,
    judge_withdrawal,
    lock_leases,
    note_uses,
)
from backend_sync.core.ledger import Transfer, post_batch
from backend_sync.core.pins import SPENT, claimed_answer, judge_answer, note_answers, spent_answers
from backend_sync.core.registry import balance_items, drawer_items
from edge.catalogue import require_kind
from edge.errors import LastmileError
from edge.journal import decode_entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backend_sync.core.database import Connection

POST_BATCH_MAX: Final = 1_000
WITHDRAWAL: Final = "cash-withdrawal"
AMOUNT_FEN_MAX: Final = 10**13
UNBOOKED: Final = "unbooked: "
ID_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class Queued:
    """An entry as it comes from the queue."""

    op_id: UUID
    device: str
    entry_class: str
    kind: str
    entry: bytes
    pad: str | None
    pad_key: bytes | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about one entry.

    Attributes:
        status: `posted`, `suspense` or `declined`.
        reason: Why, unless posted.
        order: The transfer to make, or None.
        claim: The withdrawal it is about, or None.
    """

    queued: Queued
    status: str
    reason: str = ""
    order: Transfer | None = None
    claim: Withdrawal | None = None


TAKE: Final = """
    WITH taken AS (
        DELETE FROM post_queue WHERE ticket IN (
            SELECT ticket FROM post_queue ORDER BY ticket LIMIT %s FOR UPDATE SKIP LOCKED
        ) RETURNING ticket, op_id
    )
    SELECT e.op_id, e.device, e.class AS entry_class, e.kind, e.entry, p.pad,
           p.public_key AS pad_key
    FROM taken JOIN journal_entries e USING (op_id) LEFT JOIN pads p ON p.device = e.device
    ORDER BY ticket"""


@dataclass(frozen=True, slots=True)
class Batch:
    """What the plans of a batch are made from, read under lock.

    Attributes:
        queued: The entries, in order.
        claims: What each of them claims, by operation.
        leases: The leases that they name.
        spent: Ids of the PIN answers among them that have paid before.
    """

    queued: Sequence[Queued]
    claims: Mapping[UUID, Withdrawal | None]
    leases: Mapping[str, LeaseState]
    spent: frozenset[bytes]


def post_queued(connection: Connection, now_us: int, limit: int = POST_BATCH_MAX) -> int:
    """Posts the next batch of the queue in one transaction.

    Returns:
        How many entries got their outcome; 0 when nothing waits.
    """
    with connection.transaction():
        with connection.cursor(row_factory=class_row(Queued)) as cursor:
            queued = cursor.execute(TAKE, [limit]).fetchall()
        if queued:
            batch = _read_batch(connection, queued)
            _write(connection, _settle(connection, batch, now_us), now_us)
    return len(queued)


def _read_batch(connection: Connection, queued: Sequence[Queued]) -> Batch:
    claims = {each.op_id: read_withdrawal(each) for each in queued}
    known = [claim for claim in claims.values() if claim is not None]
    leases = lock_leases(connection, [claim.lease for claim in known])
    spent = spent_answers(connection, {claimed_answer(claim.pin_answer) for claim in known})
    return Batch(queued, claims, leases, frozenset(spent))


# ------------------------------------------------------------------ deciding
def plan_entries(batch: Batch, refused: Mapping[UUID, str]) -> list[Plan]:
    """Plans every entry in order, counting the uses of leases and PIN answers as it goes.

    Args:
        batch: The entries and what they name.
        refused: What the ledger has refused already, and why; these go to suspense.
    """
    uses: Counter[str] = Counter()
    spent = set(batch.spent)
    plans = []
    for each in batch.queued:
        claim = batch.claims[each.op_id]
        lease = batch.leases.get(claim.lease) if claim else None
        if lease is not None:
            lease = replace(lease, count_used=lease.count_used + uses[lease.lease])
        plan = _plan(each, claim, lease)
        answer = claimed_answer(claim.pin_answer) if claim else b""
        if plan.order is not None and answer in spent:
            plan = _to_suspense(plan, SPENT)
        if each.op_id in refused:
            plan = _to_suspense(plan, refused[each.op_id])
        if plan.status == "posted" and claim is not None:
            uses[claim.lease] += 1
            spent.add(answer)
        plans.append(plan)
    return plans


def read_withdrawal(queued: Queued) -> Withdrawal | None:
    """Reads what a cash-withdrawal claims; None for any other entry, or one that is unreadable."""
    if queued.entry_class != "FACT" or queued.kind != WITHDRAWAL:
        return None
    entry = decode_entry(queued.entry)
    body = entry["body"]
    texts = [body.get(name) for name in ("lease", "account", "customer")]
    fen = body.get("amount_fen")
    if not isinstance(fen, int) or isinstance(fen, bool) or not 0 < fen <= AMOUNT_FEN_MAX:
        return None
    lease, account, customer = (each if _is_id(each) else "" for each in texts)
    answer = body.get("pin_answer")
    answer = answer if isinstance(answer, bytes) else b""
    return Withdrawal(lease, account, customer, queued.device, fen, entry["wall_us"], answer)


def _is_id(value: object) -> bool:
    """No row holds a NUL, and no id of ours is longer: such a text names nothing."""
    return isinstance(value, str) and len(value) <= ID_MAX and "\0" not in value


def _plan(queued: Queued, claim: Withdrawal | None, lease: LeaseState | None) -> Plan:
    if queued.entry_class == "POISON":
        return Plan(queued, "suspense", f"poison: {queued.kind}")
    if queued.entry_class == "REQUEST":
        return Plan(queued, "declined", "kind-unknown")
    if queued.kind != WITHDRAWAL:
        return _plan_other(queued)
    if claim is None:
        return Plan(queued, "suspense", "entry-body")
    reason = judge_withdrawal(lease, claim)
    if lease is not None and not reason:
        reason = judge_answer(queued.pad, queued.pad_key, claim, lease)
    if reason:
        return _to_suspense(Plan(queued, "posted", claim=claim), reason)
    order = Transfer(
        queued.op_id, "post", amount_fen=claim.amount_fen, pending=UUID(claim.lease),
        code="withdrawal",
    )  # fmt: skip
    return Plan(queued, "posted", order=order, claim=claim)


def _plan_other(queued: Queued) -> Plan:
    try:
        require_kind(queued.kind)
    except LastmileError:
        return Plan(queued, "suspense", "kind-unknown")
    return Plan(queued, "posted")


def _to_suspense(plan: Plan, reason: str) -> Plan:
    """The cash left the drawer all the same; if even that cannot be booked, a person must."""
    claim = plan.claim
    if claim is None or reason.startswith(UNBOOKED):
        return replace(plan, status="suspense", reason=reason, order=None)
    order = Transfer(
        plan.queued.op_id, "single", SUSPENSE, drawer_account(claim.kiosk), claim.amount_fen,
        code="suspense",
    )  # fmt: skip
    return replace(plan, status="suspense", reason=reason, order=order)


# ------------------------------------------------------------------ writing
def _settle(connection: Connection, batch: Batch, now_us: int) -> list[Plan]:
    """Posts all plans at once, turning what the ledger refuses into suspense until none is left.

    Every round has more refusals than the one before, so it ends.
    """
    refused: dict[UUID, str] = {}
    while True:
        plans = plan_entries(batch, refused)
        orders = [plan.order for plan in plans if plan.order is not None]
        with connection.transaction() as savepoint:
            outcomes = post_batch(connection, orders, now_us)
            fresh = {each.id: each.reason for each in outcomes if each.status == "refused"}
            if fresh:
                raise psycopg.Rollback(savepoint)
        if not fresh:
            return plans
        refused = _merge(refused, fresh)


def _merge(refused: Mapping[UUID, str], fresh: Mapping[UUID, str]) -> dict[UUID, str]:
    """A second refusal of the same entry was that of its suspense booking: it stays unbooked."""
    marked = {key: f"{UNBOOKED}{refused[key]}" for key in fresh if key in refused}
    return {**refused, **fresh, **marked}


def _write(connection: Connection, plans: Sequence[Plan], now_us: int) -> None:
    connection.execute(
        "INSERT INTO outcomes (op_id, status, reason, posted_us) "
        "SELECT op_id, status, reason, %s "
        "FROM unnest(%s::uuid[], %s::text[], %s::text[]) AS n (op_id, status, reason)",
        [
            now_us,
            [plan.queued.op_id for plan in plans],
            [plan.status for plan in plans],
            [plan.reason for plan in plans],
        ],
    )
    paid = [(plan.claim, plan.queued) for plan in plans if plan.claim and plan.status == "posted"]
    note_uses(connection, Counter(claim.lease for claim, _ in paid))
    note_answers(connection, {claimed_answer(claim.pin_answer): each.op_id for claim, each in paid})
    raise_exceptions(connection, [_exception(p) for p in plans if p.status == "suspense"], now_us)
    publish(connection, _news(connection, plans, now_us))


def _exception(plan: Plan) -> Raised:
    amount_fen = plan.claim.amount_fen if plan.claim else 0
    queued = plan.queued
    return Raised("suspense", queued.op_id.hex, queued.device, plan.reason, amount_fen)


def _news(connection: Connection, plans: Sequence[Plan], now_us: int) -> list[Item]:
    claims = [plan.claim for plan in plans if plan.claim is not None and plan.order is not None]
    customers = sorted({claim.customer for claim in claims})
    kiosks = sorted({claim.kiosk for claim in claims})
    return [
        *(_result(plan, now_us) for plan in plans),
        *balance_items(connection, customers, now_us),
        *drawer_items(connection, kiosks, now_us),
    ]


def _result(plan: Plan, now_us: int) -> Item:
    value: dict[str, Any] = {"status": plan.status, "posted_us": now_us, "reason": plan.reason}
    return Item(plan.queued.device, "results", plan.queued.op_id.hex, value)
