"""One contact with the core: the journal's new entries up, then what changed down.

Place in the flow: kiosk's journal → **contact** → link ══ core ══ link → **contact** → mirror.

    resume   where the core's head was last, from the mirror's notes; checked against our own chain
    upload   frames of the entries after the mark, until none is left or `FRAMES_MAX` went
    download requests with our cursors; each page is applied as it is, atomically

* Downlink goes on whatever became of the uplink: a halted or refused journal dims no screen.
* The mark is noted only after the core's signed head equals our own hash there. Forgetting it
  (a new mirror, a power cut) costs time: the core answers what it has, and nothing is sent twice
  that it would count twice.
* The first frame after a start begins one entry early, so the core's head is heard even when
  nothing is new: that is how a restored old disk is noticed before it does harm.
* Fork, rollback and a damaged journal are noted and end uploads, whoever noticed, we or the core;
  the last two until a technician has recovered the journal. Every other refusal is shown, and asked
  again at the next contact: the bank may have mended it.
* What does not verify is not believed, and nothing of it is applied.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

from backend_sync.messages import (
    ANSWER_BYTES_MAX,
    FRAME_BYTES_MAX,
    FRAME_ENTRIES_MAX,
    NONCE_BYTES,
    UNREADABLE,
    Position,
    Request,
    downlink_path,
    journal_path,
    open_answer,
    open_pages,
    sign_frame,
    sign_request,
)
from backend_sync.protocol import Uplink, start_of
from edge.errors import DeviceFault, LastmileError, LocalError, PeerError
from edge.journal import JournalReader
from edge.mirror import Mirror
from edge.store import open_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from backend_sync.messages import Answer, Pages
    from edge.ports import Clock, Counter, Randomness, Signer
    from edge.store import Store

    Verify = Callable[[bytes, bytes], None]
    Entries = Sequence[tuple[bytes, bytes]]

FRAMES_MAX: Final = 16
"""Frames of one contact; a longer queue goes on in the next, after the screens had their turn."""

ROUNDS_MAX: Final = 64
"""Downlink requests of one contact."""

FRAME_PLAIN_BYTES: Final = 192 * 1024
"""Entries of one frame before deflate; bodies with keys in clear shrink to about a third."""

STATED_AHEAD_US_MAX: Final = 365 * 86_400_000_000
"""A time further ahead of the core's last word is that of a clock gone mad: it is not stated. The
kiosk takes any leap that is a day longer."""

COUNTER_LOOKS_MAX: Final = 8
"""So often are counter and journal read again while the kiosk writes between the two."""

LASTING: Final = frozenset({"fork", "rollback", "journal-damaged"})
RECOVERABLE: Final = LASTING - {"fork"}
"""What ends when a technician has recovered the journal; a fork is the bank's alone to judge."""


class Carrier(Protocol):
    """Carries a body to the core and brings the answer: `link.Link`."""

    def post(self, path: str, body: bytes, answer_bytes_max: int) -> bytes:
        """Returns the answer's body."""
        ...


@dataclass(frozen=True, slots=True)
class Ends:
    """Who speaks with whom, and by what.

    Attributes:
        device: Own id.
        signer: Signs as the device.
        verify: Checks signatures of the core.
        carrier: Brings bytes to the core and back.
        clock: Reads the present, for the notes.
        randomness: Makes nonces.
        journal_key: What the kiosk's journal is encrypted with; None for a plain one.
        counter: Rollback witness of this device, or None.
    """

    device: str
    signer: Signer
    verify: Verify
    carrier: Carrier
    clock: Clock
    randomness: Randomness
    journal_key: bytes | None = field(default=None, repr=False, kw_only=True)
    counter: Counter | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one contact.

    Attributes:
        sent: Entries that the core was shown to hold beyond the former mark.
        pages: Pages that were applied.
        uplink_error: What stopped the uplink, or None.
        downlink_error: What stopped the downlink, or None: then it was a good contact.
        more: Entries or pages wait still: call again at once.
        next_contact_s: When the core wants to hear again; 0 leaves it to us.
        halt_code: Why uploads have ended, else empty.
    """

    sent: int
    pages: int
    uplink_error: LastmileError | None
    downlink_error: LastmileError | None
    more: bool
    next_contact_s: int
    halt_code: str

    @property
    def good(self) -> bool:
        """Whether both directions went well; a halted uplink is no failure of the contact."""
        return self.uplink_error is None and self.downlink_error is None


class Contact:
    """Brings journal and mirror of one device up to date with the core.

    Args:
        ends: Identity, keys and carrier.
        store: The mirror's file, open for writing: pages and the agent's notes go there.
    """

    def __init__(self, ends: Ends, store: Store) -> None:
        self._ends = ends
        self._store = store
        self._mirror = Mirror(store)
        self._greeted = False

    @property
    def device(self) -> str:
        """Own id."""
        return self._ends.device

    @property
    def mark_seq(self) -> int:
        """The last entry that the core is known to hold."""
        return int(self._mirror.noted("mark_seq") or 0)

    @property
    def halt_code(self) -> str:
        """Why uploads ended until a person has looked; empty while they go on."""
        code = str(self._mirror.noted("halt_code") or "")
        return code if code in LASTING else ""

    def has_news(self, path: Path) -> bool:
        """Says whether the journal holds entries after the mark that may be sent."""
        if self.halt_code:
            return False
        try:
            with open_journal(path, self.device, self._ends.journal_key) as journal:
                head = journal.head() if journal else None
        except LastmileError:
            return False
        mark = self._noted_mark()
        return head is not None and (head.epoch, head.seq) > (mark.epoch, mark.seq)

    def run(self, path: Path) -> Outcome:
        """Makes one contact.

        Args:
            path: The kiosk's journal file; there is none while the kiosk was never started.
        """
        before = self.mark_seq
        uplink_error = downlink_error = None
        next_contact_s = pages = 0
        more = False
        try:
            with open_journal(path, self.device, self._ends.journal_key) as journal:
                more = self._upload(journal)
        except LastmileError as error:
            uplink_error = error
        try:
            pages, last = self._download(path)
            more, next_contact_s = more or last.more, last.next_contact_s
        except LastmileError as error:
            downlink_error = error
        sent = max(0, self.mark_seq - before)
        return Outcome(
            sent, pages, uplink_error, downlink_error, more, next_contact_s, self.halt_code
        )

    # -------------------------------------------------------------- uplink
    def _upload(self, journal: JournalReader | None) -> bool:
        """Returns whether entries are left for the next contact."""
        if journal is None:
            vanished = self.mark_seq > 0
            self._note_state(*(("halted", "rollback") if vanished else ("waiting", "no-journal")))
            return False
        uplink = self._resume(journal)
        for _ in range(FRAMES_MAX):
            if uplink is None or uplink.state == "halted":
                return False
            entries = _following(uplink, journal)
            if not entries:
                self._note_state("ready", "")
                return False
            self._send(uplink, entries, journal)
        return uplink is not None and uplink.state == "ready"

    def _resume(self, journal: JournalReader) -> Uplink | None:
        """Returns where to go on; None when uploads ended."""
        noted = self._noted_mark()
        recovered = journal.head().epoch > noted.epoch and self.halt_code in RECOVERABLE
        if self.halt_code and not recovered:
            return None
        mark = _reached(noted, journal)
        own = _own_hash(mark, journal)
        if own != mark.head:
            self._note_state("halted", "rollback" if own is None else "fork")
            return None
        if not self._greeted and mark.seq > 0:
            before = journal.hash_at(mark.epoch, mark.seq - 1)
            mark = replace(mark, seq=mark.seq - 1, head=before) if before else mark
        return Uplink(self._ends.device, mark)

    def _noted_mark(self) -> Position:
        """Returns the last position that the core is known to hold."""
        kept = self._mirror.noted("mark")
        if kept is None:
            return start_of(self._ends.device, 1)
        return Position(kept["epoch"], kept["seq"], kept["head"])

    def _send(self, uplink: Uplink, entries: Entries, journal: JournalReader) -> None:
        """Sends one frame and takes its answer; what was not believed leaves the mark alone."""
        try:
            answer = self._exchange(uplink, entries)
            own = _own_hash(answer.at, journal) if answer.at else None
            uplink.receive(answer, own, _going_on(answer.at, journal) if answer.at else None)
        except LastmileError as error:
            uplink.lose()
            self._note_state("halted" if error.code in LASTING else "waiting", error.code)
            raise
        if answer.type == "error":
            self._note_state("waiting", answer.code)
            raise PeerError(answer.message, answer.code)
        self._keep(uplink)

    def _exchange(self, uplink: Uplink, entries: Entries) -> Answer:
        device = self._ends.device
        path = journal_path(device)
        message = self._pack(uplink, entries)
        reply = self._ends.carrier.post(path, message, FRAME_BYTES_MAX)
        return open_answer(reply, self._ends.verify, path, device)

    def _pack(self, uplink: Uplink, entries: Entries) -> bytes:
        """Makes a frame that fits; one that deflates badly is halved and tried again."""
        while True:
            frame = uplink.frame(entries)
            try:
                return sign_frame(self._ends.signer, frame)
            except LocalError as error:
                if error.code != "frame-size" or len(entries) == 1:
                    raise
                uplink.lose()
                entries = entries[: len(entries) // 2]

    def _keep(self, uplink: Uplink) -> None:
        """Notes where the uplink stands now, all of it at one instant."""
        self._greeted = True
        with self._store.transaction():
            if uplink.state == "halted":
                self._note_state("halted", uplink.halt_code)
                return
            at = uplink.mark
            self._mirror.note("mark", {"epoch": at.epoch, "seq": at.seq, "head": at.head})
            self._mirror.note("mark_seq", at.seq)
            self._note_state("ready", "")

    def _note_state(self, state: str, code: str) -> None:
        with self._store.transaction():
            for name, value in (("uplink", state), ("halt_code", code)):
                if self._mirror.noted(name) != value:
                    self._mirror.note(name, value)

    # -------------------------------------------------------------- downlink
    def _download(self, path: Path) -> tuple[int, Pages]:
        """Asks until nothing is new; a page that does not add up is asked for once more."""
        applied = 0
        mended = False
        for _ in range(ROUNDS_MAX):
            answer = self._ask(path)
            broken = self._apply(answer)
            applied += len(answer.pages) - len(broken)
            if broken and mended:
                raise broken[0]
            mended = mended or bool(broken)
            if not broken and not answer.more:
                break
        now_us = self._ends.clock.now().wall_us
        with self._store.transaction():
            self._mirror.note("core_ahead_us", answer.now_us - now_us)
            self._mirror.note("contact_us", now_us)
            self._forget_mad_time(answer.now_us)
            if answer.halt in LASTING:
                self._note_state("halted", answer.halt)
        return applied, answer

    def _ask(self, path: Path) -> Pages:
        ends = self._ends
        nonce = ends.randomness.token(NONCE_BYTES)
        # In this order: what the kiosk books from here on is judged by no earlier time.
        stated_us = self._state_time()
        position, count = self._stand(path)
        request = Request(ends.device, self._mirror.cursors(), nonce, position, stated_us, count)
        address = downlink_path(ends.device)
        reply = ends.carrier.post(address, sign_request(ends.signer, request), ANSWER_BYTES_MAX)
        return open_pages(reply, ends.verify, ends.device, nonce)

    def _state_time(self) -> int:
        """Returns the time to state: ours, or a later one that the kiosk was told before.

        The kiosk will not go back behind what is noted, and nothing else may be stated. A mad time
        is not noted over a sane one: the kiosk would pass over it, and over the sane one with it.
        """
        noted_us = self._mirror.noted("stated_us") or 0
        now_us = self._ends.clock.now().wall_us
        heard = [self._mirror.as_of_us(scope) or 0 for scope in self._mirror.cursors()]
        if now_us <= noted_us or (heard and now_us > max(heard) + STATED_AHEAD_US_MAX):
            return int(noted_us)
        self._mirror.note("stated_us", now_us)
        return now_us

    def _forget_mad_time(self, core_us: int) -> None:
        """Takes back a time that was stated before the core's first word, when it was a mad one."""
        if (self._mirror.noted("stated_us") or 0) > core_us + STATED_AHEAD_US_MAX:
            self._mirror.note("stated_us", core_us)

    def _apply(self, answer: Pages) -> list[PeerError]:
        """Applies every page that holds; returns what was wrong with the others."""
        broken = []
        for page in answer.pages:
            try:
                self._mirror.apply(page)
            except PeerError as error:
                broken.append(error)
        return broken

    def _stand(self, path: Path) -> tuple[Position, int]:
        """Returns where the journal stands, and the counter at that same time.

        Raises:
            DeviceFault: The kiosk writes faster than we can look.
        """
        counter = self._ends.counter
        for _ in range(COUNTER_LOOKS_MAX):
            before = counter.read() if counter else 0
            position = self._position(path)
            if before == (counter.read() if counter else 0):
                return position, before
        raise DeviceFault(
            "The counter of this device does not stand still; it is asked again at the next "
            "contact.",
            "counter-busy",
        )

    def _position(self, path: Path) -> Position:
        """Returns where the journal stands; a place no core holds when it cannot be read.

        The core takes "nothing was ever written" as leave to release leases: a journal that
        cannot be read must not say so.
        """
        device = self._ends.device
        try:
            with open_journal(path, device, self._ends.journal_key) as journal:
                if journal is None:
                    return start_of(device, 1)
                head = journal.head()
        except LastmileError:
            return UNREADABLE
        return Position(head.epoch, head.seq, head.hash)


@contextlib.contextmanager
def open_journal(
    path: Path, device: str, key: bytes | None = None
) -> Iterator[JournalReader | None]:
    """Opens the kiosk's journal for reading; None while the kiosk was never started.

    Raises:
        DeviceFault: It is there and cannot be read.
    """
    if not path.exists():
        yield None
        return
    with open_reader(path, key) as store:
        yield JournalReader(store, device)


def _following(uplink: Uplink, journal: JournalReader) -> Entries:
    """Returns the entries after the mark; past the last of an epoch the next one begins."""
    at = uplink.mark
    entries = journal.read(at.seq, FRAME_ENTRIES_MAX, FRAME_PLAIN_BYTES, at.epoch)
    following = None if entries else journal.next_epoch(at.epoch)
    if following is None:
        return entries
    uplink.mark = start_of(uplink.device, following)
    return journal.read(0, FRAME_ENTRIES_MAX, FRAME_PLAIN_BYTES, following)


def _reached(mark: Position, journal: JournalReader) -> Position:
    """Returns the mark, or a later place where the journal must go on.

    What was pruned was closed by the core, which so holds it. What was lost with a damaged file
    is declared by the epoch that a technician began.
    """
    anchor = journal.anchor()
    if anchor is not None and (mark.epoch, mark.seq) < (anchor.epoch, anchor.seq):
        return Position(anchor.epoch, anchor.seq, anchor.hash)
    lost = _own_hash(mark, journal) is None
    return (_going_on(mark, journal) if lost else None) or mark


def _going_on(at: Position, journal: JournalReader) -> Position | None:
    """Returns the start of the epoch that declares an entry lost, or None."""
    epoch = journal.goes_on_at(at.epoch, at.seq)
    return start_of(journal.device, epoch) if epoch else None


def _own_hash(at: Position, journal: JournalReader) -> bytes | None:
    """Returns our chain hash at a position, None when our journal never came that far."""
    if at.epoch > journal.head().epoch:
        return None
    return journal.hash_at(at.epoch, at.seq)
