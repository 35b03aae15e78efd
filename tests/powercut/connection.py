"""A connection of apsw that speaks as Python's do, so that the real `Store` works on it.

Place in the flow: `edge.store.Store` → **connection** → apsw → disk.

* Only what `Store` and sqlite-utils use: execute, executemany, in_transaction, cursors that can be
  iterated, close. Errors come as the classes that `edge.store` catches.
* `PowerCut` passes through as it is.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, Self

import apsw

from edge import store as door
from edge.sqlite import engine as sqlite3
from edge.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from edge.sqlite import Migrations
    from edge.store import Parameters

CHANGING: Final = ("INSERT", "UPDATE", "DELETE", "REPLACE")
ERRORS: Final = (
    (apsw.ConstraintError, sqlite3.IntegrityError),
    ((apsw.CorruptError, apsw.NotADBError), sqlite3.DatabaseError),
    ((apsw.MisuseError, apsw.BindingsError), sqlite3.ProgrammingError),
    (apsw.Error, sqlite3.OperationalError),
)


class Rows:
    """What a statement returned.

    Attributes:
        rowcount: How many rows were changed, or -1.
    """

    def __init__(self, cursor: apsw.Cursor, rowcount: int) -> None:
        self._cursor = cursor
        self.rowcount = rowcount

    @property
    def description(self) -> Sequence[Sequence[Any]]:
        """Names of the columns, each as the first of a row; of an empty result none are known."""
        try:
            return self._cursor.description
        except apsw.ExecutionCompleteError:
            return ()

    @property
    def lastrowid(self) -> int:
        """Of the connection; the row that was inserted last."""
        return self._cursor.connection.last_insert_rowid()

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        with translated():
            yield from self._cursor

    def fetchone(self) -> tuple[Any, ...] | None:
        """Returns the next row or None."""
        return next(iter(self), None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Returns the rows that are left."""
        return list(self)


class Connection:
    """One open file of a disk.

    Args:
        vfs: Name of the VFS.
        path: Of the file.
        checkpoint_pages: So long does the log grow before it is copied into the file.
    """

    def __init__(self, vfs: str, path: Path, checkpoint_pages: int) -> None:
        with translated():
            self._inner = apsw.Connection(str(path), vfs=vfs)
            self._inner.set_busy_timeout(0)
            self.execute("PRAGMA locking_mode = EXCLUSIVE")
            self.execute("PRAGMA foreign_keys = ON")
            self._inner.wal_autocheckpoint(checkpoint_pages)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._inner.in_transaction

    def execute(self, sql: str, parameters: Parameters = ()) -> Rows:
        """Runs a statement."""
        with translated():
            cursor = self._inner.execute(sql, parameters)
        changing = sql.lstrip()[:7].upper().startswith(CHANGING)
        return Rows(cursor, self._inner.changes() if changing else -1)

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> Rows:
        """Runs a statement once per row."""
        with translated():
            return Rows(self._inner.executemany(sql, rows), -1)

    def cursor(self) -> Self:
        """Returns what executes; sqlite-utils asks for one now and then."""
        return self

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        self._inner.close()


def open_on_disk(
    vfs: str, path: Path, migrations: Sequence[Migrations], checkpoint_pages: int
) -> Store:
    """Opens a store as `edge.store.open_store` does, on a disk that can lose power.

    Raises:
        LastmileError: As `open_store`.
    """
    connection = Connection(vfs, path, checkpoint_pages)
    try:
        store = Store(path, connection, None)  # type: ignore[arg-type]
        door._prepare(store, migrations)
    except BaseException:
        connection.close()
        raise
    return store


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turns errors of apsw into those of the engine."""
    try:
        yield
    except apsw.Error as error:
        made = next(ours for theirs, ours in ERRORS if isinstance(error, theirs))
        raise made(str(error)) from error
