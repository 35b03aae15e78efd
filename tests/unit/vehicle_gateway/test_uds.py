"""Answers of control units give signals, fault codes and identities, and never a number."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from edge.catalogue import check_body, signal_by_id
from edge.codec import decode, encode
from edge.errors import LocalError
from edge.ports import FrameChunk
from tests.unit.vehicle_gateway.test_isotp import sent
from vehicle_gateway.decode import Decoder
from vehicle_gateway.dtc import vin_hash
from vehicle_gateway.profile import load_profile
from vehicle_gateway.told import AGAIN_US

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from vehicle_gateway.decode import Decoded

EV = load_profile("hyundai_ev")
BATTERY, CLIMATE, ENGINE = 0x7EC, 0x7BB, 0x7E8
# An answer that a real car gave: 50 %, 0.3 A, 357.2 V, 9 to 10 degrees.
STATE = bytes.fromhex(
    "620101fff7e7ff64000000008300030df40a09090909"
    "0a00000ab623b6320000920000 01c5000004700000009b0000018f00029d1f090165000000000bb8"
)
VIN = b"LVSHCAMB1CE054249"


def drive(
    *messages: bytes, can_id: int = BATTERY, decoder: Decoder | None = None, step_us: int = 1_000
) -> Decoded:
    """Decodes answers that one control unit sends after another."""
    frames = [frame for message in messages for frame in sent(message)]
    return decode_frames(frames, can_id, decoder or Decoder(EV), step_us)


def decode_frames(
    frames: Iterable[bytes], can_id: int, decoder: Decoder, step_us: int = 1_000
) -> Decoded:
    listed = list(frames)
    times = [number * step_us for number in range(len(listed))]
    return decoder.decode(FrameChunk(times, [can_id] * len(listed), listed, len(listed)))


def values(decoded: Decoded) -> dict[str, list[int | None]]:
    return {
        signal_by_id(key).path.removeprefix("Vehicle."): list(series)
        for group in decoded.groups
        for key, series in group.series.items()
    }


# ------------------------------------------------------------------ signals
def test_signals_are_read_from_the_answer_to_their_data_identifier() -> None:
    assert values(drive(STATE, STATE)) == {
        "Powertrain.TractionBattery.StateOfCharge.Current": [500, 500],
        "Powertrain.TractionBattery.CurrentCurrent": [3, 3],
        "Powertrain.TractionBattery.CurrentVoltage": [3572, 3572],
        "Powertrain.TractionBattery.Temperature.Max": [10, 10],
        "Powertrain.TractionBattery.Temperature.Min": [9, 9],
    }


def test_a_time_is_that_of_the_last_frame() -> None:
    (group,) = drive(STATE).groups
    assert list(group.times_us) == [8_000]


def test_another_data_identifier_gives_nothing_and_is_counted() -> None:
    decoded = drive(b"\x62\x01\x02" + STATE[3:])
    assert values(decoded) == {}
    assert decoded.counts == {"uds-unmapped": 1}


def test_an_answer_that_is_too_short_is_counted() -> None:
    assert drive(STATE[:12]).counts == {"short-payload": 1}
    # Without its second byte this is no answer to 0100, which the profile maps.
    assert drive(b"\x62\x01", can_id=CLIMATE).counts == {"uds-unmapped": 1}


def test_the_length_byte_of_a_logger_may_stand_before_the_answer(tmp_path: Path) -> None:
    dbc = tmp_path / "own.dbc"
    dbc.write_text(
        'VERSION ""\nBU_: A\nBO_ 2028 Battery: 62 A\n'
        ' SG_ Soc m257 : 64|8@1+ (0.5,0) [0|0] "%" A\n'
        ' SG_ response m98M : 23|16@0+ (1,0) [0|0] "" A\n'
        ' SG_ service M : 15|8@0+ (1,0) [0|0] "" A\n\n'
        "SG_MUL_VAL_ 2028 Soc response 257-257;\nSG_MUL_VAL_ 2028 response service 98-98;\n"
    )
    path = tmp_path / "own.toml"
    path.write_text(
        'title = "x"\ndbc = ["own.dbc"]\n[uds]\nwith_length = true\n[[uds.ecu]]\nname = "b"\n'
        'request = 0x7E4\nresponse = 0x7EC\nmessages = ["Battery"]\n[messages.Battery]\n'
        'Soc = "Vehicle.Powertrain.TractionBattery.StateOfCharge.Current"\n'
    )
    decoder = Decoder(load_profile(str(path)))
    assert list(values(drive(STATE, decoder=decoder)).values()) == [[500]]


# ------------------------------------------------------------------ fault codes
def dtcs(*records: str, report: int = 0x02) -> bytes:
    return bytes([0x59, report, 0xFF]) + bytes.fromhex("".join(records))


def test_fault_codes_are_told_by_their_state() -> None:
    snapshots = drive(dtcs("0A801108", "C1008704", "123456 10", "4ABC008C")).snapshots
    common = {"kind": "dtc", "system": "battery", "ecu": "7EC", "standard": "uds", "at_us": 2_000}
    assert list(snapshots) == [
        {**common, "status": "stored", "codes": ["P0A80-11", "C0ABC-00"], "lamps": ["mil"]},
        {**common, "status": "pending", "codes": ["U0100-87"], "lamps": ["mil"]},
    ]
    for each in snapshots:
        check_body("dtc", {name: each[name] for name in each if name not in {"kind", "at_us"}})


def test_no_fault_is_told_too() -> None:
    (snapshot,) = drive(dtcs(report=0x0A)).snapshots
    assert (snapshot["status"], snapshot["codes"], snapshot["lamps"]) == ("stored", [], [])


def test_the_same_codes_are_not_told_again_at_once_and_so_after_a_restart() -> None:
    decoder, after = Decoder(EV), Decoder(EV)
    assert len(drive(dtcs("0A801108"), dtcs("0A801108"), decoder=decoder).snapshots) == 1
    after.restore(decode(encode(decoder.state())))
    assert not drive(dtcs("0A801108"), decoder=after).snapshots
    assert len(drive(dtcs(), decoder=after).snapshots) == 1
    assert len(drive(dtcs(), dtcs(), decoder=Decoder(EV), step_us=AGAIN_US).snapshots) == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\x59", "uds-other-report"),
        (b"\x59\x02", "short-payload"),
        (dtcs("0A8011"), "short-payload"),
        (dtcs(report=0x06), "uds-other-report"),
        (b"\x7f\x19\x31", "uds-refused"),
        (b"\x7f\x22", "uds-refused"),
        (b"\x50\x03", "uds-other-service"),
    ],
)
def test_what_is_no_fault_code_is_counted(answer: bytes, reason: str) -> None:
    decoded = drive(answer)
    assert not decoded.snapshots
    assert decoded.counts == {reason: 1}


def test_an_answer_that_takes_longer_is_no_refusal() -> None:
    assert drive(b"\x7f\x22\x78", STATE).counts == {}


def test_hundreds_of_codes_are_told_as_far_as_a_snapshot_goes() -> None:
    (snapshot,) = drive(dtcs(*(f"{number:06X}08" for number in range(1, 900)))).snapshots
    assert len(snapshot["codes"]) == 256


# ------------------------------------------------------------------ identity
def test_a_vehicle_number_leaves_as_its_hash_only() -> None:
    decoder = Decoder(EV)
    decoded = drive(b"\x62\xf1\x90" + VIN, decoder=decoder)
    (snapshot,) = decoded.snapshots
    assert snapshot["vin_hash"] == vin_hash(VIN)
    everything = encode({"told": list(decoded.snapshots), "state": decoder.state()})
    assert VIN not in everything
    assert VIN[3:] not in everything


def test_a_number_of_which_half_came_is_in_no_state() -> None:
    decoder = Decoder(EV)
    decode_frames(sent(b"\x62\xf1\x90" + VIN)[:2], BATTERY, decoder)
    assert VIN[:9] not in encode(decoder.state())


def test_a_unit_says_its_name_and_versions_once_each() -> None:
    texts = [b"\x62\xf1\x97BMS\0\0\0", b"\x62\xf1\x91HW 1", b"\x62\xf1\x95SW 2"]
    told = [
        {name: each[name] for name in each if name in {"name", "hardware", "software"}}
        for each in drive(*texts, *texts).snapshots
    ]
    assert told == [{"name": "BMS"}, {"hardware": "HW 1"}, {"software": "SW 2"}]


def test_a_number_that_is_none_and_an_empty_text_are_unmapped() -> None:
    assert drive(b"\x62\xf1\x90" + VIN[:-1], b"\x62\xf1\x97\0\0").counts == {"uds-unmapped": 2}


# ------------------------------------------------------------------ two standards on one id
def shared() -> Decoder:
    ecu = replace(EV.uds.ecus[0], response=ENGINE, messages=()) if EV.uds else None
    assert ecu is not None
    assert EV.uds is not None
    return Decoder(replace(EV, uds=replace(EV.uds, ecus=(ecu,)), messages={}))


def test_answers_of_obd_on_the_same_id_are_decoded_as_such() -> None:
    obd = b"\x03\x41\x0d\x32\x55\x55\x55\x55"
    refused = b"\x03\x7f\x01\x12\x55\x55\x55\x55"
    decoded = decode_frames([obd, *sent(dtcs("0A801108")), refused], ENGINE, shared())
    assert values(decoded) == {"Speed": [50 * 256]}
    assert [each["codes"] for each in decoded.snapshots] == [["P0A80-11"]]
    assert decoded.counts["obd-refused"] == 1


def test_the_frames_of_a_long_answer_go_where_its_first_went() -> None:
    decoded = decode_frames(sent(b"\x62\xf1\x90" + VIN), ENGINE, shared())
    assert decoded.snapshots[0]["vin_hash"] == vin_hash(VIN)
    assert not any(reason.startswith("obd") for reason in decoded.counts)


# ------------------------------------------------------------------ robustness and profile
@given(st.lists(st.binary(max_size=64), max_size=30))
def test_no_bytes_raise(frames: list[bytes]) -> None:
    decode_frames(frames, BATTERY, Decoder(EV))


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.sampled_from([0x62, 0x59]))
def test_no_answer_raises(answers: list[bytes], service: int) -> None:
    for each in drive(*(bytes([service]) + answer for answer in answers)).snapshots:
        body = {name: each[name] for name in each if name not in {"kind", "at_us"}}
        check_body(each["kind"], body)


def test_a_message_that_no_dbc_defines_is_named() -> None:
    with pytest.raises(LocalError, match="battery"):
        Decoder(replace(EV, dbc=()))


ECU = {"name": "x", "request": 0x7E4, "response": 0x7EC}
WRONG: dict[str, dict[str, Any]] = {
    "no control unit": {"ecu": []},
    "two control units that answer on one id": {"ecu": [ECU, ECU]},
    "a misspelt key": {"ecu": [{**ECU, "did": 1}]},
    "a misspelt section": {"ecus": [ECU], "ecu": [ECU]},
    "no id": {"ecu": [{"name": "x", "request": 1}]},
    "an id of 30 bits": {"ecu": [{**ECU, "request": 1 << 29}]},
    "a data identifier of 17 bits": {"ecu": [{**ECU, "dids": [{"did": 0x1_0000}]}]},
    "a period under a second": {"ecu": [{**ECU, "dids": [{"did": 1, "period_s": 0.5}]}]},
    "codes every week": {"ecu": [{**ECU, "codes_minutes": 10_080}]},
}


@pytest.mark.parametrize("claim", WRONG)
def test_a_profile_is_refused_for(claim: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(tomli_w.dumps({"title": "x", "dbc": [], "uds": WRONG[claim]}))
    with pytest.raises(LocalError) as refusal:
        load_profile(str(path))
    assert refusal.value.code == "profile-shape"
