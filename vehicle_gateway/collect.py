"""What of the decoded columns is sealed: all of it, or what a campaign wants and can afford.

Place in the flow: decode → events, trips (at full rate) → **collect** → privacy, seal.

    columns ─┬─ kept       by rows: every sample, one an interval, or changes, under a condition
             ├─ captured   around a trigger, at full rate, in messages of their own
             └─ left out   into the ring for a while, then forgotten and counted

    spent of the day's bytes    0 % ... 60 % (priority 9) ... 95 % (2) ... 100 % (1)
    rows beyond their share     one sample a minute; beyond 100 % none. Captures: none.

* Events, trips and snapshots are never thinned: they were computed before, and always go.
* Signals that were measured together and share a row are kept together.
* Without a `collect` section everything goes as it is.
* The day is that of the data in China's time zone; the bytes that are counted are those of all
  messages, by a rule that does not depend on when and how often the box was started.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from vehicle_gateway.expression import SECOND_US, read_condition
from vehicle_gateway.record import count_samples
from vehicle_gateway.triggers import Armed, Occasion, Ring, Span, carve, only, picked
from vehicle_gateway.wanted import ids_of
from vehicle_gateway.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.columns import Group
    from vehicle_gateway.wanted import Collect, Row
    from vehicle_gateway.watch import Steps

DAY_US: Final = 86_400 * SECOND_US
MINUTE_US: Final = 60 * SECOND_US
ZONE_US: Final = 8 * 3_600 * SECOND_US
DAYS_KEPT: Final = 8
STREAMS_MAX: Final = 4_096
SHARE_STEP: Final = 5
WHOLE: Final = 100
SEAL_BYTES: Final = 64
"""At most what a seal adds to a plaintext: header, nonce part and tag."""
ASKED: Final = "snapshot"


@dataclass(frozen=True, slots=True)
class Capture:
    """What one trigger wants kept, at full rate."""

    name: str
    groups: Sequence[Group]


@dataclass(slots=True)
class Collected:
    """What becomes of a window's columns.

    Attributes:
        groups: What rows keep.
        captures: What triggers want beside.
        thinned: Samples that the campaign leaves out.
        over_budget: Samples that it wants, and that the day's bytes do not allow.
    """

    groups: list[Group]
    captures: list[Capture] = field(default_factory=list)
    thinned: int = 0
    over_budget: int = 0


@dataclass(slots=True)
class _Stream:
    """Signals of one group and one row: what the next sample is compared with."""

    interval: int | None = None
    kept_us: int | None = None
    values: tuple[int | None, ...] | None = None
    minute: int | None = None


class Budget:
    """Sealed bytes by day; a clock that jumps to and fro finds the same counts again."""

    def __init__(self, bytes_per_day: int) -> None:
        self._limit = bytes_per_day
        self._spent: dict[int, int] = {}
        self._day = 0
        self._told = -1

    @property
    def percent(self) -> int:
        """How much of the present day's bytes is spent; 0 where there is no limit."""
        return self.spent * WHOLE // self._limit if self._limit else 0

    @property
    def spent(self) -> int:
        """Bytes of the present day."""
        return self._spent.get(self._day, 0)

    def begin(self, time_us: int) -> None:
        """Says which day it is."""
        self._day = (time_us + ZONE_US) // DAY_US
        self._spent[self._day] = self._spent.pop(self._day, 0)
        while len(self._spent) > DAYS_KEPT:
            self._spent.pop(next(iter(self._spent)))

    def spend(self, size: int) -> None:
        """Counts a message."""
        self._spent[self._day] = self._spent.get(self._day, 0) + size

    def tell(self) -> dict[str, int] | None:
        """Returns what to tell when a day's bytes are spent, once a day."""
        if self.percent < WHOLE or self._told == self._day:
            return None
        self._told = self._day
        return {"day": self._day, "bytes": self.spent, "bytes_per_day": self._limit}

    def state(self) -> list[Any]:
        """Returns all that the next window depends on."""
        return [self._day, self._told, [list(each) for each in self._spent.items()]]

    def restore(self, state: Sequence[Any]) -> None:
        """Goes on from what `state` returned."""
        self._day, self._told, spent = state
        self._spent = dict(spent)


class Collector:
    """Carries out the `collect` section of one campaign; None keeps everything."""

    def __init__(self, collect: Collect | None) -> None:
        self._rows: Sequence[Row] = collect.signals if collect else ()
        self._is_all = collect is None
        self._row_of = _assign(self._rows)
        self._watches = {
            place: Watch(read_condition(row.when))
            for place, row in enumerate(self._rows)
            if row.when
        }
        self._armed = [Armed(each) for each in collect.triggers] if collect else []
        reach_us = max((each.reach_us for each in self._armed), default=0)
        back = [each.signals for each in self._armed if each.reach_us]
        self._ring = Ring(frozenset().union(*back), reach_us)
        self._streams: dict[tuple[int, tuple[int, ...]], _Stream] = {}
        self._asked_us = 0
        self._asked: list[Span] = []
        self.budget = Budget(collect.bytes_per_day if collect else 0)

    def ask(self, seconds: int) -> None:
        """Captures all signals for so long, from the next window on."""
        self._asked_us = seconds * SECOND_US

    def take(
        self,
        groups: Sequence[Group],
        occasions: Sequence[Occasion],
        span: Span,
        whose: str | None,
    ) -> Collected:
        """Divides a window.

        Args:
            groups: All its columns, at full rate.
            occasions: Events that have ended in it, and fault codes.
            span: Time of its first and of its last frame.
            whose: Who drives, as a tag; None where nobody has agreed.
        """
        self.budget.begin(span[0])
        if self._is_all:
            return Collected(list(groups))
        self._ring.belong_to(whose)
        steps = {place: each.feed(groups, span[1]) for place, each in self._watches.items()}
        found = Collected([])
        rest: list[Group] = []
        for group in groups:
            self._divide(group, steps, found, rest)
        self._capture(groups, occasions, span, found, rest, is_allowed=whose is not None)
        self._ring.put(rest, span[1])
        sent = count_samples(found.groups) + sum(count_samples(c.groups) for c in found.captures)
        found.thinned = count_samples(groups) - sent - found.over_budget
        return found

    def state(self) -> list[Any]:
        """Returns all that the next window depends on, but the budget.

        It is readable, so it is sealed before it lies on a disk.
        """
        streams = [
            [row, list(signals), one.interval, one.kept_us, _listed(one.values), one.minute]
            for (row, signals), one in self._streams.items()
        ]
        watches = [self._watches[place].state() for place in sorted(self._watches)]
        armed = [each.state() for each in self._armed]
        asked = [self._asked_us, [list(each) for each in self._asked]]
        return [streams, watches, armed, asked, self._ring.state()]

    def restore(self, state: Sequence[Any]) -> None:
        """Goes on from what `state` of a collector of the same campaign returned."""
        streams, watches, armed, (self._asked_us, asked), ring = state
        self._streams = {
            (row, tuple(signals)): _Stream(
                interval, kept_us, None if values is None else tuple(values), minute
            )
            for row, signals, interval, kept_us, values, minute in streams
        }
        for place, one in zip(sorted(self._watches), watches, strict=True):
            self._watches[place].restore(one)
        for each, one in zip(self._armed, armed, strict=True):
            each.restore(one)
        self._asked = [(first, last) for first, last in asked]
        self._ring.restore(ring)

    # ------------------------------------------------------------ rows
    def _divide(
        self, group: Group, steps: Mapping[int, Steps], found: Collected, rest: list[Group]
    ) -> None:
        """Splits a group by row, and each part into what is kept and what is not."""
        by_row: dict[int | None, list[int]] = {}
        for signal in group.series:
            by_row.setdefault(self._row_of.get(signal), []).append(signal)
        for place, signals in by_row.items():
            part = only(group, frozenset(signals)) if len(by_row) > 1 else group
            if part is None:
                continue
            if place is None:
                rest.append(part)
                continue
            wanted = self._wanted(place, part, steps.get(place))
            kept = self._afforded(place, part, wanted)
            if len(kept) == len(part.times_us):
                found.groups.append(part)
                continue
            found.groups += [picked(part, kept)] if kept else []
            chosen = set(kept)
            over = [each for each in wanted if each not in chosen]
            found.over_budget += count_samples([picked(part, over)]) if over else 0
            wanted_set = set(wanted)
            left = [each for each in range(len(part.times_us)) if each not in wanted_set]
            rest += [picked(part, left)] if left else []

    def _stream(self, place: int, part: Group) -> _Stream:
        key = (place, tuple(sorted(part.series)))
        if key not in self._streams and len(self._streams) >= STREAMS_MAX:
            self._streams.pop(next(iter(self._streams)))
        return self._streams.setdefault(key, _Stream())

    def _wanted(self, place: int, part: Group, steps: Steps | None) -> list[int]:
        """Returns the places of a part that its row keeps."""
        row, stream, times = self._rows[place], self._stream(place, part), part.times_us
        places = list(range(len(times)))
        if steps is not None:
            places = [each for each in places if steps.at(times[each]) is True]
        if row.interval_ms:
            places = _one_an_interval(places, times, row.interval_ms * 1_000, stream)
        if row.heartbeat_s:
            places = _changes(places, part, row.heartbeat_s * SECOND_US, stream)
        return places

    def _afforded(self, place: int, part: Group, wanted: list[int]) -> list[int]:
        """Leaves of what is wanted what the day's bytes allow."""
        spent = self.budget.percent
        if spent < _share(self._rows[place].priority):
            return wanted
        if spent >= WHOLE:
            return []
        stream, kept = self._stream(place, part), []
        for each in wanted:
            minute = part.times_us[each] // MINUTE_US
            if minute != stream.minute:
                stream.minute = minute
                kept.append(each)
        return kept

    # ------------------------------------------------------------ triggers
    def _capture(
        self,
        groups: Sequence[Group],
        occasions: Sequence[Occasion],
        span: Span,
        found: Collected,
        rest: list[Group],
        *,
        is_allowed: bool,
    ) -> None:
        """Takes what triggers want out of the ring and out of what rows have left."""
        spent = self.budget.percent
        for armed in self._armed:
            spans = armed.feed(groups, occasions, span[1])
            if not spans or not is_allowed:
                continue
            own, others = carve(rest, armed.signals, spans)
            taken = [*self._ring.take(armed.signals, spans), *own]
            rest[:] = others
            self._tell(armed.trigger.name, taken, found, spent < _share(armed.trigger.priority))
        if self._asked_us:
            self._asked.append((span[0], span[0] + self._asked_us))
            self._asked_us = 0
        spans, self._asked = self._asked, [each for each in self._asked if each[1] > span[1]]
        if spans and is_allowed:
            own, rest[:] = carve(rest, frozenset(key for g in rest for key in g.series), spans)
            self._tell(ASKED, own, found, spent < WHOLE)

    def _tell(
        self, name: str, taken: Sequence[Group], found: Collected, is_affordable: bool
    ) -> None:
        if not taken:
            return
        if is_affordable:
            found.captures.append(Capture(name, taken))
        else:
            found.over_budget += count_samples(taken)


def sealed_size(plaintext: bytes) -> int:
    """Returns at least how long a plaintext is when it is sealed, whatever the epoch."""
    return len(plaintext) + SEAL_BYTES


def _share(priority: int) -> int:
    """Percent of the day's bytes beyond which a row is thinned."""
    return WHOLE - SHARE_STEP * (priority - 1)


def _assign(rows: Sequence[Row]) -> dict[int, int]:
    """Signal → place of the first row that names it, unless that row skips it."""
    found: dict[int, int] = {}
    for place, row in enumerate(rows):
        for signal in ids_of(row.paths):
            found.setdefault(signal, place)
    return {signal: place for signal, place in found.items() if not rows[place].skip}


def _one_an_interval(
    places: Sequence[int], times: Sequence[int], interval_us: int, stream: _Stream
) -> list[int]:
    """Keeps the first sample of each interval of the clock."""
    found = []
    for place in places:
        number = times[place] // interval_us
        if number != stream.interval:
            stream.interval = number
            found.append(place)
    return found


def _changes(places: Sequence[int], part: Group, heartbeat_us: int, stream: _Stream) -> list[int]:
    """Keeps what differs from what was kept before it, or comes a heartbeat later."""
    found = []
    columns = [part.series[key] for key in sorted(part.series)]
    for place in places:
        values, time = tuple(column[place] for column in columns), part.times_us[place]
        since_us = None if stream.kept_us is None else time - stream.kept_us
        if values != stream.values or since_us is None or not 0 <= since_us < heartbeat_us:
            stream.values, stream.kept_us = values, time
            found.append(place)
    return found


def _listed(values: tuple[int | None, ...] | None) -> list[int | None] | None:
    return None if values is None else list(values)
