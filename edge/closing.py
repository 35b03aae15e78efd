"""The core's word that a day is closed: only under it may a device forget entries.

Place in the flow: core signs → **closing** → journal prunes.

    COSE_Sign1(kid = "core", aad = "lastmile day-closed")
      {type: "day-closed", device, day, epoch, seq, head, entries, totals: {kind: fen}}

* The core signs what it holds: `head` is the chain's value after entry `seq` of `epoch`, and a
  device whose own chain says something else there forgets nothing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.codec import decode
from edge.entry import HASH_BYTES, NUMBER_MAX, Head
from edge.errors import PeerError
from edge.keys import EVIDENCE_ITEMS_MAX, open_evidence, sign_evidence
from edge.purposes import DAY_CLOSED
from edge.seal import read_sign1

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.ports import Signer

CORE: Final = "core"
STATEMENT_BYTES_MAX: Final = 65_536
FIELDS: Final = frozenset({"type", "device", "day", "epoch", "seq", "head", "entries", "totals"})


@dataclass(frozen=True, slots=True)
class DayClosed:
    """A closed day of one device.

    Attributes:
        device: Whose day.
        day: Which, as in `2026-07-01`.
        at: The last entry that the close covers.
        entries: How many entries it covers.
        totals: Money by kind of entry, fen.
    """

    device: str
    day: str
    at: Head
    entries: int
    totals: Mapping[str, int]


def sign_day_closed(signer: Signer, closed: DayClosed) -> bytes:
    """Returns the statement as the core signs it."""
    at = closed.at
    record = {
        "type": "day-closed", "device": closed.device, "day": closed.day, "epoch": at.epoch,
        "seq": at.seq, "head": at.hash, "entries": closed.entries, "totals": dict(closed.totals),
    }  # fmt: skip
    return sign_evidence(signer, record, DAY_CLOSED)


def open_day_closed(
    statement: bytes, verify: Callable[[bytes, bytes], None], device: str
) -> DayClosed:
    """Verifies and reads a statement.

    Args:
        statement: Hostile bytes.
        verify: Checks signatures of the core.
        device: Whose day it must be.

    Raises:
        PeerError: Not by the core, not for this device, or not of this form.
    """
    _require_size(statement)
    closed = _read(open_evidence(statement, verify, DAY_CLOSED, CORE))
    if closed.device != device:
        raise PeerError(
            f"This day is closed for {closed.device}, not for {device}; nothing is forgotten.",
            "day-closed-device",
        )
    return closed


def kept_day_closed(statement: bytes) -> DayClosed:
    """Reads a statement that was verified when it was kept; a damaged one shows by its form.

    Raises:
        PeerError: It is none.
    """
    _require_size(statement)
    return _read(decode(read_sign1(statement)[1], items_max=EVIDENCE_ITEMS_MAX))


def _require_size(statement: bytes) -> None:
    if len(statement) > STATEMENT_BYTES_MAX:
        raise PeerError("The statement is too long to be one.", "day-closed-form")


def _read(record: object) -> DayClosed:
    if not isinstance(record, dict) or set(record) != FIELDS or not _is_sound(record):
        raise PeerError(
            "The core's statement of a closed day is not of the known form; nothing is forgotten.",
            "day-closed-form",
        )
    at = Head(record["epoch"], record["seq"], record["head"])
    return DayClosed(record["device"], record["day"], at, record["entries"], record["totals"])


def _is_sound(record: dict[str, Any]) -> bool:
    totals, head = record["totals"], record["head"]
    return (
        record["type"] == "day-closed"
        and isinstance(record["device"], str)
        and _is_day(record["day"])
        and all(_is_number(record[name], 1) for name in ("epoch", "seq"))
        and _is_number(record["entries"], 0)
        and isinstance(head, bytes)
        and len(head) == HASH_BYTES
        and isinstance(totals, dict)
        and all(isinstance(kind, str) for kind in totals)
        and all(_is_number(fen, -NUMBER_MAX) for fen in totals.values())
    )


def _is_number(value: object, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= NUMBER_MAX


def _is_day(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return dt.date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False
