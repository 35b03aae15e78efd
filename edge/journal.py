"""The kiosk's journal: hash-chained, gapless, and the only thing a user's action writes.

Place in the flow: teller → **journal** → agent → core; custody and store below, nothing above.

    open     verify the file and the whole chain; compare the counter; else nothing is written
    append   entry n + 1, with the state that changes with it, in one transaction
    prune    under the core's DAY-CLOSED alone: an anchor is written, then what it covers goes

* seq has no gaps: an entry and the state that it changes are one transaction, or neither is.
* The file and the chain are verified at opening; a journal that is not whole is not written to.
* A field that is not in the data catalogue is refused before it is written.
* With a counter: one entry a transaction. A counter that is two ahead tells of an old copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import check_body
from edge.closing import open_day_closed
from edge.codec import encode
from edge.custody import MIGRATIONS, JournalReader, verify_journal
from edge.entry import (
    CLASSES,
    ENTRY_BYTES_MAX,
    NUMBER_MAX,
    RECOVERED,
    Head,
    chain,
    decode_entry,
    genesis,
    op_id,
)
from edge.errors import DeviceFault, LocalError, PeerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.ports import Clock, Counter
    from edge.store import Store

__all__ = [
    "CLASSES", "ENTRY_BYTES_MAX", "MIGRATIONS", "Entry", "Head", "Journal", "JournalReader",
    "Recovery", "chain", "decode_entry", "genesis", "op_id", "verify_journal",
]  # fmt: skip

KEEP_ENTRIES_MIN: Final = 1
"""The last entry stays, whatever is pruned: the counter is compared with it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that was appended."""

    op_id: str
    epoch: int
    seq: int
    hash: bytes
    wall_us: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a technician begins a new epoch with, over what was saved of a damaged journal.

    Attributes:
        epoch: The new one, higher than any that was ever used.
        reason: Code of what was wrong with the old file.
    """

    epoch: int
    reason: str


class Journal(JournalReader):
    """The writing half. Append inside `store.transaction()`, with the state that changes with it.

    Args:
        store: Opened with `MIGRATIONS`.
        device: Whose journal it is.
        clock: Stamps entries.
        counter: Rollback witness, or None where the device has none.
        policy: Version of the policy that entries are made under.
        recovery: A technician begins a new epoch over what was saved of a damaged journal: its
            first entry says so, and the counter may be far ahead.

    Raises:
        DeviceFault: The chain does not verify: the file is damaged or an old copy.
        LocalError: The epoch of a recovery does not lie after what was saved.
    """

    def __init__(
        self,
        store: Store,
        device: str,
        clock: Clock,
        counter: Counter | None = None,
        policy: int = 0,
        recovery: Recovery | None = None,
    ) -> None:
        super().__init__(store, device)
        self._clock = clock
        self._counter = counter
        self._policy = policy
        self._written = (0, 0, 0)
        verify_journal(store, device)
        if recovery is None:
            self._refuse_rollback()
        else:
            self._begin_again(recovery)

    def append(self, entry_class: str, kind: str, body: Mapping[str, Any]) -> Entry:
        """Writes the next entry.

        Args:
            entry_class: `FACT` or `REQUEST`.
            kind: In the data catalogue.
            body: Its fields, all in the data catalogue.

        Raises:
            LocalError: The class, kind or a field is not allowed, the entry is too long, or with
                a counter it is the second of its transaction.
            DeviceFault: The disk is full or failing; nothing was written.
        """
        if entry_class not in CLASSES:
            raise LocalError(f"An entry is a FACT or a REQUEST, not {entry_class}.", "entry-class")
        before = self.head()
        self._refuse_second(before)
        return self._write(before, entry_class, kind, body)

    def prune(
        self, statement: bytes, verify: Callable[[bytes, bytes], None], keep_entries: int = 0
    ) -> int:
        """Forgets the entries of a closed day and of all before it.

        Their pages are overwritten, and used again for the entries to come; the file does not
        shrink, as that would need as much room again and rewrite what need not be touched.

        Args:
            statement: What the core signed (`edge.closing`), hostile bytes.
            verify: Checks signatures of the core.
            keep_entries: So many of the entries that it covers stay all the same, at least one.

        Returns:
            How many entries were deleted; 0 when the day was pruned before.

        Raises:
            PeerError: Not the core's word for this device, or for a chain that is not ours.
            DeviceFault: The disk is full or failing; nothing was changed.
        """
        at = open_day_closed(statement, verify, self.device).at
        # Zeroes what is deleted: a closed day holds people's names for money they drew.
        self._store.row("PRAGMA secure_delete = ON")
        with self._store.transaction():
            anchor = self.anchor()
            if anchor is not None and (at.epoch, at.seq) <= (anchor.epoch, anchor.seq):
                return 0
            if self.hash_at(at.epoch, at.seq) != at.hash:
                raise PeerError(
                    "The day was closed over entries that this journal does not have; nothing is "
                    "forgotten. Call the bank.",
                    "day-closed-head",
                )
            return self._forget(at, statement, max(keep_entries, KEEP_ENTRIES_MIN))

    def _forget(self, at: Head, statement: bytes, keep_entries: int) -> int:
        last = self._store.row(
            "SELECT epoch, seq, hash FROM journal WHERE (epoch, seq) <= (?, ?) "
            "ORDER BY epoch DESC, seq DESC LIMIT 1 OFFSET ?",
            (at.epoch, at.seq, keep_entries),
        )
        if last is None:
            return 0
        self._store.execute(
            "INSERT INTO journal_anchors (epoch, seq, hash, statement) VALUES (?, ?, ?, ?)",
            (last["epoch"], last["seq"], last["hash"], statement),
        )
        return self._store.execute(
            "DELETE FROM journal WHERE (epoch, seq) <= (?, ?)", (last["epoch"], last["seq"])
        )

    def _begin_again(self, recovery: Recovery) -> None:
        saved = self.head()
        if not saved.epoch < recovery.epoch <= NUMBER_MAX:
            raise LocalError(
                f"Give an epoch higher than {saved.epoch}, which this journal has used.",
                "journal-epoch",
            )
        body = {"epoch": saved.epoch, "seq": saved.seq, "hash": saved.hash}
        before = Head(recovery.epoch, 0, genesis(self.device, recovery.epoch))
        self._write(before, "FACT", RECOVERED, {**body, "reason": recovery.reason})

    def _write(self, before: Head, entry_class: str, kind: str, body: Mapping[str, Any]) -> Entry:
        check_body(kind, body)
        now, count, seq = self._clock.now(), self._next_count(before), before.seq + 1
        record = {
            "device": self.device, "epoch": before.epoch, "seq": seq, "class": entry_class,
            "kind": kind, "body": dict(body), "wall_us": now.wall_us, "boot": now.boot_id,
            "mono_us": now.monotonic_us, "counter": count, "policy": self._policy,
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
            (before.epoch, seq, entry, link),
        )
        self._written = (self._store.transaction_number, before.epoch, seq)
        return Entry(op_id(self.device, before.epoch, seq), before.epoch, seq, link, now.wall_us)

    def _next_count(self, head: Head) -> int:
        """One more than the entry before says, so that what was rolled back is counted once."""
        if self._counter is None:
            return 0
        last = self.find(head.epoch, head.seq)
        counted = last["counter"] if last else 0
        return 1 + int(counted or self._counter.read())

    def _refuse_second(self, head: Head) -> None:
        """With a counter: a transaction that held two would look like an old copy if it failed."""
        number = self._store.transaction_number
        if self._counter and number and self._written == (number, head.epoch, head.seq):
            raise LocalError(
                "With a counter one transaction holds one entry; end it before the next.",
                "entry-second",
            )

    def _refuse_rollback(self) -> None:
        head = self.head()
        last = self.find(head.epoch, head.seq) if self._counter else None
        counted = last["counter"] if last else 0
        # An entry from before there was a counter says nothing of where a new one must stand.
        if self._counter and counted and self._counter.read() > counted + 1:
            raise DeviceFault(
                f"{self._store.path} is an old copy: the counter of this device is ahead of it. "
                "Stop using it and call the bank.",
                "journal-rollback",
            )
