"""What is asked of engine computers and when: groups, budget, silence, and nothing that changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import LocalError
from hardware.sim.engine import ENGINE, ENGINE_29, Engine, EngineSettings, Frame
from vehicle_gateway.obd_budget import TIMEOUT_US, frame_bits
from vehicle_gateway.obd_pids import single_frame
from vehicle_gateway.obd_schedule import YIELD_US, ObdSchedule
from vehicle_gateway.profile import ObdSection, PidRequest

SECOND_US = 1_000_000
STEP_US = 5_000
MINUTES = 60.0
DATA = {
    0x04: b"\x40",
    0x05: b"\x60",
    0x0B: b"\x30",
    0x0C: b"\x0c\xd0",
    0x0D: b"\x32",
    0x11: b"\x20",
    0x2F: b"\x80",
    0x42: b"\x36\xb0",
    0xA6: b"\0\1\2\3",
}
FAST = (0x0C, 0x0D)
SLOW = (0x04, 0x05, 0x0B, 0x11, 0x2F, 0x42, 0xA6)
PERIODS = (
    *(PidRequest(pid, 500_000) for pid in FAST),
    *(PidRequest(pid, 2_000_000) for pid in SLOW),
)


def plan(
    requests: tuple[PidRequest, ...] = PERIODS,
    load_percent: float = 5.0,
    codes_us: int = 0,
    group_max: int = 6,
) -> ObdSection:
    return ObdSection(requests, 500_000, load_percent, group_max, codes_us)


@dataclass
class Street:
    """A bus with computers on it; time is a number.

    Attributes:
        deaf_to: Parameters that silence every request that they are in.
        left_out: Parameters that are answered alone only.
        asked: When what was asked of whom.
        bits: Used by both sides.
    """

    schedule: ObdSchedule
    engines: list[Engine] = field(default_factory=lambda: [Engine(EngineSettings(), DATA.get)])
    deaf_to: set[int] = field(default_factory=set)
    left_out: set[int] = field(default_factory=set)
    now_us: int = 7 * SECOND_US
    asked: list[tuple[int, int, bytes]] = field(default_factory=list)
    bits: int = 0

    def run(self, seconds: float) -> Street:
        end_us = self.now_us + round(seconds * SECOND_US)
        while self.now_us < end_us:
            for can_id, payload in self.schedule.due(self.now_us):
                self.bits += frame_bits(can_id, payload)
                self.asked.append((self.now_us, can_id, payload))
                for answer in self.answers(can_id, payload):
                    self.hear(*answer)
            self.now_us += STEP_US
        return self

    def answers(self, can_id: int, payload: bytes) -> list[Frame]:
        if payload[1] == 1 and set(payload[2 : 1 + payload[0]]) & self.deaf_to:
            return []
        if payload[1] == 1 and payload[0] > 2:
            pids = bytes(pid for pid in payload[2 : 1 + payload[0]] if pid not in self.left_out)
            payload = single_frame(b"\x01" + pids)
        return [frame for each in self.engines for frame in each.frames(can_id, payload)]

    def hear(self, can_id: int, payload: bytes) -> None:
        self.bits += frame_bits(can_id, payload)
        assert self.schedule.claims(can_id)
        self.schedule.heard(can_id, payload, self.now_us)

    def messages(self, service: int | None = None) -> list[tuple[int, int, bytes]]:
        """When what was asked of whom, without flow control."""
        found = [(at, to, p[1 : 1 + p[0]]) for at, to, p in self.asked if p[0] < 8]
        return [each for each in found if service in {None, each[2][0]}]

    def times_us(self, pid: int) -> list[int]:
        return [at for at, _, m in self.messages(1) if pid in m[1:]]


def test_it_searches_reads_what_is_supported_and_asks_for_that() -> None:
    street = Street(ObdSchedule(plan())).run(3)
    heads = [(to, message.hex()) for _, to, message in street.messages()]
    assert heads[:7] == [
        (0x7DF, "0100"),
        *((0x7E0, f"01{page:02x}") for page in (0x20, 0x40, 0x60, 0x80, 0xA0)),
        (0x7E0, "010c0d04050b11"),
    ]
    assert street.schedule.computers[ENGINE].supported >= set(DATA)
    assert not street.schedule.counts


def test_each_parameter_keeps_its_pace_and_comes_with_others() -> None:
    street = Street(ObdSchedule(plan())).run(60)
    for pid in (*FAST, *SLOW):
        period_us = 500_000 if pid in FAST else 2_000_000
        gaps = [later - earlier for earlier, later in pairwise(street.times_us(pid)[1:])]
        assert abs(sum(gaps) / len(gaps) - period_us) < period_us / 20
        assert max(gaps) <= period_us * 1.3
    assert max(len(message) for _, _, message in street.messages(1)) == 7
    assert len(street.messages(1)) < 60 * 2 * 1.6  # nine parameters in little more than two groups


def test_a_pause_is_not_made_up_for() -> None:
    street = Street(ObdSchedule(plan())).run(10)
    street.now_us += 300 * SECOND_US
    before = len(street.times_us(0x0D))
    street.run(1.2)
    assert len(street.times_us(0x0D)) - before <= 4


def test_a_computer_that_answers_one_parameter_only_is_asked_singly() -> None:
    engine = Engine(EngineSettings(group_max=1), DATA.get)
    street = Street(ObdSchedule(plan()), [engine]).run(10)
    tail = street.messages(1)[12:]
    assert {len(message) for _, _, message in tail} == {2}
    assert {message[1] for _, _, message in tail} == set(DATA)


def test_the_profile_may_forbid_groups() -> None:
    street = Street(ObdSchedule(plan(group_max=1))).run(5)
    assert {len(message) for _, _, message in street.messages(1)} == {2}


def test_what_nobody_supports_is_counted_once_and_never_asked() -> None:
    street = Street(ObdSchedule(plan((PidRequest(0x0D, 100_000), PidRequest(0x5E, 100_000)))))
    street.run(5)
    assert not street.times_us(0x5E)
    assert street.schedule.counts == {"obd-unsupported-pid": 1}


@pytest.mark.parametrize("load_percent", [0.1, 0.5, 2.0])
def test_the_bus_is_never_used_more_than_allowed(load_percent: float) -> None:
    greedy = tuple(PidRequest(pid, 50_000) for pid in DATA)
    street = Street(ObdSchedule(plan(greedy, load_percent))).run(60)
    share = street.bits / (500_000 * 60) * 100
    assert 0.8 * load_percent < share < 1.1 * load_percent + 0.01
    assert len(street.times_us(0x0D)) > 10


def test_a_silent_parameter_is_asked_ever_more_rarely_and_the_others_are_not() -> None:
    street = Street(ObdSchedule(plan()), deaf_to={0x05}).run(200)
    silent, heard = street.times_us(0x05), street.times_us(0x04)
    assert len(silent) < 15
    assert len(heard) > 90
    gaps = [later - earlier for earlier, later in pairwise(silent[2:])]
    assert gaps[-1] > 20 * SECOND_US
    street.deaf_to.clear()
    street.run(120)
    assert len(street.times_us(0x05)) - len(silent) > 20


def test_a_parameter_that_silences_its_group_is_found_and_the_others_stay_together() -> None:
    street = Street(ObdSchedule(plan())).run(10)
    street.deaf_to = {0x05}
    street.run(200)
    alone = [message for _, _, message in street.messages(1)[-60:] if len(message) == 2]
    assert len(alone) < 10
    assert len(street.times_us(0x04)) > 90
    assert len(street.times_us(0x05)) < 25


def test_a_parameter_that_is_answered_alone_only_is_asked_alone() -> None:
    street = Street(ObdSchedule(plan()))
    street.left_out = {0x05}
    street.run(200)
    asked = [message for _, _, message in street.messages(1)[-60:] if 0x05 in message[1:]]
    assert set(asked) == {b"\x01\x05"}
    assert len(street.times_us(0x05)) > 90
    assert max(len(message) for _, _, message in street.messages(1)[-20:]) > 5


def test_each_parameter_is_asked_of_the_first_computer_that_has_it() -> None:
    gearbox = Engine(EngineSettings(response_id=0x7E9), {0x0D: b"\x33", 0xA4: b"\0\0\0\0"}.get)
    requests = (*PERIODS, PidRequest(0xA4, 1_000_000))
    street = Street(ObdSchedule(plan(requests)), [gearbox, Engine(EngineSettings(), DATA.get)])
    street.run(10)
    asked: dict[int, set[int]] = {to: set() for to in (0x7DF, 0x7E0, 0x7E1)}
    for _, to, message in street.messages(1):
        asked[to] |= set(message[1:]) - set(range(0, 0x100, 0x20))
    assert asked == {0x7DF: set(), 0x7E0: set(DATA), 0x7E1: {0xA4}}


def test_long_ids_are_found_when_short_ones_are_not_answered() -> None:
    engine = Engine(EngineSettings(response_id=ENGINE_29), DATA.get)
    street = Street(ObdSchedule(plan()), [engine]).run(3)
    assert [to for _, to, _ in street.messages()][1] == 0x98DB33F1
    assert street.messages()[-1][1] == 0x98DA10F1


def test_a_computer_that_only_listens_where_all_do_is_asked_there() -> None:
    engine = Engine(EngineSettings(own_address=False), DATA.get)
    street = Street(ObdSchedule(plan()), [engine]).run(10)
    assert {to for _, to, _ in street.messages()[-10:]} == {0x7DF}
    assert len(street.times_us(0x0D)) > 10


def test_nobody_is_searched_ever_more_rarely() -> None:
    street = Street(ObdSchedule(plan()), []).run(5 * MINUTES)
    times_us = [at for at, to, _ in street.messages() if to == 0x7DF]
    gaps_s = [round((b - a) / SECOND_US) for a, b in pairwise(times_us)]
    assert gaps_s[:6] == [1, 2, 4, 8, 16, 32]
    assert set(gaps_s[6:]) == {60}


def test_a_vehicle_that_falls_silent_is_searched_and_found_again() -> None:
    street = Street(ObdSchedule(plan())).run(10)
    engines, street.engines = street.engines, []
    street.run(20)
    assert not street.schedule.computers
    assert street.schedule.counts["obd-lost"] == 1
    street.engines = engines
    street.run(30)
    assert len(street.times_us(0x0D)) > 30


def test_one_request_is_under_way_at_a_time() -> None:
    schedule = ObdSchedule(plan())
    street = Street(schedule).run(3)
    street.engines = []
    street.asked.clear()
    street.run(2)
    times_us = [at for at, to, _ in street.messages() if to == 0x7E0]
    assert len(times_us) >= 3
    assert min(later - earlier for earlier, later in pairwise(times_us)) >= TIMEOUT_US


def test_another_tester_has_the_bus_for_itself() -> None:
    street = Street(ObdSchedule(plan())).run(3)
    before = len(street.asked)
    street.hear(0x7DF, single_frame(b"\x01\x05"))
    street.run(YIELD_US / SECOND_US - 0.1)
    assert len(street.asked) == before
    street.hear(ENGINE, bytes.fromhex("1014490201414243"))  # and the answers are its own
    street.run(2)
    assert len(street.asked) > before
    assert not any(payload[0] == 0x30 for _, _, payload in street.asked[before:][:1])
    assert street.schedule.counts["obd-other-tester"] == 1


def test_a_vehicle_that_sleeps_is_asked_nothing() -> None:
    street = Street(ObdSchedule(plan())).run(3)
    street.schedule.pause(paused=True)
    before = len(street.asked)
    assert len(street.run(100).asked) == before
    street.schedule.pause(paused=False)
    assert street.run(1).messages()[-1][2][0] == 1
    assert street.asked[before][1] == 0x7DF


def test_a_parked_vehicle_is_left_alone_until_its_engine_turns() -> None:
    parked = dict(DATA) | {0x0C: b"\0\0", 0x0D: b"\0"}
    schedule = ObdSchedule(plan(codes_us=60 * SECOND_US))
    street = Street(schedule, [Engine(EngineSettings(), parked.get)]).run(9 * MINUTES)
    before = len(street.asked)
    assert before > 1_000
    street.run(11 * MINUTES)
    assert len(street.asked) - before < 300  # the tenth minute, then two probes
    before = len(street.asked)
    street.run(5 * MINUTES)
    assert 1 <= len(street.asked) - before <= 2
    parked[0x0C] = b"\x0c\xd0"
    street.run(6 * MINUTES)
    assert len(street.asked) - before > 100
    assert street.messages(3)[-1][0] > street.now_us - 2 * 60 * SECOND_US


# ------------------------------------------------------------------ answers that are none yet
def ask_speed() -> Street:
    street = Street(ObdSchedule(plan((PidRequest(0x0D, 1_000_000),)))).run(0.5)
    street.engines = []
    while not street.schedule.computers[ENGINE].under_way:
        street.run(0.005)
    return street


def test_an_answer_that_takes_its_time_is_waited_for() -> None:
    street = ask_speed()
    street.hear(ENGINE, bytes.fromhex("037F017855555555"))
    street.run(4)
    assert street.schedule.computers[ENGINE].under_way
    street.run(2)
    assert street.schedule.counts["obd-no-answer"] >= 1


def test_a_refusal_ends_the_request() -> None:
    street = ask_speed()
    street.hear(ENGINE, bytes.fromhex("037F011255555555"))
    assert street.schedule.computers[ENGINE].under_way is None
    assert street.schedule.counts == {"obd-refused": 1}


def test_a_busy_computer_is_asked_again() -> None:
    street = ask_speed()
    street.hear(ENGINE, bytes.fromhex("03410D3255555555"))
    street.schedule.ask(b"\x03")
    street.run(0.01)
    street.hear(ENGINE, bytes.fromhex("037F032155555555"))
    street.run(0.01)
    assert [message for _, _, message in street.messages(3)] == [b"\x03", b"\x03"]


OTHER = {
    "another parameter": "0341053255555555",
    "another service": "0243005555555555",
    "a refusal of another service": "037F091255555555",
    "the answer of another tester's UDS": "0462F19055555555",
}


@pytest.mark.parametrize("case", OTHER)
def test_what_was_not_asked_does_not_end_the_request(case: str) -> None:
    street = ask_speed()
    street.hear(ENGINE, bytes.fromhex(OTHER[case]))
    assert street.schedule.computers[ENGINE].under_way


def test_a_computer_whose_answers_come_late_is_not_given_up() -> None:
    street = Street(ObdSchedule(plan((PidRequest(0x0D, 1_000_000),)))).run(0.5)
    street.engines = []
    for _ in range(40):
        street.run(0.5)
        street.hear(ENGINE, bytes.fromhex("03410D3255555555"))
    assert ENGINE in street.schedule.computers
    assert street.schedule.counts["obd-late-answer"] > 0
    assert len(street.times_us(0x0D)) > 10


# ------------------------------------------------------------------ reports
def test_faults_are_asked_for_at_the_start_and_then_every_so_often() -> None:
    street = Street(ObdSchedule(plan(codes_us=60 * SECOND_US))).run(150)
    for service in (0x03, 0x07, 0x0A):
        times_s = [(at - 7 * SECOND_US) // SECOND_US for at, _, _ in street.messages(service)]
        assert times_s == [0, 60, 120]
    assert [message[1] for _, _, message in street.messages(9)] == [0x02, 0x04]
    assert len(street.times_us(0x01)) == 3


def test_a_new_fault_calls_for_its_freeze_frame_once() -> None:
    street = Street(ObdSchedule(plan(codes_us=60 * SECOND_US))).run(30)
    assert not street.messages(2)
    street.engines[0].fail("P0420")
    street.run(150)
    asked = [message for _, _, message in street.messages(2)]
    assert asked[0] == b"\x02\x02\x00"
    assert len(asked) == len(set(asked)) == 7


def test_a_profile_may_ask_for_no_faults() -> None:
    street = Street(ObdSchedule(plan(codes_us=0))).run(100)
    assert {message[0] for _, _, message in street.messages()} == {1}


def test_long_answers_are_let_go_on_where_they_are_ours() -> None:
    street = Street(ObdSchedule(plan(codes_us=60 * SECOND_US))).run(3)
    flow = [(to, payload[:3]) for _, to, payload in street.asked if payload[0] == 0x30]
    assert flow
    assert set(flow) == {(0x7E0, b"\x30\0\0")}


def test_a_long_answer_to_somebody_else_gets_no_flow_control_of_ours() -> None:
    street = ask_speed()
    street.hear(ENGINE, bytes.fromhex("101462F190414243"))
    assert street.schedule.due(street.now_us) == []
    street.hear(ENGINE, bytes.fromhex("100E410D320C1AF8"))
    assert [payload[0] for _, payload in street.schedule.due(street.now_us)] == [0x30]


@pytest.mark.parametrize("message", [b"\x04", b"\x08\x01", b"\x2e\xf1\x90\x01", b"", b"\x01" * 8])
def test_what_would_change_the_vehicle_is_refused(message: bytes) -> None:
    schedule = ObdSchedule(plan())
    Street(schedule).run(3)
    with pytest.raises(LocalError, match="only reads from a vehicle"):
        schedule.ask(message)


def test_a_technician_may_clear_faults() -> None:
    schedule = ObdSchedule(plan(), may_clear=True)
    street = Street(schedule).run(3)
    street.engines[0].fail("P0420")
    schedule.ask(b"\x04")
    street.run(1)
    assert schedule.computers[ENGINE].cleared
    assert not street.engines[0].codes[3]


ids = st.sampled_from([ENGINE, 0x7E9, 0x7DF, 0x7E0, ENGINE_29])


@given(st.lists(st.tuples(ids, st.binary(max_size=8)), max_size=60))
def test_any_frames_leave_it_asking_and_reading_only(frames: list[Frame]) -> None:
    street = Street(ObdSchedule(plan(codes_us=60 * SECOND_US))).run(0.3)
    for can_id, payload in frames:
        street.hear(can_id, payload)
        street.run(0.02)
    street.run(30)
    assert {message[0] for _, _, message in street.messages()} <= {1, 2, 3, 7, 9, 10}
    assert len(street.schedule.computers) <= 4
