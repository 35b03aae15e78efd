"""Tests of the card reader on a line: real bytes over a pseudo-terminal, and anybody's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import DeviceFault
from edge.ports import Instant
from hardware.drivers.card_serial import BAUD, GONE_US, TRY_US, Frames, SerialCardReader
from hardware.drivers.serial_line import SerialLine
from hardware.sim.card_reader import SimulatedCardReader, card_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

CARD, OTHER = bytes.fromhex("0A004F7B2C"), bytes.fromhex("0A00112233")


class Watch:
    """A clock that a test moves."""

    now_us = 0

    def now(self) -> Instant:
        return Instant(0, "", self.now_us)


class End:
    """The reader's end of a pseudo-terminal."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def write(self, data: bytes) -> None:
        os.write(self._handle, data)

    def read(self, timeout_ms: int) -> bytes:
        raise NotImplementedError(timeout_ms)

    def close(self) -> None:
        os.close(self._handle)


@pytest.fixture
def line() -> Iterator[tuple[SimulatedCardReader, SerialCardReader, Watch]]:
    ours, theirs = os.openpty()
    watch = Watch()
    path = Path(os.ttyname(theirs))
    reader = SerialCardReader(lambda: SerialLine(path, BAUD), watch)
    assert reader.cards() == []
    end = End(ours)
    yield SimulatedCardReader(end), reader, watch
    reader.close()
    end.close()
    os.close(theirs)


def test_a_card_that_is_held_counts_once_until_it_was_gone(
    line: tuple[SimulatedCardReader, SerialCardReader, Watch],
) -> None:
    sim, reader, watch = line
    sim.hold(CARD)
    assert reader.cards() == [CARD]
    watch.now_us += GONE_US - 1
    sim.hold(CARD, times=1)
    assert reader.cards() == []
    watch.now_us += GONE_US
    sim.hold(CARD)
    assert reader.cards() == [CARD]
    sim.hold(OTHER)
    assert reader.cards() == [OTHER]


def test_the_frame_is_the_one_in_the_picture() -> None:
    assert card_frame(CARD) == b"\x020A004F7B2C12\x03"
    assert Frames().feed(card_frame(CARD, with_line_end=True)) == [CARD]


@given(st.integers(0, 40), st.binary(max_size=30).filter(lambda noise: b"\x02" not in noise))
def test_a_frame_is_found_however_its_bytes_come(cut: int, noise: bytes) -> None:
    frames, data = Frames(), noise + card_frame(CARD) + card_frame(OTHER)
    assert frames.feed(data[:cut]) + frames.feed(data[cut:]) == [CARD, OTHER]


def test_a_wrong_sum_is_no_card_and_is_counted() -> None:
    frames = Frames()
    assert frames.feed(card_frame(CARD)[:-2] + b"0\x03" + card_frame(OTHER)) == [OTHER]
    assert frames.counts["sum"] == 1


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_bytes_of_anybody_are_passed_over_and_not_hoarded(parts: list[bytes]) -> None:
    frames = Frames()
    for part in parts:
        frames.feed(part)
    assert len(frames._waiting) <= 16


def test_a_reader_that_is_unplugged_is_opened_again_but_not_at_once() -> None:
    watch, opened = Watch(), []

    def connect() -> SerialLine:
        opened.append(watch.now_us)
        return SerialLine(Path("/dev/absent"), BAUD)

    reader = SerialCardReader(connect, watch)
    with pytest.raises(DeviceFault):
        reader.cards()
    watch.now_us = TRY_US - 1
    assert reader.cards() == []
    watch.now_us = TRY_US
    with pytest.raises(DeviceFault):
        reader.cards()
    assert opened == [0, TRY_US]
