"""The mirror: what the core last said, by scope; can be thrown away and fetched again.

Place in the flow: core → downlink → agent → **mirror** → kiosk's screens.

* A page is applied wholly or not at all, and only when the scope then has the page's checksum.
* A scope whose checksum does not match is dropped, so that a whole snapshot comes next.
* The agent writes, the kiosk reads; nothing of a user's action is ever written here.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from edge.codec import decode, encode
from edge.errors import PeerError
from edge.sqlite import Migrations
from edge.store import create_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge.sqlite import Database
    from edge.store import Store

PAIR: Final = b"\x82"
"""CBOR head of an array of two, [key, value]."""

MIGRATIONS = Migrations("mirror")


@MIGRATIONS()
def mirror_001(database: Database) -> None:
    """Scopes, their items, and the agent's notes to the kiosk."""
    create_tables(
        database,
        """CREATE TABLE mirror_scopes (
            scope    TEXT    PRIMARY KEY,
            cursor   INTEGER NOT NULL,
            as_of_us INTEGER NOT NULL
        )""",
        """CREATE TABLE mirror_items (
            scope TEXT NOT NULL,
            key   TEXT NOT NULL,
            value BLOB NOT NULL,
            PRIMARY KEY (scope, key)
        ) WITHOUT ROWID""",
        "CREATE TABLE mirror_notes (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
    )


def checksum(pairs: Iterable[tuple[str, bytes]]) -> bytes:
    """Returns SHA-256 over the sorted encodings of [key, value]; values come encoded."""
    digest = hashlib.sha256()
    for pair in sorted(PAIR + encode(key) + value for key, value in pairs):
        digest.update(pair)
    return digest.digest()


class MirrorReader:
    """The reading half.

    Args:
        store: An open store, or reader, that holds a mirror.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, scope: str, key: str) -> Any:  # noqa: ANN401 - whatever the core encoded
        """Returns an item's value, or None."""
        row = self._store.row(
            "SELECT value FROM mirror_items WHERE scope = ? AND key = ?", (scope, key)
        )
        return decode(bytes(row["value"])) if row else None

    def items(self, scope: str) -> dict[str, Any]:
        """Returns all items of a scope by key."""
        rows = self._store.rows("SELECT key, value FROM mirror_items WHERE scope = ?", (scope,))
        return {row["key"]: decode(bytes(row["value"])) for row in rows}

    def as_of_us(self, scope: str) -> int | None:
        """Returns when the core last said what a scope holds, or None when it never did."""
        row = self._store.row("SELECT as_of_us FROM mirror_scopes WHERE scope = ?", (scope,))
        return int(row["as_of_us"]) if row else None

    def noted(self, name: str) -> Any:  # noqa: ANN401 - whatever the agent noted
        """Returns what the agent noted under a name, or None."""
        row = self._store.row("SELECT value FROM mirror_notes WHERE name = ?", (name,))
        return decode(bytes(row["value"])) if row else None

    def version(self) -> int:
        """Returns a number that changes whenever another process has written the file."""
        row = self._store.row("PRAGMA data_version")
        return int(row["data_version"]) if row else 0


class Mirror(MirrorReader):
    """The writing half.

    Args:
        store: Opened with `MIGRATIONS`.
    """

    def cursors(self) -> dict[str, int]:
        """Returns how far each scope has come."""
        rows = self._store.rows("SELECT scope, cursor FROM mirror_scopes")
        return {row["scope"]: row["cursor"] for row in rows}

    def apply(self, page: Mapping[str, Any]) -> None:
        """Applies a page of the downlink (see backend_sync/messages.py for its fields).

        Raises:
            PeerError: The scope would not be what the core says it is; it is dropped.
            DeviceFault: The disk is full or failing; nothing was changed.
        """
        try:
            with self._store.transaction():
                self._write(page)
        except PeerError:
            self.drop(page["scope"])
            raise

    def drop(self, scope: str) -> None:
        """Forgets a scope."""
        with self._store.transaction():
            self._store.execute("DELETE FROM mirror_items WHERE scope = ?", (scope,))
            self._store.execute("DELETE FROM mirror_scopes WHERE scope = ?", (scope,))

    def note(self, name: str, value: object) -> None:
        """Notes something for the kiosk, or for the agent's own next start."""
        with self._store.transaction():
            self._store.execute(
                "INSERT INTO mirror_notes (name, value) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, encode(value)),
            )

    def _write(self, page: Mapping[str, Any]) -> None:
        scope = page["scope"]
        if page["snapshot"]:
            self._store.execute("DELETE FROM mirror_items WHERE scope = ?", (scope,))
        self._store.execute_many(
            "INSERT INTO mirror_items (scope, key, value) VALUES (?, ?, ?) "
            "ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value",
            [(scope, key, encode(value)) for key, value in page["upserts"]],
        )
        self._store.execute_many(
            "DELETE FROM mirror_items WHERE scope = ? AND key = ?",
            [(scope, key) for key in page["tombstones"]],
        )
        self._store.execute(
            "INSERT INTO mirror_scopes (scope, cursor, as_of_us) VALUES (?, ?, ?) "
            "ON CONFLICT (scope) DO UPDATE "
            "SET cursor = excluded.cursor, as_of_us = excluded.as_of_us",
            (scope, page["cursor"], page["as_of_us"]),
        )
        if self._checksum(scope) != page["checksum"]:
            raise PeerError(
                f"Scope {scope} does not match the core's checksum; it is fetched anew.",
                "mirror-checksum",
            )

    def _checksum(self, scope: str) -> bytes:
        rows = self._store.rows("SELECT key, value FROM mirror_items WHERE scope = ?", (scope,))
        return checksum((row["key"], bytes(row["value"])) for row in rows)
