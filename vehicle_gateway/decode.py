"""Turns chunks of CAN frames into columns of the data catalogue.

Place in the flow: `FrameChunk` → dbc, obd, gnss → **decode** → `Group`s → events, trips, batch.

* Sans-IO: frames in, columns out; all that is remembered is in `state()` and survives a restart.
* Nothing on the bus raises: what is unknown, short, refused or not valid is absence and a count.
* One group per message id, and per PID and computer for OBD; times are those of arrival.
* Only signals of the vehicle profile are taken, so only what the data catalogue lists.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from fractions import Fraction
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar, cast

from edge.catalogue import signal
from edge.columns import Group
from edge.errors import LocalError
from vehicle_gateway.dbc import ColumnDecoder, Message, load_dbc
from vehicle_gateway.gnss import FIX, Columns, Gate
from vehicle_gateway.obd import ObdDecoder, is_response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edge.ports import FrameChunk
    from vehicle_gateway.profile import MessageMap, Profile, Target

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a chunk held.

    Attributes:
        frames: Frames of the chunk.
        unknown_frames: Those that no DBC and no standard of ours knows.
        counts: Frames that gave nothing or less than they seem to, by reason.
    """

    groups: list[Group]
    frames: int
    unknown_frames: int
    counts: Mapping[str, int]

    @property
    def samples(self) -> int:
        """Values that are present."""
        return sum(
            len(values) - values.count(None)
            for group in self.groups
            for values in group.series.values()
        )


@dataclass(frozen=True, slots=True)
class _Handler:
    decoder: ColumnDecoder
    is_gated: bool


class Decoder:
    """Decodes the frames of one vehicle.

    Args:
        profile: What is known of the vehicle.
        dbcs: DBC files beside those of the profile; a message they define replaces one of its name.

    Raises:
        LocalError: A DBC does not parse, or none defines a message of the profile.
    """

    def __init__(self, profile: Profile, dbcs: Sequence[Path] = ()) -> None:
        loaded = [message for path in (*profile.dbc, *dbcs) for message in load_dbc(path)]
        by_name = {message.name: message for message in loaded}
        paths = {to.path for each in profile.messages.values() for to in each.targets.values()}
        self._known = frozenset(message.can_id for message in loaded)
        self._gate = Gate(has_fix=FIX in paths)
        self._obd = ObdDecoder()
        self._handlers: dict[int, _Handler] = {}
        for name, each in profile.messages.items():
            message = _require(by_name, name, profile)
            self._handlers[message.can_id] = self._compile(message, each)

    def _compile(self, message: Message, each: MessageMap) -> _Handler:
        wanted = {name: _column(target) for name, target in each.targets.items()}
        gated = self._gate.concerns({key for key, _ in wanted.values()})
        return _Handler(ColumnDecoder(message, wanted, each.valid), gated)

    def decode(self, chunk: FrameChunk) -> Decoded:
        """Decodes one chunk; chunks come in order of arrival."""
        counts: Counter[str] = Counter()
        places: defaultdict[int, list[int]] = defaultdict(list)
        for place, can_id in enumerate(chunk.ids):
            places[can_id].append(place)
        unknown = 0
        gated: list[Columns] = []
        columns: list[Columns] = []
        for can_id, found in places.items():
            handler = self._handlers.get(can_id)
            if handler is not None:
                decoded = _decode_message(handler.decoder, chunk, found, counts)
                columns.append(decoded)
                if handler.is_gated:
                    gated.append(decoded)
            elif is_response(can_id):
                columns.extend(self._decode_obd(can_id, chunk, found, counts))
            elif can_id in self._known:
                counts["unmapped-frame"] += len(found)
            else:
                unknown += len(found)
        if gated:
            self._gate.apply(gated, counts)
        groups = [Group(each.times_us, each.series) for each in columns if each.places]
        return Decoded(groups, len(chunk.ids), unknown, counts)

    def _decode_obd(
        self, can_id: int, chunk: FrameChunk, places: list[int], counts: Counter[str]
    ) -> list[Columns]:
        times_us, payloads = _pick(chunk.times_us, places), _pick(chunk.payloads, places)
        return [
            Columns(found.places, _pick(times_us, found.places), {found.signal_id: [*found.values]})
            for found in self._obd.decode(can_id, payloads, counts)
        ]

    def state(self) -> dict[str, Any]:
        """Returns what must survive a restart: maps of text to integers."""
        return {"gnss": self._gate.state(), "obd": self._obd.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state of a decoder before a restart.

        Raises:
            LocalError: It is no state of a decoder.
        """
        self._gate.restore(state.get("gnss", {}))
        self._obd.restore(state.get("obd", {}))


def _require(by_name: Mapping[str, Message], name: str, profile: Profile) -> Message:
    if name not in by_name:
        raise LocalError(
            f"No DBC defines the message {name} that the vehicle profile {profile.name} maps; "
            "bring its DBC with --dbc or choose another profile.",
            "profile-message",
        )
    return by_name[name]


def _column(target: Target) -> tuple[int, Fraction]:
    spec = signal(target.path)
    return spec.id, target.sign * Fraction(spec.numerator, spec.denominator)


def _decode_message(
    decoder: ColumnDecoder, chunk: FrameChunk, places: list[int], counts: Counter[str]
) -> Columns:
    payloads = _pick(chunk.payloads, places)
    if min(map(len, payloads)) < decoder.bytes_needed:
        whole = [
            place
            for place, payload in zip(places, payloads, strict=True)
            if len(payload) >= decoder.bytes_needed
        ]
        counts["short-payload"] += len(places) - len(whole)
        places, payloads = whole, _pick(chunk.payloads, whole)
    series, invalid = decoder.decode(payloads)
    if invalid:
        counts["flagged-invalid"] += invalid
    return Columns(places, _pick(chunk.times_us, places), series)


def _pick(column: Sequence[T], places: Sequence[int]) -> Sequence[T]:
    """Returns the values at the places; `itemgetter` runs in C but has another shape for one."""
    if len(places) > 1:
        return cast("Sequence[T]", itemgetter(*places)(column))
    return [column[place] for place in places]
