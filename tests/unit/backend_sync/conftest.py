"""One embedded PostgreSQL for the whole run, one fresh database per test.

It lives in memory where the machine has a place for that: the tests ask what is durable after a
commit of PostgreSQL's, not whether PostgreSQL itself is.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend_sync.core.database import connect, create_database, prepare
from backend_sync.core.postgres import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backend_sync.core.database import Connection

MEMORY = Path("/dev/shm")
NUMBERS = itertools.count(1)


@contextlib.contextmanager
def server_folder() -> Iterator[Path]:
    """A folder for an embedded server.

    Not below pytest's own: run as root, another pytest closes that to the server's user.
    """
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="lastmile-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of its own for a core with an embedded server."""
    with server_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """The maintenance DSN of a server that lives as long as the test run."""
    with server_folder() as folder:
        server = EmbeddedServer(folder / "postgres")
        try:
            dsn = server.start()
            prepare(create_database(dsn, "pattern"))
            yield dsn
        finally:
            server.stop()


@pytest.fixture
def dsn(postgres_dsn: str) -> Iterator[str]:
    """The DSN of an empty database of its own, with the present schema."""
    name = f"test{next(NUMBERS)}"
    yield create_database(postgres_dsn, name, template="pattern")
    with connect(postgres_dsn) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def connections(dsn: str) -> Iterator[Callable[[], Connection]]:
    """Opens any number of connections to the test's database, and closes them after it."""
    opened: list[Connection] = []

    def open_one() -> Connection:
        opened.append(connect(dsn))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(connections: Callable[[], Connection]) -> Connection:
    """An autocommit connection to the test's database."""
    return connections()
