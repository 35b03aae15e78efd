"""Signals of J1939: which codes are no value, and whose word counts."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest

from edge.ports import EXTENDED_ID
from vehicle_gateway.bits import Field, reason_of
from vehicle_gateway.dbc import ColumnDecoder, Message
from vehicle_gateway.j1939_messages import (
    PATIENCE_US,
    Group,
    Heard,
    reserved,
    reserved_above,
)

# SAE J1939-71 clause 5.1.4, tables 1 to 4: bits, code, why it is no value.
CODES = {
    "one bit has no room": (1, 1, None),
    "a switch that is on": (2, 0b01, None),
    "a switch in error": (2, 0b10, "j1939-error"),
    "a switch that is not there": (2, 0b11, "j1939-not-available"),
    "three bits, in error": (3, 0b110, "j1939-error"),
    "three bits, the highest value": (3, 0b101, None),
    "four bits, in error": (4, 0xE, "j1939-error"),
    "four bits, not there": (4, 0xF, "j1939-not-available"),
    "a byte, the highest value": (8, 0xFA, None),
    "a byte, specific": (8, 0xFB, "j1939-reserved"),
    "a byte, reserved": (8, 0xFD, "j1939-reserved"),
    "a byte, in error": (8, 0xFE, "j1939-error"),
    "a byte, not there": (8, 0xFF, "j1939-not-available"),
    "ten bits, not there": (10, 0x3FF, "j1939-not-available"),
    "ten bits, like the upper byte of sixteen": (10, 0x3FD, None),
    "two bytes, the highest value": (16, 0xFAFF, None),
    "two bytes, reserved": (16, 0xFB00, "j1939-reserved"),
    "two bytes, the lowest error": (16, 0xFE00, "j1939-error"),
    "two bytes, the highest error": (16, 0xFEFF, "j1939-error"),
    "two bytes, the lowest that is not there": (16, 0xFF00, "j1939-not-available"),
    "four bytes, the highest value": (32, 0xFAFF_FFFF, None),
    "four bytes, in error": (32, 0xFE00_0000, "j1939-error"),
    "four bytes, not there": (32, 0xFFFF_FFFF, "j1939-not-available"),
}


def field(bits: int, name: str = "it", start: int = 0) -> Field:
    return Field(name, start, bits, False, False, Fraction(1), Fraction(0))


@pytest.mark.parametrize("case", CODES)
@pytest.mark.parametrize("often", [1, 100])
def test_codes_that_stand_for_no_value_are_absence(case: str, often: int) -> None:
    bits, code, reason = CODES[case]
    message = Message(EXTENDED_ID, "m", 8, {"it": field(bits)})
    decoder = ColumnDecoder(message, {"it": (0, Fraction(1))}, reserved=reserved)
    counts: Counter[str] = Counter()
    found = decoder.decode([code.to_bytes(8, "little"), bytes(8)] * often, counts)
    assert found == {0: [None if reason else code, 0] * often}
    assert counts == ({reason: often} if reason else {})


def test_a_gear_may_be_park_where_a_profile_says_so() -> None:
    gear = field(8)
    assert [reason_of(code, reserved_above(gear)) for code in (0xFE, 0xFF)] == [
        "j1939-error",
        "j1939-not-available",
    ]
    assert reserved_above(gear)[0][0] == 0xFE


def group(*preferred: int) -> Group:
    message = Message(EXTENDED_ID, "m", 8, {"it": field(16)})
    wanted = {"it": (5, Fraction(1))}
    return Group(ColumnDecoder(message, wanted, reserved=reserved), preferred)


def heard(*values: int) -> Heard:
    payloads = [value.to_bytes(8, "little") for value in values]
    return Heard(list(range(len(values))), list(range(len(values))), payloads)


def test_the_first_heard_is_believed_and_stays_so() -> None:
    own, counts = group(), Counter[str]()
    found = own.decode({0x17: heard(1, 2), 0xEE: heard(9)}, counts)
    assert found is not None
    assert found.series == {5: [1, 2]}
    assert own.decode({0xEE: heard(9, 9, 9)}, counts) is None
    assert own.believed == 0x17
    assert counts == {"j1939-second-source": 4, "j1939-sources-disagree": 1}


def test_whom_the_profile_names_first_is_believed_as_soon_as_it_is_heard() -> None:
    own, counts = group(0xEE, 0x17), Counter[str]()
    found = [own.decode({source: heard(1)}, counts) for source in (0x30, 0x17, 0xEE, 0x17)]
    assert [each is not None for each in found] == [False, False, True, False]
    assert own.believed == 0xEE
    assert counts == {"j1939-source-awaited": 2, "j1939-second-source": 1}


def test_who_is_not_named_first_is_believed_after_some_patience() -> None:
    own, counts = group(0xEE, 0x17), Counter[str]()
    believed = []
    for source, time_us in (
        (0x30, 0),
        (0x17, PATIENCE_US - 1),
        (0x17, PATIENCE_US),
        (0x30, PATIENCE_US + 1),
        (0xEE, PATIENCE_US + 2),
    ):
        own.decode({source: Heard([0], [time_us], [bytes(8)])}, counts)
        believed.append(own.believed)
    assert believed == [None, None, 0x17, 0x17, 0xEE]
    assert counts["j1939-source-changed"] == 1


def test_patience_begins_anew_when_the_clock_was_set_back() -> None:
    own, counts = group(0xEE), Counter[str]()
    for time_us in (PATIENCE_US, 0, PATIENCE_US - 1):
        own.decode({0x17: Heard([0], [time_us], [bytes(8)])}, counts)
    assert (own.believed, own.awaited_us) == (None, 0)


def test_sources_that_agree_or_of_which_one_has_no_value_do_not_contradict() -> None:
    own, counts = group(), Counter[str]()
    own.decode({0x17: heard(1, 7), 0xEE: heard(3, 7)}, counts)
    own.decode({0x17: heard(7), 0xEE: heard(0xFFFF)}, counts)
    own.decode({0x17: heard(7), 0xEE: Heard([0], [0], [b"\1"])}, counts)
    assert counts == {"j1939-second-source": 4}
