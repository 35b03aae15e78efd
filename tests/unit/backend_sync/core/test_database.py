"""Claims about the door to PostgreSQL: an unsafe, absent or newer server is refused in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from backend_sync.core.database import (
    connect,
    open_pool,
    prepare,
    refuse_unsafe,
    used_server,
)
from edge.errors import DeviceFault, LocalError

if TYPE_CHECKING:
    from pathlib import Path

    from backend_sync.core.database import Connection


def test_a_server_that_may_forget_commits_is_refused_by_name(connection: Connection) -> None:
    refuse_unsafe(connection)
    connection.execute("SET synchronous_commit = off")
    with pytest.raises(LocalError, match="synchronous_commit off"):
        refuse_unsafe(connection)


def test_a_database_that_forgets_by_its_own_setting_is_not_prepared(dsn: str) -> None:
    with connect(dsn) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    with pytest.raises(LocalError, match="may lose money"):
        prepare(dsn)


def test_a_server_that_does_not_answer_is_a_fault_in_words(tmp_path: Path) -> None:
    with pytest.raises(DeviceFault, match="does not answer") as raised:
        connect(f"host={tmp_path} user=postgres dbname=lastmile")
    assert raised.value.code == "database-unreachable"


def test_preparing_a_prepared_database_changes_nothing(dsn: str) -> None:
    assert prepare(dsn) == []


def test_a_database_of_a_newer_program_is_refused(dsn: str) -> None:
    with connect(dsn) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (900, '900_new.sql', 'x')")
    with pytest.raises(LocalError, match="Update the program"):
        prepare(dsn)


def test_a_pool_hands_out_autocommit_connections(dsn: str) -> None:
    pool = open_pool(dsn, 2)
    try:
        with pool.connection() as connection:
            assert connection.autocommit
            status = connection.info.transaction_status
            assert status is psycopg.pq.TransactionStatus.IDLE
    finally:
        pool.close()


def test_a_configured_server_is_used_as_it_is(tmp_path: Path, dsn: str) -> None:
    with used_server(tmp_path, dsn) as server:
        assert server.dsn == dsn
        server.keep_running()
    assert not list(tmp_path.iterdir())
