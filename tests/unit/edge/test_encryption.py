"""Claims about encrypted stores: nothing is plain, a wrong opening is told, conversion is whole."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge import encryption
from edge import store as edge_store
from edge.encryption import encrypt_store
from edge.errors import DeviceFault, LastmileError, LocalError
from edge.sqlite import HAS_CIPHER
from edge.store import open_reader, open_store
from tests.unit.edge.test_sqlite import run_without_cipher
from tests.unit.edge.writer_child import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.store import Store

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
MARKER = b"a marker that nobody may read"
PAGE = 4096

pytestmark = pytest.mark.skipif(not HAS_CIPHER, reason="sqlcipher3 is not installed")


def write(path: Path, key: bytes | None, count: int = 50) -> None:
    with open_store(path, [MIGRATIONS], key) as store:
        put(store, count)


def put(store: Store, count: int = 50) -> None:
    store.execute_many("INSERT INTO pages VALUES (?, ?)", [(n, MARKER * 10) for n in range(count)])


def count(path: Path, key: bytes | None) -> int:
    with open_reader(path, key) as reader:
        row = reader.row("SELECT count(*) AS n FROM pages WHERE content = ?", (MARKER * 10,))
    assert row is not None
    return int(row["n"])


def plain_files(folder: Path) -> list[str]:
    """Names of the files in which the marker, or the schema, can be read."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    found = [(path.name, path.read_bytes()) for path in paths]
    return [name for name, content in found if MARKER in content or b"CREATE TABLE" in content]


def refusal(act: Callable[[], object]) -> LastmileError:
    with pytest.raises(LastmileError) as refused:
        act()
    return refused.value


def openings(path: Path, key: bytes | None) -> list[Callable[[], object]]:
    return [lambda: open_store(path, [MIGRATIONS], key), lambda: open_reader(path, key)]


# ---------------------------------------------------------------- nothing plain
def test_an_encrypted_store_is_kept_and_synced_like_a_plain_one(tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db", [MIGRATIONS], KEY) as store:
        assert store.row("PRAGMA journal_mode") == {"journal_mode": "wal"}
        assert store.row("PRAGMA synchronous") == {"synchronous": 2}
        assert store.row("PRAGMA temp_store") == {"temp_store": 2}
        put(store)
        assert count(store.path, KEY) == 50
    assert count(tmp_path / "a.db", KEY) == 50


def test_no_file_of_an_encrypted_store_holds_anything_in_plain(tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db", [MIGRATIONS], KEY) as store:
        put(store, 2_000)
        store.rows("SELECT * FROM pages ORDER BY content, number DESC")
        with store.transaction():
            store.execute("UPDATE pages SET content = content || 'x'")
            assert (tmp_path / "a.db-wal").stat().st_size > 0
            assert plain_files(tmp_path) == []
        assert plain_files(tmp_path) == []
        store.execute("VACUUM")
        assert plain_files(tmp_path) == []
    assert plain_files(tmp_path) == []


def test_the_marker_is_found_where_a_store_is_plain(tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db", [MIGRATIONS]) as store:
        put(store)
        assert plain_files(tmp_path) == ["a.db-wal"]
    assert plain_files(tmp_path) == ["a.db"]


def test_two_stores_of_one_key_share_no_page(tmp_path: Path) -> None:
    for name in ("a.db", "b.db"):
        write(tmp_path / name, KEY)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.db", "b.db"))
    assert first[:16] != second[:16]
    assert not {first[i : i + 64] for i in range(0, len(first), 64)} & {
        second[i : i + 64] for i in range(0, len(second), 64)
    }


# ---------------------------------------------------------------- refusals
def test_a_wrong_key_is_refused_and_the_file_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    write(path, KEY)
    before = path.read_bytes()
    for act in openings(path, OTHER):
        error = refusal(act)
        assert (type(error), error.code) == (DeviceFault, "store-key")
        assert "vault" in str(error)
        assert "damaged" in str(error)
    assert path.read_bytes() == before
    assert count(path, KEY) == 50


@pytest.mark.parametrize("at", [0, 100, PAGE - 10])
def test_a_damaged_first_page_may_be_a_wrong_key_and_both_are_said(at: int, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    write(path, KEY)
    damage(path, at)
    assert [refusal(act).code for act in openings(path, KEY)] == ["store-key"] * 2


def test_damage_behind_the_first_page_is_not_called_a_wrong_key(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    write(path, KEY)
    for page in range(1, path.stat().st_size // PAGE):
        damage(path, page * PAGE + 200)
    assert refusal(lambda: count(path, KEY)).code == "store-damaged"


def test_a_file_cut_short_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    write(path, KEY)
    os.truncate(path, 2 * PAGE + 100)
    assert refusal(lambda: count(path, KEY)).code == "store-damaged"


def damage(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_plain_file_is_refused_where_an_encrypted_one_is_due(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    write(path, None)
    for act in openings(path, KEY):
        error = refusal(act)
        assert (type(error), error.code) == (LocalError, "store-plain")
        assert "lastmile-kiosk encrypt" in str(error)
    assert count(path, None) == 50


def test_an_encrypted_file_is_refused_without_a_key(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    write(path, KEY)
    for act in openings(path, None):
        error = refusal(act)
        assert (type(error), error.code) == (LocalError, "store-sealed")
    assert count(path, KEY) == 50


def test_pages_of_zeros_are_damage_and_no_encrypted_file(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"\0" * 4 * PAGE)
    assert [refusal(act).code for act in openings(path, None)] == ["store-damaged"] * 2


def test_a_newer_schema_is_refused_behind_the_right_key_too(tmp_path: Path) -> None:
    write(tmp_path / "a.db", KEY)
    with open_store(tmp_path / "a.db", [MIGRATIONS], KEY) as store:
        store.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('pages', 'pages_999', '')"
        )
    assert refusal(openings(tmp_path / "a.db", KEY)[0]).code == "store-newer"


def test_without_sqlcipher_an_encrypted_file_is_refused_in_our_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    write(path, KEY)
    for place in (edge_store, encryption):
        monkeypatch.setattr(place, "HAS_CIPHER", False)
    for act in (*openings(path, KEY), lambda: encrypt_store(path, KEY)):
        error = refusal(act)
        assert (type(error), error.code) == (LocalError, "store-sealed")
        assert "lastmile[kiosk]" in str(error)


def test_an_interpreter_without_sqlcipher_says_so_of_a_real_file(tmp_path: Path) -> None:
    write(tmp_path / "a.db", KEY)
    for key, hint in (("bytes(range(32))", "lastmile[kiosk]"), ("None", "[vault]")):
        code = (
            "from pathlib import Path; from edge.store import open_store;"
            f"open_store(Path({str(tmp_path / 'a.db')!r}), [], {key})"
        )
        said = run_without_cipher(code).stderr
        assert "edge.errors.LocalError" in said
        assert hint in said


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_a_key_is_in_no_error_log_or_repr(
    key: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    write(tmp_path / "a.db", KEY)
    (tmp_path / "b.db").write_bytes(b"SQLite format 3\0")
    said = ""
    for path in (tmp_path / "a.db", tmp_path / "b.db"):
        try:
            with open_store(path, [MIGRATIONS], key) as store:
                said += repr(store) + repr(vars(store))
                store.execute("no statement")
        except LastmileError as error:
            chain = [error, error.__cause__, error.__context__]
            said += "".join(repr(each) + repr(vars(each)) for each in chain if each is not None)
    said += caplog.text + "".join(capfd.readouterr())
    assert said
    assert key.hex() not in said
    assert key.hex().upper() not in said
    assert repr(key) not in said


def test_sqlcipher_prints_nothing_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a.db", KEY)
    refusal(openings(tmp_path / "a.db", OTHER)[0])
    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------- conversion
def test_a_plain_file_is_converted_with_every_row_and_nothing_plain_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    write(path, None, 500)
    assert encrypt_store(path, KEY)
    assert plain_files(tmp_path) == []
    assert count(path, KEY) == 500
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.db", "a.db.lock"]
    with open_store(path, [MIGRATIONS], KEY) as store:
        assert store.row("PRAGMA journal_mode") == {"journal_mode": "wal"}
        assert store.row("PRAGMA integrity_check") == {"integrity_check": "ok"}


def test_what_a_killed_writer_left_in_its_log_is_converted_too(tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db", [MIGRATIONS]) as store:
        put(store)
        kept = {path.name: path.read_bytes() for path in tmp_path.glob("a.db*")}
    folder = tmp_path / "killed"
    folder.mkdir()
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    assert encrypt_store(folder / "a.db", KEY)
    assert count(folder / "a.db", KEY) == 50
    assert plain_files(folder) == []


def test_an_encrypted_or_absent_file_needs_no_conversion(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    assert not encrypt_store(path, KEY)
    assert not path.exists()
    write(path, KEY)
    before = path.read_bytes()
    assert not encrypt_store(path, OTHER)
    assert path.read_bytes() == before


def test_a_file_that_is_open_for_writing_is_not_converted(tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db", [MIGRATIONS]):
        error = refusal(lambda: encrypt_store(tmp_path / "a.db", KEY))
    assert error.code == "store-locked"


STEPS = ("_export", "_check", "link", "replace", "sync_folder", "_wipe")


class Cut(BaseException):
    """The plug was pulled."""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_cut_at_any_step_leaves_a_whole_file_and_the_next_run_finishes(
    step: str, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    write(path, None, 100)
    places = {"link": os, "replace": Path}
    place: object = places.get(step, encryption)
    real = getattr(place, step)

    def cut(*arguments: object) -> object:
        if moment == "after":
            real(*arguments)
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(place, step, cut)
        with pytest.raises(Cut):
            encrypt_store(path, KEY)
    assert sum(count(path, key) for key in (None, KEY) if opens(path, key)) == 100
    encrypt_store(path, KEY)
    assert count(path, KEY) == 100
    assert plain_files(tmp_path) == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.db", "a.db.lock"]


def opens(path: Path, key: bytes | None) -> bool:
    try:
        open_reader(path, key).close()
    except LastmileError:
        return False
    return True


def test_a_draft_that_does_not_read_back_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    write(path, None)
    real = encryption._export

    def torn(path: Path, draft: Path, key: bytes) -> None:
        real(path, draft, key)
        damage(draft, PAGE + 300)

    monkeypatch.setattr(encryption, "_export", torn)
    assert refusal(lambda: encrypt_store(path, KEY)).code == "store-damaged"
    assert count(path, None) == 50


def test_a_damaged_plain_file_is_not_converted(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    content = b"SQLite format 3\0" + b"\xff" * 5_000
    path.write_bytes(content)
    assert refusal(lambda: encrypt_store(path, KEY)).code == "store-damaged"
    assert path.read_bytes() == content


def test_a_disk_that_fails_is_a_fault_of_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    write(path, None)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    assert refusal(lambda: encrypt_store(path, KEY)).code == "disk-full"
    assert count(path, None) == 50
