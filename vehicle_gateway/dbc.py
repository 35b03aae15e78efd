"""Compiles the messages of a DBC file into decoders that work on whole columns.

Place in the flow: DBC file → cantools (loading only) → **dbc** → `decode`.

* A column of payloads becomes one column of machine words, then one pass per signal.
* Scaling is exact: factor and offset of the DBC and scale of the data catalogue are rationals, and
  meet in `(bits * a + b) // d` with integers only; halves round up.
* A payload too short for the mapped signals of its message is absence, counted by the caller.
* Payloads that repeat are decoded once: most of a bus says again what it said before.
* The ranges of a DBC are ignored: real files state `[0|65535]` of signals that go negative.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from operator import itemgetter
from typing import TYPE_CHECKING, Final, TypeVar, cast

from edge.errors import LocalError
from edge.lean import without
from edge.ports import EXTENDED_ID
from vehicle_gateway.bits import Field, compile_codes, compile_field, reason_of
from vehicle_gateway.columns import Columns
from vehicle_gateway.scaling import Scaling

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from cantools.database.can import Message as CantoolsMessage
    from cantools.database.can import Signal as CantoolsSignal

    from vehicle_gateway.bits import Reserved

    Column = list[int | None]
    Check = Callable[[Sequence[bytes], Counter[str]], Sequence[bool] | None]
    """Says of each payload whether it holds (None: all do), and counts why not."""

T = TypeVar("T")

WORD_BYTES: Final = 8
SAMPLE: Final = 64
"""So many payloads show whether a column repeats itself."""
SIGNAL: Final = re.compile(r"\s*SG_\s")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a DBC.

    Attributes:
        can_id: Its id; bit 31 marks an extended one.
        length: Bytes; more than eight where a transport protocol carries it.
        fields: Signals by name.
        is_j1939: The DBC says that it is a parameter group of J1939, whoever sends it.
    """

    can_id: int
    name: str
    length: int
    fields: Mapping[str, Field]
    is_j1939: bool = False


# ------------------------------------------------------------------ load
def load_dbc(path: Path) -> list[Message]:
    """Reads a DBC file.

    Raises:
        LocalError: The file cannot be read or does not parse; the sentence names file and line.
    """
    with without("asammdf"):  # python-can, below cantools, would load it
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
    is_j1939 = bool(flag) and message.protocol == "j1939"
    return Message(message.frame_id | flag, message.name, message.length, fields, is_j1939)


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


# ------------------------------------------------------------------ decode
class ColumnDecoder:
    """Decodes the payloads of one message into columns of catalogue integers.

    Attributes:
        bytes_needed: A payload that is shorter lacks a wanted signal.
        checks: What else a payload must pass, such as its counter and its checksum, in order.

    Args:
        message: As loaded.
        wanted: Signal name → (key of the column, unit of the data catalogue as a rational; or, of
            an enumeration, bits → value).
        valid: Name of the one-bit signal that says whether the others hold, if there is one.
        reserved: Returns the codes of a signal that are absence; none if left out.

    Raises:
        LocalError: The message has no signal of that name.
    """

    def __init__(
        self,
        message: Message,
        wanted: Mapping[str, tuple[int, Fraction | Mapping[int, int]]],
        valid: str | None = None,
        *,
        reserved: Callable[[Field], Reserved] | None = None,
        checks: Sequence[Check] = (),
    ) -> None:
        self.checks = tuple(checks)
        fields = {name: _require(message, name) for name in wanted}
        self._valid = None if valid is None else _require(message, valid)
        self._ancestors = _ancestors(message, fields.values())
        used = [*fields.values(), *self._ancestors, *([self._valid] if self._valid else [])]
        self.bytes_needed = max((field.bytes_needed for field in used), default=0)
        self._width = max(WORD_BYTES, message.length, self.bytes_needed)
        self._orders = {field.is_big_endian for field in used}
        self._columns = []
        for name, (key, unit) in wanted.items():
            field = fields[name]
            codes = reserved(field) if reserved else ()
            if isinstance(unit, Fraction):
                scaling = Scaling.between(field.factor, field.offset, unit)
                extract = compile_field(field, self._width, scaling, codes)
            else:
                extract = compile_codes(field, self._width, unit)
            self._columns.append((key, field, extract, codes))

    def decode(self, payloads: Sequence[bytes], counts: Counter[str]) -> dict[int, Column]:
        """Decodes payloads of at least `bytes_needed` bytes each.

        Args:
            payloads: In order.
            counts: Counts frames flagged not valid, and values that are reserved codes.

        Returns:
            Columns by key, each as long as `payloads`.
        """
        if not _repeats(payloads):
            return self._decode(payloads, None, counts)
        times = Counter(payloads)
        columns = self._decode(list(times), list(times.values()), counts)
        order: list[int] = []
        for key, values in columns.items():
            if values.count(values[0]) == len(values):
                columns[key] = [values[0]] * len(payloads)  # constant, as most of a bus that stands
                continue
            if not order:
                place = {payload: number for number, payload in enumerate(times)}
                order = list(map(place.__getitem__, payloads))
            columns[key] = list(map(values.__getitem__, order))
        return columns

    def _decode(
        self, payloads: Sequence[bytes], times: Sequence[int] | None, counts: Counter[str]
    ) -> dict[int, Column]:
        """Decodes payloads, each of which came so many times."""
        words = {is_big: self._words(payloads, is_big=is_big) for is_big in self._orders}
        flags = self._flags(words, times, counts)
        chosen = self._chosen(words)
        columns: dict[int, Column] = {}
        for key, field, extract, codes in self._columns:
            values = extract(words[field.is_big_endian])
            if None in values:
                raw = [
                    bits if value is None else None
                    for bits, value in zip(self._raw(field, words), values, strict=True)
                ]
                raw = _masked(_select(field, raw, chosen), flags)
                _count_absent(raw, codes, times, counts)
            columns[key] = _masked(_select(field, values, chosen), flags)
        return columns

    def _flags(
        self,
        words: Mapping[bool, Sequence[int]],
        times: Sequence[int] | None,
        counts: Counter[str],
    ) -> Sequence[int | None] | None:
        """Returns which payloads are flagged valid; None where all are, the usual case."""
        if self._valid is None:
            return None
        flags = self._raw(self._valid, words)
        if 0 not in flags:
            return None
        invalid = [not flag for flag in flags]
        counts["flagged-invalid"] += sum(
            invalid if times is None else (n for n, off in zip(times, invalid, strict=True) if off)
        )
        return flags

    def _chosen(self, words: Mapping[bool, Sequence[int]]) -> dict[str, Column]:
        """Returns what each multiplexer selects, None where it is itself not selected."""
        chosen: dict[str, Column] = {}
        for field in self._ancestors:
            chosen[field.name] = _select(field, self._raw(field, words), chosen)
        return chosen

    def _raw(self, field: Field, words: Mapping[bool, Sequence[int]]) -> Column:
        shift, mask = field.shift(self._width), field.mask
        return [word >> shift & mask for word in words[field.is_big_endian]]

    def _words(self, payloads: Sequence[bytes], *, is_big: bool) -> Sequence[int]:
        width = self._width
        if width == WORD_BYTES and set(map(len, payloads)) == {WORD_BYTES}:
            sign = ">" if is_big else "<"
            return struct.unpack(f"{sign}{len(payloads)}Q", b"".join(payloads))
        fitted = [payload[:width].ljust(width, b"\0") for payload in payloads]
        return [int.from_bytes(payload, "big" if is_big else "little") for payload in fitted]


def decode_message(
    decoder: ColumnDecoder,
    places: Sequence[int],
    times_us: Sequence[int],
    payloads: Sequence[bytes],
    counts: Counter[str],
) -> Columns:
    """Decodes the frames of one message that are long enough and pass its checks.

    Args:
        decoder: That of the message.
        places: Places of its frames in the chunk, at least one.
        times_us: Those of the frames.
        payloads: Those of the frames.
        counts: What was passed over, by reason.
    """
    if min(map(len, payloads)) < decoder.bytes_needed:
        holds = [len(payload) >= decoder.bytes_needed for payload in payloads]
        counts["short-payload"] += holds.count(False)
        places, times_us, payloads = _keep(holds, places, times_us, payloads)
    for check in decoder.checks:
        passed = check(payloads, counts)
        if passed is not None:
            places, times_us, payloads = _keep(passed, places, times_us, payloads)
    return Columns(places, times_us, decoder.decode(payloads, counts))


def pick(column: Sequence[T], places: Sequence[int]) -> Sequence[T]:
    """Returns the values at the places; `itemgetter` runs in C but has another shape for one."""
    if len(places) > 1:
        return cast("Sequence[T]", itemgetter(*places)(column))
    return [column[place] for place in places]


def _keep(
    holds: Sequence[bool],
    places: Sequence[int],
    times_us: Sequence[int],
    payloads: Sequence[bytes],
) -> tuple[Sequence[int], Sequence[int], Sequence[bytes]]:
    kept = [number for number, each in enumerate(holds) if each]
    return pick(places, kept), pick(times_us, kept), pick(payloads, kept)


def _repeats(payloads: Sequence[bytes]) -> bool:
    """Tells whether so few payloads differ that decoding each once is worth it."""
    sample = payloads[:: len(payloads) // SAMPLE + 1]
    return 0 < 2 * len(set(sample)) <= len(sample)


def _select(field: Field, values: Column, chosen: Mapping[str, Column]) -> Column:
    """Leaves only the frames in which the multiplexer selects this signal."""
    if field.multiplexer is None:
        return values
    ids, selector = field.selected_by, chosen[field.multiplexer]
    return [
        value if choice in ids else None for value, choice in zip(values, selector, strict=True)
    ]


def _masked(values: Column, flags: Sequence[int | None] | None) -> Column:
    """Leaves only the frames that are flagged valid."""
    if flags is None:
        return values
    return [value if flag else None for value, flag in zip(values, flags, strict=True)]


def _count_absent(
    raw: Column, codes: Reserved, times: Sequence[int] | None, counts: Counter[str]
) -> None:
    """Counts the bits that are no value by reason; None has been counted or is not selected."""
    tally = Counter(raw).items() if times is None else zip(raw, times, strict=True)
    for bits, count in tally:
        if bits is not None:
            counts[reason_of(bits, codes)] += count


def _ancestors(message: Message, fields: Collection[Field]) -> list[Field]:
    """Returns the multiplexers above the fields, each after the one that selects it."""
    found: dict[str, Field] = {}
    for field in fields:
        line: list[Field] = []
        above = field.multiplexer
        while above is not None and above not in found and len(line) < len(message.fields):
            line.append(_require(message, above))
            above = line[-1].multiplexer
        found.update((each.name, each) for each in reversed(line))
    return list(found.values())


def _require(message: Message, name: str) -> Field:
    if name not in message.fields:
        raise LocalError(
            f"Message {message.name} of the DBC has no integer signal {name}; "
            "correct the vehicle profile or bring the DBC that it was written for.",
            "dbc-signal",
        )
    return message.fields[name]
