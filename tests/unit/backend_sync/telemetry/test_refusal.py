"""Claims about refusals: what is told, to whom, of which bytes, and how often."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from backend_sync.telemetry.refusal import (
    DEVICES_MAX,
    MINUTE_US,
    PER_MINUTE,
    Refusal,
    RefusalLimit,
    refusal_record,
)
from backend_sync.telemetry.store import take_in
from tests.unit.backend_sync.telemetry.box import ORG, START_US, Box, Core, Message

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[Any]


def changed(message: Message) -> Message:
    topic, sealed = message
    return topic, sealed[:-1] + bytes([sealed[-1] ^ 1])


def told(connection: Connection, core: Core, *messages: Message) -> list[Refusal]:
    return take_in(connection, core.ingest(), ORG, messages, START_US).refusals


def refusal(message: Message, epoch: int, seq: int, code: str) -> Refusal:
    return Refusal("box-1", epoch, seq, hashlib.sha256(message[1]).digest(), code)


def test_a_batch_that_does_not_open_is_refused_by_its_digest(
    connection: Connection, core: Core, box: Box
) -> None:
    start, poison, good = box.start(), changed(box.batch(1)), box.batch(2)
    assert told(connection, core, start, poison, good) == [refusal(poison, 1, 1, "tampered")]
    assert told(connection, core, poison) == [refusal(poison, 1, 1, "tampered")]


def test_a_close_that_the_device_did_not_sign_is_refused_by_its_number(
    connection: Connection, core: Core, box: Box
) -> None:
    start, batch, close = box.drive(1)
    poison = changed(close)
    assert told(connection, core, start, batch, poison) == [refusal(poison, 1, 2, "bad-signature")]


def test_a_second_message_of_one_number_is_refused(
    connection: Connection, core: Core, box: Box
) -> None:
    start, one, other = box.start(), box.batch(1), box.batch(1, b"another")
    assert told(connection, core, start, one, other) == [refusal(other, 1, 1, "conflict")]


@pytest.mark.parametrize(
    ("record", "code"), [({"policy": 99}, "policy"), ({"alg": 24}, "algorithm")]
)
def test_a_start_is_refused_for_whatever_reason(
    connection: Connection, core: Core, box: Box, record: dict[str, Any], code: str
) -> None:
    start = box.start(**record)
    assert told(connection, core, start) == [refusal(start, 1, 0, code)]


def test_what_waited_for_a_start_that_is_refused_is_forgotten(
    connection: Connection, core: Core, box: Box
) -> None:
    ingest = core.ingest()
    start = box.start(policy=99)
    take_in(connection, ingest, ORG, [box.batch(1), box.batch(2)], START_US)
    take_in(connection, ingest, ORG, [start], START_US)
    assert ingest.release("box-1", 1) == []


def test_nothing_is_said_of_what_may_still_be_taken(
    connection: Connection, core: Core, box: Box
) -> None:
    close = box.close(1)
    assert told(connection, core, changed(close)) == []  # its epoch has not begun
    start, far = box.start(), box.batch(9_000)
    assert told(connection, core, start, far) == []  # too far ahead, for now
    core.devices.clear()
    assert told(connection, core, box.batch(1), box.start()) == []  # not registered, for now


def test_nothing_is_said_of_bytes_that_name_no_number(
    connection: Connection, core: Core, box: Box
) -> None:
    gap = box.evidence({"type": "gap", "device": "box-1", "epoch": 1, "first": 0, "last": 0})
    assert told(connection, core, box.start(), (box.topic, b"\xff"), gap) == []


def test_a_refusal_says_all_that_the_box_compares() -> None:
    assert refusal_record(Refusal("box-1", 2, 3, b"d" * 32, "tampered")) == {
        "type": "refused",
        "device": "box-1",
        "epoch": 2,
        "seq": 3,
        "sha256": b"d" * 32,
        "code": "tampered",
    }


def test_a_device_is_told_so_many_a_minute_whoever_asks_for_more() -> None:
    limit = RefusalLimit()
    assert [limit.allows("box-1", 0) for _ in range(PER_MINUTE + 3)] == [True] * PER_MINUTE + [
        False
    ] * 3
    assert limit.allows("box-2", 0)
    assert not limit.allows("box-1", MINUTE_US // PER_MINUTE // 2)
    assert limit.allows("box-1", MINUTE_US // PER_MINUTE + 1)
    assert sum(limit.allows("box-1", 10 * MINUTE_US) for _ in range(200)) == PER_MINUTE


def test_what_is_remembered_of_devices_is_bounded() -> None:
    limit = RefusalLimit()
    for number in range(DEVICES_MAX + 10):
        limit.allows(f"box-{number}", 0)
    assert len(limit._spent) == DEVICES_MAX
