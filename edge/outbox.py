"""The outbox: sealed messages that wait until the core has signed for them.

Place in the flow: epochs → **outbox** → publisher → broker → core, and the signed answer back.

Theory of operation. Every message stands in the hash chain of its epoch and keeps the chain's
value beside it. The core's acknowledgement says "stored through seq n, chain head h": only when h
is our own value at n are the messages up to n deleted. So a broker, or anybody on the way, may
lose, repeat, reorder or invent; nothing is deleted that the core does not have.

    put         inside the caller's transaction; drops what is too old, then makes room
    due         what is to be sent, in order: an epoch's start before its batches
    settle      a signed `stored` of the core; deletes, counts
    set_aside   a signed `refused` of the core; the message goes out of the way, counted
    room        lowest priority first, oldest first
    age         batches that have waited too long, in time of use (usage), never by the wall clock

Of what is given up the chain value stays behind, and a signed gap tells the core (gaps).

* Only sealed or signed bytes are ever stored here: nobody on the box can read them.
* An epoch's start is never given up: no batch of it could be opened without. An epoch whose start
  the core refuses is held back, so that the others go on, and is tried again now and then.
* Evidence does not age; it makes room for other evidence alone.
* Nothing is lost silently: what was put is settled, waits, was dropped or was set aside, and the
  last two are counted by priority and travel as gaps.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.aside import BYTES_MAX as ASIDE_BYTES_MAX
from edge.aside import Aside, Poison
from edge.errors import DeviceFault, PeerError
from edge.gaps import AGE, REFUSED, ROOM, Dropped, Gap, GapBook
from edge.held import HeldEpochs
from edge.sqlite import Migrations
from edge.store import create_tables
from edge.tally import Tally
from edge.usage import UsageClock
from edge.verdicts import Ear, read_refusal, read_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.ports import Instant
    from edge.sqlite import Database
    from edge.store import Store
    from edge.verdicts import Refusal, Verify

DAY_US: Final = 86_400_000_000
AGED_PER_PUT_MAX: Final = 256
PRIORITY_RAW: Final = 0
PRIORITY_TRIP: Final = 1
PRIORITY_EVENT: Final = 2
PRIORITY_EVIDENCE: Final = 3
PRIORITY_START: Final = 4
MIGRATIONS = Migrations("outbox")


@MIGRATIONS()
def outbox_001(database: Database) -> None:
    """Epochs with their counts, messages, gaps, and what was counted."""
    create_tables(
        database,
        """CREATE TABLE outbox_epochs (
            epoch  INTEGER PRIMARY KEY CHECK (epoch >= 1),
            count  INTEGER NOT NULL DEFAULT 0,
            head   BLOB    NOT NULL CHECK (length(head) = 32),
            closed INTEGER NOT NULL DEFAULT 0
        )""",
        """CREATE TABLE outbox_messages (
            epoch    INTEGER NOT NULL REFERENCES outbox_epochs,
            seq      INTEGER NOT NULL CHECK (seq >= 0),
            priority INTEGER NOT NULL,
            message  BLOB,
            head     BLOB    NOT NULL CHECK (length(head) = 32),
            PRIMARY KEY (epoch, seq)
        )""",
        """CREATE INDEX outbox_droppable ON outbox_messages (priority, epoch, seq)
            WHERE message IS NOT NULL""",
        """CREATE TABLE outbox_gaps (
            epoch   INTEGER NOT NULL,
            first   INTEGER NOT NULL,
            last    INTEGER NOT NULL,
            message BLOB    NOT NULL,
            PRIMARY KEY (epoch, first)
        )""",
        "CREATE TABLE outbox_counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    )


@MIGRATIONS()
def outbox_002(database: Database) -> None:
    """Age in time of use, epochs held back, what gaps tell, and messages set aside.

    The clock of use begins here, at 0; so that is the age of what waits already.
    """
    create_tables(
        database,
        """CREATE TABLE outbox_clock (
            id           INTEGER PRIMARY KEY CHECK (id = 1),
            boot_id      TEXT    NOT NULL,
            monotonic_us INTEGER NOT NULL,
            used_us      INTEGER NOT NULL
        )""",
        "ALTER TABLE outbox_messages ADD COLUMN used_us INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE outbox_epochs ADD COLUMN refused TEXT",
        "ALTER TABLE outbox_epochs ADD COLUMN held INTEGER",
        "ALTER TABLE outbox_gaps ADD COLUMN lost BLOB NOT NULL DEFAULT X'A0'",
        "ALTER TABLE outbox_gaps ADD COLUMN reason TEXT NOT NULL DEFAULT 'room'",
        """CREATE TABLE outbox_aside (
            id       INTEGER PRIMARY KEY AUTOINCREMENT,
            epoch    INTEGER NOT NULL,
            seq      INTEGER NOT NULL,
            priority INTEGER NOT NULL,
            code     TEXT    NOT NULL,
            message  BLOB    NOT NULL
        )""",
    )


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """How much may wait.

    Attributes:
        bytes_max: Of messages.
        messages_max: Their number.
        age_us_max: Of batches, in time of use.
        aside_bytes_max: Of messages that the core refused.
    """

    bytes_max: int = 256 * 1024 * 1024
    messages_max: int = 200_000
    age_us_max: int = 90 * DAY_US
    aside_bytes_max: int = ASIDE_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Message:
    """A message to be sent. A gap carries the seq of its last lost message."""

    epoch: int
    seq: int
    payload: bytes


class Outbox:
    """The messages of one device in one store.

    Args:
        store: Opened with `MIGRATIONS`.
        device: Whose messages they are.
        limits: How much may wait.

    Attributes:
        held: The epochs whose start the core refuses.
    """

    def __init__(self, store: Store, device: str, limits: OutboxLimits | None = None) -> None:
        self._store = store
        self.device = device
        self._limits = limits or OutboxLimits()
        self._tally = Tally(store)
        self._usage = UsageClock(store)
        self._gaps = GapBook(store)
        self._aside = Aside(store, self._limits.aside_bytes_max)
        self.held = HeldEpochs(store)

    # ------------------------------------------------------------ putting
    def put(self, message: Message, priority: int, head: bytes, now: Instant) -> list[Dropped]:
        """Keeps a message; call inside the transaction that made it.

        Args:
            message: Sealed or signed bytes with their place.
            priority: One of the `PRIORITY_` constants.
            head: The chain's value after it.
            now: The present; only its monotonic time counts.

        Returns:
            What was dropped: messages that were too old or made room, or the message itself where
            only more important ones wait.

        Raises:
            DeviceFault: There is no room for evidence, or the disk is full.
        """
        self._tally.measure()
        used_us = self._usage.tick(now)
        dropped = self._drop_aged(used_us - self._limits.age_us_max)
        room = self._make_room(len(message.payload), priority, dropped)
        kept = message.payload if room else None
        self._store.execute(
            "INSERT INTO outbox_messages (epoch, seq, priority, message, head, used_us) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (message.epoch, message.seq, priority, kept, head, used_us),
        )
        if room:
            self._tally.move(len(message.payload), 1)
            return dropped
        self._tally.add(f"dropped_{priority}", 1)
        return [*dropped, Dropped(message.epoch, message.seq, priority, ROOM, head)]

    def keep_gaps(self, dropped: Sequence[Dropped], sign: Callable[[Gap], bytes]) -> None:
        """Keeps signed gaps for what was given up; call in the transaction that gave it up."""
        self._gaps.keep(dropped, sign)

    # ------------------------------------------------------------ sending
    def due(self, limit: int, after: tuple[int, int] = (0, -1)) -> list[Message]:
        """Returns messages that wait, in order of (epoch, seq), but those of epochs held back.

        Args:
            limit: At most so many.
            after: The (epoch, seq) to begin behind; for what is already on its way.
        """
        rows = self._store.rows(
            "WITH held AS (SELECT epoch FROM outbox_epochs WHERE held IS NOT NULL) "
            "SELECT epoch, seq, message FROM outbox_messages "
            "WHERE message IS NOT NULL AND (epoch, seq) > (?, ?) AND epoch NOT IN held "
            "UNION ALL SELECT epoch, last, message FROM outbox_gaps "
            "WHERE (epoch, last) > (?, ?) AND epoch NOT IN held "
            "ORDER BY epoch, seq LIMIT ?",
            (*after, *after, limit),
        )
        return [Message(row["epoch"], row["seq"], bytes(row["message"])) for row in rows]

    def settle(self, acknowledgement: bytes, verify: Verify, topic: str) -> int:
        """Deletes what the core has signed for.

        Args:
            acknowledgement: Hostile bytes.
            verify: Checks against the core's signing key.
            topic: The down topic they arrived on.

        Returns:
            How many messages were settled now; 0 for one that was settled before.

        Raises:
            PeerError: Not signed by the core for this device, or its chain is not ours: nothing
                was deleted.
        """
        stored = read_stored(acknowledgement, Ear(verify, topic, self.device))
        with self._store.transaction():
            row = self._row(stored.epoch, stored.seq)
            if row is None:
                self._refuse_future(stored.epoch, stored.seq)
                return 0
            if bytes(row["head"]) != stored.head:
                raise PeerError(
                    "The core acknowledges a chain that is not ours; nothing is deleted.",
                    "outbox-head",
                )
            self.held.believe(stored.epoch)
            return self._delete(stored.epoch, stored.seq)

    def set_aside(self, refusal: bytes, verify: Verify, topic: str) -> Dropped | None:
        """Takes a message out of the queue that the core has signed it can never take.

        The start of an epoch stays, and the whole epoch is held back: without it nothing of the
        epoch can be opened.

        Args:
            refusal: Hostile bytes.
            verify: Checks against the core's signing key.
            topic: The down topic they arrived on.

        Returns:
            What is to be told as a gap (`seq` 0: an epoch is held back, and nothing is to be
            told), or None where no such message waits any more. Call in a transaction with it.

        Raises:
            PeerError: Not signed by the core for this device, or about bytes that are not ours:
                nothing has changed.
        """
        refused = read_refusal(refusal, Ear(verify, topic, self.device))
        with self._store.transaction():
            row = self._row(refused.epoch, refused.seq)
            if row is None or row["message"] is None:
                return None
            if hashlib.sha256(row["message"]).digest() != refused.sha256:
                raise PeerError(
                    "The core refuses a message of this number that is not ours.", "outbox-refusal"
                )
            if row["priority"] == PRIORITY_START:
                self.held.hold(refused.epoch, refused.code)
            else:
                self._move_aside(refused, row)
        return Dropped(refused.epoch, refused.seq, row["priority"], REFUSED, bytes(row["head"]))

    # ------------------------------------------------------------ looking
    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        row = self._store.row(
            "SELECT EXISTS (SELECT 1 FROM outbox_messages WHERE message IS NOT NULL) "
            "OR EXISTS (SELECT 1 FROM outbox_gaps) AS some"
        )
        return not (row and row["some"])

    def holds(self, priority: int) -> bool:
        """Says whether a message of this priority waits."""
        row = self._store.row(
            "SELECT EXISTS (SELECT 1 FROM outbox_messages WHERE message IS NOT NULL "
            "AND priority = ?) AS some",
            (priority,),
        )
        return bool(row and row["some"])

    def counts(self) -> dict[str, int]:
        """Counts messages.

        Returns:
            `waiting` and `bytes` are the present; `settled`, `dropped` (by priority `dropped_0` ..
            `dropped_3`; of these `aged`) and `aside` (`aside_0` .. `aside_3`) are totals of this
            outbox, and all of them together are what was ever put.
        """
        self._tally.measure()
        totals = self._tally.totals()
        sums = {
            kind: sum(value for name, value in totals.items() if name.startswith(f"{kind}_"))
            for kind in ("dropped", "aside")
        }
        found = {"waiting": self._tally.messages, "bytes": 0, "settled": 0, "aged": 0}
        return {**found, **sums, **totals}

    def kept_aside(self) -> list[dict[str, Any]]:
        """Returns epoch, seq, priority, code and message of each set aside, oldest first."""
        return self._aside.kept()

    # ------------------------------------------------------------ giving up
    def _row(self, epoch: int, seq: int) -> dict[str, Any] | None:
        return self._store.row(
            "SELECT epoch, seq, priority, message, head, length(message) AS size "
            "FROM outbox_messages WHERE epoch = ? AND seq = ?",
            (epoch, seq),
        )

    def _drop_aged(self, before_us: int) -> list[Dropped]:
        """Drops batches that were put before this time of use, so many at a time."""
        dropped: list[Dropped] = []
        for priority in range(PRIORITY_EVIDENCE):
            while len(dropped) < AGED_PER_PUT_MAX:
                row = self._oldest(priority)
                if row is None or row["used_us"] > before_us:
                    break
                dropped.append(self._drop(row, AGE))
                self._tally.add("aged", 1)
        return dropped

    def _make_room(self, size: int, priority: int, dropped: list[Dropped]) -> bool:
        """Adds to what was dropped, and says whether there is room now."""
        hopeless = size > self._limits.bytes_max  # nothing need be dropped for it in vain
        while (
            self._tally.bytes + size > self._limits.bytes_max
            or self._tally.messages + 1 > self._limits.messages_max
        ):
            row = None if hopeless else self._droppable(priority)
            if row is None and priority < PRIORITY_EVIDENCE:
                return False
            if row is None:
                raise DeviceFault(
                    "The outbox is full and holds nothing that may be dropped. Bring this device "
                    "to where there is signal.",
                    "outbox-full",
                )
            dropped.append(self._drop(row, ROOM))
        return True

    def _droppable(self, priority: int) -> dict[str, Any] | None:
        """Returns the least important and oldest message that may go for one of `priority`."""
        for lower in range(min(priority, PRIORITY_EVIDENCE) + 1):
            row = self._oldest(lower)
            if row is not None:
                return row
        return None

    def _oldest(self, priority: int) -> dict[str, Any] | None:
        return self._store.row(
            "SELECT epoch, seq, priority, head, used_us, length(message) AS size "
            "FROM outbox_messages WHERE message IS NOT NULL AND priority = ? "
            "ORDER BY epoch, seq LIMIT 1",
            (priority,),
        )

    def _drop(self, row: dict[str, Any], reason: str) -> Dropped:
        self._empty(row)
        self._tally.add(f"dropped_{row['priority']}", 1)
        return Dropped(row["epoch"], row["seq"], row["priority"], reason, bytes(row["head"]))

    def _move_aside(self, refused: Refusal, row: dict[str, Any]) -> None:
        self._empty(row)
        self._tally.add(f"aside_{row['priority']}", 1)
        message = bytes(row["message"])
        self._aside.put(Poison(refused.epoch, refused.seq, row["priority"], message, refused.code))

    def _empty(self, row: dict[str, Any]) -> None:
        """Lets go of a message; its place in the chain stays."""
        self._store.execute(
            "UPDATE outbox_messages SET message = NULL WHERE epoch = ? AND seq = ?",
            (row["epoch"], row["seq"]),
        )
        self._tally.move(-row["size"], -1)

    # ------------------------------------------------------------ settling
    def _refuse_future(self, epoch: int, seq: int) -> None:
        row = self._store.row("SELECT count FROM outbox_epochs WHERE epoch = ?", (epoch,))
        last = self._store.row("SELECT max(epoch) AS epoch FROM outbox_epochs")
        newest = (last and last["epoch"]) or 0
        if epoch > newest or (row is not None and seq > row["count"]):
            raise PeerError("The core acknowledges what was never sent.", "outbox-future")

    def _delete(self, epoch: int, seq: int) -> int:
        row = self._store.row(
            "SELECT count(message) AS kept, coalesce(sum(length(message)), 0) AS size "
            "FROM outbox_messages WHERE epoch = ? AND seq <= ?",
            (epoch, seq),
        )
        assert row is not None
        self._store.execute(
            "DELETE FROM outbox_messages WHERE epoch = ? AND seq <= ?", (epoch, seq)
        )
        self._store.execute("DELETE FROM outbox_gaps WHERE epoch = ? AND last <= ?", (epoch, seq))
        self._store.execute(
            "DELETE FROM outbox_epochs WHERE closed = 1 "
            "AND epoch < (SELECT max(epoch) FROM outbox_epochs) "
            "AND NOT EXISTS (SELECT 1 FROM outbox_messages m WHERE m.epoch = outbox_epochs.epoch)"
        )
        self._tally.move(-row["size"], -row["kept"])
        self._tally.add("settled", row["kept"])
        return int(row["kept"])
