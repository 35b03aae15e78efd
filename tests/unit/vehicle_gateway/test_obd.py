"""OBD-II answers: the formulas of SAE J1979, several PIDs in a frame, refusals counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalogue import signal_by_id
from edge.codec import decode as thaw
from edge.codec import encode
from edge.errors import LocalError
from edge.ports import ADAPTER_LINE, FrameChunk
from vehicle_gateway.obd import ObdInterpreter
from vehicle_gateway.obd_pids import PIDS

if TYPE_CHECKING:
    from vehicle_gateway.columns import Snapshot

Values = dict[str, list[float]]
RATE_US = 50_000


def chunk_of(*frames: tuple[int, str], start_us: int = 0) -> FrameChunk:
    times_us = [start_us + place * RATE_US for place in range(len(frames))]
    ids = [can_id for can_id, _ in frames]
    return FrameChunk(times_us, ids, [bytes.fromhex(text) for _, text in frames], len(ids))


def told(
    decoder: ObdInterpreter, *frames: tuple[int, str], start_us: int = 0
) -> tuple[Values, list[Snapshot], Counter[str]]:
    counts: Counter[str] = Counter()
    chunk = chunk_of(*frames, start_us=start_us)
    found = decoder.decode(chunk, range(len(frames)), counts)
    values: Values = {}
    for columns in found.columns:
        assert list(columns.times_us) == [chunk.times_us[place] for place in columns.places]
        for signal_id, raws in columns.series.items():
            spec = signal_by_id(signal_id)
            scaled = [raw * spec.numerator / spec.denominator for raw in raws if raw is not None]
            values.setdefault(spec.path.removeprefix("Vehicle."), []).extend(scaled)
    return values, found.snapshots, counts


def decode(*payloads: str, can_id: int = 0x7E8) -> tuple[Values, Counter[str]]:
    frames = [(can_id, text) for text in payloads]
    values, snapshots, counts = told(ObdInterpreter(), *frames)
    assert not snapshots
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
    "the answer to another service": ("0346010155", "obd-other-service"),
    "a PID outside the table": ("0341990155", "obd-unknown-pid"),
    "a first frame cut short": ("1014490201", "isotp-length"),
    "a later frame of nothing": ("21434445464748", "isotp-no-first"),
    "flow control": ("30000055", "obd-malformed"),
    "nothing": ("", "short-payload"),
    "an answer cut short": ("04410C1A", "short-payload"),
    "an answer that says less than its PID has": ("03410C1A00000000", "short-payload"),
    "a length that reaches past the frame": ("0741", "short-payload"),
    "a length of nothing": ("0041", "short-payload"),
    "a service alone": ("0141", "short-payload"),
}


@pytest.mark.parametrize("case", PASSED_OVER)
def test_it_counts(case: str) -> None:
    payload, reason = PASSED_OVER[case]
    assert decode(payload, "03410D50") == ({"Speed": [80.0]}, Counter({reason: 1}))


def test_an_answer_in_several_frames_gives_each_value_at_its_end() -> None:
    values, counts = decode(
        "100E410D320C1AF8", "211180043F0B2E62", "03410D3355555555", "2291555555555555"
    )
    assert values == {
        "Speed": [51.0, 50.0],
        "OBD.EngineSpeed": [1726.0],
        "OBD.ThrottlePosition": [12_800 / 255],
        "OBD.EngineLoad": [6_300 / 255],
        "OBD.MAP": [46.0],
        "OBD.EngineTorquePercent": [20.0],
    }
    assert not counts


def test_an_answer_in_several_frames_survives_a_restart_in_its_middle() -> None:
    before, after = ObdInterpreter(), ObdInterpreter()
    told(before, (0x7E8, "100E410D320C1AF8"))
    after.restore(thaw(encode(before.state())))
    assert told(after, (0x7E8, "211180043F0B2E62"), start_us=RATE_US)[2] == {}
    values, _, _ = told(after, (0x7E8, "2291555555555555"), start_us=2 * RATE_US)
    assert values["Speed"] == [50.0]


def test_what_is_supported_and_what_is_pending_is_nothing_to_count() -> None:
    assert decode("064100BE3FA81355", "037F0178") == ({}, {})


def test_only_the_first_computer_that_answers_a_pid_is_believed() -> None:
    decoder = ObdInterpreter()
    assert told(decoder, (0x7E8, "03410D50"))[0] == {"Speed": [80.0]}
    values, _, counts = told(decoder, (0x7E9, "03410D50"), (0x7E9, "03410546"))
    assert values == {"OBD.CoolantTemperature": [30.0]}
    assert counts == {"obd-second-responder": 1}
    later = ObdInterpreter()
    later.restore(decoder.state())
    assert not told(later, (0x7E9, "03410D50"))[0]


def test_the_state_of_a_box_from_before_reports_is_understood() -> None:
    decoder = ObdInterpreter()
    decoder.restore({"0D": 0x7E9})
    assert not told(decoder, (0x7E8, "03410D50"))[0]
    assert told(decoder, (0x7E9, "03410D50"))[0] == {"Speed": [80.0]}


def test_an_adapter_says_how_the_battery_is() -> None:
    lines = [b"12.6V", b"14.25V", b"9.9", b"0.0V", b"99.9V", b"1.x", b"\xff", b"."]
    counts: Counter[str] = Counter()
    chunk = FrameChunk([*range(len(lines))], [ADAPTER_LINE] * len(lines), lines, 0)
    decoder = ObdInterpreter()
    assert decoder.claims(ADAPTER_LINE)
    columns = decoder.decode(chunk, range(len(lines)), counts).columns
    assert [(each.places, each.series) for each in columns] == [
        ([0, 1, 2], {110: [12_600, 14_250, 9_900]})
    ]
    assert counts == {"adapter-voltage": 5}


@pytest.mark.parametrize("state", [{"0D": "x"}, {"speed": 1}, [1], {"responders": {}, "isotp": 3}])
def test_a_damaged_state_is_refused(state: dict[str, int]) -> None:
    with pytest.raises(LocalError, match=r"state .*is damaged"):
        ObdInterpreter().restore(state)


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_any_bytes_are_values_reports_or_counts(payloads: list[bytes]) -> None:
    decoder = ObdInterpreter()
    places = range(len(payloads))
    chunk = FrameChunk([*places], [0x7E8] * len(payloads), payloads, len(payloads))
    for columns in decoder.decode(chunk, places, Counter()).columns:
        assert {len(raws) for raws in columns.series.values()} == {len(columns.places)}
        assert set(columns.places) <= set(places)
    decoder.restore(thaw(encode(decoder.state())))


LONG = [b"\x10\x14\x49\x02\x01LTE", b"!STSAMPL", b'"E000001']


@given(st.lists(st.sampled_from([*LONG, b"\x03\x41\x0d\x50", b"\x02\x43\x00"]), max_size=20))
def test_no_state_ever_holds_the_number_of_a_vehicle(payloads: list[bytes]) -> None:
    decoder = ObdInterpreter()
    chunk = FrameChunk([0] * len(payloads), [0x7E8] * len(payloads), payloads, len(payloads))
    found = decoder.decode(chunk, range(len(payloads)), Counter())
    for content in (encode(decoder.state()), encode(found.snapshots)):
        assert b"LTE" not in content
        assert b"SAMPL" not in content
