"""The order of one terminal's reports: what may be sealed now, and what came too late for it.

Place in the flow: door journal → **door_lane** (decides) → door_terminal seals.

A terminal that was out of reach sends the present first and its memory after it, minutes later. So
a report is held for a while, longer where time is missing before it:

    |----- sealed -----|  gap: memory may come  | present |          held FILL_US since it came
    |----- sealed -----|----- memory -----------| present |          no gap any more: held HOLD_US
    ^ a report from here on back is late: it is sealed, apart, and disturbs no trip

* Reports are sealed in order of their own time, in spans of at most `SPAN_US`.
* Time here is what the door believes (`believed_time`); held is by the monotonic clock.
* A driver's card stands in the same order: what was driven before it stays another's.
* Sans-IO: the journal has everything on the disk; this is only which of it goes next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

SECOND_US: Final = 1_000_000
SPAN_US: Final = 60 * SECOND_US
HOLD_US: Final = 30 * SECOND_US
FILL_US: Final = 600 * SECOND_US
GAP_US: Final = 90 * SECOND_US
"""Twice the longest period of reports that is usual on the road, 30 s, and half of it."""
SILENCE_US: Final = 120 * SECOND_US
ITEMS_MAX: Final = 4_000
BATCH_MAX: Final = 1_000

AHEAD_US: Final = 300 * SECOND_US
UNFIXED_US: Final = 600 * SECOND_US
EARLIEST_US: Final = 1_577_836_800 * SECOND_US
"""2020: no terminal of the 2019 standard is older, and a receiver that lost 1,024 weeks is."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a terminal said.

    Attributes:
        row: Its number in the journal.
        time_us: When it was true, microseconds UTC.
        held_us: Monotonic time since when it is held.
        body: Location report, or the token of a card where `is_card`.
    """

    row: int
    time_us: int
    held_us: int
    body: bytes
    is_card: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """Items to seal together, in order of time; a card is always alone."""

    items: tuple[Item, ...]
    is_late: bool


class Lane:
    """Holds what is not sealed yet.

    Args:
        sealed_us: Time of the last report that was sealed in order; 0 for a new terminal.
    """

    def __init__(self, sealed_us: int = 0) -> None:
        self.sealed_us = sealed_us
        self._items: list[Item] = []
        self._late: list[Item] = []
        self._heard_us = 0

    def __len__(self) -> int:
        return len(self._items) + len(self._late)

    def add(self, item: Item) -> None:
        """Takes an item in."""
        self._heard_us = max(self._heard_us, item.held_us)
        (self._late if item.time_us < self.sealed_us else self._items).append(item)

    def next(self, now_us: int, *, all_of_it: bool = False) -> Stretch | None:
        """Returns what is to be sealed now, None where nothing is; call `done` when it is sealed.

        Args:
            now_us: Monotonic time.
            all_of_it: Nothing is held any longer.
        """
        is_full = len(self) >= ITEMS_MAX or all_of_it
        if self._late and (is_full or now_us - self._late[0].held_us >= HOLD_US):
            late = sorted(self._late, key=lambda item: (item.time_us, item.row))
            return Stretch(tuple(late[:BATCH_MAX]), is_late=True)
        self._items.sort(key=lambda item: (item.time_us, item.row))
        if not self._items:
            return None
        span = self._first_span()
        if is_full or self._may_go(span, now_us):
            return Stretch(tuple(span), is_late=False)
        return None

    def done(self, stretch: Stretch) -> None:
        """Forgets what has been sealed."""
        rows = {item.row for item in stretch.items}
        self._late = [item for item in self._late if item.row not in rows]
        self._items = [item for item in self._items if item.row not in rows]
        if not stretch.is_late:
            self.sealed_us = max(self.sealed_us, stretch.items[-1].time_us)

    def silent_us(self, now_us: int) -> int:
        """Returns how long nothing has come."""
        return now_us - self._heard_us

    # ------------------------------------------------------------ inside
    def _first_span(self) -> list[Item]:
        first = self._items[0]
        if first.is_card:
            return [first]
        end_us = first.time_us - first.time_us % SPAN_US + SPAN_US
        span: list[Item] = []
        for item in self._items[:BATCH_MAX]:
            if item.time_us >= end_us or item.is_card:
                break
            span.append(item)
        return span

    def _may_go(self, span: Sequence[Item], now_us: int) -> bool:
        is_over = len(self._items) > len(span) or self.silent_us(now_us) >= SILENCE_US
        is_gap = bool(self.sealed_us) and span[0].time_us - self.sealed_us > GAP_US
        hold_us = FILL_US if is_gap else HOLD_US
        return is_over and all(now_us - item.held_us >= hold_us for item in span)


def believed_time(
    told_us: int | None, arrived_us: int, *, has_fix: bool, is_batch: bool
) -> int | None:
    """Decides when a report was true, microseconds UTC; None where nobody can say.

    Satellites set a terminal's clock, so with a fix its time is believed, unless it lies in the
    future or before 2020. Without a fix a clock may stand anywhere: of the present, it is believed
    within ten minutes of the arrival, which stands for it else; of a memory, if it is possible.

    Args:
        told_us: What the terminal says.
        arrived_us: Wall time here.
        has_fix: Whether it had a position.
        is_batch: Whether it comes from the terminal's memory.
    """
    is_possible = told_us is not None and EARLIEST_US <= told_us <= arrived_us + AHEAD_US
    is_near = told_us is not None and abs(told_us - arrived_us) <= UNFIXED_US
    if is_possible and (has_fix or is_batch or is_near):
        return told_us
    return None if is_batch else arrived_us
