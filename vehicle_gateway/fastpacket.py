"""Puts fast packets of NMEA 2000 together and reads the profile's messages from them.

Place in the flow: frames of 29-bit ids → **fastpacket** → columns.

    byte    0                      1        2 to 7
    first   sequence << 5 | 0      length   data                    IEC 61162-3 (NMEA 2000)
    next    sequence << 5 | 1..31  data, 7 bytes a frame            at most 223 bytes in 32 frames

* A packet is known by its parameter group, its sender and its sequence: two may be under way.
* Only groups that the profile names below `[nmea2000]` are claimed, from whichever sender.
* A frame that is lost, repeated otherwise or out of order ends its packet; a count says why.
* The highest codes of a field mean "not available" and "out of range": they are absence.
* Bounded by groups, senders and sequences together (`PACKETS_MAX`); nothing raises.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from edge.errors import LocalError
from vehicle_gateway.columns import Found
from vehicle_gateway.j1939_ids import is_extended, pgn_of
from vehicle_gateway.layout import Whole, layouts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.ports import FrameChunk
    from vehicle_gateway.bits import Field
    from vehicle_gateway.dbc import Message
    from vehicle_gateway.profile import MessageMap

PACKET_BYTES_MAX: Final = 223
PACKETS_MAX: Final = 128
TIMEOUT_US: Final = 750_000  # IEC 61162-3 leaves it open; J1939 gives up after 750 ms (T1)
FRAME_BYTES: Final = 8
RESERVED_BITS_MIN: Final = 4
"""Shorter fields are enumerations; their highest codes are what their table says."""


@dataclass(slots=True)
class _Packet:
    """A packet of which the first frame came."""

    length: int
    heard_us: int
    data: bytearray
    number: int = 0
    last: bytes = b""


@dataclass(slots=True)
class FastPackets:
    """Listens to many ids at once.

    Attributes:
        counts: What was passed over so far, by reason.
    """

    counts: Counter[str] = field(default_factory=Counter)
    _open: dict[tuple[int, int], _Packet] = field(default_factory=dict)

    def feed(self, can_id: int, time_us: int, payload: bytes) -> bytes | None:
        """Takes one frame in.

        Returns:
            The whole packet, when this frame completes one.
        """
        if len(payload) < 2:
            self.counts["fastpacket-length"] += 1
            return None
        key = can_id, payload[0] >> 5
        if payload[0] & 0x1F == 0:
            return self._first(key, time_us, payload)
        return self._next(key, time_us, payload)

    def _first(self, key: tuple[int, int], time_us: int, payload: bytes) -> bytes | None:
        if self._open.pop(key, None) is not None:
            self.counts["fastpacket-lost"] += 1
        length = payload[1]
        if not 0 < length <= PACKET_BYTES_MAX or len(payload) < min(FRAME_BYTES, 2 + length):
            self.counts["fastpacket-length"] += 1
            return None
        data = payload[2 : 2 + length]
        if len(data) == length:
            return data
        if len(self._open) >= PACKETS_MAX:
            del self._open[next(iter(self._open))]
            self.counts["fastpacket-crowded"] += 1
        self._open[key] = _Packet(length, time_us, bytearray(data))
        return None

    def _next(self, key: tuple[int, int], time_us: int, payload: bytes) -> bytes | None:
        packet = self._open.get(key)
        if packet is None:
            self.counts["fastpacket-no-first"] += 1
            return None
        if payload == packet.last:
            self.counts["fastpacket-repeated"] += 1
            return None
        missing = packet.length - len(packet.data)
        reason = _oddity(packet, time_us, payload, missing)
        if reason:
            del self._open[key]
            self.counts[reason] += 1
            return None
        packet.data += payload[1 : 1 + missing]
        packet.number, packet.last, packet.heard_us = payload[0] & 0x1F, payload, time_us
        if len(packet.data) < packet.length:
            return None
        return bytes(self._open.pop(key).data)

    def drain(self, counts: Counter[str]) -> None:
        """Adds what was counted since the last time to `counts`."""
        counts.update(self.counts)
        self.counts.clear()

    def state(self) -> dict[str, Any]:
        """Returns the packets under way."""
        rows = [
            [can_id, sequence, each.length, each.heard_us, bytes(each.data), each.number, each.last]
            for (can_id, sequence), each in self._open.items()
        ]
        return {"open": rows} if rows else {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state before a restart.

        Raises:
            LocalError: It is no such state.
        """
        try:
            self._open = {
                (int(can_id), int(sequence)): _Packet(length, at, bytearray(data), number, last)
                for can_id, sequence, length, at, data, number, last in state.get("open", [])
            }
        except (AttributeError, TypeError, ValueError) as error:
            raise LocalError(
                f"The saved state of fast packets is damaged: {error}.", "decoder-state"
            ) from error


def _oddity(packet: _Packet, time_us: int, payload: bytes, missing: int) -> str | None:
    """Says why a frame does not go on with its packet, or nothing."""
    if time_us - packet.heard_us > TIMEOUT_US:
        return "fastpacket-timeout"
    if payload[0] & 0x1F != packet.number + 1:
        return "fastpacket-out-of-order"
    return "fastpacket-length" if len(payload) - 1 < min(missing, FRAME_BYTES - 1) else None


class FastPacketInterpreter:
    """Packets in, columns out.

    Args:
        names: Messages of the profile that come as fast packets.
        messages: Those of the DBCs, by name.
        maps: What the profile takes from each.

    Raises:
        LocalError: A message that the profile names is not there.
    """

    name = "nmea2000"

    def __init__(
        self,
        names: Sequence[str],
        messages: Mapping[str, Message],
        maps: Mapping[str, MessageMap],
    ) -> None:
        layout_of = layouts(names, messages, maps, _reserved)
        self._layouts = {pgn_of(messages[name].can_id): each for name, each in layout_of.items()}
        self._packets = FastPackets()

    def claims(self, can_id: int) -> bool:
        """Says whether an id carries a group of the profile."""
        return is_extended(can_id) and pgn_of(can_id) in self._layouts

    def decode(self, chunk: FrameChunk, places: Sequence[int], counts: Counter[str]) -> Found:
        """Decodes the packets of a chunk, each sender for itself."""
        packets: defaultdict[int, list[Whole]] = defaultdict(list)
        for place in places:
            can_id, time_us = chunk.ids[place], chunk.times_us[place]
            data = self._packets.feed(can_id, time_us, chunk.payloads[place])
            if data is not None:
                packets[can_id].append(Whole(place, time_us, data))
        self._packets.drain(counts)
        found = Found()
        for can_id, own in packets.items():
            columns, _ = self._layouts[pgn_of(can_id)].columns(own, counts)
            found.columns += columns
        return found

    def state(self) -> dict[str, Any]:
        """Returns what must survive a restart."""
        return self._packets.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state before a restart; LocalError if it is none."""
        self._packets.restore(state)


def _reserved(layout: Field) -> frozenset[int]:
    """The codes of a field that say there is no value: the highest of its range, and the next."""
    if layout.length < RESERVED_BITS_MIN:
        return frozenset()
    highest = layout.mask >> 1 if layout.is_signed else layout.mask
    return frozenset({highest, highest - 1})
