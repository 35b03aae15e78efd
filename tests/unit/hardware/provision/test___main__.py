"""Claims about `lastmile-provision` as a technician types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hardware.drivers.clock import SystemClock, SystemRandomness
from hardware.provision.__main__ import main
from hardware.provision.install import Place, install, read_installed
from hardware.provision.label import label_code, label_text, short_fingerprint
from tests.unit.hardware.provision.bank import NOW_US, Bank, prepare_kiosk, spell

if TYPE_CHECKING:
    from pathlib import Path


def test_the_whole_way_by_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, stick = str(tmp_path / "kiosk"), tmp_path / "bundle.json"
    order = ["prepare", "--dir", folder, "--device", "kiosk-1", "--kind", "kiosk", "--pad", "pad-1"]
    assert main(["selftest", "--dir", folder]) == 0
    assert main(order) == 0
    request = json.loads((tmp_path / "kiosk" / "request.json").read_text())
    bank = Bank(tmp_path / "bank", clock=SystemClock())
    stick.write_bytes(spell(bank.answer(request)))
    for _ in range(2):
        assert main(["install", "--dir", folder, str(stick), "--village", "柳树村"]) == 0
    assert main(["label", "--dir", folder]) == 0
    told = capsys.readouterr().out
    assert "compare it with the work order" in told
    assert "lastmile-agent run --once" in told
    assert "keys         in a file: who takes the whole machine" in told
    assert "counter      at 0 on the disk of the stores: witnesses nothing" in told
    assert "Lastmile kiosk\nkiosk-1\n" in told


def test_selftest_speaks_to_programs_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["selftest", "--dir", str(tmp_path), "--json"]) == 0
    assert {check["ok"] for check in json.loads(capsys.readouterr().out)} == {True}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (["label"], 2),
        (["install", "missing.json"], 2),
        (["prepare", "--device", "kiosk-1", "--kind", "kiosk"], 2),
    ],
)
def test_a_wrong_step_ends_with_a_sentence(
    line: list[str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*line, "--dir", str(tmp_path)]) == code
    said = capsys.readouterr().err
    assert said.startswith("lastmile-provision: ")
    assert said.count("\n") == 1


def test_a_bundle_that_is_not_for_this_device_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare_kiosk(tmp_path / "kiosk")
    _, other = prepare_kiosk(tmp_path / "other", "kiosk-2")
    stick = tmp_path / "bundle.json"
    stick.write_bytes(spell(Bank(tmp_path / "bank").answer(other)))
    assert main(["install", "--dir", str(tmp_path / "kiosk"), str(stick)]) == 1
    assert "Take the bundle of kiosk-1" in capsys.readouterr().err


def test_a_label_lets_the_bank_recognise_the_certificate(tmp_path: Path) -> None:
    site, request = prepare_kiosk(tmp_path / "kiosk")
    bundle = spell(Bank(tmp_path / "bank").answer(request))
    done = install(site, bundle, Place(), NOW_US, SystemRandomness())
    owner, certificate = read_installed(site)
    short = short_fingerprint(certificate)
    assert certificate == done.certificate
    assert len(short) == len("95CE-E93D-399F-DC65")
    lines = label_text(owner, certificate).splitlines()
    assert lines[:3] == ["Lastmile kiosk", "kiosk-1", short]
    assert "2026-11-" in lines[3]


def test_the_label_has_a_code_where_it_can_be_drawn(tmp_path: Path) -> None:
    pytest.importorskip("segno")
    site, request = prepare_kiosk(tmp_path / "kiosk")
    install(
        site, spell(Bank(tmp_path / "bank").answer(request)), Place(), NOW_US, SystemRandomness()
    )
    assert label_code(*read_installed(site)).count("\n") > 10
