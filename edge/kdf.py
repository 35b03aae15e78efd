"""Keys out of keys where there is no library: HMAC, HKDF and the ratchet over SHA-256 alone.

Place in the flow: **kdf** → ccm's keys, on a microcontroller. On Linux `edge.keys` does the same
with `cryptography`; both give the same bytes. The same file runs on MicroPython.

    HMAC(k, m) = H((k ^ 5c..) ‖ H((k ^ 36..) ‖ m))                              RFC 2104
    HKDF       = PRK = HMAC(salt, ikm);  T(n) = HMAC(PRK, T(n-1) ‖ info ‖ n)    RFC 5869
    ratchet    = HKDF of the chain key, salt empty, info "chain" | "key" | "iv"

* Nothing here remembers a key: what must be forgotten, the caller overwrites.
"""

import hashlib

from edge.errors import LocalError

BLOCK_BYTES = 64
DIGEST_BYTES = 32
HKDF_BYTES_MAX = 255 * DIGEST_BYTES
CHAIN_KEY_BYTES = 32
INNER, OUTER = 0x36, 0x5C


def hmac(key: bytes, message: bytes) -> bytes:
    """Returns HMAC-SHA256, 32 bytes (RFC 2104)."""
    if len(key) > BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    padded = key + bytes(BLOCK_BYTES - len(key))
    inner = hashlib.sha256(bytes([byte ^ INNER for byte in padded]))
    inner.update(message)
    outer = hashlib.sha256(bytes([byte ^ OUTER for byte in padded]))
    outer.update(inner.digest())
    return outer.digest()


def hkdf(secret: bytes, length: int, info: bytes, salt: bytes = b"") -> bytes:
    """Derives a key (RFC 5869).

    Args:
        secret: What is known to those alone who may know the key.
        length: Bytes wanted.
        info: What the key is for; other keys of the same secret have another one.
        salt: Public, or empty.

    Raises:
        LocalError: More than 8,160 bytes are wanted.
    """
    if not 0 < length <= HKDF_BYTES_MAX:
        raise LocalError("HKDF-SHA256 gives from 1 to 8160 bytes; ask for fewer.", "kdf-length")
    extracted = hmac(salt, secret)
    block, result, count = b"", b"", 0
    while len(result) < length:
        count += 1
        block = hmac(extracted, block + info + bytes([count]))
        result += block
    return result[:length]


def ratchet(
    chain_key: bytes, key_bytes: int, nonce_bytes: int
) -> "tuple[bytes, tuple[bytes, bytes]]":
    """Returns the next chain key and (key, base_iv) of this one; forget `chain_key` then."""
    next_key = hkdf(chain_key, CHAIN_KEY_BYTES, b"chain")
    key = hkdf(chain_key, key_bytes, b"key")
    return next_key, (key, hkdf(chain_key, nonce_bytes, b"iv"))
