"""Claims about the engine: SQLCipher where it is there, Python's own where not, and one of them."""

from __future__ import annotations

import importlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from edge.sqlite import CIPHER, HAS_CIPHER, choose_engine, engine

ROOT = Path(__file__).resolve().parents[3]
HIDE = f"import sys; sys.modules[{CIPHER!r}] = None; "
WITHOUT = [sys.executable, "-P", "-c"]


def run_without_cipher(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*WITHOUT, HIDE + code],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
    )


def test_sqlite_utils_and_the_store_catch_the_same_exceptions() -> None:
    taken = importlib.import_module("sqlite_utils.utils")
    assert taken.sqlite3 is engine
    assert taken.OperationalError is engine.OperationalError
    assert (engine is not sqlite3) == HAS_CIPHER


def test_nothing_poses_as_another_module_once_sqlite_utils_is_imported() -> None:
    assert "pysqlite3" not in sys.modules
    assert "pysqlite3.dbapi2" not in sys.modules


def test_an_interpreter_without_sqlcipher_takes_its_own_sqlite(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, CIPHER, None)
    assert choose_engine() is sqlite3


def test_a_pysqlite3_of_somebody_else_is_left_as_it_was() -> None:
    code = (
        "import types; other = types.ModuleType('pysqlite3'); sys.modules['pysqlite3'] = other;"
        "import edge.sqlite, sqlite3, sqlite_utils.utils as taken;"
        "assert taken.sqlite3 is sqlite3 is edge.sqlite.engine;"
        "assert sys.modules['pysqlite3'] is other"
    )
    assert run_without_cipher(code).stderr == ""


def test_an_sqlite_utils_that_took_another_engine_is_noticed() -> None:
    code = "import sqlite_utils.utils as taken; taken.sqlite3 = None; import edge.sqlite"
    assert "edge.sqlite must be imported before" in run_without_cipher(code).stderr


@pytest.mark.slow
def test_the_store_keeps_every_promise_without_sqlcipher_too() -> None:
    code = (
        "import pytest, edge.sqlite as s; assert not s.HAS_CIPHER;"
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', 'tests/unit/edge/test_store.py']))"
    )
    done = run_without_cipher(code)
    assert done.returncode == 0, done.stdout
