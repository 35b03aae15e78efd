"""Claims about what is told of losses: each loss once, in the fewest gaps, with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.codec import decode
from edge.gaps import AGE, PRIORITY_NAMES, REFUSED, ROOM, SEVERAL, Dropped, join_neighbours
from edge.outbox import DAY_US, PRIORITY_EVENT, PRIORITY_RAW, PRIORITY_TRIP, OutboxLimits
from edge.seal import read_sign1
from tests.unit.edge.desk import CoreSide, Desk, Running

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def told(box: Running) -> list[dict[str, Any]]:
    """The signed gaps that wait, in order."""
    rows = box.store.rows("SELECT message FROM outbox_gaps ORDER BY epoch, first")
    return [decode(read_sign1(bytes(row["message"]))[1]) for row in rows]


def brief(box: Running) -> list[tuple[int, int, dict[str, int], str]]:
    return [(gap["first"], gap["last"], gap["lost"], gap["reason"]) for gap in told(box)]


PLACES = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 30)), unique=True, min_size=1, max_size=40
)


@given(PLACES, st.data())
def test_every_loss_is_told_once_and_no_two_gaps_touch(
    places: list[tuple[int, int]], data: st.DataObject
) -> None:
    lost = [
        Dropped(epoch, seq, data.draw(st.integers(0, 3)), ROOM, b"%d/%d" % (epoch, seq))
        for epoch, seq in places
    ]
    gaps = join_neighbours(lost)
    told = [(gap.epoch, seq) for gap in gaps for seq in range(gap.first, gap.last + 1)]
    assert sorted(told) == told == sorted(places)
    for gap in gaps:
        assert sum(gap.lost.values()) == gap.last - gap.first + 1
        assert gap.head == b"%d/%d" % (gap.epoch, gap.last)
        assert (gap.epoch, gap.last + 1) not in places
    for name, number in zip(PRIORITY_NAMES, range(5), strict=True):
        assert sum(gap.lost.get(name, 0) for gap in gaps) == sum(
            each.priority == number for each in lost
        )


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [((ROOM, ROOM), ROOM), ((AGE, AGE), AGE), ((AGE, REFUSED), SEVERAL), ((SEVERAL,) * 2, SEVERAL)],
)
def test_a_gap_of_several_reasons_says_so(reasons: tuple[str, str], expected: str) -> None:
    lost = [Dropped(1, seq, 0, reason, b"h") for seq, reason in enumerate(reasons)]
    (gap,) = join_neighbours(lost)
    assert (gap.reason, gap.lost) == (expected, {"raw": 2})


def test_the_core_is_told_what_made_room_by_priority(desk: Desk) -> None:
    with desk.open(OutboxLimits(messages_max=4)) as box:
        for priority in (PRIORITY_RAW, PRIORITY_TRIP, PRIORITY_EVENT) * 4:
            box.stream.seal(b"batch", priority)
        assert brief(box) == [
            (1, 5, {"raw": 2, "trip": 2, "event": 1}, ROOM),
            (7, 8, {"raw": 1, "trip": 1}, ROOM),
            (10, 11, {"raw": 1, "trip": 1}, ROOM),
        ]
        core = CoreSide(desk)
        box.send(core)
        assert core.streams[1].seq == 12


def test_a_loss_between_two_gaps_makes_one_of_them(desk: Desk) -> None:
    with desk.open(OutboxLimits(messages_max=6)) as box:
        for priority in (PRIORITY_RAW, PRIORITY_TRIP, PRIORITY_RAW, PRIORITY_EVENT, PRIORITY_EVENT):
            box.stream.seal(b"batch", priority)
        before = []
        for _ in range(3):
            box.stream.seal(b"event", PRIORITY_EVENT)
            before.append(brief(box))
        assert before == [
            [(1, 1, {"raw": 1}, ROOM)],
            [(1, 1, {"raw": 1}, ROOM), (3, 3, {"raw": 1}, ROOM)],
            [(1, 3, {"raw": 2, "trip": 1}, ROOM)],
        ]
        core = CoreSide(desk)
        box.send(core)
        assert core.streams[1].seq == 8


def test_a_core_that_has_a_narrower_gap_already_takes_the_wider_one(desk: Desk) -> None:
    with desk.open(OutboxLimits(messages_max=6)) as box:
        core = CoreSide(desk)
        for number in range(40):
            box.stream.seal(b"batch", number % 3)
            for message in box.outbox.due(100)[1:]:
                core.hear(message.payload)
        box.send(core)
        assert core.streams[1].seq == 40
        assert not core.verdicts.keys() - {"new", "duplicate", "held"}


def test_a_gap_that_was_settled_is_not_told_again(desk: Desk) -> None:
    with desk.open(OutboxLimits(messages_max=3)) as box:
        for _ in range(4):
            box.stream.seal(b"batch", PRIORITY_RAW)
        core = CoreSide(desk)
        for message in box.outbox.due(2):
            core.hear(message.payload)
        box.outbox.settle(core.stored(1), desk.verify_core, "lastmile/v1/org/box-1/down")
        for _ in range(3):
            box.stream.seal(b"batch", PRIORITY_RAW)
        assert brief(box) == [(3, 4, {"raw": 2}, ROOM)]


def test_age_and_room_side_by_side_are_told_as_several(desk: Desk) -> None:
    limits = OutboxLimits(messages_max=3, age_us_max=DAY_US)
    with desk.open(limits) as box:
        for _ in range(3):
            box.stream.seal(b"batch", PRIORITY_RAW)
        desk.clock.monotonic_us += DAY_US
        box.stream.seal(b"batch", PRIORITY_RAW)
        first = told(box)[0]
        assert (first["lost"], first["reason"]) == ({"raw": 3}, SEVERAL)
