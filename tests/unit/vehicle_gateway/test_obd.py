"""OBD-II answers: the formulas of SAE J1979, several PIDs in a frame, refusals counted."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalogue import signal_by_id
from edge.errors import LocalError
from edge.ports import EXTENDED_ID
from vehicle_gateway.obd import PIDS, ObdInterpreter, is_response, request

Values = dict[str, list[float]]


def decode(*payloads: str, can_id: int = 0x7E8) -> tuple[Values, Counter[str]]:
    counts: Counter[str] = Counter()
    columns = ObdInterpreter().answers(can_id, [bytes.fromhex(text) for text in payloads], counts)
    values: Values = {}
    for column in columns:
        spec = signal_by_id(column.signal_id)
        scaled = [raw * spec.numerator / spec.denominator for raw in column.values]
        values[spec.path.removeprefix("Vehicle.")] = scaled
    return values, counts


FORMULAS = {
    "calculated load": ("034104FF", "OBD.EngineLoad", 100.0),
    "coolant temperature": ("03410500", "OBD.CoolantTemperature", -40.0),
    "manifold pressure": ("03410B65", "OBD.MAP", 101.0),
    "engine speed": ("04410C1AF8", "OBD.EngineSpeed", 1726.0),
    "engine speed with a quarter": ("04410C0001", "OBD.EngineSpeed", 0.25),
    "vehicle speed": ("03410D50", "Speed", 80.0),
    "intake temperature": ("03410F46", "OBD.IntakeTemp", 30.0),
    "air flow": ("0441100FA0", "OBD.MAF", 40.0),
    "throttle": ("034111FF", "OBD.ThrottlePosition", 100.0),
    "fuel level": ("03412F00", "OBD.FuelLevel", 0.0),
    "barometric pressure": ("03413364", "OBD.BarometricPressure", 100.0),
    "module voltage": ("0441423390", "OBD.ControlModuleVoltage", 13.2),
    "actual torque": ("03416200", "OBD.EngineTorquePercent", -125.0),
}


@pytest.mark.parametrize("case", FORMULAS)
def test_a_value_follows_the_formula_of_its_pid(case: str) -> None:
    payload, path, value = FORMULAS[case]
    assert decode(payload.ljust(16, "0")) == ({path: [value]}, Counter())


def test_every_pid_of_the_table_has_a_formula_here() -> None:
    assert {int(payload[4:6], 16) for payload, _, _ in FORMULAS.values()} == set(PIDS)


def test_an_answer_of_several_pids_gives_each() -> None:
    values, counts = decode("03410D3400", "06410D320C1AF8", "03410D3300")
    assert values == {"Speed": [52.0, 50.0, 51.0], "OBD.EngineSpeed": [1726.0]}
    assert not counts


PASSED_OVER = {
    "a refusal": ("037F0112", "obd-refused"),
    "the answer to another service": ("0643010133", "obd-other-service"),
    "a PID outside the table": ("0641008818000155", "obd-unknown-pid"),
    "the first frame of several": ("1014490201", "obd-segmented"),
    "a later frame of several": ("21434445464748", "obd-segmented"),
    "nothing": ("", "short-payload"),
    "an answer cut short": ("04410C1A", "short-payload"),
    "an answer that says less than its PID has": ("03410C1A00000000", "short-payload"),
    "a length that reaches past the frame": ("0741", "short-payload"),
    "a length of nothing": ("0141", "short-payload"),
}


@pytest.mark.parametrize("case", PASSED_OVER)
def test_it_counts(case: str) -> None:
    payload, reason = PASSED_OVER[case]
    assert decode(payload, "03410D50") == ({"Speed": [80.0]}, Counter({reason: 1}))


def test_only_the_first_computer_that_answers_a_pid_is_believed() -> None:
    decoder, counts = ObdInterpreter(), Counter[str]()
    speed = [bytes.fromhex("03410D50")]
    assert decoder.answers(0x7E8, speed, counts)
    assert not decoder.answers(0x7E9, speed, counts)
    assert decoder.answers(0x7E9, [bytes.fromhex("03410546")], counts)
    assert counts == {"obd-second-responder": 1}
    later = ObdInterpreter()
    later.restore(decoder.state())
    assert not later.answers(0x7E9, speed, counts)


@pytest.mark.parametrize("state", [{"0D": "x"}, {"speed": 1}, [1]])
def test_a_damaged_state_is_refused(state: dict[str, int]) -> None:
    with pytest.raises(LocalError, match="OBD state is damaged"):
        ObdInterpreter().restore(state)


def test_response_ids_are_those_of_iso_15765() -> None:
    assert [can_id for can_id in range(0x7D0, 0x800) if is_response(can_id)] == [
        *range(0x7E8, 0x7F0)
    ]
    assert is_response(0x18DAF110 | EXTENDED_ID)
    assert not is_response(0x18DA10F1 | EXTENDED_ID)
    assert not is_response(0x7E8 | EXTENDED_ID)


def test_a_request_asks_for_its_pid() -> None:
    assert request(0x0C) == bytes.fromhex("02010C5555555555")


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_any_bytes_are_values_or_counts(payloads: list[bytes]) -> None:
    counts: Counter[str] = Counter()
    for column in ObdInterpreter().answers(0x7E8, payloads, counts):
        assert len(column.places) == len(column.values)
        assert all(0 <= place < len(payloads) for place in column.places)
