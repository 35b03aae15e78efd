"""What is claimed of a mirror that comes late, is replaced, or is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge import mirror as edge_mirror
from edge.mirror import Mirror
from edge.store import open_store
from kiosk_app.mirror import MirrorFile

if TYPE_CHECKING:
    from pathlib import Path


def absent(file: MirrorFile) -> bool:
    return file.reader is None


def test_a_mirror_may_come_late_and_tells_of_each_change(tmp_path: Path) -> None:
    path = tmp_path / "mirror.db"
    file = MirrorFile(path)
    file.poll()
    assert absent(file)
    store = open_store(path, [edge_mirror.MIGRATIONS])
    assert file.poll()
    assert file.reader is not None
    assert not file.poll()
    Mirror(store).note("contact_us", 5)
    assert file.poll()
    assert file.reader.noted("contact_us") == 5
    file.close()
    file.close()
    store.close()


def test_a_mirror_that_was_thrown_away_is_let_go_and_the_new_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mirror.db"
    for number in (1, 2):
        store = open_store(path, [edge_mirror.MIGRATIONS])
        Mirror(store).note("contact_us", number)
        if number == 1:
            file = MirrorFile(path)
        assert file.poll()
        assert file.reader is not None
        assert file.reader.noted("contact_us") == number
        store.close()
        for each in tmp_path.glob("mirror.db*"):
            each.unlink()
        assert file.poll()
        assert file.reader is None


def test_a_damaged_mirror_counts_as_absent(tmp_path: Path) -> None:
    path = tmp_path / "mirror.db"
    path.write_bytes(b"this is no database" * 100)
    file = MirrorFile(path)
    file.poll()
    assert file.reader is None


@pytest.mark.parametrize("written", [None, bytes(range(1, 33))], ids=["plain", "of another device"])
def test_a_mirror_that_is_not_this_devices_counts_as_absent_and_is_told_once(
    written: bytes | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, key = tmp_path / "mirror.db", bytes(range(32))
    open_store(path, [edge_mirror.MIGRATIONS], written).close()
    file = MirrorFile(path, key)
    for _ in range(3):
        assert file.poll()
        assert absent(file)
    assert len(caplog.records) == 1
    assert caplog.text.count("store-") == 1
    path.unlink()
    with open_store(path, [edge_mirror.MIGRATIONS], key):
        assert file.poll()
        assert not absent(file)
    file.close()
