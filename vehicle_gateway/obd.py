"""Decodes the answers to OBD-II requests: values into columns, reports into snapshots.

Place in the flow: frames of 0x7E8 to 0x7EF (or 0x18DAF1xx) → isotp → **obd** → `decode`.

    byte     0        1      2     3...
    answer   length   0x41   PID   data, most significant byte first     SAE J1979, ISO 15765-4
    refusal  0x03     0x7F   service, reason
    of more than seven bytes: a first frame (1x xx) and consecutive ones (2x), see `isotp`

* An answer may hold several PIDs after one another; each is taken.
* The first engine computer that answers a PID is the one that is believed, also after a restart;
  a second one that answers the same PID would be a second truth and is only counted.
* Refusals and PIDs outside the table are counted, never raised; other services are `obd_reports`.
* What an adapter measured itself, the voltage of the battery, is taken here too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal
from edge.errors import LocalError
from edge.ports import ADAPTER_LINE
from vehicle_gateway.columns import Columns, Found
from vehicle_gateway.isotp import CONSECUTIVE, FIRST, Reassembler
from vehicle_gateway.obd_pids import PIDS, Pid, is_response, scaling_of
from vehicle_gateway.obd_reports import STATUS, VIN_ANSWER, Reports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.ports import FrameChunk

MODE_01: Final = 0x01
POSITIVE: Final = 0x40
NEGATIVE: Final = 0x7F
PAGE: Final = 0x20
PENDING_ANSWER: Final = 0x78
BATTERY: Final = "Vehicle.LowVoltageBattery.CurrentVoltage"
VOLTAGE_MV: Final = range(1, 60_001)


@dataclass(frozen=True, slots=True)
class ObdColumn:
    """The values of one PID from one engine computer, and which frames they came in."""

    signal_id: int
    places: list[int]
    values: list[int]


class ObdInterpreter:
    """Answers in, columns and snapshots out; remembers which computer answers which PID."""

    name = "obd"

    def __init__(self) -> None:
        self._responders: dict[int, int] = {}
        self._reassembler = Reassembler()
        self._reports = Reports()

    def claims(self, can_id: int) -> bool:
        """Says whether an id carries answers, or what an adapter says of itself."""
        return is_response(can_id) or can_id == ADAPTER_LINE

    def decode(self, chunk: FrameChunk, places: Sequence[int], counts: Counter[str]) -> Found:
        """Decodes the answers of a chunk, each computer for itself."""
        by_computer: defaultdict[int, list[int]] = defaultdict(list)
        for place in places:
            by_computer[chunk.ids[place]].append(place)
        found = Found()
        lines = by_computer.pop(ADAPTER_LINE, [])
        if lines:
            found.columns.append(_voltage(chunk, lines, counts))
        for can_id, own in by_computer.items():
            self._decode_computer(can_id, chunk, own, found, counts)
        self._reassembler.drain(counts)
        if places:
            found.snapshots += self._reports.settle(chunk.times_us[places[-1]])
        return found

    def _decode_computer(
        self,
        can_id: int,
        chunk: FrameChunk,
        own: Sequence[int],
        found: Found,
        counts: Counter[str],
    ) -> None:
        payloads = [chunk.payloads[place] for place in own]
        times_us = [chunk.times_us[place] for place in own]
        reports: list[tuple[int, bytes]] = []
        for each in self.answers(can_id, times_us, payloads, reports, counts):
            taken = [own[place] for place in each.places]
            times = [times_us[place] for place in each.places]
            found.columns.append(Columns(taken, times, {each.signal_id: [*each.values]}))
        for place, message in sorted(reports):
            found.snapshots += self._reports.take(can_id, times_us[place], message, counts)

    def answers(
        self,
        can_id: int,
        times_us: Sequence[int],
        payloads: Sequence[bytes],
        reports: list[tuple[int, bytes]],
        counts: Counter[str],
    ) -> list[ObdColumn]:
        """Decodes the answers of one computer.

        Args:
            can_id: The id they came with.
            times_us: When each came.
            payloads: Data of the frames, in order; `ObdColumn.places` count from its start.
            reports: Takes place and content of what is no value.
            counts: What was passed over, by reason.
        """
        found: dict[int, tuple[list[int], list[int]]] = {}
        by_head: defaultdict[bytes, list[int]] = defaultdict(list)
        for place, payload in enumerate(payloads):
            by_head[payload[:3]].append(place)
        parts: list[int] = []
        for head, places in by_head.items():
            row = PIDS.get(head[2]) if len(head) == 3 else None
            if row and head[0] == 2 + row.length and head[1] == MODE_01 | POSITIVE:
                _take(found, row, places, payloads, counts)
            elif head and head[0] >> 4 in {FIRST, CONSECUTIVE}:
                parts += places
            else:
                for place in places:
                    message = _message(payloads[place], counts)
                    _take_message(found, place, message, reports, counts)
        for place in sorted(parts):
            whole = self._reassembler.feed(can_id, times_us[place], payloads[place])
            _take_message(found, place, whole or b"", reports, counts)
        return [
            _column(pid, *_in_order(places, bits))
            for pid, (places, bits) in sorted(found.items())
            if self._believes(pid, can_id, len(places), counts)
        ]

    def _believes(self, pid: int, can_id: int, answers: int, counts: Counter[str]) -> bool:
        if self._responders.setdefault(pid, can_id) == can_id:
            return True
        counts["obd-second-responder"] += answers
        return False

    def state(self) -> dict[str, Any]:
        """Returns what must survive a restart: who answers what, messages under way, reports."""
        return {
            "responders": {f"{pid:02X}": can_id for pid, can_id in self._responders.items()},
            "isotp": self._reassembler.state((VIN_ANSWER,)),
            "reports": self._reports.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state of a decoder before a restart.

        Raises:
            LocalError: It is no such state.
        """
        try:
            # Before there were reports, the whole state was who answers what.
            responders = state.get("responders", {} if "isotp" in state else state)
            self._responders = {int(pid, 16): int(can_id) for pid, can_id in responders.items()}
            self._reassembler.restore(state.get("isotp", {}))
            self._reports.restore(state.get("reports", {}))
        except (AttributeError, TypeError, ValueError) as error:
            raise LocalError(
                f"The saved OBD state is damaged: {error}.", "decoder-state"
            ) from error


def _voltage(chunk: FrameChunk, places: Sequence[int], counts: Counter[str]) -> Columns:
    """Reads the battery's voltage as an adapter prints it."""
    spec = signal(BATTERY)
    taken: list[int] = []
    values: list[int | None] = []
    for place in places:
        text = chunk.payloads[place].removesuffix(b"V")
        whole, _, rest = text.partition(b".")
        digits = whole + rest[:3].ljust(3, b"0")
        millivolts = int(digits) if digits.isdigit() and rest.isdigit() else 0
        if millivolts in VOLTAGE_MV:
            taken.append(place)
            values.append(millivolts * spec.denominator // (1_000 * spec.numerator))
        else:
            counts["adapter-voltage"] += 1
    return Columns(taken, [chunk.times_us[place] for place in taken], {spec.id: values})


def _column(pid: int, places: list[int], bits: list[int]) -> ObdColumn:
    signal_id, scaling = scaling_of(pid)
    multiply, add, divide = scaling.multiply, scaling.add, scaling.divide
    return ObdColumn(signal_id, places, [(x * multiply + add) // divide for x in bits])


def _in_order(places: list[int], bits: list[int]) -> tuple[list[int], list[int]]:
    """Brings single answers and answers of several PIDs back into their order of arrival."""
    order = sorted(range(len(places)), key=places.__getitem__)
    return [places[at] for at in order], [bits[at] for at in order]


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


def _message(payload: bytes, counts: Counter[str]) -> bytes:
    """Returns the message of a single frame; nothing, and a count, where it holds none."""
    length = payload[0] if payload else 0
    if not 1 <= length < len(payload) or length > 7:
        counts["obd-malformed" if length > 7 else "short-payload"] += 1
        return b""
    return payload[1 : 1 + length]


def _take_message(
    found: dict[int, tuple[list[int], list[int]]],
    place: int,
    message: bytes,
    reports: list[tuple[int, bytes]],
    counts: Counter[str],
) -> None:
    """Takes the PIDs of a whole answer, passes a report on, or counts why it is neither."""
    if not message:
        return
    if message[0] == NEGATIVE:
        if message[2:3] != bytes([PENDING_ANSWER]):
            counts["obd-refused"] += 1
        return
    if message[0] != MODE_01 | POSITIVE or message[:2] == STATUS:
        reports.append((place, message))
        return
    data = message[1:]
    if not data:
        counts["short-payload"] += 1
    while data:
        row = PIDS.get(data[0])
        if row is None or len(data) < 1 + row.length:
            if row is not None:
                counts["short-payload"] += 1
            elif data[0] % PAGE:
                counts["obd-unknown-pid"] += 1
            return  # a page of what is supported is no value, and not unknown
        places, bits = found.setdefault(row.pid, ([], []))
        places.append(place)
        bits.append(int.from_bytes(data[1 : 1 + row.length], "big"))
        data = data[1 + row.length :]
