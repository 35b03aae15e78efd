"""What a journal is made of: entries, their links and their names. No files, no clocks.

Place in the flow: codec → **entry** → journal, evidence, recovery, and the core.

    entry   encode({device, epoch, seq, class, kind, body, wall_us, boot, mono_us, counter, policy})
    hash    SHA-256(hash before ‖ exact bytes of the entry); before the first: `genesis`
    op_id   first 16 bytes of SHA-256(encode(["lastmile op", device, epoch, seq])), hexadecimal

* A hash stands for every byte before it, and for the device and epoch that it belongs to.
* An epoch other than the first begins with a `journal-recovered` entry, which names the last entry
  that was saved of the journal before it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from edge.codec import decode, encode
from edge.errors import PeerError

CLASSES: Final = ("FACT", "REQUEST")
OP_ID_BYTES: Final = 16
HASH_BYTES: Final = 32
ENTRY_BYTES_MAX: Final = 16_384
ENTRY_ITEMS_MAX: Final = 512
NUMBER_MAX: Final = 2**53
"""No epoch or seq is higher: what counts them in JSON and JavaScript stays exact."""

RECOVERED: Final = "journal-recovered"
FIELDS: Final = {
    "device": str, "epoch": int, "seq": int, "class": str, "kind": str, "body": dict,
    "wall_us": int, "boot": str, "mono_us": int, "counter": int, "policy": int,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Head:
    """Where a journal stands: `hash` is the chain's value after entry `seq` of `epoch`."""

    epoch: int
    seq: int
    hash: bytes


def op_id(device: str, epoch: int, seq: int) -> str:
    """Returns the id of an operation: 32 hexadecimal digits."""
    digest = hashlib.sha256(encode(["lastmile op", device, epoch, seq])).digest()
    return digest[:OP_ID_BYTES].hex()


def genesis(device: str, epoch: int) -> bytes:
    """Returns the chain's value before the first entry of an epoch."""
    return hashlib.sha256(encode(["lastmile journal", device, epoch])).digest()


def chain(before: bytes, entry: bytes) -> bytes:
    """Returns the chain's value after an entry."""
    return hashlib.sha256(before + entry).digest()


def decode_entry(entry: bytes) -> dict[str, Any]:
    """Reads an entry.

    Args:
        entry: Hostile bytes.

    Raises:
        PeerError: Too long, not ours, or a field is missing, unknown or of the wrong type.
    """
    if len(entry) > ENTRY_BYTES_MAX:
        raise PeerError(f"An entry has at most {ENTRY_BYTES_MAX} bytes.", "entry-size")
    record = decode(entry, items_max=ENTRY_ITEMS_MAX)
    if not isinstance(record, dict) or set(record) != set(FIELDS):
        raise PeerError("An entry has exactly the fields of a journal entry.", "entry-fields")
    for name, kind in FIELDS.items():
        if not isinstance(record[name], kind) or isinstance(record[name], bool):
            raise PeerError(f"{name} of an entry is of the wrong type.", "entry-type")
    if record["class"] not in CLASSES:
        raise PeerError("An entry is a FACT or a REQUEST.", "entry-class")
    return record


def recovered_from(entry: bytes) -> Head | None:
    """Returns the last entry that was saved, as the first entry of a recovered epoch names it.

    Args:
        entry: Hostile bytes.

    Returns:
        None when it is no such entry, or names no place before its own epoch.
    """
    try:
        record = decode_entry(entry)
    except PeerError:
        return None
    if (record["kind"], record["class"], record["seq"]) != (RECOVERED, "FACT", 1):
        return None
    body = record["body"]
    epoch, seq, link = body.get("epoch"), body.get("seq"), body.get("hash")
    if not (_is_number(epoch) and _is_number(seq) and isinstance(link, bytes)):
        return None
    sound = 1 <= epoch < record["epoch"] <= NUMBER_MAX and 0 <= seq <= NUMBER_MAX
    return Head(epoch, seq, link) if sound and len(link) == HASH_BYTES else None


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
