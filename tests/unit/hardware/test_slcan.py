"""A serial CAN adapter: bulk reading, times, damage on the line, and a channel of our own."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import DeviceFault, LocalError
from edge.ports import EXTENDED_ID
from hardware.drivers.clock import SystemClock
from hardware.drivers.slcan import SlcanParser, SlcanSource, Stamps, frame_text
from hardware.sim.slcan import SlcanAdapter, SlcanOnPty
from hardware.sim.vehicle import SimSettings, SimulatedVehicle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FRAMES = st.lists(
    st.tuples(
        st.one_of(
            st.integers(0, 0x7FF), st.integers(0, 0x1FFF_FFFF).map(lambda n: n | EXTENDED_ID)
        ),
        st.binary(max_size=8),
    ),
    max_size=20,
)


class Asker:
    """Asks for the speed once, and hears answers."""

    def __init__(self) -> None:
        self._due = [(0x7DF, bytes.fromhex("02010D5555555555"))]
        self.heard_ids: list[int] = []
        self.counts: dict[str, int] = {}

    def due(self, now_us: int) -> Sequence[tuple[int, bytes]]:
        del now_us
        due, self._due = self._due, []
        return due

    def pause(self, *, paused: bool) -> None:
        del paused

    def claims(self, can_id: int) -> bool:
        return can_id == 0x7E8

    def heard(self, can_id: int, payload: bytes, now_us: int) -> None:
        del payload, now_us
        self.heard_ids.append(can_id)


@contextmanager
def plugged_in(adapter: SlcanAdapter, noise: bytes = b"") -> Iterator[Path]:
    terminal = SlcanOnPty(adapter, SimulatedVehicle(SimSettings(seconds=None)), SystemClock())
    terminal.noise = noise
    over = threading.Event()
    thread = threading.Thread(target=terminal.run, args=(over.is_set,))
    thread.start()
    try:
        yield terminal.path
    finally:
        over.set()
        thread.join()
        terminal.unplug()


def hear(source: SlcanSource, wanted: int) -> tuple[list[int], list[int]]:
    ids: list[int] = []
    times: list[int] = []
    for chunk in source.chunks():
        ids += chunk.ids
        times += chunk.times_us
        if len(ids) >= wanted:
            source.close()
    return ids, times


# ------------------------------------------------------------------ the parser
@given(FRAMES, st.integers(1, 7))
def test_every_frame_comes_through_however_the_line_is_cut(
    frames: list[tuple[int, bytes]], size: int
) -> None:
    sent = b"".join(frame_text(*frame) for frame in frames)
    parser = SlcanParser()
    found = [parser.feed(sent[place : place + size]) for place in range(0, len(sent), size)]
    assert [pair for ids, data, _ in found for pair in zip(ids, data, strict=True)] == frames
    assert not +parser.counts


@given(st.lists(st.binary(max_size=400), max_size=8))
def test_no_bytes_raise_and_what_is_kept_stays_small(blocks: list[bytes]) -> None:
    parser = SlcanParser()
    for block in blocks:
        ids, payloads, stamps = parser.feed(block)
        assert len(ids) == len(payloads) == len(stamps)
    parser.feed(b"\r")
    assert parser.feed(b"t0011FF\r")[0] == [1]  # whatever came before, the next frame is heard


def test_damage_is_counted_and_the_next_frame_is_heard() -> None:
    parser = SlcanParser()
    ids, _, _ = parser.feed(b"t7E8G1122\rt7E82112\rt7E8\rXYZ\rr7E80\r\x07z\rt7E811A\r")
    assert ids == [0x7E8]
    assert parser.counts == {"damaged-line": 4, "remote-frame": 1, "adapter-refused": 1}
    parser.feed(b"t" * 1_000)
    assert parser.counts["overlong-line"] == 1


def test_error_flags_say_what_is_wrong_with_the_bus() -> None:
    parser = SlcanParser()
    parser.feed(b"F00\rFA4\rF09\rFZZ\r")
    assert parser.counts == {
        "error-warning": 1,
        "error-passive": 1,
        "bus-error": 1,
        "adapter-overrun": 1,
        "damaged-line": 1,
    }


def test_can_fd_has_length_codes() -> None:
    ids, payloads, stamps = SlcanParser().feed(b"d123F" + b"AB" * 64 + b"00FA\r")
    assert (ids, payloads, stamps) == ([0x123], [b"\xab" * 64], [0xFA])


# ------------------------------------------------------------------ times
def test_frames_of_one_chunk_have_times_of_their_own() -> None:
    stamps = Stamps()
    stamps.times([100, 110], 5_000_000)
    late = stamps.times([200, 210], 5_112_000)  # heard 12 ms after the second of them was sent
    assert late == [pytest.approx(5_090_000, abs=100), pytest.approx(5_100_000, abs=100)]


def test_the_minute_of_the_adapter_turns_over() -> None:
    stamps = Stamps()
    first = stamps.times([59_990], 1_000_000_000)
    assert stamps.times([10], 1_000_030_000) == [pytest.approx(first[0] + 20_000, abs=100)]


def test_a_clock_that_was_set_is_followed() -> None:
    stamps = Stamps()
    stamps.times([100], 1_000_000)
    assert stamps.times([200], 9_000_000_000) == [9_000_000_000]
    assert stamps.times([300, None], 500_000) == [500_000, 500_000]


# ------------------------------------------------------------------ the adapter at its terminal
def test_a_drive_comes_through_the_adapter_in_order() -> None:
    with plugged_in(SlcanAdapter()) as path:
        source = SlcanSource(path, SystemClock())
        ids, times = hear(source, 200)
    assert {1, 2, 3} < set(ids)
    assert times == sorted(times)
    assert len(set(times)) > 20  # stamps: not all of a chunk at once
    assert not source.skipped


def test_an_adapter_without_stamps_serves_as_well() -> None:
    with plugged_in(SlcanAdapter(has_stamps=False)) as path:
        ids, times = hear(SlcanSource(path, SystemClock()), 50)
    assert len(ids) == len(times) >= 50


def test_it_only_listens_unless_there_is_something_to_ask() -> None:
    silent, asked = SlcanAdapter(), SlcanAdapter()
    with plugged_in(silent) as path:
        hear(SlcanSource(path, SystemClock()), 10)
    asker = Asker()
    with plugged_in(asked) as path:
        source = SlcanSource(path, SystemClock(), requesters=[asker])
        for chunk in source.chunks():
            if 0x7E8 in chunk.ids:
                source.close()
    assert (silent.only_listens, asked.only_listens) == (True, False)
    assert asker.heard_ids == [0x7E8]


def test_a_bad_cable_costs_frames_and_is_counted() -> None:
    with plugged_in(SlcanAdapter(flags=0x80), noise=b"\xff\x00t7\r") as path:
        source = SlcanSource(path, SystemClock())
        ids, _ = hear(source, 150)
    assert len(ids) >= 150
    assert source.skipped["damaged-line"] >= 150


def test_an_adapter_that_does_not_open_says_what_to_do() -> None:
    with (
        plugged_in(SlcanAdapter(is_stubborn=True)) as path,
        pytest.raises(DeviceFault, match="unplug it"),
    ):
        hear(SlcanSource(path, SystemClock()), 1)


def test_a_pulled_cable_is_a_fault() -> None:
    terminal = SlcanOnPty(
        SlcanAdapter(), SimulatedVehicle(SimSettings(seconds=None)), SystemClock()
    )
    over = threading.Event()
    thread = threading.Thread(target=terminal.run, args=(over.is_set,))
    thread.start()
    source = SlcanSource(terminal.path, SystemClock())
    chunks = source.chunks()
    next(chunks)
    over.set()
    thread.join()
    terminal.unplug()
    with pytest.raises(DeviceFault, match="cable"):
        list(chunks)


def test_no_adapter_has_that_bit_rate(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="250000"):
        SlcanSource(tmp_path / "tty", SystemClock(), bitrate=123)
