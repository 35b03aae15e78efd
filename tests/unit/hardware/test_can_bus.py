"""A live bus: chunks in time, faults in a sentence, questions of whoever asks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import can
import pytest

from edge.errors import DeviceFault
from edge.ports import EXTENDED_ID, Instant
from hardware.drivers.can_bus import (
    BusSettings,
    BusSource,
    open_bus,
)
from hardware.drivers.clock import SystemClock
from hardware.sim.vehicle import SimSettings, SimulatedVehicle, VehicleOnBus
from vehicle_gateway.obd_schedule import ObdSchedule
from vehicle_gateway.profile import ObdSection, PidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

ENGINE_SPEED = PidRequest(0x0C, 200_000)
SPEED = PidRequest(0x0D, 100_000)


@pytest.fixture
def far_end(request: pytest.FixtureRequest) -> Iterator[can.BusABC]:
    bus = can.Bus(interface="virtual", channel=request.node.name)
    yield bus
    bus.shutdown()


@pytest.fixture
def source(far_end: can.BusABC, request: pytest.FixtureRequest) -> Iterator[BusSource]:
    del far_end  # it only has to be there
    source = BusSource(BusSettings("virtual", request.node.name), SystemClock())
    yield source
    source.close()


def frame(can_id: int, data: bytes = b"\1\2", *, extended: bool = False) -> can.Message:
    return can.Message(arbitration_id=can_id, data=data, is_extended_id=extended)


def test_a_silent_bus_gives_an_empty_chunk_within_100_ms(source: BusSource) -> None:
    clock = SystemClock()
    chunks = source.chunks()
    next(chunks)
    before_us = clock.now().monotonic_us
    chunk = next(chunks)
    assert (list(chunk.ids), chunk.position) == ([], 0)
    assert clock.now().monotonic_us - before_us < 200_000


def test_frames_come_in_chunks_with_time_and_id(source: BusSource, far_end: can.BusABC) -> None:
    chunks = source.chunks()
    next(chunks)
    before_us = SystemClock().now().wall_us
    far_end.send(frame(0x7E8))
    far_end.send(frame(0x18F75E89, b"", extended=True))
    chunk = next(chunks)
    assert list(chunk.ids) == [0x7E8, 0x18F75E89 | EXTENDED_ID]
    assert list(chunk.payloads) == [b"\1\2", b""]
    assert abs(chunk.times_us[0] - before_us) < 2_000_000
    assert chunk.position == 2
    assert source.skipped == {}


def test_stamps_of_another_clock_than_the_boxs_are_not_believed(
    far_end: can.BusABC, request: pytest.FixtureRequest
) -> None:
    class AnHourAhead(SystemClock):
        def now(self) -> Instant:
            real = super().now()
            return Instant(real.wall_us + 3_600_000_000, real.boot_id, real.monotonic_us)

    clock = AnHourAhead()
    source = BusSource(BusSettings("virtual", request.node.name), clock)
    chunks = source.chunks()
    next(chunks)
    before_us = clock.now().wall_us
    far_end.send(frame(0x7E8))
    assert 0 <= next(chunks).times_us[0] - before_us < 2_000_000
    source.close()


def test_error_and_remote_frames_are_counted(source: BusSource, far_end: can.BusABC) -> None:
    chunks = source.chunks()
    next(chunks)
    far_end.send(can.Message(arbitration_id=0x4, is_error_frame=True, is_extended_id=False))
    far_end.send(can.Message(arbitration_id=0x123, is_remote_frame=True, is_extended_id=False))
    far_end.send(frame(0x123))
    assert list(next(chunks).ids) == [0x123]
    assert source.skipped == {"error-frame": 1, "remote-frame": 1}


def test_error_frames_say_what_is_wrong(source: BusSource, far_end: can.BusABC) -> None:
    chunks = source.chunks()
    next(chunks)
    for classes, data in ((0x28, b""), (0x04, b"\x00\x20"), (0x04, b"\x00\x01"), (0x04, b"")):
        error = can.Message(
            arbitration_id=classes, is_error_frame=True, is_extended_id=False, data=data
        )
        far_end.send(error)
    next(chunks)
    assert source.skipped == {
        "error-frame": 4,
        "error-protocol": 1,
        "error-unacknowledged": 1,
        "error-passive": 1,
        "controller-overrun": 1,
    }


def test_a_bus_that_goes_off_is_a_fault(source: BusSource, far_end: can.BusABC) -> None:
    chunks = source.chunks()
    next(chunks)
    far_end.send(can.Message(arbitration_id=0x40, is_error_frame=True, is_extended_id=False))
    with pytest.raises(DeviceFault, match="went off; check wiring") as caught:
        next(chunks)
    assert caught.value.code == "bus-off"


@pytest.mark.parametrize(
    "settings",
    [
        BusSettings("no-such-interface", "can0"),
        BusSettings("socketcan", "no-such-can0"),
        BusSettings("slcan", "/dev/no-such-tty"),
    ],
    ids=lambda settings: settings.interface,
)
def test_an_adapter_that_is_not_there_is_a_fault(settings: BusSettings) -> None:
    with pytest.raises(DeviceFault, match="does not answer"):
        open_bus(settings)


def test_a_closed_source_ends(source: BusSource) -> None:
    chunks = source.chunks()
    next(chunks)
    source.close()
    assert list(chunks) == []


# ------------------------------------------------------------------ requests
def test_the_box_asks_and_the_vehicle_answers(
    far_end: can.BusABC, request: pytest.FixtureRequest
) -> None:
    clock, over = SystemClock(), threading.Event()
    vehicle = VehicleOnBus(SimulatedVehicle(SimSettings()), far_end, clock)
    thread = threading.Thread(target=vehicle.run, args=(over.is_set,))
    schedule = ObdSchedule(ObdSection((SPEED, ENGINE_SPEED)))
    settings = BusSettings("virtual", request.node.name, requesters=[schedule])
    source = BusSource(settings, clock)
    thread.start()
    try:
        ids: list[int] = []
        heads: set[bytes] = set()
        for chunk in source.chunks():
            ids += chunk.ids
            heads |= {payload[:3] for payload in chunk.payloads if len(payload) == 8}
            if {b"\x06\x41\x0d", b"\x10\x14\x49"} <= heads or chunk.position > 5_000:
                break
    finally:
        over.set()
        thread.join()
        source.close()
    assert {9, 0x7E8} <= set(ids)
    assert {b"\x06\x41\x0d", b"\x10\x14\x49"} <= heads  # both at once, and a long answer
