"""Asks control units for the data identifiers and fault codes that a profile names (UDS).

Place in the flow: `[uds]` of a profile → **uds_client** → whoever owns the bus; the answers that
come back are heard and decoded by `uds` like those to anybody else.

    waiting --due--> asked --answer, refusal--> waiting
                     asked --78: later--------> asked, with more patience
                     asked --silence----------> waiting; after `MISSES_MAX` the unit is asked rarely

* It reads. A `Question` is made by this module alone, of a service that changes nothing: sessions,
  resets, security, writing, routines and programming cannot be built here. Clearing fault codes is
  the one exception, and refused unless a technician composed it so.
* A unit has one question at a time; its long answer is let go on by flow control.
* Another tester on the bus goes first: nothing is asked for `YIELD_US` after it was heard.
* Sans-IO: requests and answers are built and judged by udsoncan; can-isotp reads a clock of its own
  and so plays the other side in the tests only.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from udsoncan.common.DidCodec import AsciiCodec
from udsoncan.Response import Response
from udsoncan.services.ClearDiagnosticInformation import ClearDiagnosticInformation
from udsoncan.services.ReadDataByIdentifier import ReadDataByIdentifier
from udsoncan.services.ReadDTCInformation import ReadDTCInformation

from edge.errors import LocalError
from edge.ports import EXTENDED_ID
from vehicle_gateway.dtc import codes_by_status
from vehicle_gateway.isotp import CONSECUTIVE, FIRST, SINGLE, Reassembler
from vehicle_gateway.obd_budget import Budget

if TYPE_CHECKING:
    from udsoncan.Request import Request

    from vehicle_gateway.uds_ecus import Ecu, UdsSection

BITRATE: Final = 500_000
LOAD_PERCENT: Final = 2.0
FRAME_BYTES: Final = 8
PADDING: Final = b"\x55"
SEPARATION_MS: Final = 5
FLOW_CONTROL: Final = bytes([0x30, 0, SEPARATION_MS]).ljust(FRAME_BYTES, PADDING)
STATUS_MASK: Final = 0x8C  # ISO 14229-1 annex D: pending, confirmed, warning lamp
ALL_GROUPS: Final = 0xFF_FFFF
TIMEOUT_US: Final = 150_000
"""ISO 14229-2: a unit begins within P2 = 50 ms; gateways on the way take some more."""
PATIENCE_US: Final = 5_100_000
"""P2* of ISO 14229-2, after the answer that it takes longer."""
LATERS_MAX: Final = 12
YIELD_US: Final = 5_000_000
MISSES_MAX: Final = 5
RARELY_US: Final = 60_000_000
RESPONSE_PENDING: Final = 0x78
CODES: Final = ReadDTCInformation.response_id()
CLEARED: Final = ClearDiagnosticInformation.response_id()


@dataclass(frozen=True, slots=True)
class Question:
    """One request; `read_did`, `read_codes` and `clear_codes` are all there are.

    Attributes:
        payload: Service and what follows, at most seven bytes.
    """

    payload: bytes

    @property
    def service(self) -> int:
        """Its first byte."""
        return self.payload[0]


def read_did(did: int) -> Question:
    """Asks for one data identifier."""
    return _question(ReadDataByIdentifier.make_request([did], {"default": AsciiCodec(1)}))


def read_codes() -> Question:
    """Asks for the fault codes that are confirmed, pending or light the lamp."""
    by_mask = ReadDTCInformation.Subfunction.reportDTCByStatusMask
    return _question(ReadDTCInformation.make_request(by_mask, status_mask=STATUS_MASK))


def clear_codes() -> Question:
    """Clears the fault codes of all groups."""
    return _question(ClearDiagnosticInformation.make_request(ALL_GROUPS))


def _question(request: Request) -> Question:
    return Question(bytes(request.get_payload()))


@dataclass(slots=True)
class _Unit:
    """What goes on with one control unit.

    Attributes:
        asks: Question → when it is due next and how often it is repeated; 0: once.
        under_way: What waits for its answer, until `deadline_us`.
        laters: How often it was told to wait for this answer.
    """

    ecu: Ecu
    asks: dict[Question, tuple[int, int]]
    queue: deque[Question] = field(default_factory=deque)
    under_way: Question | None = None
    deadline_us: int = 0
    resume_us: int = 0
    laters: int = 0
    misses: int = 0

    def next_question(self, now_us: int) -> Question | None:
        """Returns what is to be asked now, the longest due first."""
        if self.under_way is not None or now_us < self.resume_us:
            return None
        if self.queue:
            return self.queue.popleft()
        due = [(at_us, question) for question, (at_us, _) in self.asks.items() if at_us <= now_us]
        if not due:
            return None
        question = min(due, key=lambda each: each[0])[1]
        period_us = self.asks[question][1]
        self.asks[question] = now_us + period_us, period_us
        return question

    def settle(self) -> None:
        """Takes the question that was under way as answered."""
        if self.under_way is not None and self.asks.get(self.under_way, (0, 1))[1] == 0:
            del self.asks[self.under_way]
        self.under_way, self.misses = None, 0


class UdsClient:
    """Asks the control units of one profile; fulfils `edge.ports.Requester`.

    Args:
        section: `[uds]` of the profile.
        may_clear: A technician is at the box: fault codes may be cleared.

    Attributes:
        counts: What was odd, by reason.
        codes: Fault codes that units told: id of the answer → `stored`, `pending` → codes.
        cleared: Ids of the units that said they have cleared their fault codes.
    """

    def __init__(self, section: UdsSection, *, may_clear: bool = False) -> None:
        self._units = {ecu.response: _Unit(ecu, _asks(ecu)) for ecu in section.ecus}
        self._requests = frozenset(ecu.request for ecu in section.ecus)
        self._may_clear = may_clear
        self._budget = Budget(BITRATE, LOAD_PERCENT)
        self._reassembler = Reassembler()
        self._flow: list[tuple[int, bytes]] = []
        self._resume_us = 0
        self._paused = False
        self.counts: Counter[str] = Counter()
        self.codes: dict[str, dict[str, list[str]]] = {}
        self.cleared: set[str] = set()

    # ------------------------------------------------------------ edge.ports.Requester
    def due(self, now_us: int) -> list[tuple[int, bytes]]:
        """Returns the frames to send at this monotonic time, as (id, data)."""
        self._budget.pass_time(now_us)
        frames, self._flow = self._flow, []
        for can_id, payload in frames:
            self._budget.spend(can_id, payload)
        for unit in self._units.values():
            self._expire(unit, now_us)
            if self._paused or now_us < self._resume_us or not self._budget.left:
                continue
            question = unit.next_question(now_us)
            if question is not None:
                unit.under_way, unit.deadline_us, unit.laters = question, now_us + TIMEOUT_US, 0
                frame = bytes([len(question.payload)]) + question.payload
                frames.append((unit.ecu.request, frame.ljust(FRAME_BYTES, PADDING)))
                self._budget.spend(*frames[-1])
        return frames

    def claims(self, can_id: int) -> bool:
        """Says whether an id carries answers, or the requests of another tester."""
        return can_id in self._units or can_id in self._requests

    def heard(self, can_id: int, payload: bytes, now_us: int) -> None:
        """Takes a received frame in."""
        self._budget.spend(can_id, payload)
        unit = self._units.get(can_id)
        if unit is None:
            self.counts["uds-other-tester"] += 1
            self._resume_us = now_us + YIELD_US
            return
        message = self._reassembler.feed(can_id, now_us, payload)
        if unit.under_way is None:
            return
        if message is not None:
            self._answered(unit, unit.under_way, message, now_us)
        elif self._reassembler.awaits(can_id):
            self._let_go_on(unit, unit.under_way, payload, now_us)

    # ------------------------------------------------------------ for whoever composes
    def pause(self, *, paused: bool) -> None:
        """Asks nothing while the vehicle sleeps."""
        self._paused = paused

    def ask_for_codes(self) -> None:
        """Has the fault codes of all units read once, before anything else."""
        for unit in self._units.values():
            unit.queue.append(read_codes())

    def clear_codes(self) -> None:
        """Has the fault codes of all units cleared.

        Raises:
            LocalError: No technician composed this client.
        """
        if not self._may_clear:
            raise LocalError(
                "The box only reads from a vehicle. A technician clears fault codes with "
                "`lastmile-gateway dtc clear`.",
                "uds-refused",
            )
        for unit in self._units.values():
            unit.queue.append(clear_codes())

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked on demand, and no answer is waited for."""
        return not any(unit.queue or unit.under_way for unit in self._units.values())

    # ------------------------------------------------------------ inside
    def _let_go_on(self, unit: _Unit, question: Question, payload: bytes, now_us: int) -> None:
        """Lets a long answer to a question of ours go on; those to other testers are theirs."""
        kind = payload[0] >> 4 if payload else SINGLE
        if kind not in {FIRST, CONSECUTIVE}:
            return
        if kind == FIRST:
            service = payload[6] if payload[:2] == b"\x10\x00" else payload[2]
            if service != question.service | 0x40:
                return
            self._flow.append((unit.ecu.request, FLOW_CONTROL))
        unit.deadline_us = now_us + 2 * TIMEOUT_US

    def _answered(self, unit: _Unit, question: Question, message: bytes, now_us: int) -> None:
        answer = Response.from_payload(message)
        if message[0] == 0x7F:
            if message[1:2] != bytes([question.service]) or not answer.valid:
                self.counts["uds-other-answer"] += 1
            elif answer.code == RESPONSE_PENDING and unit.laters < LATERS_MAX:
                unit.deadline_us, unit.laters = now_us + PATIENCE_US, unit.laters + 1
            else:
                self.counts["uds-refused"] += 1
                unit.settle()
        elif not answer.valid or not _fits(question, message):
            self.counts["uds-other-answer"] += 1
        else:
            self._take(unit.ecu, message)
            unit.settle()

    def _take(self, ecu: Ecu, message: bytes) -> None:
        """Keeps what a technician wants to know at once."""
        name = f"{ecu.response & ~EXTENDED_ID:X}"
        if message[0] == CLEARED:
            self.cleared.add(name)
        told = codes_by_status(message) if message[0] == CODES else None
        if told is not None:
            self.codes[name] = {status: told[status] for status in ("stored", "pending")}

    def _expire(self, unit: _Unit, now_us: int) -> None:
        if unit.under_way is None or now_us < unit.deadline_us:
            return
        self.counts["uds-no-answer"] += 1
        question, unit.under_way = unit.under_way, None
        unit.misses += 1
        if question in unit.asks and unit.asks[question][1] == 0:
            unit.asks[question] = now_us, 0  # what is asked once is asked until it is answered
        if unit.misses >= MISSES_MAX:
            unit.resume_us = now_us + RARELY_US


def _asks(ecu: Ecu) -> dict[Question, tuple[int, int]]:
    asks = {read_did(each.did): (0, each.period_us) for each in ecu.dids}
    if ecu.codes_us:
        asks[read_codes()] = 0, ecu.codes_us
    return asks


def _fits(question: Question, message: bytes) -> bool:
    """Says whether a positive answer is that to this question: its service, and its identifier."""
    told = bytes([question.service | 0x40]) + question.payload[1:]
    same = {ReadDataByIdentifier.request_id(): 3, ReadDTCInformation.request_id(): 2}
    length = same.get(question.service, 1)
    return message[:length] == told[:length]
