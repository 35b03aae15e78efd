"""The receipt printer: a slip as ESC/POS bytes, and the driver that sends them.

Place in the flow: worker → `ReceiptPrinter` → a serial line, or `hardware.sim.printer` at its end.

    ESC @            start anew              FS &             Chinese characters (GB18030)
    ESC E n          bold                    ESC a n          left 0, centre 1
    GS ( k ...       QR code, model 2        GS V B n         feed and cut
    DLE EOT 4        roll paper, at once     GS r 1           roll paper, after all before it

Sources: Epson ESC/POS reference, "QR code" 49 65..81, DLE EOT n = 4, GS r.

* A slip is sent only when there is paper, and is done only when the printer says so *after* it.
* A text can print but not command: control characters of a name never reach the printer.
* A line is broken, never cut off; Chinese characters count two columns of 32 (58 mm) or 48 (80 mm).
* GB18030 printers have no half-width yen sign: `¥` becomes `￥`.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault, LocalError
from hardware.drivers.call import CallDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge.ports import Clock, Command, Completion
    from hardware.drivers.call import Call
    from hardware.drivers.serial_line import ByteStream

START, CHINESE = b"\x1b@", b"\x1c&"
BOLD_ON, BOLD_OFF = b"\x1bE\x01", b"\x1bE\x00"
LEFT, CENTRE = b"\x1ba\x00", b"\x1ba\x01"
CUT: Final = b"\x1dVB\x00"
ASK_PAPER_NOW, ASK_PAPER_AFTER = b"\x10\x04\x04", b"\x1dr\x01"
PAPER_END_NOW, PAPER_NEAR_END_NOW = 0x60, 0x0C
PAPER_END_AFTER: Final = 0x0C
COLUMNS: Final = 32
LINES_MAX: Final = 120
QR_BYTES_MAX: Final = 512
COPY_MARK: Final = "＊＊＊ 补打 COPY ＊＊＊"
ANSWER_MS_MAX: Final = 3_000
POLL_MS: Final = 50


@dataclass(frozen=True, slots=True)
class Slip:
    """What is to be printed.

    Attributes:
        lines: Plain text.
        qr: Text of a QR code below the lines, or empty.
        copy: A further print of a slip, marked as such.
    """

    lines: Sequence[str]
    qr: str = ""
    copy: bool = False


# ------------------------------------------------------------------ bytes
def encode_slip(slip: Slip, columns: int = COLUMNS) -> bytes:
    """Returns the ESC/POS bytes of a slip, from start to cut.

    Raises:
        LocalError: More lines than a slip has, or a QR code of more than 512 bytes.
    """
    if len(slip.lines) > LINES_MAX:
        raise LocalError(f"A slip has at most {LINES_MAX} lines.", "slip-long")
    parts = [START, CHINESE]
    if slip.copy:
        parts += [CENTRE, BOLD_ON, _coded(COPY_MARK), BOLD_OFF, LEFT]
    parts += [_coded(part) for line in slip.lines for part in broken(_printable(line), columns)]
    if slip.qr:
        parts += [CENTRE, qr_code(slip.qr), b"\n", LEFT]
    return b"".join([*parts, CUT])


def qr_code(text: str) -> bytes:
    """Returns the commands that print a QR code: model 2, 5 dots a module, error correction M.

    Raises:
        LocalError: The text is too long for a slip, or holds control characters.
    """
    data = text.encode()
    if len(data) > QR_BYTES_MAX or not text.isprintable():
        raise LocalError(f"A QR code is {QR_BYTES_MAX} bytes of printable text.", "slip-qr")
    bodies = (b"1A2\0", b"1C\x05", b"1E1", b"1P0" + data, b"1Q0")
    return b"".join(b"\x1d(k" + len(body).to_bytes(2, "little") + body for body in bodies)


def width(text: str) -> int:
    """Returns how many columns a text takes."""
    return sum(2 if unicodedata.east_asian_width(each) in "WFA" else 1 for each in text)


def broken(text: str, columns: int) -> list[str]:
    """Breaks a text into lines of at most `columns`; an empty text is one empty line."""
    lines, line, used = [], "", 0
    for character in text:
        takes = width(character)
        if used + takes > columns:
            lines.append(line)
            line, used = "", 0
        line, used = line + character, used + takes
    return [*lines, line]


def _printable(line: str) -> str:
    shown = line.replace("¥", "￥").replace("\t", " ")
    return "".join("?" if unicodedata.category(each)[0] == "C" else each for each in shown)


def _coded(line: str) -> bytes:
    return line.encode("gb18030") + b"\n"


# ------------------------------------------------------------------ driver
class ReceiptPrinter(CallDevice):
    """An ESC/POS printer at a byte stream; fulfils `edge.ports.KioskDevice`.

    Verbs: `print` {lines: text or texts, qr: text, copy: bool} and `status`.

    Args:
        line: The printer's line.
        clock: Measures time limits.
        columns: 32 for 58 mm paper, 48 for 80 mm.
    """

    def __init__(self, line: ByteStream, clock: Clock, columns: int = COLUMNS) -> None:
        super().__init__("printer", clock)
        self._line = line
        self._columns = columns

    def verbs(self) -> Mapping[str, Callable[[Call], Completion]]:
        """`print` and `status`."""
        return {"print": self._print, "status": self._status}

    def _status(self, call: Call) -> Completion:
        paper = self._ask(ASK_PAPER_NOW)
        near = bool(paper & PAPER_NEAR_END_NOW)
        return call.done(paper_ok=not paper & PAPER_END_NOW, paper_low=near)

    def _print(self, call: Call) -> Completion:
        data = encode_slip(read_slip(call.command), self._columns)
        if self._ask(ASK_PAPER_NOW) & PAPER_END_NOW:
            return call.failed("fault", "paper-out")
        self._line.write(data)
        if self._ask(ASK_PAPER_AFTER) & PAPER_END_AFTER == PAPER_END_AFTER:
            return call.failed("fault", "paper-out")
        return call.done()

    def _ask(self, question: bytes) -> int:
        self._line.write(question)
        waited_ms = 0
        while waited_ms < ANSWER_MS_MAX:
            answer = self._line.read(POLL_MS)
            if answer:
                return answer[-1]
            waited_ms += POLL_MS
        raise DeviceFault("The printer does not answer; check power and cable.", "printer-silent")


def read_slip(command: Command) -> Slip:
    """Reads the parameters of `print`.

    Raises:
        LocalError: They are no slip.
    """
    lines, qr = command.parameters.get("lines"), command.parameters.get("qr", "")
    if isinstance(lines, str):
        lines = lines.splitlines()
    if not isinstance(lines, list | tuple) or not all(isinstance(each, str) for each in lines):
        raise LocalError("print needs lines as text.", "parameter")
    if not isinstance(qr, str):
        raise LocalError("print needs qr as text.", "parameter")
    return Slip(tuple(lines), qr, bool(command.parameters.get("copy")))
