"""Reads ASC, BLF and MF4 recordings through python-can, and turns its failures into ours.

Place in the flow: a recording → python-can (asammdf for MF4) → **can_log_foreign** → `can_log`.

* python-can and asammdf raise whatever their parsing meets on damaged bytes; all of it ends here.
* A recording that fails before its first frame is a `DeviceFault`; one that fails later gives what
  was whole, and `unreadable-rest` counts that something is missing.
* A BLF that is shorter than it says is read as far as it goes, and `truncated-file` says so. An MF4
  keeps what explains its data at its end, so a cut one is refused; one that its logger could not
  finish (`UnFinMF`) states no length and is read to its last whole record.
* Times are microseconds UTC: the date line of an ASC is read as UTC on every machine.
"""

from __future__ import annotations

import importlib
import struct
import time
import zlib
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final, TextIO, cast

from edge.errors import DeviceFault
from edge.lean import without
from edge.ports import EXTENDED_ID
from hardware.drivers.can_log_candump import Columns

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator
    from pathlib import Path

    import can
    from can.io.generic import MessageReader

CHUNK_FRAMES: Final = 4_096
MF4_HEADER_AT: Final = 64
MF4_BLOCK: Final = struct.Struct("<4s4xQQ")
MF4_BLOCKS_MAX: Final = 100_000
TIME_US_MAX: Final = 4_102_444_800_000_000  # 2100-01-01

# What python-can 4.6, asammdf 8.8 and the XML and zlib readers below them raise on damaged files.
FOREIGN_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def read_foreign(path: Path, kind: str, skipped: Counter[str]) -> Iterator[Columns]:
    """Yields the frames of a recording, `CHUNK_FRAMES` at a time.

    Args:
        path: The recording.
        kind: `asc`, `blf` or `mf4`.
        skipped: Counts what is passed over, by reason.

    Raises:
        DeviceFault: The file does not open, or fails before its first frame.
    """
    with _open(path, kind) as file:
        size = path.stat().st_size
        if kind == "mf4" and not _is_whole_mf4(file, size):
            raise _unreadable(path, kind, EOFError("it ends too early"))
        if kind == "blf" and _is_cut_blf(file, size):
            skipped["truncated-file"] += 1
        try:
            reader = _reader(file, kind)
        except _errors(kind) as error:
            raise _unreadable(path, kind, error) from error
        yield from _chunks(path, kind, _frames(reader, kind, skipped), skipped)


def _open(path: Path, kind: str) -> IO[Any]:
    try:
        if kind == "asc":
            return path.open(encoding="utf-8", errors="replace")
        return path.open("rb")
    except OSError as error:
        raise _unreadable(path, kind, error) from error


def _reader(file: IO[Any], kind: str) -> MessageReader:
    with without("asammdf"):
        from can.io.asc import ASCReader
        from can.io.blf import BLFReader

    if kind == "asc":
        return ASCReader(cast("TextIO", file), relative_timestamp=False)
    binary = cast("BinaryIO", file)
    return BLFReader(binary) if kind == "blf" else _mf4_reader(binary)


def _mf4_reader(file: BinaryIO) -> MessageReader:
    """Python-can was imported without asammdf, as nothing else needs that: here it is needed."""
    from can.io import mf4

    if vars(mf4)["asammdf"] is None:
        importlib.reload(mf4)
    return mf4.MF4Reader(file)


# ------------------------------------------------------------------ cut files
def _is_cut_blf(file: IO[bytes], size: int) -> bool:
    """Tells whether a BLF says of itself that it is longer: a u64 at byte 16 of its header."""
    head = file.read(24)
    file.seek(0)
    return len(head) == 24 and int.from_bytes(head[16:24], "little") > size


def _is_whole_mf4(file: IO[bytes], size: int) -> bool:
    """Follows the links of an MF4 (ASAM MDF 4.1, block section) and looks for its ends."""
    waiting, seen = [MF4_HEADER_AT], {0}
    is_whole = _read_block(file, MF4_HEADER_AT, size)[0] == b"##HD"
    while waiting and is_whole and len(seen) < MF4_BLOCKS_MAX:
        at = waiting.pop()
        if at not in seen:
            seen.add(at)
            kind, links = _read_block(file, at, size)
            is_whole = kind.startswith(b"##")
            waiting += links
    file.seek(0)
    return is_whole


def _read_block(file: IO[bytes], at: int, size: int) -> tuple[bytes, tuple[int, ...]]:
    """Returns kind and links of a block; no kind where it reaches past the end of the file."""
    file.seek(min(at, size))
    head = file.read(MF4_BLOCK.size)
    if len(head) < MF4_BLOCK.size:
        return b"", ()
    kind, length, count = MF4_BLOCK.unpack(head)
    end = MF4_BLOCK.size + 8 * count
    if length < end or at + length > size:
        return b"", ()
    return kind, struct.unpack(f"<{count}Q", file.read(8 * count))


# ------------------------------------------------------------------ failures
def _errors(kind: str) -> tuple[type[BaseException], ...]:
    from can.exceptions import CanError

    if kind != "mf4":
        return (*FOREIGN_ERRORS, CanError)
    from asammdf.blocks.utils import MdfException

    return (*FOREIGN_ERRORS, CanError, MdfException)


def _unreadable(path: Path, kind: str, error: BaseException) -> DeviceFault:
    reason = str(error).strip() or type(error).__name__
    return DeviceFault(
        f"{path.name} cannot be read as {kind.upper()} ({reason}); copy it again from the logger.",
        "log-unreadable",
    )


# ------------------------------------------------------------------ frames
def _frames(
    reader: MessageReader, kind: str, skipped: Counter[str]
) -> Iterator[tuple[int, int, bytes]]:
    """Yields (time, id, payload); the microseconds are UTC."""
    for message in reader:
        reason = _reason_to_skip(message)
        if reason:
            skipped[reason] += 1
            continue
        seconds = message.timestamp
        if kind == "asc":
            # python-can took the date line for local time; UTC is what it is on our boxes.
            seconds += time.localtime(getattr(reader, "start_time", 0.0)).tm_gmtoff
        time_us = round(seconds * 1_000_000)
        if not 0 <= time_us <= TIME_US_MAX:
            skipped["damaged-time"] += 1
            continue
        flag = EXTENDED_ID if message.is_extended_id else 0
        yield time_us, message.arbitration_id | flag, bytes(message.data)


def _reason_to_skip(message: can.Message) -> str:
    if message.is_error_frame:
        return "error-frame"
    return "remote-frame" if message.is_remote_frame else ""


def _chunks(
    path: Path, kind: str, frames: Iterator[tuple[int, int, bytes]], skipped: Counter[str]
) -> Iterator[Columns]:
    columns, any_frame = Columns([], [], []), False
    while True:
        try:
            frame = next(frames, None)
        except _errors(kind) as error:
            if not any_frame:
                raise _unreadable(path, kind, error) from error
            skipped["unreadable-rest"] += 1
            frame = None
        if frame is None:
            break
        any_frame = True
        columns.times_us.append(frame[0])
        columns.ids.append(frame[1])
        columns.payloads.append(frame[2])
        if len(columns.ids) >= CHUNK_FRAMES:
            yield columns
            columns = Columns([], [], [])
    if columns.ids:
        yield columns
