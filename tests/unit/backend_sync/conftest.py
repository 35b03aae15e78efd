"""One embedded PostgreSQL for the whole run, one fresh database per test."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from backend_sync.core.database import connect, create_database, prepare
from backend_sync.core.postgres import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backend_sync.core.database import Connection

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The maintenance DSN of a server that lives as long as the test run."""
    server = EmbeddedServer(tmp_path_factory.mktemp("pg"))
    try:
        dsn = server.start()
        prepare(create_database(dsn, "pattern"))
        yield dsn
    finally:
        server.stop()


@pytest.fixture
def dsn(postgres_dsn: str) -> str:
    """The DSN of an empty database of its own, with the present schema."""
    return create_database(postgres_dsn, f"test{next(NUMBERS)}", template="pattern")


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
