"""Claims about EV1: a message opens only whole, for its address, key, number and algorithm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.codec import decode, encode
from edge.errors import LocalError, PeerError
from edge.seal import (
    KID_BYTES_MAX,
    SealError,
    epoch_kid,
    minimal_bytes,
    nonce_of,
    open_encrypt0,
    read_encrypt0,
    read_sign1,
    seal_encrypt0,
    sign1,
    verify_sign1,
)
from edge.suites import AEADS, suite_of

TOPIC = b"lastmile/v1/org/box-1/up"
KID = epoch_kid("box-1", 7)
KEYS = {3: (b"k" * 32, b"i" * 12), 30: (b"k" * 16, b"i" * 13)}
ALGS = sorted(KEYS)


def sealed(alg: int = 3, seq: int = 5, plaintext: bytes = b"ten seconds") -> bytes:
    return seal_encrypt0(AEADS[alg], KEYS[alg], KID, seq, plaintext, TOPIC)


def opened(message: bytes, alg: int = 3, aad: bytes = TOPIC) -> bytes:
    return open_encrypt0(message, AEADS[alg], KEYS[alg], aad)


@given(st.sampled_from(ALGS), st.integers(1, 2**64 - 1), st.binary(max_size=300))
def test_a_sealed_message_opens_and_names_its_number(alg: int, seq: int, plain: bytes) -> None:
    message = sealed(alg, seq, plain)
    assert opened(message, alg) == plain
    assert read_encrypt0(message) == (alg, KID, seq)


@pytest.mark.parametrize("alg", ALGS)
def test_every_bit_of_a_sealed_message_matters(alg: int) -> None:
    message = sealed(alg)
    for place in range(len(message)):
        for bit in range(8):
            changed = bytearray(message)
            changed[place] ^= 1 << bit
            with pytest.raises(SealError):
                opened(bytes(changed), alg)


@pytest.mark.parametrize("alg", ALGS)
def test_a_sealed_message_that_is_cut_or_longer_is_refused(alg: int) -> None:
    message = sealed(alg)
    for end in range(len(message)):
        with pytest.raises(SealError):
            opened(message[:end], alg)
    with pytest.raises(SealError):
        opened(message + b"\0", alg)


def test_a_message_opens_for_its_own_topic_alone() -> None:
    with pytest.raises(SealError) as refusal:
        opened(sealed(), aad=b"lastmile/v1/org/box-2/up")
    assert refusal.value.code == "seal-tag"


def test_a_message_opens_with_its_own_key_alone() -> None:
    with pytest.raises(SealError) as refusal:
        open_encrypt0(sealed(), AEADS[3], (b"K" * 32, KEYS[3][1]), TOPIC)
    assert refusal.value.code == "seal-tag"


def test_a_message_of_another_algorithm_than_its_epoch_is_refused() -> None:
    with pytest.raises(SealError) as refusal:
        open_encrypt0(sealed(30), AEADS[3], KEYS[3], TOPIC)
    assert refusal.value.code == "seal-algorithm"


def rebuilt(**changed: Any) -> bytes:
    """The sealed message with other header fields, as somebody without the key would write it."""
    protected, unprotected, ciphertext = decode(sealed())
    header = {**decode(protected), **{int(key): value for key, value in changed.items()}}
    return encode([encode(header), unprotected, ciphertext])


@pytest.mark.parametrize(
    "changed",
    [{"4": epoch_kid("box-1", 8)}, {"4": epoch_kid("box-2", 7)}, {"6": b"\x06"}],
    ids=["epoch", "device", "number"],
)
def test_a_message_under_another_name_does_not_open(changed: dict[str, Any]) -> None:
    with pytest.raises(SealError) as refusal:
        opened(rebuilt(**changed))
    assert refusal.value.code == "seal-tag"


def shaped(header: Any, unprotected: Any = None, ciphertext: Any = b"c" * 20) -> bytes:
    protected = header if isinstance(header, int) else encode(header)
    return encode([protected, {} if unprotected is None else unprotected, ciphertext])


GOOD = {1: 3, 4: b"box-1/\x07", 6: b"\x05"}
MISSHAPEN = {
    "an unknown header label": shaped({**GOOD, 5: b"iv"}),
    "a text label": shaped({**GOOD, "alg": 3}),
    "no algorithm": shaped({4: b"k", 6: b"\x05"}),
    "no key id": shaped({1: 3, 6: b"\x05"}),
    "no number": shaped({1: 3, 4: b"k"}),
    "an algorithm that is true": shaped({**GOOD, 1: True}),
    "an algorithm in words": shaped({**GOOD, 1: "A256GCM"}),
    "a key id in text": shaped({**GOOD, 4: "box-1"}),
    "an empty key id": shaped({**GOOD, 4: b""}),
    "a key id past the limit": shaped({**GOOD, 4: b"k" * (KID_BYTES_MAX + 1)}),
    "an empty number": shaped({**GOOD, 6: b""}),
    "a number of zero": shaped({**GOOD, 6: b"\0"}),
    "a number with a leading zero": shaped({**GOOD, 6: b"\0\x05"}),
    "a number of nine bytes": shaped({**GOOD, 6: b"\x01" * 9}),
    "a number that is an integer": shaped({**GOOD, 6: 5}),
    "an unprotected header": shaped(GOOD, {1: 3}),
    "an unprotected header that is a list": shaped(GOOD, []),
    "a protected header that is no bytes": shaped(7),
    "a protected header in text": encode(["header", {}, b"c" * 20]),
    "a protected header that is a list": shaped([1, 2]),
    "a protected header that is nested": shaped({**GOOD, 6: [[1]]}),
    "a protected header that is damaged": encode([b"\xa1", {}, b"c"]),
    "an empty protected header": encode([b"", {}, b"c"]),
    "a detached ciphertext": shaped(GOOD, ciphertext=None),
    "a ciphertext in text": shaped(GOOD, ciphertext="c"),
    "two parts": encode([encode(GOOD), {}]),
    "four parts": encode([encode(GOOD), {}, b"c", b"d"]),
    "a map": encode({}),
    "the COSE_Encrypt0 tag": b"\xd0" + sealed(),
    "nothing": b"",
}


@pytest.mark.parametrize("claim", MISSHAPEN)
def test_a_sealed_message_may_not_have(claim: str) -> None:
    for act in (read_encrypt0, opened):
        with pytest.raises(SealError) as refusal:
            act(MISSHAPEN[claim])
        assert refusal.value.code == "seal-shape"


@given(st.binary(max_size=200))
def test_hostile_bytes_raise_only_seal_errors(data: bytes) -> None:
    for act in (read_encrypt0, opened, read_sign1):
        with pytest.raises(SealError):
            act(data)


@pytest.mark.parametrize("seq", [0, -1, 2**64, 2**64 + 1])
def test_a_number_out_of_range_is_never_sealed(seq: int) -> None:
    with pytest.raises(LocalError) as refusal:
        sealed(seq=seq)
    assert refusal.value.code == "seal-seq"


def test_a_key_id_that_nobody_could_read_is_never_written() -> None:
    long = "d" * (KID_BYTES_MAX + 1)
    with pytest.raises(LocalError) as refusal:
        seal_encrypt0(AEADS[3], KEYS[3], long.encode(), 1, b"", TOPIC)
    assert refusal.value.code == "seal-kid"
    for kid in (long, ""):
        with pytest.raises(LocalError) as refusal:
            sign1(b"", lambda _: b"s" * 64, kid, TOPIC)
        assert refusal.value.code == "seal-kid"


def test_a_key_id_has_from_1_to_128_bytes_on_both_ends() -> None:
    for kid in (b"k", b"k" * 128):
        message = seal_encrypt0(AEADS[3], KEYS[3], kid, 1, b"", TOPIC)
        assert read_encrypt0(message) == (3, kid, 1)
        assert read_sign1(sign1(b"", mark, kid.decode(), TOPIC)) == (kid.decode(), b"")
    for kid in (b"", b"k" * 129):
        with pytest.raises(LocalError):
            seal_encrypt0(AEADS[3], KEYS[3], kid, 1, b"", TOPIC)
        for act, message in (
            (read_encrypt0, shaped({**GOOD, 4: kid})),
            (read_sign1, signed_shape({1: -7, 4: kid})),
        ):
            with pytest.raises(SealError):
                act(message)


NONCES = [
    ("000000000000000000000000", 1, "000000000000000000000001"),
    ("ffffffffffffffffffffffff", 1, "fffffffffffffffffffffffe"),
    ("000000000000000000000000", 2**64 - 1, "00000000ffffffffffffffff"),
    ("5bf05ab1f15c5a5b5a5c5b5a5c", 0x1F4, "5bf05ab1f15c5a5b5a5c5b5ba8"),
]


@pytest.mark.parametrize(("base_iv", "seq", "nonce"), NONCES)
def test_the_nonce_is_the_base_xor_the_number(base_iv: str, seq: int, nonce: str) -> None:
    assert nonce_of(bytes.fromhex(base_iv), seq).hex() == nonce


@given(st.binary(min_size=12, max_size=13), st.integers(1, 2**64 - 1), st.integers(1, 2**64 - 1))
def test_two_numbers_have_two_nonces(base_iv: bytes, one: int, other: int) -> None:
    assert (nonce_of(base_iv, one) == nonce_of(base_iv, other)) == (one == other)


def test_zero_is_spelt_as_one_byte() -> None:
    assert minimal_bytes(0) == b"\0"


@given(st.integers(1, 2**70))
def test_a_number_is_spelt_without_leading_zeros(number: int) -> None:
    spelled = minimal_bytes(number)
    assert spelled[0] != 0
    assert int.from_bytes(spelled, "big") == number


def test_epoch_47_is_a_slash_and_still_reads_as_a_number() -> None:
    assert epoch_kid("box-1", 47).partition(b"/") == (b"box-1", b"/", b"/")


# ---------------------------------------------------------------- COSE_Sign1
def mark(message: bytes) -> bytes:
    """Stands for a signature: tests of the shape need no curve."""
    return (message + b"\0" * 64)[-64:][::-1]


def check(message: bytes, signature: bytes) -> None:
    if mark(message) != signature:
        raise PeerError("no", "seal-signature")


def signed(payload: bytes = b"x" * 70, aad: bytes = TOPIC) -> bytes:
    return sign1(payload, mark, "box-1", aad)


def test_a_signed_payload_is_returned_once_it_verifies() -> None:
    assert verify_sign1(signed(), check, TOPIC) == b"x" * 70
    assert read_sign1(signed()) == ("box-1", b"x" * 70)


def test_what_is_signed_binds_topic_header_and_payload() -> None:
    seen: list[bytes] = []

    def note(message: bytes) -> bytes:
        seen.append(message)
        return b"s" * 64

    sign1(b"payload", note, "box-1", TOPIC)
    assert decode(seen[0]) == ["Signature1", encode({1: -7, 4: b"box-1"}), TOPIC, b"payload"]


def test_a_signature_that_does_not_hold_is_refused() -> None:
    parts = decode(signed())
    with pytest.raises(SealError) as refusal:
        verify_sign1(encode([*parts[:3], b"s" * 64]), check, TOPIC)
    assert refusal.value.code == "seal-signature"


def signed_shape(header: Any, payload: Any = b"p", signature: Any = b"s" * 64) -> bytes:
    return encode([encode(header), {}, payload, signature])


UNSIGNED = {
    "another algorithm": signed_shape({1: -8, 4: b"box-1"}),
    "an algorithm that is true": signed_shape({1: True, 4: b"box-1"}),
    "a further header": signed_shape({1: -7, 4: b"box-1", 3: 0}),
    "a key id that is not UTF-8": signed_shape({1: -7, 4: b"\xff"}),
    "a payload in text": signed_shape({1: -7, 4: b"box-1"}, payload="p"),
    "a detached payload": signed_shape({1: -7, 4: b"box-1"}, payload=None),
    "a short signature": signed_shape({1: -7, 4: b"box-1"}, signature=b"s" * 63),
    "a signature in DER": signed_shape({1: -7, 4: b"box-1"}, signature=b"0" * 70),
    "a signature in text": signed_shape({1: -7, 4: b"box-1"}, signature="s" * 64),
    "three parts": encode([encode({1: -7, 4: b"box-1"}), {}, b"p"]),
}


@pytest.mark.parametrize("claim", UNSIGNED)
def test_a_signed_message_may_not_have(claim: str) -> None:
    with pytest.raises(SealError) as refusal:
        read_sign1(UNSIGNED[claim])
    assert refusal.value.code == "seal-shape"
    with pytest.raises(SealError):
        verify_sign1(UNSIGNED[claim], check, TOPIC)


# ---------------------------------------------------------------- suites
def test_an_algorithm_outside_the_table_is_refused() -> None:
    assert suite_of(3) is AEADS[3]
    with pytest.raises(PeerError) as refusal:
        suite_of(1)
    assert refusal.value.code == "suite-unknown"


@pytest.mark.parametrize("alg", ALGS)
def test_a_cipher_adds_its_tag_and_nothing_else(alg: int) -> None:
    suite = AEADS[alg]
    key, iv = KEYS[alg]
    assert (len(key), len(iv)) == (suite.key_bytes, suite.nonce_bytes)
    assert len(suite.seal(key, iv, b"plain", b"")) == 5 + suite.tag_bytes


@pytest.mark.parametrize("alg", ALGS)
def test_less_than_a_tag_does_not_open(alg: int) -> None:
    for size in range(AEADS[alg].tag_bytes + 1):
        with pytest.raises(PeerError) as refusal:
            AEADS[alg].open(*KEYS[alg], b"\0" * size, b"")
        assert refusal.value.code == "seal-tag"


def test_ccm_says_that_a_plaintext_is_too_long_for_it() -> None:
    assert opened(sealed(30, plaintext=bytes(65_535)), 30) == bytes(65_535)
    with pytest.raises(LocalError) as refusal:
        sealed(30, plaintext=bytes(65_536))
    assert refusal.value.code == "suite-length"


@pytest.mark.parametrize("size", [65_536, 65_537, 200_000])
def test_a_hostile_message_too_long_for_ccm_is_refused_like_any_other(size: int) -> None:
    message = encode([encode({**GOOD, 1: 30}), {}, bytes(size + 16)])
    with pytest.raises(SealError):
        opened(message, 30)
