"""Claims about AES-CCM on bare AES: the same bytes as the library, and the same refusals."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from hypothesis import given
from hypothesis import strategies as st

from edge.ccm import CBC, ECB, PIECE, PLAINTEXT_BYTES_MAX, AesCcm
from edge.errors import LocalError, PeerError
from edge.seal import open_encrypt0, seal_encrypt0
from edge.suites import AEADS, AES_CCM_16_128_128, Aead

LIBRARY = AEADS[AES_CCM_16_128_128]
KEY, NONCE = bytes(range(16)), bytes(range(160, 173))


class Aes:
    """Bare AES in the shape of cryptolib.aes; as there, CBC goes on where it stopped."""

    def __init__(self, key: bytes, mode: int, iv: bytes = b"") -> None:
        assert mode in {ECB, CBC}
        assert bool(iv) == (mode == CBC)
        chosen = modes.CBC(iv) if mode == CBC else modes.ECB()
        self._encryptor = Cipher(algorithms.AES(key), chosen).encryptor()

    def encrypt(self, data: bytes) -> bytes:
        assert data
        assert len(data) % 16 == 0
        assert len(data) <= PIECE
        return self._encryptor.update(data)


OURS = AesCcm(Aes)


@given(
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=13, max_size=13),
    st.binary(max_size=1200),
    st.binary(max_size=600),
)
def test_it_seals_to_the_same_bytes_and_each_opens_the_other(
    key: bytes, nonce: bytes, plaintext: bytes, aad: bytes
) -> None:
    sealed = OURS.seal(key, nonce, plaintext, aad)
    assert sealed == LIBRARY.seal(key, nonce, plaintext, aad)
    assert OURS.open(key, nonce, sealed, aad) == plaintext


EDGES = [0, 1, 13, 14, 15, 16, 17, 30, 31, PIECE - 2, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE]


@pytest.mark.parametrize("size", [*EDGES, 65_279, PLAINTEXT_BYTES_MAX])
def test_lengths_around_a_block_and_a_piece_agree(size: int) -> None:
    plaintext, aad = (
        bytes(i * 7 % 256 for i in range(size)),
        bytes(i * 3 % 256 for i in range(size)),
    )
    sealed = OURS.seal(KEY, NONCE, plaintext, aad)
    assert sealed == AESCCM(KEY).encrypt(NONCE, plaintext, aad)
    assert OURS.open(KEY, NONCE, sealed, aad) == plaintext


@pytest.mark.parametrize("size", [0xFEFF, 0xFF00, 0xFF01, 70_000])
def test_a_long_aad_is_counted_in_the_longer_form(size: int) -> None:
    aad = bytes(size)
    assert OURS.seal(KEY, NONCE, b"p", aad) == AESCCM(KEY).encrypt(NONCE, b"p", aad)


def test_every_bit_of_message_key_nonce_and_aad_matters() -> None:
    given_ = {"key": KEY, "nonce": NONCE, "aad": b"topic"}
    given_["sealed"] = OURS.seal(KEY, NONCE, b"ten seconds", b"topic")
    for name, value in given_.items():
        for place in range(8 * len(value)):
            changed = bytearray(value)
            changed[place // 8] ^= 1 << place % 8
            bad = {**given_, name: bytes(changed)}
            with pytest.raises(PeerError) as refusal:
                OURS.open(bad["key"], bad["nonce"], bad["sealed"], bad["aad"])
            assert refusal.value.code == "seal-tag"


@pytest.mark.parametrize("suite", [OURS, LIBRARY], ids=["ours", "library"])
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17])
def test_less_than_a_tag_or_a_wrong_one_is_refused_alike(suite: AesCcm | Aead, size: int) -> None:
    with pytest.raises(PeerError) as refusal:
        suite.open(KEY, NONCE, bytes(size), b"")
    assert refusal.value.code == "seal-tag"


@pytest.mark.parametrize("suite", [OURS, LIBRARY], ids=["ours", "library"])
def test_what_is_too_long_is_refused_alike(suite: AesCcm | Aead) -> None:
    with pytest.raises(LocalError) as refusal:
        suite.seal(KEY, NONCE, bytes(PLAINTEXT_BYTES_MAX + 1), b"")
    assert refusal.value.code == "suite-length"
    assert "65535" in str(refusal.value)
    with pytest.raises(PeerError) as answer:
        suite.open(KEY, NONCE, bytes(PLAINTEXT_BYTES_MAX + 17), b"")
    assert answer.value.code == "suite-length"


@pytest.mark.parametrize(
    ("key", "nonce"), [(KEY * 2, NONCE), (KEY[1:], NONCE), (KEY, NONCE[1:]), (KEY, NONCE + b"n")]
)
def test_a_key_or_nonce_of_another_size_is_a_mistake_of_ours(key: bytes, nonce: bytes) -> None:
    for act, data in ((OURS.seal, b"p"), (OURS.open, bytes(17))):
        with pytest.raises(LocalError) as refusal:
            act(key, nonce, data, b"")
        assert refusal.value.code == "suite-key"


def test_it_stands_where_the_suite_of_the_table_stands() -> None:
    facts = ("alg", "name", "key_bytes", "nonce_bytes", "tag_bytes", "plaintext_bytes_max")
    for fact in facts:
        assert getattr(OURS, fact) == getattr(LIBRARY, fact)
    ours: Any = OURS
    message = seal_encrypt0(ours, (KEY, NONCE), b"box-1/\x01", 1, b"batch", b"topic")
    assert message == seal_encrypt0(LIBRARY, (KEY, NONCE), b"box-1/\x01", 1, b"batch", b"topic")
    assert open_encrypt0(message, ours, (KEY, NONCE), b"topic") == b"batch"
