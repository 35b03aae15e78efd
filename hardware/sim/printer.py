"""The printer's own end of the line: understands ESC/POS and turns slips into text files.

Place in the flow: `hardware.drivers.printer.ReceiptPrinter` ↔ **this** ↔ files in a folder.

    sim_dir/paper              how many slips the roll still has; absent is a full roll
    sim_dir/slips/0001.txt     what a person would read
    sim_dir/slips/0001.bin     the bytes that made it, which a real printer takes as they are

* A slip appears whole, at its cut, or not at all: with no paper left its bytes are dropped.
* The paper sensor answers for the slip before it: one that was dropped is told as paper-out.
* The text is made from the bytes, never from what the caller meant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault
from hardware.drivers.printer import ASK_PAPER_AFTER, ASK_PAPER_NOW, CUT, START, ReceiptPrinter

if TYPE_CHECKING:
    from pathlib import Path

    from edge.ports import Clock

PAPER_NAME, SLIPS_NAME = "paper", "slips"
ROLL_SLIPS: Final = 400
LOW_SLIPS: Final = 20
BUFFER_BYTES_MAX: Final = 65_536
NOW_FINE, NOW_LOW, NOW_END = 0x12, 0x1E, 0x7E
AFTER_FINE, AFTER_LOW, AFTER_END = 0x00, 0x03, 0x0F
QR_STORE: Final = re.compile(rb"\x1d\(k(..)1P0", re.DOTALL)
# What moves the head but leaves no ink; a QR command has its own length and is cut out before.
SILENT: Final = re.compile(rb"\x1b@|\x1c&|\x1bE.|\x1ba.|\x1dV[A-Z]?.", re.DOTALL)


class PrinterEnd:
    """A printer on a desk; fulfils `hardware.drivers.serial_line.ByteStream` for its driver.

    Args:
        sim_dir: Where its paper comes from and goes to.
    """

    def __init__(self, sim_dir: Path) -> None:
        self._paper = sim_dir / PAPER_NAME
        self._slips = sim_dir / SLIPS_NAME
        self._buffer = b""
        self._answers = bytearray()
        self._dropped = False

    def write(self, data: bytes) -> None:
        """Takes bytes and acts on each whole command."""
        self._buffer = (self._buffer + data)[-BUFFER_BYTES_MAX:]
        while self._buffer:
            if self._buffer.startswith(ASK_PAPER_NOW):
                self._buffer = self._buffer.removeprefix(ASK_PAPER_NOW)
                self._answers.append(_level(self._left(), NOW_FINE, NOW_LOW, NOW_END))
            elif self._buffer.startswith(ASK_PAPER_AFTER):
                self._buffer = self._buffer.removeprefix(ASK_PAPER_AFTER)
                # The end of a roll still lies in the sensor: only a dropped slip is an end here.
                left = 0 if self._dropped else max(1, self._left())
                self._answers.append(_level(left, AFTER_FINE, AFTER_LOW, AFTER_END))
            elif CUT in self._buffer:
                slip, _, self._buffer = self._buffer.partition(CUT)
                self._finish(slip + CUT)
            else:
                return

    def read(self, timeout_ms: int) -> bytes:
        """Returns the answers that wait; a simulated printer needs no time."""
        del timeout_ms
        data = bytes(self._answers)
        self._answers.clear()
        return data

    def close(self) -> None:
        """Takes nothing away: paper and slips stay."""

    def _left(self) -> int:
        try:
            return int(self._paper.read_text(encoding="ascii"))
        except FileNotFoundError:
            return ROLL_SLIPS
        except (OSError, ValueError) as error:
            raise DeviceFault(
                f"{self._paper} holds no number of slips; write one.", "paper-state"
            ) from error

    def _finish(self, data: bytes) -> None:
        left = self._left()
        self._dropped = left <= 0
        if self._dropped:
            return
        self._slips.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(path.stem) for path in self._slips.glob("[0-9]*.bin")), default=0)
        _write_whole(self._slips / f"{number:04d}.bin", data)
        _write_whole(self._slips / f"{number:04d}.txt", read_bytes(data).encode())
        _write_whole(self._paper, str(left - 1).encode())


def _level(left: int, fine: int, low: int, end: int) -> int:
    return end if left <= 0 else low if left <= LOW_SLIPS else fine


def read_bytes(data: bytes) -> str:
    """Returns what a person would read on the paper; a QR code as its text in brackets."""
    data = data[data.rfind(START) :] if START in data else data
    pieces, at = [], 0
    while (start := data.find(b"\x1d(k", at)) >= 0:
        end = start + 5 + int.from_bytes(data[start + 3 : start + 5], "little")
        stored = QR_STORE.match(data[start:end])
        shown = b"[QR " + data[start + 8 : end] + b"]" if stored else b""
        pieces += [SILENT.sub(b"", data[at:start]), shown]
        at = end
    pieces.append(SILENT.sub(b"", data[at:]))
    return b"".join(pieces).decode("gb18030", errors="replace")


def load_paper(sim_dir: Path, slips: int = ROLL_SLIPS) -> None:
    """Puts a roll in that lasts for so many slips; 0 takes the paper out."""
    sim_dir.mkdir(parents=True, exist_ok=True)
    _write_whole(sim_dir / PAPER_NAME, str(slips).encode())


def _write_whole(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        raise DeviceFault(f"{path} cannot be written; free some space.", "printer-jam") from error


def simulated_printer(sim_dir: Path, clock: Clock) -> ReceiptPrinter:
    """Returns the real driver with a simulated printer at the other end of its line."""
    return ReceiptPrinter(PrinterEnd(sim_dir), clock)
