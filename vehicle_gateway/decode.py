"""Turns chunks of CAN frames into columns of the data catalogue.

Place in the flow: `FrameChunk` → dbc, obd, gnss → **decode** → `Group`s → events, trips, batch.

* Sans-IO: frames in, columns out; all that is remembered is in `state()` and survives a restart.
* Nothing on the bus raises: what is unknown, short, refused or not valid is absence and a count.
* One group per message id, and per PID and computer for OBD; times are those of arrival.
* What no DBC message of the profile claims goes to the interpreters of standards (`columns`).
* Only signals of the vehicle profile are taken, so only what the data catalogue lists.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.columns import Group
from edge.errors import LocalError
from vehicle_gateway.dbc import ColumnDecoder, Message, decode_message, load_dbc, pick
from vehicle_gateway.fastpacket import FastPacketInterpreter
from vehicle_gateway.gnss import FIX, Gate
from vehicle_gateway.imu import ImuInterpreter
from vehicle_gateway.j1939 import J1939Interpreter, j1939_interpreter, j1939_names
from vehicle_gateway.jtt808 import JttInterpreter
from vehicle_gateway.nmea import NmeaInterpreter
from vehicle_gateway.obd import ObdInterpreter
from vehicle_gateway.profile import column_of
from vehicle_gateway.uds import UdsInterpreter
from vehicle_gateway.validity import Validity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edge.ports import FrameChunk
    from vehicle_gateway.columns import Columns, Interpreter, Snapshot
    from vehicle_gateway.profile import MessageMap, Profile


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a chunk held.

    Attributes:
        frames: Frames of the chunk.
        unknown_frames: Those that no DBC and no standard of ours knows.
        counts: Frames that gave nothing or less than they seem to, by reason.
        snapshots: What is no sample: fault codes, states.
    """

    groups: list[Group]
    frames: int
    unknown_frames: int
    counts: Mapping[str, int]
    snapshots: Sequence[Snapshot] = ()

    @property
    def samples(self) -> int:
        """Values that are present."""
        return sum(
            len(values) - values.count(None)
            for group in self.groups
            for values in group.series.values()
        )


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
        self._interpreters = interpreters(profile, by_name)
        # Its frames are most of a bus; they are handed over as they are, grouped by id.
        self._j1939 = next(
            (each for each in self._interpreters if isinstance(each, J1939Interpreter)), None
        )
        self._claims: dict[tuple[int, int], Interpreter | None] = {}
        self._validity = Validity()
        self._handlers: dict[int, ColumnDecoder] = {}
        elsewhere = profile.long_messages | j1939_names(profile, by_name)
        for name, each in profile.messages.items():
            if name in elsewhere:
                _refuse_rules(name, each)
                continue
            message = _require(by_name, name, profile)
            wanted = {name: column_of(target) for name, target in each.targets.items()}
            checks = self._validity.checks(message, each)
            handler = ColumnDecoder(message, wanted, each.valid, checks=checks)
            self._handlers[message.can_id] = handler

    def decode(self, chunk: FrameChunk) -> Decoded:
        """Decodes one chunk; chunks come in order of arrival."""
        counts: Counter[str] = Counter()
        places: defaultdict[int, list[int]] = defaultdict(list)
        for place, can_id in enumerate(chunk.ids):
            places[can_id].append(place)
        unknown = 0
        columns: list[Columns] = []
        claimed: defaultdict[str, list[int]] = defaultdict(list)
        groups_of: dict[int, list[int]] = {}
        for can_id, found in places.items():
            handler = self._handlers.get(can_id)
            if handler is not None:
                times_us, payloads = pick(chunk.times_us, found), pick(chunk.payloads, found)
                columns.append(decode_message(handler, found, times_us, payloads, counts))
            elif (interpreter := self._claimant(can_id)) is self._j1939 is not None:
                groups_of[can_id] = found
            elif interpreter is not None:
                claimed[interpreter.name] += found
            elif can_id in self._known:
                counts["unmapped-frame"] += len(found)
            else:
                unknown += len(found)
        if chunk.ids:
            self._validity.warn(counts, chunk.times_us[-1])
        snapshots = self._interpret(chunk, claimed, columns, counts)
        if self._j1939 is not None and groups_of:
            own = self._j1939.decode_ids(chunk, groups_of, counts)
            columns += own.columns
            snapshots += own.snapshots
        gated = [each for each in columns if self._gate.concerns(each.series.keys())]
        if gated:
            self._gate.apply(gated, counts)
        groups = [Group(each.times_us, each.series) for each in columns if each.places]
        return Decoded(groups, len(chunk.ids), unknown, counts, tuple(snapshots))

    def _claimant(self, can_id: int, after: int = 0) -> Interpreter | None:
        """Returns the first that claims an id, from a place in the list on."""
        key = can_id, after
        if key not in self._claims:
            self._claims[key] = next(
                (each for each in self._interpreters[after:] if each.claims(can_id)), None
            )
        return self._claims[key]

    def _interpret(
        self,
        chunk: FrameChunk,
        claimed: defaultdict[str, list[int]],
        columns: list[Columns],
        counts: Counter[str],
    ) -> list[Snapshot]:
        snapshots: list[Snapshot] = []
        for number, each in enumerate(self._interpreters):
            if each.name in claimed:
                found = each.decode(chunk, sorted(claimed[each.name]), counts)
                columns += found.columns
                snapshots += found.snapshots
                for place in found.left:
                    following = self._claimant(chunk.ids[place], number + 1)
                    if following is None:
                        counts["unmapped-frame"] += 1
                    else:
                        claimed[following.name].append(place)
        return snapshots

    def state(self) -> dict[str, Any]:
        """Returns what must survive a restart: texts, integers, lists and maps."""
        own = {each.name: each.state() for each in self._interpreters}
        return {"gnss": self._gate.state(), "validity": self._validity.state(), **own}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state of a decoder before a restart.

        Raises:
            LocalError: It is no state of a decoder.
        """
        self._gate.restore(state.get("gnss", {}))
        self._validity.restore(state.get("validity", {}))
        for each in self._interpreters:
            each.restore(state.get(each.name, {}))


def interpreters(profile: Profile, messages: Mapping[str, Message]) -> list[Interpreter]:
    """Returns who understands what no DBC message claims; the first claimant has an id.

    Args:
        profile: What is known of the vehicle.
        messages: Those of all its DBCs, by name.
    """
    first: list[Interpreter] = []
    if profile.uds is not None:
        first.append(UdsInterpreter(profile.uds, messages, profile.messages))
    if profile.fast_packets:
        first.append(FastPacketInterpreter(profile.fast_packets, messages, profile.messages))
    j1939 = j1939_interpreter(profile, messages)
    last = [] if j1939 is None else [j1939]
    lines: list[Interpreter] = [
        NmeaInterpreter(),
        ImuInterpreter(profile.imu),
        JttInterpreter(),
    ]
    return [*first, ObdInterpreter(), *lines, *last]


def _refuse_rules(name: str, wanted: MessageMap) -> None:
    """Refuses what would not be looked at, rather than to seem to protect."""
    if wanted.counter or wanted.checksum:
        raise LocalError(
            f"{name} is put together from several frames or comes from several senders; its "
            "counter and checksum are not checked. Leave them out of the vehicle profile.",
            "profile-validity",
        )


def _require(by_name: Mapping[str, Message], name: str, profile: Profile) -> Message:
    if name not in by_name:
        raise LocalError(
            f"No DBC defines the message {name} that the vehicle profile {profile.name} maps; "
            "bring its DBC with --dbc or choose another profile.",
            "profile-message",
        )
    return by_name[name]
