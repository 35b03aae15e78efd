"""One epoch of one device as the core sees it: a hash chain that fills up from the front.

Place in the flow: `ingest` admits authentic messages into a `Stream`, `store` makes the change
durable, the acknowledgement says how far the stream is covered.

Theory of operation. Messages of an epoch are numbered: 0 is the epoch start, then batches, other
evidence and, as the last, the epoch close. Heads chain them: h0 = SHA-256(start),
hn = SHA-256(h(n-1) || message n). A stream has a *covered* prefix 0..seq whose head the core has
recomputed, and messages *waiting* beyond it:

    covered                waiting
    0 1 2 3 4 5            7 8      11        arrival of 6 covers 6, 7, 8 at once
    start   head = h5      gap 9..10          a signed gap record covers what the device dropped

* Only the covered prefix is ever acknowledged, and only with the recomputed head.
* Order and repetition of arrivals change nothing: the same set of messages gives the same stream.
* A gap record moves the prefix past lost messages with the device's own head; when a lost message
  turns up after all it is kept, and no longer counts as lost.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

NOTHING = -1


@dataclass(frozen=True, slots=True)
class Gap:
    """A signed statement that messages first..last are lost and the head after them is `head`."""

    first: int
    last: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """A signed statement that the epoch has `count` messages after its start, ending in `head`."""

    count: int
    head: bytes


@dataclass(slots=True)
class Stream:
    """State of one (device, epoch).

    Attributes:
        seq: Last covered number; `NOTHING` before the epoch start.
        head: Chain head at `seq`, 32 bytes.
        start: The epoch start message.
        hpke_id: Key that the epoch's own is wrapped to; empty when it is ratcheted, None before
            the start is known.
        kept: Sealed keys of an epoch that is ratcheted.
        waiting: Authentic messages beyond `seq`, by number.
        digests: SHA-256 of stored messages by number, as far as they were looked up.
        gaps: Gap records that are not covered yet.
        close: What the device signed at the end of the epoch, once known.
        verdict: `open`, `verified` (count and head agree) or `mismatch`.
    """

    device: str
    epoch: int
    seq: int = NOTHING
    head: bytes = b""
    start: bytes | None = None
    hpke_id: bytes | None = None
    kept: bytes = b""
    waiting: dict[int, bytes] = field(default_factory=dict)
    digests: dict[int, bytes] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    close: Close | None = None
    verdict: str = "open"

    def begin(self, message: bytes) -> None:
        """Covers number 0 with a verified epoch start."""
        self.start = message
        self.seq = 0
        self.head = digest_of(message)
        self.digests[0] = self.head

    def add(self, seq: int, message: bytes) -> None:
        """Takes an authentic message in, whichever number it has, and covers what it can."""
        self.digests[seq] = digest_of(message)
        if seq > self.seq:
            self.waiting[seq] = message
        self.advance()

    def advance(self) -> None:
        """Covers as much as possible: the next message, else a gap record that reaches further."""
        while True:
            following = self.waiting.pop(self.seq + 1, None)
            if following is not None:
                self._cover(self.seq + 1, digest_of(self.head + following))
                continue
            gap = self._next_gap()
            if gap is None:
                break
            self._skip(gap)
        self.gaps = [gap for gap in self.gaps if gap.last > self.seq]

    def judge(self) -> None:
        """Compares the epoch's end with the recomputed chain, as soon as it is covered."""
        if self.close is not None and self.verdict == "open" and self.seq == self.close.count:
            self.verdict = "verified" if self.head == self.close.head else "mismatch"

    def _cover(self, seq: int, head: bytes) -> None:
        self.seq = seq
        self.head = head
        self.judge()

    def _next_gap(self) -> Gap | None:
        fitting = [gap for gap in self.gaps if gap.first <= self.seq + 1 <= gap.last]
        return max(fitting, key=lambda gap: gap.last, default=None)

    def _skip(self, gap: Gap) -> None:
        """Passes over lost messages; what arrived of them meanwhile stays stored."""
        for seq in range(self.seq + 1, gap.last + 1):
            self.waiting.pop(seq, None)
        self._cover(gap.last, gap.head)


def digest_of(message: bytes) -> bytes:
    """Returns SHA-256 of `message`, 32 bytes."""
    return hashlib.sha256(message).digest()
