"""Checks our own released vectors, case by case.

Place in the flow: `run` reads a file of `tests/vectors/*.json`; the envelope's cases are answered
by `portable`, here with the functions of Linux, the others judged by a function below.

* A file says its `subject`; a case says what goes in, and either what comes out or `"invalid"`.
* An invalid case must be refused as a fault of the peer, or with the very `code` that it names.
* JSON has no bytes: a byte string is `{"bytes": hex}`, a map is `{"map": [[key, value], ...]}`.
* Two compressors make two streams of one text: a deflated answer counts as what it expands to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from edge import keys
from edge.codec import encode, inflate
from edge.columns import Group, decode_columns, encode_columns
from edge.errors import PeerError
from edge.journal import chain, genesis, op_id
from edge.keys import open_evidence, verifier
from edge.suites import suite_of
from tests.vectors import portable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.suites import Aead

    Case = dict[str, Any]

ECB: Final = 1
PLAIN_BYTES_MAX: Final = 1 << 20


class Aes:
    """AES of `cryptography` in the shape of MicroPython's cryptolib.aes."""

    def __init__(self, key: bytes, mode: int, iv: bytes = b"") -> None:
        chosen = modes.ECB() if mode == ECB else modes.CBC(iv)
        self._encryptor = Cipher(algorithms.AES(key), chosen).encryptor()

    def encrypt(self, data: bytes) -> bytes:
        """Encrypts whole blocks."""
        return self._encryptor.update(data)


class Linux:
    """What this machine brings to `portable`: the functions that Lastmile calls on Linux."""

    def make_aes(self, key: bytes, mode: int, iv: bytes = b"") -> Aes:
        """Makes bare AES."""
        return Aes(key, mode, iv)

    def suite(self, alg: int) -> Aead:
        """Looks in the suite table."""
        return suite_of(alg)

    def ratchet(self, chain_key: bytes, alg: int) -> tuple[bytes, tuple[bytes, bytes]]:
        """Derives as a box and the backend do."""
        return keys.ratchet(chain_key, suite_of(alg))

    def verifier(self, public: bytes) -> Callable[[bytes, bytes], None]:
        """Verifies as a box and the backend do."""
        return verifier(public)


LINUX: Final = Linux()


def unhex(case: Case, name: str) -> bytes:
    """Returns a field of hexadecimal digits as bytes."""
    return bytes.fromhex(case[name])


# ------------------------------------------------------------------ the envelope
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "encode": ("hex",),
    "deflate": ("plain",),
    "inflate": ("plain",),
    "hmac": ("tag",),
    "hkdf": ("okm",),
    "ratchet": ("next", "key", "base_iv"),
    "ccm": ("plaintext", "sealed"),
    "chain": ("next", "start", "steps", "close"),
    "epoch": ("plaintexts",),
}


def told(subject: str, case: Case) -> str:
    """Returns the answer that a valid case notes."""
    if subject == "codec":
        return f"{case['hex']} as noted"
    if subject == "sign1":
        return f"{case['payload']} {case['message']} {case['kid'].encode().hex()}"
    if subject == "encrypt0":
        spelled = [case["plaintext"] or "-", case["message"], case["alg"], case["kid"], case["seq"]]
        return " ".join(map(str, spelled))
    parts: list[str] = []
    for name in FIELDS[subject]:
        parts += case[name] if isinstance(case[name], list) else [case[name]]
    return " ".join(part or "-" for part in parts)


def settled(subject: str, answer: str) -> str:
    """Returns an answer in the form in which two machines can be compared."""
    if subject != "deflate":
        return answer
    try:
        return inflate(bytes.fromhex(answer.strip("-")), PLAIN_BYTES_MAX).hex() or "-"
    except PeerError as refusal:
        return f"a stream that is refused as {refusal.code}"


def judge_answer(subject: str, case: Case, answer: str) -> str:
    """Returns `agree`, or how an answer and the case differ."""
    if answer.startswith(portable.REFUSED):
        return _judge_refusal(case, answer)
    if case["result"] != "valid":
        return "taken, though it is invalid"
    return "agree" if settled(subject, answer) == told(subject, case) else "another result"


def _judge_refusal(case: Case, answer: str) -> str:
    if case["result"] == "valid":
        return f"refused as {answer.rsplit(maxsplit=1)[-1]}"
    if "code" in case:
        same = answer.removeprefix(portable.REFUSED_BY_US).removeprefix(portable.REFUSED)
        return "agree" if same == case["code"] else f"{answer}, not {case['code']}"
    return "agree" if not answer.startswith(portable.REFUSED_BY_US) else answer


def check_evidence(case: Case) -> bool:
    """Opens what is signed with the function of Linux, which must find the same record."""
    verify = verifier(unhex(case, "public"))
    record = open_evidence(unhex(case, "message"), verify, case["aad"], case["kid"])
    return encode(record) == unhex(case, "payload")


# ------------------------------------------------------------------ what only Linux has
def check_journal(case: Case) -> bool:
    """Names an operation, and links an entry to the genesis of its epoch."""
    place = case["device"], case["epoch"]
    start = genesis(*place)
    return (op_id(*place, case["seq"]), start.hex(), chain(start, unhex(case, "entry")).hex()) == (
        case["op_id"],
        case["genesis"],
        case["after"],
    )


def check_columns(case: Case) -> bool:
    """Decodes columns, and encodes them again where that version is still written.

    What is `deflated` another zlib may pack in other bytes; then these must be read alike.
    """
    data = unhex(case, "hex")
    found = decode_columns(data, samples_max=100_000)
    noted = [
        Group(group["times_us"], {int(key): column for key, column in group["series"].items()})
        for group in case["groups"]
    ]
    plain = [
        Group(list(group.times_us), {key: list(each) for key, each in group.series.items()})
        for group in found
    ]
    again = encode_columns(noted, case["base_us"])
    other = again[0] != data[0] or (case.get("deflated") and decode_columns(again) == found)
    return bool(plain == noted and (again == data or other))


CHECKS: Final[Mapping[str, Callable[[Case], bool]]] = {
    "sign1": check_evidence,
    "journal": check_journal,
    "columns": check_columns,
}


def judge(subject: str, case: Case) -> str:
    """Returns `agree`, or how our code and the case differ."""
    if subject in portable.SUBJECTS:
        verdict = judge_answer(subject, case, portable.answer(subject, case, LINUX))
        if verdict != "agree" or subject not in CHECKS:
            return verdict
    valid = case["result"] == "valid"
    try:
        same = CHECKS[subject](case)
    except PeerError as refusal:
        return f"refused as {refusal.code}" if valid else "agree"
    if not valid:
        return "taken, though it is invalid"
    return "agree" if same else "another result"
