"""Claims about the outbox: only the core's signature deletes, and every loss is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import DeviceFault, PeerError
from edge.keys import sign_evidence
from edge.outbox import (
    AGED_PER_PUT_MAX,
    DAY_US,
    MIGRATIONS,
    PRIORITY_EVENT,
    PRIORITY_EVIDENCE,
    PRIORITY_RAW,
    PRIORITY_START,
    PRIORITY_TRIP,
    Message,
    OutboxLimits,
)
from edge.sqlite import Migrations
from edge.store import open_store
from tests.unit.edge.desk import DEVICE, DOWN, UP, CoreSide, Desk, Running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


HEAD = b"h" * 32


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def box(desk: Desk) -> Iterator[Running]:
    with desk.open() as running:
        yield running


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, Running]]:
    """One desk for all hostile bytes: what is refused changes nothing of it."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    with desk.open() as running:
        yield desk, running


def places(box: Running) -> list[tuple[int, int]]:
    return [(message.epoch, message.seq) for message in box.outbox.due(10_000)]


def sealed(box: Running, count: int, priority: int = PRIORITY_RAW) -> None:
    for number in range(count):
        box.stream.seal(b"batch %d" % number, priority)


# ---------------------------------------------------------------- settling
def test_an_acknowledgement_settles_what_it_covers_and_no_more(desk: Desk, box: Running) -> None:
    sealed(box, 4)
    ack = desk.stored(1, 2, box.head_at(1, 2))
    assert box.outbox.settle(ack, desk.verify_core, DOWN) == 3
    assert places(box) == [(1, 3), (1, 4)]
    counts = box.outbox.counts()
    assert (counts["waiting"], counts["settled"], counts["dropped"]) == (2, 3, 0)
    assert counts["bytes"] == sum(len(each.payload) for each in box.outbox.due(9))


def test_an_acknowledgement_that_comes_again_settles_nothing(desk: Desk, box: Running) -> None:
    sealed(box, 3)
    early, ack = desk.stored(1, 1, box.head_at(1, 1)), desk.stored(1, 2, box.head_at(1, 2))
    assert box.outbox.settle(ack, desk.verify_core, DOWN) == 3
    for again in (ack, early, ack):
        assert box.outbox.settle(again, desk.verify_core, DOWN) == 0
    assert places(box) == [(1, 3)]


def test_the_acknowledgement_of_an_epoch_long_gone_settles_nothing(
    desk: Desk, box: Running
) -> None:
    sealed(box, 1)
    box.stream.close()
    ack = desk.stored(1, 2, box.head_at(1, 2))
    sealed(box, 1)
    assert box.outbox.settle(ack, desk.verify_core, DOWN) == 3
    assert box.store.rows("SELECT epoch FROM outbox_epochs") == [{"epoch": 2}]
    assert box.outbox.settle(ack, desk.verify_core, DOWN) == 0
    assert places(box) == [(2, 0), (2, 1)]


def acknowledgements(desk: Desk, box: Running) -> dict[str, tuple[bytes, str]]:
    """Whatever may not settle anything, with the code it is refused with."""
    head = box.head_at(1, 2)
    good: dict[str, Any] = {"type": "stored", "device": DEVICE, "epoch": 1, "seq": 2, "head": head}

    def changed(**fields: Any) -> bytes:
        return sign_evidence(desk.core, {**good, **fields}, DOWN)

    missing = {key: value for key, value in good.items() if key != "head"}
    flipped = bytearray(desk.stored(1, 2, head))
    flipped[-1] ^= 1
    return {
        "signed by the device": (sign_evidence(desk.identity, good, DOWN), "evidence-signer"),
        "of another topic": (sign_evidence(desk.core, good, UP), "seal-signature"),
        "a changed byte": (bytes(flipped), "seal-signature"),
        "no message": (b"", "seal-shape"),
        "of another device": (changed(device="box-2"), "outbox-answer"),
        "of no device": (changed(device=None), "outbox-answer"),
        "of another type": (changed(type="received"), "outbox-answer"),
        "another head": (changed(head=box.head_at(1, 1)), "outbox-head"),
        "a head of 31 bytes": (changed(head=head[:31]), "outbox-answer"),
        "a head in text": (changed(head=head.hex()), "outbox-answer"),
        "no head": (sign_evidence(desk.core, missing, DOWN), "outbox-answer"),
        "a number that is true": (changed(seq=True), "outbox-answer"),
        "an epoch that is true": (changed(epoch=True), "outbox-answer"),
        "a number in words": (changed(seq="2"), "outbox-answer"),
        "a number below zero": (changed(seq=-1), "outbox-answer"),
        "a number of 64 bits": (changed(seq=2**64 - 1), "outbox-answer"),
        "an epoch of 64 bits": (changed(epoch=2**63), "outbox-answer"),
        "a number not sent yet": (changed(seq=99), "outbox-future"),
        "an epoch not begun yet": (changed(epoch=2), "outbox-future"),
    }


def test_nothing_is_deleted_by_an_acknowledgement_with(desk: Desk, box: Running) -> None:
    sealed(box, 3)
    before = places(box)
    for claim, (hostile, code) in acknowledgements(desk, box).items():
        with pytest.raises(PeerError) as refusal:
            box.outbox.settle(hostile, desk.verify_core, DOWN)
        assert refusal.value.code == code, claim
        assert places(box) == before, claim


@given(st.binary(max_size=120))
@settings(max_examples=50)
def test_hostile_acknowledgements_raise_only_peer_errors(
    lasting: tuple[Desk, Running], data: bytes
) -> None:
    desk, box = lasting
    with pytest.raises(PeerError):
        box.outbox.settle(data, desk.verify_core, DOWN)


# ---------------------------------------------------------------- room
def test_the_least_important_and_oldest_makes_room_first(desk: Desk) -> None:
    box = desk.open(OutboxLimits(messages_max=6))
    for priority in (PRIORITY_RAW, PRIORITY_EVENT, PRIORITY_RAW, PRIORITY_TRIP, PRIORITY_EVENT):
        box.stream.seal(b"batch", priority)
    gone = []
    for seq in (6, 7, 8, 9):
        assert box.stream.seal(b"event", PRIORITY_EVENT) == seq
        kept = box.store.rows("SELECT seq FROM outbox_messages WHERE message IS NOT NULL")
        gone.append(sorted({*range(seq + 1)} - {row["seq"] for row in kept}))
    assert gone == [[1], [1, 3], [1, 3, 4], [1, 2, 3, 4]]
    counts = box.outbox.counts()
    assert (counts["dropped_0"], counts["dropped_1"], counts["dropped_2"]) == (2, 1, 1)
    assert counts["dropped"] == 4
    box.store.close()


def test_bytes_are_bounded_as_messages_are(desk: Desk) -> None:
    box = desk.open(OutboxLimits(bytes_max=4_000))
    for _ in range(40):
        box.stream.seal(b"x" * 500, PRIORITY_RAW)
        assert box.outbox.counts()["bytes"] <= 4_000
    assert places(box)[0] == (1, 0)
    assert places(box)[-1] == (1, 40)
    box.store.close()


def test_a_batch_that_could_never_fit_drops_itself_alone(desk: Desk) -> None:
    box = desk.open(OutboxLimits(bytes_max=4_000))
    sealed(box, 3, PRIORITY_RAW)
    box.stream.seal(b"x" * 10_000, PRIORITY_EVENT)
    assert places(box) == [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4)]
    assert box.outbox.counts()["dropped_2"] == 1
    core = CoreSide(desk)
    box.send(core)
    assert core.streams[1].seq == 4
    box.store.close()


def test_a_raw_batch_makes_way_where_only_more_important_ones_wait(desk: Desk) -> None:
    box = desk.open(OutboxLimits(messages_max=3))
    sealed(box, 2, PRIORITY_EVENT)
    sealed(box, 1, PRIORITY_RAW)
    assert box.outbox.counts()["dropped_0"] == 1
    kept = box.store.rows("SELECT seq FROM outbox_messages WHERE message IS NOT NULL")
    assert {row["seq"] for row in kept} == {0, 1, 2}
    box.store.close()


def test_a_start_is_never_dropped_and_evidence_says_when_there_is_no_room(desk: Desk) -> None:
    box = desk.open(OutboxLimits(messages_max=2))
    sealed(box, 5)
    box.stream.state({"type": "consent"})
    assert places(box)[0] == (1, 0)
    box.store.close()
    box = desk.open(OutboxLimits(messages_max=1))
    with pytest.raises(DeviceFault) as fault:
        box.stream.begin()
    assert fault.value.code == "outbox-full"
    assert box.stream.epoch == 0
    assert places(box)[0] == (1, 0)
    assert "dropped_4" not in box.outbox.counts()
    box.store.close()


def test_a_start_makes_no_room_for_another_start(desk: Desk) -> None:
    box = desk.open(OutboxLimits(messages_max=1))
    box.stream.begin()
    another = Message(2, 0, b"start")
    with pytest.raises(DeviceFault) as fault:
        box.outbox.put(another, PRIORITY_START, HEAD, desk.clock.now())
    assert fault.value.code == "outbox-full"
    box.store.close()


def test_what_was_rolled_back_takes_no_room(desk: Desk) -> None:
    box = desk.open(OutboxLimits(messages_max=3))
    sealed(box, 1)

    def failing() -> None:
        with box.store.transaction():
            box.stream.seal(b"lost", PRIORITY_RAW)
            raise RuntimeError

    for _ in range(3):
        with pytest.raises(RuntimeError):
            failing()
    box.outbox.settle(desk.stored(1, 0, box.head_at(1, 0)), desk.verify_core, DOWN)
    box.stream.state({"type": "consent"})
    assert box.outbox.counts()["dropped"] == 1
    box.store.close()


def test_losses_side_by_side_are_told_as_one_gap(desk: Desk) -> None:
    box = desk.open(OutboxLimits(messages_max=4))
    sealed(box, 50)
    gaps = box.store.rows("SELECT first, last FROM outbox_gaps")
    assert gaps == [{"first": 1, "last": 47}]
    core = CoreSide(desk)
    box.send(core)
    assert core.streams[1].seq == 50
    assert not core.verdicts.keys() - {"new", "held"}
    box.store.close()


def test_a_device_away_for_long_keeps_no_row_for_each_loss(desk: Desk) -> None:
    box = desk.open(OutboxLimits(messages_max=4))
    sealed(box, 200)
    row = box.store.row("SELECT count(*) AS rows FROM outbox_messages")
    assert row is not None
    assert row["rows"] < 10
    box.store.close()


def test_an_acknowledgement_inside_a_gap_loses_nothing(desk: Desk) -> None:
    box = desk.open(OutboxLimits(messages_max=5))
    sealed(box, 3)
    ack = desk.stored(1, 3, box.head_at(1, 3))
    sealed(box, 7)
    before = places(box)
    assert box.outbox.settle(ack, desk.verify_core, DOWN) == 0
    assert places(box) == before
    box.store.close()


# ---------------------------------------------------------------- age
OLD = OutboxLimits(age_us_max=DAY_US)


def run(desk: Desk, us: int) -> None:
    """The machine runs on; what its wall clock shows is of no account."""
    desk.clock.monotonic_us += us


def test_a_batch_that_has_waited_too_long_in_use_is_dropped_and_told(desk: Desk) -> None:
    with desk.open(OLD) as box:
        for priority in (PRIORITY_RAW, PRIORITY_TRIP, PRIORITY_EVENT):
            box.stream.seal(b"batch", priority)
        run(desk, DAY_US - 1)
        sealed(box, 1)
        assert box.outbox.counts()["dropped"] == 0
        run(desk, 1)
        sealed(box, 1)
        counts = box.outbox.counts()
        assert (counts["dropped"], counts["aged"]) == (3, 3)
        core = CoreSide(desk)
        box.send(core)
        assert (core.streams[1].verdict, core.streams[2].seq) == ("verified", 2)


def test_a_wall_clock_that_is_wrong_makes_nothing_old(desk: Desk) -> None:
    with desk.open(OLD) as box:
        sealed(box, 2)
        for wall_us in (0, 10**18, -(10**15), 2**60):
            desk.clock.wall_us = wall_us
            sealed(box, 1)
        assert box.outbox.counts()["dropped"] == 0


def test_time_without_power_makes_nothing_old(desk: Desk) -> None:
    with desk.open(OLD) as box:
        sealed(box, 1)
    desk.clock = type(desk.clock)(boot_id="11" * 8)
    desk.clock.wall_us += 400 * DAY_US
    with desk.open(OLD) as box:
        sealed(box, 1)
        assert box.outbox.counts()["dropped"] == 0


def test_evidence_and_starts_do_not_age(desk: Desk) -> None:
    with desk.open(OLD) as box:
        box.stream.state({"type": "consent"})
        run(desk, 9 * DAY_US)
        sealed(box, 1)
        assert places(box) == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]
        assert box.outbox.counts()["dropped"] == 0


def test_so_much_ages_at_once_and_no_more(desk: Desk) -> None:
    with desk.open(OLD) as box:
        sealed(box, AGED_PER_PUT_MAX + 5)
        run(desk, DAY_US)
        sealed(box, 1)  # a new epoch: three messages are put, and the first two take all
        assert box.outbox.counts()["aged"] == AGED_PER_PUT_MAX + 5
        assert box.store.rows("SELECT first, last FROM outbox_gaps") == [
            {"first": 1, "last": AGED_PER_PUT_MAX + 5}
        ]


def test_a_store_of_the_release_before_begins_to_age_when_it_is_opened(desk: Desk) -> None:
    before = Migrations("outbox")
    before._migrations = MIGRATIONS._migrations[:1]
    with open_store(desk.path, [before]) as store:
        store.execute("INSERT INTO outbox_epochs (epoch, head, closed) VALUES (1, ?, 1)", (HEAD,))
        store.execute(
            "INSERT INTO outbox_messages (epoch, seq, priority, message, head) "
            "VALUES (1, 0, 4, X'84', ?), (1, 1, 0, X'83', ?)",
            (HEAD, HEAD),
        )
        store.execute("INSERT INTO outbox_gaps VALUES (1, 2, 3, X'84')")
        store.execute("INSERT INTO outbox_counts VALUES ('bytes', 2), ('messages', 2)")
    desk.clock.monotonic_us = 50 * DAY_US
    with desk.open(OLD) as box:
        sealed(box, 1)
        assert places(box) == [(1, 0), (1, 1), (1, 3), (2, 0), (2, 1)]
        run(desk, DAY_US)
        sealed(box, 1)
        assert box.outbox.counts()["aged"] == 2


PRIORITIES = st.lists(st.integers(PRIORITY_RAW, PRIORITY_EVIDENCE), min_size=1, max_size=25)


@given(PRIORITIES, st.integers(5, 12), st.data())
@settings(max_examples=25, deadline=None)
def test_the_core_takes_what_is_left_and_its_answer_empties_the_outbox(
    tmp_path_factory: pytest.TempPathFactory,
    priorities: list[int],
    messages_max: int,
    data: st.DataObject,
) -> None:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    with desk.open(OutboxLimits(messages_max=messages_max)) as box:
        for number, priority in enumerate(priorities, start=1):
            if priority == PRIORITY_EVIDENCE:
                box.stream.state({"type": "consent", "number": number})
            else:
                box.stream.seal(b"batch %d" % number, priority)
        core = CoreSide(desk)
        for message in data.draw(st.permutations(box.outbox.due(1_000))):
            core.hear(message.payload)
        counts = box.outbox.counts()
        assert not core.verdicts.keys() - {"new", "held", "duplicate"}
        assert core.streams[1].seq == len(priorities)
        assert counts["dropped"] == max(0, len(priorities) + 1 - messages_max)
        assert box.outbox.settle(core.stored(1), desk.verify_core, DOWN) == counts["waiting"]
        assert box.outbox.empty
        assert box.outbox.counts()["waiting"] == box.outbox.counts()["bytes"] == 0


# ---------------------------------------------------------------- sending
def test_messages_are_due_in_order_behind_those_on_their_way(box: Running) -> None:
    sealed(box, 3)
    box.stream.close()
    sealed(box, 1)
    assert places(box) == [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (2, 0), (2, 1)]
    assert [(m.epoch, m.seq) for m in box.outbox.due(2, (1, 3))] == [(1, 4), (2, 0)]
    assert box.outbox.due(5, (2, 1)) == []


def test_an_outbox_is_empty_only_when_nothing_waits(desk: Desk, box: Running) -> None:
    found = [box.outbox.empty]
    sealed(box, 1)
    found.append(box.outbox.empty)
    box.outbox.settle(desk.stored(1, 1, box.head_at(1, 1)), desk.verify_core, DOWN)
    found.append(box.outbox.empty)
    assert found == [True, False, True]


def test_an_outbox_says_whether_a_message_of_a_priority_waits(desk: Desk, box: Running) -> None:
    sealed(box, 1)
    box.stream.seal(b"an event", PRIORITY_EVENT)
    assert box.outbox.holds(PRIORITY_EVENT)
    box.outbox.settle(desk.stored(1, 2, box.head_at(1, 2)), desk.verify_core, DOWN)
    assert not box.outbox.holds(PRIORITY_EVENT)


def test_counts_go_on_where_they_stood_at_the_next_start(desk: Desk) -> None:
    box = desk.open(OutboxLimits(messages_max=3))
    sealed(box, 5)
    before = box.outbox.counts()
    box.store.close()
    again = desk.open(OutboxLimits(messages_max=3))
    assert again.outbox.counts() == before
    assert before["dropped"] == 3
    again.store.close()


def test_a_message_put_in_a_transaction_that_fails_is_not_counted(desk: Desk, box: Running) -> None:
    sealed(box, 1)
    before = box.outbox.counts()

    def failing() -> None:
        with box.store.transaction():
            now = desk.clock.now()
            box.outbox.put(Message(1, 2, b"x" * 99), PRIORITY_START, b"h" * 32, now)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert box.outbox.counts() == before
