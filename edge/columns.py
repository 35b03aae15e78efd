"""Telemetry samples as columns: what ten seconds of a bus look like before they are sealed.

Place in the flow: decode → batch → **columns** → deflate → seal; and at the core the way back.

    Group, Group, ...  →  heads (who, how many, how spelled) and planes (the bytes of all columns)
                       →  each deflated, planes that are alike in blocks of their own

* The format, version 2, is drawn in `edge.columns2`, which reads it; a column of it in
  `edge.residuals`. Version 1 is read as it was (`edge.columns1`), and no longer written.
* The round trip is exact for every 64-bit integer; absence is a bit, never a magic number.
* A bus hands frames over in bursts: in one timeline of all groups, most times are close.
* A decoder expands to at most `samples_max` values, whatever the bytes say.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import groupby, islice, repeat
from operator import itemgetter, le, sub
from typing import TYPE_CHECKING, Any, Final

from edge import columns1, columns2
from edge.codec import LEVEL, WINDOW_BITS
from edge.columns2 import AS_IT_IS, DEFLATED, OWNER_BITS, OWNERS_MAX, VERSION
from edge.errors import LocalError
from edge.planes import (
    INT_MAX,
    INT_MIN,
    VARINT_LIMIT,
    ColumnsError,
    Reader,
    bitmap_of,
    write_varint,
    zigzag,
)
from edge.residuals import GAPS, spell, write_head

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edge.residuals import Column

__all__ = ["INT_MAX", "INT_MIN", "ColumnsError", "Group", "decode_columns", "encode_columns"]

SAMPLES_MAX: Final = 1_000_000
GROUPS_MAX: Final = 4_096
MEMORY_LEVEL: Final = 8
REGULAR_MIN: Final = 3
"""Fewer times than these do not show whether a clock has jitter."""


@dataclass(frozen=True, slots=True)
class Group:
    """Signals that were measured together, such as those of one CAN message.

    Attributes:
        times_us: When, microseconds UTC; as long as every series.
        series: Signal id of the data catalogue → scaled integers; None is absence.
    """

    times_us: Sequence[int]
    series: Mapping[int, Sequence[int | None]]


# ------------------------------------------------------------------ encode
def encode_columns(groups: Sequence[Group], base_us: int) -> bytes:
    """Encodes groups.

    Args:
        groups: At most `GROUPS_MAX`.
        base_us: Added back on decoding; the batch's start keeps the first time short.

    Raises:
        LocalError: A series is not as long as its times, or a value has more than 64 bits.
    """
    if len(groups) > GROUPS_MAX:
        raise LocalError(f"A batch has at most {GROUPS_MAX} groups.", "columns-groups")
    if not INT_MIN <= base_us <= INT_MAX:
        raise LocalError("The base of a batch has more than 64 bits.", "columns-range")
    heads = bytearray()
    write_varint(heads, zigzag(base_us))
    write_varint(heads, len(groups))
    sharing = _sharing(groups)
    columns: list[Column] = []
    for place, group in enumerate(groups):
        _write_group(heads, columns, group, base_us, is_sharing=place in sharing)
    timeline = _write_timeline(heads, [groups[place].times_us for place in sharing], base_us)
    packed = _pack([bytes(heads)])
    out = bytearray([VERSION])
    write_varint(out, len(packed))
    return bytes(out) + packed + _pack([*timeline, *_blocks(columns)])


def _sharing(groups: Sequence[Group]) -> dict[int, None]:
    """Returns the places of the groups whose times are told together, in order.

    A clock that steps back cannot be sorted in, and one without jitter is shorter alone.
    """
    fit = (place for place, group in enumerate(groups) if _is_jittery(group.times_us))
    found = dict.fromkeys(islice(fit, OWNERS_MAX))
    return found if len(found) > 1 else {}


def _is_jittery(times: Sequence[int]) -> bool:
    if not times or not all(map(le, times, islice(times, 1, None))):
        return False
    count = len(times)
    if count < REGULAR_MIN or times[0] == times[1]:
        return True
    step = times[1] - times[0]
    return list(times) != list(range(times[0], times[0] + step * count, step))


def _write_group(
    heads: bytearray, columns: list[Column], group: Group, base_us: int, *, is_sharing: bool
) -> None:
    count = len(group.times_us)
    write_varint(heads, count)
    heads.append(is_sharing)
    if not is_sharing:
        _write_values(heads, columns, list(map(sub, group.times_us, repeat(base_us))))
    write_varint(heads, len(group.series))
    due = 0
    for signal in sorted(group.series):
        values = group.series[signal]
        if not 0 <= signal < VARINT_LIMIT:
            raise LocalError("A signal's id is from 0 to 2**64 - 1.", "columns-signal")
        if len(values) != count:
            raise LocalError("A series is not as long as its times.", "columns-length")
        write_varint(heads, signal - due)
        due = signal + 1
        _write_values(heads, columns, values)


def _write_values(heads: bytearray, columns: list[Column], values: Sequence[int | None]) -> None:
    if not values:
        return
    present: Sequence[Any] = values
    bitmap = None
    if None in values:
        present = [value for value in values if value is not None]
        bitmap = bitmap_of(values)
    if not present:
        heads.append(GAPS)
        heads += bitmap or b""
        return
    column = spell(present)
    write_head(heads, column, bitmap)
    columns.append(column)


def _write_timeline(heads: bytearray, clocks: Sequence[Sequence[int]], base_us: int) -> list[bytes]:
    """Merges clocks, and returns whose each time is and the planes of all times."""
    if not clocks:
        return []
    merged = [
        time - base_us << OWNER_BITS | owner for owner, times in enumerate(clocks) for time in times
    ]
    merged.sort()
    column = spell([each >> OWNER_BITS for each in merged])
    write_head(heads, column, None)
    owners = bytes([each & OWNERS_MAX - 1 for each in merged])
    return [owners, *column.planes]


def _blocks(columns: Iterable[Column]) -> list[bytes]:
    """Joins the planes of one key, the fullest first."""
    keyed = [
        (key, plane)
        for column in columns
        for (key, _), plane in zip(column.shape(), column.planes, strict=True)
    ]
    keyed.sort(key=itemgetter(0), reverse=True)
    return [b"".join(plane for _, plane in found) for _, found in groupby(keyed, itemgetter(0))]


def _pack(blocks: Sequence[bytes]) -> bytes:
    """Deflates where that is shorter.

    Each block has codes of its own, and in what is mostly noise few matches are looked for.
    """
    plain = b"".join(blocks)
    worker = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL, zlib.Z_FILTERED)
    packed = bytearray([DEFLATED])
    for block in blocks[:-1]:
        packed += worker.compress(block) + worker.flush(zlib.Z_BLOCK)
    packed += worker.compress(b"".join(blocks[-1:])) + worker.flush()
    return bytes(packed) if len(packed) <= len(plain) else bytes([AS_IT_IS]) + plain


# ------------------------------------------------------------------ decode
def decode_columns(data: bytes, *, samples_max: int = SAMPLES_MAX) -> list[Group]:
    """Decodes groups.

    Args:
        data: Hostile bytes.
        samples_max: Most values and times in all.

    Raises:
        ColumnsError: Not what `encode_columns` makes, or more than `samples_max`.
    """
    reader = Reader(bytes(data), samples_max)
    version = reader.octet()
    if version == columns1.VERSION:
        return [Group(*each) for each in columns1.read_groups(reader, GROUPS_MAX)]
    if version == columns2.VERSION:
        return [Group(*each) for each in columns2.read_groups(reader, GROUPS_MAX, samples_max)]
    raise ColumnsError(
        f"The columns are of version {version}; update this side.", "columns-version"
    )
