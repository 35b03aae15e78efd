"""Columns of version 1, read and never written: what boxes of older releases still send.

Place in the flow: columns (which looks at the version) → **columns1**; at the core alone.

    columns   01 | groups | zigzag(base) | group*              all counts and ids are varints
    group     n | ints of n: times - base | series | serie*
    serie     signal id | 0          | ints of n
              signal id | 1 | bitmap | ints of those that are present
    ints      order << 4 | width | zigzag(first) | (order 2: zigzag(first step)) | factor | planes
              nothing at all for no value; no factor and no planes where width is 0
    order     0 residual = value - first    1 value - the one before    2 step - the step before
              3 the values themselves, 8 bytes each, and nothing but their planes

* The format is frozen: `tests/vectors/columns.json` was released with it.
"""

from __future__ import annotations

from itertools import accumulate, chain, repeat
from operator import mul
from typing import TYPE_CHECKING, Final

from edge.planes import (
    TYPECODES,
    ColumnsError,
    Reader,
    join_planes,
    require_range,
    spread,
    unzigzag,
)

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Sequence

    Column = Sequence[int | None]

VERSION: Final = 1
LEVEL, DRIFT, CLOCK, PLAIN = 0, 1, 2, 3
WORD_BYTES: Final = 8


def read_groups(reader: Reader, groups_max: int) -> list[tuple[list[int], dict[int, Column]]]:
    """Reads what follows the version: (times, series by signal id) of each group.

    Raises:
        ColumnsError: No columns of version 1, or more groups or values than the limits.
    """
    groups = reader.varint()
    if groups > groups_max:
        raise ColumnsError("The columns have too many groups.", "columns-groups")
    base_us = reader.signed()
    found = [_group(reader, base_us) for _ in range(groups)]
    reader.require_end()
    return found


def _group(reader: Reader, base_us: int) -> tuple[list[int], dict[int, Column]]:
    count = reader.varint()
    times = [base_us + offset for offset in _ints(reader, reader.claim(count))]
    series: dict[int, Column] = {}
    before = -1
    for _ in range(reader.varint()):
        signal = reader.varint()
        if signal <= before:
            raise ColumnsError("Signals are unsorted or repeated.", "columns-order")
        before = signal
        reader.claim(max(count, 1))  # even an empty series costs memory
        series[signal] = _serie(reader, count)
    return require_range(times), series


def _serie(reader: Reader, count: int) -> Column:
    flag = reader.octet()
    if flag == 0:
        return _ints(reader, count)
    if flag != 1:
        raise ColumnsError("A series has an unknown flag.", "columns-flag")
    bits = reader.bitmap(count)
    return spread(bits, count, _ints(reader, bits.bit_count()))


def _ints(reader: Reader, count: int) -> list[int]:
    if count == 0:
        return []
    order, width = divmod(reader.octet(), 16)
    if order == PLAIN and width == WORD_BYTES:
        return [_signed(value) for value in _planes(reader, count, WORD_BYTES)]
    if order > CLOCK or (width and width not in TYPECODES):
        raise ColumnsError("A column has an unknown form.", "columns-form")
    first = reader.signed()
    start = [first, reader.signed()] if order == CLOCK else [first]
    residuals = _residuals(reader, count - len(start), width)
    return require_range(_undo(order, start, residuals))


def _residuals(reader: Reader, count: int, width: int) -> Iterable[int]:
    if count < 0:
        raise ColumnsError("A column is shorter than its form.", "columns-form")
    if not width:
        return repeat(0, count)
    factor = reader.varint()
    unfolded = map(unzigzag, _planes(reader, count, width))
    return map(mul, unfolded, repeat(factor))


def _planes(reader: Reader, count: int, width: int) -> array[int]:
    flat = reader.take(count * width)
    return join_planes([flat[place * count : (place + 1) * count] for place in range(width)])


def _undo(order: int, start: list[int], residuals: Iterable[int]) -> list[int]:
    if order == LEVEL:
        first = start[0]
        return [first, *(first + residual for residual in residuals)]
    if order == DRIFT:
        return list(accumulate(chain(start, residuals)))
    steps = accumulate(chain(start[1:], residuals))
    return list(accumulate(chain(start[:1], steps)))


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
