"""Claims about migrations: forwards only, once each, and never over an unknown schema."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from backend_sync.core.database import connect, create_database
from backend_sync.core.migrate import Migration, migrate, read_migrations
from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend_sync.core.database import Connection

FIRST = Migration(1, "001_a.sql", "CREATE TABLE a (n int)")
SECOND = Migration(2, "002_b.sql", "CREATE TABLE b (n int)")


@pytest.fixture
def empty_dsn(postgres_dsn: str) -> Iterator[str]:
    """The DSN of a database without any table."""
    yield create_database(postgres_dsn, "empty")
    with connect(postgres_dsn) as maintenance:
        maintenance.execute("DROP DATABASE empty WITH (FORCE)")


@pytest.fixture
def empty(empty_dsn: str) -> Iterator[Connection]:
    """A connection to it."""
    with connect(empty_dsn) as connection:
        yield connection


def test_missing_files_are_applied_in_order_and_once(empty: Connection) -> None:
    assert migrate(empty, [FIRST]) == ["001_a.sql"]
    assert migrate(empty, [FIRST, SECOND]) == ["002_b.sql"]
    assert migrate(empty, [FIRST, SECOND]) == []


def test_a_newer_schema_is_not_touched(empty: Connection) -> None:
    migrate(empty, [FIRST, SECOND])
    with pytest.raises(LocalError, match="Update the program") as raised:
        migrate(empty, [FIRST])
    assert raised.value.code == "schema-newer"


def test_a_file_that_was_edited_after_it_was_applied_is_noticed(empty: Connection) -> None:
    migrate(empty, [FIRST])
    edited = Migration(1, "001_a.sql", "CREATE TABLE a (n bigint)")
    with pytest.raises(LocalError, match="edited"):
        migrate(empty, [edited])


def test_a_file_that_fails_leaves_nothing_of_its_run(empty: Connection) -> None:
    broken = Migration(3, "003_c.sql", "CREATE TABLE c (n no_such_type)")
    with pytest.raises(Exception, match="no_such_type"):
        migrate(empty, [FIRST, SECOND, broken])
    assert migrate(empty, [FIRST, SECOND]) == ["001_a.sql", "002_b.sql"]


def test_many_programs_that_start_at_once_apply_each_file_once(empty_dsn: str) -> None:
    applied: list[str] = []

    def start() -> None:
        with connect(empty_dsn) as connection:
            applied.extend(migrate(connection, [FIRST, SECOND]))

    programs = [threading.Thread(target=start) for _ in range(6)]
    for program in programs:
        program.start()
    for program in programs:
        program.join()
    assert sorted(applied) == ["001_a.sql", "002_b.sql"]


@pytest.mark.parametrize(
    "names", [["a.sql"], ["01_a.sql"], ["001_A.sql"], ["001_a.sql", "001_b.sql"]]
)
def test_a_wrongly_numbered_file_is_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(LocalError, match="NNN"):
        read_migrations(tmp_path)


def test_the_shipped_files_are_read_in_order() -> None:
    numbers = [each.number for each in read_migrations()]
    assert numbers == sorted(set(numbers))
    assert numbers[:4] == [1, 2, 3, 4]
