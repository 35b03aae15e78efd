"""Which ciphers a device may use: one table, keyed by COSE algorithm id (RFC 9053 §4).

Place in the flow: **suites** → seal, keys. On Linux `cryptography` does the work; a microcontroller
builds the same table from what its hardware has.

    id   name                    key  nonce  tag
     3   A256GCM                  32     12   16    Linux default
    30   AES-CCM-16-128-128       16     13   16    mandatory: all that stock MicroPython can make

* CCM with a nonce of 13 bytes seals at most 65,535 bytes (RFC 3610 §2.1: its length has 2 bytes);
  OpenSSL answers one byte more with an internal error, so both ways are checked here first.
* An algorithm is chosen by the epoch's signed start and the device's policy, never by a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from edge.errors import LocalError, PeerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

A256GCM: Final = 3
AES_CCM_16_128_128: Final = 30
GCM_BYTES_MAX: Final = (1 << 31) - 17  # what OpenSSL takes in one call
CCM_BYTES_MAX: Final = (1 << 16) - 1


class _Cipher(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Aead:
    """One authenticated cipher.

    Attributes:
        alg: COSE algorithm id.
        name: As RFC 9053 spells it.
        key_bytes: Length of a key.
        nonce_bytes: Length of a nonce.
        tag_bytes: Length of the tag at the end of a ciphertext.
        plaintext_bytes_max: Longest message.
    """

    alg: int
    name: str
    key_bytes: int
    nonce_bytes: int
    tag_bytes: int
    plaintext_bytes_max: int
    _make: Callable[[bytes], _Cipher]

    def seal(self, key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Returns ciphertext and tag. A (key, nonce) pair is used once in all time.

        Raises:
            LocalError: The plaintext is too long for this cipher.
        """
        if len(plaintext) > self.plaintext_bytes_max:
            raise LocalError(
                f"{self.name} seals {self.plaintext_bytes_max} bytes at most; send smaller ones.",
                "suite-length",
            )
        return self._make(key).encrypt(nonce, plaintext, aad)

    def open(self, key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
        """Returns the plaintext.

        Raises:
            PeerError: The tag is wrong: other key, other nonce, other aad, or changed bytes.
        """
        if len(sealed) > self.plaintext_bytes_max + self.tag_bytes:
            raise PeerError("The message is longer than its cipher can make.", "suite-length")
        try:
            return self._make(key).decrypt(nonce, sealed, aad)
        except (InvalidTag, ValueError):
            raise PeerError("The message was not sealed with this key.", "seal-tag") from None


AEADS: Final[Mapping[int, Aead]] = {
    suite.alg: suite
    for suite in (
        Aead(A256GCM, "A256GCM", 32, 12, 16, GCM_BYTES_MAX, AESGCM),
        Aead(AES_CCM_16_128_128, "AES-CCM-16-128-128", 16, 13, 16, CCM_BYTES_MAX, AESCCM),
    )
}


def suite_of(alg: int) -> Aead:
    """Returns the cipher of a COSE algorithm id.

    Raises:
        PeerError: The id is not in the table.
    """
    suite = AEADS.get(alg)
    if suite is None:
        raise PeerError(f"Algorithm {alg} is not one of ours.", "suite-unknown")
    return suite
