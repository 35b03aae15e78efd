"""The simulated adapter: the bytes of a real one, and the same drive as on the bus itself."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import can
import pytest

from edge.ports import ADAPTER_LINE, FrameChunk, Instant
from hardware.drivers.asking import Asking
from hardware.drivers.can_bus import BusSettings, BusSource
from hardware.drivers.clock import SystemClock
from hardware.drivers.elm327_talk import Talk
from hardware.sim.elm327 import V21, Clone, ElmFirmware
from hardware.sim.engine import EngineSettings
from hardware.sim.vehicle import SimSettings, SimulatedVehicle
from vehicle_gateway.decode import Decoder
from vehicle_gateway.obd_schedule import ObdSchedule
from vehicle_gateway.profile import load_profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.engine import Frame

SETUP = b"ATE0\rATL0\rATS0\rATH1\r"
SAID = {
    "its name after a reset": (b"ATZ\r", b"ATZ\r\r\n\r\nELM327 v2.2\r\n\r\n>"),
    "an echo until it is told not to": (b"ATE0\rATE0\r", b"ATE0\rOK\r\n\r\n>OK\r\n\r\n>"),
    "? to what it does not know": (SETUP + b"ATXY\r", b"?\r\r>"),
    "? to what is no digit": (SETUP + b"01G\r", b"?\r\r>"),
    "the battery's voltage": (SETUP + b"ATRV\r", b"12.6V\r\r>"),
    "a frame after the search": (SETUP + b"010D\r", b"SEARCHING...\r7E803410D0055555555\r\r>"),
    "the protocol that was found": (SETUP + b"010D\rATDPN\r", b"A6\r\r>"),
    "no data": (SETUP + b"010D\r01A1\r", b"NO DATA\r\r>"),
    "several frames": (
        SETUP + b"010D\r0902\r",
        b"7E810144902014C5445\r7E821535453414D504C\r7E82245303030303031\r\r>",
    ),
    "as many frames as asked for": (SETUP + b"010D\r09021\r", b"7E810144902014C5445\r\r>"),
    "spaces": (b"ATE0\rATL0\rATH1\r010D\r010D\r", b"7E8 03 41 0D 00 55 55 55 55 \r\r>"),
    "only data without ids": (b"ATE0\rATL0\rATS0\r010D\r010D\r", b"410D0055555555\r\r>"),
}


@pytest.mark.parametrize("case", SAID)
def test_it_says(case: str) -> None:
    heard, said = SAID[case]
    firmware = ElmFirmware(SimulatedVehicle(SimSettings()).answers)
    assert firmware.hear(heard).endswith(said)


def test_it_finds_nobody_where_nobody_is() -> None:
    firmware = ElmFirmware(lambda can_id, payload: [])  # noqa: ARG005 - an empty bus
    assert firmware.hear(SETUP + b"0100\r").endswith(b"SEARCHING...\rUNABLE TO CONNECT\r\r>")


# ------------------------------------------------------------------ the same drive twice
STEP_US = 500_000
STILL_SECONDS = 40
STEPS = 78
START_US = 400_000  # bytes take no time here: the adapter would be half a second ahead of the bus


class Road:
    """A clock whose every reading is 10 ms later; the vehicle moves on in steps of half a second.

    So both sources ask while it stands, and what they hear depends on the step alone.
    """

    def __init__(self, seconds: float) -> None:
        self.vehicle = SimulatedVehicle(SimSettings(engine=EngineSettings()))
        self.vehicle.engine.fail("P0420")
        for _ in range(2_000):
            self.vehicle.tick()
        self.left = round(seconds * 100)
        self.us = 0
        self.each: Callable[[], None] = lambda: None

    def now(self) -> Instant:
        self.us += 10_000
        self.left -= 1
        if self.us % STEP_US == 0:
            for _ in range(STEP_US // 10_000):
                self.vehicle.tick()
        self.each()
        # The adapter stamps frames by the machine's clock, so that has to be the wall here.
        return Instant(SystemClock().now().wall_us, "boot", self.us)


def over_the_bus(name: str) -> list[tuple[int, Frame]]:
    """Drives with a CAN adapter and returns what it heard, with times."""
    road = Road(STILL_SECONDS)
    far_end = can.Bus(interface="virtual", channel=name)

    def answer() -> None:
        far_end.send(can.Message(arbitration_id=0x123, data=b"", is_extended_id=False))
        while (message := far_end.recv(0)) is not None:
            for can_id, payload in road.vehicle.answers(
                message.arbitration_id, bytes(message.data)
            ):
                far_end.send(can.Message(arbitration_id=can_id, data=payload, is_extended_id=False))

    road.each = answer
    settings = BusSettings("virtual", name, requesters=[ObdSchedule(obd_plan())])
    source = BusSource(settings, road)
    heard = []
    for chunk in source.chunks():
        frames = zip(chunk.ids, chunk.payloads, strict=True)
        heard += [(road.us, frame) for frame in frames if frame[0] != 0x123]
        if road.left <= 0:
            source.close()
    far_end.shutdown()
    return heard


def over_the_adapter(clone: Clone) -> list[tuple[int, Frame]]:
    """Drives with a simulated ELM327 and returns what it heard, with times."""
    road, counts = Road(STILL_SECONDS), Counter[str]()
    road.us = START_US
    firmware = ElmFirmware(road.vehicle.answers, clone)
    talk = Talk(Asking([ObdSchedule(obd_plan())]), counts)
    heard = []
    while road.left > 0:
        now_us = road.now().monotonic_us
        while text := talk.say(now_us):
            talk.hear(firmware.hear(text), now_us)
        heard += [(now_us, frame) for frame in talk.take() if frame[0] != ADAPTER_LINE]
    return heard


def obd_plan() -> Any:
    return load_profile().obd


def columns(heard: list[tuple[int, Frame]]) -> tuple[dict[int, list[tuple[int, Any]]], Any]:
    """Signal → (step, value), and what was reported."""
    chunk = FrameChunk(
        [time_us for time_us, _ in heard],
        [can_id for _, (can_id, _) in heard],
        [payload for _, (_, payload) in heard],
        len(heard),
    )
    decoded = Decoder(load_profile()).decode(chunk)
    assert not decoded.counts
    found: dict[int, list[tuple[int, Any]]] = {}
    for group in decoded.groups:
        for signal_id, values in group.series.items():
            steps = [time_us // STEP_US for time_us in group.times_us]
            pairs = zip(steps, values, strict=True)
            found.setdefault(signal_id, []).extend(pair for pair in pairs if pair[0] < STEPS)
    reported = [{k: v for k, v in each.items() if k != "at_us"} for each in decoded.snapshots]
    return found, reported


@pytest.mark.parametrize("clone", [Clone(), V21], ids=["genuine", "clone"])
def test_an_adapter_gives_the_columns_that_the_bus_gives(
    clone: Clone, request: pytest.FixtureRequest
) -> None:
    bus, bus_reports = columns(over_the_bus(request.node.name))
    adapter, adapter_reports = columns(over_the_adapter(clone))
    assert len(bus) == 19
    assert len({value for _, value in bus[1]}) > 10
    assert adapter == bus
    assert adapter_reports == bus_reports
    assert {each["kind"] for each in bus_reports} >= {"dtc", "vehicle-identity", "freeze-frame"}
