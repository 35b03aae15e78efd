"""The kiosk's journal: hash-chained, gapless, and the only thing a user's action writes.

Place in the flow: teller → **journal** → agent → core; store below, nothing above.

    entry   encode({device, epoch, seq, class, kind, body, wall_us, boot, mono_us, counter, policy})
    hash    SHA-256(hash before ‖ exact bytes of the entry); before the first: `genesis`
    op_id   first 16 bytes of SHA-256(encode(["lastmile op", device, epoch, seq])), hexadecimal

* No row is changed or deleted: the database itself refuses it (DESIGN invariant 3).
* seq has no gaps: an entry and the state that it changes are one transaction, or neither is.
* The whole chain is verified at opening; a journal that does not verify is not written to.
* A field that is not in the data catalogue is refused before it is written.
* With a counter: one entry a transaction. A counter that is two ahead tells of an old copy.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import check_body
from edge.codec import decode, encode
from edge.errors import DeviceFault, LocalError, PeerError
from edge.sqlite import Migrations
from edge.store import create_tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.ports import Clock, Counter
    from edge.sqlite import Database
    from edge.store import Store

CLASSES: Final = ("FACT", "REQUEST")
OP_ID_BYTES: Final = 16
ENTRY_BYTES_MAX: Final = 16_384
ENTRY_ITEMS_MAX: Final = 512
READ_ROWS: Final = 1_000
FIELDS: Final = {
    "device": str, "epoch": int, "seq": int, "class": str, "kind": str, "body": dict,
    "wall_us": int, "boot": str, "mono_us": int, "counter": int, "policy": int,
}  # fmt: skip
MIGRATIONS = Migrations("journal")


@MIGRATIONS()
def journal_001(database: Database) -> None:
    """The entries, and triggers that keep them as they are."""
    create_tables(
        database,
        """CREATE TABLE journal (
            epoch INTEGER NOT NULL CHECK (epoch >= 1),
            seq   INTEGER NOT NULL CHECK (seq >= 1),
            entry BLOB    NOT NULL,
            hash  BLOB    NOT NULL CHECK (length(hash) = 32),
            PRIMARY KEY (epoch, seq)
        )""",
        """CREATE TRIGGER journal_unchanged BEFORE UPDATE ON journal
            BEGIN SELECT RAISE(ABORT, 'journal rows are never changed'); END""",
        """CREATE TRIGGER journal_permanent BEFORE DELETE ON journal
            BEGIN SELECT RAISE(ABORT, 'journal rows are never deleted'); END""",
    )


@dataclass(frozen=True, slots=True)
class Head:
    """Where a journal stands: `hash` is the chain's value after entry `seq` of `epoch`."""

    epoch: int
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that was appended."""

    op_id: str
    epoch: int
    seq: int
    hash: bytes
    wall_us: int


# ------------------------------------------------------------------ the chain
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


# ------------------------------------------------------------------ reading
class JournalReader:
    """The reading half; the agent uses it on a file that the kiosk writes.

    Args:
        store: An open store, or reader, that holds a journal.
        device: Whose journal it is.
    """

    def __init__(self, store: Store, device: str) -> None:
        self._store = store
        self.device = device

    def head(self) -> Head:
        """Returns where the journal stands; seq 0 of epoch 1 when it is empty."""
        row = self._store.row(
            "SELECT epoch, seq, hash FROM journal ORDER BY epoch DESC, seq DESC LIMIT 1"
        )
        if row is None:
            return Head(1, 0, genesis(self.device, 1))
        return Head(row["epoch"], row["seq"], bytes(row["hash"]))

    def hash_at(self, epoch: int, seq: int) -> bytes | None:
        """Returns the chain's value after an entry, or None when there is no such entry."""
        if seq == 0:
            return genesis(self.device, epoch)
        row = self._store.row("SELECT hash FROM journal WHERE epoch = ? AND seq = ?", (epoch, seq))
        return bytes(row["hash"]) if row else None

    def read(
        self, after_seq: int, limit_entries: int, limit_bytes: int, epoch: int = 1
    ) -> list[tuple[bytes, bytes]]:
        """Returns (entry, hash) of the entries after `after_seq`, in order.

        Args:
            after_seq: The last entry that is not wanted.
            limit_entries: At most so many.
            limit_bytes: At most so many bytes of entries, but always one entry.
            epoch: Of the journal.
        """
        rows = self._store.rows(
            "SELECT entry, hash FROM journal WHERE epoch = ? AND seq > ? ORDER BY seq LIMIT ?",
            (epoch, after_seq, limit_entries),
        )
        taken: list[tuple[bytes, bytes]] = []
        size = 0
        for row in rows:
            size += len(row["entry"])
            if taken and size > limit_bytes:
                break
            taken.append((bytes(row["entry"]), bytes(row["hash"])))
        return taken

    def find(self, epoch: int, seq: int) -> dict[str, Any] | None:
        """Returns one entry, decoded, or None."""
        found = self.read(seq - 1, 1, ENTRY_BYTES_MAX, epoch)
        entry = decode_entry(found[0][0]) if found else None
        return entry if entry and entry["seq"] == seq else None


# ------------------------------------------------------------------ writing
class Journal(JournalReader):
    """The writing half. Append inside `store.transaction()`, with the state that changes with it.

    Args:
        store: Opened with `MIGRATIONS`.
        device: Whose journal it is.
        clock: Stamps entries.
        counter: Rollback witness, or None where the device has none.
        policy: Version of the policy that entries are made under.

    Raises:
        DeviceFault: The chain does not verify: the file is damaged or an old copy.
    """

    def __init__(
        self,
        store: Store,
        device: str,
        clock: Clock,
        counter: Counter | None = None,
        policy: int = 0,
    ) -> None:
        super().__init__(store, device)
        self._clock = clock
        self._counter = counter
        self._policy = policy
        verify_journal(store, device)
        self._refuse_rollback()

    def append(self, entry_class: str, kind: str, body: Mapping[str, Any]) -> Entry:
        """Writes the next entry.

        Args:
            entry_class: `FACT` or `REQUEST`.
            kind: In the data catalogue.
            body: Its fields, all in the data catalogue.

        Raises:
            LocalError: The class, kind or a field is not allowed, or the entry is too long.
            DeviceFault: The disk is full or failing; nothing was written.
        """
        if entry_class not in CLASSES:
            raise LocalError(f"An entry is a FACT or a REQUEST, not {entry_class}.", "entry-class")
        check_body(kind, body)
        before = self.head()
        now, count = self._clock.now(), self._next_count(before)
        record = {
            "device": self.device, "epoch": before.epoch, "seq": before.seq + 1,
            "class": entry_class, "kind": kind, "body": dict(body), "wall_us": now.wall_us,
            "boot": now.boot_id, "mono_us": now.monotonic_us, "counter": count,
            "policy": self._policy,
        }  # fmt: skip
        entry = encode(record)
        if len(entry) > ENTRY_BYTES_MAX:
            raise LocalError(f"An entry has at most {ENTRY_BYTES_MAX} bytes.", "entry-size")
        if self._counter is not None:
            # First the counter: a power cut leaves it one ahead, never behind.
            self._counter.advance_to(count)
        link = chain(before.hash, entry)
        self._store.execute(
            "INSERT INTO journal (epoch, seq, entry, hash) VALUES (?, ?, ?, ?)",
            (before.epoch, before.seq + 1, entry, link),
        )
        identity = op_id(self.device, before.epoch, before.seq + 1)
        return Entry(identity, before.epoch, before.seq + 1, link, now.wall_us)

    def _next_count(self, head: Head) -> int:
        """One more than the entry before says, so that what was rolled back is counted once."""
        if self._counter is None:
            return 0
        last = self.find(head.epoch, head.seq)
        counted = last["counter"] if last else 0
        return 1 + int(counted or self._counter.read())

    def _refuse_rollback(self) -> None:
        head = self.head()
        if self._counter is None or head.seq == 0:
            return
        last = self.find(head.epoch, head.seq)
        if last is not None and self._counter.read() > last["counter"] + 1:
            raise DeviceFault(
                f"{self._store.path} is an old copy: the counter of this device is ahead of it. "
                "Stop using it and call the bank.",
                "journal-rollback",
            )


def verify_journal(store: Store, device: str) -> int:
    """Recomputes the whole chain and returns how many entries it has.

    Raises:
        DeviceFault: An entry was changed, is missing, or belongs to another device.
    """
    count, epoch, seq, link = 0, 0, 0, b""
    while True:
        rows = store.rows(
            "SELECT epoch, seq, entry, hash FROM journal WHERE (epoch, seq) > (?, ?) "
            "ORDER BY epoch, seq LIMIT ?",
            (epoch, seq, READ_ROWS),
        )
        for row in rows:
            if row["epoch"] != epoch:
                epoch, seq, link = row["epoch"], 0, genesis(device, row["epoch"])
            link = chain(link, bytes(row["entry"]))
            if row["seq"] != seq + 1 or link != row["hash"]:
                raise DeviceFault(
                    f"The journal {store.path} is damaged at entry {epoch}/{seq + 1}. Stop using "
                    "this device, keep the file and call the bank.",
                    "journal-damaged",
                )
            seq, count = row["seq"], count + 1
        if len(rows) < READ_ROWS:
            return count
