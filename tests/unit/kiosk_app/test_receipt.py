"""What is claimed of receipts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.drivers import printer
from kiosk_app.receipt import (
    Receipt,
    centred,
    lay_out,
    paired,
    qr_text,
    receipt_number,
    width,
    wrapped,
)

RECEIPT = Receipt(
    "0" * 32, receipt_number("kiosk-0001", 1, 17), "kiosk-0001", "新立村", "黄**", "**** 0001",
    198_880, 1_795_500_000_000_000, 1, 17, b"\xab" * 32,
)  # fmt: skip


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("columns", [32, 48])
@pytest.mark.parametrize("status", ["waiting", "posted", "suspense"])
def test_no_line_is_wider_than_the_paper(language: str, columns: int, status: str) -> None:
    lines = lay_out(RECEIPT, status, language, columns)
    assert all(width(line) <= columns for line in lines)
    assert any("198,880" in line or "1,988.80" in line for line in lines)
    assert any("人民币壹仟玖佰捌拾捌元捌角" in line for line in lines)


def test_a_receipt_says_what_has_become_of_it() -> None:
    said = {
        status: "\n".join(lay_out(RECEIPT, status, "zh"))
        for status in ("waiting", "posted", "suspense")
    }
    assert "待上传" in said["waiting"]
    assert "已入账" not in said["waiting"]
    assert "已入账" in said["posted"]
    assert "待上传" not in said["posted"]
    assert "需银行处理" in said["suspense"]


def test_the_code_names_device_number_and_hash() -> None:
    assert qr_text(RECEIPT) == f"LM1*kiosk-0001*1*17*{'ab' * 32}"
    assert len(qr_text(RECEIPT)) <= printer.QR_BYTES_MAX


@given(st.text(max_size=80), st.sampled_from((32, 48)))
def test_any_text_is_broken_into_lines_that_fit(text: str, columns: int) -> None:
    for line in (*wrapped(text, columns), centred(text, columns), *paired("户名", text, columns)):
        assert width(line) <= columns
        assert "\n" not in line
        assert "\x1b" not in line


@given(st.text(alphabet=st.characters(codec="gb18030", categories=("L", "N")), max_size=40))
def test_no_letter_is_lost_when_a_text_is_broken(text: str) -> None:
    assert "".join(wrapped(text, 32)) == text
