"""One engine computer as the scheduler knows it: what it can, what it was asked, how it answers.

Place in the flow: `obd_schedule` keeps one a computer; it decides nothing about the bus.

    page 00 → pages 20, 40, ... as far as each says → parameters at their periods, several at once
                                                    ↘ questions on demand, before them

* At most one request is under way.
* Whether it answers several parameters at once is tried out: if it answers none or one of the
  first group, it is asked singly. What a later group leaves out is asked alone next.
* A parameter that is not answered is asked ever more rarely, `BACK_OFF_US_MAX` at the rarest.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from vehicle_gateway.obd_pids import PIDS, request_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DATA: Final = 0x01
FREEZE_FRAME: Final = 0x02
STORED: Final = 0x03
CLEAR: Final = 0x04
PENDING: Final = 0x07
IDENTITY: Final = 0x09
PERMANENT: Final = 0x0A
POSITIVE: Final = 0x40
NEGATIVE: Final = 0x7F

PAGE: Final = 0x20
PAGE_LAST: Final = 0xC0
BACK_OFF_US_MAX: Final = 60_000_000
STRIKES_MAX: Final = 12
LEFT_OUT_MAX: Final = 2  # left out of so many groups, a parameter is asked alone for good
EARLY: Final = 4  # a parameter comes along with others by a quarter of its period too early
LOST_MISSES: Final = 5
ADDRESS_MISSES: Final = 2


@dataclass(frozen=True, slots=True)
class Job:
    """One request.

    Attributes:
        message: Service and what follows.
        pids: The parameters of a group that it asks for.
    """

    message: bytes
    pids: tuple[int, ...] = ()

    @property
    def service(self) -> int:
        """Its first byte."""
        return self.message[0]

    def fits(self, message: bytes) -> bool:
        """Says whether a positive answer of the same service can be that to this request."""
        if self.service not in {DATA, FREEZE_FRAME, IDENTITY}:
            return True
        return len(message) > 1 and message[1] in {self.message[1], *self.pids}


@dataclass(slots=True)
class Computer:
    """What is known of one computer.

    Attributes:
        response_id: Where it answers from.
        address: Where it is asked; that of all, where it does not listen to its own.
        supported: The parameters it says it has.
        groups: Whether it answers several parameters at once; None while that is not known.
        under_way: The request that waits for its answer.
        deadline_us: When that is given up.
        misses: Requests without an answer since its last one.
        codes: Service → the fault codes that it told last.
    """

    response_id: int
    address: int = 0
    supported: set[int] = field(default_factory=set)
    queue: deque[Job] = field(default_factory=deque)
    groups: bool | None = None
    under_way: Job | None = None
    deadline_us: int = 0
    misses: int = 0
    codes: dict[int, frozenset[bytes]] = field(default_factory=dict)
    cleared: bool = False
    _due_us: dict[int, int] = field(default_factory=dict)
    _strikes: dict[int, int] = field(default_factory=dict)
    _alone: set[int] = field(default_factory=set)
    _left_out: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Addresses it alone, as ISO 15765-4 lays it out."""
        self.address = self.address or request_id(self.response_id)

    @property
    def discovering(self) -> bool:
        """Whether it has not yet said all that it supports."""
        jobs = [*self.queue, *([self.under_way] if self.under_way else [])]
        return any(job.service == DATA for job in jobs if not job.pids)

    def next_job(self, periods_us: Mapping[int, int], group_max: int, now_us: int) -> Job | None:
        """Returns what to ask now, if anything.

        Args:
            periods_us: The parameters that are asked of this computer, and how often.
            group_max: Most of them in one request.
            now_us: Monotonic time.
        """
        if self.under_way is not None:
            return None
        if self.queue:
            return self.queue.popleft()
        soon = sorted(periods_us, key=lambda pid: self._due_us.get(pid, 0))
        if not soon or self._due_us.get(soon[0], 0) > now_us:
            return None
        late_us = {pid: now_us - self._due_us.get(pid, 0) for pid in soon}
        due = [pid for pid in soon if late_us[pid] >= -(periods_us[pid] // EARLY)]
        pids = self._group(due, group_max)
        for pid in pids:
            pause_us = self._pause_us(pid, periods_us[pid])
            # A steady pace, except after a gap: what was missed is not made up for.
            kept_us = self._due_us.get(pid, now_us)
            self._due_us[pid] = (kept_us if now_us - kept_us < pause_us else now_us) + pause_us
        return Job(bytes([DATA, *pids]), pids)

    def take_page(self, page: int, bits: bytes) -> None:
        """Takes in which of the next 32 parameters it has; asks on where there are more."""
        mask = int.from_bytes(bits, "big")
        known = page + PAGE in self.supported
        self.supported |= {page + 1 + place for place in range(32) if mask >> (31 - place) & 1}
        if page + PAGE in self.supported and not known and page < PAGE_LAST:
            self.queue.appendleft(Job(bytes([DATA, page + PAGE])))

    def answered(self, job: Job, pids: Iterable[int]) -> None:
        """Takes in which parameters of a request were answered."""
        found = set(pids) & set(job.pids)
        if len(job.pids) > 1 and self.groups is None:
            self.groups = len(found) > 1
        for pid in job.pids:
            if pid in found:
                self._heard(pid)
            else:
                self._missed(job, pid, none=not found)

    def answered_late(self, message: bytes) -> None:
        """Takes in parameters that it was given up on."""
        if len(message) > 2 and message[1] % PAGE == 0:
            self.take_page(message[1], message[2:6])
        for pid in answered_pids(message):
            self._heard(pid)

    def silent(self, job: Job) -> None:
        """Takes in that a request was not answered in time."""
        self.misses += 1
        self.answered(job, ())

    def _heard(self, pid: int) -> None:
        if self._left_out[pid] < LEFT_OUT_MAX:
            self._alone.discard(pid)
        if self._strikes.pop(pid, 0):
            self._due_us[pid] = 0  # it answers again

    def _missed(self, job: Job, pid: int, *, none: bool) -> None:
        if len(job.pids) > 1:
            self._due_us[pid] = 0  # was it left out, or did one of them silence the others?
            self._alone.add(pid)
            self._left_out[pid] += not none
        else:
            self._strikes[pid] = min(self._strikes.get(pid, 0) + 1, STRIKES_MAX)

    def _group(self, due: list[int], group_max: int) -> tuple[int, ...]:
        """Takes the parameters that go into one request: those whose length is known."""
        together = [pid for pid in due if pid in PIDS and pid not in self._alone]
        if self.groups is False or due[0] not in together:
            return (due[0],)
        return tuple(together[:group_max])

    def _pause_us(self, pid: int, period_us: int) -> int:
        backed_off = period_us << self._strikes.get(pid, 0)
        return min(backed_off, max(period_us, BACK_OFF_US_MAX))


def answered_pids(message: bytes) -> dict[int, bytes]:
    """Returns the parameters that an answer to service 01 holds whole, and their data."""
    found, rest = {}, message[1:]
    while rest:
        row = PIDS.get(rest[0])
        length = row.length if row else len(rest) - 1
        if len(rest) < 1 + length:
            break
        found[rest[0]] = rest[1 : 1 + length]
        rest = rest[1 + length :]
    return found
