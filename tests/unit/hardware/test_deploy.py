"""Claims about the deployment files: systemd accepts the units, and they are sandboxed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[3] / "hardware" / "deploy" / "systemd").glob("*.service"))
ANALYZE = shutil.which("systemd-analyze")


def test_there_is_a_unit_for_each_of_our_services() -> None:
    assert [unit.stem for unit in UNITS] == [
        "lastmile-agent",
        "lastmile-core",
        "lastmile-door",
        "lastmile-gateway",
        "lastmile-kiosk",
        "lastmile-panel",
    ]


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_no_fault_but_the_missing_program(unit: Path) -> None:
    said = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    ).stderr
    faults = [line for line in said.splitlines() if unit.name in line or "Unknown" in line]
    assert [line for line in faults if "is not executable" not in line] == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_every_unit_gives_up_what_it_does_not_need(unit: Path) -> None:
    lines = unit.read_text(encoding="utf-8").splitlines()
    for line in (
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "CapabilityBoundingSet=",
        "SystemCallFilter=@system-service",
    ):
        assert line in lines
    assert any(line.startswith("RestrictAddressFamilies=") for line in lines)


def test_the_drop_in_opens_the_tpm_and_nothing_else() -> None:
    drop_in = (UNITS[0].parent / "tpm.conf").read_text(encoding="utf-8").splitlines()
    settings = [line for line in drop_in if line and not line.startswith("#")]
    assert settings == [
        "[Service]",
        "SupplementaryGroups=tss",
        "PrivateDevices=no",
        "DeviceAllow=/dev/tpmrm0 rw",
    ]


@pytest.mark.parametrize("name", ["lastmile-kiosk", "lastmile-panel"])
def test_a_screen_has_no_network(name: str) -> None:
    screen = next(unit for unit in UNITS if unit.stem == name)
    assert "RestrictAddressFamilies=AF_UNIX" in screen.read_text(encoding="utf-8").splitlines()


def test_a_gateway_that_hangs_is_started_anew() -> None:
    gateway = next(unit for unit in UNITS if unit.stem == "lastmile-gateway")
    lines = gateway.read_text(encoding="utf-8").splitlines()
    assert {"Type=notify", "WatchdogSec=60", "Restart=always"} <= set(lines)
