"""Claims about keys without a library: the same bytes as `cryptography`, for every input."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from edge import keys
from edge.errors import LocalError
from edge.kdf import HKDF_BYTES_MAX, hkdf, hmac, ratchet
from edge.suites import A256GCM, AEADS, AES_CCM_16_128_128, Aead

SHA256_SUITES = [AEADS[A256GCM], AEADS[AES_CCM_16_128_128]]


@given(st.binary(max_size=200), st.binary(max_size=300))
def test_hmac_is_that_of_the_library(key: bytes, message: bytes) -> None:
    worker = HMAC(key, hashes.SHA256())
    worker.update(message)
    assert hmac(key, message) == worker.finalize()


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 128])
def test_hmac_takes_keys_around_the_size_of_a_block(size: int) -> None:
    worker = HMAC(b"k" * size, hashes.SHA256())
    worker.update(b"message")
    assert hmac(b"k" * size, b"message") == worker.finalize()


@given(
    st.binary(max_size=100),
    st.integers(1, 300),
    st.binary(max_size=80),
    st.binary(max_size=100),
)
def test_hkdf_is_that_of_the_library(secret: bytes, length: int, info: bytes, salt: bytes) -> None:
    worker = HKDF(hashes.SHA256(), length, salt=salt or None, info=info)
    assert hkdf(secret, length, info, salt) == worker.derive(secret)


def test_hkdf_gives_as_much_as_there_is_and_no_more() -> None:
    whole = HKDF(hashes.SHA256(), HKDF_BYTES_MAX, salt=None, info=b"i").derive(b"s")
    assert HKDF_BYTES_MAX == 255 * 32
    assert hkdf(b"s", HKDF_BYTES_MAX, b"i") == whole
    for length in (-1, 0, HKDF_BYTES_MAX + 1):
        with pytest.raises(LocalError) as refusal:
            hkdf(b"s", length, b"i")
        assert refusal.value.code == "kdf-length"


@given(st.binary(min_size=32, max_size=32), st.sampled_from(SHA256_SUITES))
def test_a_microcontroller_and_the_backend_derive_the_same_keys(
    chain_key: bytes, suite: Aead
) -> None:
    assert ratchet(chain_key, suite.key_bytes, suite.nonce_bytes) == keys.ratchet(chain_key, suite)
