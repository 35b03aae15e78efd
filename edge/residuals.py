"""One column of integers as what a prediction leaves over.

Place in the flow: planes → **residuals** → columns.

    column    form | [bitmap] | start ... | [bits | factor | [outliers]]
    form      order | 4 where there are gaps | 8 where there are outliers

    order     0 CONSTANT   start: the value                nothing else follows
              1 LEVEL      start: the least                number = (value - least) / factor
              2 DRIFT      start: the first                number = zigzag(step / factor)
              3 CLOCK      start: the first, first step    number = zigzag(change of step / factor)
    bits      of the largest number, 1 to 64: it has ceil(bits / 8) planes; only a CLOCK whose
              steps are all alike has 0, and then no factor
    outliers  so many numbers are 255 or more. The first plane has 255 for each of these, `bits` is
              that of the largest number - 255, and these remainders have planes of their own

* Exact for every 64-bit integer; a LEVEL holds what no step of 64 bits can tell.
* The encoder keeps the order with the smallest sum of numbers; a common factor costs nothing.
* A plane has a key, the bits that are used in it: planes of one key deflate well together.
* No loop over values does more than one step of arithmetic in Python.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from itertools import accumulate, chain, repeat
from operator import add, mul, sub
from typing import TYPE_CHECKING, Final

from edge.errors import LocalError
from edge.planes import (
    FOLD,
    INT_MAX,
    INT_MIN,
    OCTET_BITS,
    UNFOLD,
    ColumnsError,
    join_planes,
    planes_of,
    require_range,
    split_planes,
    write_varint,
    zigzag,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.planes import Reader

CONSTANT, LEVEL, DRIFT, CLOCK = 0, 1, 2, 3
GAPS, OUTLIERS = 4, 8
ESCAPE: Final = 255
NARROW: Final = 1 << 62
ESCAPED_KEY: Final = OCTET_BITS + 1
BITS_MAX: Final = 64
PREDICTED: Final = (0, 0, 1, 2)
"""Values of each order that its start tells, and that have no number."""


@dataclass(slots=True)
class Column:
    """One column without its gaps, between its values and its bytes.

    Attributes:
        count: Values.
        bits: Of the largest number; of the largest remainder where there are outliers.
        outliers: Numbers of 255 or more that are apart; 0 where all are together.
        planes: As long as `shape` says.
    """

    count: int
    order: int
    start: tuple[int, ...]
    bits: int = 0
    factor: int = 1
    outliers: int = 0
    planes: list[bytes] = field(default_factory=list)

    def shape(self) -> list[tuple[int, int]]:
        """Returns (key, bytes) of each plane."""
        numbers = self.count - PREDICTED[self.order]
        places = range(planes_of(self.bits))
        keys = [min(OCTET_BITS, self.bits - OCTET_BITS * place) for place in places]
        if not self.outliers:
            return [(key, numbers) for key in keys]
        return [(ESCAPED_KEY, numbers), *((key, self.outliers) for key in keys)]


# ------------------------------------------------------------------ encode
def spell(values: Sequence[int]) -> Column:
    """Finds the shortest form of at least one value.

    Raises:
        LocalError: A value has more than 64 bits.
    """
    first, count = values[0], len(values)
    is_constant = values.count(first) == count  # a third of the time of min() and max()
    low, high = (first, first) if is_constant else (min(values), max(values))
    if low < INT_MIN or high > INT_MAX:
        raise LocalError("A sample has more than 64 bits.", "columns-range")
    if is_constant:
        return Column(count, CONSTANT, (first,))
    steps = list(map(sub, values[1:], values))
    bends = list(map(sub, steps[1:], steps))
    costs = [
        (sum(values) - low * count, LEVEL),
        (2 * sum(map(abs, steps)), DRIFT),
        (2 * sum(map(abs, bends)), CLOCK),
    ]
    order = min(costs)[1]
    # No change of a step is more than twice the range: only a wide one has to be looked at.
    is_narrow = high - low < NARROW
    if order == CLOCK and (is_narrow or _fits([steps[0], *bends])):
        return _number(Column(count, CLOCK, (first, steps[0])), bends)
    if order != LEVEL and (is_narrow or _fits(steps)):
        return _number(Column(count, DRIFT, (first,)), steps)
    return _number(Column(count, LEVEL, (low,)), list(map(sub, values, repeat(low))))


def _fits(residuals: Sequence[int]) -> bool:
    return min(residuals) >= INT_MIN and max(residuals) <= INT_MAX


def _number(column: Column, residuals: list[int]) -> Column:
    """Fills in factor, bits, outliers and planes."""
    factor = math.gcd(*residuals)
    if factor > 1:
        residuals = [residual // factor for residual in residuals]
    if not factor:
        return column
    column.factor = factor
    least, most = min(residuals), max(residuals)
    largest = most if column.order == LEVEL else max(zigzag(least), zigzag(most))
    column.bits = largest.bit_length()
    if column.bits <= OCTET_BITS:
        column.planes = [_octets(column.order, residuals)]
        return column
    if column.order != LEVEL:
        residuals = [(residual << 1) ^ (residual >> 63) for residual in residuals]
    return _part_outliers(column, residuals)


def _octets(order: int, residuals: list[int]) -> bytes:
    if order == LEVEL:
        return bytes(residuals)
    return array("b", residuals).tobytes().translate(FOLD)


def _part_outliers(column: Column, numbers: list[int]) -> Column:
    """Splits numbers of several bytes, and takes outliers apart where that is shorter."""
    wide = planes_of(column.bits)
    remainders = [number - ESCAPE for number in numbers if number >= ESCAPE]
    bits = max(remainders).bit_length()
    if len(numbers) + len(remainders) * planes_of(bits) >= len(numbers) * wide:
        column.planes = split_planes(numbers, wide)
        return column
    column.bits, column.outliers = bits, len(remainders)
    # A comparison is a third of the time of a call of min().
    short = bytes([number if number < ESCAPE else ESCAPE for number in numbers])  # noqa: FURB136
    column.planes = [short, *split_planes(remainders, planes_of(bits))]
    return column


def write_head(out: bytearray, column: Column, bitmap: bytes | None) -> None:
    """Appends form, bitmap of the gaps and start; all but the planes."""
    gaps = 0 if bitmap is None else GAPS
    out.append(column.order | gaps | (OUTLIERS if column.outliers else 0))
    out += bitmap or b""
    for value in column.start:
        write_varint(out, zigzag(value))
    if column.order == CONSTANT:
        return
    out.append(column.bits)
    if column.bits:
        write_varint(out, column.factor)
    if column.outliers:
        write_varint(out, column.outliers)


# ------------------------------------------------------------------ decode
def read_head(reader: Reader, form: int, count: int) -> Column:
    """Reads what follows form and bitmap, for at least one value.

    Raises:
        ColumnsError: Cut short, or of a form that no column of so many values has.
    """
    order = form & 3
    start = tuple(reader.signed() for _ in range(2 if order == CLOCK else 1))
    column = Column(count, order, start)
    if order != CONSTANT:
        column.bits = reader.octet()
    if column.bits:
        column.factor = reader.varint()
    if form & OUTLIERS:
        column.outliers = reader.varint()
    if not _is_known(column, has_outliers=bool(form & OUTLIERS)):
        raise ColumnsError("A column has an unknown form.", "columns-form")
    return column


def _is_known(column: Column, *, has_outliers: bool) -> bool:
    """Whether `spell` could have made it: numbers there are, and only where they are needed."""
    numbers = column.count - PREDICTED[column.order]
    if not column.bits:
        is_regular = column.order == CLOCK and column.start[1] != 0 and numbers >= 0
        return not has_outliers and (column.order == CONSTANT or is_regular)
    if column.bits > BITS_MAX or not column.factor or numbers < 1:
        return False
    return 0 < column.outliers <= numbers if has_outliers else True


def values_of(column: Column) -> list[int]:
    """Takes `spell` back, once the planes are there.

    Raises:
        ColumnsError: A value has more than 64 bits, or the outliers are not as many as was said.
    """
    start = column.start
    if column.order == CONSTANT:
        return [start[0]] * column.count
    if not column.bits:
        end = start[0] + start[1] * column.count
        return require_range(list(range(start[0], end, start[1])))
    residuals: Iterable[int] = _residuals(column)
    if column.factor > 1:
        residuals = map(mul, residuals, repeat(column.factor))
    if column.order == LEVEL:
        return require_range(list(map(add, residuals, repeat(start[0]))))
    if column.order == CLOCK:
        residuals = accumulate(chain(start[1:], residuals))
    return require_range(list(accumulate(chain(start[:1], residuals))))


def _residuals(column: Column) -> Sequence[int]:
    planes, is_level = column.planes, column.order == LEVEL
    if len(planes) == 1:
        return planes[0] if is_level else array("b", planes[0].translate(UNFOLD))
    numbers = _joined(column)
    return numbers if is_level else [(number >> 1) ^ -(number & 1) for number in numbers]


def _joined(column: Column) -> Sequence[int]:
    if not column.outliers:
        return join_planes(column.planes)
    short, *planes = column.planes
    if short.count(ESCAPE) != column.outliers:
        raise ColumnsError("A column has other outliers than it says.", "columns-outliers")
    remainders = iter(join_planes(planes))
    return [ESCAPE + next(remainders) if octet == ESCAPE else octet for octet in short]
