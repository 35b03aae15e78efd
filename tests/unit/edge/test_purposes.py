"""Claims about what both ends spell alike: purposes, ID numbers, PIN answers."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edge import purposes
from edge.errors import PeerError
from edge.keys import FileIdentity, sign_evidence
from edge.purposes import PIN_ANSWER_TOPIC, answer_id, id_key


def test_no_two_purposes_are_spelt_alike() -> None:
    spelt = [
        value if isinstance(value, bytes) else value.encode()
        for name, value in vars(purposes).items()
        if name.endswith(("_TOPIC", "_INFO"))
    ]
    assert len(spelt) >= 7
    assert len(set(spelt)) == len(spelt)


def test_an_id_number_is_looked_up_by_its_hmac_in_either_case() -> None:
    key, number = b"\5" * 32, "11010519491231002X"
    expected = hmac.new(key, number.encode(), hashlib.sha256).hexdigest()
    assert id_key(key, number) == id_key(key, number.lower()) == expected


def test_two_signatures_of_one_answer_are_one_answer() -> None:
    pad = FileIdentity("pad-1", ec.generate_private_key(ec.SECP256R1()))
    first, second = (sign_evidence(pad, {"counter": 1}, PIN_ANSWER_TOPIC) for _ in range(2))
    assert first != second
    assert answer_id(first) == answer_id(second)
    assert answer_id(first) != answer_id(sign_evidence(pad, {"counter": 2}, PIN_ANSWER_TOPIC))


def test_what_is_no_answer_is_an_error_of_ours() -> None:
    with pytest.raises(PeerError):
        answer_id(b"yes")
