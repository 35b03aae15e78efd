"""Tests of framing: any cut of the stream, escapes, checks, garbage and what is too long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_gateway.jtt808_frames import (
    CONTENT_BYTES_MAX,
    CONTENT_BYTES_MIN,
    FRAME_BYTES_MAX,
    Frames,
    frame,
    unescape,
)

CONTENTS = st.binary(min_size=CONTENT_BYTES_MIN, max_size=60) | st.lists(
    st.sampled_from([0x7D, 0x7E, 0x00]), min_size=CONTENT_BYTES_MIN, max_size=40
).map(bytes)
GOOD = frame(bytes(range(0x70, 0x80)))


def test_the_example_of_the_standard_is_escaped_as_it_says() -> None:
    # JT/T 808-2013 §4.4.2: 30 7e 08 7d 55 is sent as 7e 30 7d 02 08 7d 01 55 7e (no check there).
    content = bytes.fromhex("307e087d55")
    sent = frame(content)
    assert sent[:8] == bytes.fromhex("7e307d02087d0155")
    assert unescape(bytes.fromhex("307d02087d0155")) == content


@given(st.lists(CONTENTS, max_size=6), st.data())
def test_any_cut_of_the_stream_gives_the_same_messages(
    contents: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(frame(each) for each in contents)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    frames, found = Frames(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += frames.feed(stream[start:end])
    assert found == contents
    assert not frames.nonsense


@given(st.lists(st.binary(max_size=30) | CONTENTS.map(frame), max_size=12), st.data())
def test_hostile_bytes_give_the_same_whole_or_byte_by_byte(
    parts: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(parts)
    whole, single = Frames(), Frames()
    found = whole.feed(stream)
    assert found == [each for byte in stream for each in single.feed(bytes([byte]))]
    assert +whole.counts == +single.counts
    assert whole.nonsense == single.nonsense
    del data


def test_one_flag_may_end_a_frame_and_begin_the_next() -> None:
    assert len(Frames().feed(GOOD + GOOD[1:] + GOOD)) == 3


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (GOOD[:3] + b"\x55" + GOOD[4:], "jtt808-check"),
        (GOOD[:3] + b"\x7d\x03" + GOOD[4:], "jtt808-escape"),
        (GOOD[:-2] + b"\x7d\x7e", "jtt808-escape"),
        (frame(bytes(CONTENT_BYTES_MIN - 1)), "jtt808-length"),
        (frame(bytes(CONTENT_BYTES_MAX + 1)), "jtt808-length"),
        (b"\x7e" + bytes(FRAME_BYTES_MAX + 1) + b"\x7e", "jtt808-overlong"),
    ],
)
def test_a_frame_that_is_none_is_counted_and_the_next_one_is_heard(bad: bytes, reason: str) -> None:
    frames = Frames()
    assert frames.feed(bad) == []
    assert frames.counts[reason] == 1
    assert frames.nonsense == 1
    assert frames.feed(GOOD) == [bytes(range(0x70, 0x80))]
    assert frames.nonsense == 0


def test_the_longest_frame_is_heard_though_every_byte_is_escaped() -> None:
    content = b"\x7e" * CONTENT_BYTES_MAX
    assert Frames().feed(frame(content)) == [content]


def test_bytes_before_the_first_flag_are_counted() -> None:
    frames = Frames()
    assert frames.feed(b"GET / HTTP/1.1\r\n") == []
    assert frames.counts["jtt808-garbage"] == 16
    assert len(frames.feed(GOOD)) == 1


def test_an_endless_frame_holds_no_memory() -> None:
    frames = Frames()
    frames.feed(b"\x7e")
    for _ in range(100):
        frames.feed(bytes(1_000))
    assert len(frames._held) <= FRAME_BYTES_MAX
