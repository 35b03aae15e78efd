"""The outbox: sealed messages that wait until the core has signed for them.

Place in the flow: epochs → **outbox** → publisher → broker → core, and the signed answer back.

Theory of operation. Every message stands in the hash chain of its epoch and keeps the chain's
value beside it. The core's acknowledgement says "stored through seq n, chain head h": only when h
is our own value at n are the messages up to n deleted. So a broker, or anybody on the way, may
lose, repeat, reorder or invent; nothing is deleted that the core does not have.

    put       inside the caller's transaction; makes room first
    due       what is to be sent, in order: an epoch's start before its batches
    settle    a signed `stored` of the core; deletes, counts
    room      lowest priority first, oldest first; what is dropped leaves its chain value behind,
              and a signed gap tells the core (epochs)

* Only sealed or signed bytes are ever stored here: nobody on the box can read them.
* An epoch's start is never dropped: no batch of it could be opened without.
* Nothing is lost silently: what was dropped is counted by priority, and travels as a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.errors import DeviceFault, PeerError
from edge.keys import open_evidence
from edge.sqlite import Migrations
from edge.store import create_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.sqlite import Database
    from edge.store import Store

CORE: Final = "core"
STORED: Final = "stored"
HEAD_BYTES: Final = 32
NUMBER_MAX: Final = (1 << 63) - 1
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


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """How much may wait.

    Attributes:
        bytes_max: Of messages.
        messages_max: Their number.
    """

    bytes_max: int = 256 * 1024 * 1024
    messages_max: int = 200_000


@dataclass(frozen=True, slots=True)
class Message:
    """A message to be sent. A gap carries the seq of its last lost message."""

    epoch: int
    seq: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Dropped:
    """A message that had to make room; `head` is the chain's value after it."""

    epoch: int
    seq: int
    head: bytes


class Outbox:
    """The messages of one device in one store.

    Args:
        store: Opened with `MIGRATIONS`.
        device: Whose messages they are.
        limits: How much may wait.
    """

    def __init__(self, store: Store, device: str, limits: OutboxLimits | None = None) -> None:
        self._store = store
        self.device = device
        self._limits = limits or OutboxLimits()
        self._bytes, self._messages = self._measure()

    # ------------------------------------------------------------ putting
    def put(self, message: Message, priority: int, head: bytes) -> list[Dropped]:
        """Keeps a message; call inside the transaction that made it.

        Args:
            message: Sealed or signed bytes with their place.
            priority: One of the `PRIORITY_` constants.
            head: The chain's value after it.

        Returns:
            What was dropped: older messages that made room, or the message itself where only
            more important ones wait.

        Raises:
            DeviceFault: There is no room for evidence, or the disk is full.
        """
        # Another transaction of ours may have been rolled back since: measured anew, never trusted.
        self._bytes, self._messages = self._measure()
        dropped, room = self._make_room(len(message.payload), priority)
        self._store.execute(
            "INSERT INTO outbox_messages (epoch, seq, priority, message, head) "
            "VALUES (?, ?, ?, ?, ?)",
            (message.epoch, message.seq, priority, message.payload if room else None, head),
        )
        if not room:
            self._count(f"dropped_{priority}", 1)
            return [*dropped, Dropped(message.epoch, message.seq, head)]
        self._count_size(len(message.payload), 1)
        return dropped

    def keep_gap(self, gap: Message, first: int) -> None:
        """Keeps a signed gap; one that it extends is replaced.

        Of the lost messages only the last leaves its chain value behind: the core acknowledges the
        gap as a whole, and a device that is away for a year must not keep a row for each loss.
        """
        self._store.execute(
            "INSERT INTO outbox_gaps (epoch, first, last, message) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (epoch, first) DO UPDATE "
            "SET last = excluded.last, message = excluded.message",
            (gap.epoch, first, gap.seq, gap.payload),
        )
        self._store.execute(
            "DELETE FROM outbox_messages "
            "WHERE epoch = ? AND seq >= ? AND seq < ? AND message IS NULL",
            (gap.epoch, first, gap.seq),
        )

    def gap_before(self, epoch: int, seq: int) -> int | None:
        """Returns where the gap begins that ends just before `seq`, or None."""
        row = self._store.row(
            "SELECT first FROM outbox_gaps WHERE epoch = ? AND last = ?", (epoch, seq - 1)
        )
        return int(row["first"]) if row else None

    # ------------------------------------------------------------ sending
    def due(self, limit: int, after: tuple[int, int] = (0, -1)) -> list[Message]:
        """Returns messages that wait, in order of (epoch, seq).

        Args:
            limit: At most so many.
            after: The (epoch, seq) to begin behind; for what is already on its way.
        """
        rows = self._store.rows(
            "SELECT epoch, seq, message FROM outbox_messages "
            "WHERE message IS NOT NULL AND (epoch, seq) > (?, ?) "
            "UNION ALL SELECT epoch, last, message FROM outbox_gaps WHERE (epoch, last) > (?, ?) "
            "ORDER BY epoch, seq LIMIT ?",
            (*after, *after, limit),
        )
        return [Message(row["epoch"], row["seq"], bytes(row["message"])) for row in rows]

    def settle(
        self, acknowledgement: bytes, verify: Callable[[bytes, bytes], None], topic: str
    ) -> int:
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
        epoch, seq, head = self._read_stored(open_evidence(acknowledgement, verify, topic, CORE))
        with self._store.transaction():
            row = self._store.row(
                "SELECT head FROM outbox_messages WHERE epoch = ? AND seq = ?", (epoch, seq)
            )
            if row is None:
                self._refuse_future(epoch, seq)
                return 0
            if bytes(row["head"]) != head:
                raise PeerError(
                    "The core acknowledges a chain that is not ours; nothing is deleted.",
                    "outbox-head",
                )
            return self._delete(epoch, seq)

    # ------------------------------------------------------------ looking
    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        row = self._store.row(
            "SELECT EXISTS (SELECT 1 FROM outbox_messages WHERE message IS NOT NULL) "
            "OR EXISTS (SELECT 1 FROM outbox_gaps) AS some"
        )
        return not (row and row["some"])

    def counts(self) -> dict[str, int]:
        """Returns `waiting`, `bytes`, `settled`, `dropped` and `dropped_0` .. `dropped_3`."""
        size, waiting = self._measure()
        rows = self._store.rows("SELECT name, value FROM outbox_counts")
        counted = {row["name"]: int(row["value"]) for row in rows}
        dropped = sum(value for name, value in counted.items() if name.startswith("dropped_"))
        found = {"waiting": waiting, "bytes": size, "settled": 0, "dropped": dropped}
        return {**found, **counted}

    # ------------------------------------------------------------ inside
    def _measure(self) -> tuple[int, int]:
        row = self._store.row(
            "SELECT value, (SELECT value FROM outbox_counts WHERE name = 'messages') AS messages "
            "FROM outbox_counts WHERE name = 'bytes'"
        )
        return (int(row["value"]), int(row["messages"])) if row else (0, 0)

    def _count_size(self, size: int, messages: int) -> None:
        self._bytes += size
        self._messages += messages
        self._count("bytes", size)
        self._count("messages", messages)

    def _count(self, name: str, by: int) -> None:
        self._store.execute(
            "INSERT INTO outbox_counts (name, value) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (name, by),
        )

    def _make_room(self, size: int, priority: int) -> tuple[list[Dropped], bool]:
        """Returns what was dropped, and whether there is room now."""
        dropped: list[Dropped] = []
        hopeless = size > self._limits.bytes_max  # nothing need be dropped for it in vain
        while (
            self._bytes + size > self._limits.bytes_max
            or self._messages + 1 > self._limits.messages_max
        ):
            row = None if hopeless else self._droppable(priority)
            if row is None and priority < PRIORITY_EVIDENCE:
                return dropped, False
            if row is None:
                raise DeviceFault(
                    "The outbox is full and holds nothing that may be dropped. Bring this device "
                    "to where there is signal.",
                    "outbox-full",
                )
            dropped.append(self._drop(row))
        return dropped, True

    def _droppable(self, priority: int) -> dict[str, Any] | None:
        """Returns the least important and oldest message that may go for one of `priority`."""
        return self._store.row(
            "SELECT epoch, seq, priority, head, length(message) AS size FROM outbox_messages "
            "WHERE message IS NOT NULL AND priority <= ? AND priority < ? "
            "ORDER BY priority, epoch, seq LIMIT 1",
            (priority, PRIORITY_START),
        )

    def _drop(self, row: dict[str, Any]) -> Dropped:
        self._store.execute(
            "UPDATE outbox_messages SET message = NULL WHERE epoch = ? AND seq = ?",
            (row["epoch"], row["seq"]),
        )
        self._count(f"dropped_{row['priority']}", 1)
        self._count_size(-row["size"], -1)
        return Dropped(row["epoch"], row["seq"], bytes(row["head"]))

    def _read_stored(self, record: dict[Any, Any]) -> tuple[int, int, bytes]:
        epoch, seq, head = record.get("epoch"), record.get("seq"), record.get("head")
        numbers = all(
            isinstance(each, int) and not isinstance(each, bool) and 0 <= each <= NUMBER_MAX
            for each in (epoch, seq)
        )
        if record.get("type") != STORED or record.get("device") != self.device or not numbers:
            raise PeerError("The message acknowledges nothing of this device.", "outbox-answer")
        if not isinstance(head, bytes) or len(head) != HEAD_BYTES:
            raise PeerError("An acknowledgement names a chain head of 32 bytes.", "outbox-answer")
        assert isinstance(epoch, int)
        assert isinstance(seq, int)
        return epoch, seq, head

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
        self._count_size(-row["size"], -row["kept"])
        self._count("settled", row["kept"])
        return int(row["kept"])
