"""What the file of a journal holds, how it is read, and whether it is whole.

Place in the flow: store, entry, closing → **custody** → journal, evidence, recovery, agent.

    journal          epoch, seq, entry, hash      the entries that are kept
    journal_anchors  epoch, seq, hash, statement  the last one pruned, and the core's word

* No row is changed, and none is deleted that no anchor covers: the database itself refuses it
  (DESIGN invariant 3). Anchors only move forward.
* Whole is: SQLite finds its pages and indices sound; entries are chained without a gap from the
  first one, or from the anchor; they are this device's; and each further epoch begins by naming
  exactly the entry before it.
* Whatever stands in a damaged file, reading it ends in a `DeviceFault` with a sentence for the
  technician, never in another error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.closing import kept_day_closed
from edge.entry import Head, chain, decode_entry, genesis, recovered_from
from edge.errors import DeviceFault, PeerError
from edge.sqlite import Migrations
from edge.store import create_tables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.sqlite import Database
    from edge.store import Store

READ_ROWS: Final = 1_000
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


@MIGRATIONS()
def journal_002(database: Database) -> None:
    """Anchors: up to the newest of them rows may be deleted, and behind it none is written.

    REPLACE deletes without asking a trigger, so the row that it would delete is refused before.
    """
    create_tables(
        database,
        """CREATE TABLE journal_anchors (
            epoch     INTEGER NOT NULL CHECK (epoch >= 1),
            seq       INTEGER NOT NULL CHECK (seq >= 1),
            hash      BLOB    NOT NULL CHECK (length(hash) = 32),
            statement BLOB    NOT NULL,
            PRIMARY KEY (epoch, seq)
        )""",
        """CREATE TRIGGER journal_anchors_unchanged BEFORE UPDATE ON journal_anchors
            BEGIN SELECT RAISE(ABORT, 'anchors are never changed'); END""",
        """CREATE TRIGGER journal_anchors_permanent BEFORE DELETE ON journal_anchors
            BEGIN SELECT RAISE(ABORT, 'anchors are never deleted'); END""",
        """CREATE TRIGGER journal_anchors_forward BEFORE INSERT ON journal_anchors
            WHEN EXISTS (SELECT 1 FROM journal_anchors WHERE (epoch, seq) >= (NEW.epoch, NEW.seq))
            BEGIN SELECT RAISE(ABORT, 'anchors never go back'); END""",
        # An empty journal takes any: so a recovered one begins where the old one was pruned.
        """CREATE TRIGGER journal_anchors_own BEFORE INSERT ON journal_anchors
            WHEN EXISTS (SELECT 1 FROM journal) AND NOT EXISTS (
                SELECT 1 FROM journal WHERE (epoch, seq, hash) = (NEW.epoch, NEW.seq, NEW.hash))
            BEGIN SELECT RAISE(ABORT, 'an anchor is never set on what we do not hold'); END""",
        """CREATE TRIGGER journal_new BEFORE INSERT ON journal
            WHEN EXISTS (SELECT 1 FROM journal WHERE (epoch, seq) = (NEW.epoch, NEW.seq))
              OR EXISTS (SELECT 1 FROM journal_anchors WHERE (epoch, seq) >= (NEW.epoch, NEW.seq))
            BEGIN SELECT RAISE(ABORT, 'journal rows are never replaced'); END""",
        "DROP TRIGGER journal_permanent",
        """CREATE TRIGGER journal_permanent BEFORE DELETE ON journal
            WHEN NOT EXISTS (
                SELECT 1 FROM journal_anchors WHERE (epoch, seq) >= (OLD.epoch, OLD.seq))
            BEGIN SELECT RAISE(ABORT, 'journal rows are never deleted before their day is closed');
            END""",
    )


# ------------------------------------------------------------------ reading
class JournalReader:
    """The reading half; the agent uses it on a file that the kiosk writes.

    Whatever it meets in a damaged file is a `DeviceFault`.

    Args:
        store: An open store, or reader, that holds a journal.
        device: Whose journal it is.
    """

    def __init__(self, store: Store, device: str) -> None:
        self._store = store
        self.device = device

    def head(self) -> Head:
        """Returns where the journal stands; seq 0 of epoch 1 when it never had an entry."""
        row = self._store.row(
            "SELECT epoch, seq, entry, hash FROM journal ORDER BY epoch DESC, seq DESC LIMIT 1"
        )
        if row is None:
            return self.anchor() or Head(1, 0, genesis(self.device, 1))
        place, _ = _typed(row, self._store.path)
        return place

    def anchor(self) -> Head | None:
        """Returns the last entry that was pruned under the core's word, or None.

        Raises:
            DeviceFault: What is kept of that word does not cover it.
        """
        row = self._store.row(
            "SELECT epoch, seq, statement AS entry, hash FROM journal_anchors "
            "ORDER BY epoch DESC, seq DESC LIMIT 1"
        )
        if row is None:
            return None
        place, statement = _typed(row, self._store.path)
        try:
            closed = kept_day_closed(statement)
        except PeerError:
            raise _damaged(self._store.path, place) from None
        if closed.device != self.device:
            raise _foreign(self._store.path, self.device, closed.device)
        further = (closed.at.epoch, closed.at.seq) > (place.epoch, place.seq)
        if not further and closed.at != place:
            raise _damaged(self._store.path, place)
        return place

    def hash_at(self, epoch: int, seq: int) -> bytes | None:
        """Returns the chain's value after an entry, or None when there is no such entry.

        That of the last entry that was pruned is known still; what lies before it is not.
        """
        if seq == 0:
            anchor = self.anchor()
            return None if anchor and anchor.epoch >= epoch else genesis(self.device, epoch)
        row = self._store.row(
            "SELECT epoch, seq, entry, hash FROM journal WHERE (epoch, seq) = (?, ?) UNION ALL "
            "SELECT epoch, seq, statement, hash FROM journal_anchors WHERE (epoch, seq) = (?, ?)",
            (epoch, seq, epoch, seq),
        )
        return _typed(row, self._store.path)[0].hash if row else None

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
            "SELECT epoch, seq, entry, hash FROM journal WHERE epoch = ? AND seq > ? "
            "ORDER BY seq LIMIT ?",
            (epoch, after_seq, limit_entries),
        )
        taken: list[tuple[bytes, bytes]] = []
        size = 0
        for row in rows:
            place, entry = _typed(row, self._store.path)
            size += len(entry)
            if taken and size > limit_bytes:
                break
            taken.append((entry, place.hash))
        return taken

    def find(self, epoch: int, seq: int) -> dict[str, Any] | None:
        """Returns one entry, decoded, or None."""
        row = self._store.row(
            "SELECT epoch, seq, entry, hash FROM journal WHERE (epoch, seq) = (?, ?)", (epoch, seq)
        )
        if row is None:
            return None
        place, entry = _typed(row, self._store.path)
        try:
            return decode_entry(entry)
        except PeerError:
            raise _damaged(self._store.path, place) from None

    def next_epoch(self, epoch: int) -> int | None:
        """Returns the epoch that follows one in this journal, or None."""
        row = self._store.row(
            "SELECT epoch, seq, entry, hash FROM journal WHERE epoch > ? "
            "ORDER BY epoch, seq LIMIT 1",
            (epoch,),
        )
        return _typed(row, self._store.path)[0].epoch if row else None

    def goes_on_at(self, epoch: int, seq: int) -> int | None:
        """Returns the epoch that says that an entry was lost with a damaged file, or None.

        Args:
            epoch: Of an entry that is not here.
            seq: Its number.
        """
        following = self.next_epoch(epoch)
        first = self.read(0, 1, 0, following) if following else []
        saved = recovered_from(first[0][0]) if first else None
        return following if saved and (saved.epoch, saved.seq) < (epoch, seq) else None


# ------------------------------------------------------------------ verifying
def verify_journal(store: Store, device: str) -> int:
    """Checks the file, recomputes the whole chain, and returns how many entries it has.

    Raises:
        DeviceFault: The file or an entry is damaged, an entry is missing or another device's, or
            an epoch does not follow the one before. The sentence says which, and where.
    """
    _require_whole(store)
    at = JournalReader(store, device).anchor() or Head(1, 0, genesis(device, 1))
    count, passed = 0, (0, 0)
    while True:
        rows = store.rows(
            "SELECT epoch, seq, entry, hash FROM journal WHERE (epoch, seq) > (?, ?) "
            "ORDER BY epoch, seq LIMIT ?",
            (*passed, READ_ROWS),
        )
        for row in rows:
            place, entry = _typed(row, store.path)
            _require_next(store.path, device, at, place, entry)
            at, count = place, count + 1
        if len(rows) < READ_ROWS:
            return count
        passed = (at.epoch, at.seq)


def _require_whole(store: Store) -> None:
    """Asks SQLite for pages and indices: a row that a broken index hides would not be missed."""
    found = store.row("PRAGMA integrity_check(1)")
    if found != {"integrity_check": "ok"}:
        raise DeviceFault(
            f"The file {store.path} is damaged. Stop using this device, keep the file and call the "
            "bank; its technician can recover what is legible.",
            "journal-damaged",
        )


def _require_next(path: Path, device: str, at: Head, place: Head, entry: bytes) -> None:
    """Refuses an entry that does not follow what stands at `at`, and says what is wrong with it."""
    saved = at if place.epoch == at.epoch else recovered_from(entry)
    before = at.hash if place.epoch == at.epoch else genesis(device, place.epoch)
    seq = at.seq + 1 if place.epoch == at.epoch else 1
    if saved == at and place.seq == seq and chain(before, entry) == place.hash:
        return
    owner = _owner_of(place, entry)
    if owner not in {"", device}:
        raise _foreign(path, device, owner)
    if saved != at:
        raise DeviceFault(
            f"The journal {path} goes on with epoch {place.epoch}, which does not follow entry "
            f"{at.epoch}/{at.seq}. Stop using this device, keep the file and call the bank.",
            "journal-epoch",
        )
    raise _damaged(path, Head(place.epoch, seq, place.hash))


def _owner_of(first: Head, entry: bytes) -> str:
    """Returns whose epoch an entry begins, or nothing: one that was changed begins nobody's."""
    try:
        owner = str(decode_entry(entry)["device"])
    except PeerError:
        return ""
    return owner if chain(genesis(owner, first.epoch), entry) == first.hash else ""


def _typed(row: Mapping[str, Any], path: Path) -> tuple[Head, bytes]:
    """Reads a row; SQLite keeps any type in any column, and a damaged file has what it has."""
    # By place, as the names are the file's own.
    epoch, seq, entry, link = row.values()
    if not (isinstance(epoch, int) and isinstance(seq, int)):
        raise _damaged(path, Head(0, 0, b""))
    if not (isinstance(entry, bytes) and isinstance(link, bytes)):
        raise _damaged(path, Head(epoch, seq, b""))
    return Head(epoch, seq, link), entry


def _damaged(path: Path, at: Head) -> DeviceFault:
    return DeviceFault(
        f"The journal {path} is damaged at entry {at.epoch}/{at.seq}. Stop using this device, keep "
        "the file and call the bank; its technician can recover what is legible.",
        "journal-damaged",
    )


def _foreign(path: Path, device: str, owner: str) -> DeviceFault:
    return DeviceFault(
        f"The journal {path} belongs to device {owner}, not to {device}. Put the right disk back, "
        "or provision this device again.",
        "journal-foreign",
    )
