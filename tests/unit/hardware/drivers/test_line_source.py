"""Devices that talk unasked: their speed is sought, their silence and their cable noticed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from edge.errors import DeviceFault
from edge.ports import Instant
from hardware.drivers.gnss_line import BAUDS, GnssSource
from hardware.drivers.imu_line import ImuSource
from hardware.drivers.line_source import GATHER_US
from hardware.sim.gnss import framed
from hardware.sim.imu import ACCELERATION, message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.ports import FrameChunk

LINE = framed("GPRMC,,V,,,,,,,,,,N")
SAMPLE = message(ACCELERATION, (0.0, 0.0, 9.8), 16 * 9.80665)
START_US = 1_772_411_400_000_000


@dataclass
class Desk:
    """A line at one true speed, and the clock that its readings move; fulfils both ports."""

    baud: int = 115_200
    said: bytes = LINE
    every_ms: int = 50
    now_ms: int = 0
    open_at: list[int] = field(default_factory=list)
    closed: int = 0
    speed: int = 0

    def now(self) -> Instant:
        return Instant(START_US + self.now_ms * 1_000, "00" * 8, self.now_ms * 1_000)

    def open(self, path: Path, baud: int) -> Desk:
        del path
        self.open_at.append(baud)
        self.speed = baud
        return self

    def read(self, timeout_ms: int) -> bytes:
        self.now_ms += min(timeout_ms, self.every_ms)
        if self.now_ms % self.every_ms:
            return b""
        return self.said if self.speed == self.baud else b"\xf8\x06\x9e"

    def write(self, data: bytes) -> None:
        raise AssertionError(data)

    def close(self) -> None:
        self.closed += 1


def heard(source: GnssSource | ImuSource, seconds: float, desk: Desk) -> Iterator[FrameChunk]:
    for chunk in source.chunks():
        if chunk.ids:
            yield chunk
        if desk.now_ms >= seconds * 1_000:
            source.close()


@pytest.mark.parametrize("baud", [BAUDS[0], BAUDS[1], BAUDS[-1]])
def test_the_speed_of_a_receiver_is_found(tmp_path: Path, baud: int) -> None:
    desk = Desk(baud)
    source = GnssSource(tmp_path, 0, desk, desk.open)
    assert list(heard(source, 40, desk))
    assert desk.open_at == list(BAUDS[: BAUDS.index(baud) + 1])
    assert desk.closed == len(desk.open_at)


def test_a_receiver_that_is_lost_is_first_sought_where_it_was(tmp_path: Path) -> None:
    desk = Desk(38_400)
    source = GnssSource(tmp_path, 0, desk, desk.open)
    chunks = source.chunks()
    while not next(chunks).ids:
        pass
    desk.said = b""
    with pytest.raises(DeviceFault, match="says nothing that a gnss would say"):
        list(chunks)
    desk.said, desk.open_at = LINE, []
    assert list(heard(source, 100, desk))
    assert desk.open_at == [38_400]


def test_a_line_on_which_nothing_is_a_sentence_is_a_fault(tmp_path: Path) -> None:
    desk = Desk(baud=1)
    with pytest.raises(DeviceFault) as fault:
        list(GnssSource(tmp_path, 0, desk, desk.open).chunks())
    assert fault.value.code == "gnss-silent"
    assert desk.open_at == list(BAUDS)
    assert desk.closed == len(BAUDS)


def test_a_named_speed_is_not_guessed_at(tmp_path: Path) -> None:
    desk = Desk(9_600)
    with pytest.raises(DeviceFault):
        list(ImuSource(tmp_path, 115_200, desk, desk.open).chunks())
    assert desk.open_at == [115_200]


def test_a_chunk_comes_every_tenth_of_a_second_also_from_a_silent_line(tmp_path: Path) -> None:
    desk = Desk(said=b"")
    chunks = GnssSource(tmp_path, 115_200, desk, desk.open).chunks()
    for number in range(1, 20):
        assert next(chunks).ids == []
        assert desk.now_ms == number * GATHER_US // 1_000


def test_sentences_are_dated_when_they_came(tmp_path: Path) -> None:
    desk = Desk()
    chunk = next(heard(GnssSource(tmp_path, 115_200, desk, desk.open), 1, desk))
    assert [time - START_US for time in chunk.times_us] == [50_000, 100_000]


def test_samples_of_one_chunk_are_spread_over_its_time(tmp_path: Path) -> None:
    desk = Desk(said=SAMPLE * 10)
    chunk = next(heard(ImuSource(tmp_path, 115_200, desk, desk.open), 1, desk))
    assert [time - START_US for time in chunk.times_us] == [*range(5_000, 100_001, 5_000)]


def test_closing_ends_the_chunks_and_the_line(tmp_path: Path) -> None:
    desk = Desk()
    source = GnssSource(tmp_path, 0, desk, desk.open)
    chunks = source.chunks()
    next(chunks)
    source.close()
    assert list(chunks) == []
    assert desk.closed == 1
