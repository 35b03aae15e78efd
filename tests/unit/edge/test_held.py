"""Claims about epochs that cannot be opened: they wait aside of the queue, and are tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.epochs import DOUBT_US
from edge.outbox import PRIORITY_RAW, OutboxLimits
from tests.unit.edge.desk import DOWN, CoreSide, Desk, Running
from tests.unit.edge.test_aside import heed, places

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


def refuse_start(desk: Desk, box: Running) -> None:
    """The core refuses the first start that is due."""
    assert heed(desk, box, box.outbox.due(1)[0], code="bad-wrap")


def test_a_refused_start_is_a_fault_that_holds_its_epoch_back_alone(
    desk: Desk, box: Running
) -> None:
    box.stream.seal(b"batch", PRIORITY_RAW)
    refuse_start(desk, box)
    assert box.outbox.held.faults() == [{"epoch": 1, "code": "bad-wrap"}]
    assert places(box) == []
    assert not box.outbox.empty
    assert box.outbox.counts()["waiting"] == 2
    assert box.outbox.kept_aside() == []


def test_the_gaps_of_a_held_epoch_wait_with_it(desk: Desk) -> None:
    with desk.open(OutboxLimits(messages_max=3)) as box:
        for _ in range(4):
            box.stream.seal(b"batch", PRIORITY_RAW)
        refuse_start(desk, box)
        assert places(box) == []


def test_the_next_seal_begins_another_epoch(desk: Desk, box: Running) -> None:
    box.stream.seal(b"batch", PRIORITY_RAW)
    refuse_start(desk, box)
    assert box.stream.seal(b"batch", PRIORITY_RAW) == 1
    assert box.stream.epoch == 2


def test_a_core_that_refuses_every_start_is_not_asked_with_each_batch(
    desk: Desk, box: Running
) -> None:
    epochs = []
    for _ in range(4):
        box.stream.seal(b"batch", PRIORITY_RAW)
        epochs.append(box.stream.epoch)
        for message in box.outbox.due(99):
            if message.seq == 0:
                heed(desk, box, message, code="policy")
        desk.clock.advance(DOUBT_US // 2)
    assert epochs == [1, 2, 2, 3]


def test_the_refusal_of_an_earlier_epoch_does_not_end_the_present_one(
    desk: Desk, box: Running
) -> None:
    box.stream.begin()
    start = box.outbox.due(1)[0]
    box.stream.begin()
    assert heed(desk, box, start)
    box.stream.seal(b"batch", PRIORITY_RAW)
    assert box.stream.epoch == 2
    assert places(box) == [(2, 0), (2, 1)]


def test_held_epochs_are_tried_again_one_at_a_time_in_turn(desk: Desk, box: Running) -> None:
    for _ in range(3):
        box.stream.begin()
    for start in [each for each in box.outbox.due(99) if each.seq == 0]:
        heed(desk, box, start)
    tried = []
    for _ in range(4):
        box.stream.begin()
        starts = [each for each in box.outbox.due(99) if each.seq == 0]
        tried.append([each.epoch for each in starts])
        for start in starts:
            heed(desk, box, start)
    assert tried == [[1, 4], [2, 5], [3, 6], [1, 7]]


def test_what_a_mended_core_takes_lets_the_others_follow(desk: Desk, box: Running) -> None:
    for _ in range(3):
        box.stream.seal(b"batch", PRIORITY_RAW)
        box.stream.close()
    for start in [each for each in box.outbox.due(99) if each.seq == 0]:
        heed(desk, box, start)
    box.stream.begin()
    core = CoreSide(desk)
    box.send(core)
    assert {epoch for epoch, _ in places(box)} == {1, 4}
    box.outbox.settle(core.stored(1), desk.verify_core, DOWN)
    assert {epoch for epoch, _ in places(box)} == {2, 3, 4}
    assert [fault["epoch"] for fault in box.outbox.held.faults()] == [2, 3]
    box.send(core)
    for epoch in (2, 3, 4):
        box.outbox.settle(core.stored(epoch), desk.verify_core, DOWN)
    assert box.outbox.empty
    assert box.outbox.held.faults() == []


def test_what_is_held_is_held_after_a_restart_too(desk: Desk) -> None:
    with desk.open() as box:
        box.stream.begin()
        box.stream.begin()
        for start in [each for each in box.outbox.due(99) if each.seq == 0]:
            heed(desk, box, start)
    with desk.open() as box:
        assert places(box) == []
        assert len(box.outbox.held.faults()) == 2
