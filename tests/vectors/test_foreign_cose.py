"""Claims about EV1 as others see it: pycose opens what we seal, and we open what pycose seals.

pycose 1.1 decodes tagged messages alone, and those not with cbor2 6 (which gives it tuples), so
its reader of untagged parts is used, on what its cbor2 reads. Its nonce drops leading zeros, so
the base IVs here begin with another byte.
"""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from pycose.algorithms import A256GCM, AESCCM16128128, Es256
from pycose.headers import KID, Algorithm, PartialIV
from pycose.keys.curves import P256
from pycose.keys.ec2 import EC2Key
from pycose.keys.keyparam import KpBaseIV
from pycose.keys.symmetric import SymmetricKey
from pycose.messages import cosemessage
from pycose.messages.enc0message import Enc0Message
from pycose.messages.sign1message import Sign1Message

from edge.errors import PeerError
from edge.keys import FileIdentity, open_evidence, sign_evidence, verifier
from edge.seal import (
    epoch_kid,
    minimal_bytes,
    open_encrypt0,
    read_encrypt0,
    seal_encrypt0,
    verify_sign1,
)
from edge.suites import AEADS

TOPIC = b"lastmile/v1/org/box-1/up"
DEVICE_KID = epoch_kid("box-1", 7)
THEIRS = {3: A256GCM, 30: AESCCM16128128}
KEYS = {3: (b"k" * 32, b"i" * 12), 30: (b"k" * 16, b"i" * 13)}


def symmetric(alg: int) -> Any:
    key, base_iv = KEYS[alg]
    return SymmetricKey(key, optional_params={KpBaseIV: base_iv})


def read_by_pycose(kind: Any, message: bytes) -> Any:
    library: Any = cosemessage
    parts = list(library.cbor2.loads(message))
    return kind.from_cose_obj(parts, allow_unknown_attributes=False)


def opened_by_pycose(alg: int, message: bytes, aad: bytes = TOPIC) -> bytes:
    found = read_by_pycose(Enc0Message, message)
    assert found.get_attr(Algorithm) is THEIRS[alg]
    found.key, found.external_aad = symmetric(alg), aad
    plaintext: bytes = found.decrypt()
    return plaintext


@settings(deadline=None)
@given(st.sampled_from(sorted(THEIRS)), st.integers(1, 2**64 - 1), st.binary(max_size=300))
def test_pycose_opens_what_we_seal(alg: int, seq: int, plaintext: bytes) -> None:
    message = seal_encrypt0(AEADS[alg], KEYS[alg], DEVICE_KID, seq, plaintext, TOPIC)
    assert opened_by_pycose(alg, message) == plaintext
    headers = read_by_pycose(Enc0Message, message).phdr
    assert headers == {Algorithm: THEIRS[alg], KID: DEVICE_KID, PartialIV: minimal_bytes(seq)}


@pytest.mark.parametrize("alg", THEIRS)
def test_pycose_refuses_another_topic_and_changed_bytes(alg: int) -> None:
    message = seal_encrypt0(AEADS[alg], KEYS[alg], DEVICE_KID, 5, b"batch", TOPIC)
    with pytest.raises(InvalidTag):
        opened_by_pycose(alg, message, TOPIC + b"/")
    with pytest.raises(InvalidTag):
        opened_by_pycose(alg, message[:-1] + bytes([message[-1] ^ 1]))


@settings(deadline=None)
@given(st.sampled_from(sorted(THEIRS)), st.integers(1, 2**64 - 1), st.binary(max_size=300))
def test_we_open_what_pycose_seals(alg: int, seq: int, plaintext: bytes) -> None:
    headers = {Algorithm: THEIRS[alg], KID: DEVICE_KID, PartialIV: minimal_bytes(seq)}
    made = Enc0Message(phdr=headers, payload=plaintext, external_aad=TOPIC, key=symmetric(alg))
    message = made.encode(tag=False)
    assert read_encrypt0(message) == (alg, DEVICE_KID, seq)
    assert open_encrypt0(message, AEADS[alg], KEYS[alg], TOPIC) == plaintext
    assert message == seal_encrypt0(AEADS[alg], KEYS[alg], DEVICE_KID, seq, plaintext, TOPIC)
    with pytest.raises(PeerError):
        open_encrypt0(message, AEADS[alg], KEYS[alg], b"elsewhere")


# ------------------------------------------------------------------ COSE_Sign1
IDENTITY = FileIdentity("box-1", ec.derive_private_key(2**200 + 1, ec.SECP256R1()))
RECORD = {"type": "epoch-close", "device": "box-1", "epoch": 7, "count": 2, "head": b"h" * 32}


def curve_key(secret: bytes = b"") -> Any:
    x, y = IDENTITY.public_bytes[1:33], IDENTITY.public_bytes[33:]
    return EC2Key(crv=P256, x=x, y=y, d=secret)


def test_pycose_verifies_what_we_sign_for_its_topic_alone() -> None:
    message = sign_evidence(IDENTITY, RECORD, TOPIC.decode())
    found = read_by_pycose(Sign1Message, message)
    assert found.phdr == {Algorithm: Es256, KID: b"box-1"}
    found.key, found.external_aad = curve_key(), TOPIC
    assert found.verify_signature()
    found.external_aad = TOPIC + b"/"
    assert not found.verify_signature()
    found.external_aad, found.payload = TOPIC, found.payload + b"\0"
    assert not found.verify_signature()


def test_we_verify_what_pycose_signs_for_its_topic_alone() -> None:
    payload = verify_sign1(
        sign_evidence(IDENTITY, RECORD, TOPIC.decode()), verifier(IDENTITY.public_bytes), TOPIC
    )
    secret = IDENTITY.private_key.private_numbers().private_value.to_bytes(32, "big")
    headers = {Algorithm: Es256, KID: b"box-1"}
    made = Sign1Message(phdr=headers, payload=payload, external_aad=TOPIC, key=curve_key(secret))
    message = made.encode(tag=False)
    verify = verifier(IDENTITY.public_bytes)
    assert open_evidence(message, verify, TOPIC.decode(), "box-1") == RECORD
    with pytest.raises(PeerError):
        open_evidence(message, verify, "elsewhere", "box-1")
