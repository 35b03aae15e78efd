"""The only door to SQLite: durable, one writer, and never a surprise at opening.

Place in the flow: keys, columns → **store** → journal, outbox, mirror and each part's own tables.

* WAL with `synchronous=FULL`, checked at open: with NORMAL a power cut loses rows that were
  acknowledged (measured). What `transaction` has left is on the disk.
* One process writes a file; a lock file beside it says so, and the kernel frees it after a kill.
* The schema is brought up to date by sqlite-utils' migrations; a file with migrations that we do
  not know was written by a newer release and is refused.
* Errors of SQLite become ours: a full disk is a fault of the device, and nothing was changed.
"""

from __future__ import annotations

import contextlib
import fcntl
from typing import TYPE_CHECKING, Any, Final, Self

from edge.errors import DeviceFault, LocalError
from edge.sqlite import Database, connect, engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import IO

    from edge.sqlite import Migrations

    Parameters = Sequence[Any] | Mapping[str, Any]

FULL: Final = 2


class Store:
    """One open SQLite file. Used by one thread at a time.

    Attributes:
        path: The file.
        database: The sqlite-utils view of the same connection, for inspection and table tools.
    """

    def __init__(self, path: Path, connection: engine.Connection, lock: IO[bytes] | None) -> None:
        self.path = path
        self.database = Database(connection)
        self._connection = connection
        self._lock = lock
        self._inside = False

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing; on leaving, it is on the disk. An inner one joins the outer.

        What an inner one changed is undone when it fails, even where the outer one goes on.

        Raises:
            DeviceFault: The disk is full or failing; nothing was changed.
        """
        if self._inside:
            with self._joined():
                yield
            return
        self.execute("BEGIN IMMEDIATE")
        self._inside = True
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._inside = False

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Runs a statement and returns how many rows it changed.

        Raises:
            DeviceFault: The disk is full or failing, or the file is damaged.
        """
        self._require_alive()
        with _translated(self.path):
            return self._connection.execute(sql, parameters).rowcount

    def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Runs a statement once per row.

        Raises:
            DeviceFault: The disk is full or failing, or the file is damaged.
        """
        self._require_alive()
        with _translated(self.path):
            self._connection.executemany(sql, rows)

    def row(self, sql: str, parameters: Parameters = ()) -> dict[str, Any] | None:
        """Returns the first row of a query by column name, or None."""
        rows = self.rows(sql, parameters)
        return rows[0] if rows else None

    def rows(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """Returns the rows of a query by column name."""
        with _translated(self.path):
            cursor = self._connection.execute(sql, parameters)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def close(self) -> None:
        """Closes the file and frees it for another process; safe to call twice."""
        self._connection.close()
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _joined(self) -> Iterator[None]:
        self.execute("SAVEPOINT joined")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:
                with contextlib.suppress(engine.Error):
                    self._connection.execute("ROLLBACK TO joined")
                    self._connection.execute("RELEASE joined")
            raise
        self.execute("RELEASE joined")

    def _require_alive(self) -> None:
        """Refuses to go on, statement by statement, where SQLite ended the transaction itself."""
        if self._inside and not self._connection.in_transaction:
            raise _disk_fault(self.path, "the transaction was rolled back")

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(engine.Error):
                self._connection.execute("ROLLBACK")


def open_store(path: Path, migrations: Sequence[Migrations]) -> Store:
    """Opens a file for writing; makes it, and brings its schema up to date, when needed.

    Args:
        path: The SQLite file.
        migrations: Of every part that keeps tables in it.

    Raises:
        LocalError: Another process has it open for writing, or a newer release wrote it.
        DeviceFault: It cannot be opened, is damaged, or will not sync to disk.
    """
    lock = _lock(path)
    try:
        connection = _connect(path, f"{path.absolute().as_uri()}?mode=rwc")
        store = Store(path, connection, lock)
        try:
            _prepare(store, migrations)
        except BaseException:
            connection.close()
            raise
    except BaseException:
        lock.close()
        raise
    return store


def create_tables(database: Database, *statements: str) -> None:
    """Runs the statements of a migration inside its transaction (a script would end it)."""
    for statement in statements:
        database.conn.execute(statement)


def open_reader(path: Path) -> Store:
    """Opens a file that another process writes, for reading.

    Raises:
        DeviceFault: It is not there yet, or is damaged.
    """
    if not path.exists():
        raise DeviceFault(
            f"{path} does not exist yet; start the part that writes it.", "store-missing"
        )
    store = Store(path, _connect(path, f"{path.absolute().as_uri()}?mode=ro"), None)
    try:
        store.row("PRAGMA schema_version")
    except BaseException:
        store.close()
        raise
    return store


def _lock(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = path.with_name(path.name + ".lock").open("ab")
    except OSError as error:
        raise _disk_fault(path, error.strerror or "unknown") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise LocalError(
            f"Another program writes {path} now. Stop it first, or wait until it has ended.",
            "store-locked",
        ) from error
    return lock


def _connect(path: Path, uri: str) -> engine.Connection:
    with _translated(path):
        return connect(uri, None)


def _prepare(store: Store, migrations: Sequence[Migrations]) -> None:
    mode = store.row("PRAGMA journal_mode = WAL")
    store.execute("PRAGMA synchronous = FULL")
    level = store.row("PRAGMA synchronous")
    if (mode or {}).get("journal_mode") != "wal" or (level or {}).get("synchronous") != FULL:
        raise DeviceFault(
            f"{store.path} cannot be kept safe on this disk: no write-ahead log. Move it to a local"
            " file system.",
            "store-sync",
        )
    with _translated(store.path):
        for each in migrations:
            known = {migration.name for migration in each.pending(store.database)}
            _refuse_newer(store, each, known)
            each.apply(store.database)


def _refuse_newer(store: Store, migrations: Migrations, pending: set[str]) -> None:
    applied = [migration.name for migration in migrations.applied(store.database)]
    own = {migration.name for migration in migrations._migrations}  # noqa: SLF001 - it has no list
    newer = sorted(set(applied) - own - pending)
    if newer:
        names = ", ".join(newer)
        raise LocalError(
            f"{store.path} was written by a newer release ({names}). Update this device.",
            "store-newer",
        )


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turns what SQLite says about disk and file into our own words; a broken rule stays a bug."""
    try:
        yield
    except (engine.IntegrityError, engine.ProgrammingError):
        raise
    except OverflowError as error:
        raise LocalError(
            "A number of more than 64 bits cannot be stored; check where it comes from.",
            "store-range",
        ) from error
    except engine.OperationalError as error:
        raise _disk_fault(path, str(error)) from error
    except engine.DatabaseError as error:
        raise DeviceFault(
            f"{path} is damaged ({error}). Keep the file for the bank and provision anew.",
            "store-damaged",
        ) from error


def _disk_fault(path: Path, reason: str) -> DeviceFault:
    code = "disk-full" if "full" in reason or "No space" in reason else "store-failed"
    return DeviceFault(
        f"{path} cannot be used ({reason}). Free some space or check the disk; nothing was lost.",
        code,
    )
