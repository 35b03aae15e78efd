"""The messages of a J1939 bus: parameter groups, long messages, fault codes, address claims.

Place in the flow: frames of 29-bit ids → **j1939** (transport, messages, faults) → decode.

* A message is known by its PGN and its source address; priority and destination do not matter, and
  the addresses in the ids of a DBC are ignored.
* A long message is put together from what is heard and then read like any other.
* The box only listens: it claims no address, asks for nothing and answers nobody.
* Nothing on the bus raises; what gives nothing is counted by its reason.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from edge.errors import LocalError
from vehicle_gateway.columns import Found
from vehicle_gateway.dbc import ColumnDecoder, pick
from vehicle_gateway.j1939_faults import STATUSES, read_faults, read_identity
from vehicle_gateway.j1939_ids import (
    ADDRESS_CLAIM,
    CONNECTION,
    IDENTITY,
    TRANSFER,
    destination_of,
    is_extended,
    pgn_of,
    source_of,
)
from vehicle_gateway.j1939_messages import Group, Heard, reserved, reserved_above
from vehicle_gateway.j1939_transport import Transport
from vehicle_gateway.profile import column_of
from vehicle_gateway.told import Told

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Mapping, Sequence

    from edge.ports import FrameChunk
    from vehicle_gateway.bits import Field, Reserved
    from vehicle_gateway.columns import Columns, Snapshot
    from vehicle_gateway.dbc import Message
    from vehicle_gateway.j1939_transport import Long
    from vehicle_gateway.profile import Profile

    Taken = dict[int, dict[int, Heard]]

OWN_PGNS: Final = frozenset({TRANSFER, CONNECTION, ADDRESS_CLAIM, IDENTITY, *STATUSES})
SNAPSHOTS_MAX: Final = 16
"""Most snapshots of one chunk: a unit whose faults change with every message is cut short."""


class J1939Interpreter:
    """Understands one J1939 bus.

    Args:
        groups: The parameter groups that the profile wants, by PGN.
        known: PGNs that a DBC defines, wanted or not.
    """

    name = "j1939"

    def __init__(self, groups: Mapping[int, Group], known: frozenset[int] = frozenset()) -> None:
        self._groups = groups
        self._claimed = OWN_PGNS | known | groups.keys()
        self._transport = Transport()
        self._told = Told()
        self._faulty: set[str] = set()

    def claims(self, can_id: int) -> bool:
        """Says whether the protocol, the profile or a DBC has the PGN of an id."""
        return is_extended(can_id) and pgn_of(can_id) in self._claimed

    def decode(self, chunk: FrameChunk, places: Sequence[int], counts: Counter[str]) -> Found:
        """Decodes the claimed frames of a chunk."""
        by_id: defaultdict[int, list[int]] = defaultdict(list)
        for place in places:
            by_id[chunk.ids[place]].append(place)
        return self.decode_ids(chunk, by_id, counts)

    def decode_ids(
        self, chunk: FrameChunk, by_id: Mapping[int, list[int]], counts: Counter[str]
    ) -> Found:
        """Decodes the claimed frames of a chunk.

        Args:
            chunk: Frames of one source.
            by_id: Claimed id → its places, ascending; ids in the order in which they first came.
            counts: What was passed over, by reason.
        """
        taken: defaultdict[int, dict[int, Heard]] = defaultdict(dict)
        carried: list[int] = []
        for can_id, own in by_id.items():
            pgn = pgn_of(can_id)
            if pgn in (TRANSFER, CONNECTION):
                carried += own
            else:
                heard = Heard(own, pick(chunk.times_us, own), pick(chunk.payloads, own))
                _add(taken[pgn], source_of(can_id), heard)
        for long in self._carry(chunk, sorted(carried), counts):
            if long.pgn in self._claimed:
                _add(taken[long.pgn], long.source, Heard([long.place], [long.time_us], [long.data]))
            else:
                counts["j1939-tp-unknown-group"] += 1
        return Found(self._columns(taken, counts), self._snapshots(taken, counts))

    def state(self) -> dict[str, Any]:
        """Returns what must survive a restart."""
        return {
            "groups": {
                f"{pgn:X}": [group.believed, group.awaited_us]
                for pgn, group in self._groups.items()
                if group.believed is not None or group.awaited_us is not None
            },
            "transport": self._transport.state(),
            "told": self._told.state(),
            "faulty": sorted(self._faulty),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state before a restart.

        Raises:
            LocalError: It is no state of a J1939 bus.
        """
        try:
            groups = {int(pgn, 16): _pair(row) for pgn, row in state.get("groups", {}).items()}
            self._faulty = {str(unit) for unit in state.get("faulty", [])}
        except (AttributeError, TypeError, ValueError) as error:
            raise LocalError(
                f"The saved J1939 state is damaged: {error}.", "decoder-state"
            ) from error
        for pgn, group in self._groups.items():
            group.believed, group.awaited_us = groups.get(pgn, (None, None))
        self._transport.restore(state.get("transport", []))
        self._told.restore(state.get("told", {}))

    # ------------------------------------------------------------ inside
    def _carry(self, chunk: FrameChunk, places: Iterable[int], counts: Counter[str]) -> list[Long]:
        """Follows the transfers of a chunk, in order of arrival."""
        whole = []
        for place in places:
            can_id, time_us, payload = (
                chunk.ids[place],
                chunk.times_us[place],
                chunk.payloads[place],
            )
            pair = source_of(can_id), destination_of(can_id)
            if pgn_of(can_id) == CONNECTION:
                self._transport.announce(pair, time_us, payload, counts)
            elif (long := self._transport.take(pair, place, time_us, payload, counts)) is not None:
                whole.append(long)
        if chunk.times_us:
            self._transport.expire(chunk.times_us[-1], counts)
        return whole

    def _columns(self, taken: Taken, counts: Counter[str]) -> list[Columns]:
        found = []
        for pgn, heard in taken.items():
            if pgn == ADDRESS_CLAIM:
                counts["j1939-address-claim"] += _count(heard)
            elif pgn in self._groups:
                columns = self._groups[pgn].decode(heard, counts)
                found += [] if columns is None else [columns]
            elif pgn not in OWN_PGNS:
                counts["unmapped-frame"] += _count(heard)
        return found

    def _snapshots(self, taken: Taken, counts: Counter[str]) -> list[Snapshot]:
        found: list[Snapshot] = []
        for pgn in sorted({IDENTITY, *STATUSES} & taken.keys()):
            for source, heard in taken[pgn].items():
                for time_us, data in _changes(heard):
                    if len(found) == SNAPSHOTS_MAX:
                        counts["j1939-snapshots-cut"] += 1
                        continue
                    snapshot = _snapshot(pgn, source, time_us, data, counts)
                    if snapshot is not None and self._is_news(snapshot):
                        found.append(snapshot)
        return found

    def _is_news(self, snapshot: Snapshot) -> bool:
        """Says whether to tell it: no faults are news of a unit only that had some."""
        if snapshot["kind"] == "dtc":
            unit = f"{snapshot['ecu']} {snapshot['status']}"
            if snapshot["codes"] or snapshot["lamps"]:
                self._faulty.add(unit)
            elif unit not in self._faulty:
                return False
            else:
                self._faulty.discard(unit)
        return self._told.is_news(snapshot)


def _pair(row: Sequence[Any]) -> tuple[int | None, int | None]:
    believed, awaited_us = row
    return (
        None if believed is None else int(believed),
        None if awaited_us is None else int(awaited_us),
    )


def _changes(heard: Heard) -> list[tuple[int, bytes]]:
    """Returns the messages that differ from the one before them; units repeat them every second."""
    return [
        (time_us, data)
        for before, time_us, data in zip(
            [None, *heard.payloads], heard.times_us, heard.payloads, strict=False
        )
        if data != before
    ]


def _snapshot(
    pgn: int, source: int, time_us: int, data: bytes, counts: Counter[str]
) -> Snapshot | None:
    if pgn == IDENTITY:
        return read_identity(source, time_us, data, counts)
    return read_faults(pgn, source, time_us, data, counts)


def _count(heard: Mapping[int, Heard]) -> int:
    return sum(len(each.places) for each in heard.values())


def _add(by_source: dict[int, Heard], source: int, more: Heard) -> None:
    """Merges what one source sent with other priorities, to others or in long messages."""
    own = by_source.get(source)
    if own is None:
        by_source[source] = more
        return
    rows = sorted(
        zip(
            [*own.places, *more.places],
            [*own.times_us, *more.times_us],
            [*own.payloads, *more.payloads],
            strict=True,
        )
    )
    by_source[source] = Heard(*map(list, zip(*rows, strict=True)))


# ------------------------------------------------------------------ from a profile
def j1939_names(profile: Profile, messages: Mapping[str, Message]) -> frozenset[str]:
    """Returns the messages of a profile that are parameter groups of J1939.

    Args:
        profile: If it has a section `[j1939]`, all its extended ids are.
        messages: Those of all its DBCs, by name; a DBC may say that a message is.
    """
    return frozenset(
        name
        for name in profile.messages.keys() & messages.keys() - profile.long_messages
        if _is_group(profile, messages[name])
    )


def j1939_interpreter(profile: Profile, messages: Mapping[str, Message]) -> J1939Interpreter | None:
    """Returns what understands the J1939 bus of a profile, None where it has none.

    Args:
        profile: What is known of the vehicle.
        messages: Those of all its DBCs, by name.

    Raises:
        LocalError: A message lacks a signal, or two messages have one PGN.
    """
    names = sorted(j1939_names(profile, messages))
    if not names and profile.j1939 is None:
        return None
    groups: dict[int, Group] = {}
    for name in names:
        pgn = pgn_of(messages[name].can_id)
        if pgn in groups:
            raise LocalError(
                f"The vehicle profile {profile.name} maps two messages of PGN {pgn}, "
                f"one is {name}; leave one out.",
                "profile-message",
            )
        groups[pgn] = _group(profile, messages[name])
    known = {pgn_of(each.can_id) for each in messages.values() if _is_group(profile, each)}
    return J1939Interpreter(groups, frozenset(known))


def _is_group(profile: Profile, message: Message) -> bool:
    return is_extended(message.can_id) and (message.is_j1939 or profile.j1939 is not None)


def _group(profile: Profile, message: Message) -> Group:
    mapped, section = profile.messages[message.name], profile.j1939
    specific = section.specific if section else frozenset()

    def codes(field: Field) -> Reserved:
        is_specific = f"{message.name}.{field.name}" in specific
        return reserved_above(field) if is_specific else reserved(field)

    wanted = {name: column_of(target) for name, target in mapped.targets.items()}
    decoder = ColumnDecoder(message, wanted, mapped.valid, reserved=codes)
    return Group(decoder, section.sources.get(message.name, ()) if section else ())
