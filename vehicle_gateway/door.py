"""The door: JT/T 808 terminals in, sealed batches out, each as if it were a box of its own.

Place in the flow: terminals → tcp_lines → **door** (jtt808_session) → door_journal → door_terminal
→ outbox → door_brokers → broker → core. `__main__` composes it.

* One thread: lines, journal, outboxes. Whatever terminals say within a tick is one transaction of
  the journal; only then is it acknowledged.
* A second connection of a terminal ends the first: the terminal has lost that one.
* Bounded: time to show a code, silence, bytes per second (what is too fast waits in the terminal),
  reports before a commit, connections (tcp_lines).
* What was refused, closed or passed over is counted by reason, never silent.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from vehicle_gateway.door_brokers import Brokers
from vehicle_gateway.door_journal import Entry
from vehicle_gateway.door_lane import believed_time
from vehicle_gateway.door_terminal import card_token
from vehicle_gateway.jtt808_location import POSITIONED, read_location, read_time
from vehicle_gateway.jtt808_session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.ports import Clock, Instant, Line
    from vehicle_gateway.door_journal import CodeBook, Journal
    from vehicle_gateway.door_terminal import Terminal
    from vehicle_gateway.jtt808_session import Delivery

SECOND_US: Final = 1_000_000
WAITING_MAX: Final = 2_000
BURST_BYTES: Final = 65_536
ROUND_US: Final = SECOND_US
PROGRESS_US: Final = 60 * SECOND_US
STATEMENTS_US: Final = 5 * SECOND_US

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """What a terminal may take.

    Attributes:
        stranger_us: Time to show a code.
        silence_us: Time without a good message.
        bytes_per_s: Of one connection in the long run; 64 KiB at once.
        brokers_max: Connections to the broker.
    """

    stranger_us: int = 30 * SECOND_US
    silence_us: int = 900 * SECOND_US
    bytes_per_s: int = 16_384
    brokers_max: int = 200


@dataclass(slots=True)
class _Visit:
    """A connection."""

    line: Line
    session: Session
    since_us: int
    filled_us: int
    room: float = BURST_BYTES
    is_held: bool = False
    counted: Counter[str] = field(default_factory=Counter)


class Door:
    """All terminals of one door; fulfils `edge.ports.LineListener`.

    Args:
        terminals: Device id → terminal.
        devices: Phone → device id.
        codes: Who may speak.
        journal: Keeps what is acknowledged.
        clock: Reads every clock.
        limits: What a terminal may take.

    Attributes:
        counts: What was refused, closed or passed over, by reason; `reports`, `repeated`.
    """

    def __init__(
        self,
        terminals: Mapping[str, Terminal],
        devices: Mapping[str, str],
        codes: CodeBook,
        journal: Journal,
        clock: Clock,
        limits: DoorLimits,
    ) -> None:
        self._terminals = terminals
        self._devices = devices
        self._codes = codes
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._visits: dict[Line, _Visit] = {}
        self._by_phone: dict[str, Line] = {}
        self._waiting: list[tuple[_Visit, Delivery, list[Entry]]] = []
        self._brokers = Brokers(limits.brokers_max)
        self._round = list(terminals.values())
        self._next = 0
        self._stepped_us = self._told_us = clock.now().monotonic_us
        self._stated_us = 0
        self.counts: Counter[str] = Counter()

    # ------------------------------------------------------------ lines
    def opened(self, line: Line) -> None:
        """A connection has begun."""
        now_us = self._clock.now().monotonic_us
        self._visits[line] = _Visit(line, Session(self._codes, now_us), now_us, now_us)
        self.counts["connections"] += 1

    def heard(self, line: Line, piece: bytes) -> None:
        """Bytes have come.

        Raises:
            DeviceFault: The disk is full or failing: nothing of it was acknowledged.
        """
        visit = self._visits.get(line)
        if visit is None:
            return
        now = self._clock.now()
        self._meter(visit, len(piece), now.monotonic_us)
        heard = visit.session.feed(piece, now.monotonic_us)
        if heard.trusted:
            self._replace(heard.trusted, line)
        for delivery in heard.deliveries:
            self._waiting.append((visit, delivery, self._entries(visit, delivery, now)))
        if heard.answers:
            line.send(b"".join(heard.answers))
        if heard.close:
            self._end(visit, heard.close)
        if sum(len(entries) for _, _, entries in self._waiting) >= WAITING_MAX:
            self.commit()

    def closed(self, line: Line) -> None:
        """A connection has ended."""
        visit = self._visits.pop(line, None)
        if visit is None:
            return
        self._count(visit)
        if self._by_phone.get(visit.session.phone) is line:
            del self._by_phone[visit.session.phone]

    def tick(self) -> None:
        """Commits what has come, and steps some of the terminals on.

        Raises:
            DeviceFault: The disk is full or failing.
        """
        self.commit()
        now = self._clock.now()
        self._watch(now.monotonic_us)
        self._step(now)
        if now.monotonic_us - self._told_us >= PROGRESS_US:
            self._told_us = now.monotonic_us
            log.info("%s", self.summary())

    def commit(self) -> None:
        """Makes what has come durable, then acknowledges it."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        entries = [entry for _, _, own in waiting for entry in own]
        rows = self._journal.append(entries)
        now_us = self._clock.now().monotonic_us
        for row, entry in zip(rows, entries, strict=True):
            self.counts["reports" if row else "repeated"] += 1
            if row:
                self._terminals[entry.terminal].add(row, entry, now_us)
        for visit, delivery, _ in waiting:
            visit.line.send(visit.session.acknowledge(delivery))

    def close(self) -> None:
        """Commits, leaves the broker and signs the ends of epochs."""
        self.commit()
        for visit in list(self._visits.values()):
            visit.line.close()
        self._brokers.close()
        for terminal in self._terminals.values():
            terminal.close()

    def drain(self) -> None:
        """Seals everything that is held, in order, however short it has been held."""
        self.commit()
        now = self._clock.now()
        for terminal in self._terminals.values():
            terminal.step(now, all_of_it=True)

    def summary(self) -> dict[str, Any]:
        """Counts since the start, and what is open and held now."""
        for visit in self._visits.values():
            self._count(visit)
        return {
            "terminals": len(self._terminals),
            "online": len(self._by_phone),
            "held": sum(len(each.lane) for each in self._terminals.values()),
            "brokers": len(self._brokers),
            **dict(sorted((+self.counts).items())),
        }

    # ------------------------------------------------------------ inside
    def _entries(self, visit: _Visit, delivery: Delivery, now: Instant) -> list[Entry]:
        terminal = self._devices[visit.session.phone]
        if delivery.card is not None:
            card = delivery.card
            told_us = read_time(card.time_bcd)
            time_us = believed_time(told_us, now.wall_us, has_fix=False, is_batch=False)
            token = card_token(card.certificate) if card.inserted and card.certificate else b""
            return [Entry(terminal, time_us or now.wall_us, token, is_card=True)]
        entries = []
        for body in delivery.reports:
            report = read_location(body)
            time_us = believed_time(
                report.time_us,
                now.wall_us,
                has_fix=report.has(POSITIONED),
                is_batch=delivery.is_batch,
            )
            if time_us is None:
                self.counts["jtt808-time"] += 1
            else:
                self.counts["jtt808-time-arrival"] += time_us != report.time_us
                entries.append(Entry(terminal, time_us, body))
        return entries

    def _replace(self, phone: str, line: Line) -> None:
        before = self._by_phone.get(phone)
        self._by_phone[phone] = line
        if before is not None and before is not line:
            self._end(self._visits[before], "jtt808-replaced")

    def _end(self, visit: _Visit, reason: str) -> None:
        self.counts[f"closed-{reason}"] += 1
        log.info("connection of %s ended: %s", visit.session.phone or "a stranger", reason)
        visit.line.close()
        self.closed(visit.line)

    def _count(self, visit: _Visit) -> None:
        """Adds what a session has counted since it was last asked."""
        self.counts.update(+(visit.session.counts - visit.counted))
        visit.counted = Counter(visit.session.counts)

    def _meter(self, visit: _Visit, size: int, now_us: int) -> None:
        """Takes bytes off the allowance; where it is used up, reading stops until it is not."""
        self._refill(visit, now_us)
        visit.room -= size
        if visit.room < 0 and not visit.is_held:
            visit.is_held = True
            self.counts["held-back"] += 1
            visit.line.hold(held=True)

    def _refill(self, visit: _Visit, now_us: int) -> None:
        gained = (now_us - visit.filled_us) * self._limits.bytes_per_s / SECOND_US
        visit.room, visit.filled_us = min(BURST_BYTES, visit.room + gained), now_us

    def _watch(self, now_us: int) -> None:
        for visit in list(self._visits.values()):
            if visit.is_held:
                self._refill(visit, now_us)
                if visit.room >= 0:
                    visit.is_held = False
                    visit.line.hold(held=False)
            session = visit.session
            if not session.is_trusted and now_us - visit.since_us >= self._limits.stranger_us:
                self._end(visit, "jtt808-stranger")
            elif now_us - session.heard_us >= self._limits.silence_us:
                self._end(visit, "jtt808-silence")

    def _step(self, now: Instant) -> None:
        """Goes on through all terminals, each about once a second, a share of them each tick."""
        if not self._round:
            return
        elapsed_us = now.monotonic_us - self._stepped_us
        self._stepped_us = now.monotonic_us
        count = min(len(self._round), -(-len(self._round) * elapsed_us // ROUND_US))
        has_statements = now.monotonic_us - self._stated_us >= STATEMENTS_US
        for terminal in self._share(count):
            terminal.step(now)
            self._brokers.serve(terminal, now.monotonic_us)
        if has_statements:
            self._stated_us = now.monotonic_us
            for terminal in self._round:
                terminal.take_statements(now)

    def _share(self, count: int) -> Sequence[Terminal]:
        chosen = [self._round[(self._next + at) % len(self._round)] for at in range(count)]
        self._next = (self._next + count) % len(self._round)
        return chosen
