"""Claims about the chain of an epoch: any order of arrival covers the same prefix."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backend_sync.telemetry.stream import NOTHING, Close, Gap, Stream, digest_of

START = b"start"
MESSAGES = [START, *(b"message %d" % n for n in range(1, 9))]


def heads() -> list[bytes]:
    chain = [digest_of(START)]
    for message in MESSAGES[1:]:
        chain.append(digest_of(chain[-1] + message))
    return chain


HEADS = heads()


def begun() -> Stream:
    stream = Stream("box-1", 1)
    stream.begin(START)
    return stream


def test_a_stream_covers_nothing_before_its_start() -> None:
    stream = Stream("box-1", 1)
    stream.add(1, MESSAGES[1])
    assert stream.seq == NOTHING


@given(st.permutations(range(1, 9)))
def test_any_order_of_arrival_ends_in_the_same_head(order: list[int]) -> None:
    stream = begun()
    for seq in order:
        stream.add(seq, MESSAGES[seq])
        assert stream.head == HEADS[stream.seq]
    assert (stream.seq, stream.waiting) == (8, {})


def test_only_the_contiguous_prefix_is_covered() -> None:
    stream = begun()
    for seq in (1, 2, 4, 5):
        stream.add(seq, MESSAGES[seq])
    assert (stream.seq, sorted(stream.waiting)) == (2, [4, 5])


@given(st.permutations([1, 2, 5, 6, "gap"]))
def test_a_gap_record_moves_the_prefix_past_what_is_lost(order: list[int | str]) -> None:
    stream = begun()
    for each in order:
        if each == "gap":
            stream.gaps.append(Gap(3, 4, HEADS[4]))
            stream.advance()
        else:
            stream.add(int(each), MESSAGES[int(each)])
    assert (stream.seq, stream.head, stream.gaps) == (6, HEADS[6], [])


def test_a_lost_message_that_arrives_after_all_changes_no_head() -> None:
    stream = begun()
    stream.gaps.append(Gap(1, 4, HEADS[4]))
    stream.advance()
    stream.add(3, MESSAGES[3])
    assert (stream.seq, stream.head) == (4, HEADS[4])
    assert stream.digests[3] == digest_of(MESSAGES[3])


def test_the_close_is_judged_when_its_count_is_covered() -> None:
    for head, verdict in ((HEADS[2], "verified"), (HEADS[1], "mismatch")):
        stream = begun()
        stream.close = Close(2, head)
        stream.add(1, MESSAGES[1])
        assert stream.verdict == "open"
        stream.add(2, MESSAGES[2])
        assert stream.verdict == verdict
