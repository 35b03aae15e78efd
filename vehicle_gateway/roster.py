"""What the core told this box of its drivers, kept sealed: who may sign in, and official grades.

Place in the flow: down topic → answers → **roster** → signin, cabin.

* Taken only with the core's signature, for this box, and never an older one than stands.
* At rest both are sealed under the box's own key: a copy of its files tells no name, card or PIN.
* A roster replaces the one before: a driver who is not in it any more cannot sign in here.
* A grade is kept under its driver's tag, the last one of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from edge.drivers import DRIVERS_MAX, Grade, Roster, open_grade, open_roster
from edge.errors import PeerError
from edge.sqlite import Migrations
from edge.store import create_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.keys import FileIdentity, LocalSecret
    from edge.sqlite import Database
    from edge.store import Store

    Verify = Callable[[bytes, bytes], None]

ROSTER_KEY: Final = "roster"
GRADES_MAX: Final = DRIVERS_MAX
MIGRATIONS = Migrations("gateway_roster")
Kept = TypeVar("Kept", Roster, Grade)


@MIGRATIONS()
def gateway_roster_001(database: Database) -> None:
    """The roster under its own key, and each grade under the tag of its driver; all sealed."""
    create_tables(
        database,
        """CREATE TABLE gateway_told (
            key    TEXT    PRIMARY KEY,
            seq    INTEGER NOT NULL,
            sealed BLOB    NOT NULL
        )""",
    )


class RosterBook:
    """The roster and the grades that stand.

    Args:
        store: Opened with `MIGRATIONS`.
        identity: Of this box; the core seals to it.
        secret: Seals at rest, and makes tags.
    """

    def __init__(self, store: Store, identity: FileIdentity, secret: LocalSecret) -> None:
        self._store = store
        self._identity = identity
        self._secret = secret

    def take_roster(self, message: bytes, verify: Verify) -> bool:
        """Keeps a newer roster; returns False for the one that stands.

        Args:
            message: Hostile bytes.
            verify: Checks against the core's signing key.

        Raises:
            PeerError: Not the core's, not for this box, or older than what stands.
            DeviceFault: The disk is full or failing; the old one stands.
        """
        seq, roster = open_roster(message, verify, self._identity)
        return self._take(ROSTER_KEY, seq, roster)

    def take_grade(self, message: bytes, verify: Verify) -> bool:
        """Keeps a newer grade of a driver; as `take_roster`."""
        seq, grade = open_grade(message, verify, self._identity)
        with self._store.transaction():
            taken = self._take(self._tag(grade.subject), seq, grade)
            self._store.execute(
                "DELETE FROM gateway_told WHERE key <> ? AND key NOT IN"
                " (SELECT key FROM gateway_told WHERE key <> ? ORDER BY seq DESC LIMIT ?)",
                (ROSTER_KEY, ROSTER_KEY, GRADES_MAX),
            )
        return taken

    def roster(self) -> Roster | None:
        """Returns the roster that stands, None before the first."""
        return self._read(ROSTER_KEY, Roster)

    def grade(self, subject: str) -> Grade | None:
        """Returns the last official grade of a driver."""
        return self._read(self._tag(subject), Grade)

    def forget(self, subject: str) -> None:
        """Deletes what is kept of a driver's grade: they have withdrawn."""
        self._store.execute("DELETE FROM gateway_told WHERE key = ?", (self._tag(subject),))

    # ------------------------------------------------------------ inside
    def _tag(self, subject: str) -> str:
        return self._secret.mac(subject.encode()).hex()

    def _take(self, key: str, seq: int, content: Roster | Grade) -> bool:
        with self._store.transaction():
            row = self._store.row("SELECT seq FROM gateway_told WHERE key = ?", (key,))
            stands = row["seq"] if row else 0
            if seq == stands:
                return False
            if seq < stands:
                raise PeerError(
                    "The core told of drivers in an older message than this box has taken; the "
                    "newer one stays.",
                    "roster-older",
                )
            self._store.execute(
                "INSERT INTO gateway_told (key, seq, sealed) VALUES (?, ?, ?) ON CONFLICT (key)"
                " DO UPDATE SET seq = excluded.seq, sealed = excluded.sealed",
                (key, seq, self._secret.seal(msgspec.json.encode(content))),
            )
        return True

    def _read(self, key: str, shape: type[Kept]) -> Kept | None:
        row = self._store.row("SELECT sealed FROM gateway_told WHERE key = ?", (key,))
        if row is None:
            return None
        return msgspec.json.decode(self._secret.open(bytes(row["sealed"])), type=shape)
