"""Answers vectors of the envelope: the part that CPython and MicroPython both execute, unchanged.

Place in the flow: `own` calls it under CPython, micropython.mjs under MicroPython; `run` compares
the answers byte by byte. What differs between machines comes in as a platform:

    suite(alg)           the cipher of a COSE id; NoSuite where this machine has none
    ratchet(key, alg)    (next chain key, (key, base_iv))
    verifier(public)     (message, signature) → None, or PeerError
    make_aes             bare AES, shaped like MicroPython's cryptolib.aes

* An answer is one line: what came out, in hexadecimal digits, or `refused` and the code.
* Signing is an argument: the signer of a vector knows the one signature that the vector notes, and
  gives it only for the bytes that it signs.
"""

from binascii import hexlify, unhexlify

from edge import ccm, kdf
from edge.chain import close_record, next_head, start_head, start_record
from edge.codec import decode, deflate, encode, inflate
from edge.errors import LocalError, PeerError
from edge.seal import (
    epoch_kid,
    open_encrypt0,
    read_encrypt0,
    read_sign1,
    seal_encrypt0,
    sign1,
    verify_sign1,
)

TYPE_CHECKING = False  # MicroPython has no typing; type checkers take this name as true
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Protocol

    from edge.suites import Aead

    Case = dict[str, Any]

    class Platform(Protocol):
        """What a machine brings."""

        def make_aes(self, key: bytes, mode: int, iv: bytes = b"") -> Any: ...
        def suite(self, alg: int) -> Aead: ...
        def ratchet(self, chain_key: bytes, alg: int) -> tuple[bytes, tuple[bytes, bytes]]: ...
        def verifier(self, public: bytes) -> Callable[[bytes, bytes], None]: ...


NO_SUITE = "refused: no such suite"
REFUSED = "refused "
REFUSED_BY_US = "refused by us "


class NoSuite(Exception):  # noqa: N818 - a verdict, not an error
    """This machine lacks a cipher that others have."""


class Signatures:
    """Signs what a vector says was signed; each signature once, in their order."""

    def __init__(self, verify: "Callable[[bytes, bytes], None]", known: "list[str]") -> None:
        self._verify = verify
        self._known = [unhexlify(signature) for signature in known]

    def sign(self, message: bytes) -> bytes:
        """Returns the next signature, if it is one of this message."""
        signature = self._known.pop(0)
        self._verify(message, signature)
        return signature


def value_of(noted: "Any") -> "Any":
    """Returns the value that JSON notes."""
    if isinstance(noted, list):
        return [value_of(item) for item in noted]
    if isinstance(noted, dict) and "map" in noted:
        return {value_of(key): value_of(item) for key, item in noted["map"]}
    if isinstance(noted, dict):
        return unhexlify(noted["bytes"])
    return noted


# ------------------------------------------------------------------ codec
def _codec(case: "Case", _: "Platform") -> "Sequence[bytes | str]":
    found = decode(unhexlify(case["hex"]))
    same = "value" in case and found == value_of(case["value"])
    return [encode(found), "as noted" if same else "another value"]


def _encode(case: "Case", _: "Platform") -> "Sequence[bytes | str]":
    return [encode(value_of(case["value"]))]


def _deflate(case: "Case", _: "Platform") -> "Sequence[bytes | str]":
    return [deflate(unhexlify(case["plain"]))]


def _inflate(case: "Case", _: "Platform") -> "Sequence[bytes | str]":
    return [inflate(unhexlify(case["hex"]), case["limit"])]


# ------------------------------------------------------------------ keys and ciphers
def _hmac(case: "Case", _: "Platform") -> "Sequence[bytes | str]":
    return [kdf.hmac(unhexlify(case["key"]), unhexlify(case["message"]))]


def _hkdf(case: "Case", _: "Platform") -> "Sequence[bytes | str]":
    secret, info, salt = (unhexlify(case[name]) for name in ("secret", "info", "salt"))
    return [kdf.hkdf(secret, case["length"], info, salt)]


def _ratchet(case: "Case", platform: "Platform") -> "Sequence[bytes | str]":
    next_key, (key, base_iv) = platform.ratchet(unhexlify(case["chain_key"]), case["alg"])
    return [next_key, key, base_iv]


def _ccm(case: "Case", platform: "Platform") -> "Sequence[bytes | str]":
    suite = ccm.AesCcm(platform.make_aes)
    key, nonce, aad, sealed = (unhexlify(case[name]) for name in ("key", "nonce", "aad", "sealed"))
    plaintext = suite.open(key, nonce, sealed, aad)
    return [plaintext, suite.seal(key, nonce, plaintext, aad)]


# ------------------------------------------------------------------ messages
def _encrypt0(case: "Case", platform: "Platform") -> "Sequence[bytes | str]":
    suite = platform.suite(case["alg"])
    keys = unhexlify(case["key"]), unhexlify(case["base_iv"])
    aad = case["aad"].encode()
    message = unhexlify(case["message"])
    plaintext = open_encrypt0(message, suite, keys, aad)
    alg, kid, seq = read_encrypt0(message)
    again = seal_encrypt0(suite, keys, kid, seq, plaintext, aad)
    return [plaintext, again, str(alg), kid, str(seq)]


def _sign1(case: "Case", platform: "Platform") -> "Sequence[bytes | str]":
    message, aad = unhexlify(case["message"]), case["aad"].encode()
    verify = platform.verifier(unhexlify(case["public"]))
    kid = read_sign1(message)[0]
    if kid != case["kid"]:
        raise PeerError("The message is signed by another.", "evidence-signer")
    payload = verify_sign1(message, verify, aad)
    if not isinstance(decode(payload), dict):
        raise PeerError("The signed payload is not a map.", "evidence-shape")
    signature = hexlify(decode(message)[3]).decode()
    again = sign1(payload, Signatures(verify, [signature]).sign, kid, aad)
    return [payload, again, kid.encode()]


def _chain(case: "Case", platform: "Platform") -> "Sequence[bytes | str]":
    """Makes an epoch: its signed start, sealed messages with a head behind each, signed close."""
    device, epoch, alg, aad = case["device"], case["epoch"], case["alg"], case["topic"].encode()
    suite = platform.suite(alg)
    next_key, keys = platform.ratchet(unhexlify(case["chain_key"]), alg)
    signer = Signatures(platform.verifier(unhexlify(case["public"])), case["signatures"])
    record = start_record(device, epoch, alg, value_of(case["how"]), case["instant"])
    start = sign1(encode(record), signer.sign, device, aad)
    head = start_head(start)
    made = [next_key, start, head]
    for number, plaintext in enumerate(case["plaintexts"], 1):
        kid = epoch_kid(device, epoch)
        message = seal_encrypt0(suite, keys, kid, number, unhexlify(plaintext), aad)
        head = next_head(head, message)
        made += [message, head]
    record = close_record(device, epoch, len(case["plaintexts"]), head)
    made.append(sign1(encode(record), signer.sign, device, aad))
    return made


def _epoch(case: "Case", platform: "Platform") -> "Sequence[bytes | str]":
    """Takes an epoch from its start to its close, as a backend does."""
    aad = case["topic"].encode()
    verify = platform.verifier(unhexlify(case["public"]))
    start = unhexlify(case["start"])
    said = decode(verify_sign1(start, verify, aad))
    suite = platform.suite(said["alg"])
    _, keys = platform.ratchet(unhexlify(case["chain_key"]), said["alg"])
    head, plaintexts = start_head(start), []
    kid = epoch_kid(said["device"], said["epoch"])
    for number, spelled in enumerate(case["messages"], 1):
        message = unhexlify(spelled)
        if read_encrypt0(message)[1:] != (kid, number):
            raise PeerError("A message stands in another's place.", "epoch-order")
        plaintexts.append(open_encrypt0(message, suite, keys, aad))
        head = next_head(head, message)
    close = decode(verify_sign1(unhexlify(case["close"]), verify, aad))
    if close != close_record(said["device"], said["epoch"], len(plaintexts), head):
        raise PeerError("The epoch was closed with other messages.", "epoch-close")
    return plaintexts


SUBJECTS = {
    "codec": _codec,
    "encode": _encode,
    "deflate": _deflate,
    "inflate": _inflate,
    "hmac": _hmac,
    "hkdf": _hkdf,
    "ratchet": _ratchet,
    "ccm": _ccm,
    "encrypt0": _encrypt0,
    "sign1": _sign1,
    "chain": _chain,
    "epoch": _epoch,
}


def answer(subject: str, case: "Case", platform: "Platform") -> str:
    """Returns what a machine makes of a case, in one line."""
    try:
        parts = SUBJECTS[subject](case, platform)
    except NoSuite:
        return NO_SUITE
    except PeerError as refusal:
        return REFUSED + refusal.code
    except LocalError as refusal:
        return REFUSED_BY_US + refusal.code
    return " ".join([_spelled(part) for part in parts])


def _spelled(part: "bytes | str") -> str:
    return part if isinstance(part, str) else hexlify(part).decode() or "-"


def answers(content: "Any", platform: "Platform") -> "Iterator[str]":
    """Yields an answer for each case of a file whose subject both machines know."""
    for suite in content["suites"]:
        if suite["subject"] in SUBJECTS:
            for case in suite["cases"]:
                yield answer(suite["subject"], case, platform)
