"""Claims about the store: durable settings, one writer, whole transactions, our own errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.errors import DeviceFault, LocalError
from edge.sqlite import Database, Migrations, engine
from edge.store import Store, _prepare, create_tables, open_reader, open_store
from tests.unit.edge.writer_child import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHILD = [sys.executable, "-m", "tests.unit.edge.writer_child"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "a.db", [MIGRATIONS]) as opened:
        yield opened


def put(store: Store, number: int, content: bytes = b"") -> None:
    store.execute("INSERT INTO pages VALUES (?, ?)", (number, content))


def numbers(store: Store) -> list[int]:
    return [row["number"] for row in store.rows("SELECT number FROM pages ORDER BY number")]


# ---------------------------------------------------------------- opening
def test_a_store_is_kept_in_a_log_that_is_synced_before_a_commit_returns(store: Store) -> None:
    assert store.row("PRAGMA journal_mode") == {"journal_mode": "wal"}
    assert store.row("PRAGMA synchronous") == {"synchronous": 2}
    assert store.row("PRAGMA foreign_keys") == {"foreign_keys": 1}


def test_what_was_written_is_there_at_the_next_opening(tmp_path: Path) -> None:
    for number in range(3):
        with open_store(tmp_path / "deep" / "er" / "a.db", [MIGRATIONS]) as store:
            put(store, number)
            assert numbers(store) == list(range(number + 1))


def test_a_second_writer_is_refused_until_the_first_closes(tmp_path: Path) -> None:
    first = open_store(tmp_path / "a.db", [MIGRATIONS])
    with pytest.raises(LocalError) as refusal:
        open_store(tmp_path / "a.db", [MIGRATIONS])
    assert refusal.value.code == "store-locked"
    first.close()
    first.close()
    open_store(tmp_path / "a.db", [MIGRATIONS]).close()


def test_a_killed_writer_frees_the_file_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with subprocess.Popen(
        [*CHILD, "hold", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(LocalError) as refusal:
            open_store(path, [MIGRATIONS])
        assert refusal.value.code == "store-locked"
        with open_reader(path) as reader:
            assert numbers(reader) == [1]
        child.kill()
    with open_store(path, [MIGRATIONS]) as store:
        assert numbers(store) == [1]


def test_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    newer = Migrations("pages")

    @newer()
    def pages_001(database: Database) -> None:
        create_tables(database, "CREATE TABLE pages (number INTEGER PRIMARY KEY, content BLOB)")

    @newer()
    def pages_002(database: Database) -> None:
        create_tables(database, "ALTER TABLE pages ADD COLUMN colour TEXT")

    open_store(tmp_path / "a.db", [newer]).close()
    with pytest.raises(LocalError, match="pages_002") as refusal:
        open_store(tmp_path / "a.db", [MIGRATIONS])
    assert refusal.value.code == "store-newer"
    open_store(tmp_path / "a.db", [newer]).close()


def test_an_older_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    open_store(tmp_path / "a.db", [MIGRATIONS]).close()
    more = Migrations("more")

    @more()
    def more_001(database: Database) -> None:
        create_tables(database, "CREATE TABLE more (a)")

    with open_store(tmp_path / "a.db", [MIGRATIONS, more]) as store:
        assert store.rows("SELECT * FROM more") == []


def test_a_migration_whose_name_was_changed_is_damage_and_no_newer_release(tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db", [MIGRATIONS]) as store:
        store.execute("UPDATE _sqlite_migrations SET name = 'pages_999'")
    with pytest.raises(DeviceFault, match="pages_999") as refusal:
        open_store(tmp_path / "a.db", [MIGRATIONS])
    assert refusal.value.code == "store-damaged"


@pytest.mark.parametrize("column", ["migration_set", "name"])
def test_a_list_of_migrations_that_is_illegible_is_damage(column: str, tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db", [MIGRATIONS]) as store:
        store.execute("DROP TABLE _sqlite_migrations")
        store.execute(f"CREATE TABLE _sqlite_migrations ({column} TEXT, applied_at TEXT)")
        store.execute("INSERT INTO _sqlite_migrations VALUES ('pages', '')")
    with pytest.raises(DeviceFault) as refusal:
        open_store(tmp_path / "a.db", [MIGRATIONS])
    assert refusal.value.code == "store-damaged"


def test_it_is_known_whether_a_transaction_is_under_way(store: Store) -> None:
    assert (store.inside, store.transaction_number) == (False, 0)
    with store.transaction(), store.transaction():
        assert (store.inside, store.transaction_number) == (True, 1)
    assert not store.inside


def test_a_migration_that_fails_leaves_the_file_openable(tmp_path: Path) -> None:
    bad = Migrations("bad")

    @bad()
    def bad_001(database: Database) -> None:
        create_tables(database, "CREATE TABLE half (a)", "CREATE TABLE half (a)")

    with pytest.raises(DeviceFault):
        open_store(tmp_path / "a.db", [MIGRATIONS, bad])
    with open_store(tmp_path / "a.db", [MIGRATIONS]) as store:
        assert not store.rows("SELECT name FROM sqlite_master WHERE name = 'half'")


@pytest.mark.parametrize("content", [b"garbage " * 1_000, b"SQLite format 3\0" + b"\xff" * 5_000])
def test_a_file_of_garbage_is_refused_and_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(content)
    acts: list[Callable[[], Store]] = [
        lambda: open_store(path, [MIGRATIONS]),
        lambda: open_reader(path),
    ]
    for act in acts:
        with pytest.raises(DeviceFault) as refusal:
            act()
        assert refusal.value.code == "store-damaged"
    assert path.read_bytes() == content
    path.unlink()
    open_store(path, [MIGRATIONS]).close()


def test_a_damaged_page_is_a_fault_of_the_device(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with open_store(path, [MIGRATIONS]) as store:
        for number in range(200):
            put(store, number, b"x" * 500)
    content = bytearray(path.read_bytes())
    content[8_192:] = b"\xff" * len(content[8_192:])
    path.write_bytes(content)
    with pytest.raises(DeviceFault) as refusal, open_store(path, [MIGRATIONS]) as store:
        store.rows("SELECT * FROM pages")
    assert refusal.value.code in {"store-damaged", "store-failed"}


def test_a_place_that_is_no_folder_is_a_fault_of_the_device(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DeviceFault) as refusal:
        open_store(tmp_path / "file" / "a.db", [MIGRATIONS])
    assert refusal.value.code == "store-failed"
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(DeviceFault):
        open_store(tmp_path / "folder.db", [MIGRATIONS])


def test_a_place_without_a_write_ahead_log_is_refused() -> None:
    memory = Database(memory=True).conn
    assert isinstance(memory, engine.Connection)
    with pytest.raises(DeviceFault) as refusal:
        _prepare(Store(Path("memory"), memory, None), [])
    assert refusal.value.code == "store-sync"
    memory.close()


def test_names_with_signs_of_a_uri_are_files_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=ro#50%.db"
    with open_store(path, [MIGRATIONS]) as store:
        put(store, 1)
    assert path.exists()
    with open_reader(path) as reader:
        assert numbers(reader) == [1]


# ---------------------------------------------------------------- readers
def test_a_reader_needs_a_file(tmp_path: Path) -> None:
    with pytest.raises(DeviceFault) as refusal:
        open_reader(tmp_path / "a.db")
    assert refusal.value.code == "store-missing"
    assert not (tmp_path / "a.db").exists()


def test_a_reader_sees_rows_of_the_writer_and_writes_none(store: Store) -> None:
    with open_reader(store.path) as reader:
        assert numbers(reader) == []
        put(store, 1)
        assert numbers(reader) == [1]
        with pytest.raises(DeviceFault) as refusal:
            put(reader, 2)
        assert refusal.value.code == "store-failed"


def test_a_reader_does_not_see_what_is_not_committed(store: Store) -> None:
    with open_reader(store.path) as reader:
        with store.transaction():
            put(store, 1)
            assert numbers(reader) == []
        assert numbers(reader) == [1]


def test_a_reader_opens_what_a_writer_has_closed(tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db", [MIGRATIONS]) as store:
        put(store, 1)
    with open_reader(tmp_path / "a.db") as reader:
        assert numbers(reader) == [1]


# ---------------------------------------------------------------- transactions
def interrupted(store: Store, *written: int) -> None:
    """Writes the first number, the others in an inner transaction, and then fails."""
    with store.transaction():
        put(store, written[0])
        with store.transaction():
            for number in written[1:]:
                put(store, number)
        raise RuntimeError


def test_an_exception_undoes_a_transaction(store: Store) -> None:
    with pytest.raises(RuntimeError):
        interrupted(store, 1)
    assert numbers(store) == []
    with store.transaction():
        put(store, 2)
    assert numbers(store) == [2]


def test_an_inner_transaction_joins_the_outer(store: Store) -> None:
    with pytest.raises(RuntimeError):
        interrupted(store, 1, 2)
    assert numbers(store) == []


def test_what_a_failed_inner_transaction_wrote_is_undone_though_the_outer_goes_on(
    store: Store,
) -> None:
    with store.transaction():
        put(store, 1)
        with pytest.raises(RuntimeError):
            interrupted(store, 2, 3)
        put(store, 4)
    assert numbers(store) == [1, 4]


def test_what_sqlite_undid_by_itself_fails_the_inner_transaction_and_the_outer(
    store: Store,
) -> None:
    def undone() -> None:
        with store.transaction():
            put(store, 1)
            with store.transaction():
                store.execute("ROLLBACK")
                put(store, 2)

    with pytest.raises(DeviceFault, match="rolled back"):
        undone()
    assert numbers(store) == []


def test_a_broken_rule_of_the_schema_undoes_the_whole(store: Store) -> None:
    with pytest.raises(engine.IntegrityError):
        interrupted(store, 1, 1)
    assert numbers(store) == []


def test_many_rows_are_written_whole(store: Store) -> None:
    with store.transaction():
        store.execute_many("INSERT INTO pages VALUES (?, ?)", [(n, b"") for n in range(5)])
    assert numbers(store) == [0, 1, 2, 3, 4]
    assert store.row("SELECT number FROM pages WHERE number = 9") is None


def test_a_number_of_more_than_64_bits_is_refused_in_our_words(store: Store) -> None:
    with pytest.raises(LocalError) as refusal:
        put(store, 2**63)
    assert refusal.value.code == "store-range"


def test_a_mistake_of_ours_is_not_called_damage(store: Store) -> None:
    with pytest.raises(engine.ProgrammingError):
        store.execute("INSERT INTO pages VALUES (?, ?)", (1,))
    store.close()
    with pytest.raises(engine.ProgrammingError):
        numbers(store)


# ---------------------------------------------------------------- a full disk
def put_many(store: Store, rows: dict[int, bytes]) -> None:
    with store.transaction():
        for number, content in rows.items():
            put(store, number, content)


def full(store: Store) -> None:
    pages = store.row("PRAGMA page_count")
    assert pages is not None
    store.execute(f"PRAGMA max_page_count = {pages['page_count'] + 3}")


def test_a_full_disk_is_a_fault_and_nothing_is_lost(store: Store) -> None:
    put(store, 1)
    full(store)
    with pytest.raises(DeviceFault) as fault:
        put_many(store, {2: b"", 3: b"x" * 100_000})
    assert fault.value.code == "disk-full"
    assert numbers(store) == [1]
    store.execute("PRAGMA max_page_count = 100000")
    put(store, 4, b"x" * 100_000)
    assert numbers(store) == [1, 4]


def test_a_transaction_that_met_a_full_disk_is_whole_or_nothing_whoever_caught_it(
    store: Store,
) -> None:
    full(store)
    caught = 0
    try:
        with store.transaction():
            put(store, 1)
            for number in range(2, 40):
                try:
                    put(store, number, b"x" * 3_000)
                except DeviceFault:
                    caught += 1
    except DeviceFault:
        assert numbers(store) == []
    else:
        assert numbers(store)[0] == 1
    assert caught


def test_a_disk_that_may_not_grow_keeps_every_row_it_promised(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    done = subprocess.run(
        [*CHILD, "fill", str(path), "400000"], capture_output=True, check=True, text=True
    )
    code, promised = done.stdout.split()
    assert code in {"disk-full", "store-failed"}
    assert int(promised) > 3
    with open_store(path, [MIGRATIONS]) as store:
        assert numbers(store) == list(range(int(promised)))
        assert store.row("PRAGMA integrity_check") == {"integrity_check": "ok"}
