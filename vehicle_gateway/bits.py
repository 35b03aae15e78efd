"""One signal of a message: where its bits lie, and the fastest way from words to its values.

Place in the flow: **bits** → dbc (a message of signals) → decode.

* A word is a whole payload as one integer; a column of words becomes one of values in one pass.
* Bits are numbered as in a DBC: little endian from the least significant bit of byte 0; big endian
  ("Motorola") by its most significant bit, byte by byte downwards.
* The upper codes of a signal may say why there is no value (`Reserved`): they become absence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.errors import LocalError
from vehicle_gateway.scaling import Scaling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from fractions import Fraction

    Extract = Callable[[Sequence[int]], list[int | None]]
    Reserved = Sequence[tuple[int, str]]
    """Ascending (first code, reason): each range ends where the next begins."""

UNLISTED: Final = "unlisted-code"
TABLE_BITS_MAX: Final = 12
"""Signals of up to so many bits are looked up instead of computed; a table has 4,096 entries."""


@dataclass(frozen=True, slots=True)
class Field:
    """One signal of a message as the DBC describes it.

    Attributes:
        start: Start bit as written in the DBC.
        factor: physical = bits * factor + offset.
        multiplexer: Name of the signal that selects this one, if any; it may be selected itself.
        selected_by: The values of the multiplexer that select it.
    """

    name: str
    start: int
    length: int
    is_big_endian: bool
    is_signed: bool
    factor: Fraction
    offset: Fraction
    multiplexer: str | None = None
    selected_by: frozenset[int] = frozenset()

    @property
    def mask(self) -> int:
        """All ones, as long as the signal."""
        return (1 << self.length) - 1

    @property
    def bytes_needed(self) -> int:
        """Bytes that a payload must have to hold it."""
        first = self._top if self.is_big_endian else self.start
        return (first + self.length + 7) // 8

    def shift(self, width: int) -> int:
        """Places to shift a word of `width` bytes to the right."""
        return width * 8 - self._top - self.length if self.is_big_endian else self.start

    @property
    def _top(self) -> int:
        """Place of a big-endian signal's first bit, counted from the first bit of the payload."""
        return self.start // 8 * 8 + 7 - self.start % 8


def compile_field(field: Field, width: int, scaling: Scaling, reserved: Reserved = ()) -> Extract:
    """Returns the fastest function from words to the values of one signal.

    Args:
        field: The signal.
        width: Bytes of a word.
        scaling: From bits to values.
        reserved: Codes that are absence.
    """
    shift, mask = field.shift(width), field.mask
    sign = (mask + 1) >> 1 if field.is_signed else 0
    limit = reserved[0][0] if reserved else mask + 1
    multiply, add, divide = scaling.multiply, scaling.add, scaling.divide
    if scaling == Scaling(1, 0, 1) and not sign and not reserved:
        return lambda words: [word >> shift & mask for word in words]
    if field.length <= TABLE_BITS_MAX:
        values = {bits: scaling.apply((bits ^ sign) - sign) for bits in range(limit)}
        return compile_codes(field, width, values)
    if reserved:
        return lambda words: [
            (((bits ^ sign) - sign) * multiply + add) // divide if bits < limit else None
            for bits in [word >> shift & mask for word in words]
        ]
    if sign:
        return lambda words: [
            (((word >> shift & mask ^ sign) - sign) * multiply + add) // divide for word in words
        ]
    return lambda words: [((word >> shift & mask) * multiply + add) // divide for word in words]


def compile_codes(field: Field, width: int, values: Mapping[int, int]) -> Extract:
    """Returns a function from words to listed values; what is not listed is absence.

    Args:
        field: The signal, of `TABLE_BITS_MAX` bits at most.
        width: Bytes of a word.
        values: Bits → value.

    Raises:
        LocalError: The signal is longer than that.
    """
    if field.length > TABLE_BITS_MAX:
        raise LocalError(
            f"The signal {field.name} has {field.length} bits, too many to list its codes; "
            "correct the vehicle profile.",
            "dbc-signal",
        )
    shift, mask = field.shift(width), field.mask
    table = [values.get(bits) for bits in range(mask + 1)]
    return lambda words: [table[word >> shift & mask] for word in words]


def reason_of(bits: int, reserved: Reserved) -> str:
    """Says why bits are no value: a reserved code, or one that the profile does not list."""
    for first, reason in reversed(reserved):
        if bits >= first:
            return reason
    return UNLISTED
