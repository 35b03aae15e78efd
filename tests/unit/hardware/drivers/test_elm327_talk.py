"""The conversation with an adapter: genuine ones, clones that lie, and every mishap."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import DeviceFault
from edge.ports import ADAPTER_LINE
from hardware.drivers.asking import Asking
from hardware.drivers.elm327_talk import SEARCH_PAUSE_US, Talk
from hardware.sim.elm327 import GENUINE, V21, Clone, ElmFirmware
from hardware.sim.engine import ENGINE, ENGINE_29, EngineSettings
from hardware.sim.vehicle import SimSettings, SimulatedVehicle
from vehicle_gateway.obd_schedule import ObdSchedule
from vehicle_gateway.profile import ObdSection, PidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.ports import Requester
    from hardware.sim.engine import Frame

SECOND_US = 1_000_000
SPEED = b"\x03\x41\x0d"
PLAN = ObdSection((PidRequest(0x0D, 500_000),), codes_us=0)


@dataclass
class Bench:
    """An adapter on the bench: time is a number, bytes pass at once.

    Attributes:
        noise: Comes before everything that the adapter says.
    """

    clone: Clone = GENUINE
    engine: EngineSettings = field(default_factory=EngineSettings)
    requesters: Sequence[Requester] | None = None
    noise: bytes = b""
    now_us: int = 0
    asleep: bool = False
    said: list[bytes] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.vehicle = SimulatedVehicle(SimSettings(engine=self.engine))
        self.firmware = ElmFirmware(self._bus, self.clone)
        self.counts: Counter[str] = Counter()
        self.schedule = ObdSchedule(PLAN)
        self.asking = Asking([self.schedule] if self.requesters is None else self.requesters)
        self.talk = Talk(self.asking, self.counts)

    def _bus(self, can_id: int, payload: bytes) -> list[Frame]:
        return [] if self.asleep else self.vehicle.answers(can_id, payload)

    def run(self, seconds: float) -> Bench:
        """Lets the two talk; the vehicle drives on."""
        end_us = self.now_us + round(seconds * SECOND_US)
        while self.now_us < end_us:
            text = self.talk.say(self.now_us)
            if text:
                self.said.append(text)
                heard = self.firmware.hear(text)
                self.talk.hear(self.noise + heard if heard else b"", self.now_us)
                self.frames += self.talk.take()
            else:
                self.now_us += 10_000
                self.vehicle.tick()
        return self

    @property
    def speeds(self) -> int:
        return sum(payload[:3] == SPEED for _, payload in self.frames)


def test_an_adapter_is_set_up_once_and_then_only_asked() -> None:
    bench = Bench().run(10)
    setup = [b"ATZ", b"ATE0", b"ATL0", b"ATS0", b"ATH1", b"ATCAF1", b"ATAL", b"ATCFC1", b"ATAT1"]
    setup += [b"ATSP0", b"ATST32", b"ATRV", b"0100", b"ATDPN", b"ATSH7DF", b"0100", b"ATSH7E0"]
    assert [text.strip() for text in bench.said[: len(setup)]] == setup
    assert {text.strip() for text in bench.said[len(setup) + 6 :]} <= {b"010D1", b"ATRV"}
    assert bench.speeds == 20
    assert not bench.counts
    assert bench.talk.adapter == "ELM327 V2.2"


def test_a_long_answer_comes_as_the_frames_that_it_was() -> None:
    bench = Bench().run(2)
    bench.schedule.ask(b"\x09\x02")
    bench.run(1)
    heads = [data[0] for can_id, data in bench.frames if can_id == ENGINE and data[0] >> 4]
    assert heads == [0x10, 0x21, 0x22]
    assert not any(text.startswith(b"30") for text in bench.said)  # flow control is its own work


def test_long_ids_are_spoken_where_the_vehicle_has_them() -> None:
    bench = Bench(engine=EngineSettings(response_id=ENGINE_29)).run(5)
    assert b"ATSHDA10F1\r" in bench.said
    assert {can_id for can_id, _ in bench.frames} == {ENGINE_29, ADAPTER_LINE}
    assert bench.speeds > 5


CLONES = {
    "a clone that knows half of what it claims": (V21, "elm-unknown-command"),
    "an echo that cannot be turned off": (Clone(echoes=True), "elm-echo"),
    "no count of frames": (Clone(counts=False), "elm-unknown-command"),
    "answers to the question before": (Clone(lags=True), "elm-late-answer"),
    "spaces for ever": (Clone(spaces=True), ""),
    "another name": (Clone(banner=b"OBDII  v1.5"), ""),
    "no voltage": (Clone(unknown=("ATRV",)), "elm-unknown-command"),
    "no waiting time of its own": (Clone(unknown=("ATST",)), "elm-unknown-command"),
}


@pytest.mark.parametrize("case", CLONES)
def test_speed_comes_from_an_adapter_with(case: str) -> None:
    clone, reason = CLONES[case]
    bench = Bench(clone).run(30)
    assert bench.speeds >= 10
    assert bench.counts[reason] > 0 if reason else not bench.counts


def test_what_a_clone_does_not_know_it_is_told_once() -> None:
    bench = Bench(V21).run(30)
    for text in (b"ATAT1", b"ATAL", b"ATCFC1", b"ATDPN"):
        assert bench.said.count(text + b"\r") == 1
    assert sum(text.startswith(b"010D") and len(text) == 6 for text in bench.said) <= 1


MISHAPS = {
    "?": "elm-unknown-command",
    "NO DATA": "elm-no-data",
    "BUFFER FULL": "elm-buffer-full",
    "CAN ERROR": "elm-can-error",
    "BUS INIT: ...ERROR": "elm-bus-init",
    "UNABLE TO CONNECT": "elm-unable-to-connect",
    "STOPPED": "elm-stopped",
    "<RX ERROR": "elm-rx-error",
    "FB ERROR": "elm-feedback-error",
    "ERR94": "elm-internal-error",
    "ACT ALERT\r7E803410D00": "elm-activity-alert",
    "7E803410D0\r7E803410D00": "elm-garbage",
    "\xff\x8a\r7E803410D00": "elm-garbage",
    "7E803410D00\rBUFFER FULL": "elm-buffer-full",
    "7E803410C00\r7E803410D00": "elm-late-answer",
    "LV RESET": "elm-reset",
    "x" * 999 + "\r7E803410D00": "elm-overlong-line",
    "": "elm-stray-prompt",
    "\x8a": "elm-no-prompt",
}


@pytest.mark.parametrize("text", MISHAPS)
def test_the_talk_goes_on_after(text: str) -> None:
    bench = Bench().run(5)
    before = bench.speeds
    bench.firmware.mishaps.append(text.encode("latin-1"))
    bench.run(10)
    assert bench.counts[MISHAPS[text]] >= 1
    assert bench.speeds >= before + 10


def test_a_frame_before_a_full_buffer_is_kept() -> None:
    bench = Bench().run(5)
    bench.firmware.mishaps.append(b"7E803410DFE\r7E803410\rBUFFER FULL")
    bench.run(2)
    assert (ENGINE, bytes.fromhex("03410DFE")) in bench.frames
    assert bench.counts == {"elm-garbage": 1, "elm-buffer-full": 1}


def test_a_prompt_that_does_not_come_is_asked_for() -> None:
    bench = Bench().run(5)
    bench.firmware.lost_prompts = 1
    before = bench.speeds
    bench.run(10)
    assert bench.counts == {"elm-no-prompt": 1}
    assert b"\r" in bench.said
    assert bench.speeds > before + 10


def test_an_adapter_that_lost_power_is_set_up_again() -> None:
    bench = Bench().run(5)
    bench.talk.hear(bench.firmware.restart(), bench.now_us)
    bench.run(10)
    assert bench.said.count(b"ATH1\r") == 2
    assert bench.counts == {"elm-reset": 1}
    assert bench.speeds > 20


def test_one_that_says_nothing_is_a_fault_that_tells_what_to_do() -> None:
    bench = Bench().run(5)
    bench.firmware.mute = True
    with pytest.raises(DeviceFault, match="Pull it out, plug it in again") as caught:
        bench.run(60)
    assert caught.value.code == "elm-silent"


def test_one_that_prints_no_ids_is_a_fault() -> None:
    with pytest.raises(DeviceFault, match="does not know ATH1; use another one") as caught:
        Bench(Clone(unknown=("ATH",))).run(5)
    assert caught.value.code == "elm-clone"


def test_a_vehicle_without_can_is_a_fault() -> None:
    bench = Bench()
    bench.firmware.mishaps.append(b"BUS INIT: OK\r486B104100BE3EB811FA")
    bench.firmware.protocol = b"A3"
    with pytest.raises(DeviceFault, match="which is no CAN") as caught:
        bench.run(5)
    assert caught.value.code == "elm-protocol"


def test_a_vehicle_that_sleeps_is_searched_ever_more_rarely() -> None:
    bench = Bench(asleep=True)
    times_us = []
    for _ in range(3_000):
        searches = bench.said.count(b"0100\r")
        bench.run(0.1)
        if bench.said.count(b"0100\r") > searches:
            times_us.append(bench.now_us)
    pauses = [round((b - a) / SEARCH_PAUSE_US) for a, b in pairwise(times_us)]
    assert pauses == [1, 2, 4, 8]


def test_an_engine_that_starts_charges_the_battery_and_is_found_at_once() -> None:
    bench = Bench(asleep=True).run(170)
    bench.asleep, bench.firmware.voltage = False, b"14.1V"
    bench.run(15)
    assert bench.speeds > 5
    assert (ADAPTER_LINE, b"14.1V") in bench.frames


def test_a_bus_that_fails_three_times_is_searched_anew() -> None:
    bench = Bench().run(5)
    bench.firmware.mishaps.extend([b"CAN ERROR"] * 3)
    before = bench.said.count(b"ATDPN\r")
    bench.run(10)
    assert bench.said.count(b"ATDPN\r") == before + 1
    assert bench.speeds > 10


def test_an_engine_that_starts_ends_the_sleep_of_a_bus_that_was_found() -> None:
    bench = Bench().run(5)
    bench.asleep = True
    bench.run(200)
    before = len(bench.said)
    assert not any(text.startswith(b"0100") for text in bench.run(60).said[before:])
    bench.asleep, bench.firmware.voltage = False, b"14.1V"
    speeds = bench.speeds
    bench.run(75)  # a search of the schedule is at most a minute away
    assert bench.speeds > speeds


class Asks:
    """Asks the same each time."""

    def __init__(self, *payloads: str) -> None:
        self.payloads = [bytes.fromhex(text) for text in payloads]
        self.counts: dict[str, int] = {}

    def due(self, now_us: int) -> list[Frame]:
        del now_us
        return [(0x7E0, payload) for payload in self.payloads]

    def pause(self, *, paused: bool) -> None:
        del paused

    def claims(self, can_id: int) -> bool:
        return bool(can_id)

    def heard(self, can_id: int, payload: bytes, now_us: int) -> None:
        del can_id, payload, now_us


def test_a_question_of_several_frames_is_counted() -> None:
    bench = Bench(requesters=[Asks("1010010203040506")]).run(1)
    assert bench.counts["elm-long-request"] > 0
    assert not any(text.startswith((b"10", b"ATSH7E0")) for text in bench.said)


def test_flow_control_is_the_adapters_own_work() -> None:
    bench = Bench(requesters=[Asks("300000")]).run(1)
    assert not bench.counts
    assert not any(text.startswith((b"30", b"ATSH7E0")) for text in bench.said)


@given(st.lists(st.binary(max_size=30), max_size=12), st.binary(max_size=4))
def test_any_bytes_are_frames_counts_or_our_fault(mishaps: list[bytes], noise: bytes) -> None:
    bench = Bench(noise=noise)
    bench.firmware.mishaps.extend(mishaps)
    try:
        bench.run(8)
    except DeviceFault as fault:
        assert fault.code.startswith("elm-")  # noqa: PT017 - either is right
    assert all(can_id == ADAPTER_LINE or 1 <= len(data) <= 8 for can_id, data in bench.frames)
