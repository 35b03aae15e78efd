"""The door to PostgreSQL: which server, is it safe for money, and a pool of connections to it.

Place in the flow: configuration → **database** → accept, post, downlink, telemetry.

* A DSN selects a real server; without one the embedded server of `postgres` is started.
* A server that may forget a commit (fsync, full_page_writes or synchronous_commit off) is refused.
* The schema is brought up to date before the first connection is handed out.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from backend_sync.core.migrate import migrate, read_migrations
from backend_sync.core.postgres import EmbeddedServer
from edge.errors import DeviceFault, LocalError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Connection = psycopg.Connection[Any]
Pool = ConnectionPool[Connection]

DATABASE: Final = "lastmile"
POOL_MAX: Final = 16
CONNECT_TIMEOUT_S: Final = 10
UNSAFE: Final = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@dataclass(frozen=True, slots=True)
class Server:
    """The PostgreSQL that we use.

    Attributes:
        dsn: Of our database on it.
        embedded: The server, when it is our own.
    """

    dsn: str
    embedded: EmbeddedServer | None = None

    def keep_running(self) -> None:
        """Starts an embedded server again that ended; somebody else's is only waited for.

        Raises:
            DeviceFault: The embedded server does not start.
        """
        if self.embedded is not None:
            self.embedded.keep_running()


@contextlib.contextmanager
def used_server(data_dir: Path, dsn: str) -> Iterator[Server]:
    """Gives the server to use, running the embedded one meanwhile when none is configured.

    Raises:
        DeviceFault: The embedded server does not start.
    """
    if dsn:
        yield Server(dsn)
        return
    server = EmbeddedServer(data_dir / "postgres")
    with server.used():
        _ensure_database(server.dsn())
        yield Server(server.dsn(DATABASE), server)


def prepare(dsn: str) -> list[str]:
    """Checks that the server is safe, applies missing migrations, and returns their names.

    Raises:
        LocalError: The server's settings are unsafe, or its schema is newer than ours.
        DeviceFault: The server cannot be reached.
    """
    with connect(dsn) as connection:
        refuse_unsafe(connection)
        return migrate(connection, read_migrations())


def connect(dsn: str) -> Connection:
    """Opens one connection in autocommit mode: a transaction is always an explicit block.

    Raises:
        DeviceFault: The server cannot be reached.
    """
    try:
        return psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
    except psycopg.OperationalError as error:
        raise DeviceFault(
            f"PostgreSQL does not answer ({error}). Start it, or correct [database] dsn.",
            "database-unreachable",
        ) from error


def open_pool(dsn: str, size_max: int = POOL_MAX) -> Pool:
    """Opens a pool of autocommit connections to a prepared database."""
    pool: Pool = ConnectionPool(
        make_conninfo(dsn, connect_timeout=CONNECT_TIMEOUT_S),
        min_size=1,
        max_size=size_max,
        kwargs={"autocommit": True},
        open=False,
        check=ConnectionPool.check_connection,
    )
    pool.open()
    return pool


def refuse_unsafe(connection: Connection) -> None:
    """Refuses a server that may forget what it said it had committed.

    Raises:
        LocalError: It names the settings to change.
    """
    rows = connection.execute(
        "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(UNSAFE)]
    ).fetchall()
    bad = sorted(str(name) for name, setting in rows if UNSAFE[str(name)] == setting)
    if bad:
        raise LocalError(
            f"This PostgreSQL runs with {', '.join(bad)} off and may lose money in a power cut. "
            "Turn them on, then start again.",
            "database-unsafe",
        )


def create_database(maintenance_dsn: str, name: str, template: str = "template0") -> str:
    """Creates a database and returns its DSN; an existing one of that name is kept."""
    with connect(maintenance_dsn) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if found.fetchone() is None:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
    return make_conninfo(maintenance_dsn, dbname=name)


def _ensure_database(maintenance_dsn: str) -> None:
    """Two processes may start at once: the loser of the race finds the database made."""
    try:
        create_database(maintenance_dsn, DATABASE)
    except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
        return
