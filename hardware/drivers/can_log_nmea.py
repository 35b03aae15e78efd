"""Reads a receiver's log of NMEA 0183 sentences, each line at the time that the sentences tell.

Place in the flow: a text log → **can_log_nmea** → `can_log` → `FrameChunk`s of `NMEA_LINE`.

* A line is handed on as it is, damaged or no sentence: whoever reads a receiver sorts that out.
* A log has no times of arrival. Sentences with a time of day (RMC, GGA, GLL, GNS, ZDA) set it, RMC
  and ZDA the date; lines in between have the time of the last, those before any that of the first.
  All before the first date wait for it, at most `WAITING_MAX` lines; without one it is 1970-01-01.
* A time of day that falls by more than half a day is midnight.
* Only a sentence whose checksum is right sets the time.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault
from edge.ports import LINE_BYTES_MAX, NMEA_LINE
from hardware.drivers.can_log_candump import Columns

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator
    from pathlib import Path


SENTENCE: Final = re.compile(rb"^\$([A-Z0-9]{5},[ -~]*)\*([0-9A-Fa-f]{2})\s*$")
TIME: Final = re.compile(rb"(\d\d)(\d\d)(\d\d)(\.\d{1,6})?")
TIME_AT: Final = {b"RMC": 1, b"GGA": 1, b"GNS": 1, b"ZDA": 1, b"GLL": 5}
CHUNK_LINES: Final = 1_024
WAITING_MAX: Final = 4_096
DAY_US: Final = 86_400_000_000
CENTURY: Final = 80
"""Years of two digits from here on are of the last century: satellites began in 1980."""


def is_sentence(line: bytes) -> bool:
    """Says whether a line is a whole sentence with the right checksum."""
    return _fields(line) is not None


def read_nmea(path: Path, skipped: Counter[str], note: Callable[[int], None]) -> Iterator[Columns]:
    """Yields the lines of a log.

    Args:
        path: The log.
        skipped: Counts lines that are too long.
        note: Is told how many bytes have been read.

    Raises:
        DeviceFault: The medium fails while the file is read.
    """
    times = _Times()
    lines: list[bytes] = []
    stamps: list[int | None] = []
    undated = 0
    for line in _lines(path, skipped, note):
        lines.append(line)
        stamps.append(times.of(line))
        undated += times.first is None
        if len(lines) >= (WAITING_MAX if times.first is None else CHUNK_LINES):
            yield _columns(lines, stamps, undated, times.first)
            lines, stamps, undated = [], [], 0
    if lines:
        yield _columns(lines, stamps, undated, times.first)


def _lines(path: Path, skipped: Counter[str], note: Callable[[int], None]) -> Iterator[bytes]:
    read, is_rest = 0, False
    try:
        with path.open("rb") as file:
            while line := file.readline(LINE_BYTES_MAX + 1):
                read += len(line)
                note(read)
                is_whole = line.endswith(b"\n") or len(line) <= LINE_BYTES_MAX
                if not is_whole and not is_rest:
                    skipped["overlong-line"] += 1
                elif not is_rest and (text := line.rstrip(b"\r\n")):
                    yield text
                is_rest = not is_whole
    except OSError as error:
        raise DeviceFault(
            f"{path.name} cannot be read on: {error.strerror}.", "log-read"
        ) from error


class _Times:
    """Follows the time of a log: day and time of day that were told last.

    Attributes:
        day: Start of the day, microseconds since 1970 UTC; counted from 0 until one is told.
        first: The day that stands for 0, once a date was told.
    """

    def __init__(self) -> None:
        self.day = 0
        self.first: int | None = None
        self._of_day: int | None = None

    def of(self, line: bytes) -> int | None:
        """Returns the time of a line, from day 0 on before a date was told, None before a time."""
        fields = _fields(line)
        if fields is not None:
            self._take(fields)
        return None if self._of_day is None else self.day + self._of_day

    def _take(self, fields: list[bytes]) -> None:
        kind = fields[0][2:]
        place = TIME_AT.get(kind)
        of_day = _time_of_day(fields[place]) if place and place < len(fields) else None
        if of_day is None:
            return
        if self._of_day is not None and of_day < self._of_day - DAY_US // 2:
            self.day += DAY_US
        self._of_day = of_day
        day = _date(kind, fields)
        if day is not None:
            if self.first is None:
                self.first = day - self.day
            self.day = day


def _columns(
    lines: list[bytes], stamps: list[int | None], undated: int, first: int | None
) -> Columns:
    """Gives the first `undated` lines the day of the first date, and those before any time that."""
    place, start = next((pair for pair in enumerate(stamps) if pair[1] is not None), (0, 0))
    if start is not None and place >= undated:
        start -= first or 0  # the first sentence with a time told the date as well
    moved = [start or 0 if stamp is None else stamp for stamp in stamps]
    moved[:undated] = [stamp + (first or 0) for stamp in moved[:undated]]
    return Columns(moved, [NMEA_LINE] * len(lines), lines)


def _fields(line: bytes) -> list[bytes] | None:
    match = SENTENCE.match(line)
    if match is None or reduce(xor, match[1], 0) != int(match[2], 16):
        return None
    return match[1].split(b",")


def _time_of_day(text: bytes) -> int | None:
    match = TIME.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds = (int(match[group]) for group in (1, 2, 3))
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    fraction = int((match[4] or b".0")[1:].ljust(6, b"0"))
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction


def _date(kind: bytes, fields: list[bytes]) -> int | None:
    """Returns the start of the day that a sentence tells, microseconds since 1970 UTC."""
    try:
        if kind == b"RMC":
            text = fields[9]
            year = int(text[4:6])
            day = dt.date(year + (1900 if year >= CENTURY else 2000), int(text[2:4]), int(text[:2]))
        elif kind == b"ZDA":
            day = dt.date(int(fields[4]), int(fields[3]), int(fields[2]))
        else:
            return None
    except (IndexError, ValueError):
        return None
    return (day - dt.date(1970, 1, 1)).days * DAY_US
