"""Fault codes and identities of J1939: what a unit says, and never a number in clear."""

from __future__ import annotations

from collections import Counter

import pytest

from vehicle_gateway.dtc import vin_hash
from vehicle_gateway.j1939_faults import CODES_MAX, read_faults, read_identity
from vehicle_gateway.j1939_ids import ACTIVE_FAULTS, FORMER_FAULTS

# SAE J1939-73 5.7.1: lamps, then SPN low, SPN middle, SPN top with FMI, CM with OC.
CASES = {
    "none, as most units say": ("00FF00000000FFFF", [], []),
    "lamps that are not there": ("F3FF00000000FFFF", [], []),
    "the example of the standard, SPN 1208 FMI 3 OC 10": (
        "04FFB804030AFFFF",
        ["SPN 1208 FMI 3 OC 10"],
        ["warning"],
    ),
    "the highest SPN, never counted": ("40FFFFFFFF7FFFFF", ["SPN 524287 FMI 31"], ["mil"]),
    "an older spelling": ("10FF64000183FFFF", ["SPN 100 FMI 1 OC 3 CM 1"], ["stop"]),
    "two in a long message": (
        "01FF640001036E000005",
        ["SPN 100 FMI 1 OC 3", "SPN 110 FMI 0 OC 5"],
        ["protect"],
    ),
    "filling after the last": ("00FF64000103FFFFFFFF", ["SPN 100 FMI 1 OC 3"], []),
}


@pytest.mark.parametrize("case", CASES)
def test_faults_are_read_as_the_standard_lays_them_out(case: str) -> None:
    data, codes, lamps = CASES[case]
    counts: Counter[str] = Counter()
    assert read_faults(ACTIVE_FAULTS, 0xEE, 7, bytes.fromhex(data), counts) == {
        "kind": "dtc",
        "at_us": 7,
        "system": "tachograph",
        "ecu": "EE",
        "standard": "j1939",
        "status": "active",
        "codes": codes,
        "lamps": lamps,
    }
    assert not counts


def test_too_many_and_too_short_are_counted() -> None:
    counts: Counter[str] = Counter()
    faults = b"".join(bytes([number, 1, 1, 1]) for number in range(CODES_MAX + 6))
    found = read_faults(FORMER_FAULTS, 0x99, 7, b"\0\xff" + faults, counts)
    assert found is not None
    assert (found["status"], found["system"], len(found["codes"])) == ("former", "unit", CODES_MAX)
    assert read_faults(FORMER_FAULTS, 0x99, 7, b"\0\xff\0", counts) is None
    assert counts == {"j1939-faults-cut": 6, "short-payload": 1}


def test_the_number_of_a_vehicle_leaves_as_a_hash() -> None:
    counts: Counter[str] = Counter()
    found = read_identity(0x17, 7, b"WDB9634031L123456*", counts)
    assert found == {
        "kind": "vehicle-identity",
        "at_us": 7,
        "ecu": "17",
        "standard": "j1939",
        "vin_hash": vin_hash(b"WDB9634031L123456"),
    }
    assert "WDB" not in str(found)
    for text in (b"*", b"", b"garage 7*", b"\xff" * 17):
        assert read_identity(0x17, 7, text, counts) is None
    assert counts == {"j1939-no-vin": 4}
