"""Claims about the vault in a TPM: the same key on the same machine, and none on another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.errors import DeviceFault, LocalError
from hardware.drivers.clock import SystemRandomness
from hardware.drivers.tpm import Tpm
from hardware.drivers.vault_tpm import TpmVault
from tests.unit.hardware.soft_tpm import needs_tpm, soft_tpm

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_tpm


def vault(tcti: str, path: Path) -> TpmVault:
    return TpmVault(Tpm(tcti), path, SystemRandomness())


def test_a_key_is_the_same_at_each_start_and_after_a_power_cut(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "vault.sealed"
    with soft_tpm(tmp_path / "tpm") as tcti:
        first = vault(tcti, path)
        key = first.key("journal")
        assert (first.where, len(key)) == ("tpm", 32)
        assert first.key("journal") == key != first.key("mirror")
        assert vault(tcti, path).key("journal") == key
    with soft_tpm(tmp_path / "tpm") as tcti:
        assert vault(tcti, path).key("journal") == key


def test_the_tpm_is_asked_once_a_start(tmp_path: Path) -> None:
    path = tmp_path / "vault.sealed"
    with soft_tpm(tmp_path / "tpm") as tcti:
        opened = vault(tcti, path)
        key = opened.key("journal")
    assert opened.key("journal") == key


def test_the_file_is_no_use_with_another_tpm(tmp_path: Path) -> None:
    path = tmp_path / "vault.sealed"
    with soft_tpm(tmp_path / "one") as tcti:
        vault(tcti, path).key("journal")
    with soft_tpm(tmp_path / "two") as tcti, pytest.raises(DeviceFault) as fault:
        vault(tcti, path).key("journal")
    assert fault.value.code == "tpm"


def test_a_damaged_or_open_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "vault.sealed"
    with soft_tpm(tmp_path / "tpm") as tcti:
        vault(tcti, path).key("journal")
        path.chmod(0o644)
        with pytest.raises(LocalError) as refusal:
            vault(tcti, path).key("journal")
        assert refusal.value.code == "vault-mode"
        path.chmod(0o600)
        for content in (b"", b"garbage", Tpm(tcti).seal(b"too short")):
            path.write_bytes(content)
            with pytest.raises(DeviceFault) as fault:
                vault(tcti, path).key("journal")
            assert fault.value.code == "vault-damaged"
