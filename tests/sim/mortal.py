"""What can be killed: stores and connections that die at a chosen statement, and power that fails.

Place in the flow: nature → **mortal** → kiosk, box, core.

* A death is a `BaseException`: like SIGKILL, nothing of ours may handle it.
* A store that is killed leaves its files as they lay: the log is not tidied up by an orderly
  close. What was committed is there, what was not is gone.
* A core that is killed loses its connection on the server's side: PostgreSQL aborts what was open.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Self

import psycopg

from edge.store import Store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from backend_sync.core.database import Connection
    from edge.sqlite import Migrations
    from edge.store import Parameters


class Death(BaseException):
    """A process was killed."""


class Fuse:
    """Kills at the statement that it was set to; unset, it never does."""

    def __init__(self) -> None:
        self._left: int | None = None

    def set(self, statements: int) -> None:
        """Lets so many more halves of statements pass."""
        self._left = statements

    def clear(self) -> None:
        """Takes the danger away."""
        self._left = None

    def burn(self) -> bool:
        """Counts down; tells whether this is the moment."""
        if self._left is None:
            return False
        self._left -= 1
        if self._left > 0:
            return False
        self._left = None
        return True


class MortalStore(Store):
    """A store whose process may die before or after any statement.

    Args:
        store: Freshly opened; this takes its connection and lock over.
        fuse: Says when.
        between: Called after each commit: what other processes do meanwhile.
    """

    def __init__(self, store: Store, fuse: Fuse, between: Callable[[], None]) -> None:
        super().__init__(store.path, store._connection, store._lock)
        self._fuse = fuse
        self._between = between

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Runs a statement, or dies before or after it."""
        self._die_maybe()
        changed = super().execute(sql, parameters)
        self._die_maybe()
        if sql == "COMMIT":
            self._between()
        return changed

    def kill(self) -> None:
        """Ends the process, the last that had the file open; the kernel frees the lock."""
        parts = [self.path.with_name(self.path.name + end) for end in ("", "-wal", "-shm")]
        kept = [(part, part.with_name(part.name + ".kept")) for part in parts if part.exists()]
        for part, copy in kept:
            shutil.copyfile(part, copy)
        self.close()
        for part, copy in kept:
            copy.replace(part)

    def _die_maybe(self) -> None:
        if self._fuse.burn():
            raise Death


def open_mortal(
    path: Path, migrations: Sequence[Migrations], fuse: Fuse, between: Callable[[], None]
) -> MortalStore:
    """Opens a file for a process that may be killed."""
    return MortalStore(open_store(path, migrations), fuse, between)


class MortalConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection of the core whose process may die at any statement."""

    fuse: Fuse
    killer: Connection

    @classmethod
    def open(cls, dsn: str, fuse: Fuse, killer: Connection) -> Self:
        """Opens a connection in autocommit mode, as the core does.

        Args:
            dsn: Of the database.
            fuse: Says when.
            killer: Another connection, which ends this one on the server.
        """
        connection = cls.connect(dsn, autocommit=True)
        connection.cursor_factory = MortalCursor
        connection.fuse, connection.killer = fuse, killer
        return connection

    def die(self) -> None:
        """Ends the session on the server, waits until it is gone, and dies.

        Raises:
            Death: Always.
        """
        number = self.info.backend_pid
        self.killer.execute("SELECT pg_terminate_backend(%s)", [number])
        alive = "SELECT FROM pg_stat_activity WHERE pid = %s"
        while self.killer.execute(alive, [number]).fetchone() is not None:
            pass
        self.close()
        raise Death


class MortalCursor(psycopg.Cursor[Any]):
    """Dies before or after a statement when the fuse of its connection says so."""

    def execute(self, *arguments: Any, **options: Any) -> Self:
        """Runs a statement, or dies before or after it."""
        connection = self.connection
        assert isinstance(connection, MortalConnection)
        if connection.fuse.burn():
            connection.die()
        super().execute(*arguments, **options)
        if connection.fuse.burn():
            connection.die()
        return self
