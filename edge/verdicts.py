"""What the core signs about a message: that it has it, or that it never will.

Place in the flow: core → broker → **verdicts** (verified, read) → outbox.

    stored   {type, device, epoch, seq, head}           all through seq is durable there; head of
                                                        the chain that the core computed itself
    refused  {type, device, epoch, seq, sha256, code}   the message with this digest can never be
                                                        taken; code says why

* Hostile bytes until the core's signature holds, for this device's own down topic.
* A refusal carries the digest of what was refused: what somebody else sent in this device's name
  condemns none of its messages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.errors import PeerError
from edge.keys import open_evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Verify = Callable[[bytes, bytes], None]

CORE: Final = "core"
STORED: Final = "stored"
REFUSED: Final = "refused"
DIGEST_BYTES: Final = 32
NUMBER_MAX: Final = (1 << 63) - 1
CODE: Final = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(frozen=True, slots=True)
class Stored:
    """All messages of an epoch through `seq` are durable at the core; `head` is its chain there."""

    epoch: int
    seq: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """The core will never take the message of this number whose SHA-256 is `sha256`."""

    epoch: int
    seq: int
    sha256: bytes
    code: str


@dataclass(frozen=True, slots=True)
class Ear:
    """How a device knows the core's word.

    Attributes:
        verify: Checks against the core's signing key.
        topic: The device's down topic; it is authenticated with every word.
        device: Of whom the core must speak.
    """

    verify: Verify
    topic: str
    device: str


def read_stored(message: bytes, ear: Ear) -> Stored:
    """Reads an acknowledgement.

    Raises:
        PeerError: Not signed by the core for this device, or not one.
    """
    record = _read(message, ear, STORED)
    return Stored(*_place(record), _digest(record, "head"))


def read_refusal(message: bytes, ear: Ear) -> Refusal:
    """Reads a refusal.

    Raises:
        PeerError: Not signed by the core for this device, or not one.
    """
    record = _read(message, ear, REFUSED)
    code = record.get("code")
    if not isinstance(code, str) or not CODE.fullmatch(code):
        raise PeerError("A refusal says why in a word of small letters.", "outbox-answer")
    return Refusal(*_place(record), _digest(record, "sha256"), code)


def _read(message: bytes, ear: Ear, kind: str) -> dict[Any, Any]:
    record = open_evidence(message, ear.verify, ear.topic, CORE)
    if record.get("type") != kind or record.get("device") != ear.device:
        raise PeerError(
            f"The message is no {kind!r} for a message of this device.", "outbox-answer"
        )
    return record


def _place(record: Mapping[Any, Any]) -> tuple[int, int]:
    return _number(record, "epoch"), _number(record, "seq")


def _number(record: Mapping[Any, Any], name: str) -> int:
    value = record.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= NUMBER_MAX:
        raise PeerError(f"{name} must be a number of 63 bits.", "outbox-answer")
    return value


def _digest(record: Mapping[Any, Any], name: str) -> bytes:
    value = record.get(name)
    if not isinstance(value, bytes) or len(value) != DIGEST_BYTES:
        raise PeerError(f"{name} must be {DIGEST_BYTES} bytes.", "outbox-answer")
    return value
