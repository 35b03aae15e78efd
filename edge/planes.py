"""Integers as bytes, the parts that columns are spelled with: varints, zigzag, planes, a reader.

Place in the flow: **planes** → columns (and columns1, which reads what older releases wrote).

    varint    7 bits a byte, least significant first, bit 7 = more follow; at most 64 bits
    zigzag    0, -1, 1, -2, 2 ... → 0, 1, 2, 3, 4 ...
    planes    all lowest bytes, then all next bytes, ...: 0x0102 0x0304 → 02 04 | 01 03

* A number has one spelling: a varint that is longer than it need be is refused.
* Where every number fits into a byte, whole columns are folded and unfolded by the interpreter.
* A reader claims every value before it makes room for it, and never claims more than its limit.
"""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING, Final

from edge.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Sequence

VARINT_BYTES_MAX: Final = 10
VARINT_LIMIT: Final = 1 << 64
INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1
TYPECODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
OCTET_BITS: Final = 8


def zigzag(value: int) -> int:
    """Folds a signed integer into an unsigned one, small ones into small ones."""
    return value << 1 if value >= 0 else (-value << 1) - 1


def unzigzag(value: int) -> int:
    """Takes `zigzag` back."""
    return (value >> 1) ^ -(value & 1)


# Tables for `bytes.translate`: two's complement of one byte to zigzag, and back.
FOLD: Final = bytes(zigzag(octet - (octet >> 7 << 8)) for octet in range(256))
UNFOLD: Final = bytes(unzigzag(octet) & 0xFF for octet in range(256))


class ColumnsError(PeerError):
    """Bytes that are no columns, or that expand past the limit."""


def write_varint(out: bytearray, value: int) -> None:
    """Appends a number from 0 to 2**64 - 1."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def planes_of(bits: int) -> int:
    """Returns how many planes hold numbers of so many bits."""
    return (bits + OCTET_BITS - 1) // OCTET_BITS


def word_of(planes: int) -> int:
    """Returns the machine word, in bytes, that holds so many planes: 1, 2, 4 or 8."""
    return next(width for width in TYPECODES if width >= planes)


def split_planes(numbers: list[int], planes: int) -> list[bytes]:
    """Returns the planes of unsigned numbers, the lowest first."""
    if planes == 1:
        return [bytes(numbers)]
    width = word_of(planes)
    words = array(TYPECODES[width], numbers)
    if sys.byteorder == "big":  # pragma: no cover - no such machine in the fleet
        words.byteswap()
    flat = words.tobytes()
    return [flat[place::width] for place in range(planes)]


def join_planes(planes: list[bytes]) -> array[int]:
    """Takes `split_planes` back; all planes are of one length."""
    width = word_of(len(planes))
    woven = bytearray(len(planes[0]) * width)
    for place, plane in enumerate(planes):
        woven[place::width] = plane
    words = array(TYPECODES[width], bytes(woven))
    if sys.byteorder == "big":  # pragma: no cover - no such machine in the fleet
        words.byteswap()
    return words


def require_range(values: list[int]) -> list[int]:
    """Returns the values, all of 64 bits.

    Raises:
        ColumnsError: One has more.
    """
    if values and (min(values) < INT_MIN or max(values) > INT_MAX):
        raise ColumnsError("A sample has more than 64 bits.", "columns-range")
    return values


class Reader:
    """Takes hostile bytes apart.

    Args:
        data: The bytes.
        samples_max: Most values that may be claimed.

    Raises:
        ColumnsError: By every method, when the bytes end or break a rule.
    """

    def __init__(self, data: bytes, samples_max: int) -> None:
        self.data = data
        self.at = 0
        self._left = samples_max

    def octet(self) -> int:
        """Takes one byte."""
        if self.at >= len(self.data):
            raise _cut_short()
        self.at += 1
        return self.data[self.at - 1]

    def take(self, count: int) -> bytes:
        """Takes so many bytes."""
        end = self.at + count
        if end > len(self.data):
            raise _cut_short()
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def rest(self) -> bytes:
        """Takes all that is left."""
        return self.take(len(self.data) - self.at)

    def varint(self) -> int:
        """Takes a number of at most 64 bits in its one spelling."""
        value = 0
        for place in range(VARINT_BYTES_MAX):
            octet = self.octet()
            value |= (octet & 0x7F) << (7 * place)
            if octet < 0x80 and value < VARINT_LIMIT:
                if octet == 0 and place:
                    raise ColumnsError("A number is longer than it need be.", "columns-shortest")
                return value
        raise ColumnsError("A number is longer than 64 bits.", "columns-varint")

    def signed(self) -> int:
        """Takes a signed number."""
        return unzigzag(self.varint())

    def bitmap(self, count: int) -> int:
        """Takes `count` bits, least significant first."""
        bits = int.from_bytes(self.take((count + 7) // 8), "little")
        if bits >> count:
            raise ColumnsError("A bitmap marks values past the end.", "columns-bitmap")
        return bits

    def claim(self, count: int) -> int:
        """Takes values from what may still be expanded, before there is room for them."""
        self._left -= count
        if self._left < 0:
            raise ColumnsError("The columns expand past the limit.", "columns-expansion")
        return count

    def require_end(self) -> None:
        """Refuses bytes that nothing asked for."""
        if self.at != len(self.data):
            raise ColumnsError("Bytes follow the last column.", "columns-trailing")


def spread(bits: int, count: int, present: list[int]) -> list[int | None]:
    """Puts values at the places that a bitmap marks, and nothing at the others."""
    values = iter(present)
    # Base 2 converts in linear time; shifting one bit at a time is quadratic.
    digits = reversed(f"{bits:0{count}b}"[:count])
    return [next(values) if digit == "1" else None for digit in digits]


def bitmap_of(values: Sequence[int | None]) -> bytes:
    """Returns one bit a place, least significant first; 1 = there is a value."""
    digits = "".join("0" if value is None else "1" for value in reversed(values))
    return int(digits, 2).to_bytes((len(values) + 7) // 8, "little")


def _cut_short() -> ColumnsError:
    return ColumnsError("The columns are cut short.", "columns-truncated")
