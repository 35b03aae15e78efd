"""Reads candump text in bulk: the hot path of every replay.

Place in the flow: a `.log` file → **can_log_candump** → columns → `can_log` → decode.

    (1627305599.790450) can2 009#95A44F410202B07F R     classic, with direction as `candump -L -x`
    (1627305599.790450) can2 18F75E89#FF35              eight digits: an extended id
    (1627305599.790450) can2 123##1AABB                 CAN FD: one digit of flags, then data
    (1627305599.790450) can2 123#R8                     remote request: carries nothing, skipped
    (1627305599.790450) can2 20000080#0000000000000000  error frame of SocketCAN: skipped

* A block of thousands of regular lines is taken apart by a dozen calls that run in C; a block with
  anything irregular in it is read line by line, so one bad line costs that block its speed only.
* A line that is no frame is counted by reason and reading goes on; nothing is guessed.
* A last line without its line end may have lost bytes, so it is never taken: `truncated-line`.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final, NamedTuple

from edge.ports import EXTENDED_ID

LINE_BYTES_MAX: Final = 4_096
ID_MAX: Final = 0x1FFF_FFFF
STANDARD_ID_MAX: Final = 0x7FF
ERROR_FLAG: Final = 0x2000_0000
KNOWN_IDS_MAX: Final = 65_536
FD_LENGTHS: Final = frozenset({*range(9), 12, 16, 20, 24, 32, 48, 64})
FRACTION_DIGITS: Final = 6
TIME_CHARACTERS_MAX: Final = 20

LINE: Final = re.compile(
    r"\((\d{1,12})\.(\d{1,9})\)\s+\S+\s+([0-9A-Fa-f]{8}|[0-9A-Fa-f]{3})#(\S*)(?:\s+[RT])?\s*",
    re.ASCII,
)
FIRST_LINE: Final = re.compile(rb"\s*\(\d{1,12}\.\d{1,9}\)\s+\S+\s+[0-9A-Fa-f]{3,8}#")

_NO_DIGITS: Final = str.maketrans(dict.fromkeys("0123456789"))
_NO_HEX: Final = str.maketrans(dict.fromkeys("0123456789ABCDEFabcdef"))
_NO_MARKS: Final = str.maketrans(dict.fromkeys("(.)"))


class Columns(NamedTuple):
    """Frames as parallel lists, as in `edge.ports.FrameChunk`."""

    times_us: list[int]
    ids: list[int]
    payloads: list[bytes]


class Irregular(Exception):  # noqa: N818 - a signal between two readers, never an error to anybody
    """A block that the bulk reader leaves to the line reader."""


class _Ids(dict[str, int]):
    """Text of an id → the id; each text is read once."""

    def __missing__(self, text: str) -> int:
        number = read_id(text)
        if number is None or number & ERROR_FLAG:
            raise Irregular
        if len(self) >= KNOWN_IDS_MAX:
            self.clear()
        self[text] = number
        return number


def read_id(text: str) -> int | None:
    """Reads an arbitration id of three or eight hexadecimal digits.

    Returns:
        The id, bit 31 marks an extended one and bit 29 an error frame; None if it is no id.
    """
    number = int(text, 16)
    if len(text) == 3:
        return number if number <= STANDARD_ID_MAX else None
    if len(text) != 8:
        return None
    return number | EXTENDED_ID if number <= ID_MAX else _flagged(number)


def _flagged(number: int) -> int | None:
    return number if number & ERROR_FLAG and number < EXTENDED_ID else None


class CandumpParser:
    """Bytes of a log in, columns out; no file here.

    Attributes:
        skipped: Lines that were no frames, by reason.
    """

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        self._tail = b""
        self._ids = _Ids()

    def feed(self, block: bytes) -> Columns:
        """Takes the next bytes of the log and returns the frames of the lines that are whole."""
        data = self._tail + block
        cut = data.rfind(b"\n") + 1
        self._tail = data[cut:]
        if len(self._tail) > LINE_BYTES_MAX:
            self._tail = b""
            self.skipped["overlong-line"] += 1
        text = data[:cut].decode("ascii", errors="replace")
        tokens = text.split()
        try:
            return self._read_bulk(tokens, text.count("\n"))
        except (Irregular, ValueError):
            return self._read_lines(text)

    def finish(self) -> None:
        """Ends the log: bytes after the last line end are a line that was cut."""
        if self._tail.strip():
            self.skipped["truncated-line"] += 1
        self._tail = b""

    def _read_bulk(self, tokens: list[str], lines: int) -> Columns:
        if not tokens:
            return Columns([], [], [])
        step = 4 if len(tokens) == 4 * lines else 3
        if len(tokens) != step * lines or (step == 4 and not set(tokens[3::4]) <= {"R", "T"}):
            raise Irregular
        times_us = _read_times(tokens[0::step])
        frames = "\n".join(tokens[2::step])
        if frames.translate(_NO_HEX) != "\n".join(["#"] * lines):
            raise Irregular
        halves = frames.replace("#", "\n").split("\n")
        payloads = list(map(bytes.fromhex, halves[1::2]))
        if max(map(len, payloads)) > 8:
            raise Irregular
        known = self._ids
        return Columns(times_us, list(map(known.__getitem__, halves[0::2])), payloads)

    def _read_lines(self, text: str) -> Columns:
        columns = Columns([], [], [])
        for line in text.split("\n"):
            if line.strip():
                reason = _read_line(line, columns)
                if reason:
                    self.skipped[reason] += 1
        return columns


def _read_times(tokens: list[str]) -> list[int]:
    """Reads `(seconds.microseconds)` of one width; anything else is irregular."""
    count, width = len(tokens), len(tokens[0])
    joined = "\n".join(tokens)
    regular = (
        width <= TIME_CHARACTERS_MAX
        and joined.translate(_NO_DIGITS) == "\n".join(["(.)"] * count)
        and joined[width - FRACTION_DIGITS - 2 :: width + 1] == "." * count
        and joined[width :: width + 1] == "\n" * (count - 1)
    )
    if not regular:
        raise Irregular
    return list(map(int, joined.translate(_NO_MARKS).split("\n")))


def _read_line(line: str, columns: Columns) -> str:
    """Appends the frame of one line; returns why there is none, or nothing."""
    match = LINE.fullmatch(line)
    number = read_id(match[3]) if match else None
    if match is None or number is None:
        return "damaged-line"
    if not number & EXTENDED_ID and number & ERROR_FLAG:
        return "error-frame"
    if match[4][:1] in {"R", "r"}:
        return "remote-frame"
    payload = _read_data(match[4])
    if payload is None:
        return "damaged-line"
    columns.times_us.append(int(match[1]) * 1_000_000 + int(match[2][:6].ljust(6, "0")))
    columns.ids.append(number)
    columns.payloads.append(payload)
    return ""


def _read_data(text: str) -> bytes | None:
    """Reads what follows the first `#`: data, or for CAN FD `#`, a digit of flags and data."""
    is_fd = text.startswith("#")
    digits = text[2:] if is_fd else text.partition("_")[0]  # `_9` to `_F` is a raw DLC above 8
    try:
        payload = bytes.fromhex(digits)
    except ValueError:
        return None
    if is_fd:
        return payload if len(payload) in FD_LENGTHS and text[1:2].isalnum() else None
    return payload if len(payload) <= 8 else None
