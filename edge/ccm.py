"""AES-CCM-16-128-128 built on bare AES: for hardware that has ECB and CBC and no more.

Place in the flow: kdf → **ccm** → seal, on a microcontroller. It answers to what seal asks of a
suite, as `edge.suites.Aead` does on Linux, and gives the same bytes. The same file runs on
MicroPython; AES comes in as an argument, shaped like `cryptolib.aes` there.

    flags   0x40 (aad follows) | 0x38 (tag of 16) | 1 (length in 2 bytes)           RFC 3610 §2.2
    B0      flags ‖ nonce (13) ‖ length (2)
    tag     CBC-MAC(B0 ‖ length of aad ‖ aad ‖ 0.. ‖ plaintext ‖ 0..) ^ E(A0)
    Ai      1 ‖ nonce (13) ‖ i (2);  ciphertext = plaintext ^ E(A1) ‖ E(A2) ...     §2.3

* Nothing of a plaintext is returned before its tag was compared, and the comparison takes as long
  for a tag that is wrong in its first byte as for one wrong in its last.
* Work goes in pieces of 512 bytes: a message needs little more memory than itself.
* A CBC object is made anew for each piece, with the last block as its IV: nothing relies on one
  that remembers, which ports of MicroPython do not promise.
"""

from edge.errors import LocalError, PeerError

TYPE_CHECKING = False  # MicroPython has no typing; type checkers take this name as true
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

ALG = 30
NAME = "AES-CCM-16-128-128"
KEY_BYTES = 16
NONCE_BYTES = 13
TAG_BYTES = 16
PLAINTEXT_BYTES_MAX = (1 << 16) - 1
BLOCK = 16
PIECE = 512
ECB, CBC = 1, 2
FLAGS_AAD = 0x40
FLAGS = 0x38 | 1
SHORT_AAD = 0xFF00


class AesCcm:
    """The suite with COSE algorithm id 30.

    Args:
        make_aes: (key, mode, iv) → an object whose `encrypt` takes whole blocks; mode 1 is ECB,
            and no iv is given then, 2 is CBC.
    """

    alg = ALG
    name = NAME
    key_bytes = KEY_BYTES
    nonce_bytes = NONCE_BYTES
    tag_bytes = TAG_BYTES
    plaintext_bytes_max = PLAINTEXT_BYTES_MAX

    def __init__(self, make_aes: "Callable[..., Any]") -> None:
        self._make_aes = make_aes

    def seal(self, key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Returns ciphertext and tag. A (key, nonce) pair is used once in all time.

        Raises:
            LocalError: The plaintext is too long, or key or nonce have another length.
        """
        _require_sizes(key, nonce)
        if len(plaintext) > PLAINTEXT_BYTES_MAX:
            raise LocalError(
                NAME + " seals 65535 bytes at most; send smaller ones.", "suite-length"
            )
        tag = self._tag(key, nonce, plaintext, aad)
        return self._counted(key, nonce, plaintext) + tag

    def open(self, key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
        """Returns the plaintext.

        Raises:
            PeerError: The tag is wrong: other key, other nonce, other aad, or changed bytes.
            LocalError: Key or nonce have another length.
        """
        _require_sizes(key, nonce)
        end = len(sealed) - TAG_BYTES
        if end > PLAINTEXT_BYTES_MAX:
            raise PeerError("The message is longer than its cipher can make.", "suite-length")
        if end < 0:
            raise PeerError("The message was not sealed with this key.", "seal-tag")
        plaintext = self._counted(key, nonce, sealed[:end])
        tag, difference = self._tag(key, nonce, plaintext, aad), 0
        for place in range(TAG_BYTES):
            difference |= tag[place] ^ sealed[end + place]
        if difference:
            raise PeerError("The message was not sealed with this key.", "seal-tag")
        return plaintext

    def _tag(self, key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Returns the tag, hidden by the counter block of number 0."""
        last = bytes(BLOCK)
        for piece in _authenticated(nonce, plaintext, aad):
            last = bytes(self._make_aes(key, CBC, last).encrypt(piece))[-BLOCK:]
        return _xor(last, bytes(self._make_aes(key, ECB).encrypt(_counters(nonce, 0, 1))))

    def _counted(self, key: bytes, nonce: bytes, data: bytes) -> bytes:
        """Encrypts or decrypts in counter mode; both are the same."""
        aes = self._make_aes(key, ECB)
        out = bytearray()
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            blocks = (len(piece) + BLOCK - 1) // BLOCK
            stream = aes.encrypt(_counters(nonce, 1 + start // BLOCK, blocks))
            out += _xor(piece, bytes(stream)[: len(piece)])
        return bytes(out)


def _require_sizes(key: bytes, nonce: bytes) -> None:
    if len(key) != KEY_BYTES or len(nonce) != NONCE_BYTES:
        raise LocalError(NAME + " takes a key of 16 bytes and a nonce of 13.", "suite-key")


def _authenticated(nonce: bytes, plaintext: bytes, aad: bytes) -> "Iterator[bytes]":
    """Yields what the tag covers, in pieces of whole blocks."""
    flags = FLAGS | FLAGS_AAD if aad else FLAGS
    yield bytes([flags]) + nonce + len(plaintext).to_bytes(2, "big")
    if aad and len(aad) < SHORT_AAD:
        aad = len(aad).to_bytes(2, "big") + aad
    elif aad:
        aad = b"\xff\xfe" + len(aad).to_bytes(4, "big") + aad
    for data in (aad, plaintext):
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            yield piece + bytes(-len(piece) % BLOCK)


def _counters(nonce: bytes, first: int, count: int) -> bytes:
    """Returns counter blocks, one after the other."""
    head = b"\x01" + nonce
    return b"".join([head + number.to_bytes(2, "big") for number in range(first, first + count)])


def _xor(one: bytes, other: bytes) -> bytes:
    """Returns one ^ other, of one length; as integers, since byte by byte is slow in Python."""
    mixed = int.from_bytes(one, "big") ^ int.from_bytes(other, "big")
    return mixed.to_bytes(len(one), "big")
