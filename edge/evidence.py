"""A run of journal entries that proves itself: signed by its device, checked by anybody.

Place in the flow: journal → **evidence** → a file that is carried → the core, a court.

    COSE_Sign1(kid = device, aad = "lastmile journal evidence")
      {type: "journal-evidence", device, epoch, first, last, before, head,
       entries: deflate(encode([entry bytes, ...]))}

* `before` is the chain's value before entry `first`, `head` that after entry `last`: whoever holds
  either of them from elsewhere, a receipt or the core, knows that the run is part of that chain.
* Whoever opens it recomputes every link and reads every entry; one that says it stands elsewhere
  is refused.
* At most 4,096 entries, and 1 MiB of them: more is several bundles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.codec import decode, deflate, encode, inflate
from edge.entry import HASH_BYTES, NUMBER_MAX, chain, decode_entry, genesis
from edge.errors import LocalError, PeerError
from edge.keys import open_evidence, sign_evidence
from edge.purposes import JOURNAL_EVIDENCE
from edge.seal import read_sign1

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.custody import JournalReader
    from edge.ports import Signer

    Verify = Callable[[bytes, bytes], None]

ENTRIES_MAX: Final = 4_096
PLAIN_BYTES_MAX: Final = 1_048_576
BUNDLE_BYTES_MAX: Final = PLAIN_BYTES_MAX + 65_536
"""What does not deflate must fit, too."""
FIELDS: Final = frozenset({"type", "device", "epoch", "first", "last", "before", "head", "entries"})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a bundle proves: that `device` wrote these entries, in this order, and none between.

    Attributes:
        device: Who signed it.
        epoch: Of the journal.
        first: Number of the first entry.
        last: Number of the last.
        before: The chain's value before the first entry.
        head: The chain's value after the last.
        entries: Decoded, in order.
    """

    device: str
    epoch: int
    first: int
    last: int
    before: bytes
    head: bytes
    entries: tuple[dict[str, Any], ...]


def export_evidence(
    reader: JournalReader, signer: Signer, epoch: int, first: int, last: int
) -> bytes:
    """Returns a bundle of the entries first to last.

    Raises:
        LocalError: The journal does not hold them all, they are too many for one bundle, or the
            signer is not the journal's device.
    """
    if signer.kid != reader.device:
        raise LocalError(
            f"The evidence of {reader.device} is signed by itself, not by {signer.kid}.",
            "evidence-identity",
        )
    if not 1 <= first <= last < first + ENTRIES_MAX:
        raise LocalError(
            f"Give the first and the last of at most {ENTRIES_MAX} entries.", "evidence-range"
        )
    rows = reader.read(first - 1, last - first + 1, PLAIN_BYTES_MAX, epoch)
    before, head = reader.hash_at(epoch, first - 1), reader.hash_at(epoch, last)
    entries = [entry for entry, _ in rows]
    packed = encode(entries)
    if before is None or head is None:
        raise _absent(epoch, first, last)
    if len(entries) != last - first + 1 or len(packed) > PLAIN_BYTES_MAX:
        raise LocalError(
            f"Entries {epoch}/{first} to {epoch}/{last} are too long for one bundle; export fewer "
            "at once.",
            "evidence-size",
        )
    record = {
        "type": "journal-evidence", "device": reader.device, "epoch": epoch, "first": first,
        "last": last, "before": before, "head": head, "entries": deflate(packed),
    }  # fmt: skip
    return sign_evidence(signer, record, JOURNAL_EVIDENCE)


def claimed_device(bundle: bytes) -> str:
    """Returns whose evidence a bundle says it is; only good for finding a key.

    Raises:
        PeerError: Too long, or no bundle.
    """
    _require_size(bundle)
    return read_sign1(bundle)[0]


def open_bundle(bundle: bytes, verify: Verify, device: str) -> Evidence:
    """Verifies and reads a bundle.

    Args:
        bundle: Hostile bytes.
        verify: Checks signatures of `device`.
        device: Whose evidence it must be.

    Raises:
        PeerError: Not signed by that device, changed, or its entries do not chain.
    """
    _require_size(bundle)
    record = open_evidence(bundle, verify, JOURNAL_EVIDENCE, device)
    if set(record) != FIELDS or record["type"] != "journal-evidence":
        raise _malformed("it lacks fields, or has others")
    epoch, first, last = (_number(record, name) for name in ("epoch", "first", "last"))
    before, head = (_link(record, name) for name in ("before", "head"))
    if record["device"] != device or (first == 1 and before != genesis(device, epoch)):
        raise _malformed("it is of another device or epoch than it says")
    raw = _unpack(record["entries"], last - first + 1)
    decoded, link = [], before
    for seq, entry in enumerate(raw, first):
        link = chain(link, entry)
        decoded.append(_read(entry, device, epoch, seq))
    if link != head:
        raise _malformed("its entries do not end in its head")
    return Evidence(device, epoch, first, last, before, head, tuple(decoded))


def _unpack(packed: object, count: int) -> list[bytes]:
    if not isinstance(packed, bytes) or not 1 <= count <= ENTRIES_MAX:
        raise _malformed("it holds no run of entries")
    entries = decode(inflate(packed, PLAIN_BYTES_MAX), items_max=ENTRIES_MAX + 1)
    if not isinstance(entries, list) or len(entries) != count:
        raise _malformed("it does not hold exactly the entries first to last")
    if not all(isinstance(entry, bytes) for entry in entries):
        raise _malformed("an entry is no bytes")
    return entries


def _read(entry: bytes, device: str, epoch: int, seq: int) -> dict[str, Any]:
    record = decode_entry(entry)
    if (record["device"], record["epoch"], record["seq"]) != (device, epoch, seq):
        raise _malformed(f"entry {epoch}/{seq} says that it stands elsewhere")
    return record


def _number(record: dict[Any, Any], name: str) -> int:
    value = record[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= NUMBER_MAX:
        raise _malformed(f"{name} is no number of an entry")
    return value


def _link(record: dict[Any, Any], name: str) -> bytes:
    value = record[name]
    if not isinstance(value, bytes) or len(value) != HASH_BYTES:
        raise _malformed(f"{name} is no hash")
    return value


def _require_size(bundle: bytes) -> None:
    if len(bundle) > BUNDLE_BYTES_MAX:
        raise _malformed("it is too long")


def _malformed(what: str) -> PeerError:
    return PeerError(f"This is no evidence of a journal: {what}. Export it again.", "evidence-form")


def _absent(epoch: int, first: int, last: int) -> LocalError:
    return LocalError(
        f"This journal does not hold all of {epoch}/{first} to {epoch}/{last}. See "
        "`lastmile-agent status` for the last entry; what was pruned is at the core alone.",
        "evidence-absent",
    )
