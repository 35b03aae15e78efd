"""Claims about policies: the core alone issues them, and a device takes only its own."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import LocalError, PeerError
from edge.keys import FileIdentity, HpkeKeypair, sign_evidence, verifier
from edge.policy import ALGS_MAX, SEQ_MAX, Policy, hpke_id, open_policy, sign_policy
from edge.purposes import POLICY

DEVICE = "box-1"
CORE = FileIdentity("core", ec.generate_private_key(ec.SECP256R1()))
OTHER = FileIdentity("core", ec.generate_private_key(ec.SECP256R1()))
VERIFY = verifier(CORE.public_bytes)
HPKE = HpkeKeypair(ec.generate_private_key(ec.SECP256R1())).public_bytes
GOOD = Policy(DEVICE, 1, (3, 30), HPKE)
ALG = st.integers(-(1 << 31) + 1, (1 << 31) - 1)


def signed(**changed: Any) -> bytes:
    """Signs a policy of which some fields are other than `sign_policy` would let them be."""
    record = {"type": "policy", "device": DEVICE, "seq": 1, "algs": [3, 30], "hpke": HPKE}
    return sign_evidence(CORE, {**record, **changed}, POLICY)


def refused(message: bytes) -> str:
    with pytest.raises(PeerError) as refusal:
        open_policy(message, VERIFY, DEVICE)
    return refusal.value.code


@given(st.integers(1, SEQ_MAX), st.lists(ALG, min_size=1, max_size=ALGS_MAX, unique=True))
@settings(max_examples=40)
def test_a_policy_is_read_back_as_it_was_signed(seq: int, algs: list[int]) -> None:
    policy = Policy(DEVICE, seq, tuple(algs), HPKE)
    assert open_policy(sign_policy(CORE, policy), VERIFY, DEVICE) == policy


def test_a_policy_by_another_key_or_for_something_else_is_refused() -> None:
    record = {"type": "policy", "device": DEVICE, "seq": 1, "algs": [3], "hpke": HPKE}
    named = FileIdentity("box-2", CORE.private_key)
    assert refused(sign_policy(OTHER, GOOD)) == "seal-signature"
    assert refused(sign_evidence(CORE, record, "lastmile/v1/org/box-1/down")) == "seal-signature"
    assert refused(sign_policy(named, GOOD)) == "evidence-signer"


@pytest.mark.parametrize("device", ["box-2", "", 5, None, b"box-1"])
def test_a_policy_for_another_device_is_refused(device: object) -> None:
    assert refused(signed(device=device)) == "policy-device"


def test_a_device_without_a_name_takes_no_policy() -> None:
    with pytest.raises(PeerError) as refusal:
        open_policy(signed(device=""), VERIFY, "")
    assert refusal.value.code == "policy-device"


@pytest.mark.parametrize(
    "changed",
    [
        *({"seq": seq} for seq in (0, -1, SEQ_MAX + 1, True, None, "1", b"1")),
        *({"algs": algs} for algs in ([], [3, 3], 3, None, "3", {3: 30}, [True], ["3"], [[3]])),
        {"algs": list(range(ALGS_MAX + 1))},
        {"algs": [1 << 31]},
        {"algs": [-(1 << 31)]},
        pytest.param({"hpke": HPKE.hex()}, id="a key as text"),
        {"hpke": None},
        {"type": "stored"},
        {"more": 1},
    ],
    ids=str,
)
def test_a_policy_of_another_shape_is_refused(changed: dict[str, Any]) -> None:
    assert refused(signed(**changed)) == "policy-shape"


@pytest.mark.parametrize(
    "hpke",
    [b"", b"\x04" + bytes(64), HPKE + b"\x00", b"\x03" + HPKE[1:33]],
    ids=["none", "no point", "too long", "compressed"],
)
def test_a_policy_whose_key_is_no_point_of_the_curve_is_refused(hpke: bytes) -> None:
    assert refused(signed(hpke=hpke)) == "key-public"


def test_a_policy_that_no_device_would_take_is_not_signed() -> None:
    for wrong in (replace(GOOD, seq=0), replace(GOOD, algs=()), replace(GOOD, hpke=b"")):
        with pytest.raises(LocalError):
            sign_policy(CORE, wrong)


WHOLE = sign_policy(CORE, GOOD)


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_every_byte_of_a_policy_matters(place: int, change: int) -> None:
    changed = bytearray(WHOLE)
    changed[place] ^= change
    with pytest.raises(PeerError):
        open_policy(bytes(changed), VERIFY, DEVICE)


@given(st.binary(max_size=200))
def test_hostile_bytes_raise_only_peer_errors(message: bytes) -> None:
    with pytest.raises(PeerError):
        open_policy(message, VERIFY, DEVICE)


def test_a_device_uses_the_first_cipher_that_it_has_and_can_use() -> None:
    assert GOOD.choose().alg == 3
    assert replace(GOOD, algs=(30, 3)).choose().alg == 30
    assert replace(GOOD, algs=(99, -5, 30)).choose().alg == 30
    assert GOOD.choose(lambda suite: suite.key_bytes == 16).alg == 30


def test_a_policy_of_ciphers_that_the_device_has_not_says_what_to_issue_instead() -> None:
    with pytest.raises(PeerError, match=r"issue a policy with one of 3, 30, 24, -65601") as refusal:
        replace(GOOD, algs=(99, -5)).choose()
    assert refusal.value.code == "policy-algorithm"
    with pytest.raises(PeerError, match=r"issue a policy with one of -65601\.") as refusal:
        GOOD.choose(lambda suite: suite.ratchet_hash.name == "sm3")
    assert refusal.value.code == "policy-algorithm"


def test_a_key_is_named_by_the_begin_of_its_hash() -> None:
    assert GOOD.hpke_id == hpke_id(HPKE) == hashlib.sha256(HPKE).digest()[:8]
