"""Claims about the rules of sync: whatever the line does, no entry is lost, doubled or altered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_sync.messages import Answer, Frame, Position
from backend_sync.protocol import PASSING_ERRORS, Uplink, doubt_counter, judge_frame, start_of
from edge.errors import LocalError, PeerError
from edge.journal import chain

if TYPE_CHECKING:
    from collections.abc import Sequence

DEVICE = "kiosk-1"
START = start_of(DEVICE, 1)


@dataclass
class Disk:
    """A device's journal."""

    entries: list[bytes] = field(default_factory=list)

    def write(self, entry: bytes) -> None:
        self.entries.append(entry)

    def hash_at(self, seq: int) -> bytes | None:
        link = START.head
        if seq > len(self.entries):
            return None
        for entry in self.entries[:seq]:
            link = chain(link, entry)
        return link

    def after(self, seq: int, limit: int) -> list[tuple[bytes, bytes]]:
        found = []
        for number in range(seq + 1, min(len(self.entries), seq + limit) + 1):
            link = self.hash_at(number)
            assert link is not None
            found.append((self.entries[number - 1], link))
        return found


@dataclass
class Book:
    """What the core has stored of it."""

    head: Position = START
    entries: list[bytes] = field(default_factory=list)
    hashes: dict[int, bytes] = field(default_factory=dict)

    def take(self, frame: Frame, entries_max: int = 4_096) -> Answer:
        judgement = judge_frame(frame, self.head, self.hashes, entries_max)
        self.head = judgement.head
        for linked in judgement.fresh:
            assert linked.seq == len(self.entries) + 1, "an entry would be lost or doubled"
            self.entries.append(linked.entry)
            self.hashes[linked.seq] = linked.hash
        kind = judgement.verdict if judgement.verdict in {"gap", "fork"} else "received"
        return Answer(kind, judgement.head)


def written(*entries: bytes) -> Disk:
    return Disk(list(entries))


def hear(uplink: Uplink, disk: Disk, answer: Answer) -> None:
    uplink.receive(answer, disk.hash_at(answer.at.seq) if answer.at else None)


# ------------------------------------------------------------------ any line
line = st.sampled_from(
    ["deliver", "lose-frame", "lose-answer", "repeat", "old", "restart", "write"]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(line, max_size=60), st.integers(1, 4), st.integers(1, 4))
def test_no_line_loses_doubles_or_reorders_an_entry(
    events: Sequence[str], per_frame: int, per_accept: int
) -> None:
    disk, book = Disk(), Book()
    uplink, old = Uplink(DEVICE, START), list[Frame]()
    for number, event in enumerate([*events, *["deliver"] * 400]):
        if number < len(events) and event == "write":
            disk.write(f"entry {number}".encode())
        if event == "restart":
            uplink = Uplink(DEVICE, START)
        if event == "old" and old:
            book.take(old[number % len(old)], per_accept)
        if event == "write" or not disk.after(uplink.mark.seq, 1):
            continue
        frame = uplink.frame(disk.after(uplink.mark.seq, per_frame))
        old.append(frame)
        if event == "lose-frame":
            uplink.lose()
            continue
        answer = book.take(frame, per_accept)
        if event == "repeat":
            answer = book.take(frame, per_accept)
        if event == "lose-answer":
            uplink.lose()
        else:
            hear(uplink, disk, answer)
        assert uplink.state == "ready"
    assert book.entries == disk.entries
    assert uplink.mark.seq == len(disk.entries) or not disk.entries


def test_late_and_repeated_answers_move_the_mark_only_where_both_agree() -> None:
    disk, book = written(b"a", b"b", b"c"), Book()
    uplink = Uplink(DEVICE, START)
    first = book.take(uplink.frame(disk.after(0, 1)))
    hear(uplink, disk, first)
    book.take(uplink.frame(disk.after(1, 2)))
    hear(uplink, disk, first)
    assert uplink.mark.seq == 1
    hear_again = book.take(uplink.frame(disk.after(1, 2)))
    hear(uplink, disk, hear_again)
    assert uplink.mark.seq == 3


# ------------------------------------------------------------------ device side
def test_a_gap_moves_the_mark_to_where_the_core_is() -> None:
    disk, book = written(b"a", b"b", b"c"), Book()
    book.take(Uplink(DEVICE, START).frame(disk.after(0, 1)))
    two = disk.hash_at(2)
    assert two is not None
    uplink = Uplink(DEVICE, Position(1, 2, two))
    hear(uplink, disk, book.take(uplink.frame(disk.after(2, 1))))
    assert (uplink.state, uplink.mark.seq) == ("ready", 1)
    hear(uplink, disk, book.take(uplink.frame(disk.after(1, 2))))
    assert book.entries == disk.entries


def test_a_second_gap_at_the_same_place_ends_the_contact() -> None:
    disk = written(b"a", b"b")
    uplink = Uplink(DEVICE, START)
    uplink.frame(disk.after(0, 1))
    hear(uplink, disk, Answer("gap", START))
    uplink.frame(disk.after(0, 1))
    with pytest.raises(PeerError) as raised:
        hear(uplink, disk, Answer("gap", START))
    assert raised.value.code == "sync-stuck"
    assert uplink.state == "ready"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer("received", Position(1, 1, b"\0" * 32)), "fork"),
        (Answer("gap", Position(1, 1, b"\0" * 32)), "fork"),
        (Answer("fork", START), "fork"),
        (Answer("received", Position(1, 9, b"\0" * 32)), "rollback"),
        (Answer("error", code="unknown-device"), "unknown-device"),
    ],
)
def test_what_no_program_can_mend_halts_the_uplink(answer: Answer, code: str) -> None:
    disk = written(b"a", b"b")
    uplink = Uplink(DEVICE, START)
    uplink.frame(disk.after(0, 1))
    hear(uplink, disk, answer)
    assert (uplink.state, uplink.halt_code, uplink.mark) == ("halted", code, START)
    with pytest.raises(LocalError, match="halted"):
        uplink.frame(disk.after(0, 1))
    uplink.lose()
    assert uplink.state == "halted"


@pytest.mark.parametrize("kind", ["received", "gap"])
def test_what_was_lost_and_said_to_be_lost_is_passed_over(kind: str) -> None:
    disk, beyond = written(b"a", b"b"), Position(1, 9, b"\0" * 32)
    uplink = Uplink(DEVICE, START)
    uplink.frame(disk.after(0, 2))
    uplink.receive(Answer(kind, beyond), None, start_of(DEVICE, 2))
    assert (uplink.state, uplink.mark) == ("ready", start_of(DEVICE, 2))


def test_nothing_is_passed_over_that_is_here_and_another() -> None:
    disk, other = written(b"a", b"b"), Position(1, 1, b"\0" * 32)
    uplink = Uplink(DEVICE, START)
    uplink.frame(disk.after(0, 2))
    uplink.receive(Answer("received", other), disk.hash_at(1), start_of(DEVICE, 2))
    assert (uplink.state, uplink.halt_code) == ("halted", "fork")


@pytest.mark.parametrize("code", sorted(PASSING_ERRORS))
def test_an_error_that_may_pass_leaves_the_mark_and_goes_on(code: str) -> None:
    uplink = Uplink(DEVICE, START)
    uplink.frame(written(b"a").after(0, 1))
    uplink.receive(Answer("error", code=code), None)
    assert (uplink.state, uplink.mark) == ("ready", START)


def test_a_journal_that_does_not_chain_is_not_sent() -> None:
    with pytest.raises(LocalError, match="damaged"):
        Uplink(DEVICE, START).frame([(b"a", b"\0" * 32)])


def test_an_answer_to_nothing_is_a_wrong_call() -> None:
    with pytest.raises(LocalError, match="under way"):
        Uplink(DEVICE, START).receive(Answer("gap", START), START.head)


# ------------------------------------------------------------------ core side
def frame_of(disk: Disk, first: int, last: int) -> Frame:
    head = disk.hash_at(last)
    assert head is not None
    return Frame(DEVICE, 1, first, last, head, tuple(disk.entries[first - 1 : last]))


def test_only_so_many_entries_are_taken_and_the_answer_covers_those() -> None:
    disk, book = written(b"a", b"b", b"c"), Book()
    answer = book.take(frame_of(disk, 1, 3), entries_max=2)
    assert answer.at == Position(1, 2, disk.hash_at(2) or b"")
    assert book.entries == [b"a", b"b"]


def test_another_entry_in_the_overlap_is_a_fork_where_they_part() -> None:
    book = Book()
    book.take(frame_of(written(b"a", b"b"), 1, 2))
    judgement = judge_frame(frame_of(written(b"a", b"x", b"c"), 1, 3), book.head, book.hashes)
    assert (judgement.verdict, judgement.seq, judgement.fresh) == ("fork", 2, ())


def test_a_fork_before_the_frame_shows_in_its_head() -> None:
    book = Book()
    book.take(frame_of(written(b"a", b"b"), 1, 2))
    judgement = judge_frame(frame_of(written(b"x", b"b", b"c"), 3, 3), book.head, book.hashes)
    assert (judgement.verdict, judgement.seq) == ("fork", 3)


def test_what_is_stored_already_is_a_duplicate() -> None:
    disk, book = written(b"a", b"b"), Book()
    book.take(frame_of(disk, 1, 2))
    assert judge_frame(frame_of(disk, 2, 2), book.head, book.hashes).verdict == "duplicate"


# ------------------------------------------------------------------ the counter
@pytest.mark.parametrize(
    ("counter", "counted", "later", "doubt"),
    [
        (7, 7, 0, ""),
        (8, 7, 0, ""),
        (9, 7, 0, "old copy"),
        (6, 7, 0, "replaced"),
        (0, 7, 0, "replaced"),
        (10, 7, 3, ""),
        (11, 7, 3, ""),
        (12, 7, 3, "old copy"),
        (9, 7, 3, "replaced"),
        (0, 1, -1, ""),
        (1, 1, -1, ""),
        (2, 1, -1, "old copy"),
        (40, 42, -1, ""),
        (43, 42, -1, "old copy"),
        (0, 0, 0, ""),
        (40, 0, 3, ""),
    ],
)
def test_a_counter_is_where_its_journal_says_or_one_ahead(
    counter: int, counted: int, later: int, doubt: str
) -> None:
    said = doubt_counter(counter, counted, later)
    assert doubt in said
    assert bool(said) == bool(doubt)
