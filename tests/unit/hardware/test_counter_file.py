"""Claims about the counter on a second medium: whole or not at all, and never silently 0."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edge.errors import DeviceFault
from hardware.drivers.counter_file import FileCounter

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    FileCounter(tmp_path / "counter").create()
    return tmp_path / "counter"


def code(act: object, *arguments: int) -> str:
    assert callable(act)
    with pytest.raises(DeviceFault) as fault:
        act(*arguments)
    return fault.value.code


def test_it_is_read_by_another_program(path: Path) -> None:
    FileCounter(path).advance_to(41)
    assert FileCounter(path).read() == 41
    assert path.read_bytes() == b"41\n"


@pytest.mark.parametrize(
    "content", [b"", b"12", b"\n", b"-1\n", b"1 2\n", b"0x1\n", b"9" * 25 + b"\n", b"\xb2\n"]
)
def test_anything_but_a_number_and_its_line_is_damage(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    for act in (FileCounter(path).read, FileCounter(path).create):
        assert code(act) == "counter-damaged"
    assert code(FileCounter(path).advance_to, 9) == "counter-damaged"
    assert path.read_bytes() == content


def test_a_medium_that_was_pulled_out_is_a_fault(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()
    counter = FileCounter(path)
    assert code(counter.read) == "counter-missing"
    assert code(counter.advance_to, 1) == "counter-missing"
    assert code(counter.create) == "counter-write"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_value(
    step: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    counter = FileCounter(path)
    counter.advance_to(7)
    with monkeypatch.context() as patched:
        patched.setattr(os if step == "fsync" else type(path), step, full)
        assert code(counter.advance_to, 8) == "counter-write"
    assert counter.read() == 7


def test_a_value_is_synced_before_it_takes_the_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, type(path).replace

    def note_sync(number: int) -> None:
        done.append("sync")
        sync(number)

    def note_replace(draft: Path, to: Path) -> Path:
        done.append("replace")
        return replace(draft, to)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(type(path), "replace", note_replace)
    FileCounter(path).advance_to(1)
    assert done == ["sync", "replace", "sync"]
