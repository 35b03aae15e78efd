"""The last known time on disk outlives torn files, and is never read as what it was not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import DeviceFault
from hardware.drivers.clock_floor import NAMES, ClockFloor

if TYPE_CHECKING:
    from pathlib import Path

FIRST = {"at_us": 1_000, "until_us": 2_000, "source": "gnss"}
SECOND = {"at_us": 3_000, "until_us": 4_000, "source": "gnss"}
THIRD = {"at_us": 5_000, "until_us": 5_000, "source": "system"}


def test_a_box_that_starts_for_the_first_time_knows_nothing(tmp_path: Path) -> None:
    assert ClockFloor(tmp_path).read() is None
    assert ClockFloor(tmp_path / "absent").read() is None


def test_what_was_written_last_is_read_also_by_another_process(tmp_path: Path) -> None:
    for known in (FIRST, SECOND, THIRD):
        ClockFloor(tmp_path).write(known)
        assert ClockFloor(tmp_path).read() == known
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("damage", [b"", b"\0" * 64, b'{"at_us":9,"until_us":9} 00000000\n'])
def test_a_torn_file_is_passed_over_and_the_other_holds(tmp_path: Path, damage: bytes) -> None:
    floor = ClockFloor(tmp_path)
    floor.write(FIRST)
    floor.write(SECOND)
    (tmp_path / NAMES[1]).write_bytes(damage)
    assert ClockFloor(tmp_path).read() == FIRST
    again = ClockFloor(tmp_path)
    again.write(THIRD)  # into the damaged one
    assert ClockFloor(tmp_path).read() == THIRD
    (tmp_path / NAMES[0]).write_bytes(damage)
    assert ClockFloor(tmp_path).read() == THIRD


def test_a_file_cut_anywhere_is_never_read_as_another_time(tmp_path: Path) -> None:
    floor = ClockFloor(tmp_path)
    floor.write(FIRST)
    whole = (tmp_path / NAMES[0]).read_bytes()
    for length in range(len(whole) - 1):
        (tmp_path / NAMES[0]).write_bytes(whole[:length])
        assert ClockFloor(tmp_path).read() is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=100))
def test_arbitrary_bytes_never_raise(tmp_path: Path, content: bytes) -> None:
    for name in NAMES:
        (tmp_path / name).write_bytes(content)
    assert ClockFloor(tmp_path).read() is None


def test_a_disk_that_takes_nothing_is_a_fault_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(DeviceFault, match=NAMES[0]):
        ClockFloor(tmp_path / "absent").write(FIRST)
