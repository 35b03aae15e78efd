"""Decides what is asked of the engine's computers, and when: an `edge.ports.Requester`.

Place in the flow: profile → **obd_schedule** ⇄ can_bus or elm327; `obd` decodes what comes.

    search (all computers: which parameters?) → pages of each → questions on demand, parameters
      ↑ 1, 2, 4 ... 60 s apart, 11-bit and 29-bit in turn          │ all computers silent
      └─────────────────────────────────────────────────────────────┘

* Sans-IO: monotonic time is an argument, frames go in and out.
* One request at most is under way to each computer. A group of parameters goes to the one that
  supports them; the first that does is the one that is asked.
* The bus load has a budget: requests, flow control and every answer are counted in bits at the bit
  rate, stuff bits at their worst; nothing is asked while more was used.
* A second tester is made room for: whoever else asks has the bus for ten seconds after each frame.
* A vehicle whose engine and wheels stood still for ten minutes is asked every five minutes only.
* It only reads. Service 04, which clears fault codes, is refused unless a technician asks for it.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from edge.errors import LocalError
from vehicle_gateway.isotp import Reassembler
from vehicle_gateway.obd_budget import TIMEOUT_US, Budget, Search
from vehicle_gateway.obd_computer import (
    ADDRESS_MISSES,
    CLEAR,
    DATA,
    FREEZE_FRAME,
    IDENTITY,
    LOST_MISSES,
    NEGATIVE,
    PENDING,
    PERMANENT,
    POSITIVE,
    STORED,
    Computer,
    Job,
    answered_pids,
)
from vehicle_gateway.obd_pids import (
    FRAME_BYTES,
    PADDING,
    address_of_all,
    is_request,
    is_response,
    request_id,
    single_frame,
)

if TYPE_CHECKING:
    from vehicle_gateway.profile import ObdSection

PATIENCE_US: Final = 5_000_000
"""SAE J1979: after "response pending" (7F xx 78) the answer may take so long."""
YIELD_US: Final = 10_000_000
FLOW_CONTROL: Final = bytes([0x30, 0, 0]).ljust(FRAME_BYTES, bytes([PADDING]))
FIRST_FRAME: Final = 1
WANTED_MAX: Final = 16
MOTION_PIDS: Final = (0x0C, 0x0D)  # engine and vehicle turn
PARKED_US: Final = 600_000_000
PARKED_PROBE_US: Final = 300_000_000
RESPONSE_PENDING: Final = 0x78
BUSY: Final = 0x21
FIRST_PAGE: Final = bytes([DATA, 0x00])
ANSWER_TO_ALL: Final = bytes([DATA | POSITIVE, 0x00])
FREEZE_PIDS: Final = (0x02, 0x04, 0x05, 0x0B, 0x0C, 0x0D, 0x11)
ON_DEMAND: Final = frozenset({DATA, FREEZE_FRAME, STORED, PENDING, IDENTITY, PERMANENT})
CODE_SERVICES: Final = (STORED, PENDING, PERMANENT)
VIN, CALIBRATIONS = 0x02, 0x04
LAMP_PIDS: Final = (0x01,)
LAMP: Final = bytes([DATA, *LAMP_PIDS])


class ObdSchedule:
    """Asks the computers of one vehicle.

    Args:
        plan: What to ask.
        may_clear: A technician is at the box and service 04 may be asked for.

    Attributes:
        counts: What was odd, by reason.
        computers: Those that answered, by the id they answer from.
    """

    def __init__(self, plan: ObdSection, *, may_clear: bool = False) -> None:
        self._plan = plan
        self._may_clear = may_clear
        self._periods_us = {each.pid: each.period_us for each in plan.requests}
        self._budget = Budget(plan.bitrate, plan.load_percent)
        self._reassembler = Reassembler()
        self._flow: list[tuple[int, bytes]] = []
        self._wanted: deque[Job] = deque(maxlen=WANTED_MAX)
        self._search = Search()
        self._owned: dict[int, dict[int, int]] | None = None
        self._codes_due_us = 0
        self._resume_us = self._probe_us = 0
        self._moved_us: int | None = None
        self._paused = False
        self.counts: Counter[str] = Counter()
        self.computers: dict[int, Computer] = {}

    # ------------------------------------------------------------ edge.ports.Requester
    def due(self, now_us: int) -> list[tuple[int, bytes]]:
        """Returns the frames to send at this monotonic time, as (id, data)."""
        self._budget.pass_time(now_us)
        frames, self._flow = self._flow, []
        for can_id, payload in frames:
            self._budget.spend(can_id, payload)
        self._expire(now_us)
        if self._paused:
            self._forget()
        elif now_us >= self._resume_us:
            frames += self._ask(now_us)
        return frames

    def claims(self, can_id: int) -> bool:
        """Says whether an id carries answers, or the requests of another tester."""
        return is_response(can_id) or is_request(can_id)

    def heard(self, can_id: int, payload: bytes, now_us: int) -> None:
        """Takes a received frame in."""
        self._budget.spend(can_id, payload)
        if is_request(can_id):
            self.counts["obd-other-tester"] += 1
            self._resume_us = now_us + YIELD_US
            return
        self._control_flow(can_id, payload, now_us)
        message = self._reassembler.feed(can_id, now_us, payload)
        if message:
            self._take(can_id, message, now_us)

    # ------------------------------------------------------------ for whoever composes
    def pause(self, *, paused: bool) -> None:
        """Asks nothing while the vehicle sleeps, then searches anew; any thread may say so."""
        self._paused = paused

    def ask(self, message: bytes) -> None:
        """Asks every known computer once, before its parameters; any thread may.

        Raises:
            LocalError: It would change the vehicle, or does not fit one frame.
        """
        may = ON_DEMAND | {CLEAR} if self._may_clear else ON_DEMAND
        if not 1 <= len(message) < FRAME_BYTES or message[0] not in may:
            raise LocalError(
                f"The box only reads from a vehicle: {message.hex()} is not asked. A technician "
                "clears fault codes with `lastmile-gateway dtc clear`.",
                "obd-refused",
            )
        self._wanted.append(Job(message, LAMP_PIDS if message == LAMP else ()))

    def ask_for_codes(self) -> None:
        """Asks every known computer for its lamp and its stored, pending and permanent faults."""
        self.ask(LAMP)
        for service in CODE_SERVICES:
            self.ask(bytes([service]))

    @property
    def is_ready(self) -> bool:
        """Whether computers were found, and nothing is asked of them on demand any more."""
        return (
            self._owned is not None
            and not self._wanted
            and not any(each.queue or each.under_way for each in self.computers.values())
        )

    # ------------------------------------------------------------ asking
    def _ask(self, now_us: int) -> list[tuple[int, bytes]]:
        if self._search.under_way(now_us):
            return []
        if not self.computers:
            return self._ask_all(now_us)
        if self._owned is None:
            self._settle(now_us)
        elif self._is_parked(now_us):
            return self._probe(now_us)
        else:
            self._hand_out(now_us)
        return self._ask_each(now_us)

    def _is_parked(self, now_us: int) -> bool:
        """Whether nothing turned for long, where that is asked for at all."""
        if self._moved_us is None:
            self._moved_us = now_us
        watched = {pid for own in (self._owned or {}).values() for pid in own}
        return now_us - self._moved_us >= PARKED_US and not watched.isdisjoint(MOTION_PIDS)

    def _probe(self, now_us: int) -> list[tuple[int, bytes]]:
        """Asks a parked vehicle for what is due first: whether anything turns.

        Asking keeps its computers awake and empties its battery. Reports wait until it is used.
        """
        if now_us < self._probe_us:
            return []
        self._probe_us = now_us + PARKED_PROBE_US
        return self._ask_each(now_us)

    def _hand_out(self, now_us: int) -> None:
        """Gives what is wanted of everybody, and fault codes when it is time, to each."""
        if self._plan.codes_us and now_us >= self._codes_due_us:
            self._codes_due_us = now_us + self._plan.codes_us
            self.ask_for_codes()
        while self._wanted:
            job = self._wanted.popleft()
            for computer in self.computers.values():
                if computer.supported.issuperset(job.pids):
                    computer.queue.append(job)

    def _ask_each(self, now_us: int) -> list[tuple[int, bytes]]:
        frames = []
        for computer in self.computers.values():
            if not self._budget.left:
                break
            owned = (self._owned or {}).get(computer.response_id, {})
            job = computer.next_job(owned, self._plan.group_max, now_us)
            if job:
                computer.under_way, computer.deadline_us = job, now_us + TIMEOUT_US
                frames.append(self._spent(computer.address, single_frame(job.message)))
        return frames

    def _ask_all(self, now_us: int) -> list[tuple[int, bytes]]:
        """Searches: the first page of everybody, one kind of address after the other."""
        address = self._search.next_address(now_us) if self._budget.left else None
        return [] if address is None else [self._spent(address, single_frame(FIRST_PAGE))]

    def _settle(self, now_us: int) -> None:
        """Decides, once all have said what they support, who is asked for what."""
        computers = sorted(self.computers.values(), key=lambda each: each.response_id)
        if any(each.discovering for each in computers):
            return
        self._owned = {each.response_id: {} for each in computers}
        for pid, period_us in self._periods_us.items():
            owner = next((each for each in computers if pid in each.supported), None)
            if owner is None:
                self.counts["obd-unsupported-pid"] += 1
            else:
                self._owned[owner.response_id][pid] = period_us
        if self._plan.codes_us:
            self._codes_due_us = now_us
            computers[0].queue.append(Job(bytes([IDENTITY, VIN])))
            self.ask(bytes([IDENTITY, CALIBRATIONS]))

    def _spent(self, can_id: int, payload: bytes) -> tuple[int, bytes]:
        self._budget.spend(can_id, payload)
        return can_id, payload

    # ------------------------------------------------------------ answers
    def _control_flow(self, can_id: int, payload: bytes, now_us: int) -> None:
        """Lets a long answer to a question of ours go on; those of other testers are theirs."""
        computer = self.computers.get(can_id)
        if computer is None or computer.under_way is None or len(payload) < FRAME_BYTES:
            return
        kind = payload[0] >> 4
        if kind == FIRST_FRAME and payload[2] == computer.under_way.service | POSITIVE:
            self._flow.append((request_id(can_id), FLOW_CONTROL))
        if kind in {FIRST_FRAME, FIRST_FRAME + 1}:
            computer.deadline_us = max(computer.deadline_us, now_us + 2 * TIMEOUT_US)

    def _take(self, can_id: int, message: bytes, now_us: int) -> None:
        computer = self.computers.get(can_id)
        if computer is None:
            if message[:2] == ANSWER_TO_ALL and self._owned is None and self._search.began:
                self.computers[can_id] = Computer(can_id)
                self.computers[can_id].take_page(0, message[2:6])
            return
        job = computer.under_way
        if job is None:
            self._late(computer, message)
        elif message[0] == NEGATIVE:
            self._refused(computer, job, message, now_us)
        elif message[0] == job.service | POSITIVE and job.fits(message):
            self._answered(computer, job, message)
        else:
            self._late(computer, message)

    def _refused(self, computer: Computer, job: Job, message: bytes, now_us: int) -> None:
        if len(message) < 3 or message[1] != job.service:
            return
        if message[2] == RESPONSE_PENDING:
            computer.deadline_us = now_us + PATIENCE_US
            return
        self.counts["obd-refused"] += 1
        computer.under_way, computer.misses = None, 0
        computer.answered(job, ())
        if message[2] == BUSY and not job.pids:
            computer.queue.append(job)

    def _answered(self, computer: Computer, job: Job, message: bytes) -> None:
        computer.under_way, computer.misses = None, 0
        if job.pids:
            found = answered_pids(message)
            computer.answered(job, found)
            if any(any(found.get(pid, b"")) for pid in MOTION_PIDS):
                self._moved_us = None
        elif job.service == DATA:
            computer.take_page(job.message[1], message[2:6])
        elif job.service in CODE_SERVICES:
            self._take_codes(computer, job.service, message)
        elif job.service == CLEAR:
            computer.cleared = True

    def _late(self, computer: Computer, message: bytes) -> None:
        """Takes in the answer to something that was given up, or that another tester asked."""
        self.counts["obd-late-answer"] += 1
        service = message[0] & ~POSITIVE
        if message[0] == NEGATIVE or message[0] == service:
            return
        computer.misses = 0
        if service == DATA:
            computer.answered_late(message)
        elif service in CODE_SERVICES:
            self._take_codes(computer, service, message)

    def _take_codes(self, computer: Computer, service: int, message: bytes) -> None:
        """Asks for the freeze frame where a fault is stored that was not there before."""
        codes = frozenset(message[at : at + 2] for at in range(2, len(message) - 1, 2))
        new = codes - computer.codes.get(service, frozenset())
        computer.codes[service] = codes
        if service == STORED and new:
            computer.queue.extend(Job(bytes([FREEZE_FRAME, pid, 0])) for pid in FREEZE_PIDS)

    # ------------------------------------------------------------ silence
    def _expire(self, now_us: int) -> None:
        for computer in self.computers.values():
            job = computer.under_way
            if job is None or now_us < computer.deadline_us:
                continue
            self.counts["obd-no-answer"] += 1
            computer.under_way = None
            computer.silent(job)
            if self._owned is None and computer.misses < LOST_MISSES:
                computer.queue.appendleft(job)
                if computer.misses == ADDRESS_MISSES:
                    # It answered when all were asked, so it may listen to nothing else.
                    computer.address = address_of_all(computer.response_id)
        if self.computers and all(c.misses >= LOST_MISSES for c in self.computers.values()):
            self.counts["obd-lost"] += 1
            self._forget()

    def _forget(self) -> None:
        self._moved_us = None
        self.computers.clear()
        self._flow.clear()
        self._reassembler.forget()
        self._owned = None
        self._search = Search()
