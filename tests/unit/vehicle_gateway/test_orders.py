"""Tests of orders: only the core's, only ours, only once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.errors import PeerError
from edge.keys import sign_evidence
from edge.purposes import COMMAND, POLICY
from tests.unit.vehicle_gateway.yard import DEVICE, GROUP, START_US, Box, Core
from vehicle_gateway.orders import (
    REFUSALS_KEPT,
    Addressee,
    Form,
    Order,
    OrderBook,
    OrderRefused,
    open_order,
)

if TYPE_CHECKING:
    from edge.keys import FileIdentity

FORM = Form(COMMAND, "command", {"type": str, "verb": str})
US = Addressee(DEVICE, GROUP)
RECORD: dict[str, Any] = {
    "type": "command", "device": DEVICE, "seq": 3, "expiry_us": START_US, "verb": "v",
}  # fmt: skip


def signed(signer: FileIdentity, purpose: str = COMMAND, **changed: Any) -> bytes:
    record = {name: value for name, value in {**RECORD, **changed}.items() if value is not None}
    return sign_evidence(signer, record, purpose)


def test_an_order_for_this_box_or_its_group_is_opened(core: Core) -> None:
    by_name = open_order(signed(core.signer), core.verify, FORM, US)
    by_group = open_order(signed(core.signer, device=None, group=GROUP), core.verify, FORM, US)
    assert (by_name.seq, by_group.seq, by_name.expiry_us) == (3, 3, START_US)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "for another box": ({"device": "box-2"}, "order-device"),
    "for another group": ({"device": None, "group": "others"}, "order-device"),
    "for nobody": ({"device": None}, "order-shape"),
    "for two": ({"group": GROUP}, "order-shape"),
    "of another type": ({"type": "campaign"}, "order-shape"),
    "with a field too many": ({"colour": "red"}, "order-shape"),
    "with a field too few": ({"verb": None}, "order-shape"),
    "with a number in words": ({"seq": "3"}, "order-shape"),
    "with a truth for a number": ({"seq": True}, "order-shape"),
    "with the number nought": ({"seq": 0}, "order-shape"),
    "that is never over": ({"expiry_us": -1}, "order-shape"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_order_is_refused_that_is(case: str, core: Core) -> None:
    changed, code = WRONG[case]
    with pytest.raises(PeerError) as refused:
        open_order(signed(core.signer, **changed), core.verify, FORM, US)
    assert refused.value.code == code


def test_a_box_without_a_group_follows_no_order_for_the_nameless_group(core: Core) -> None:
    message = signed(core.signer, device=None, group="")
    with pytest.raises(PeerError):
        open_order(message, core.verify, FORM, Addressee(DEVICE))


def test_what_was_signed_for_something_else_is_no_order(core: Core) -> None:
    with pytest.raises(PeerError):
        open_order(signed(core.signer, POLICY), core.verify, FORM, US)


def test_what_the_box_itself_signed_is_no_order(core: Core, box: Box) -> None:
    with pytest.raises(PeerError):
        open_order(signed(box.identity), core.verify, FORM, US)


def test_a_changed_byte_is_no_order(core: Core) -> None:
    message = bytearray(signed(core.signer))
    message[len(message) // 2] ^= 1
    with pytest.raises(PeerError):
        open_order(bytes(message), core.verify, FORM, US)


def test_the_highest_number_outlives_a_restart_and_kinds_do_not_mix(box: Box) -> None:
    box.open()
    OrderBook(box.sink.store, "command").take(7)
    box.open()
    assert OrderBook(box.sink.store, "command").highest == 7
    assert OrderBook(box.sink.store, "campaign").highest == 0


@pytest.mark.parametrize(
    ("seq", "expiry_us", "code"),
    [
        (7, START_US + 1, "order-old"),
        (6, START_US + 1, "order-old"),
        (8, START_US, "order-expired"),
    ],
)
def test_an_old_order_and_one_that_is_over_are_refused(
    box: Box, seq: int, expiry_us: int, code: str
) -> None:
    box.open()
    book = OrderBook(box.sink.store, "command")
    book.take(7)
    book.require_due(Order(8, START_US + 1, {}), START_US)
    with pytest.raises(OrderRefused) as refused:
        book.require_due(Order(seq, expiry_us, {}), START_US)
    assert refused.value.code == code


def test_a_refusal_is_told_once_and_few_are_remembered(box: Box) -> None:
    box.open()
    book = OrderBook(box.sink.store, "command")
    assert book.note_refusal(5)
    assert not book.note_refusal(5)
    for seq in range(6, 6 + 2 * REFUSALS_KEPT):
        assert book.note_refusal(seq)
    rows = box.sink.store.rows("SELECT seq FROM gateway_order_refusals")
    assert len(rows) == REFUSALS_KEPT
