"""What a message of the uplink topic says of itself, read without believing any of it.

Place in the flow: broker → consumer → **claim** → ingest, which verifies.

* topic's device = kid of the envelope = device in the signed payload.
* Whatever the bytes are, the answer is a `Claim` or a `Refused` with one of `REASONS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.codec import decode
from edge.errors import PeerError
from edge.seal import read_encrypt0, read_sign1
from edge.suites import AEADS

if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGE_BYTES_MAX: Final = 262_144
EPOCH_MAX: Final = 2**48
SEQ_MAX: Final = 2**48

ENCRYPT0_ARRAY: Final = 0x83
SIGN1_ARRAY: Final = 0x84
TOPIC_LEVELS: Final = 5

REASONS: Final = (
    "too-large",
    "malformed",
    "wrong-address",
    "unknown-device",
    "algorithm",
    "bad-signature",
    "policy",
    "downgrade",
    "bad-wrap",
    "no-key",
    "epoch-gone",
    "tampered",
    "too-far",
    "conflict",
    "epoch-restart",
    "hold-full",
)


class Refused(PeerError):  # noqa: N818 - a verdict, spoken of as such everywhere
    """A message that the core does not take; `code` is one of `REASONS`."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a message says of itself, not yet believed.

    Attributes:
        kind: `batch`, or the evidence's type: `epoch-start`, `epoch-close`, `gap`, `consent`, ...
        seq: Its number in the epoch, or None for evidence outside the chain.
        record: Payload of evidence, empty for a batch.
    """

    topic: str
    device: str
    kind: str
    epoch: int
    seq: int | None
    message: bytes
    record: Mapping[str, Any]


def down_topic(org: str, device: str) -> str:
    """Returns the topic on which a device hears from the core."""
    return f"lastmile/v1/{org}/{device}/down"


def read_claim(org: str, topic: str, message: bytes) -> Claim:
    """Reads what a message says of itself.

    Args:
        org: The organisation that this core serves.
        topic: Topic it arrived on.
        message: An untagged COSE_Encrypt0 (batch) or COSE_Sign1 (evidence).

    Raises:
        Refused: It is too large, malformed, or not what its topic says.
    """
    device = _device_of(org, topic)
    if len(message) > MESSAGE_BYTES_MAX:
        raise Refused("The message is larger than the limit.", "too-large")
    try:
        if message[:1] == bytes([ENCRYPT0_ARRAY]):
            return _batch_claim(topic, device, message)
        if message[:1] == bytes([SIGN1_ARRAY]):
            return _evidence_claim(topic, device, message)
    except Refused:
        raise
    except PeerError as error:
        raise Refused(str(error), "malformed") from error
    raise Refused("The message is neither a batch nor evidence.", "malformed")


def _device_of(org: str, topic: str) -> str:
    levels = topic.split("/")
    fixed = [*levels[:3], *levels[4:]]
    if len(levels) != TOPIC_LEVELS or fixed != ["lastmile", "v1", org, "up"] or not levels[3]:
        raise Refused("The topic is not an uplink of this organisation.", "wrong-address")
    return levels[3]


def _batch_claim(topic: str, device: str, message: bytes) -> Claim:
    algorithm, kid, seq = read_encrypt0(message)
    name, separator, number = kid.partition(b"/")
    if name != device.encode() or not separator:
        raise Refused("The batch names another device than its topic.", "wrong-address")
    if algorithm not in AEADS:
        raise Refused("The batch uses an algorithm that this core has not.", "algorithm")
    epoch = int.from_bytes(number, "big")
    if not (number and number[0] and 1 <= epoch <= EPOCH_MAX and 1 <= seq <= SEQ_MAX):
        raise Refused("The batch has no valid epoch and number.", "malformed")
    return Claim(topic, device, "batch", epoch, seq, message, {})


def _evidence_claim(topic: str, device: str, message: bytes) -> Claim:
    kid, payload = read_sign1(message)
    record = decode(payload)
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise Refused("The evidence has no type.", "malformed")
    if kid != device or record.get("device") != device:
        raise Refused("The evidence names another device than its topic.", "wrong-address")
    kind = record["type"]
    epoch = require_number(record, "epoch", 1, EPOCH_MAX) if "epoch" in record else 0
    return Claim(topic, device, kind, epoch, _evidence_seq(kind, record), message, record)


def _evidence_seq(kind: str, record: Mapping[str, Any]) -> int | None:
    """Evidence stands in the chain where it says; start and close have their natural places."""
    if kind == "epoch-start":
        return 0
    if kind == "gap":
        return None
    if "seq" in record:
        return require_number(record, "seq", 1, SEQ_MAX)
    if kind == "epoch-close":
        return require_number(record, "count", 0, SEQ_MAX) + 1
    return None


def require_number(record: Mapping[str, Any], name: str, low: int, high: int) -> int:
    """Returns an integer of a record.

    Raises:
        Refused: It is missing, no integer, or out of bounds.
    """
    value = record.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Refused(f"{name} must be an integer from {low} to {high}.", "malformed")
    return value


def require_head(record: Mapping[str, Any]) -> bytes:
    """Returns the chain head of a record.

    Raises:
        Refused: It is missing, or not 32 bytes.
    """
    value = record.get("head")
    if not isinstance(value, bytes) or len(value) != 32:
        raise Refused("head must be 32 bytes.", "malformed")
    return value
