"""Telemetry samples as columns: what ten seconds of a bus look like before they are sealed.

Place in the flow: decode → batch → **columns** → deflate → seal; and at the core the way back.

    columns   version (1) | groups | group*                    all counts and ids are varints
    group     n | times: ints of n, relative to the base | series | serie*
    serie     signal id | 0                     | ints of n
              signal id | 1 | bitmap of n bits  | ints of those that are present
    ints      order << 4 | width | zigzag(first) | (order 2: zigzag(first step)) | factor | planes
              nothing at all for no value; no factor and no planes where width is 0

    order     0  residual = value - first          noise around a level
              1  residual = value - the one before  drifting values
              2  residual = step - the step before  clocks, odometers
              3  the values themselves, 64 bits     where a residual needs more than 64 bits
    planes    zigzag(residual / factor), width 1, 2, 4 or 8 bytes each, little endian, stored as
              all first bytes, then all second bytes, ...: what deflate then packs best

* The round trip is exact for every 64-bit integer; absence is a bit, never a magic number.
* The encoder tries the orders and keeps the one with the smallest residuals; a common factor of
  all residuals (a coarse sensor on a fine scale) costs nothing.
* No loop over samples does more than one step of arithmetic in Python (docs/reference/columns.md).
* A decoder expands to at most `samples_max` values, whatever the bytes say.
"""

from __future__ import annotations

import math
import sys
from array import array
from dataclasses import dataclass
from itertools import accumulate, chain, repeat
from operator import mul, sub
from typing import TYPE_CHECKING, Final

from edge.errors import LocalError, PeerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VERSION: Final = 1
SAMPLES_MAX: Final = 1_000_000
GROUPS_MAX: Final = 4_096
VARINT_BYTES_MAX: Final = 10
VARINT_LIMIT: Final = 1 << 64
INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1
TYPECODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
LEVEL, DRIFT, CLOCK, PLAIN = 0, 1, 2, 3


class ColumnsError(PeerError):
    """Bytes that are no columns, or that expand past the limit."""


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
    out = bytearray([VERSION])
    _write_varint(out, len(groups))
    _write_varint(out, _zigzag(base_us))
    for group in groups:
        _write_group(out, group, base_us)
    return bytes(out)


def _write_group(out: bytearray, group: Group, base_us: int) -> None:
    count = len(group.times_us)
    _write_varint(out, count)
    _write_ints(out, list(map(sub, group.times_us, repeat(base_us))))
    _write_varint(out, len(group.series))
    for signal in sorted(group.series):
        values = group.series[signal]
        if not 0 <= signal < VARINT_LIMIT:
            raise LocalError("A signal's id is from 0 to 2**64 - 1.", "columns-signal")
        if len(values) != count:
            raise LocalError("A series is not as long as its times.", "columns-length")
        _write_varint(out, signal)
        _write_series(out, values)


def _write_series(out: bytearray, values: Sequence[int | None]) -> None:
    present = [value for value in values if value is not None]
    if len(present) == len(values):
        out.append(0)
    else:
        out.append(1)
        out += _bitmap(values)
    _write_ints(out, present)


def _write_ints(out: bytearray, values: list[int]) -> None:
    if not values:
        return
    if min(values) < INT_MIN or max(values) > INT_MAX:
        raise LocalError("A sample has more than 64 bits.", "columns-range")
    order, residuals = _choose_order(values)
    if order == PLAIN:
        out.append(PLAIN << 4 | 8)
        out += _planes([value & 0xFFFF_FFFF_FFFF_FFFF for value in values], 8)
        return
    factor = math.gcd(*residuals)
    scaled = residuals if factor <= 1 else [residual // factor for residual in residuals]
    folded = [(residual << 1) ^ (residual >> 63) for residual in scaled]
    width = _width(max(folded, default=0))
    out.append(order << 4 | width)
    _write_varint(out, _zigzag(values[0]))
    if order == CLOCK:
        _write_varint(out, _zigzag(values[1] - values[0]))
    if width:
        _write_varint(out, factor)
        out += _planes(folded, width)


def _choose_order(values: list[int]) -> tuple[int, list[int]]:
    """Returns the order with the smallest residuals, and these."""
    steps = list(map(sub, values[1:], values))
    candidates = [(LEVEL, list(map(sub, values[1:], repeat(values[0])))), (DRIFT, steps)]
    if len(steps) > 1:
        candidates.append((CLOCK, list(map(sub, steps[1:], steps))))
    order, residuals = min(candidates, key=lambda each: sum(map(abs, each[1])))
    fits = not residuals or (min(residuals) >= INT_MIN and max(residuals) <= INT_MAX)
    first_step = steps[0] if order == CLOCK else 0
    return (order, residuals) if fits and INT_MIN <= first_step <= INT_MAX else (PLAIN, values)


def _planes(folded: list[int], width: int) -> bytes:
    if width == 1:
        return bytes(folded)
    packed = array(TYPECODES[width], folded)
    if sys.byteorder == "big":  # pragma: no cover - no such machine in the fleet
        packed.byteswap()
    flat = packed.tobytes()
    return b"".join(flat[place::width] for place in range(width))


def _bitmap(values: Sequence[int | None]) -> bytes:
    # Base 2 converts in linear time; shifting one bit at a time is quadratic.
    digits = "".join("0" if value is None else "1" for value in reversed(values))
    return int(digits, 2).to_bytes((len(values) + 7) // 8, "little")


def _width(largest: int) -> int:
    if largest == 0:
        return 0
    size = (largest.bit_length() + 7) // 8
    return next(width for width in (1, 2, 4, 8) if width >= size)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _write_varint(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


# ------------------------------------------------------------------ decode
def decode_columns(data: bytes, *, samples_max: int = SAMPLES_MAX) -> list[Group]:
    """Decodes groups.

    Args:
        data: Hostile bytes.
        samples_max: Most values and times in all.

    Raises:
        ColumnsError: Not what `encode_columns` makes, or more than `samples_max`.
    """
    reader = _Reader(data, samples_max)
    if reader.octet() != VERSION:
        raise ColumnsError("The columns are not of version 1; update this side.", "columns-version")
    groups = reader.varint()
    if groups > GROUPS_MAX:
        raise ColumnsError("The columns have too many groups.", "columns-groups")
    base_us = _unzigzag(reader.varint())
    found = [reader.group(base_us) for _ in range(groups)]
    if reader.at != len(data):
        raise ColumnsError("Bytes follow the last column.", "columns-trailing")
    return found


class _Reader:
    def __init__(self, data: bytes, samples_max: int) -> None:
        self.data = bytes(data)
        self.at = 0
        self.left = samples_max

    def group(self, base_us: int) -> Group:
        count = self.varint()
        times = [base_us + offset for offset in self.ints(self._claim(count))]
        series: dict[int, Sequence[int | None]] = {}
        before = -1
        for _ in range(self.varint()):
            signal = self.varint()
            if signal <= before:
                raise ColumnsError("Signals are unsorted or repeated.", "columns-order")
            before = signal
            self._claim(max(count, 1))  # even an empty series costs memory
            series[signal] = self.serie(count)
        return Group(_require_range(times), series)

    def serie(self, count: int) -> Sequence[int | None]:
        flag = self.octet()
        if flag == 0:
            return self.ints(count)
        if flag != 1:
            raise ColumnsError("A series has an unknown flag.", "columns-flag")
        bits = int.from_bytes(self.take((count + 7) // 8), "little")
        if bits >> count:
            raise ColumnsError("A bitmap marks values past the end.", "columns-bitmap")
        values = iter(self.ints(bits.bit_count()))
        digits = reversed(f"{bits:0{count}b}"[:count])  # linear in count, as in `_bitmap`
        return [next(values) if digit == "1" else None for digit in digits]

    def ints(self, count: int) -> list[int]:
        if count == 0:
            return []
        order, width = divmod(self.octet(), 16)
        if order == PLAIN and width == 8:
            return [_signed(value) for value in self.planes(count, 8)]
        if order > CLOCK or (width and width not in TYPECODES):
            raise ColumnsError("A column has an unknown form.", "columns-form")
        first = _unzigzag(self.varint())
        start = [first, _unzigzag(self.varint())] if order == CLOCK else [first]
        residuals = self._residuals(count - len(start), width)
        return _require_range(_undo(order, start, residuals))

    def _residuals(self, count: int, width: int) -> Iterable[int]:
        if count < 0:
            raise ColumnsError("A column is shorter than its form.", "columns-form")
        if not width:
            return repeat(0, count)
        factor = self.varint()
        unfolded = [(folded >> 1) ^ -(folded & 1) for folded in self.planes(count, width)]
        return unfolded if factor == 1 else map(mul, unfolded, repeat(factor))

    def planes(self, count: int, width: int) -> array[int]:
        flat = self.take(count * width)
        woven = bytearray(len(flat))
        for place in range(width):
            woven[place::width] = flat[place * count : (place + 1) * count]
        values = array(TYPECODES[width], bytes(woven))
        if sys.byteorder == "big":  # pragma: no cover - no such machine in the fleet
            values.byteswap()
        return values

    def octet(self) -> int:
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise ColumnsError("The columns are cut short.", "columns-truncated")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def varint(self) -> int:
        value = 0
        for place in range(VARINT_BYTES_MAX):
            octet = self.octet()
            value |= (octet & 0x7F) << (7 * place)
            if octet < 0x80 and value < VARINT_LIMIT:
                return value
        raise ColumnsError("A number is longer than 64 bits.", "columns-varint")

    def _claim(self, count: int) -> int:
        """Takes values from what may still be expanded."""
        self.left -= count
        if self.left < 0:
            raise ColumnsError("The columns expand past the limit.", "columns-expansion")
        return count


def _undo(order: int, start: list[int], residuals: Iterable[int]) -> list[int]:
    if order == LEVEL:
        first = start[0]
        return [first, *(first + residual for residual in residuals)]
    if order == DRIFT:
        return list(accumulate(chain(start, residuals)))
    steps = accumulate(chain(start[1:], residuals))
    return list(accumulate(chain(start[:1], steps)))


def _require_range(values: list[int]) -> list[int]:
    if values and (min(values) < INT_MIN or max(values) > INT_MAX):
        raise ColumnsError("A sample has more than 64 bits.", "columns-range")
    return values


def _unzigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
