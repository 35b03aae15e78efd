"""EV1: COSE messages, sealed or signed (RFC 9052), on our own codec.

Place in the flow: columns → **seal** → outbox → broker → ingest, and every signed record. The same
file runs on MicroPython; ciphers and signatures come in as arguments.

    sealed   array(3)  [ protected, {}, ciphertext ‖ tag ]             COSE_Encrypt0, untagged
             protected = bytes of {1: alg, 4: kid, 6: Partial IV}
             nonce     = base_iv XOR seq (right-aligned)                RFC 9052 §3.1
             aad       = encode(["Encrypt0", protected, external_aad])  RFC 9052 §5.3

    signed   array(4)  [ protected, {}, payload, signature ]           COSE_Sign1, untagged
             protected = bytes of {1: -7, 4: kid}                       ES256
             signed    = encode(["Signature1", protected, external_aad, payload])  §4.4

* Partial IV is the message's number in its epoch, big-endian without leading zeros: a nonce
  repeats only if a number does, and a number is durable before it is used.
* `external_aad` is the topic or path: a message moved to another address does not open.
* What `read_*` returns is unverified; only `open_*` and `verify_*` may be believed.
"""

from edge.codec import decode, encode, octets_head, octets_of, text_of
from edge.errors import LocalError, PeerError

TYPE_CHECKING = False  # MicroPython has no typing; type checkers take this name as true
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.suites import Aead

ALG = 1
KID = 4
PARTIAL_IV = 6
ES256 = -7
SIGNATURE_BYTES = 64
KID_BYTES_MAX = 128
SEQ_BYTES_MAX = 8
ITEMS_MAX = 32
# Arrays of three and four, and their first item: what an AEAD and a signature cover begins so.
ENCRYPT0 = b"\x83" + encode("Encrypt0")
SIGNATURE1 = b"\x84" + encode("Signature1")
ENCRYPT0_ITEMS = 3
SIGN1_ITEMS = 4


class SealError(PeerError):
    """A message that is malformed, or not by or for whom it should be."""


# ------------------------------------------------------------------ COSE_Encrypt0
def seal_encrypt0(
    suite: "Aead", keys: "tuple[bytes, bytes]", kid: bytes, seq: int, plaintext: bytes, aad: bytes
) -> bytes:
    """Seals a message.

    Args:
        suite: Cipher, such as `edge.suites.AEADS[3]`.
        keys: (key, base_iv) of the epoch.
        kid: Device id, "/", epoch number; see `epoch_kid`.
        seq: Number of the message in its epoch, from 1; never used twice.
        plaintext: What to hide.
        aad: Topic or path that the message is for.

    Raises:
        LocalError: `seq` or the length of `kid` is out of range, or the plaintext is too long.
    """
    _require_kid(kid)
    if not 0 < seq < 1 << (8 * SEQ_BYTES_MAX):
        raise LocalError("A message's number must be from 1 to 2**64 - 1.", "seal-seq")
    key, base_iv = keys
    alg, number = encode(suite.alg), minimal_bytes(seq)
    header = _joined(b"\xa3\x01" + alg + b"\x04", kid) + _joined(b"\x06", number)
    protected = _joined(b"", header)
    nonce = nonce_of(base_iv, seq)
    ciphertext = suite.seal(key, nonce, plaintext, _joined(ENCRYPT0 + protected, aad))
    return _joined(b"\x83" + protected + b"\xa0", ciphertext)


def read_encrypt0(message: bytes) -> "tuple[int, bytes, int]":
    """Returns (alg, kid, seq) as the message says; nothing of it is verified yet.

    Raises:
        SealError: The message is not a COSE_Encrypt0 of this shape.
    """
    header = _split_encrypt0(message)[2]
    return header[ALG], header[KID], int.from_bytes(header[PARTIAL_IV], "big")


def open_encrypt0(message: bytes, suite: "Aead", keys: "tuple[bytes, bytes]", aad: bytes) -> bytes:
    """Opens a message.

    Args:
        message: Hostile bytes.
        suite: Cipher of the epoch, from its signed start.
        keys: (key, base_iv) of the epoch.
        aad: Topic or path that it arrived on.

    Raises:
        SealError: It is malformed, of another cipher, or was not sealed so.
    """
    protected, ciphertext, header = _split_encrypt0(message)
    if header[ALG] != suite.alg:
        raise SealError("The message uses another algorithm than its epoch.", "seal-algorithm")
    key, base_iv = keys
    nonce = nonce_of(base_iv, int.from_bytes(header[PARTIAL_IV], "big"))
    try:
        return suite.open(key, nonce, ciphertext, encode(["Encrypt0", protected, aad]))
    except PeerError:
        raise SealError("The message does not open with this key.", "seal-tag") from None


def _split_encrypt0(message: bytes) -> "tuple[bytes, bytes, dict[int, Any]]":
    parts = _array(message, ENCRYPT0_ITEMS)
    if not isinstance(parts[2], bytes):
        raise SealError("The ciphertext is not bytes.", "seal-shape")
    header = _header(parts, {ALG, KID, PARTIAL_IV})
    number = header[PARTIAL_IV]
    if not isinstance(number, bytes) or not 0 < len(number) <= SEQ_BYTES_MAX or number[0] == 0:
        raise SealError("The message's number is malformed.", "seal-shape")
    if not isinstance(header[ALG], int) or isinstance(header[ALG], bool):
        raise SealError("The message names no algorithm.", "seal-shape")
    return parts[0], parts[2], header


def _joined(before: bytes, octets: bytes) -> bytes:
    """Appends bytes as CBOR spells them: the shapes of COSE are fixed, so nothing is walked."""
    return b"".join((before, octets_head(len(octets)), octets))


def epoch_kid(device: str, epoch: int) -> bytes:
    """Returns the key id of an epoch: device, "/", number without leading zeros."""
    return octets_of(device) + b"/" + minimal_bytes(epoch)


def nonce_of(base_iv: bytes, seq: int) -> bytes:
    """Returns base_iv XOR seq, as long as base_iv (RFC 9052 §3.1)."""
    size = len(base_iv)
    return (int.from_bytes(base_iv, "big") ^ seq).to_bytes(size, "big")


def minimal_bytes(number: int) -> bytes:
    """Returns an integer, not below zero, big-endian without leading zeros."""
    size = 1
    while number >> (8 * size):
        size += 1
    return number.to_bytes(size, "big")


# ------------------------------------------------------------------ COSE_Sign1
def sign1(payload: bytes, sign: "Callable[[bytes], bytes]", kid: str, aad: bytes) -> bytes:
    """Signs a payload.

    Args:
        payload: Exact bytes to sign.
        sign: Returns the 64-byte ES256 signature of its argument.
        kid: Who signs.
        aad: Topic, path or purpose that the message is for.

    Raises:
        LocalError: The length of `kid` is out of range.
    """
    name = octets_of(kid)
    _require_kid(name)
    protected = _joined(b"", _joined(b"\xa2\x01\x26\x04", name))
    signature = sign(_joined(_joined(SIGNATURE1 + protected, aad), payload))
    return _joined(_joined(b"\x84" + protected + b"\xa0", payload), signature)


def read_sign1(message: bytes) -> "tuple[str, bytes]":
    """Returns (kid, payload) as the message says; nothing of it is verified yet.

    Raises:
        SealError: The message is not a COSE_Sign1 of this shape.
    """
    _, kid, payload, _ = _split_sign1(message)
    return kid, payload


def verify_sign1(message: bytes, verify: "Callable[[bytes, bytes], None]", aad: bytes) -> bytes:
    """Returns the payload once its signature holds.

    Args:
        message: Hostile bytes.
        verify: Takes (signed bytes, signature), raises PeerError unless the signature is good.
        aad: Topic, path or purpose that it must be for.

    Raises:
        SealError: It is malformed, or signed by somebody else or for something else.
    """
    protected, _, payload, signature = _split_sign1(message)
    try:
        verify(encode(["Signature1", protected, aad, payload]), signature)
    except PeerError:
        raise SealError("The signature does not hold.", "seal-signature") from None
    return payload


def _split_sign1(message: bytes) -> "tuple[bytes, str, bytes, bytes]":
    parts = _array(message, SIGN1_ITEMS)
    header = _header(parts, {ALG, KID})
    payload, signature = parts[2], parts[3]
    if header[ALG] != ES256 or not isinstance(payload, bytes):
        raise SealError("The message is not signed with ES256.", "seal-shape")
    if not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
        raise SealError("The signature has the wrong length.", "seal-shape")
    try:
        kid = text_of(header[KID])
    except PeerError:
        raise SealError("The signer's id is not text.", "seal-shape") from None
    return parts[0], kid, payload, signature


# ------------------------------------------------------------------ shape
def _require_kid(kid: bytes) -> None:
    if not 0 < len(kid) <= KID_BYTES_MAX:
        raise LocalError("A key id has from 1 to 128 bytes.", "seal-kid")


def _array(message: bytes, count: int) -> "list[Any]":
    try:
        parts = decode(message, items_max=ITEMS_MAX, depth_max=2)
    except PeerError:
        raise SealError("The message is not CBOR of ours.", "seal-shape") from None
    if not isinstance(parts, list) or len(parts) != count or parts[1] != {}:
        raise SealError("The message is not a COSE message of ours.", "seal-shape")
    return parts


def _header(parts: "list[Any]", labels: "set[int]") -> "dict[int, Any]":
    if not isinstance(parts[0], bytes):
        raise SealError("The protected header is not bytes.", "seal-shape")
    try:
        header = decode(parts[0], items_max=ITEMS_MAX, depth_max=1)
    except PeerError:
        raise SealError("The protected header is not CBOR of ours.", "seal-shape") from None
    if not isinstance(header, dict) or set(header) != labels:
        raise SealError("The protected header has other fields than it must.", "seal-shape")
    kid = header[KID]
    if not isinstance(kid, bytes) or not 0 < len(kid) <= KID_BYTES_MAX:
        raise SealError("The key id is malformed.", "seal-shape")
    return header
