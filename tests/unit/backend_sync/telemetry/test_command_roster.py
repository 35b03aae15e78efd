"""Claims about the file of drivers: what leaves is hashed, and what is wrong is not quoted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from backend_sync.telemetry.command_roster import make_roster, read_lines
from edge.drivers import DRIVERS_MAX
from edge.errors import LocalError
from hardware.drivers.clock import SystemRandomness

if TYPE_CHECKING:
    from pathlib import Path

WANG = {"subject": "driver-1", "number": "17", "name": "王师傅", "card": "04A1B2C3", "pin": "4711"}


def written(folder: Path, lines: Any) -> str:
    path = folder / "drivers.json"
    path.write_text(json.dumps(lines))
    return str(path)


def test_cards_and_pins_leave_as_hashes_alone(tmp_path: Path) -> None:
    lines = read_lines(written(tmp_path, [WANG, {"subject": "driver-2", "number": "18"}]))
    roster = make_roster(lines, SystemRandomness())
    wang, other = roster.drivers
    assert roster.by_card(bytes.fromhex("04a1b2c3")) == wang
    assert roster.by_pin("17", "4711") == wang
    assert (other.card, other.pin, other.pin_salt) == (b"", b"", b"")
    assert b"4711" not in wang.pin + wang.pin_salt
    assert make_roster(lines, SystemRandomness()).drivers[0].card != wang.card


@pytest.mark.parametrize(
    "line",
    [
        {**WANG, "subject": "13812345678"},
        {**WANG, "subject": "王"},
        {**WANG, "number": "1"},
        {**WANG, "number": "ab"},
        {**WANG, "card": "xyz"},
        {**WANG, "pin": "123"},
        {**WANG, "pin": "secret-word"},
        {**WANG, "more": 1},
        {"subject": "driver-1"},
        [],
    ],
)
def test_a_line_that_is_none_is_refused_and_not_quoted(tmp_path: Path, line: Any) -> None:
    with pytest.raises(LocalError) as refused:
        read_lines(written(tmp_path, [line]))
    assert refused.value.code == "roster-file"
    assert "secret-word" not in str(refused.value)


def test_a_file_that_is_absent_or_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot be read"):
        read_lines(str(tmp_path / "absent.json"))
    many = [
        {"subject": f"d-{number}", "number": f"{number:04}"} for number in range(DRIVERS_MAX + 1)
    ]
    with pytest.raises(LocalError, match="at most 64"):
        read_lines(written(tmp_path, many))
