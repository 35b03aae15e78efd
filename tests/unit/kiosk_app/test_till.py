"""What is claimed of the kiosk's own tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.sqlite import engine
from kiosk_app.till import FLOOR_AHEAD_US_MAX

if TYPE_CHECKING:
    from tests.unit.kiosk_app.village import Village


def test_a_spend_is_never_changed_or_deleted(village: Village) -> None:
    village.withdraw(50_000)
    for statement in ("UPDATE lease_spends SET amount_fen = 1", "DELETE FROM lease_spends"):
        with pytest.raises(engine.IntegrityError):
            village.store.execute(statement)
    assert [each.amount_fen for each in village.teller.till.spends()] == [50_000]


def test_the_latest_time_only_rises_and_a_mad_leap_is_not_taken(village: Village) -> None:
    till = village.teller.till
    floor = till.time_floor_us()
    till.raise_floor(floor + 5)
    till.raise_floor(0)
    assert till.time_floor_us() == floor + 5
    till.raise_floor(floor + FLOOR_AHEAD_US_MAX * 2)
    assert till.time_floor_us() == floor + 5
    till.raise_floor(floor + FLOOR_AHEAD_US_MAX * 2, is_signed=True)
    assert till.time_floor_us() == floor + FLOOR_AHEAD_US_MAX * 2


def test_a_receipt_is_kept_as_it_was_made(village: Village) -> None:
    village.withdraw(50_000)
    till = village.teller.till
    receipt = till.last_receipt()
    assert receipt is not None
    assert till.receipt(receipt.op_id) == receipt
    assert receipt.head == village.journal.head().hash
    assert till.is_printed(receipt.op_id)
    assert till.receipt("00") is None


def test_an_empty_till_has_nothing(village: Village) -> None:
    till = village.teller.till
    assert (till.last_receipt(), list(till.spends()), till.is_printed("00")) == (None, [], False)
