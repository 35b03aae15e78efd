"""Claims about the vault in a file: made once, the owner's alone, one key a name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import DeviceFault, LocalError
from hardware.drivers.clock import SystemRandomness
from hardware.drivers.vault_file import FileVault, write_once

ROOT = Path(__file__).resolve().parents[3]


def vault(path: Path) -> FileVault:
    return FileVault(path, SystemRandomness())


def test_a_key_is_the_same_at_each_start_and_another_for_each_name_and_vault(
    tmp_path: Path,
) -> None:
    path = tmp_path / "keys" / "vault.key"
    first = vault(path)
    assert first.where == "file"
    assert first.key("journal") == vault(path).key("journal")
    keys = {first.key("journal"), first.key("mirror"), vault(tmp_path / "other").key("journal")}
    assert len(keys) == 3
    assert {len(key) for key in keys} == {32}
    assert path.read_bytes() not in keys


def test_a_key_of_a_given_master_never_changes(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    write_once(path, bytes(range(32)), SystemRandomness())
    # HKDF-SHA256 as RFC 5869 has it, computed with another library.
    assert vault(path).key("journal").hex() == (
        "7f3d612a0771d88921df0580ff22d91bf01e23dcc71522969b497594f468a5f7"
    )


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    vault(path).key("journal")
    assert path.stat().st_mode & 0o777 == 0o600
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(LocalError, match="chmod 600") as refusal:
            vault(path).key("journal")
        assert refusal.value.code == "vault-mode"


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_vault_that_holds_something_else_is_damaged(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(DeviceFault) as fault:
        vault(path).key("journal")
    assert fault.value.code == "vault-damaged"


def test_what_cannot_be_read_or_written_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "vault.key").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for path, code in (("vault.key", "vault-read"), ("file/vault.key", "vault-read")):
        with pytest.raises(DeviceFault) as fault:
            vault(tmp_path / path).key("journal")
        assert fault.value.code == code


def test_a_full_disk_leaves_no_half_vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "keys" / "vault.key"
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(DeviceFault) as fault:
            vault(path).key("journal")
    assert fault.value.code == "vault-write"
    assert not path.exists()
    assert len(vault(path).key("journal")) == 32


def test_the_master_is_synced_and_then_its_name_before_a_key_is_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, link = os.fsync, os.link

    def note_sync(number: int) -> None:
        done.append("sync")
        sync(number)

    def note_link(draft: Path, path: Path) -> None:
        done.append("link")
        link(draft, path)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "link", note_link)
    vault(tmp_path / "vault.key").key("journal")
    assert done == ["sync", "link", "sync"]
    vault(tmp_path / "vault.key").key("journal")
    assert done == ["sync", "link", "sync", "sync"]


def test_the_slower_of_two_programs_takes_what_the_faster_has_made(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    assert write_once(path, b"faster", SystemRandomness()) == b"faster"
    assert write_once(path, b"slower", SystemRandomness()) == b"faster"
    assert [each.name for each in tmp_path.iterdir()] == ["vault.key"]


def test_programs_that_start_together_get_one_key(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    code = (
        "from pathlib import Path; from hardware.drivers.clock import SystemRandomness;"
        "from hardware.drivers.vault_file import FileVault;"
        f"print(FileVault(Path({str(path)!r}), SystemRandomness()).key('journal').hex())"
    )
    command = [sys.executable, "-P", "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    starts = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        for _ in range(4)
    ]
    said = {started.communicate()[0] for started in starts}
    assert said == {vault(path).key("journal").hex() + "\n"}
