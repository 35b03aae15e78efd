"""Compiles the messages of a DBC file into decoders that work on whole columns.

Place in the flow: DBC file → cantools (loading only) → **dbc** → `decode`.

* A column of payloads becomes one column of machine words, then one pass per signal.
* Scaling is exact: factor and offset of the DBC and scale of the data catalogue are rationals, and
  meet in `(bits * a + b) // d` with integers only; halves round up.
* A payload too short for the mapped signals of its message is absence, counted by the caller.
* Bits are numbered as in the DBC: little endian from the least significant bit of byte 0; big
  endian ("Motorola") by its most significant bit, byte by byte downwards.
* The ranges of a DBC are ignored: real files state `[0|65535]` of signals that go negative.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Final

from edge.errors import LocalError
from edge.ports import EXTENDED_ID
from vehicle_gateway.scaling import Scaling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from cantools.database.can import Message as CantoolsMessage
    from cantools.database.can import Signal as CantoolsSignal

    Extract = Callable[[Sequence[int]], list[int | None]]

TABLE_BITS_MAX: Final = 12
"""Signals of up to so many bits are looked up instead of computed; a table has 4,096 entries."""
WORD_BYTES: Final = 8
SIGNAL: Final = re.compile(r"\s*SG_\s")


@dataclass(frozen=True, slots=True)
class Field:
    """One signal of a message as the DBC describes it.

    Attributes:
        start: Start bit as written in the DBC.
        factor: physical = bits * factor + offset.
        multiplexer: Name of the signal that selects this one, if any.
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


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its id (bit 31 marks an extended one), name and signals by name."""

    can_id: int
    name: str
    length: int
    fields: Mapping[str, Field]


# ------------------------------------------------------------------ load
def load_dbc(path: Path) -> list[Message]:
    """Reads a DBC file.

    Raises:
        LocalError: The file cannot be read or does not parse; the sentence names file and line.
    """
    import cantools
    from cantools.database.errors import Error

    try:
        text = path.read_text(encoding="cp1252", errors="replace")
        # Strict checks refuse overlapping signals, which several carmakers' files have.
        database = cantools.database.load_string(text, database_format="dbc", strict=False)
    except OSError as error:
        raise LocalError(f"The DBC {path} cannot be read: {error.strerror}.", "dbc-open") from error
    except (Error, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise _unparsed(path, error) from error
    messages: list[CantoolsMessage] = database.messages  # type: ignore[union-attr]
    _require_all(path, text, sum(len(message.signals) for message in messages))
    return [_message(message) for message in messages]


def _require_all(path: Path, text: str, parsed: int) -> None:
    """Refuses a file whose end is damaged: cantools stops there without a word."""
    lines = [number for number, line in enumerate(text.split("\n"), 1) if SIGNAL.match(line)]
    if len(lines) > parsed:
        raise _unparsed(path, f"no signal at line {lines[parsed]}")


def _unparsed(path: Path, error: object) -> LocalError:
    found = re.search(r"line (\d+)", str(error))
    where = f"line {found[1]} of {path.name}" if found else f"{path.name}, line 1"
    return LocalError(
        f"The DBC does not parse at {where}: {error}. Correct that line.", "dbc-parse"
    )


def _message(message: CantoolsMessage) -> Message:
    flag = EXTENDED_ID if message.is_extended_frame else 0
    fields = {
        signal.name: _field(signal)
        for signal in message.signals
        if not signal.conversion.is_float  # IEEE floats: no vehicle of ours has sent one yet
    }
    return Message(message.frame_id | flag, message.name, message.length, fields)


def _field(signal: CantoolsSignal) -> Field:
    return Field(
        name=signal.name,
        start=signal.start,
        length=signal.length,
        is_big_endian=signal.byte_order == "big_endian",
        is_signed=signal.is_signed,
        factor=_exact(signal.conversion.scale),
        offset=_exact(signal.conversion.offset),
        multiplexer=signal.multiplexer_signal,
        selected_by=frozenset(signal.multiplexer_ids or ()),
    )


def _exact(number: float) -> Fraction:
    """The decimal that stood in the file: `repr` of a float gives it back."""
    return Fraction(repr(number))


# ------------------------------------------------------------------ compile
class ColumnDecoder:
    """Decodes the payloads of one message into columns of catalogue integers.

    Args:
        message: As loaded.
        wanted: Signal name → (key of the column, unit of the data catalogue as a rational).
        valid: Name of the one-bit signal that says whether the others hold, if there is one.

    Raises:
        LocalError: The message has no signal of that name.
    """

    def __init__(
        self, message: Message, wanted: Mapping[str, tuple[int, Fraction]], valid: str | None = None
    ) -> None:
        self._name = message.name
        fields = {name: _require(message, name) for name in wanted}
        masked = {} if valid is None else {valid: _require(message, valid)}
        selectors = {
            field.multiplexer: _require(message, field.multiplexer)
            for field in fields.values()
            if field.multiplexer is not None
        }
        used = [*fields.values(), *masked.values(), *selectors.values()]
        self.bytes_needed = max((_bytes_needed(field) for field in used), default=0)
        self._width = max(WORD_BYTES, message.length, self.bytes_needed)
        self._big = any(field.is_big_endian for field in used)
        self._little = any(not field.is_big_endian for field in used)
        self._valid = next(iter(masked.values()), None)
        self._columns = [
            (key, fields[name], self._extract(fields[name], unit))
            for name, (key, unit) in wanted.items()
        ]
        plain = Scaling(1, 0, 1)
        self._selectors = {
            name: (field, compile_field(field, _shift(field, self._width), plain))
            for name, field in selectors.items()
        }

    def decode(self, payloads: Sequence[bytes]) -> tuple[dict[int, list[int | None]], int]:
        """Decodes payloads of at least `bytes_needed` bytes each.

        Returns:
            Columns by key, each as long as `payloads`; and how many frames were flagged not valid.
        """
        little = self._words(payloads, "little") if self._little else ()
        big = self._words(payloads, "big") if self._big else ()
        chosen = {
            name: extract(big if field.is_big_endian else little)
            for name, (field, extract) in self._selectors.items()
        }
        columns = {
            key: self._select(field, extract(big if field.is_big_endian else little), chosen)
            for key, field, extract in self._columns
        }
        return self._mask(columns, big, little)

    def _select(
        self,
        field: Field,
        values: list[int | None],
        chosen: Mapping[str, list[int | None]],
    ) -> list[int | None]:
        """Leaves only the frames in which the multiplexer selects this signal."""
        if field.multiplexer is None:
            return values
        ids = field.selected_by
        selector = chosen[field.multiplexer]
        return [
            value if choice in ids else None for value, choice in zip(values, selector, strict=True)
        ]

    def _mask(
        self, columns: dict[int, list[int | None]], big: Sequence[int], little: Sequence[int]
    ) -> tuple[dict[int, list[int | None]], int]:
        if self._valid is None:
            return columns, 0
        words = big if self._valid.is_big_endian else little
        shift = _shift(self._valid, self._width)
        if words and reduce(and_, words) >> shift & 1:
            return columns, 0  # every frame is valid: the usual case
        flags = [word >> shift & 1 for word in words]
        masked = {
            key: [value if flag else None for value, flag in zip(values, flags, strict=True)]
            for key, values in columns.items()
        }
        return masked, flags.count(0)

    def _words(self, payloads: Sequence[bytes], order: str) -> Sequence[int]:
        width = self._width
        if width == WORD_BYTES and set(map(len, payloads)) == {WORD_BYTES}:
            sign = "<" if order == "little" else ">"
            return struct.unpack(f"{sign}{len(payloads)}Q", b"".join(payloads))
        fitted = [payload[:width].ljust(width, b"\0") for payload in payloads]
        return [
            int.from_bytes(payload, "little" if order == "little" else "big") for payload in fitted
        ]

    def _extract(self, field: Field, unit: Fraction) -> Extract:
        scaling = Scaling.between(field.factor, field.offset, unit)
        return compile_field(field, _shift(field, self._width), scaling)


def _require(message: Message, name: str) -> Field:
    if name not in message.fields:
        raise LocalError(
            f"Message {message.name} of the DBC has no integer signal {name}; "
            "correct the vehicle profile or bring the DBC that it was written for.",
            "dbc-signal",
        )
    return message.fields[name]


def compile_field(field: Field, shift: int, scaling: Scaling) -> Extract:
    """Returns the fastest function from words to the values of one signal."""
    mask, sign = (1 << field.length) - 1, (1 << field.length) >> 1
    multiply, add, divide = scaling.multiply, scaling.add, scaling.divide
    if scaling == Scaling(1, 0, 1) and not field.is_signed:
        return lambda words: [word >> shift & mask for word in words]
    if field.length <= TABLE_BITS_MAX:
        flip = sign if field.is_signed else 0
        table = [scaling.apply((bits ^ flip) - flip) for bits in range(mask + 1)]
        return lambda words: [table[word >> shift & mask] for word in words]
    if field.is_signed:
        return lambda words: [
            (((word >> shift & mask ^ sign) - sign) * multiply + add) // divide for word in words
        ]
    return lambda words: [((word >> shift & mask) * multiply + add) // divide for word in words]


def _top(field: Field) -> int:
    """Place of a big-endian signal's first bit, counted from the first bit of the payload."""
    return field.start // 8 * 8 + 7 - field.start % 8


def _shift(field: Field, width: int) -> int:
    if field.is_big_endian:
        return width * 8 - _top(field) - field.length
    return field.start


def _bytes_needed(field: Field) -> int:
    first = _top(field) if field.is_big_endian else field.start
    return (first + field.length + 7) // 8
