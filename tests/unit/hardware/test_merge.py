"""Tests of several sources at once: numbers, loss of one, a consumer that stands still."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edge.errors import DeviceFault
from edge.ports import SOURCE_SHIFT, FrameChunk
from hardware.drivers.clock import SystemClock
from hardware.drivers.gnss_line import GnssSource
from hardware.drivers.merge import CHUNKS_MAX, MergedSource
from hardware.drivers.slcan import SlcanSource
from hardware.sim.drive import Drive, scenario
from hardware.sim.gnss import Receiver
from hardware.sim.slcan import SlcanAdapter, SlcanOnPty
from hardware.sim.talker import TalkerOnPty
from hardware.sim.vehicle import SimSettings, SimulatedVehicle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ENOUGH_S = 20.0


class Line:
    """A source that plays lists of ids, one list an opening; a fault ends each but the last."""

    def __init__(self, name: str, openings: Sequence[Sequence[int]]) -> None:
        self.name = name
        self._openings = list(openings)
        self._closed = threading.Event()
        self.played = threading.Event()

    @property
    def skipped(self) -> Mapping[str, int]:
        return {"damaged-line": 1}

    def chunks(self, skip_frames: int = 0) -> Iterator[FrameChunk]:
        del skip_frames
        for can_id in self._openings.pop(0):
            yield FrameChunk([1_000_000], [can_id], [b"\x01"], 1)
        if self._openings:
            raise DeviceFault(f"{self.name} was unplugged.", "bus-lost")
        self.played.set()
        self._closed.wait(ENOUGH_S)

    def close(self) -> None:
        self._closed.set()


def collect(source: MergedSource, wanted: int) -> list[FrameChunk]:
    found = []
    for chunk in source.chunks():
        found.append(chunk)
        if chunk.position >= wanted:
            source.close()
    return found


def test_every_frame_carries_the_number_of_its_source() -> None:
    source = MergedSource([Line("a", [[0x7E8, 0x7E9]]), Line("b", [[0x7E8]])])
    ids = sorted(can_id for chunk in collect(source, 3) for can_id in chunk.ids)
    assert ids == [0x7E8, 0x7E9, 1 << SOURCE_SHIFT | 0x7E8]
    assert source.name == "a + b"


def test_a_lost_source_is_opened_again_and_the_other_goes_on() -> None:
    lost, other = Line("a", [[1], [2], [3]]), Line("b", [[9]])
    source = MergedSource([lost, other], reopen_s=0.0)
    ids = {can_id for chunk in collect(source, 4) for can_id in chunk.ids}
    assert ids == {1, 2, 3, 1 << SOURCE_SHIFT | 9}
    assert source.skipped == {"damaged-line": 2, "reopened": 2}


def test_what_a_standing_consumer_cannot_take_is_counted_and_bounded() -> None:
    more = 40
    line = Line("a", [[5] * (CHUNKS_MAX + more)])
    source = MergedSource([line])
    chunks = source.chunks()
    first = next(chunks)  # the thread has begun
    assert line.played.wait(ENOUGH_S)
    taken = len(first.ids) + sum(len(next(chunks).ids) for _ in range(CHUNKS_MAX))
    assert taken + source.skipped["overrun"] == CHUNKS_MAX + more
    source.close()
    assert source.skipped["overrun"] in (more - 1, more)


def test_a_bus_and_a_receiver_are_heard_together() -> None:
    clock, over = SystemClock(), threading.Event()
    vehicle = SimulatedVehicle(SimSettings(seconds=None))
    adapter, firmware = SlcanOnPty(SlcanAdapter(), vehicle, clock), Receiver()
    receiver = TalkerOnPty(
        Drive(scenario("calm"), 1),
        lambda state, tick: b"" if tick % 10 else firmware.burst(state, clock.now().wall_us),
        clock,
    )
    runs = (adapter.run, receiver.run)
    threads = [threading.Thread(target=run, args=(over.is_set,)) for run in runs]
    for thread in threads:
        thread.start()
    bus, line = SlcanSource(adapter.path, clock), GnssSource(receiver.path, 9_600, clock)
    source = MergedSource([bus, line])
    numbers: set[int] = set()
    for chunk in source.chunks():
        numbers |= {can_id >> SOURCE_SHIFT for can_id in chunk.ids}
        if numbers == {0, 1}:
            source.close()
    over.set()
    for thread in threads:
        thread.join()
    adapter.unplug()
    receiver.unplug()
    assert numbers == {0, 1}


def test_silence_is_an_empty_chunk() -> None:
    source = MergedSource([Line("a", [[]])])
    assert not next(source.chunks()).ids
    source.close()
