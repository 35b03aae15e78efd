"""Fault codes are written as manuals print them, and a vehicle's number is never told."""

from __future__ import annotations

import hashlib

import pytest

from vehicle_gateway.dtc import code_text, describe, vin_hash

VIN = b"LVSHCAMB1CE054249"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        # Examples of ISO 15031-6 and of SAE J2012: the two top bits are the system.
        ("0143", "P0143"),
        ("9234", "B1234"),
        ("5ABC", "C1ABC"),
        ("C100", "U0100"),
        ("FFFF", "U3FFF"),
        ("0A8011", "P0A80-11"),
        ("C10087", "U0100-87"),
    ],
)
def test_a_code_is_written_as_in_a_manual(code: str, text: str) -> None:
    assert code_text(bytes.fromhex(code)) == text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("P0301", "ignition or misfire"),
        ("P0A80-11", "hybrid or electric drive: circuit short to ground"),
        ("U0100-87", "network between control units: missing message"),
        ("P1234-00", "powertrain, by the maker"),
        ("C0123-FE", "chassis"),
    ],
)
def test_a_code_is_described_as_far_as_its_digits_tell(code: str, text: str) -> None:
    assert describe(code) == text


def test_a_number_is_told_as_its_hash() -> None:
    digest = hashlib.sha256(b"lastmile vin LVSHCAMB1CE054249").hexdigest()
    assert vin_hash(VIN) == vin_hash(bytes(3) + VIN) == vin_hash(VIN + b"\xaa\xaa") == digest


@pytest.mark.parametrize("vin", [b"", VIN[:-1], VIN + b"1", b"I" + VIN[1:], b"\x80" + VIN[1:]])
def test_what_is_no_number_has_no_hash(vin: bytes) -> None:
    assert vin_hash(vin) is None
