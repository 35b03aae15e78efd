"""Decodes the answers to OBD-II mode 01 requests into columns.

Place in the flow: frames of 0x7E8 to 0x7EF (or 0x18DAF1xx) → **obd** → `decode`.

    byte     0        1      2     3...
    answer   length   0x41   PID   data, most significant byte first     SAE J1979, ISO 15765-4
    refusal  0x03     0x7F   service, reason

* An answer may hold several PIDs after one another; each is taken.
* The first engine computer that answers a PID is the one that is believed, also after a restart;
  a second one that answers the same PID would be a second truth and is only counted.
* Refusals, other services, segmented answers and PIDs outside the table are counted, never raised.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from edge.catalogue import signal
from edge.errors import LocalError
from vehicle_gateway.columns import Columns, Found
from vehicle_gateway.obd_pids import PIDS, Pid, is_response
from vehicle_gateway.scaling import Scaling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.ports import FrameChunk

MODE_01: Final = 0x01
POSITIVE: Final = 0x40
NEGATIVE: Final = 0x7F


@dataclass(frozen=True, slots=True)
class ObdColumn:
    """The values of one PID from one engine computer, and which frames they came in."""

    signal_id: int
    places: list[int]
    values: list[int]


class ObdInterpreter:
    """Answers in, columns out; remembers which computer answers which PID."""

    name = "obd"

    def __init__(self) -> None:
        self._responders: dict[int, int] = {}
        self._scalings = {
            row.pid: (
                signal(row.path).id,
                Scaling.between(row.factor, Fraction(row.offset), _unit(row.path)),
            )
            for row in PIDS.values()
        }

    def claims(self, can_id: int) -> bool:
        """Says whether an id carries answers."""
        return is_response(can_id)

    def decode(self, chunk: FrameChunk, places: Sequence[int], counts: Counter[str]) -> Found:
        """Decodes the answers of a chunk, each computer for itself."""
        by_computer: defaultdict[int, list[int]] = defaultdict(list)
        for place in places:
            by_computer[chunk.ids[place]].append(place)
        columns = []
        for can_id, own in by_computer.items():
            for each in self.answers(can_id, [chunk.payloads[place] for place in own], counts):
                taken = [own[place] for place in each.places]
                times_us = [chunk.times_us[place] for place in taken]
                columns.append(Columns(taken, times_us, {each.signal_id: [*each.values]}))
        return Found(columns)

    def answers(
        self, can_id: int, payloads: Sequence[bytes], counts: Counter[str]
    ) -> list[ObdColumn]:
        """Decodes the answers of one computer.

        Args:
            can_id: The id they came with.
            payloads: Data of the frames, in order; `ObdColumn.places` count from its start.
            counts: What was passed over, by reason.
        """
        found: dict[int, tuple[list[int], list[int]]] = {}
        by_head: defaultdict[bytes, list[int]] = defaultdict(list)
        for place, payload in enumerate(payloads):
            by_head[payload[:3]].append(place)
        for head, places in by_head.items():
            row = PIDS.get(head[2]) if len(head) == 3 else None
            if row and head[0] == 2 + row.length and head[1] == MODE_01 | POSITIVE:
                _take(found, row, places, payloads, counts)
            else:
                for place in places:
                    _take_mixed(found, place, payloads[place], counts)
        return [
            self._column(pid, *_in_order(places, bits))
            for pid, (places, bits) in sorted(found.items())
            if self._believes(pid, can_id, len(places), counts)
        ]

    def _believes(self, pid: int, can_id: int, answers: int, counts: Counter[str]) -> bool:
        if self._responders.setdefault(pid, can_id) == can_id:
            return True
        counts["obd-second-responder"] += answers
        return False

    def _column(self, pid: int, places: list[int], bits: list[int]) -> ObdColumn:
        signal_id, scaling = self._scalings[pid]
        multiply, add, divide = scaling.multiply, scaling.add, scaling.divide
        return ObdColumn(signal_id, places, [(x * multiply + add) // divide for x in bits])

    def state(self) -> dict[str, int]:
        """Returns which computer answers which PID, for `restore`."""
        return {f"{pid:02X}": can_id for pid, can_id in self._responders.items()}

    def restore(self, state: Mapping[str, int]) -> None:
        """Takes up the state of a decoder before a restart."""
        try:
            self._responders = {int(pid, 16): int(can_id) for pid, can_id in state.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise LocalError(
                f"The saved OBD state is damaged: {error}.", "decoder-state"
            ) from error


def _in_order(places: list[int], bits: list[int]) -> tuple[list[int], list[int]]:
    """Brings single answers and answers of several PIDs back into their order of arrival."""
    order = sorted(range(len(places)), key=places.__getitem__)
    return [places[at] for at in order], [bits[at] for at in order]


def _unit(path: str) -> Fraction:
    spec = signal(path)
    return Fraction(spec.numerator, spec.denominator)


def _take(
    found: dict[int, tuple[list[int], list[int]]],
    row: Pid,
    places: list[int],
    payloads: Sequence[bytes],
    counts: Counter[str],
) -> None:
    """Takes single answers of one PID."""
    end = 3 + row.length
    whole = [place for place in places if len(payloads[place]) >= end]
    if len(whole) < len(places):
        counts["short-payload"] += len(places) - len(whole)
    if whole:
        bits = [int.from_bytes(payloads[place][3:end], "big") for place in whole]
        places_before, bits_before = found.setdefault(row.pid, ([], []))
        places_before += whole
        bits_before += bits


def _take_mixed(
    found: dict[int, tuple[list[int], list[int]]],
    place: int,
    payload: bytes,
    counts: Counter[str],
) -> None:
    """Takes an answer of several PIDs, or counts why there is nothing to take."""
    reason = _refusal(payload)
    data = b"" if reason else payload[2 : 1 + payload[0]]
    while data and not reason:
        row = PIDS.get(data[0])
        if row is None:
            reason = "obd-unknown-pid"
        elif len(data) < 1 + row.length:
            reason = "short-payload"
        else:
            places, bits = found.setdefault(row.pid, ([], []))
            places.append(place)
            bits.append(int.from_bytes(data[1 : 1 + row.length], "big"))
            data = data[1 + row.length :]
    if reason:
        counts[reason] += 1


def _refusal(payload: bytes) -> str:
    """Says why a frame holds no answer to a mode 01 request, or nothing."""
    if len(payload) < 3:
        return "short-payload"
    if not 2 <= payload[0] <= 7:
        return "obd-segmented"
    if payload[1] == NEGATIVE:
        return "obd-refused"
    if payload[1] != MODE_01 | POSITIVE:
        return "obd-other-service"
    return "short-payload" if len(payload) < 1 + payload[0] else ""
