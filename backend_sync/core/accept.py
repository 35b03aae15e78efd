"""First stage: takes a device's journal in, proves it is whole, and makes it durable.

Place in the flow: api → **accept** → journal tables, queue → post.

* One transaction per frame. The answer is signed only after it committed.
* The device's row is locked: frames of one device are judged one after the other.
* Nothing about money is decided here: whatever chains from what we hold is stored, in full.
* An entry whose bytes chain but say nothing we understand is stored as POISON and goes its own
  way; it never holds up those behind it.
* A fork keeps the whole signed frame as evidence and quarantines the device: no lease and no float
  until a person has looked.
* A journal that a technician recovered begins a new epoch by saying what was saved; it may pass
  over epochs that were lost whole. It is never refused, and always something to look at.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from backend_sync.core.exceptions import Raised, raise_exceptions
from backend_sync.core.registry import DEVICE, Device, find_device
from backend_sync.messages import (
    FRAME_BYTES_MAX,
    NUMBER_MAX,
    Answer,
    Frame,
    Position,
    claimed_sender,
    open_frame,
)
from backend_sync.protocol import Judgement, Linked, judge_frame, start_of
from edge.entry import decode_entry, op_id, recovered_from
from edge.errors import PeerError
from edge.keys import verifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backend_sync.core.database import Connection

POST_CHANNEL: Final = "lastmile_post"
FORKS_KEPT_MAX: Final = 1_000
KIND: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True, slots=True)
class Filed:
    """An entry, ready for its row."""

    linked: Linked
    op_id: UUID
    entry_class: str
    kind: str
    counter: int


def accept_frame(connection: Connection, device: str, message: bytes, now_us: int) -> Answer:
    """Takes one frame from the wire.

    Args:
        connection: Outside of a transaction.
        device: The device that the path names.
        message: The body, unverified.
        now_us: The present, microseconds UTC.

    Returns:
        What to sign and send back: `received`, `gap` or `fork`.

    Raises:
        PeerError: Unknown device, forged, malformed or too long: nothing was stored.
    """
    sender = authenticate(connection, device, message)
    frame = open_frame(message, verifier(sender.public_key), device)
    with connection.transaction():
        state = _lock_device(connection, device)
        if state == "retired":
            raise _unknown_device()
        head = _read_head(connection, frame)
        judgement = judge_frame(frame, head, _read_hashes(connection, frame, head))
        if judgement.verdict == "fork" or state == "quarantined":
            _keep_fork(connection, frame, judgement.seq or frame.first, message, now_us)
            return Answer("fork", head)
        if judgement.verdict == "accept":
            _store(connection, frame, judgement, now_us)
    return Answer("gap" if judgement.verdict == "gap" else "received", judgement.head)


def authenticate(connection: Connection, device: str, message: bytes) -> Device:
    """Finds the device that a message claims to be from; the path must say the same.

    Raises:
        PeerError: Another sender than the path, or one that is unknown or retired.
    """
    if claimed_sender(message, FRAME_BYTES_MAX) != device:
        raise PeerError("The message is not from the device that its path names.", "wrong-device")
    found = find_device(connection, device) if DEVICE.fullmatch(device) else None
    if found is None or found.state == "retired":
        raise _unknown_device()
    return found


def _unknown_device() -> PeerError:
    return PeerError("This device is not registered here. Provision it first.", "unknown-device")


def _lock_device(connection: Connection, device: str) -> str:
    row = connection.execute(
        "SELECT state FROM devices WHERE device = %s FOR NO KEY UPDATE", [device]
    ).fetchone()
    return str(row[0]) if row else "retired"


def _read_head(connection: Connection, frame: Frame) -> Position:
    row = connection.execute(
        "SELECT seq, head FROM journal_heads WHERE device = %s AND epoch = %s",
        [frame.device, frame.epoch],
    ).fetchone()
    if row is not None:
        return Position(frame.epoch, int(row[0]), bytes(row[1]))
    last = connection.execute(
        "SELECT max(epoch) FROM journal_heads WHERE device = %s", [frame.device]
    ).fetchone()
    follows = ((last and last[0]) or 0) + 1
    recovered = frame.first == 1 and recovered_from(frame.entries[0]) is not None
    if frame.epoch != follows and not (recovered and frame.epoch > follows):
        raise PeerError("The journal's epoch does not follow the last one.", "frame-epoch")
    return start_of(frame.device, frame.epoch)


def _read_hashes(connection: Connection, frame: Frame, head: Position) -> dict[int, bytes]:
    if frame.first > head.seq + 1:
        return {}
    rows = connection.execute(
        "SELECT seq, hash FROM journal_entries "
        "WHERE device = %s AND epoch = %s AND seq BETWEEN %s AND %s",
        [frame.device, frame.epoch, frame.first - 1, frame.last],
    ).fetchall()
    return {int(seq): bytes(link) for seq, link in rows}


def _store(connection: Connection, frame: Frame, judgement: Judgement, now_us: int) -> None:
    filed = [_file(frame, linked) for linked in judgement.fresh]
    counters = [each.counter for each in filed]
    before = _advance_head(connection, frame, judgement.head, max(counters))
    _insert(connection, frame, filed, now_us)
    connection.execute(
        "INSERT INTO post_queue (op_id) SELECT unnest(%s::uuid[])", [[each.op_id for each in filed]]
    )
    connection.execute(f"NOTIFY {POST_CHANNEL}".encode())
    found = _suspicions(frame, counters, before)
    if frame.epoch > 1 and judgement.fresh[0].seq == 1:
        found.append(_judge_beginning(connection, frame, filed[0], before))
    raise_exceptions(connection, found, now_us)


def _advance_head(connection: Connection, frame: Frame, head: Position, counter: int) -> int:
    """Moves the head and returns the highest counter seen before."""
    row = connection.execute(
        "SELECT max(counter) FROM journal_heads WHERE device = %s", [frame.device]
    ).fetchone()
    connection.execute(
        "INSERT INTO journal_heads (device, epoch, seq, head, counter) VALUES (%s,%s,%s,%s,%s) "
        "ON CONFLICT (device, epoch) DO UPDATE SET seq = excluded.seq, head = excluded.head, "
        "counter = greatest(journal_heads.counter, excluded.counter)",
        [frame.device, head.epoch, head.seq, head.head, counter],
    )
    return int(row[0] or 0) if row else 0


def _file(frame: Frame, linked: Linked) -> Filed:
    number = UUID(op_id(frame.device, frame.epoch, linked.seq))
    try:
        entry = decode_entry(linked.entry)
        _require_fileable(entry, Position(frame.epoch, linked.seq, linked.hash), frame.device)
    except PeerError as error:
        return Filed(linked, number, "POISON", error.code, 0)
    return Filed(linked, number, entry["class"], entry["kind"], entry["counter"])


def _require_fileable(entry: Mapping[str, Any], place: Position, device: str) -> None:
    """Refuses what no row can hold, so that one entry never keeps a frame from being stored."""
    if (entry["device"], entry["epoch"], entry["seq"]) != (device, place.epoch, place.seq):
        raise PeerError("The entry says it stands elsewhere.", "entry-place")
    if not KIND.fullmatch(entry["kind"]) or not 0 <= entry["counter"] <= NUMBER_MAX:
        raise PeerError("The entry's kind or counter is out of range.", "entry-range")


def _insert(connection: Connection, frame: Frame, filed: Sequence[Filed], now_us: int) -> None:
    connection.execute(
        "INSERT INTO journal_entries "
        "(device, epoch, seq, op_id, class, kind, entry, hash, received_us) "
        "SELECT %s, %s, seq, op_id, class, kind, entry, hash, %s FROM unnest(%s::bigint[], "
        "%s::uuid[], %s::text[], %s::text[], %s::bytea[], %s::bytea[]) "
        "AS n (seq, op_id, class, kind, entry, hash)",
        [
            frame.device,
            frame.epoch,
            now_us,
            [each.linked.seq for each in filed],
            [each.op_id for each in filed],
            [each.entry_class for each in filed],
            [each.kind for each in filed],
            [each.linked.entry for each in filed],
            [each.linked.hash for each in filed],
        ],
    )


def _suspicions(frame: Frame, counters: Sequence[int], before: int) -> list[Raised]:
    """A counter that falls tells of an old or replaced disk."""
    subject = f"{frame.device}/{frame.epoch}/{frame.first}"
    found = []
    used = [counter for counter in counters if counter]
    if used and used != sorted([before, *used])[1:]:
        found.append(Raised("rollback", subject, frame.device, "The monotonic counter fell."))
    return found


def _judge_beginning(connection: Connection, frame: Frame, first: Filed, before: int) -> Raised:
    """A journal begun anew is an exception, and says how much is known to be lost, if it says so.

    Args:
        connection: Inside of the frame's transaction.
        frame: The first of its epoch.
        first: Its first entry.
        before: The highest counter of all entries of earlier epochs.
    """
    subject = f"{frame.device}/{frame.epoch}/1"
    saved = recovered_from(first.linked.entry)
    if saved is None:
        return Raised("new-epoch", subject, frame.device, "The device began a new journal.")
    place = f"{saved.epoch}/{saved.seq}"
    row = connection.execute(
        "SELECT hash FROM journal_entries WHERE device = %s AND epoch = %s AND seq = %s",
        [frame.device, saved.epoch, saved.seq],
    ).fetchone()
    if row is not None and bytes(row[0]) != saved.hash:
        _quarantine(connection, frame.device)
        told = f"Two journals: another entry {place} was saved than the one stored here."
        return Raised("fork", subject, frame.device, told)
    if saved.seq and row is None:
        told = f"It was saved up to {place}, an entry that never reached the core."
    elif not (first.counter and before):
        told = f"It was saved up to {place}. Without a counter nobody knows what was lost."
    else:
        lost = max(0, first.counter - before - 1)
        told = f"It was saved up to {place}. At most {lost} entries never reached the core."
    return Raised("journal-recovered", subject, frame.device, told)


def _keep_fork(connection: Connection, frame: Frame, seq: int, message: bytes, now_us: int) -> None:
    """Keeps the contradicting frame; that of a quarantined device is kept whatever it says."""
    connection.execute(
        "INSERT INTO journal_forks (device, digest, epoch, seq, frame, received_us) "
        "SELECT %s, %s, %s, %s, %s, %s "
        "WHERE (SELECT count(*) FROM journal_forks WHERE device = %s) < %s "
        "ON CONFLICT DO NOTHING",
        [frame.device, hashlib.sha256(message).digest(), frame.epoch, seq, message, now_us,
         frame.device, FORKS_KEPT_MAX],
    )  # fmt: skip
    _quarantine(connection, frame.device)
    raised = Raised("fork", frame.device, frame.device, f"Two journals from entry {seq} on.")
    raise_exceptions(connection, [raised], now_us)


def _quarantine(connection: Connection, device: str) -> None:
    connection.execute(
        "UPDATE devices SET state = 'quarantined', state_reason = 'fork' "
        "WHERE device = %s AND state = 'active'",
        [device],
    )
