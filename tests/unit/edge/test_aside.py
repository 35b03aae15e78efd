"""Claims about poison: a message the core can never take leaves the queue, and is told and kept."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from edge.codec import decode
from edge.errors import DeviceFault, PeerError
from edge.keys import sign_evidence
from edge.outbox import PRIORITY_EVENT, PRIORITY_RAW, Message, OutboxLimits
from edge.seal import read_sign1
from tests.unit.edge.desk import DEVICE, DOWN, CoreSide, Desk, Running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def box(desk: Desk) -> Iterator[Running]:
    with desk.open() as running:
        yield running


def refusal(desk: Desk, message: Message, **changed: Any) -> bytes:
    """The core's signed word about a message."""
    record = {
        "type": "refused",
        "device": DEVICE,
        "epoch": message.epoch,
        "seq": message.seq,
        "sha256": hashlib.sha256(message.payload).digest(),
        "code": "tampered",
    }
    return sign_evidence(desk.core, {**record, **changed}, DOWN)


def heed(desk: Desk, box: Running, message: Message, **changed: Any) -> bool:
    return box.stream.heed(refusal(desk, message, **changed), desk.verify_core, DOWN)


def damage(box: Running, seq: int) -> None:
    """A byte of the disk has turned, and SQLite did not notice."""
    whole = box.outbox.due(1, (1, seq - 1))[0].payload
    box.store.execute(
        "UPDATE outbox_messages SET message = ? WHERE epoch = 1 AND seq = ?",
        (whole[:-1] + bytes([whole[-1] ^ 1]), seq),
    )


def places(box: Running) -> list[tuple[int, int]]:
    return [(each.epoch, each.seq) for each in box.outbox.due(1_000)]


# ---------------------------------------------------------------- a batch
def test_what_is_refused_leaves_the_queue_and_the_queue_goes_on(desk: Desk, box: Running) -> None:
    for number in range(4):
        box.stream.seal(b"batch %d" % number, PRIORITY_EVENT)
    damage(box, 2)
    core = CoreSide(desk)
    box.send(core)
    assert core.streams[1].seq == 1
    poison = box.outbox.due(9)[2]
    assert heed(desk, box, poison)
    gap = decode(read_sign1(box.outbox.due(9)[2].payload)[1])
    assert (gap["type"], gap["first"], gap["last"]) == ("gap", 2, 2)
    assert (gap["lost"], gap["reason"]) == ({"event": 1}, "refused")
    box.send(core)
    assert core.streams[1].seq == 4
    assert box.outbox.settle(core.stored(1), desk.verify_core, DOWN) == 4
    assert box.outbox.empty
    counts = box.outbox.counts()
    assert (counts["settled"], counts["aside"], counts["aside_2"], counts["dropped"]) == (
        4,
        1,
        1,
        0,
    )


def test_what_is_set_aside_is_kept_as_it_was_for_the_technician(desk: Desk, box: Running) -> None:
    box.stream.seal(b"batch", PRIORITY_RAW)
    box.stream.state({"type": "consent"})
    batch, evidence = box.outbox.due(9)[1:]
    assert heed(desk, box, evidence, code="conflict")
    assert heed(desk, box, batch)
    assert box.outbox.kept_aside() == [
        {"epoch": 1, "seq": 2, "priority": 3, "code": "conflict", "message": evidence.payload},
        {"epoch": 1, "seq": 1, "priority": 0, "code": "tampered", "message": batch.payload},
    ]


def test_a_refusal_that_comes_again_or_too_late_changes_nothing(desk: Desk, box: Running) -> None:
    for _ in range(3):
        box.stream.seal(b"batch", PRIORITY_RAW)
    first, second = box.outbox.due(9)[1:3]
    assert heed(desk, box, second)
    box.outbox.settle(desk.stored(1, 1, box.head_at(1, 1)), desk.verify_core, DOWN)
    before, waiting = box.outbox.counts(), box.outbox.due(9)
    assert not heed(desk, box, second)
    assert not heed(desk, box, first)
    assert (box.outbox.counts(), box.outbox.due(9)) == (before, waiting)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"sha256": b"d" * 32}, "outbox-refusal"),
        ({"seq": 2}, "outbox-refusal"),
        ({"device": "box-2"}, "outbox-answer"),
        ({"code": "Because"}, "outbox-answer"),
        ({"type": "stored"}, "outbox-answer"),
    ],
)
def test_what_others_sent_in_our_name_condemns_nothing_of_ours(
    desk: Desk, box: Running, changed: dict[str, Any], code: str
) -> None:
    for _ in range(2):
        box.stream.seal(b"batch", PRIORITY_RAW)
    before = box.outbox.due(9)
    with pytest.raises(PeerError) as refused:
        heed(desk, box, before[1], **changed)
    assert refused.value.code == code
    assert box.outbox.due(9) == before
    assert box.outbox.counts()["aside"] == 0


def test_a_device_cannot_refuse_for_the_core(desk: Desk, box: Running) -> None:
    box.stream.seal(b"batch", PRIORITY_RAW)
    message = box.outbox.due(9)[1]
    record = decode(read_sign1(refusal(desk, message))[1])
    with pytest.raises(PeerError):
        box.stream.heed(sign_evidence(desk.identity, record, DOWN), desk.verify_core, DOWN)
    assert places(box) == [(1, 0), (1, 1)]


def test_what_is_set_aside_is_bounded_and_the_oldest_go_first(desk: Desk) -> None:
    with desk.open(OutboxLimits(aside_bytes_max=1_000)) as box:
        for _ in range(5):
            box.stream.seal(b"x" * 300, PRIORITY_RAW)
        for message in box.outbox.due(9)[1:]:
            heed(desk, box, message)
        assert [row["seq"] for row in box.outbox.kept_aside()] == [4, 5]
        assert box.outbox.counts()["aside"] == 5


def test_one_that_just_fits_is_kept(desk: Desk) -> None:
    with desk.open() as box:
        box.stream.seal(b"x" * 300, PRIORITY_RAW)
        size = len(box.outbox.due(9)[1].payload)
    for bytes_max, kept in ((size, 1), (size - 1, 0)):
        aside = desk.folder / str(kept)
        aside.mkdir()
        with Desk(aside).open(OutboxLimits(aside_bytes_max=bytes_max)) as box:
            box.stream.seal(b"x" * 300, PRIORITY_RAW)
            heed(Desk(aside), box, box.outbox.due(9)[1])
            assert len(box.outbox.kept_aside()) == kept


def test_one_that_is_larger_than_all_that_may_be_kept_is_counted_alone(desk: Desk) -> None:
    with desk.open(OutboxLimits(aside_bytes_max=100)) as box:
        box.stream.seal(b"x" * 300, PRIORITY_RAW)
        heed(desk, box, box.outbox.due(9)[1])
        assert box.outbox.kept_aside() == []
        assert box.outbox.counts()["aside"] == 1


def test_losses_beside_poison_become_one_gap(desk: Desk) -> None:
    with desk.open(OutboxLimits(messages_max=4)) as box:
        for _ in range(3):
            box.stream.seal(b"batch", PRIORITY_RAW)
        heed(desk, box, box.outbox.due(9)[2])
        for _ in range(2):
            box.stream.seal(b"batch", PRIORITY_RAW)
        gap = decode(read_sign1(box.outbox.due(9)[1].payload)[1])
        assert (gap["first"], gap["last"], gap["reason"]) == (1, 2, "several")
        core = CoreSide(desk)
        box.send(core)
        assert core.streams[1].seq == 5


def test_a_full_disk_keeps_nothing_new_and_poison_leaves_all_the_same(desk: Desk) -> None:
    with desk.open() as box:
        box.stream.seal(b"x" * 20_000, PRIORITY_RAW)
        pages = box.store.row("PRAGMA page_count")
        assert pages is not None
        box.store.execute(f"PRAGMA max_page_count = {pages['page_count']}")
        before, waiting = box.outbox.counts(), box.outbox.due(9)
        with pytest.raises(DeviceFault) as full:
            box.stream.seal(b"x" * 200_000, PRIORITY_RAW)
        assert full.value.code == "disk-full"
        assert (box.outbox.counts(), box.outbox.due(9)) == (before, waiting)
        assert heed(desk, box, waiting[1])  # it moves to where it was
        box.store.execute("PRAGMA max_page_count = 100000")
        box.stream.seal(b"x", PRIORITY_RAW)
        core = CoreSide(desk)
        box.send(core)
        assert not core.verdicts.keys() - {"new"}
        assert box.outbox.counts()["aside"] == 1


# ---------------------------------------------------------------- with the core's own rules
def obey(desk: Desk, box: Running, core: CoreSide) -> int:
    """Lets the box hear what the core refused; returns how much of it was the box's."""
    heard = 0
    for word in core.refusals:
        with contextlib.suppress(PeerError):
            heard += box.stream.heed(word, desk.verify_core, DOWN)
    core.refusals.clear()
    return heard


def test_a_batch_that_the_disk_damaged_is_refused_by_the_core_and_blocks_nothing(
    desk: Desk, box: Running
) -> None:
    for number in range(5):
        box.stream.seal(b"batch %d" % number, PRIORITY_RAW)
    box.stream.state({"type": "notice"})
    damage(box, 2)
    damage(box, 6)
    box.stream.close()
    core = CoreSide(desk)
    box.send(core)
    assert (core.streams[1].seq, core.verdicts["tampered"]) == (1, 1)
    assert core.verdicts["bad-signature"] == 1
    assert obey(desk, box, core) == 2
    box.send(core)
    assert (core.streams[1].seq, core.streams[1].verdict) == (7, "verified")
    box.outbox.settle(core.stored(1), desk.verify_core, DOWN)
    assert box.outbox.empty
    assert [row["code"] for row in box.outbox.kept_aside()] == ["tampered", "bad-signature"]


def test_a_batch_that_was_heard_before_its_start_is_refused_when_it_is_tried(
    desk: Desk, box: Running
) -> None:
    box.stream.seal(b"batch", PRIORITY_RAW)
    damage(box, 1)
    core = CoreSide(desk)
    for message in reversed(box.outbox.due(9)):
        core.hear(message.payload)
    assert obey(desk, box, core) == 1
    box.send(core)
    assert core.streams[1].seq == 1


def test_a_broker_that_changes_what_it_carries_makes_the_box_give_up_nothing(
    desk: Desk, box: Running
) -> None:
    for _ in range(3):
        box.stream.seal(b"batch", PRIORITY_RAW)
    box.stream.state({"type": "notice"})
    core = CoreSide(desk)
    core.hear(box.outbox.due(1)[0].payload)
    for message in box.outbox.due(9)[1:]:
        core.hear(message.payload[:-1] + bytes([message.payload[-1] ^ 1]))
    assert len(core.refusals) == 4
    assert obey(desk, box, core) == 0
    box.send(core)
    assert core.streams[1].seq == 4
    assert box.outbox.counts()["aside"] == 0


def test_a_start_that_the_disk_damaged_holds_its_epoch_back_and_another_begins(
    desk: Desk, box: Running
) -> None:
    box.stream.seal(b"batch", PRIORITY_RAW)
    damage(box, 0)
    core = CoreSide(desk)
    box.send(core)
    assert obey(desk, box, core) == 1
    assert places(box) == []
    box.stream.seal(b"batch", PRIORITY_RAW)
    box.send(core)
    assert core.streams[2].seq == 1
    box.outbox.settle(core.stored(2), desk.verify_core, DOWN)
    assert [fault["code"] for fault in box.outbox.held.faults()] == ["bad-signature"]


def test_evidence_is_not_hopeless_before_its_epoch_has_begun(desk: Desk, box: Running) -> None:
    box.stream.state({"type": "notice"})
    box.stream.close()
    core = CoreSide(desk)
    core._ingest._device_key = {DEVICE: desk.core.public_bytes}.get
    box.send(core)
    assert core.verdicts == {"bad-signature": 3}
    assert obey(desk, box, core) == 1
    assert box.outbox.counts()["aside"] == 0
    assert box.outbox.held.faults() == [{"epoch": 1, "code": "bad-signature"}]
