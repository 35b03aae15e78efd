"""Reports of engine computers: faults, their instant, who they are, and no vehicle's number."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from edge.catalogue import check_body
from edge.codec import decode, encode
from edge.errors import LocalError
from edge.ports import EXTENDED_ID
from vehicle_gateway.dtc import vin_hash
from vehicle_gateway.obd_reports import Reports
from vehicle_gateway.told import AGAIN_US

if TYPE_CHECKING:
    from vehicle_gateway.columns import Snapshot

SECOND_US = 1_000_000
NUMBER = b"LTESTSAMPLE000001"


def take(
    reports: Reports, *messages: str, can_id: int = 0x7E8, at_us: int = 0
) -> tuple[list[Snapshot], Counter[str]]:
    counts: Counter[str] = Counter()
    found = []
    for text in messages:
        found += reports.take(can_id, at_us, bytes.fromhex(text), counts)
    for each in found:
        body = {name: value for name, value in each.items() if name not in {"kind", "at_us"}}
        check_body(each["kind"], body)
    return found, counts


def dtc(status: str, *codes: str, lamps: tuple[str, ...] = ()) -> Snapshot:
    return {
        "kind": "dtc",
        "at_us": 0,
        "system": "powertrain",
        "ecu": "7E8",
        "standard": "obd",
        "status": status,
        "codes": list(codes),
        "lamps": list(lamps),
    }


FAULTS = {
    "none": ("4300", dtc("stored")),
    "one": ("43010420", dtc("stored", "P0420")),
    "one of each system": (
        "43040133 4123 9ABC E001",
        dtc("stored", "P0133", "C0123", "B1ABC", "U2001"),
    ),
    "pending": ("47010171", dtc("pending", "P0171")),
    "permanent": ("4A010420", dtc("permanent", "P0420")),
    "a place that is empty": ("430204200000", dtc("stored", "P0420")),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_are_told_as_manuals_print_them(case: str) -> None:
    message, snapshot = FAULTS[case]
    assert take(Reports(), message) == ([snapshot], Counter())


def test_the_lamp_is_told_with_the_faults() -> None:
    assert take(Reports(), "410181076500", "43010420")[0] == [
        dtc("stored", "P0420", lamps=("mil",))
    ]
    assert take(Reports(), "410101076500", "43010420")[0] == [dtc("stored", "P0420")]


def test_faults_are_told_when_they_change_and_after_ten_minutes() -> None:
    reports = Reports()
    assert len(take(reports, "43010420", "43010420", "4300", "4300")[0]) == 2
    assert not take(reports, "4300", at_us=AGAIN_US - 1)[0]
    assert len(take(reports, "4300", at_us=AGAIN_US)[0]) == 1


def test_each_computer_has_faults_of_its_own() -> None:
    reports = Reports()
    take(reports, "43010420")
    [told] = take(reports, "4300", can_id=0x18DAF117 | EXTENDED_ID)[0]
    assert told["ecu"] == "18DAF117"


def test_a_freeze_frame_is_told_in_one_piece_without_what_says_how_somebody_drove() -> None:
    reports = Reports()
    messages = ("4202000420", "42040080", "42050078", "420C001AF8", "420D0032", "42110080")
    assert take(reports, *messages) == ([], Counter())
    assert reports.settle(SECOND_US) == []
    again = Reports()
    again.restore(decode(encode(reports.state())))
    [told] = again.settle(2 * SECOND_US)
    assert told == {
        "kind": "freeze-frame",
        "at_us": 0,
        "ecu": "7E8",
        "standard": "obd",
        "code": "P0420",
        "values": {
            "Vehicle.OBD.EngineLoad": 128,
            "Vehicle.OBD.CoolantTemperature": 80,
            "Vehicle.OBD.EngineSpeed": 13_808,
            "Vehicle.Speed": 12_800,
        },
    }
    check_body("freeze-frame", {k: v for k, v in told.items() if k not in {"kind", "at_us"}})
    assert again.settle(4 * SECOND_US) == []


def test_a_freeze_frame_of_nothing_is_not_told() -> None:
    reports = Reports()
    take(reports, "4202000000")
    assert reports.settle(9 * SECOND_US) == []


def test_a_vehicle_is_known_by_the_hash_of_its_number_only() -> None:
    reports = Reports()
    program = b"LM-SIM-1.0".ljust(16, b"\0").hex()
    found, counts = take(reports, "490201" + NUMBER.hex(), "490401" + program)
    assert not counts
    assert [each.get("calibrations") for each in found] == [None, ["LM-SIM-1.0"]]
    assert {each["vin_hash"] for each in found} == {vin_hash(NUMBER)}
    assert NUMBER not in encode(reports.state()) + encode(found)
    assert not take(reports, "490201" + NUMBER.hex())[0]


COUNTED = {
    "fewer faults than it says": ("43020420", "obd-malformed"),
    "half a fault": ("43010420 04", "obd-malformed"),
    "no count of faults": ("43", "obd-malformed"),
    "a number that is none": ("490201" + b"LTESTSAMPLEIOQ".hex(), "obd-malformed"),
    "a status cut short": ("4101", "short-payload"),
    "a freeze frame cut short": ("420D", "short-payload"),
    "a value in it cut short": ("420C001A", "short-payload"),
    "a second freeze frame": ("420D0132", "obd-other-frame"),
    "a parameter that we do not know, in it": ("42990001", "obd-unknown-pid"),
    "an identity that we do not know": ("490A0145", "obd-unknown-pid"),
    "an identity cut short": ("4902", "short-payload"),
    "codes that were cleared": ("44", "obd-cleared"),
    "a test result": ("4601", "obd-other-service"),
}


@pytest.mark.parametrize("case", COUNTED)
def test_it_counts(case: str) -> None:
    message, reason = COUNTED[case]
    assert take(Reports(), message) == ([], Counter({reason: 1}))


def test_a_flood_of_computers_is_bounded() -> None:
    reports, crowded = Reports(), 0
    for number in range(40):
        can_id = EXTENDED_ID | 0x18DAF100 | number
        crowded += take(reports, "410181076500", can_id=can_id)[1]["obd-crowded"]
    assert crowded == 24
    assert len(encode(reports.state())) < 4_000


@pytest.mark.parametrize("part", ["lamps", "identities", "freezes", "told"])
def test_a_damaged_state_is_refused(part: str) -> None:
    with pytest.raises(LocalError, match="damaged"):
        Reports().restore({part: {"7E8": None}})
