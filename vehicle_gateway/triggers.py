"""Around what everything is kept: triggers of a campaign, and a ring of what was left out.

Place in the flow: collect (what no row keeps) → **triggers** → batch, as messages of their own.

         ring: left out, not yet forgotten        |        this window
    ------------------[==== pre ====|== post ==]--|------------------------
                                    ^ a condition becomes true, or an event

* The ring holds what was *not* sent. A capture takes it out, so no sample is ever sent twice.
* It reaches back as far as the longest `pre_s`, and half a minute more where an event is waited
  for, because an event is told when it has ended.
* Bounded in time and in bytes; what is too old or too much is forgotten, oldest first.
* Nobody's past is kept for another: the ring is emptied when the driver changes, and holds nothing
  while none has agreed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.columns import Group, decode_columns, encode_columns
from vehicle_gateway.expression import SECOND_US, read_condition
from vehicle_gateway.wanted import ids_of
from vehicle_gateway.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vehicle_gateway.wanted import Trigger

RING_BYTES_MAX: Final = 1 << 20
EVENT_US: Final = 30 * SECOND_US
SPANS_MAX: Final = 32
"""Open or fresh captures at once; what starts beyond them is not captured."""

Span = tuple[int, int]
"""From an instant to another, both included, microseconds UTC."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something that a trigger may wait for: an event's kind and its span."""

    kind: str
    span: Span


class Armed:
    """One trigger, waiting."""

    def __init__(self, trigger: Trigger) -> None:
        self.trigger = trigger
        self.signals = ids_of(trigger.paths)
        self._watch = Watch(read_condition(trigger.when)) if trigger.when else None
        self._pause_us = trigger.pause_s * SECOND_US
        self._started_us: int | None = None
        self._open: list[Span] = []

    @property
    def reach_us(self) -> int:
        """How far back it may ask for what was left out; 0 for not at all."""
        pre_us = self.trigger.pre_s * SECOND_US
        return pre_us + (EVENT_US if self.trigger.event else 0)

    def feed(
        self, groups: Sequence[Group], occasions: Iterable[Occasion], end_us: int
    ) -> list[Span]:
        """Takes a window in; returns the spans to be captured, the open ones among them."""
        pre_us, post_us = self.trigger.pre_s * SECOND_US, self.trigger.post_s * SECOND_US
        if self._watch is not None:
            found = [(time, time) for time in self._watch.feed(groups, end_us).rises()]
        else:
            found = [each.span for each in occasions if each.kind == self.trigger.event]
        for start_us, stop_us in found:
            if self._may_start(start_us) and len(self._open) < SPANS_MAX:
                self._started_us = start_us
                self._open.append((start_us - pre_us, stop_us + post_us))
        spans, self._open = self._open, [each for each in self._open if each[1] > end_us]
        return spans

    def _may_start(self, start_us: int) -> bool:
        since_us = None if self._started_us is None else start_us - self._started_us
        return since_us is None or not 0 <= since_us < self._pause_us

    def state(self) -> list[Any]:
        """Returns all that the next window depends on."""
        watch = self._watch.state() if self._watch else []
        return [watch, self._started_us, [list(each) for each in self._open]]

    def restore(self, state: Sequence[Any]) -> None:
        """Goes on from what `state` returned."""
        watch, self._started_us, spans = state
        self._open = [(first, last) for first, last in spans]
        if self._watch:
            self._watch.restore(watch)


class Ring:
    """What was left out lately, encoded window by window, oldest first.

    Args:
        signals: What may be asked for again.
        reach_us: How long it is kept.
    """

    def __init__(self, signals: frozenset[int], reach_us: int) -> None:
        self.signals = signals
        self._reach_us = reach_us
        self._kept: list[tuple[Span, bytes]] = []
        self._whose: str | None = None

    def belong_to(self, whose: str | None) -> None:
        """Empties it when another drives than before."""
        if whose != self._whose:
            self._kept.clear()
            self._whose = whose

    def put(self, groups: Sequence[Group], now_us: int) -> None:
        """Keeps what a window left out, and forgets what is too old."""
        fitting = [found for each in groups if (found := only(each, self.signals)) is not None]
        if fitting and self._reach_us and self._whose is not None:
            self._kept.append(_packed(fitting))
        oldest_us = now_us - self._reach_us
        self._kept = [each for each in self._kept if oldest_us <= each[0][1]]
        while sum(len(each) for _, each in self._kept) > RING_BYTES_MAX:
            self._kept.pop(0)

    def take(self, signals: frozenset[int], spans: Sequence[Span]) -> list[Group]:
        """Takes out what falls into the spans."""
        taken: list[Group] = []
        kept: list[tuple[Span, bytes]] = []
        for (first_us, last_us), packed in self._kept:
            if not any(start <= last_us and first_us <= end for start, end in spans):
                kept.append(((first_us, last_us), packed))
                continue
            found, rest = carve(decode_columns(packed), signals, spans)
            taken += found
            kept += [_packed(rest)] if rest else []
        self._kept = kept
        return taken

    def state(self) -> list[Any]:
        """Returns all that the next window depends on: readable, so it is sealed before it lies."""
        return [self._whose, [[*span, packed] for span, packed in self._kept]]

    def restore(self, state: Sequence[Any]) -> None:
        """Goes on from what `state` returned."""
        self._whose, kept = state
        self._kept = [((first, last), packed) for first, last, packed in kept]


def only(group: Group, signals: frozenset[int]) -> Group | None:
    """Returns the part of a group that is of these signals."""
    series = {key: values for key, values in group.series.items() if key in signals}
    return Group(group.times_us, series) if series and group.times_us else None


def carve(
    groups: Iterable[Group], signals: frozenset[int], spans: Sequence[Span]
) -> tuple[list[Group], list[Group]]:
    """Cuts what is of these signals and within the spans out; returns it and the rest."""
    taken: list[Group] = []
    rest: list[Group] = []
    for group in groups:
        inside = [any(a <= time <= b for a, b in spans) for time in group.times_us]
        fitting = only(group, signals)
        if fitting is None or not any(inside):
            rest.append(group)
            continue
        taken.append(picked(fitting, [place for place, is_in in enumerate(inside) if is_in]))
        left = picked(fitting, [place for place, is_in in enumerate(inside) if not is_in])
        others = only(group, frozenset(group.series) - signals)
        rest += [each for each in (left, others) if each is not None and each.times_us]
    return taken, rest


def picked(group: Group, places: Sequence[int]) -> Group:
    """Returns the samples of some places."""
    series: Mapping[int, Sequence[int | None]] = {
        key: [values[place] for place in places] for key, values in group.series.items()
    }
    return Group([group.times_us[place] for place in places], series)


def _packed(groups: Sequence[Group]) -> tuple[Span, bytes]:
    first_us = min(min(each.times_us) for each in groups)
    last_us = max(max(each.times_us) for each in groups)
    return (first_us, last_us), encode_columns(groups, first_us)
