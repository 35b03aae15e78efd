"""Losses that are told: what the outbox gave up, as signed gaps of an epoch's chain.

Place in the flow: outbox (drops, sets aside) → **gaps** (joins) → epochs (signs) → outbox → core.

    gap {type, device, epoch, first, last, head, lost, reason}
      head     the chain's value after `last`: the core goes on from there
      lost     {name of priority: how many}; sums to last - first + 1
      reason   room: others needed the place     age: it had waited too long
               refused: the core can never take it     several: not all for one of these

* Neighbouring losses become one gap, on both sides: a device that is away for a year keeps no row
  for each loss.
* Of the lost messages only the last leaves its chain value behind: the core acknowledges a gap as
  a whole.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.codec import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from edge.store import Store

PRIORITY_NAMES: Final = ("raw", "trip", "event", "evidence", "start")
ROOM: Final = "room"
AGE: Final = "age"
REFUSED: Final = "refused"
SEVERAL: Final = "several"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A message that was given up.

    Attributes:
        priority: One of the outbox's `PRIORITY_` constants.
        reason: `ROOM`, `AGE` or `REFUSED`.
        head: The chain's value after it.
    """

    epoch: int
    seq: int
    priority: int
    reason: str
    head: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages `first` to `last` of an epoch are lost; `head` is the chain's value after them."""

    epoch: int
    first: int
    last: int
    head: bytes
    lost: Mapping[str, int]
    reason: str

    def join(self, later: Gap) -> Gap:
        """Returns one gap of this and the one that begins where it ends."""
        lost = dict(Counter(self.lost) + Counter(later.lost))
        reason = self.reason if self.reason == later.reason else SEVERAL
        return Gap(self.epoch, self.first, later.last, later.head, lost, reason)

    def record(self, device: str) -> dict[str, Any]:
        """Lays out what the device signs."""
        return {
            "type": "gap",
            "device": device,
            "epoch": self.epoch,
            "first": self.first,
            "last": self.last,
            "head": self.head,
            "lost": dict(self.lost),
            "reason": self.reason,
        }


class GapBook:
    """The gaps that wait for the core, in table `outbox_gaps`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, dropped: Iterable[Dropped], sign: Callable[[Gap], bytes]) -> None:
        """Signs for losses and keeps the gaps; call inside the transaction of the losses."""
        for gap in join_neighbours(dropped):
            self._keep(self._grown(gap), sign)

    def _grown(self, gap: Gap) -> Gap:
        """Joins a gap with the kept ones that it touches."""
        before = self._find(gap.epoch, "last", gap.first - 1)
        after = self._find(gap.epoch, "first", gap.last + 1)
        grown = before.join(gap) if before else gap
        return grown.join(after) if after else grown

    def _find(self, epoch: int, end: str, seq: int) -> Gap | None:
        row = self._store.row(
            "SELECT g.epoch, g.first, g.last, g.lost, g.reason, m.head FROM outbox_gaps g "
            "JOIN outbox_messages m ON m.epoch = g.epoch AND m.seq = g.last "
            "WHERE g.epoch = ? AND CASE ? WHEN 'first' THEN g.first ELSE g.last END = ?",
            (epoch, end, seq),
        )
        if row is None:
            return None
        lost = decode(bytes(row["lost"]))
        return Gap(row["epoch"], row["first"], row["last"], row["head"], lost, row["reason"])

    def _keep(self, gap: Gap, sign: Callable[[Gap], bytes]) -> None:
        place = (gap.epoch, gap.first, gap.last)
        self._store.execute(
            "DELETE FROM outbox_gaps WHERE epoch = ? AND first >= ? AND last <= ?", place
        )
        self._store.execute(
            "INSERT INTO outbox_gaps (epoch, first, last, message, lost, reason) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (*place, sign(gap), encode(dict(gap.lost)), gap.reason),
        )
        self._store.execute(
            "DELETE FROM outbox_messages "
            "WHERE epoch = ? AND seq >= ? AND seq < ? AND message IS NULL",
            place,
        )


def join_neighbours(dropped: Iterable[Dropped]) -> list[Gap]:
    """Returns the fewest gaps that tell of these losses, in order."""
    gaps: list[Gap] = []
    for each in sorted(dropped, key=lambda lost: (lost.epoch, lost.seq)):
        name = PRIORITY_NAMES[each.priority]
        gap = Gap(each.epoch, each.seq, each.seq, each.head, {name: 1}, each.reason)
        if gaps and (gaps[-1].epoch, gaps[-1].last + 1) == (gap.epoch, gap.first):
            gaps[-1] = gaps[-1].join(gap)
        else:
            gaps.append(gap)
    return gaps
