"""Replays a recorded log as if it were a bus or a line: candump, ASC, BLF, MF4 and NMEA 0183.

Place in the flow: log file → **can_log** → `FrameChunk`s → vehicle_gateway.decode.

* The content decides the format, never the name alone; a file of no known format is a DeviceFault
  that says which formats there are.
* Damaged lines are counted by reason in `skipped` and reading goes on (`can_log_candump`,
  `can_log_foreign`).
* `skip_frames` passes over what was handled before a restart; `position` counts from the start.
* At real speed a chunk spans at most 100 ms of recorded time and is handed on when it is due; a gap
  in the recording is waited for 10 s at most.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault
from edge.ports import FrameChunk
from hardware.drivers.can_log_candump import FIRST_LINE, CandumpParser, Columns
from hardware.drivers.can_log_foreign import read_foreign
from hardware.drivers.can_log_nmea import is_sentence, read_nmea

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from edge.ports import Clock

BLOCK_BYTES: Final = 128 * 1_024
HEAD_BYTES: Final = 4_096
LIVE_CHUNK_US: Final = 100_000
GAP_US_MAX: Final = 10_000_000

FORMATS: Final = "candump (.log), ASC, BLF, MF4 and NMEA 0183 sentences"


@dataclass(frozen=True, slots=True)
class Pace:
    """Real speed: a clock to tell when a chunk is due and a way to wait for it.

    Attributes:
        sleep: Takes seconds; `time.sleep` unless a test or a simulation brings its own.
    """

    clock: Clock
    sleep: Callable[[float], None] = time.sleep


class LogSource:
    """A recorded log as an `edge.ports.FrameSource`.

    Args:
        path: The recording.
        pace: Real speed; None plays as fast as it can be read.
    """

    def __init__(self, path: Path, pace: Pace | None = None) -> None:
        self._path = path
        self._pace = pace
        self._skipped: Counter[str] = Counter()
        self._open: Iterator[Columns] | None = None
        self._read_bytes = 0

    @property
    def fraction(self) -> float | None:
        """How much of the file has been read, 0 to 1; None where its reader does not tell."""
        if not self._read_bytes:
            return None
        return min(1.0, self._read_bytes / max(1, self._path.stat().st_size))

    @property
    def name(self) -> str:
        """The file's name."""
        return self._path.name

    @property
    def skipped(self) -> Mapping[str, int]:
        """What could not be read so far, by reason."""
        return dict(self._skipped)

    def chunks(self, skip_frames: int = 0) -> Iterator[FrameChunk]:
        """Yields the frames after the first `skip_frames`.

        Raises:
            DeviceFault: The file cannot be read or holds no known format.
        """
        self._skipped.clear()
        self._open = read_log(self._path, self._skipped, self._note)
        chunks = number_chunks(self._open, skip_frames)
        return paced(chunks, self._pace) if self._pace else chunks

    def close(self) -> None:
        """Ends reading; the file is released with the generator that holds it."""
        self._open = None

    def _note(self, read_bytes: int) -> None:
        self._read_bytes = read_bytes


def read_log(path: Path, skipped: Counter[str], note: Callable[[int], None]) -> Iterator[Columns]:
    """Yields the frames of a recording of any known format.

    Args:
        path: The recording.
        skipped: Counts what is passed over, by reason.
        note: Is told how many bytes have been read, where the reader knows.

    Raises:
        DeviceFault: The file cannot be read or holds no known format.
    """
    kind = recognise(path)
    if kind == "candump":
        return read_candump(path, skipped, note)
    return read_nmea(path, skipped, note) if kind == "nmea" else read_foreign(path, kind, skipped)


def recognise(path: Path) -> str:
    """Returns `candump`, `nmea`, `asc`, `blf` or `mf4`.

    Raises:
        DeviceFault: The file cannot be read or holds no known format.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DeviceFault(
            f"The log {path} cannot be opened: {error.strerror}.", "log-open"
        ) from error
    kind = _kind(head, path.suffix.lower())
    if kind is None:
        state = "is empty" if not head else "holds no known format"
        raise DeviceFault(f"The log {path.name} {state}; bring {FORMATS}.", "log-format")
    return kind


def _kind(head: bytes, suffix: str) -> str | None:
    if head.startswith(b"LOGG"):
        return "blf"
    if head.startswith((b"MDF     ", b"UnFinMF ")):
        return "mf4"
    if any(FIRST_LINE.match(line) for line in head.splitlines()):
        return "candump"
    if any(map(is_sentence, head.splitlines())):
        return "nmea"
    is_asc = head.startswith(b"date ") or (suffix == ".asc" and b"\nbase " in b"\n" + head)
    return "asc" if is_asc else None


def read_candump(
    path: Path, skipped: Counter[str], note: Callable[[int], None]
) -> Iterator[Columns]:
    """Yields the frames of a candump log, a block of `BLOCK_BYTES` at a time.

    Raises:
        DeviceFault: The medium fails while the file is read.
    """
    parser, read = CandumpParser(), 0
    try:
        with path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK_BYTES):
                columns = parser.feed(block)
                read += len(block)
                note(read)
                skipped.update(parser.skipped)
                parser.skipped.clear()
                if columns.ids:
                    yield columns
    except OSError as error:
        raise DeviceFault(
            f"{path.name} cannot be read on: {error.strerror}.", "log-read"
        ) from error
    parser.finish()
    skipped.update(parser.skipped)


# ------------------------------------------------------------------ position and pace
def number_chunks(read: Iterator[Columns], skip_frames: int = 0) -> Iterator[FrameChunk]:
    """Counts frames and passes over the first `skip_frames`."""
    position = 0
    for times_us, ids, payloads in read:
        done = max(0, skip_frames - position)
        position += len(ids)
        if done < len(ids):
            yield FrameChunk(times_us[done:], ids[done:], payloads[done:], position)


def paced(chunks: Iterator[FrameChunk], pace: Pace) -> Iterator[FrameChunk]:
    """Hands chunks on when they are due, split to at most 100 ms of recorded time each."""
    due_us = pace.clock.now().monotonic_us
    before_us: int | None = None
    for chunk in chunks:
        for part in split_chunk(chunk, LIVE_CHUNK_US):
            last_us = part.times_us[-1]
            step_us = 0 if before_us is None else last_us - before_us
            due_us += min(max(step_us, 0), GAP_US_MAX)
            before_us = last_us
            wait_us = due_us - pace.clock.now().monotonic_us
            if wait_us > 0:
                pace.sleep(wait_us / 1_000_000)
            yield part


def split_chunk(chunk: FrameChunk, span_us: int) -> Iterator[FrameChunk]:
    """Splits a chunk so that no part spans more than `span_us`; order is kept."""
    start, count = 0, len(chunk.ids)
    while start < count:
        end = bisect_right(chunk.times_us, chunk.times_us[start] + span_us, start)
        end = min(max(end, start + 1), count)
        yield FrameChunk(
            chunk.times_us[start:end],
            chunk.ids[start:end],
            chunk.payloads[start:end],
            chunk.position - (count - end),
        )
        start = end
