"""The simulated printer: bytes become paper whole or not at all, and paper ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.ports import Command, Completion
from hardware.drivers.clock import SystemClock
from hardware.drivers.printer import COPY_MARK, Slip, encode_slip
from hardware.sim.printer import PrinterEnd, load_paper, simulated_printer

if TYPE_CHECKING:
    from pathlib import Path

LINES = ["助农金融服务点", "", "金额        ¥500.00", "状态      待上传"]


def print_slip(sim_dir: Path, **parameters: object) -> Completion:
    command = Command("p", "printer", "print", {"lines": LINES, **parameters})
    return simulated_printer(sim_dir, SystemClock()).execute(command)


def slips(sim_dir: Path) -> list[str]:
    return [path.read_text() for path in sorted((sim_dir / "slips").glob("*.txt"))]


def test_a_slip_is_what_a_person_reads(tmp_path: Path) -> None:
    assert print_slip(tmp_path).status == "ok"
    assert slips(tmp_path) == ["助农金融服务点\n\n金额        ￥500.00\n状态      待上传\n"]


def test_the_bytes_of_a_slip_are_kept_for_a_real_printer(tmp_path: Path) -> None:
    print_slip(tmp_path, qr="kiosk-0001/17/9c2f41ab")
    assert (tmp_path / "slips" / "0001.bin").read_bytes() == encode_slip(
        Slip(LINES, "kiosk-0001/17/9c2f41ab")
    )
    assert "[QR kiosk-0001/17/9c2f41ab]" in slips(tmp_path)[0]


def test_a_copy_says_that_it_is_one(tmp_path: Path) -> None:
    print_slip(tmp_path)
    print_slip(tmp_path, copy=True)
    assert [COPY_MARK in slip for slip in slips(tmp_path)] == [False, True]


def test_without_paper_nothing_is_printed_and_after_loading_it_is(tmp_path: Path) -> None:
    load_paper(tmp_path, 0)
    completion = print_slip(tmp_path)
    assert (completion.status, completion.code) == ("fault", "paper-out")
    assert slips(tmp_path) == []
    load_paper(tmp_path, 5)
    assert print_slip(tmp_path).status == "ok"


def test_the_last_slip_of_a_roll_is_printed_and_the_next_is_not(tmp_path: Path) -> None:
    load_paper(tmp_path, 1)
    assert [print_slip(tmp_path).code for _ in range(2)] == ["", "paper-out"]
    assert len(slips(tmp_path)) == 1


def test_paper_that_ends_under_a_slip_is_noticed_after_it(tmp_path: Path) -> None:
    class Roll(PrinterEnd):
        """Its paper ends between the question before the slip and the slip."""

        def read(self, timeout_ms: int) -> bytes:
            answer = super().read(timeout_ms)
            load_paper(tmp_path, 0)
            return answer

    from hardware.drivers.printer import ReceiptPrinter

    printer = ReceiptPrinter(Roll(tmp_path), SystemClock())
    completion = printer.execute(Command("p", "printer", "print", {"lines": LINES}))
    assert completion.code == "paper-out"
    assert slips(tmp_path) == []


def test_the_status_tells_paper_little_paper_and_none(tmp_path: Path) -> None:
    told = []
    for left in (400, 5, 0):
        load_paper(tmp_path, left)
        result = simulated_printer(tmp_path, SystemClock()).execute(
            Command("s", "printer", "status")
        ).result  # fmt: skip
        told.append((result["paper_ok"], result["paper_low"]))
    assert told == [(True, False), (True, True), (False, True)]


def test_slips_are_numbered_over_restarts(tmp_path: Path) -> None:
    for _ in range(3):
        print_slip(tmp_path)
    assert [path.name for path in sorted((tmp_path / "slips").glob("*.txt"))] == [
        "0001.txt", "0002.txt", "0003.txt",
    ]  # fmt: skip


def test_half_a_slip_is_no_slip(tmp_path: Path) -> None:
    end = PrinterEnd(tmp_path)
    data = encode_slip(Slip(LINES))
    end.write(data[:-3])
    assert slips(tmp_path) == []
    end.write(data[-3:])
    assert len(slips(tmp_path)) == 1


def test_a_paper_file_that_is_no_number_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "paper").write_text("full")
    assert print_slip(tmp_path).code == "paper-state"
