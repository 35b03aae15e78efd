"""Claims about the report: a sound core is said to be sound, and every planted fault is found."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from backend_sync.core.ledger import Transfer, post_batch
from backend_sync.core.reconcile import Report, reconcile
from tests.unit.backend_sync.core.village import NOW_US, Village, lease_id

if TYPE_CHECKING:
    from backend_sync.core.database import Connection


@pytest.fixture
def worked(village: Village) -> Village:
    """A village after a day: three good withdrawals, one in suspense, one still queued."""
    lease = village.lease(200_000)
    for fen in (10_000, 20_000, 30_000):
        village.kiosk.withdraw(lease, fen)
    village.kiosk.withdraw(lease_id(66), 5_000)
    village.send()
    village.post()
    village.kiosk.withdraw(lease, 1_000)
    village.send(village.kiosk.frame(5))
    return village


def report(village: Village) -> Report:
    return reconcile(village.connection)


def unlock(connection: Connection, table: str, trigger: str) -> None:
    connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}".encode())


def test_a_sound_core_adds_up(worked: Village) -> None:
    found = report(worked)
    assert found.sound
    assert (found.entries, found.posted, found.suspense, found.waiting) == (5, 3, 1, 1)
    assert found.paid_out_fen == {"kiosk-1": 65_000}
    assert found.cash_fen == {"kiosk-1": 2_000_000 - 65_000}
    assert found.exceptions == {"suspense": 1}
    assert found.as_dict()["sound"] is True


def test_an_empty_core_is_sound(connection: Connection) -> None:
    assert reconcile(connection).sound


def test_an_entry_that_vanished_from_the_queue_is_lost(worked: Village) -> None:
    worked.connection.execute("DELETE FROM post_queue")
    found = report(worked)
    assert (found.lost, found.sound) == (1, False)


def test_an_outcome_without_its_entry_in_the_ledger_is_lost(worked: Village) -> None:
    row = worked.connection.execute("SELECT op_id FROM post_queue").fetchone()
    assert row is not None
    with worked.connection.transaction():
        worked.connection.execute("DELETE FROM post_queue")
        worked.connection.execute("INSERT INTO outcomes VALUES (%s, 'posted', '', 1)", [row[0]])
    found = report(worked)
    assert (found.lost, found.sound) == (1, False)


def test_a_withdrawal_posted_with_another_amount_is_lost(worked: Village) -> None:
    unlock(worked.connection, "transfers", "transfers_immutable")
    worked.connection.execute(
        "UPDATE transfers SET amount_fen = 10001 WHERE code = 'withdrawal' AND amount_fen = 10000"
    )
    found = report(worked)
    assert found.lost == 1
    assert found.not_derived == ["customer:c-1", "drawer:kiosk-1"]


def test_a_movement_that_no_journal_tells_of_is_double(worked: Village) -> None:
    order = Transfer(UUID(int=5), "single", "suspense", "drawer:kiosk-1", 5_000, code="withdrawal")
    with worked.connection.transaction():
        post_batch(worked.connection, [order], NOW_US)
    found = report(worked)
    assert (found.double, found.lost, found.sound) == (1, 0, False)


def test_one_receipt_booked_twice_is_double(village: Village) -> None:
    lease = village.lease()
    for _ in range(2):
        village.kiosk.withdraw(lease, 1_000, receipt="R1")
    village.send()
    village.post()
    assert report(village).double == 1


def test_a_balance_that_was_written_by_hand_is_found(worked: Village) -> None:
    unlock(worked.connection, "accounts", "accounts_balanced")
    worked.connection.execute(
        "UPDATE accounts SET balance_fen = balance_fen + 1 WHERE account = 'customer:c-1'"
    )
    found = report(worked)
    assert (found.ledger_sum_fen, found.not_derived) == (1, ["customer:c-1"])
    assert not found.sound


def test_a_quarantined_device_is_named(worked: Village) -> None:
    worked.connection.execute("UPDATE devices SET state = 'quarantined', state_reason = 'x'")
    assert report(worked).quarantined == ["kiosk-1"]
