"""Signals of J1939: which codes are no value, and whose word counts where two say the same.

Place in the flow: frames by PGN and source → **j1939_messages** (dbc) → j1939 → columns.

    bits of a signal    reserved      error         not available      SAE J1939-71 clause 5.1.4
    1                   -             -             -
    2 to 7, 9 to 15     -             1...10        1...11
    8                   FB to FD      FE            FF
    16 and more         by the uppermost byte, as for 8

* The first source that is heard is believed, and stays so, also after a restart.
* Where a profile names whom to believe, the best of these is believed as soon as it is heard. The
  next, or any other, is only after `PATIENCE_US` without a better one: a tachograph may wake late,
  and an odometer that jumps to another's count is worse than none for some minutes.
* What another source says is counted, never mixed in; where it contradicts, that is counted too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vehicle_gateway.dbc import decode_message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vehicle_gateway.bits import Field, Reserved
    from vehicle_gateway.columns import Columns
    from vehicle_gateway.dbc import ColumnDecoder

ERROR: Final = "j1939-error"
NOT_AVAILABLE: Final = "j1939-not-available"
RESERVED: Final = "j1939-reserved"
PATIENCE_US: Final = 600_000_000


def reserved(field: Field) -> Reserved:
    """Returns the codes of a signal that stand for no value (SAE J1939-71 clause 5.1.4)."""
    top = field.length - 8
    if field.length == 1:
        return ()
    if top and top < 8:
        return ((field.mask - 1, ERROR), (field.mask, NOT_AVAILABLE))
    return ((0xFB << top, RESERVED), (0xFE << top, ERROR), (0xFF << top, NOT_AVAILABLE))


def reserved_above(field: Field) -> Reserved:
    """The same for a signal that has values of its own in FB to FD, such as a gear that is park."""
    return [each for each in reserved(field) if each[1] != RESERVED]


@dataclass(slots=True)
class Heard:
    """The messages of one PGN from one source within a chunk, in order."""

    places: Sequence[int]
    times_us: Sequence[int]
    payloads: Sequence[bytes]


class Group:
    """One parameter group that the profile wants.

    Attributes:
        believed: Address whose word counts, None before there is one.
        awaited_us: Since when a better one is waited for, None when it is not.

    Args:
        decoder: Decodes its messages.
        preferred: Addresses that are believed before others, the best first.
    """

    def __init__(self, decoder: ColumnDecoder, preferred: Sequence[int] = ()) -> None:
        self._decoder = decoder
        self._rank = {source: rank for rank, source in enumerate(preferred)}
        self.believed: int | None = None
        self.awaited_us: int | None = None
        self._compared: tuple[tuple[bytes, bytes], bool] = (b"", b""), False

    def decode(self, heard: Mapping[int, Heard], counts: Counter[str]) -> Columns | None:
        """Decodes what the believed source says; a signal without any value has no column.

        Args:
            heard: By source, in the order in which they were first heard.
            counts: What was passed over, by reason.
        """
        self._choose(heard, counts)
        own = None if self.believed is None else heard.get(self.believed)
        for other in heard.values():
            if other is own:
                continue
            waits = self.believed is None
            counts["j1939-source-awaited" if waits else "j1939-second-source"] += len(other.places)
            if own is not None and self._contradict(own, other):
                counts["j1939-sources-disagree"] += 1
        if own is None:
            return None
        found = decode_message(self._decoder, own.places, own.times_us, own.payloads, counts)
        # Half of what a bus has room for is never there: no column of nothing goes any further.
        found.series = {key: each for key, each in found.series.items() if _has_value(each)}
        return found if found.series else None

    def _choose(self, heard: Mapping[int, Heard], counts: Counter[str]) -> None:
        known = [] if self.believed is None else [self.believed]
        best = min([*known, *heard], key=self._rank_of)
        if best == self.believed:
            return
        if known or self._rank_of(best) == 0 or self._is_patience_over(heard[best].times_us[-1]):
            if known:
                counts["j1939-source-changed"] += 1
            self.believed, self.awaited_us = best, None

    def _is_patience_over(self, now_us: int) -> bool:
        if self.awaited_us is None or now_us < self.awaited_us:
            self.awaited_us = now_us
        return now_us - self.awaited_us >= PATIENCE_US

    def _rank_of(self, source: int) -> int:
        return self._rank.get(source, len(self._rank))

    def _contradict(self, own: Heard, other: Heard) -> bool:
        """Tells whether the last words of two sources differ in a signal that both have."""
        last = own.payloads[-1], other.payloads[-1]
        if last[0] == last[1] or min(map(len, last)) < self._decoder.bytes_needed:
            return False
        if last != self._compared[0]:
            columns = self._decoder.decode(last, Counter())
            differ = any(None not in each and each[0] != each[1] for each in columns.values())
            self._compared = last, differ
        return self._compared[1]


def _has_value(values: Sequence[int | None]) -> bool:
    return bool(values) and (values[0] is not None or values.count(None) < len(values))
