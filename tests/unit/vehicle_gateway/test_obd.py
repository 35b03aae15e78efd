"""OBD-II answers: the formulas of SAE J1979, several PIDs in a frame, refusals counted."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalogue import signal_by_id
from edge.errors import LocalError
from vehicle_gateway.obd import ObdInterpreter
from vehicle_gateway.obd_pids import PIDS

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
    "run time": ("04411F0E10", "OBD.RunTime", 3600.0),
    "distance with the lamp on": ("0441210019", "OBD.DistanceWithMIL", 25.0),
    "distance since codes were cleared": ("04413104B4", "OBD.DistanceSinceDTCClear", 1204.0),
    "outside temperature": ("0341463D", "OBD.AmbientAirTemperature", 21.0),
    "fuel": ("03415104", "OBD.FuelType", 4.0),
    "hybrid battery": ("03415B33", "OBD.HybridBatteryRemaining", 20.0),
    "oil temperature": ("03415C8C", "OBD.OilTemperature", 100.0),
    "fuel rate": ("04415E00C9", "OBD.FuelRate", 10.05),
    "reference torque": ("0441630140", "Private.OBD.ReferenceTorque", 320.0),
    "odometer": ("0641A60012D687", "TraveledDistance", 123456.7),
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


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_any_bytes_are_values_or_counts(payloads: list[bytes]) -> None:
    counts: Counter[str] = Counter()
    for column in ObdInterpreter().answers(0x7E8, payloads, counts):
        assert len(column.places) == len(column.values)
        assert all(0 <= place < len(payloads) for place in column.places)
