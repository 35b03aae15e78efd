"""The only door to SQLite: durable, one writer, and never a surprise at opening.

Place in the flow: keys, columns → **store** → journal, outbox, mirror and each part's own tables.

* WAL with `synchronous=FULL`, checked at open: with NORMAL a power cut loses rows that were
  acknowledged (measured). What `transaction` has left is on the disk.
* One process writes a file; a lock file beside it says so, and the kernel frees it after a kill.
* With a key the whole file, its log and its journals are encrypted by SQLCipher. A plain file where
  an encrypted one is due is refused: whoever can swap a file must not choose what is believed.
* The schema is brought up to date by sqlite-utils' migrations; a file with migrations that we do
  not know was written by a newer release and is refused.
* Errors of SQLite become ours: a full disk is a fault of the device, and nothing was changed.
"""

from __future__ import annotations

import contextlib
import fcntl
from typing import TYPE_CHECKING, Any, Final, Self

from edge.errors import DeviceFault, LocalError
from edge.sqlite import HAS_CIPHER, Database, connect, engine, looks_plain, looks_sealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import IO

    from edge.sqlite import Migrations

    Parameters = Sequence[Any] | Mapping[str, Any]

FULL: Final = 2
BROKEN: Final = (
    *("already exists", "Could not decode", "has no column", "malformed", "no such "),
    *("unknown function", "unsupported file format"),
)
"""What SQLite says of its statements when the schema in the file is not what we made."""


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
        self._begun = 0

    @property
    def transaction_number(self) -> int:
        """Which transaction is under way, counted from 1; 0 outside of one."""
        return self._begun if self._inside else 0

    @property
    def inside(self) -> bool:
        """Whether a transaction is under way: what is written now is not yet on the disk."""
        return self._inside

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
        self._begun += 1
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
        with translated(self.path):
            return self._connection.execute(sql, parameters).rowcount

    def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Runs a statement once per row.

        Raises:
            DeviceFault: The disk is full or failing, or the file is damaged.
        """
        self._require_alive()
        with translated(self.path):
            self._connection.executemany(sql, rows)

    def row(self, sql: str, parameters: Parameters = ()) -> dict[str, Any] | None:
        """Returns the first row of a query by column name, or None."""
        rows = self.rows(sql, parameters)
        return rows[0] if rows else None

    def rows(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """Returns the rows of a query by column name."""
        with translated(self.path):
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
            raise disk_fault(self.path, "the transaction was rolled back")

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(engine.Error):
                self._connection.execute("ROLLBACK")


def open_store(path: Path, migrations: Sequence[Migrations], key: bytes | None = None) -> Store:
    """Opens a file for writing; makes it, and brings its schema up to date, when needed.

    Args:
        path: The SQLite file.
        migrations: Of every part that keeps tables in it.
        key: 32 bytes that encrypt the file; None for a plain one.

    Raises:
        LocalError: Another process has it open for writing, a newer release wrote it, it is plain
            though a key is given (`store-plain`), or encrypted and no key is given or no SQLCipher
            is installed (`store-sealed`).
        DeviceFault: It cannot be opened, is damaged, will not sync to disk, or does not open with
            this key (`store-key`).
    """
    lock = take_lock(path)
    try:
        connection = _connect(path, "rwc", key)
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


def open_reader(path: Path, key: bytes | None = None) -> Store:
    """Opens a file that another process writes, for reading.

    Args:
        path: The SQLite file.
        key: The writer's.

    Raises:
        LocalError: It is plain or encrypted, and should not be; see `open_store`.
        DeviceFault: It is not there yet, is damaged, or does not open with this key.
    """
    if not path.exists():
        raise DeviceFault(
            f"{path} does not exist yet; start the part that writes it.", "store-missing"
        )
    return Store(path, _connect(path, "ro", key), None)


def take_lock(path: Path) -> IO[bytes]:
    """Makes this process the only one that writes a file, until the lock is closed.

    Raises:
        LocalError: Another process writes it.
        DeviceFault: The folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = path.with_name(path.name + ".lock").open("ab")
    except OSError as error:
        raise disk_fault(path, error.strerror or "unknown") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise LocalError(
            f"Another program writes {path} now. Stop it first, or wait until it has ended.",
            "store-locked",
        ) from error
    return lock


def _connect(path: Path, mode: str, key: bytes | None) -> engine.Connection:
    """Opens a connection and reads the first page, which tells whether the key fits."""
    _refuse_other_kind(path, key)
    with translated(path):
        connection = connect(f"{path.absolute().as_uri()}?mode={mode}", key)
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        except BaseException as error:
            connection.close()
            if key is not None and getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB":
                raise _key_fault(path) from None
            raise
    return connection


def _refuse_other_kind(path: Path, key: bytes | None) -> None:
    if key is not None and not HAS_CIPHER:
        raise LocalError(
            f"{path} must be encrypted, and this installation has no SQLCipher. Install "
            "lastmile[kiosk] here, with sqlcipher3.",
            "store-sealed",
        )
    if key is None and looks_sealed(path):
        raise LocalError(
            f"{path} is encrypted, and no key was given; or it is damaged from its first page on. "
            "Give the [vault] that it was made with.",
            "store-sealed",
        )
    if key is not None and looks_plain(path):
        raise LocalError(
            f"{path} is not encrypted, and must be. If it is this device's own from before, run "
            "`lastmile-kiosk encrypt` once; else somebody put it there: call the bank.",
            "store-plain",
        )


def _key_fault(path: Path) -> DeviceFault:
    """SQLCipher cannot tell the two apart; a damaged later page it can."""
    return DeviceFault(
        f"{path} does not open with this device's key. Either the key is another one (the [vault] "
        "was replaced, or the file is another device's), or its first page is damaged. Put the "
        "right vault back; if that does not help, keep the file for the bank and provision anew.",
        "store-key",
    )


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
    with translated(store.path), _legible(store.path):
        for each in migrations:
            known = {migration.name for migration in each.pending(store.database)}
            _refuse_newer(store, each, known)
            each.apply(store.database)


@contextlib.contextmanager
def _legible(path: Path) -> Iterator[None]:
    """Turns what sqlite-utils trips over in a damaged schema into our own words."""
    try:
        yield
    except (KeyError, TypeError, ValueError, engine.IntegrityError) as error:
        raise _damaged(path, str(error)) from error


def _refuse_newer(store: Store, migrations: Migrations, pending: set[str]) -> None:
    applied = [migration.name for migration in migrations.applied(store.database)]
    own = {migration.name for migration in migrations._migrations}  # noqa: SLF001 - it has no list
    newer = sorted(set(applied) - own - pending)
    if newer and pending:
        # A newer release has applied all that we know; here a name was changed.
        raise _damaged(store.path, f"unknown migrations: {', '.join(newer)}")
    if newer:
        names = ", ".join(newer)
        raise LocalError(
            f"{store.path} was written by a newer release ({names}). Update this device.",
            "store-newer",
        )


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
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
        if any(words in str(error) for words in BROKEN):
            raise _damaged(path, str(error)) from error
        raise disk_fault(path, str(error)) from error
    except (engine.DatabaseError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, reason: str) -> DeviceFault:
    return DeviceFault(
        f"{path} is damaged ({reason}). Keep the file for the bank and provision anew.",
        "store-damaged",
    )


def disk_fault(path: Path, reason: str) -> DeviceFault:
    """Returns the fault of a disk that is full or failing."""
    code = "disk-full" if "full" in reason or "No space" in reason else "store-failed"
    return DeviceFault(
        f"{path} cannot be used ({reason}). Free some space or check the disk; nothing was lost.",
        code,
    )
