"""The rules of sync, for both ends: what to send, what to believe, when to stop.

Place in the flow: messages → **protocol** → agent (device side), core (accept). Sans-IO: journal
positions and answers in, the next step out.

Theory of operation. A journal is a hash chain. The device sends frames of consecutive entries;
the core recomputes every hash and so proves to itself that it has seen each entry, in order,
unchanged. Either end may have forgotten how far they were: the core's head is the truth about
what arrived, and each end compares it with its own chain before it believes anything.

Device side, `Uplink`:

    state     event                                     next state
    ready     `frame` of the entries after the mark     waiting
    waiting   `received`, own hash at seq is the same   ready, mark := seq
    waiting   `gap`, own hash at seq is the same        ready, mark := seq (back or forth)
    waiting   `received` or `gap`, own entry was lost   ready, mark := start of the epoch that a
              with a damaged file, and that was said      technician began over what was saved
    waiting   no answer, or `error` that may pass       ready, mark stays
    waiting   `received` or `gap`, own hash differs     halted: fork
    waiting   `received` or `gap`, no such own entry    halted: rollback, our disk is an old copy
    waiting   `fork`                                    halted: fork
    waiting   `error` that will not pass                halted: its code

Core side, `judge_frame`, with head H of what is stored:

    frame                                               judgement
    first > H + 1                                       gap
    a hash within the overlap differs from the stored   fork at that seq
    the chain does not end in the signed head           fork at first
    last <= H, all the same                             duplicate
    else                                                accept the entries after H

* `mark` only ever moves to where the core's signed head equals the device's own hash, or past what
  the journal itself declares lost: the core then compares, and a person looks (`accept`).
* Losing, repeating or reordering frames and answers costs time, never an entry.
* A halted uplink stays halted: a person looks, no program mends a fork.
* One gap answer is normal after a restart. A second for the same place means that one side is
  broken: the uplink stops this contact with `sync-stuck` instead of looping.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from backend_sync.messages import Answer, Frame, Position
from edge.errors import LocalError, PeerError
from edge.journal import chain, genesis

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PASSING_ERRORS: Final = frozenset({"busy", "internal", "rate-limited", "unavailable"})
ACCEPT_ENTRIES_MAX: Final = 4_096


# ------------------------------------------------------------------ device side
class Uplink:
    """One device's sending side.

    Args:
        device: Own id.
        mark: The last position the core is known to hold; seq 0 when nothing is known.

    Attributes:
        state: `ready`, `waiting` or `halted`.
        halt_code: Why it halted.
    """

    def __init__(self, device: str, mark: Position) -> None:
        self.device = device
        self.mark = mark
        self.state = "ready"
        self.halt_code = ""
        self._gap_at: int | None = None

    def frame(self, entries: Sequence[tuple[bytes, bytes]]) -> Frame:
        """Makes a frame of the entries that follow the mark.

        Args:
            entries: (bytes, hash) of entries mark.seq + 1, ... in order, at least one.

        Raises:
            LocalError: The uplink is not ready, or our own journal does not chain from the mark.
        """
        if self.state != "ready":
            raise LocalError(f"The uplink is {self.state}; it cannot send.", "uplink-state")
        head = self.mark.head
        for entry, known in entries:
            head = chain(head, entry)
            if head != known:
                raise LocalError(
                    "The journal on this device is damaged. Stop using it and call the bank.",
                    "journal-damaged",
                )
        self.state = "waiting"
        first = self.mark.seq + 1
        last = self.mark.seq + len(entries)
        parts = tuple(entry for entry, _ in entries)
        return Frame(self.device, self.mark.epoch, first, last, head, parts)

    def receive(
        self, answer: Answer, own_hash: bytes | None, goes_on: Position | None = None
    ) -> None:
        """Takes the core's verified answer to the frame.

        Args:
            answer: What `open_answer` returned.
            own_hash: Our chain hash at `answer.at`, or None when our journal has no such entry.
            goes_on: Where our journal goes on when it declares that entry lost, or None.

        Raises:
            LocalError: No frame is under way.
            PeerError: The core asks for the same place twice: this contact leads nowhere.
        """
        if self.state != "waiting":
            raise LocalError("No frame is under way.", "uplink-state")
        if answer.type == "error":
            self._fail(answer)
        elif answer.type == "fork":
            self._halt("fork")
        elif answer.at is not None:
            self._settle(answer.type, answer.at, own_hash, goes_on)

    def lose(self) -> None:
        """Notes that no believable answer came: the same entries are sent again later."""
        if self.state == "waiting":
            self.state = "ready"

    def _settle(
        self, kind: str, at: Position, own_hash: bytes | None, goes_on: Position | None
    ) -> None:
        if own_hash is None and goes_on is not None:
            self.mark, self.state = goes_on, "ready"
        elif own_hash is None:
            self._halt("rollback")
        elif own_hash != at.head:
            self._halt("fork")
        elif kind == "gap" and self._gap_at == at.seq:
            self.state = "ready"
            raise PeerError("The core keeps asking for the same entries.", "sync-stuck")
        else:
            self._gap_at = at.seq if kind == "gap" else None
            self.mark = at
            self.state = "ready"

    def _fail(self, answer: Answer) -> None:
        if answer.code in PASSING_ERRORS:
            self.state = "ready"
        else:
            self._halt(answer.code)

    def _halt(self, code: str) -> None:
        self.state = "halted"
        self.halt_code = code


def start_of(device: str, epoch: int) -> Position:
    """Returns the position before the first entry of an epoch."""
    return Position(epoch, 0, genesis(device, epoch))


# ------------------------------------------------------------------ core side
def doubt_counter(counter: int, counted: int, later: int) -> str:
    """Says what is wrong with a device's counter; an empty text when nothing is.

    Each entry raises the counter by exactly one, before it is written. So while a journal stands
    `later` entries after one that counted `counted`, the counter is their sum, or one ahead when
    the power failed between counter and entry.

    Args:
        counter: What the device reads; 0 when it says that it has none.
        counted: The counter in an entry that the core holds; 0 from before there was one.
        later: How many entries the journal has after that one; negative when it ends before the
            first, which may have been tried more than once: then no counter is too low.
    """
    expected = counted + later
    lowest = 0 if later < 0 else expected
    if not counted or lowest <= counter <= expected + 1:
        return ""
    if counter > expected:
        return f"The journal is an old copy: it counts {expected}, its counter is at {counter}."
    return f"The counter was replaced: it is at {counter}, the journal counts {expected}."


@dataclass(frozen=True, slots=True)
class Linked:
    """An entry that follows in the chain: its number, exact bytes and hash."""

    seq: int
    entry: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Judgement:
    """What to do with a frame.

    Attributes:
        verdict: `accept`, `duplicate`, `gap` or `fork`.
        head: What the core holds after obeying it.
        fresh: With `accept`: the entries to store, in order.
        seq: With `fork`: where the branches part.
    """

    verdict: str
    head: Position
    fresh: tuple[Linked, ...] = ()
    seq: int = 0


def judge_frame(
    frame: Frame, head: Position, stored: Mapping[int, bytes], entries_max: int = ACCEPT_ENTRIES_MAX
) -> Judgement:
    """Judges a verified frame against what is stored of its device and epoch.

    Args:
        frame: What `open_frame` returned.
        head: The stored head of (frame.device, frame.epoch); `start_of` when there is none.
        stored: Hash by seq, at least of frame.first - 1 up to the smaller of frame.last and
            head.seq; seq 0 is implied.
        entries_max: Take at most so many; the acknowledgement then covers that prefix only.
    """
    if frame.first > head.seq + 1:
        return Judgement("gap", head)
    before = frame.first - 1
    link = genesis(frame.device, frame.epoch) if before == 0 else stored[before]
    fresh: list[Linked] = []
    for seq, entry in enumerate(frame.entries, frame.first):
        link = chain(link, entry)
        if seq > head.seq:
            fresh.append(Linked(seq, entry, link))
        elif link != stored[seq]:
            return Judgement("fork", head, seq=seq)
    if link != frame.head:
        return Judgement("fork", head, seq=frame.first)
    if not fresh:
        return Judgement("duplicate", head)
    kept = fresh[:entries_max]
    return Judgement("accept", replace(head, seq=kept[-1].seq, head=kept[-1].hash), tuple(kept))
