"""Claims about the second stage: cash that moved is always in the books, once, with its reason."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from backend_sync.core.post import post_queued
from backend_sync.core.registry import add_customer, add_device
from edge.codec import decode
from tests.unit.backend_sync.core.village import (
    DAY_US,
    NOW_US,
    Kiosk,
    Village,
    lease_id,
    make_customer,
    make_kiosk,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from uuid import UUID

    from backend_sync.core.database import Connection


@pytest.fixture(autouse=True)
def balanced(village: Village) -> Any:
    """Whatever a test does, the sum of all balances stays zero and cash follows the journal."""
    yield
    assert village.number("SELECT sum(balance_fen) FROM accounts") == 0
    settled = village.number("SELECT count(*) FROM outcomes")
    waiting = village.number("SELECT count(*) FROM post_queue")
    assert settled + waiting == village.number("SELECT count(*) FROM journal_entries")


def settle(village: Village, op: UUID) -> tuple[str, str]:
    village.send()
    village.post()
    return village.outcome(op)


def test_a_good_withdrawal_moves_reserved_money_to_the_drawer(village: Village) -> None:
    op = village.kiosk.withdraw(village.lease(), 50_000)
    assert settle(village, op) == ("posted", "")
    assert village.balance("customer:c-1") == 250_000
    assert village.balance("drawer:kiosk-1") == -1_950_000
    assert village.number("SELECT count_used FROM leases") == 1
    assert village.number("SELECT remaining_fen FROM reservations") == 50_000
    assert village.reasons("suspense") == []


def bad_withdrawal(village: Village, claim: str) -> UUID:
    lease, kiosk = village.lease(), village.kiosk
    answers = {
        "forged pin answer": Kiosk(kiosk.identity, kiosk.identity).pin_answer(lease, 50_000),
        "pin answer of another lease": kiosk.pin_answer(lease_id(99), 50_000),
        "pin answer for another amount": kiosk.pin_answer(lease, 10_000),
        "pin answer to a verifier of the kiosk's own": kiosk.pin_answer(
            lease, 50_000, verifier=b"\7" * 32
        ),
        "pin was wrong": kiosk.pin_answer(lease, 50_000, ok=False),
        "pin was nearly right": kiosk.pin_answer(lease, 50_000, ok=1),
        "no pin answer": b"",
        "a pin answer that is no bytes": 1,
    }
    if claim in answers:
        return kiosk.withdraw(lease, 50_000, pin_answer=answers[claim])
    wrong: dict[str, Callable[[], UUID]] = {
        "no such lease": lambda: kiosk.withdraw(lease_id(77), 50_000),
        "expired": lambda: kiosk.withdraw(lease, 50_000, wall_us=NOW_US + 8 * DAY_US),
        "other customer": lambda: kiosk.withdraw(lease, 50_000, customer="c-2"),
        "other account": lambda: kiosk.withdraw(lease, 50_000, account="customer:c-2"),
        "too much at once": lambda: kiosk.withdraw(lease, 50_001),
        "a lease with a NUL": lambda: kiosk.withdraw("\0", 50_000),
        "a customer with a NUL": lambda: kiosk.withdraw(lease, 50_000, customer="c\0"),
        "a lease that is a number": lambda: kiosk.withdraw(lease, 50_000, lease=7),
    }
    return wrong[claim]()


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ("forged pin answer", "pin-answer"),
        ("pin answer of another lease", "pin-answer"),
        ("pin answer for another amount", "pin-answer"),
        ("pin answer to a verifier of the kiosk's own", "pin-answer"),
        ("pin was wrong", "pin-answer"),
        ("pin was nearly right", "pin-answer"),
        ("no pin answer", "pin-answer"),
        ("a pin answer that is no bytes", "pin-answer"),
        ("no such lease", "lease-unknown"),
        ("expired", "lease-expired"),
        ("other customer", "lease-other-customer"),
        ("other account", "lease-other-customer"),
        ("too much at once", "lease-per-op"),
        ("a lease with a NUL", "lease-unknown"),
        ("a customer with a NUL", "lease-other-customer"),
        ("a lease that is a number", "lease-unknown"),
    ],
)
def test_a_wrong_withdrawal_goes_to_suspense_with_its_reason_and_the_cash_is_booked(
    village: Village, claim: str, reason: str
) -> None:
    op = bad_withdrawal(village, claim)
    assert settle(village, op) == ("suspense", reason)
    assert village.balance("customer:c-1") == 300_000
    fen = 50_001 if claim == "too much at once" else 50_000
    assert village.balance("suspense") == -fen
    assert village.balance("drawer:kiosk-1") == -2_000_000 + fen
    assert village.reasons("suspense") == [reason]


@pytest.mark.parametrize("batches", [1, 2])
def test_a_pin_answer_pays_once_whatever_the_journal_says(village: Village, batches: int) -> None:
    lease, kiosk = village.lease(), village.kiosk
    answer = kiosk.pin_answer(lease, 20_000)
    first = kiosk.withdraw(lease, 20_000, pin_answer=answer)
    if batches == 2:
        assert settle(village, first) == ("posted", "")
    second = kiosk.withdraw(lease, 20_000, pin_answer=answer)
    assert settle(village, second) == ("suspense", "pin-answer-spent")
    assert village.outcome(first) == ("posted", "")
    assert village.balance("customer:c-1") == 280_000
    assert village.number("SELECT count(*) FROM pin_answers") == 1


def test_a_lease_of_another_kiosk_is_not_spent(village: Village, tmp_path: Path) -> None:
    lease = village.lease()
    other = make_kiosk(tmp_path, "kiosk-2")
    add_device(village.connection, "kiosk-2", "kiosk", other.identity.public_bytes, "", NOW_US)
    village.kiosk = other
    op = other.withdraw(lease, 10_000)
    assert settle(village, op) == ("suspense", "lease-other-kiosk")
    assert village.balance("drawer:kiosk-2") == 10_000


def test_a_lease_is_spent_to_the_last_fen_and_no_further(village: Village) -> None:
    lease = village.lease(100_000, 50_000)
    ops = [village.kiosk.withdraw(lease, 50_000) for _ in range(3)]
    village.send()
    village.post()
    assert [village.outcome(op)[0] for op in ops] == ["posted", "posted", "suspense"]
    assert village.outcome(ops[2])[1] == "pending-closed"
    assert village.balance("customer:c-1") == 200_000


def test_withdrawals_beyond_the_count_go_to_suspense_within_one_batch(village: Village) -> None:
    lease = village.lease(count=2)
    ops = [village.kiosk.withdraw(lease, 100) for _ in range(3)]
    village.send()
    village.post()
    assert [village.outcome(op) for op in ops] == [
        ("posted", ""), ("posted", ""), ("suspense", "lease-count"),
    ]  # fmt: skip
    assert village.number("SELECT count_used FROM leases") == 2


def test_what_is_refused_frees_its_use_of_the_count_for_the_next(village: Village) -> None:
    lease = village.lease(60_000, 50_000, count=2)
    fens = (50_000, 50_000, 10_000)
    ops = [village.kiosk.withdraw(lease, fen) for fen in fens]
    village.send()
    village.post()
    assert [village.outcome(op) for op in ops] == [
        ("posted", ""), ("suspense", "exceeds-pending"), ("posted", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("fen", [0, -5, True, "50", 10**13 + 1, None])
def test_a_withdrawal_of_no_readable_amount_is_an_exception_and_moves_nothing(
    village: Village, fen: Any
) -> None:
    op = village.kiosk.withdraw(village.lease(), fen)
    assert settle(village, op) == ("suspense", "entry-body")
    assert village.balance("suspense") == 0


def test_a_gateway_that_claims_cash_stays_unbooked_and_is_an_exception(
    village: Village, tmp_path: Path
) -> None:
    box = make_kiosk(tmp_path, "box-1")
    add_device(village.connection, "box-1", "gateway", box.identity.public_bytes, "", NOW_US)
    village.kiosk = box
    op = box.withdraw(village.lease(), 10_000)
    assert settle(village, op) == ("suspense", "unbooked: account-unknown")
    assert village.balance("suspense") == 0


def test_entries_without_money_get_their_outcomes(village: Village) -> None:
    kiosk = village.kiosk
    ops = [
        kiosk.write("receipt-copy", {"of": "00" * 16, "receipt": "R1"}),
        kiosk.write("dance", {}),
        kiosk.write("transfer", {}, **{"class": "REQUEST"}),
        kiosk.append(b"poison"),
    ]
    village.send()
    village.post()
    assert [village.outcome(op)[0] for op in ops] == ["posted", "suspense", "declined", "suspense"]
    assert village.outcome(ops[1])[1] == "kind-unknown"
    assert village.outcome(ops[3])[1].startswith("poison: ")


def test_the_device_is_told_every_outcome_and_the_new_balances(village: Village) -> None:
    op = village.kiosk.withdraw(village.lease(), 50_000)
    settle(village, op)
    rows = village.connection.execute(
        "SELECT scope, key, value FROM downlink_items WHERE scope <> 'leases'"
    ).fetchall()
    told = {(scope, key): decode(value) for scope, key, value in rows}
    assert told["results", op.hex]["status"] == "posted"
    assert told["balances", "customer:c-1"]["balance_fen"] == 250_000
    assert told["balances", "customer:c-1"]["available_fen"] == 200_000
    assert told["drawer", "kiosk-1"]["balance_fen"] == 1_950_000


def test_an_outcome_never_changes(village: Village) -> None:
    settle(village, village.kiosk.withdraw(village.lease(), 100))
    with pytest.raises(psycopg.IntegrityError):
        village.connection.execute("UPDATE outcomes SET status = 'declined', reason = 'x'")


# ------------------------------------------------------------------ parallel, and cut off
def test_posters_in_parallel_post_every_entry_once(
    village: Village, connections: Callable[[], Connection]
) -> None:
    lease = village.lease(100_000, 1_000, count=10_000)
    for _ in range(240):
        village.kiosk.withdraw(lease, 500)
    for first in range(1, 240, 60):
        village.send(village.kiosk.frame(first, first + 59))
    failures: list[BaseException] = []

    def work(own: Connection) -> None:
        try:
            while post_queued(own, NOW_US, limit=7):
                pass
        except psycopg.Error as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(connections(),)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert village.number("SELECT count(*) FROM outcomes WHERE status = 'posted'") == 200
    assert village.number("SELECT count(*) FROM outcomes WHERE status = 'suspense'") == 40
    assert village.number("SELECT sum(amount_fen) FROM transfers WHERE code = 'withdrawal'") == (
        100_000
    )
    assert village.number("SELECT count_used FROM leases") == 200


def test_a_poster_killed_before_its_commit_leaves_the_entry_queued_and_nothing_moved(
    village: Village, connections: Callable[[], Connection]
) -> None:
    op = village.kiosk.withdraw(village.lease(), 50_000)
    village.send()
    dying = connections()
    with dying.transaction(force_rollback=True):
        assert post_queued(dying, NOW_US) == 1
        assert village.post() == 0, "another poster passes by what is taken"
    assert village.balance("customer:c-1") == 300_000
    assert village.number("SELECT count(*) FROM post_queue") == 1
    assert village.post() == 1
    assert village.outcome(op) == ("posted", "")
    assert village.balance("customer:c-1") == 250_000


def test_two_customers_in_one_batch_do_not_touch_each_other(village: Village) -> None:
    other = make_customer(village.hpke, "c-2")
    add_customer(village.connection, other, ["kiosk-1"], 100_000, NOW_US)
    good = village.kiosk.withdraw(village.lease(), 10_000)
    bad = village.kiosk.withdraw(lease_id(50), 10_000, customer="c-2", account="customer:c-2")
    village.send()
    village.post()
    assert (village.outcome(good)[0], village.outcome(bad)[0]) == ("posted", "suspense")
    assert village.balance("customer:c-2") == 100_000
