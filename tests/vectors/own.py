"""Checks our own released vectors, case by case.

Place in the flow: `run` reads a file of `tests/vectors/*.json`, a function here judges each case.

* A file says its `subject`; a case says what goes in, and either what comes out or `"invalid"`.
* An invalid case must be refused as a fault of the peer; any other error is a difference.
* JSON has no bytes: a byte string is `{"bytes": hex}`, a map is `{"map": [[key, value], ...]}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.codec import decode, encode
from edge.columns import Group, decode_columns, encode_columns
from edge.errors import PeerError
from edge.journal import chain, genesis, op_id
from edge.keys import open_evidence, ratchet, verifier
from edge.seal import open_encrypt0, read_encrypt0, seal_encrypt0, verify_sign1
from edge.suites import suite_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Case = Mapping[str, Any]


def unhex(case: Case, name: str) -> bytes:
    """Returns a field of hexadecimal digits as bytes."""
    return bytes.fromhex(case[name])


def value_of(noted: Any) -> Any:
    """Returns the value that JSON notes."""
    if isinstance(noted, list):
        return [value_of(item) for item in noted]
    if isinstance(noted, dict) and "map" in noted:
        return {value_of(key): value_of(item) for key, item in noted["map"]}
    if isinstance(noted, dict):
        return bytes.fromhex(noted["bytes"])
    return noted


def check_codec(case: Case) -> bool:
    """Decodes, and where the case is valid encodes again."""
    found = decode(unhex(case, "hex"))
    return bool(found == value_of(case["value"]) and encode(found).hex() == case["hex"])


def check_encrypt0(case: Case) -> bool:
    """Opens a message; where the case is valid, sealing gives the very bytes."""
    suite = suite_of(case["alg"])
    keys = unhex(case, "key"), unhex(case, "base_iv")
    message, aad = unhex(case, "message"), case["aad"].encode()
    plaintext = open_encrypt0(message, suite, keys, aad)
    kid, seq = unhex(case, "kid"), case["seq"]
    again = seal_encrypt0(suite, keys, kid, seq, plaintext, aad)
    told = read_encrypt0(message)
    return plaintext.hex() == case["plaintext"] and again == message and told[1:] == (kid, seq)


def check_sign1(case: Case) -> bool:
    """Verifies a signature, and the record that it signs."""
    message, verify = unhex(case, "message"), verifier(unhex(case, "public"))
    payload = verify_sign1(message, verify, case["aad"].encode())
    record = open_evidence(message, verify, case["aad"], case["kid"])
    return payload.hex() == case["payload"] and encode(record) == payload


def check_ratchet(case: Case) -> bool:
    """Derives keys of an epoch and the next chain key."""
    next_key, (key, base_iv) = ratchet(unhex(case, "chain_key"), suite_of(case["alg"]))
    return (next_key.hex(), key.hex(), base_iv.hex()) == (
        case["next"],
        case["key"],
        case["base_iv"],
    )


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
    """Decodes columns, and where the case is valid encodes them again."""
    found = decode_columns(unhex(case, "hex"), samples_max=100_000)
    noted = [
        Group(group["times_us"], {int(key): column for key, column in group["series"].items()})
        for group in case["groups"]
    ]
    plain = [
        Group(list(group.times_us), {key: list(each) for key, each in group.series.items()})
        for group in found
    ]
    return plain == noted and encode_columns(noted, case["base_us"]).hex() == case["hex"]


SUBJECTS: Final[Mapping[str, Callable[[Case], bool]]] = {
    "codec": check_codec,
    "encrypt0": check_encrypt0,
    "sign1": check_sign1,
    "ratchet": check_ratchet,
    "journal": check_journal,
    "columns": check_columns,
}


def judge(subject: str, case: Case) -> str:
    """Returns `agree`, or how our code and the case differ."""
    valid = case["result"] == "valid"
    try:
        same = SUBJECTS[subject](case)
    except PeerError as refusal:
        return f"refused as {refusal.code}" if valid else "agree"
    if not valid:
        return "taken, though it is invalid"
    return "agree" if same else "another result"
