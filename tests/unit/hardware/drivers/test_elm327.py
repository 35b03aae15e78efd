"""An adapter over a terminal of its own: found, asked, unplugged and plugged in again."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from edge.errors import DeviceFault
from hardware.drivers.clock import SystemClock
from hardware.drivers.elm327 import ElmLine, ElmSettings, ElmSource
from hardware.sim.elm327 import GENUINE, V21, Clone, ElmFirmware, ElmOnPty
from hardware.sim.engine import ENGINE
from hardware.sim.vehicle import SimSettings, SimulatedVehicle
from vehicle_gateway.obd_schedule import ObdSchedule
from vehicle_gateway.profile import ObdSection, PidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAN = ObdSection((PidRequest(0x0D, 100_000),))
SPEED = b"\x03\x41\x0d"
LONG = b"\x10\x14\x49"  # the first frame of the vehicle's number


@contextmanager
def plugged_in(clone: Clone = GENUINE, noise: bytes = b"") -> Iterator[ElmOnPty]:
    over = threading.Event()
    vehicle = SimulatedVehicle(SimSettings())
    adapter = ElmOnPty(ElmFirmware(vehicle.answers, clone), vehicle, SystemClock())
    adapter.noise = noise
    thread = threading.Thread(target=adapter.run, args=(over.is_set,))
    thread.start()
    try:
        yield adapter
    finally:
        over.set()
        thread.join()
        adapter.unplug()


def hear(source: ElmSource, wanted: set[bytes]) -> set[bytes]:
    """Listens until the wanted beginnings came, for a thousand chunks at most."""
    heads: set[bytes] = set()
    for _, chunk in zip(range(1_000), source.chunks(), strict=False):
        heads |= {
            payload[:3]
            for can_id, payload in zip(chunk.ids, chunk.payloads, strict=True)
            if can_id == ENGINE
        }
        if wanted <= heads:
            break
    return heads


@pytest.mark.parametrize("clone", [GENUINE, V21], ids=["genuine", "clone"])
@pytest.mark.parametrize("noise", [b"", b"\x00\xfe\r"], ids=["clean", "noisy"])
def test_values_and_long_answers_come_through_a_terminal(clone: Clone, noise: bytes) -> None:
    with plugged_in(clone, noise) as adapter:
        settings = ElmSettings(adapter.path, 115_200, [ObdSchedule(PLAN)])
        source = ElmSource(settings, SystemClock())
        assert {SPEED, LONG} <= hear(source, {SPEED, LONG})
        source.close()
    assert source.name == f"elm327:{adapter.path}"
    assert bool(source.skipped) == (clone is V21 or bool(noise))


def test_the_speed_of_the_line_is_found() -> None:
    with plugged_in() as adapter:
        source = ElmSource(ElmSettings(adapter.path, 0, [ObdSchedule(PLAN)]), SystemClock())
        assert SPEED in hear(source, {SPEED})
        source.close()


def test_what_is_unplugged_is_a_fault_and_what_is_plugged_in_again_goes_on() -> None:
    schedule = ObdSchedule(PLAN)
    with plugged_in() as adapter:
        source = ElmSource(ElmSettings(adapter.path, 115_200, [schedule]), SystemClock())
        chunks = source.chunks()
        next(chunks)
    with pytest.raises(DeviceFault, match="plug it in") as caught:
        list(chunks)
    assert caught.value.code == "elm-lost"
    with plugged_in() as adapter:
        again = ElmSource(ElmSettings(adapter.path, 115_200, [schedule]), SystemClock())
        assert SPEED in hear(again, {SPEED})
        again.close()


def test_a_closed_source_ends() -> None:
    with plugged_in() as adapter:
        source = ElmSource(ElmSettings(adapter.path, 115_200), SystemClock())
        chunks = source.chunks()
        next(chunks)
        source.close()
        assert list(chunks) == []


def test_an_adapter_that_is_not_there_is_a_fault() -> None:
    with pytest.raises(DeviceFault, match="plug it in") as caught:
        ElmLine("/dev/no-such-tty")
    assert caught.value.code == "elm-lost"


def test_a_line_that_somebody_else_has_is_a_fault() -> None:
    with plugged_in() as adapter:
        first = ElmLine(adapter.path, 115_200)
        with pytest.raises(DeviceFault, match="nothing else has it open"):
            ElmLine(adapter.path, 115_200)
        first.close()


def test_a_line_on_which_nobody_answers_is_a_fault() -> None:
    master, slave = os.openpty()
    with pytest.raises(DeviceFault, match="at any speed; check that it is plugged in"):
        ElmLine(os.ttyname(slave))
    os.close(master)
    os.close(slave)


def test_an_address_is_as_good_as_a_line() -> None:
    with pytest.raises(DeviceFault, match="does not answer"):
        ElmLine("socket://127.0.0.1:1")
