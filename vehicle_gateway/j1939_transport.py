"""Puts long J1939 messages together from what is heard on a bus; it never asks for anything.

Place in the flow: frames of TP.CM and TP.DT → **j1939_transport** → j1939 (a `Long` message).

    TP.CM  byte 0      1..2        3        4        5..7       SAE J1939-21 clause 5.10
           16 RTS      bytes       packets  -        PGN        one to one: CTS, then packets
           17 CTS      packets, next one             PGN        from the receiver; 0 packets: wait
           19 end      bytes       packets           PGN        the receiver has all
           32 BAM      bytes       packets  -        PGN        to all, nobody answers
           255 abort   reason                        PGN        from either side
    TP.DT  number 1..  seven bytes of data

* A transfer is known by who sends to whom; several may be under way, interleaved.
* Packets may come again (a receiver asks for them) and in any order; a message is whole when each
  packet has come. What is lost, wrong, given up or too old is absence and a count.
* Time is that of the data. A clock that was set back gives a transfer up as well.
* Memory is bounded: `TRANSFERS_MAX` transfers, which hold what came and not what they announced.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from edge.errors import LocalError
from vehicle_gateway.j1939_ids import GLOBAL

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

RTS, CTS, END, BAM, ABORT = 16, 17, 19, 32, 255
PACKET_BYTES: Final = 7
MESSAGE_BYTES: Final = range(9, 1_786)
TRANSFERS_MAX: Final = 64
BROADCAST_GAP_US: Final = 750_000
"""T1: the longest pause between two packets that are sent to all."""
DIRECT_GAP_US: Final = 1_250_000
"""T2 and T3: the longest wait for the other side of a transfer between two."""

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Long:
    """A whole message: what it is, who sent it, and in which place its last packet came."""

    pgn: int
    source: int
    place: int
    time_us: int
    data: bytes


@dataclass(slots=True)
class _Transfer:
    """A message that was announced."""

    pgn: int
    size: int
    heard_us: int
    packets: dict[int, bytes] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Packets it takes."""
        return -(-self.size // PACKET_BYTES)


class Transport:
    """Follows the transfers of one bus."""

    def __init__(self) -> None:
        self._open: dict[Pair, _Transfer] = {}

    def announce(self, pair: Pair, time_us: int, payload: bytes, counts: Counter[str]) -> None:
        """Takes a TP.CM in.

        Args:
            pair: Source and destination of the frame.
            time_us: When it came.
            payload: Its bytes.
            counts: What was passed over, by reason.
        """
        kind = payload[0] if len(payload) == 8 else -1
        pgn = int.from_bytes(payload[5:8], "little")
        back = pair[1], pair[0]
        if kind in (RTS, BAM):
            self._begin(pair, time_us, payload, counts)
        elif kind == CTS:
            self._touch(back, pgn, time_us)
        elif kind == END:
            self._drop(back, pgn, "j1939-tp-lost-packet", counts)
        elif kind == ABORT:
            if not self._drop(pair, pgn, "j1939-tp-aborted", counts):
                self._drop(back, pgn, "j1939-tp-aborted", counts)
        else:
            counts["j1939-tp-malformed"] += 1

    def take(
        self, pair: Pair, place: int, time_us: int, payload: bytes, counts: Counter[str]
    ) -> Long | None:
        """Takes a TP.DT in; returns the message that it completes."""
        transfer = self._open.get(pair)
        if transfer is not None and _is_late(pair, transfer, time_us):
            counts["j1939-tp-timeout"] += 1
            del self._open[pair]
            transfer = None
        if transfer is None:
            counts["j1939-tp-stray-packet"] += 1
            return None
        if len(payload) != 1 + PACKET_BYTES or not 1 <= payload[0] <= transfer.count:
            counts["j1939-tp-malformed"] += 1
            return None
        if payload[0] in transfer.packets:
            counts["j1939-tp-repeated-packet"] += 1
        transfer.packets[payload[0]] = payload[1:]
        transfer.heard_us = time_us
        if len(transfer.packets) < transfer.count:
            self._end_broadcast(pair, payload[0], counts)
            return None
        del self._open[pair]
        data = b"".join(transfer.packets[number] for number in range(1, transfer.count + 1))
        return Long(transfer.pgn, pair[0], place, time_us, data[: transfer.size])

    def expire(self, now_us: int, counts: Counter[str]) -> None:
        """Gives up what has rested for too long."""
        late = [pair for pair, each in self._open.items() if _is_late(pair, each, now_us)]
        for pair in late:
            counts["j1939-tp-timeout"] += 1
            del self._open[pair]

    def state(self) -> list[list[Any]]:
        """Returns what is under way, for `restore`."""
        return [
            [*pair, each.pgn, each.size, each.heard_us, [[n, b] for n, b in each.packets.items()]]
            for pair, each in self._open.items()
        ]

    def restore(self, state: Sequence[Sequence[Any]]) -> None:
        """Takes up what was under way before a restart.

        Raises:
            LocalError: It is no state of a transport.
        """
        try:
            self._open = {
                (int(source), int(destination)): _Transfer(
                    int(pgn), int(size), int(heard_us), {int(n): bytes(b) for n, b in packets}
                )
                for source, destination, pgn, size, heard_us, packets in state
            }
        except (TypeError, ValueError) as error:
            raise LocalError(
                f"The saved state of long J1939 messages is damaged: {error}.", "decoder-state"
            ) from error

    # ------------------------------------------------------------ inside
    def _begin(self, pair: Pair, time_us: int, payload: bytes, counts: Counter[str]) -> None:
        size = int.from_bytes(payload[1:3], "little")
        is_to_all = payload[0] == BAM
        if (
            size not in MESSAGE_BYTES
            or payload[3] != -(-size // PACKET_BYTES)
            or is_to_all != (pair[1] == GLOBAL)
        ):
            counts["j1939-tp-wrong-size"] += 1
            return
        if self._open.pop(pair, None) is not None:
            counts["j1939-tp-replaced"] += 1
        if len(self._open) >= TRANSFERS_MAX:
            self.expire(time_us, counts)
        if len(self._open) >= TRANSFERS_MAX:
            counts["j1939-tp-too-many"] += 1
            return
        self._open[pair] = _Transfer(int.from_bytes(payload[5:8], "little"), size, time_us)

    def _touch(self, pair: Pair, pgn: int, time_us: int) -> None:
        transfer = self._open.get(pair)
        if transfer is not None and transfer.pgn == pgn and not _is_late(pair, transfer, time_us):
            transfer.heard_us = time_us

    def _drop(self, pair: Pair, pgn: int, reason: str, counts: Counter[str]) -> bool:
        transfer = self._open.get(pair)
        if transfer is None or transfer.pgn != pgn:
            return False
        counts[reason] += 1
        del self._open[pair]
        return True

    def _end_broadcast(self, pair: Pair, number: int, counts: Counter[str]) -> None:
        """Gives a broadcast up whose last packet came and others did not: nobody can ask."""
        if pair[1] == GLOBAL and number == self._open[pair].count:
            counts["j1939-tp-lost-packet"] += 1
            del self._open[pair]


def _is_late(pair: Pair, transfer: _Transfer, now_us: int) -> bool:
    gap_us = BROADCAST_GAP_US if pair[1] == GLOBAL else DIRECT_GAP_US
    return abs(now_us - transfer.heard_us) > gap_us
