"""What terminals said and the door has acknowledged, until it is sealed; and their codes.

Place in the flow: jtt808_session → **door_journal** (durable) → acknowledged; door_lane, sealed.

* One transaction takes what all terminals have said since the last: a disk that can sync a hundred
  times a second serves thousands of terminals.
* A report that comes again is known by a keyed hash of its bytes, for the last `SEEN_MAX` of its
  terminal: a terminal repeats what it saw no answer to, in a batch or alone.
* Reports lie here sealed under the door's own key, codes and terminal numbers as hashes.
* A terminal that registers again must be the one that registered first: the phone alone is known
  to many.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.codec import decode, encode
from edge.sqlite import Migrations
from edge.store import create_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edge.keys import LocalSecret
    from edge.ports import Randomness
    from edge.sqlite import Database
    from edge.store import Store
    from vehicle_gateway.jtt808_messages import Registration

SEALED_FOR: Final = "door journal"
CODE_BYTES: Final = 10
DIGEST_BYTES: Final = 12
SEEN_MAX: Final = 2_048
MIGRATIONS = Migrations("gateway_door")


@MIGRATIONS()
def gateway_door_001(database: Database) -> None:
    """Reports that wait, what was seen of late, and the codes of terminals."""
    create_tables(
        database,
        """CREATE TABLE door_reports (
            row      INTEGER PRIMARY KEY AUTOINCREMENT,
            terminal TEXT    NOT NULL,
            sealed   BLOB    NOT NULL
        )""",
        "CREATE INDEX door_reports_by_terminal ON door_reports (terminal, row)",
        """CREATE TABLE door_seen (
            terminal TEXT    NOT NULL,
            digest   BLOB    NOT NULL,
            row      INTEGER NOT NULL,
            PRIMARY KEY (terminal, digest)
        ) WITHOUT ROWID""",
        "CREATE INDEX door_seen_by_row ON door_seen (terminal, row)",
        """CREATE TABLE door_codes (
            terminal TEXT PRIMARY KEY,
            code     BLOB NOT NULL,
            maker    BLOB NOT NULL
        )""",
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to keep.

    Attributes:
        terminal: Device id.
        time_us: When it was true.
        body: Location report or token of a card.
    """

    terminal: str
    time_us: int
    body: bytes
    is_card: bool = False


class Journal:
    """Keeps what was acknowledged.

    Args:
        store: Opened with `MIGRATIONS`; the door alone writes it.
        secret: The door's own.
    """

    def __init__(self, store: Store, secret: LocalSecret) -> None:
        self._store = store
        self._secret = secret

    def append(self, entries: Sequence[Entry]) -> list[int]:
        """Keeps entries in one transaction; returns the row of each, 0 for one seen before.

        Raises:
            DeviceFault: The disk is full or failing: nothing was kept, nothing may be acknowledged.
        """
        with self._store.transaction():
            return [self._append(each) for each in entries]

    def waiting(self, terminal: str, taken: Iterable[int]) -> list[tuple[int, Entry]]:
        """Returns what waits of a terminal, in order of arrival.

        Args:
            terminal: Device id.
            taken: Rows that are sealed already; a killed door had not come to deleting them.
        """
        known = frozenset(taken)
        rows = self._store.rows(
            "SELECT row, sealed FROM door_reports WHERE terminal = ? ORDER BY row", (terminal,)
        )
        return [
            (each["row"], self._open(terminal, bytes(each["sealed"])))
            for each in rows
            if each["row"] not in known
        ]

    def remove(self, terminal: str, rows: Sequence[int]) -> None:
        """Deletes what is sealed, and what was seen too long ago to come again.

        Raises:
            DeviceFault: The disk is full or failing; nothing has changed.
        """
        with self._store.transaction():
            self._store.execute_many(
                "DELETE FROM door_reports WHERE row = ?", [(row,) for row in rows]
            )
            self._store.execute(
                "DELETE FROM door_seen WHERE terminal = ? AND row <= (SELECT row FROM door_seen "
                "WHERE terminal = ? ORDER BY row DESC LIMIT 1 OFFSET ?)",
                (terminal, terminal, SEEN_MAX),
            )

    def _append(self, entry: Entry) -> int:
        moment = entry.time_us if entry.is_card else 0  # a report has its own time in its bytes
        digest = self._secret.mac(encode([entry.terminal, moment, entry.body]))
        seen = self._store.row(
            "SELECT row FROM door_seen WHERE terminal = ? AND digest = ?",
            (entry.terminal, digest[:DIGEST_BYTES]),
        )
        if seen is not None:
            return 0
        sealed = self._secret.seal(encode([entry.time_us, entry.is_card, entry.body]))
        self._store.execute(
            "INSERT INTO door_reports (terminal, sealed) VALUES (?, ?)", (entry.terminal, sealed)
        )
        found = self._store.row("SELECT last_insert_rowid() AS row")
        assert found is not None
        self._store.execute(
            "INSERT INTO door_seen (terminal, digest, row) VALUES (?, ?, ?)",
            (entry.terminal, digest[:DIGEST_BYTES], found["row"]),
        )
        return int(found["row"])

    def _open(self, terminal: str, sealed: bytes) -> Entry:
        time_us, is_card, body = decode(self._secret.open(sealed))
        return Entry(terminal, time_us, body, is_card)


class CodeBook:
    """The register of terminals: who they are by phone, and their codes; fulfils `Register`.

    Args:
        store: As that of `Journal`.
        devices: Phone → device id.
        randomness: Makes codes.
    """

    def __init__(self, store: Store, devices: Mapping[str, str], randomness: Randomness) -> None:
        self._store = store
        self._devices = devices
        self._randomness = randomness

    def admit(self, phone: str, registration: Registration) -> str | None:
        """Returns a new code for a terminal, durable; None where it is another than ours.

        Raises:
            DeviceFault: The disk is full or failing; the code before stands.
        """
        terminal = self._devices.get(phone)
        if terminal is None:
            return None
        maker = _digest(f"{registration.maker}\0{registration.terminal}".encode())
        row = self._row(terminal)
        if row is not None and not hmac.compare_digest(bytes(row["maker"]), maker):
            return None
        code = self._randomness.token(CODE_BYTES).hex()
        self._store.execute(
            "INSERT INTO door_codes (terminal, code, maker) VALUES (?, ?, ?) ON CONFLICT (terminal)"
            " DO UPDATE SET code = excluded.code",
            (terminal, _digest(code.encode("ascii")), maker),
        )
        return code

    def verify(self, phone: str, code: bytes) -> bool:
        """Says whether this is the code that stands; takes as long for a wrong one as for it."""
        terminal = self._devices.get(phone)
        row = self._row(terminal) if terminal is not None else None
        stands = bytes(row["code"]) if row else b""
        return hmac.compare_digest(stands, _digest(code))

    def withdraw(self, phone: str) -> None:
        """Makes the code void; the terminal registers again.

        Raises:
            DeviceFault: The disk is full or failing; the code stands.
        """
        self._store.execute(
            "UPDATE door_codes SET code = x'' WHERE terminal = ?", (self._devices.get(phone),)
        )

    def forget(self, terminal: str) -> bool:
        """Forgets a terminal for its successor in the same vehicle; says whether there was one."""
        return self._store.execute("DELETE FROM door_codes WHERE terminal = ?", (terminal,)) > 0

    def _row(self, terminal: str) -> dict[str, Any] | None:
        return self._store.row("SELECT code, maker FROM door_codes WHERE terminal = ?", (terminal,))


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
