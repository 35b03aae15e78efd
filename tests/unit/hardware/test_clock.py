"""Claims about the doors to time and entropy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from hardware.drivers.clock import BOOT_ID, SystemClock, SystemRandomness

if TYPE_CHECKING:
    from pathlib import Path

DIGITS = re.compile(r"[0-9a-f]{16}")


def test_monotonic_time_never_goes_back_and_wall_time_is_of_this_age() -> None:
    clock = SystemClock()
    instants = [clock.now() for _ in range(1_000)]
    monotonic = [instant.monotonic_us for instant in instants]
    assert monotonic == sorted(monotonic)
    assert 1_600_000_000_000_000 < instants[0].wall_us < 4_102_444_800_000_000


@pytest.mark.skipif(not BOOT_ID.exists(), reason="this kernel shows no boot id")
def test_two_processes_of_one_boot_have_one_boot_id() -> None:
    assert SystemClock().now().boot_id == SystemClock().now().boot_id
    assert DIGITS.fullmatch(SystemClock().now().boot_id)


@pytest.mark.parametrize("content", ["", "not-a-boot-id", "0123", "ZZZZZZZZ-ZZZZ-ZZZZ"])
def test_a_process_without_a_boot_id_counts_as_a_boot_of_its_own(
    content: str, tmp_path: Path
) -> None:
    path = tmp_path / "boot_id"
    path.write_text(content, encoding="ascii")
    ids = {SystemClock(place).now().boot_id for place in (path, path, tmp_path / "absent")}
    assert len(ids) == 3
    assert all(DIGITS.fullmatch(each) for each in ids)


def test_the_boot_id_is_the_kernels(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("3f2504e0-4f89-11d3-9a0c-0305e82c3301\n", encoding="ascii")
    assert SystemClock(tmp_path / "id").now().boot_id == "3f2504e04f8911d3"


def test_a_boot_id_of_other_bytes_than_ascii_is_none(tmp_path: Path) -> None:
    (tmp_path / "id").write_bytes(b"\xff" * 40)
    assert DIGITS.fullmatch(SystemClock(tmp_path / "id").now().boot_id)


def test_entropy_has_the_length_asked_for_and_does_not_repeat() -> None:
    dice = SystemRandomness()
    assert [len(dice.token(count)) for count in (0, 1, 16, 32)] == [0, 1, 16, 32]
    assert len({dice.token(16) for _ in range(1_000)}) == 1_000
