"""Claims about the choice of vault and counter: what the settings say, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import CounterSection, VaultSection
from edge.errors import LocalError
from hardware.drivers.clock import SystemRandomness
from hardware.drivers.counter_file import FileCounter
from hardware.drivers.counter_tpm import TpmCounter
from hardware.drivers.vault import choose_counter, choose_vault


def test_settings_name_the_vault(tmp_path: Path) -> None:
    for kind in ("file", "tpm"):
        section = VaultSection(kind, tmp_path / "vault")
        assert choose_vault(section, SystemRandomness()).where == kind
    assert list(tmp_path.iterdir()) == []


def test_settings_name_the_counter() -> None:
    assert choose_counter(CounterSection()) is None
    assert isinstance(choose_counter(CounterSection("tpm")), TpmCounter)
    assert isinstance(choose_counter(CounterSection("file", Path("counter"))), FileCounter)
    with pytest.raises(LocalError, match="second medium"):
        choose_counter(CounterSection("file"))
