"""Leases: money reserved at the core so that a kiosk may pay it out with no network.

Place in the flow: `lastmile-core lease grant` → **leases** → ledger (pending), downlink → kiosk;
and back: post asks `judge_withdrawal` before it spends a lease.

* A lease *is* a pending transfer, customer → drawer of one kiosk, plus a signed document. What is
  reserved cannot be spent twice: an offline overdraft is impossible by construction.
* The customer's PIN verifier goes along, sealed to the kiosk's PIN pad: nobody else can try PINs.
* It is released only an hour after it expired *and* when the kiosk's journal past that instant has
  arrived whole; cash paid out under it can then no longer be under way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from psycopg.rows import class_row

from backend_sync.core.accounts import customer_account, drawer_account
from backend_sync.core.downlink import Item, publish
from backend_sync.core.ledger import Transfer, post_batch
from backend_sync.core.registry import (
    balance_items,
    derived_id,
    find_customer,
    find_device,
    find_pad,
)
from edge.codec import decode, encode
from edge.errors import LocalError, PeerError
from edge.keys import HpkeKeypair, hpke_open, hpke_seal, sign_evidence
from edge.purposes import LEASE_TOPIC, PIN_INFO, STORED_PIN_INFO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backend_sync.core.database import Connection
    from backend_sync.messages import Position, Request
    from edge.ports import Signer

SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
ARGON2_ITERATIONS: Final = 2
ARGON2_LANES: Final = 1
ARGON2_MEMORY_KIB: Final = 19_456
"""OWASP password storage cheat sheet, Argon2id minimum; a pad answers in about 30 ms."""

PIN_DIGITS: Final = 6
RELEASE_AFTER_US: Final = 3_600_000_000
STATED_AHEAD_US_MAX: Final = 86_400_000_000
"""A kiosk's clock may be slow, and its last request under way: an hour covers both."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is promised.

    Attributes:
        lease: 32 hex digits, made by whoever grants it; also the id of the reservation.
        count: Withdrawals at most.
        per_op_fen: Most for one withdrawal.
    """

    lease: str
    customer: str
    kiosk: str
    amount_fen: int
    per_op_fen: int
    count: int
    issued_us: int
    expires_us: int


@dataclass(slots=True)
class LeaseState:
    """A lease as post must know it."""

    lease: str
    device: str
    customer: str
    per_op_fen: int
    count_max: int
    count_used: int
    expires_us: int
    released_us: int | None
    document: bytes


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What a cash-withdrawal entry claims; money has left the drawer whatever we think of it."""

    lease: str
    account: str
    customer: str
    kiosk: str
    amount_fen: int
    wall_us: int
    pin_answer: bytes


def make_pin_verifier(pin: str, salt: bytes) -> dict[str, Any]:
    """Returns what can check a PIN, in the clear: {salt, hash, alg, iterations, lanes, memory}.

    Raises:
        LocalError: Not six digits.
    """
    if len(pin) != PIN_DIGITS or not (pin.isascii() and pin.isdigit()):
        raise LocalError(f"A PIN has {PIN_DIGITS} digits.", "pin-shape")
    argon = Argon2id(
        salt=salt,
        length=HASH_BYTES,
        iterations=ARGON2_ITERATIONS,
        lanes=ARGON2_LANES,
        memory_cost=ARGON2_MEMORY_KIB,
    )
    return {
        "alg": "argon2id",
        "iterations": ARGON2_ITERATIONS,
        "lanes": ARGON2_LANES,
        "memory_kib": ARGON2_MEMORY_KIB,
        "salt": salt,
        "hash": argon.derive(pin.encode()),
    }


def seal_stored_pin(core: HpkeKeypair, customer: str, pin: str, salt: bytes) -> bytes:
    """Returns the verifier of a customer's PIN as the registry keeps it: sealed to the core."""
    record = {**make_pin_verifier(pin, salt), "customer": customer}
    return hpke_seal(core.public_bytes, encode(record), STORED_PIN_INFO)


def grant_lease(connection: Connection, signer: Signer, core: HpkeKeypair, terms: Terms) -> bytes:
    """Reserves the money, signs the lease and sends it down; the same lease again is the same.

    Returns:
        The signed document.

    Raises:
        LocalError: No such customer or kiosk, no PIN pad, no PIN, quarantine, or too little money.
    """
    with connection.transaction():
        known = connection.execute(
            "SELECT document FROM leases WHERE lease = %s", [terms.lease]
        ).fetchone()
        if known is not None:
            return bytes(known[0])
        document = sign_evidence(signer, _record(connection, core, terms), LEASE_TOPIC)
        _reserve(connection, terms)
        _insert(connection, terms, document)
        publish(
            connection,
            [
                Item(terms.kiosk, "leases", terms.lease, {"lease": document}),
                *balance_items(connection, [terms.customer], terms.issued_us),
            ],
        )
    return document


def lock_leases(connection: Connection, leases: Sequence[str]) -> dict[str, LeaseState]:
    """Reads leases and keeps others from changing them until the transaction ends."""
    with connection.cursor(row_factory=class_row(LeaseState)) as cursor:
        rows = cursor.execute(
            "SELECT lease, device, customer, per_op_fen, count_max, count_used, expires_us, "
            "released_us, document FROM leases WHERE lease = ANY (%s) ORDER BY lease FOR UPDATE",
            [sorted(set(leases))],
        ).fetchall()
    return {each.lease: each for each in rows}


def judge_withdrawal(lease: LeaseState | None, claim: Withdrawal) -> str:
    """Says why a withdrawal may not spend a lease; an empty text when it may.

    What is left of the money is the ledger's to judge.
    """
    if lease is None:
        return "lease-unknown"
    account = customer_account(lease.customer)
    checks = (
        (lease.device != claim.kiosk, "lease-other-kiosk"),
        ((lease.customer, account) != (claim.customer, claim.account), "lease-other-customer"),
        (claim.wall_us > lease.expires_us, "lease-expired"),
        (lease.released_us is not None, "lease-released"),
        (lease.count_used >= lease.count_max, "lease-count"),
        (claim.amount_fen > lease.per_op_fen, "lease-per-op"),
    )
    return next((reason for wrong, reason in checks if wrong), "")


def note_uses(connection: Connection, uses: Mapping[str, int]) -> None:
    """Counts withdrawals that were posted against their leases."""
    if uses:
        connection.execute(
            "UPDATE leases SET count_used = count_used + n.uses "
            "FROM unnest(%s::text[], %s::int[]) AS n (lease, uses) WHERE leases.lease = n.lease",
            [list(uses), list(uses.values())],
        )


def release_expired(connection: Connection, request: Request, now_us: int) -> list[str]:
    """Gives back what is left of a kiosk's expired leases, once its journal has arrived whole.

    A kiosk judges a lease by its own clock, which may be slow, and never goes back behind the time
    that it has stated. So a lease has ended only when both clocks say so: a request that was made
    before, and is played again, says that it has not.

    Args:
        connection: Outside of a transaction.
        request: Signed by the kiosk: its own time, and where its journal stood then.
        now_us: The present, microseconds UTC.

    Returns:
        The leases that were released.
    """
    device = request.device
    ended_us = min(request.wall_us, now_us) - RELEASE_AFTER_US
    with connection.transaction():
        due = connection.execute(
            "SELECT lease FROM leases WHERE device = %s AND released_us IS NULL "
            "AND expires_us < %s ORDER BY lease",
            [device, ended_us],
        ).fetchall()
        names = [str(lease) for (lease,) in due]
        ahead = request.wall_us > now_us + STATED_AHEAD_US_MAX
        if not names or ahead or not _has_arrived(connection, device, request.journal):
            return []
        states = lock_leases(connection, names)
        freed = [each for each in states.values() if each.released_us is None]
        _release(connection, device, freed, now_us)
    return [each.lease for each in freed]


def _release(connection: Connection, device: str, freed: Sequence[LeaseState], now_us: int) -> None:
    orders = [
        Transfer(derived_id("expire", each.lease), "expire", pending=UUID(each.lease), code="lease")
        for each in freed
    ]
    # A lease that was spent to the last fen refuses the expiry: there is nothing to give back.
    post_batch(connection, orders, now_us)
    connection.execute(
        "UPDATE leases SET released_us = %s WHERE lease = ANY (%s)",
        [now_us, [each.lease for each in freed]],
    )
    customers = [each.customer for each in freed]
    publish(
        connection,
        [
            *(Item(device, "leases", each.lease, None) for each in freed),
            *balance_items(connection, customers, now_us),
        ],
    )


def _has_arrived(connection: Connection, device: str, journal: Position) -> bool:
    """All that the kiosk says it has written is stored here and posted."""
    heads = connection.execute(
        "SELECT epoch, seq, head FROM journal_heads WHERE device = %s ORDER BY epoch DESC LIMIT 1",
        [device],
    ).fetchone()
    if heads is None:
        return journal.seq == 0
    waiting = connection.execute(
        "SELECT FROM post_queue JOIN journal_entries USING (op_id) WHERE device = %s LIMIT 1",
        [device],
    ).fetchone()
    same = (int(heads[0]), int(heads[1]), bytes(heads[2])) == (
        journal.epoch, journal.seq, journal.head,
    )  # fmt: skip
    return same and waiting is None


def _record(connection: Connection, core: HpkeKeypair, terms: Terms) -> dict[str, Any]:
    device, pad = find_device(connection, terms.kiosk), find_pad(connection, terms.kiosk)
    customer = find_customer(connection, terms.customer)
    if device is None or device.state != "active" or pad is None:
        raise LocalError(
            f"{terms.kiosk} is no active kiosk with a PIN pad; it gets no lease.", "lease-kiosk"
        )
    if customer is None or customer.sealed_pin is None:
        raise LocalError(f"{terms.customer} is no customer with a PIN.", "lease-customer")
    return {
        "type": "lease",
        "lease": terms.lease,
        "account": customer_account(terms.customer),
        "customer": terms.customer,
        "kiosk": terms.kiosk,
        "amount_fen": terms.amount_fen,
        "count": terms.count,
        "per_op_fen": terms.per_op_fen,
        "issued_us": terms.issued_us,
        "expires_us": terms.expires_us,
        "accepts": ["pin"],
        "pin_verifier": _verifier_for_pad(core, customer.sealed_pin, terms, pad.hpke_public),
        "pad": pad.pad,
    }


def _verifier_for_pad(core: HpkeKeypair, sealed: bytes, terms: Terms, pad_public: bytes) -> bytes:
    stored = decode(hpke_open(core, sealed, STORED_PIN_INFO))
    if not isinstance(stored, dict) or stored.get("customer") != terms.customer:
        raise PeerError("The stored PIN verifier belongs to somebody else.", "pin-stored")
    return hpke_seal(pad_public, encode({**stored, "lease": terms.lease}), PIN_INFO)


def _reserve(connection: Connection, terms: Terms) -> None:
    order = Transfer(
        UUID(terms.lease), "pending", customer_account(terms.customer),
        drawer_account(terms.kiosk), terms.amount_fen, code="lease",
    )  # fmt: skip
    outcome = post_batch(connection, [order], terms.issued_us)[0]
    if outcome.status == "refused":
        raise LocalError(f"The lease cannot be reserved: {outcome.reason}.", outcome.reason)


def _insert(connection: Connection, terms: Terms, document: bytes) -> None:
    connection.execute(
        "INSERT INTO leases (lease, reservation, device, customer, amount_fen, per_op_fen, "
        "count_max, issued_us, expires_us, document) VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s)",
        [terms.lease, UUID(terms.lease), terms.kiosk, terms.customer, terms.amount_fen,
         terms.per_op_fen, terms.count, terms.issued_us, terms.expires_us, document],
    )  # fmt: skip
