"""Which SQLite this interpreter has: SQLCipher where it is installed, else Python's own.

Place in the flow: **sqlite** → store → everything that keeps tables.

* One engine per process: sqlite-utils is made to use the one that our connections come from, or an
  exception of the one would pass by what catches those of the other.
* The key of a file is the first thing that a connection is told, and is kept nowhere here.
  SQLCipher takes it as it is, 32 bytes, so that opening costs no password hashing.
* Whoever needs `Migrations` takes them from here, never from sqlite-utils itself.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING, Final

from edge.lean import without

if TYPE_CHECKING:
    import sqlite3 as engine
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

CIPHER: Final = "sqlcipher3"
ENGINES: Final = (CIPHER, "sqlite3")
ALIAS: Final = "pysqlite3"
"""What sqlite-utils looks for before it takes Python's own."""

BUSY_MS: Final = 10_000
KEY_BYTES: Final = 32
PAGE_BYTES: Final = 4096
PLAIN_MAGIC: Final = b"SQLite format 3\0"
DISTINCT_MIN: Final = 128
"""Of 4096 random bytes fewer than 128 distinct ones are beyond any chance."""


def choose_engine() -> ModuleType:
    """Returns the first of our engines that can be imported."""
    with contextlib.suppress(ImportError):
        return importlib.import_module(CIPHER)
    return importlib.import_module("sqlite3")


@contextlib.contextmanager
def _posing(module: ModuleType) -> Iterator[None]:
    """Lets a module pass for the one that sqlite-utils prefers, while that is imported."""
    names = {ALIAS: module, f"{ALIAS}.dbapi2": importlib.import_module(f"{module.__name__}.dbapi2")}
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.modules.update(names)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(before)


if not TYPE_CHECKING:  # pragma: no branch - a type checker takes the names above
    engine = choose_engine()
    with _posing(engine), without("pandas", "numpy"):
        utils = importlib.import_module("sqlite_utils")
        Database = utils.Database
        Migrations = importlib.import_module("sqlite_utils.migrations").Migrations
    taken = importlib.import_module("sqlite_utils.utils").sqlite3
    assert taken is engine, "edge.sqlite must be imported before sqlite_utils is"

HAS_CIPHER: Final = engine.__name__ == CIPHER

__all__ = [
    "HAS_CIPHER", "KEY_BYTES", "Database", "Migrations", "connect", "engine", "looks_plain",
    "looks_sealed",
]  # fmt: skip


def connect(uri: str, key: bytes | None) -> engine.Connection:
    """Opens a connection in autocommit mode; nothing is read of the file yet.

    Args:
        uri: `file:` URI with its `mode`.
        key: 32 bytes, where the engine is SQLCipher; None opens a plain file.

    Raises:
        engine.Error: The file cannot be opened.
    """
    connection = engine.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000
    )
    if key is not None:
        assert HAS_CIPHER, "refused before by the store"
        assert len(key) == KEY_BYTES, "a vault gives 32 bytes"
        # A pragma takes no parameters; hexadecimal digits need no escaping.
        connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
        # It would print to standard error what the store says in its own words.
        connection.execute("PRAGMA cipher_log_level = NONE")
        # SQLite keeps sorts and statement journals in memory: nothing goes to a file in plain.
        connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def looks_plain(path: Path) -> bool:
    """Tells whether a file is a database that anybody can read."""
    return _first_page(path).startswith(PLAIN_MAGIC)


def looks_sealed(path: Path) -> bool:
    """Tells whether a file may be a database of SQLCipher: whole pages, the first like noise.

    Without the key nobody can tell it from garbage of the same kind.
    """
    page = _first_page(path)
    whole = len(page) == PAGE_BYTES and path.stat().st_size % PAGE_BYTES == 0
    return whole and not page.startswith(PLAIN_MAGIC) and len(set(page)) >= DISTINCT_MIN


def _first_page(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(PAGE_BYTES)
    except OSError:  # it is not there yet, or the engine will say what is wrong with it
        return b""
