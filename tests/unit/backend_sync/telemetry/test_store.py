"""Claims about what is stored, acknowledged and refused: good and bad input of a device."""

from __future__ import annotations

import random  # noqa: TID251 - seeded: a failure can be repeated
from typing import TYPE_CHECKING, Any

import pytest

from backend_sync.telemetry.claim import MESSAGE_BYTES_MAX
from backend_sync.telemetry.report import consents_of, totals
from backend_sync.telemetry.store import Stored, take_in
from tests.unit.backend_sync.telemetry.box import ORG, START_US, Box, Core, plaintext

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from backend_sync.telemetry.ingest import Ingest

    Connection = psycopg.Connection[Any]
    Message = tuple[str, bytes]


def send(
    connection: Connection, ingest: Ingest, messages: Sequence[Message], at_a_time: int = 1
) -> list[Stored]:
    """Lets messages arrive, so many in a transaction; returns what was acknowledged last."""
    acknowledged: list[Stored] = []
    for index in range(0, len(messages), at_a_time):
        arrivals = messages[index : index + at_a_time]
        taken = take_in(connection, ingest, ORG, arrivals, START_US)
        acknowledged = taken.stored or acknowledged
    return acknowledged


def refused(connection: Connection) -> dict[str, int]:
    found: dict[str, int] = totals(connection)["rejected"]
    return found


def altered(message: Message, index: int = -1) -> Message:
    topic, sealed = message
    changed = bytearray(sealed)
    changed[index] ^= 1
    return topic, bytes(changed)


def test_an_epoch_is_acknowledged_through_its_close_with_the_devices_own_head(
    connection: Connection, core: Core, box: Box
) -> None:
    acknowledged = send(connection, core.ingest(), box.drive(3))
    assert acknowledged == [Stored("box-1", 1, 4, box.heads[4])]
    report = totals(connection)
    assert (report["batches"], report["lost"], report["waiting"]) == (3, 0, 0)
    assert (report["epochs"], report["epochs_verified"]) == (1, 1)


def test_acknowledgements_grow_with_the_contiguous_prefix_only(
    connection: Connection, core: Core, box: Box
) -> None:
    start, *batches, close = box.drive(3)
    ingest = core.ingest()
    assert send(connection, ingest, [start]) == [Stored("box-1", 1, 0, box.heads[0])]
    assert send(connection, ingest, [batches[0]]) == [Stored("box-1", 1, 1, box.heads[1])]
    assert send(connection, ingest, [batches[2]]) == [Stored("box-1", 1, 1, box.heads[1])]
    assert send(connection, ingest, [close]) == [Stored("box-1", 1, 1, box.heads[1])]
    assert totals(connection)["waiting"] == 2
    assert send(connection, ingest, [batches[1]]) == [Stored("box-1", 1, 4, box.heads[4])]


@pytest.mark.parametrize("at_a_time", [1, 3, 100])
def test_order_repetition_and_grouping_of_arrivals_change_nothing(
    connection: Connection, core: Core, box: Box, at_a_time: int
) -> None:
    messages = box.drive(8) * 2
    random.Random(at_a_time).shuffle(messages)
    send(connection, core.ingest(), messages, at_a_time)
    report = totals(connection)
    assert (report["batches"], report["epochs_verified"], report["waiting"]) == (8, 1, 0)
    assert report["duplicates"] + report["messages"] == len(messages)
    assert refused(connection) == {}


def test_a_replayed_batch_is_a_duplicate_and_acknowledged_again(
    connection: Connection, core: Core, box: Box
) -> None:
    messages = box.drive(2)
    send(connection, core.ingest(), messages)
    acknowledged = send(connection, core.ingest(), [messages[1]])
    assert acknowledged == [Stored("box-1", 1, 3, box.heads[3])]
    assert totals(connection)["duplicates"] == 1


def test_a_batch_before_its_epoch_start_is_held_and_then_stored(
    connection: Connection, core: Core, box: Box
) -> None:
    start, batch, _ = box.drive(1)
    ingest = core.ingest()
    assert send(connection, ingest, [batch]) == []
    assert totals(connection)["messages"] == 0
    assert send(connection, ingest, [start]) == [Stored("box-1", 1, 1, box.heads[1])]


def test_what_waits_for_an_epoch_start_is_bounded(
    connection: Connection, core: Core, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend_sync.telemetry.ingest.HELD_PER_DEVICE_MAX", 2)
    start, *batches, _ = box.drive(3)
    ingest = core.ingest()
    send(connection, ingest, [*batches, start])
    assert refused(connection) == {"hold-full": 1}
    assert send(connection, ingest, [batches[2]]) == [Stored("box-1", 1, 3, box.heads[3])]


@pytest.mark.parametrize("index", [-1, 40, 60])
def test_a_tampered_batch_is_refused_and_the_true_one_still_welcome(
    connection: Connection, core: Core, box: Box, index: int
) -> None:
    start, batch, _ = box.drive(1)
    ingest = core.ingest()
    send(connection, ingest, [start, altered(batch, index)])
    assert sum(refused(connection).values()) == 1
    assert send(connection, ingest, [batch]) == [Stored("box-1", 1, 1, box.heads[1])]


def test_a_batch_on_the_topic_of_another_device_is_refused(
    connection: Connection, core: Core, box: Box, other_box: Box
) -> None:
    start, batch, _ = box.drive(1)
    ingest = core.ingest()
    send(connection, ingest, [start, other_box.start(), (other_box.topic, batch[1])])
    assert refused(connection) == {"wrong-address": 1}


def test_a_batch_sealed_for_another_topic_is_refused(
    connection: Connection, core: Core, box: Box
) -> None:
    start = box.start()
    _, sealed = box.batch(1, topic="lastmile/v1/elsewhere/box-1/up")
    send(connection, core.ingest(), [start, (box.topic, sealed)])
    assert refused(connection) == {"tampered": 1}


@pytest.mark.parametrize(
    "topic", ["lastmile/v1/other/box-1/up", "lastmile/v1/org/box-1/down", "lastmile", "a/b/c/d/e"]
)
def test_a_topic_that_is_no_uplink_of_ours_is_refused(
    connection: Connection, core: Core, box: Box, topic: str
) -> None:
    send(connection, core.ingest(), [(topic, box.start()[1])])
    assert refused(connection) == {"wrong-address": 1}


def test_a_batch_of_one_epoch_does_not_open_in_another(
    connection: Connection, core: Core, box: Box
) -> None:
    messages = box.drive(1)
    box.epoch, box.seed = 2, b"\x09" * 32
    second = box.start()
    box.seed = b"\x07" * 32
    send(connection, core.ingest(), [*messages, second, box.batch(1)])
    assert refused(connection) == {"tampered": 1}


def test_a_device_that_nobody_knows_is_refused_without_a_trace_of_its_name(
    connection: Connection, core: Core, box: Box
) -> None:
    messages = box.drive(1)
    core.devices.clear()
    send(connection, core.ingest(), messages)
    assert refused(connection) == {"unknown-device": 3}
    names = connection.execute("SELECT DISTINCT device FROM telemetry_counts").fetchall()
    assert names == [("",)]


def test_a_device_struck_off_the_register_is_refused_in_the_middle_of_an_epoch(
    connection: Connection, core: Core, box: Box
) -> None:
    start, first, second, _ = box.drive(2)
    ingest = core.ingest()
    send(connection, ingest, [start, first])
    core.devices.clear()
    send(connection, ingest, [second])
    assert refused(connection) == {"unknown-device": 1}


def test_evidence_that_another_device_signed_is_refused(
    connection: Connection, core: Core, box: Box, other_box: Box
) -> None:
    forger = Box(other_box.identity, box.backend_public)
    send(connection, core.ingest(), [forger.start()])
    assert refused(connection) == {"wrong-address": 1}


def test_a_forged_signature_is_refused(connection: Connection, core: Core, box: Box) -> None:
    send(connection, core.ingest(), [altered(box.start())])
    assert refused(connection) == {"bad-signature": 1}


def test_evidence_signed_for_another_topic_is_refused(
    connection: Connection, core: Core, box: Box
) -> None:
    record = {"type": "epoch-close", "device": "box-1", "epoch": 1, "count": 0, "head": b"\0" * 32}
    _, message = box.evidence(record, "lastmile/v1/elsewhere/box-1/up")
    send(connection, core.ingest(), [(box.topic, message)])
    assert refused(connection) == {"bad-signature": 1}


def test_an_epoch_that_begins_twice_differently_is_refused(
    connection: Connection, core: Core, box: Box
) -> None:
    first, again = box.start(), box.start(boot="11" * 8)
    send(connection, core.ingest(), [first, again])
    assert refused(connection) == {"epoch-restart": 1}


def test_two_authentic_batches_of_one_number_are_a_conflict(
    connection: Connection, core: Core, box: Box
) -> None:
    start, batch, _ = box.drive(1)
    other = box.batch(1, plaintext(99))
    send(connection, core.ingest(), [start, batch, other])
    assert refused(connection) == {"conflict": 1}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({"alg": 1}, "algorithm"), ({"wrap": b"\0" * 97}, "bad-wrap"), ({"wrap": "x"}, "bad-wrap")],
)
def test_an_epoch_start_without_a_usable_key_is_refused(
    connection: Connection, core: Core, box: Box, changed: dict[str, Any], reason: str
) -> None:
    send(connection, core.ingest(), [box.start(**changed)])
    assert refused(connection) == {reason: 1}
    assert totals(connection)["epochs"] == 0


def test_a_batch_far_ahead_is_refused(connection: Connection, core: Core, box: Box) -> None:
    start = box.start()
    send(connection, core.ingest(), [start, box.batch(1_000_000)])
    assert refused(connection) == {"too-far": 1}


@pytest.mark.parametrize("message", [b"", b"\x83", b"\x84\x00", b"hello", b"\xff" * 100, b"\xa0"])
def test_bytes_without_meaning_are_refused(
    connection: Connection, core: Core, box: Box, message: bytes
) -> None:
    send(connection, core.ingest(), [(box.topic, message)])
    assert refused(connection) == {"malformed": 1}


def test_a_message_over_the_limit_is_refused_unread(
    connection: Connection, core: Core, box: Box
) -> None:
    send(connection, core.ingest(), [(box.topic, b"\x83" * (MESSAGE_BYTES_MAX + 1))])
    assert refused(connection) == {"too-large": 1}


def test_a_close_with_another_head_marks_the_epoch(
    connection: Connection, core: Core, box: Box
) -> None:
    start, batch, _ = box.drive(1)
    send(connection, core.ingest(), [start, batch, box.close(1, head=b"\1" * 32)])
    report = totals(connection)
    assert (report["epochs_verified"], report["epochs_mismatched"]) == (0, 1)


@pytest.mark.parametrize("gap_first", [True, False])
def test_a_gap_record_moves_the_acknowledgement_on_and_counts_what_is_lost(
    connection: Connection, core: Core, box: Box, *, gap_first: bool
) -> None:
    start, one, _two, _three, four, close = box.drive(4)
    gap = box.gap(2, 3)
    rest = [gap, four, close] if gap_first else [four, close, gap]
    acknowledged = send(connection, core.ingest(), [start, one, *rest])
    assert acknowledged == [Stored("box-1", 1, 5, box.heads[5])]
    report = totals(connection)
    assert (report["lost"], report["epochs_verified"]) == (2, 1)


def test_a_lost_batch_that_arrives_after_all_is_kept_and_not_lost(
    connection: Connection, core: Core, box: Box
) -> None:
    start, one, two, three, _ = box.drive(3)
    gap = box.gap(1, 2)
    send(connection, core.ingest(), [start, gap, three, two, one])
    assert totals(connection)["lost"] == 0
    assert totals(connection)["batches"] == 3


def test_two_devices_share_a_transaction_and_nothing_else(
    connection: Connection, core: Core, box: Box, other_box: Box
) -> None:
    messages = [
        each for pair in zip(box.drive(3), other_box.drive(3), strict=True) for each in pair
    ]
    acknowledged = send(connection, core.ingest(), messages, at_a_time=100)
    assert acknowledged == [
        Stored("box-1", 1, 4, box.heads[4]),
        Stored("box-2", 1, 4, other_box.heads[4]),
    ]


def test_what_a_driver_said_is_kept_once_in_order(
    connection: Connection, core: Core, box: Box
) -> None:
    given, withdrawn = box.consent(given_us=5), box.consent(given_us=9, withdrawn=True)
    send(connection, core.ingest(), [withdrawn, given, given])
    assert [(c["given_us"], c["withdrawn"]) for c in consents_of(connection, "driver-1")] == [
        (5, False),
        (9, True),
    ]


def test_a_consent_that_lacks_a_field_is_set_aside_alone(
    connection: Connection, core: Core, box: Box
) -> None:
    send(connection, core.ingest(), [box.consent(given_us=5, purpose=7), box.start()])
    assert consents_of(connection, "driver-1") == []
    assert totals(connection)["epochs"] == 1
