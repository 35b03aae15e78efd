"""Claims about the self-test: it does the real thing, leaves nothing, and says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hardware.drivers.clock import SystemRandomness
from hardware.provision.request import BUILT_US
from hardware.provision.selftest import FREE_BYTES_MIN, judge_clock, judge_space, run_selftest
from tests.unit.hardware.provision.bank import NOW_US, YEAR_US, SetClock

if TYPE_CHECKING:
    from pathlib import Path

    from edge.ports import Randomness
    from hardware.provision.selftest import Check


class StuckRandomness:
    """A generator that is broken."""

    def token(self, count: int) -> bytes:
        return bytes(count)


def run(
    folder: Path, wall_us: int = NOW_US, randomness: Randomness | None = None
) -> dict[str, Check]:
    checks = run_selftest(folder, SetClock(wall_us), randomness or SystemRandomness(), BUILT_US)
    return {check.name: check for check in checks}


def test_a_fit_machine_passes_and_nothing_stays_behind(tmp_path: Path) -> None:
    assert [name for name, check in run(tmp_path).items() if not check.ok] == []
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    run(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("free", "ok"), [(0, False), (FREE_BYTES_MIN - 1, False), (FREE_BYTES_MIN, True)]
)
def test_a_disk_without_space_is_not_fit(free: int, *, ok: bool) -> None:
    found, detail = judge_space(free)
    assert found is ok
    assert ("free 256 MiB first" in detail) is not ok


@pytest.mark.parametrize("years", [0, 10, 14])
def test_a_clock_of_any_year_of_a_devices_life_is_believed(years: int) -> None:
    assert judge_clock(BUILT_US + years * YEAR_US, BUILT_US)[0]


@pytest.mark.parametrize("wall_us", [0, BUILT_US - 1, BUILT_US + 20 * YEAR_US, 2**62])
def test_a_clock_that_cannot_be_right_is_not_believed(wall_us: int, tmp_path: Path) -> None:
    check = run(tmp_path, wall_us)["clock"]
    assert not check.ok
    assert "set it, then repeat" in check.detail


def test_a_generator_that_repeats_itself_is_noticed(tmp_path: Path) -> None:
    check = run(tmp_path, randomness=StuckRandomness())["entropy"]
    assert not check.ok
    assert "replace this machine" in check.detail


def test_a_folder_that_cannot_be_made_fails_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    failed = {name for name, check in run(tmp_path / "file" / "below").items() if not check.ok}
    assert {"disk-writes", "disk-space", "database-full-sync"} <= failed
