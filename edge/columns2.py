"""Columns of version 2: the format, and its reader.

Place in the flow: columns (which writes it) → the wire → **columns2**, at the core.

    columns   02 | bytes of heads | heads | planes              all counts and ids are varints
    heads     packing | zigzag(base) | groups | group* | [column of the timeline]
    group     n | 0 | [column of n times] | series | serie*      a clock of its own, from the base
              n | 1 | series | serie*                            its times are in the timeline
    serie     signal id - (the one before + 1) | [column of n values]
    column    form | [bitmap] | [start ... | ...]               edge.residuals; nothing where n = 0
    planes    packing | [owners | planes of the timeline] | planes of all columns by falling key

    packing   0 as it is    1 DEFLATE
    timeline  the times of all groups that share it; owners: one byte a time says whose it is

* Heads come first: they claim every value and tell the length of all planes to the byte, so that
  nothing is inflated that is not due.
* A column whose values are all absent has form, bitmap and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from edge.codec import CodecError, inflate
from edge.planes import VARINT_LIMIT, ColumnsError, Reader, require_range, spread
from edge.residuals import CONSTANT, GAPS, OUTLIERS, read_head, values_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.residuals import Column

    Group = tuple[list[int], dict[int, Sequence[int | None]]]

VERSION: Final = 2
AS_IT_IS, DEFLATED = 0, 1
OWN, SHARED = 0, 1
OWNERS_MAX: Final = 256
OWNER_BITS: Final = 8
HEADS_BYTES: Final = 65_536
HEADS_BYTES_PER_SAMPLE: Final = 32
"""One value takes at most 10 bytes of id, 10 of start, form and bitmap; more are shorter each."""
FORM_MAX: Final = 3 | GAPS | OUTLIERS


@dataclass(slots=True)
class _Waiting:
    """A column whose planes are still to come, and the list that its values go into."""

    column: Column
    count: int
    bitmap: int | None
    into: list[Any]

    def finish(self) -> None:
        values = values_of(self.column)
        self.into[:] = values if self.bitmap is None else spread(self.bitmap, self.count, values)


def read_groups(reader: Reader, groups_max: int, samples_max: int) -> list[Group]:
    """Reads what follows the version: (times, series by signal id) of each group.

    Raises:
        ColumnsError: No columns of version 2, or more groups or values than the limits.
    """
    heads_max = HEADS_BYTES + HEADS_BYTES_PER_SAMPLE * samples_max
    heads = Reader(_unpack(reader.take(reader.varint()), heads_max), samples_max)
    batch = _Batch(heads, groups_max)
    batch.read_planes(reader.rest())
    return batch.finish()


def _unpack(packed: bytes, size_max: int) -> bytes:
    packing, body = packed[:1], packed[1:]
    if packing == bytes([AS_IT_IS]):
        return body
    if packing != bytes([DEFLATED]):
        raise ColumnsError("The columns are packed in an unknown way.", "columns-packing")
    try:
        return inflate(body, size_max)
    except CodecError as error:
        raise ColumnsError(f"The columns do not inflate: {error}", "columns-deflate") from None


class _Batch:
    """What the heads say, waiting for its planes."""

    def __init__(self, heads: Reader, groups_max: int) -> None:
        self._heads = heads
        self._waiting: list[_Waiting] = []
        self._groups: list[Group] = []
        self._sharing: list[tuple[list[int], int]] = []
        self._owners: list[bytes] = []
        self._base_us = heads.signed()
        groups = heads.varint()
        if groups > groups_max:
            raise ColumnsError("The columns have too many groups.", "columns-groups")
        for _ in range(groups):
            self._groups.append(self._read_group())
        self._timeline = self._read_timeline()
        heads.require_end()

    # ------------------------------------------------------------ heads
    def _read_group(self) -> Group:
        heads = self._heads
        count = heads.claim(heads.varint())
        clock = heads.octet()
        times: list[int] = []
        if clock == OWN and count:
            self._waiting.append(_Waiting(self._read_clock(count), count, None, times))
        elif clock == SHARED and count:
            self._sharing.append((times, count))
        elif clock != OWN:
            raise ColumnsError("A group has an unknown clock.", "columns-clock")
        return times, self._read_series(count)

    def _read_clock(self, count: int) -> Column:
        """Reads a column of times, which has no gaps."""
        form = self._heads.octet()
        if form > FORM_MAX or form & GAPS:
            raise ColumnsError("A column of times has an unknown form.", "columns-form")
        return read_head(self._heads, form, count)

    def _read_series(self, count: int) -> dict[int, Sequence[int | None]]:
        heads, due = self._heads, 0
        series: dict[int, Sequence[int | None]] = {}
        for _ in range(heads.varint()):
            signal = due + heads.varint()
            if signal >= VARINT_LIMIT:
                raise ColumnsError("A signal's id has more than 64 bits.", "columns-varint")
            due = signal + 1
            heads.claim(max(count, 1))  # even an empty series costs memory
            series[signal] = self._read_column(count) if count else []
        return series

    def _read_column(self, count: int) -> list[int | None]:
        heads = self._heads
        form = heads.octet()
        if form > FORM_MAX:
            raise ColumnsError("A column has an unknown form.", "columns-form")
        bitmap, present = None, count
        if form & GAPS:
            bitmap = heads.bitmap(count)
            present = bitmap.bit_count()
            if present == count or (not present and form != GAPS):
                raise ColumnsError("A bitmap of a column without gaps.", "columns-bitmap")
        if not present:
            return [None] * count
        column = read_head(heads, form, present)
        if column.order == CONSTANT and bitmap is None:
            return [*values_of(column)]  # the usual case waits for nothing
        values: list[int | None] = []
        self._waiting.append(_Waiting(column, count, bitmap, values))
        return values

    def _read_timeline(self) -> Column | None:
        if not self._sharing:
            return None
        if len(self._sharing) > OWNERS_MAX:
            raise ColumnsError("Too many groups share one timeline.", "columns-clock")
        return self._read_clock(sum(count for _, count in self._sharing))

    # ------------------------------------------------------------ planes
    def read_planes(self, packed: bytes) -> None:
        """Gives every column its planes: exactly as many bytes as the heads say."""
        slots = [
            (key, size, each.column.planes)
            for each in self._waiting
            for key, size in each.column.shape()
        ]
        slots.sort(key=itemgetter(0), reverse=True)
        if self._timeline is not None:
            line = [(0, size, self._timeline.planes) for _, size in self._timeline.shape()]
            slots = [(0, self._timeline.count, self._owners), *line, *slots]
        due = sum(size for _, size, _ in slots)
        planes = Reader(_unpack(packed, due), 0)
        for _, size, into in slots:
            into.append(planes.take(size))
        planes.require_end()

    def finish(self) -> list[Group]:
        """Turns planes into values."""
        for each in self._waiting:
            each.finish()
        if self._timeline is not None:
            self._part_timeline(values_of(self._timeline), self._owners[0])
        for times, _ in self._groups:
            times[:] = require_range([self._base_us + offset for offset in times])
        return self._groups

    def _part_timeline(self, line: list[int], owners: bytes) -> None:
        """Gives every time to the group that it is of."""
        if max(owners) >= len(self._sharing):
            raise ColumnsError("A time is of no group.", "columns-clock")
        appends = [times.append for times, _ in self._sharing]
        for time, owner in zip(line, owners, strict=True):
            appends[owner](time)
        if any(len(times) != count for times, count in self._sharing):
            raise ColumnsError("A group has more or fewer times than it says.", "columns-clock")
