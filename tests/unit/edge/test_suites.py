"""Claims about the suite table: published vectors, its ratchets, and ciphers that are absent."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import LocalError, PeerError
from edge.keys import ratchet
from edge.suites import (
    A256GCM,
    AEADS,
    AES_CCM_16_128_128,
    CHACHA20_POLY1305,
    SM4_GCM_SM3,
    Aead,
    Cipher,
    suite_of,
    table_of,
)

SUITES = list(AEADS.values())
SUITE = st.sampled_from(SUITES)
HASHES = {
    A256GCM: "sha256",
    AES_CCM_16_128_128: "sha256",
    CHACHA20_POLY1305: "sha256",
    SM4_GCM_SM3: "sm3",
}


def keyed(suite: Aead, seed: bytes) -> tuple[bytes, bytes]:
    stream = hashlib.shake_256(seed).digest(suite.key_bytes + suite.nonce_bytes)
    return stream[: suite.key_bytes], stream[suite.key_bytes :]


# ---------------------------------------------------------------- published vectors
# RFC 8439 §2.8.2
SUNSCREEN = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
    b"future, sunscreen would be it."
)
SUNSCREEN_SEALED = (
    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
    "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
    "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
    "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"
)
# RFC 8998 appendix A.1
LETTERS = "".join(letter * 16 for letter in "ABCDEFEA")
LETTERS_SEALED = (
    "17F399F08C67D5EE19D0DC9969C4BB7D5FD46FD3756489069157B282BB200735"
    "D82710CA5C22F0CCFA7CBF93D496AC15A56834CBCF98C397B4024A2691233B8D"
    "83DE3541E4C2B58177E065A9BF7B62EC"
)


def check_vector(alg: int, key_nonce_aad: list[str], plaintext: bytes, sealed: str) -> None:
    key, nonce, aad = (bytes.fromhex(part) for part in key_nonce_aad)
    assert AEADS[alg].seal(key, nonce, plaintext, aad) == bytes.fromhex(sealed)
    assert AEADS[alg].open(key, nonce, bytes.fromhex(sealed), aad) == plaintext


def test_chacha20_poly1305_is_that_of_rfc_8439() -> None:
    key, nonce = bytes(range(0x80, 0xA0)).hex(), "070000004041424344454647"
    parts = [key, nonce, "50515253c0c1c2c3c4c5c6c7"]
    check_vector(CHACHA20_POLY1305, parts, SUNSCREEN, SUNSCREEN_SEALED)


def test_sm4_gcm_is_that_of_rfc_8998() -> None:
    key, nonce = "0123456789ABCDEFFEDCBA9876543210", "00001234567800000000ABCD"
    parts = [key, nonce, "FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2"]
    check_vector(SM4_GCM_SM3, parts, bytes.fromhex(LETTERS), LETTERS_SEALED)


def test_sm3_is_that_of_its_standard() -> None:
    """GB/T 32905-2016, appendix A.1; the ratchet below is checked against this one."""
    found = hashlib.new("sm3", b"abc").hexdigest()
    assert found == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


# ---------------------------------------------------------------- the ratchet
def hkdf(name: str, secret: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 once more, on `hmac` and `hashlib` alone."""
    extracted = hmac.new(bytes(32), secret, name).digest()
    out, block, number = b"", b"", 1
    while len(out) < length:
        block = hmac.new(extracted, block + info + bytes([number]), name).digest()
        out, number = out + block, number + 1
    return out[:length]


@given(SUITE, st.binary(min_size=32, max_size=32))
@settings(max_examples=60)
def test_a_suite_ratchets_by_the_hash_that_it_names(suite: Aead, chain_key: bytes) -> None:
    name = HASHES[suite.alg]
    assert ratchet(chain_key, suite) == (
        hkdf(name, chain_key, b"chain", 32),
        (
            hkdf(name, chain_key, b"key", suite.key_bytes),
            hkdf(name, chain_key, b"iv", suite.nonce_bytes),
        ),
    )


# ---------------------------------------------------------------- every cipher
@given(SUITE, st.binary(min_size=1, max_size=16), st.binary(max_size=300), st.binary(max_size=60))
def test_what_a_cipher_seals_it_opens_and_the_key_may_be_ready(
    suite: Aead, seed: bytes, plaintext: bytes, aad: bytes
) -> None:
    key, nonce = keyed(suite, seed)
    cipher = suite.ready(key)
    sealed = suite.seal(key, nonce, plaintext, aad)
    assert len(sealed) == len(plaintext) + suite.tag_bytes
    assert suite.seal(cipher, nonce, plaintext, aad) == sealed
    assert suite.open(key, nonce, sealed, aad) == plaintext
    assert suite.open(cipher, nonce, sealed, aad) == plaintext


@given(SUITE, st.binary(min_size=1, max_size=40), st.integers(0), st.integers(1, 255))
def test_every_byte_of_key_nonce_ciphertext_and_aad_matters(
    suite: Aead, plaintext: bytes, place: int, change: int
) -> None:
    key, nonce = keyed(suite, b"seed")
    parts = [key, nonce, suite.seal(key, nonce, plaintext, b"aad"), b"aad"]
    for number, part in enumerate(parts):
        changed = bytearray(part)
        changed[place % len(part)] ^= change
        hostile = [*parts[:number], bytes(changed), *parts[number + 1 :]]
        with pytest.raises(PeerError) as refusal:
            suite.open(*hostile)
        assert refusal.value.code == "seal-tag"


@given(SUITE, st.binary(max_size=60))
def test_hostile_ciphertexts_raise_only_peer_errors(suite: Aead, sealed: bytes) -> None:
    key, nonce = keyed(suite, b"seed")
    with pytest.raises(PeerError) as refusal:
        suite.open(key, nonce, sealed, b"")
    assert refusal.value.code == "seal-tag"


def test_a_message_longer_than_a_cipher_takes_is_refused_both_ways() -> None:
    suite = replace(AEADS[A256GCM], plaintext_bytes_max=10)
    key, nonce = keyed(suite, b"seed")
    assert suite.open(key, nonce, suite.seal(key, nonce, bytes(10), b""), b"") == bytes(10)
    with pytest.raises(LocalError) as ours:
        suite.seal(key, nonce, bytes(11), b"")
    with pytest.raises(PeerError) as theirs:
        suite.open(key, nonce, bytes(27), b"")
    assert (ours.value.code, theirs.value.code) == ("suite-length", "suite-length")


def test_no_two_suites_seal_alike() -> None:
    keys = {suite.alg: keyed(suite, b"seed") for suite in SUITES}
    sealed = {AEADS[alg].seal(key, nonce, b"batch", b"") for alg, (key, nonce) in keys.items()}
    assert len(sealed) == len(SUITES) == 4


# ---------------------------------------------------------------- the table
def test_an_id_outside_the_table_is_refused() -> None:
    assert suite_of(SM4_GCM_SM3).name == "SM4-GCM with SM3"
    for alg in (0, 1, -65_600, 65_601):
        with pytest.raises(PeerError) as refusal:
            suite_of(alg)
        assert refusal.value.code == "suite-unknown"


def absent(_key: bytes) -> Cipher:
    """What `cryptography` says of a cipher that this OpenSSL was built without."""
    raise UnsupportedAlgorithm("not in this OpenSSL")


class FutureHash(hashes.HashAlgorithm):
    """A hash that no OpenSSL has."""

    name, digest_size, block_size = "sha-next", 32, 64


def test_what_openssl_has_not_is_left_out_of_the_table() -> None:
    without = replace(AEADS[CHACHA20_POLY1305], make=absent)
    without_hash = replace(AEADS[SM4_GCM_SM3], ratchet_hash=FutureHash())
    assert list(table_of([AEADS[A256GCM], without, without_hash])) == [A256GCM]
