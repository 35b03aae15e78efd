"""Which ciphers a device may use: one table, keyed by COSE algorithm id (RFC 9053 §4).

Place in the flow: **suites** → seal, keys, policy. On Linux `cryptography` does the work; a
microcontroller builds the same table from what its hardware has.

        id   name                key  nonce  tag  ratchet
         3   A256GCM              32     12   16  SHA-256   Linux default
        30   AES-CCM-16-128-128   16     13   16  SHA-256   all that stock MicroPython can make
        24   ChaCha20/Poly1305    32     12   16  SHA-256   where no hardware does AES
    -65601   SM4-GCM with SM3     16     12   16  SM3       a private id: RFC 9053 has none

* CCM with a nonce of 13 bytes seals at most 65,535 bytes (RFC 3610 §2.1: its length has 2 bytes);
  OpenSSL answers one byte more with an internal error, so both ways are checked here first.
* An algorithm is chosen by the device's policy and the epoch's signed start, never by a message.
* What this machine's OpenSSL has not (a FIPS build: no ChaCha20, SM4, SM3) is not in the table.
* Nothing here remembers a key: whoever has a `Cipher` of `Aead.ready` drops it with its key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import ciphers, hashes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import GCM

from edge.errors import LocalError, PeerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

A256GCM: Final = 3
CHACHA20_POLY1305: Final = 24
AES_CCM_16_128_128: Final = 30
SM4_GCM_SM3: Final = -65_601  # below -65,536: private use (RFC 9053 §2, IANA "COSE Algorithms")
OPENSSL_BYTES_MAX: Final = (1 << 31) - 17  # what OpenSSL takes in one call
CCM_BYTES_MAX: Final = (1 << 16) - 1
TAG_BYTES: Final = 16


class Cipher(Protocol):
    """A cipher under one key."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Returns ciphertext and tag."""
        ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Returns the plaintext, or raises InvalidTag."""
        ...


@dataclass(frozen=True, slots=True)
class Aead:
    """One authenticated cipher, and the hash that its epochs ratchet with.

    Attributes:
        alg: COSE algorithm id.
        name: As RFC 9053 spells it.
        key_bytes: Length of a key.
        nonce_bytes: Length of a nonce.
        plaintext_bytes_max: Longest message.
        make: Takes a key.
        ratchet_hash: Of HKDF, by which a chain key gives the next, the key and the IV.
        tag_bytes: Length of the tag at the end of a ciphertext.
    """

    alg: int
    name: str
    key_bytes: int
    nonce_bytes: int
    plaintext_bytes_max: int
    make: Callable[[bytes], Cipher]
    ratchet_hash: hashes.HashAlgorithm
    tag_bytes: int = TAG_BYTES

    def ready(self, key: bytes) -> Cipher:
        """Returns what `seal` and `open` take in place of a key, to schedule it once for many."""
        return self.make(key)

    def seal(self, key: bytes | Cipher, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Returns ciphertext and tag. A (key, nonce) pair is used once in all time.

        Raises:
            LocalError: The plaintext is too long for this cipher.
        """
        if len(plaintext) > self.plaintext_bytes_max:
            raise LocalError(
                f"{self.name} seals {self.plaintext_bytes_max} bytes at most; send smaller ones.",
                "suite-length",
            )
        cipher = self.make(key) if isinstance(key, bytes) else key
        return cipher.encrypt(nonce, plaintext, aad)

    def open(self, key: bytes | Cipher, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
        """Returns the plaintext.

        Raises:
            PeerError: The tag is wrong: other key, other nonce, other aad, or changed bytes.
        """
        if len(sealed) > self.plaintext_bytes_max + self.tag_bytes:
            raise PeerError("The message is longer than its cipher can make.", "suite-length")
        cipher = self.make(key) if isinstance(key, bytes) else key
        try:
            return cipher.decrypt(nonce, sealed, aad)
        except (InvalidTag, ValueError):
            raise PeerError("The message was not sealed with this key.", "seal-tag") from None


class _Sm4Gcm:
    """SM4-GCM (RFC 8998 §3) in the shape of `AESGCM`, which `cryptography` has not."""

    def __init__(self, key: bytes) -> None:
        self._key = SM4(key)

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        encryptor = ciphers.Cipher(self._key, GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(associated_data or b"")
        return encryptor.update(data) + encryptor.finalize() + encryptor.tag

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        tag = data[-TAG_BYTES:]  # GCM itself refuses a tag that is shorter
        decryptor = ciphers.Cipher(self._key, GCM(nonce, tag)).decryptor()
        decryptor.authenticate_additional_data(associated_data or b"")
        return decryptor.update(data[:-TAG_BYTES]) + decryptor.finalize()


_SHA256, _SM3 = hashes.SHA256(), hashes.SM3()
_AESGCM = Aead(A256GCM, "A256GCM", 32, 12, OPENSSL_BYTES_MAX, AESGCM, _SHA256)
_AESCCM = Aead(AES_CCM_16_128_128, "AES-CCM-16-128-128", 16, 13, CCM_BYTES_MAX, AESCCM, _SHA256)
_CHACHA = Aead(
    CHACHA20_POLY1305, "ChaCha20/Poly1305", 32, 12, OPENSSL_BYTES_MAX, ChaCha20Poly1305, _SHA256
)
_SM4GCM = Aead(SM4_GCM_SM3, "SM4-GCM with SM3", 16, 12, OPENSSL_BYTES_MAX, _Sm4Gcm, _SM3)


def table_of(suites: Iterable[Aead]) -> Mapping[int, Aead]:
    """Returns those suites by id that this machine's OpenSSL can do: each is tried once."""
    return {suite.alg: suite for suite in suites if _works(suite)}


def _works(suite: Aead) -> bool:
    try:
        hashes.Hash(suite.ratchet_hash)
        suite.seal(bytes(suite.key_bytes), bytes(suite.nonce_bytes), b"", b"")
    except UnsupportedAlgorithm:
        return False
    return True


AEADS: Final[Mapping[int, Aead]] = table_of((_AESGCM, _AESCCM, _CHACHA, _SM4GCM))


def suite_of(alg: int) -> Aead:
    """Returns the cipher of a COSE algorithm id.

    Raises:
        PeerError: The id is not in the table.
    """
    suite = AEADS.get(alg)
    if suite is None:
        raise PeerError(f"Algorithm {alg} is not one that this machine has.", "suite-unknown")
    return suite
