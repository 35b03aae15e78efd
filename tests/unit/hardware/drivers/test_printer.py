"""A slip as bytes: what is sent, what can never be sent, and lines that are broken, not cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import LocalError
from edge.ports import Command
from hardware.drivers.clock import SystemClock
from hardware.drivers.printer import (
    CUT,
    START,
    ReceiptPrinter,
    Slip,
    broken,
    encode_slip,
    qr_code,
    width,
)
from hardware.drivers.serial_line import SerialLine

if TYPE_CHECKING:
    from pathlib import Path

CONTROL = set(range(0x20)) - {0x0A}


def test_the_sign_of_the_yuan_is_the_one_that_gb18030_printers_have() -> None:
    assert "￥".encode("gb18030") in encode_slip(Slip(["¥500.00"]))


@given(st.text(max_size=60))
def test_no_text_can_command_the_printer(text: str) -> None:
    plain, named = encode_slip(Slip([""])), encode_slip(Slip([text]), columns=1_000)
    ink = named[len(plain) - len(CUT) - 1 : -len(CUT)]
    assert not CONTROL & set(ink)


@given(st.text(st.characters(exclude_categories=["C", "M"]), max_size=80), st.integers(2, 48))
def test_a_line_is_broken_into_what_fits_and_loses_nothing(text: str, columns: int) -> None:
    lines = broken(text, columns)
    assert "".join(lines) == text
    assert all(width(line) <= columns for line in lines)


def test_chinese_characters_take_two_columns() -> None:
    assert width("金额 500￥") == 2 + 2 + 1 + 3 + 2


def test_a_qr_code_is_stored_with_its_length_and_printed() -> None:
    assert b"\x1d(k\x05\x001P0ab" in qr_code("ab")
    assert qr_code("ab").endswith(b"\x1d(k\x03\x001Q0")


def test_every_slip_starts_anew_and_ends_in_a_cut() -> None:
    data = encode_slip(Slip(["a"]))
    assert data.startswith(START)
    assert data.endswith(CUT)


TOO_MUCH = {
    "more lines than a slip has": (Slip(["x"] * 121), "slip-long"),
    "a QR code of a whole document": (Slip([], "x" * 513), "slip-qr"),
    "a QR code that holds a command": (Slip([], "\x1dVB"), "slip-qr"),
}


@pytest.mark.parametrize(("slip", "code"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_is_too_much_for_a_slip_is_refused(slip: Slip, code: str) -> None:
    with pytest.raises(LocalError) as caught:
        encode_slip(slip)
    assert caught.value.code == code


def test_a_printer_that_does_not_answer_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardware.drivers.printer.ANSWER_MS_MAX", 50)
    silent = tmp_path / "silent"
    silent.touch()
    line = SerialLine(silent)
    completion = ReceiptPrinter(line, SystemClock()).execute(Command("s", "printer", "status"))
    line.close()
    assert (completion.status, completion.code) == ("fault", "printer-silent")


def test_wrong_parameters_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p").touch()
    line = SerialLine(tmp_path / "p")
    printer = ReceiptPrinter(line, SystemClock())
    for parameters in ({}, {"lines": [1]}, {"lines": "x", "qr": 5}):
        command = Command("p", "printer", "print", parameters)
        assert printer.execute(command).code == "parameter"
    line.close()
