"""Reads signals from long messages, of which each kind has a length of its own.

Place in the flow: whole messages of `uds`, `fastpacket` → **layout** (dbc) → columns.

* One DBC message may stand for many answers, told apart by a multiplexer (a data identifier), also
  one below another. Each choice has a decoder of its own, so that a short answer of one is not
  held against the length of another.
* A message that no choice of ours takes is none of our concern and not counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from edge.errors import LocalError
from vehicle_gateway.dbc import ColumnDecoder, decode_message
from vehicle_gateway.profile import MessageMap, column_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vehicle_gateway.bits import Field
    from vehicle_gateway.columns import Columns
    from vehicle_gateway.dbc import Message
    from vehicle_gateway.profile import Target

CHOICE: Final = 0
Codes = Callable[["Field"], frozenset[int]]


@dataclass(frozen=True, slots=True)
class Whole:
    """A message that is complete: when and in which place of the chunk its last frame came."""

    place: int
    time_us: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Choice:
    """What to read when the multiplexer has one of some values; always without a chooser.

    Attributes:
        absent: Key of a column → its field and the codes that say there is no value.
    """

    chooser: ColumnDecoder | None
    selected_by: frozenset[int]
    decoder: ColumnDecoder
    absent: Mapping[int, tuple[Field, frozenset[int]]]

    def takes(self, data: bytes) -> bool:
        """Says whether this choice reads a message."""
        if self.chooser is None:
            return True
        if len(data) < self.chooser.bytes_needed:
            return False
        return self.chooser.decode([data], Counter())[CHOICE][0] in self.selected_by

    def columns(self, messages: Sequence[Whole], counts: Counter[str]) -> Columns:
        """Decodes the messages that this choice takes, at least one."""
        data = [each.data for each in messages]
        places, times = range(len(messages)), [each.time_us for each in messages]
        columns = decode_message(self.decoder, places, times, data, counts)
        for key, (field, codes) in self.absent.items():
            series = columns.series[key]
            for number, place in enumerate(columns.places):
                if series[number] is not None and _bits(field, data[place]) in codes:
                    series[number] = None
                    counts["not-available"] += 1
        return replace(columns, places=[messages[place].place for place in columns.places])


class Layout:
    """Decodes one DBC message of a profile.

    Args:
        message: As loaded.
        wanted: What the profile takes from it.
        absent: Returns the codes of a field that say there is no value; none if left out.

    Raises:
        LocalError: The message has no signal of that name.
    """

    def __init__(self, message: Message, wanted: MessageMap, absent: Codes | None = None) -> None:
        groups: defaultdict[tuple[str | None, frozenset[int]], list[str]] = defaultdict(list)
        for name in wanted.targets:
            field = message.fields.get(name)
            if field is None:
                raise LocalError(
                    f"Message {message.name} of the DBC has no integer signal {name}; correct the "
                    "vehicle profile or bring the DBC that it was written for.",
                    "dbc-signal",
                )
            groups[field.multiplexer, field.selected_by].append(name)
        self._choices = [
            _choice(message, MessageMap(wanted.valid, _only(wanted, names)), absent)
            for names in groups.values()
        ]

    def columns(
        self, messages: Sequence[Whole], counts: Counter[str]
    ) -> tuple[list[Columns], set[int]]:
        """Decodes messages in order of arrival.

        Returns:
            Columns, and the places of the messages that some choice takes.
        """
        found: list[Columns] = []
        taken: set[int] = set()
        for choice in self._choices:
            own = [each for each in messages if choice.takes(each.data)]
            if own:
                taken.update(each.place for each in own)
                found.append(choice.columns(own, counts))
        return found, taken


def _only(wanted: MessageMap, names: Sequence[str]) -> dict[str, Target]:
    return {name: wanted.targets[name] for name in names}


def _choice(message: Message, wanted: MessageMap, absent: Codes | None) -> _Choice:
    """Makes the choice of some signals that one multiplexer selects together."""
    fields = {name: message.fields[name] for name in wanted.targets}
    first = next(iter(fields.values()))
    chooser = None
    if first.multiplexer is not None:
        chooser = ColumnDecoder(message, {first.multiplexer: (CHOICE, Fraction(1))})
    targets = {name: column_of(target) for name, target in wanted.targets.items()}
    codes = (
        {targets[name][0]: (field, absent(field)) for name, field in fields.items()}
        if absent
        else {}
    )
    decoder = ColumnDecoder(message, targets, wanted.valid)
    return _Choice(chooser, first.selected_by, decoder, codes)


def _bits(field: Field, data: bytes) -> int:
    word = int.from_bytes(data, "big" if field.is_big_endian else "little")
    return word >> field.shift(len(data)) & field.mask


def layouts(
    names: Sequence[str],
    messages: Mapping[str, Message],
    maps: Mapping[str, MessageMap],
    absent: Codes | None = None,
) -> dict[str, Layout]:
    """Returns the layouts of the named messages, by name.

    Raises:
        LocalError: The profile or its DBCs do not have one of them.
    """
    missing = [name for name in names if name not in messages or name not in maps]
    if missing:
        raise LocalError(
            f"No DBC and [messages] define {missing[0]}, which the vehicle profile reads from long "
            "messages; bring its DBC with --dbc or correct the profile.",
            "profile-message",
        )
    return {name: Layout(messages[name], maps[name], absent) for name in names}
