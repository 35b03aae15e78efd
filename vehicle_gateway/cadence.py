"""What is sent of a window: no empty column, and even times where nothing changed.

Place in the flow: `Group`s of a window → **cadence** → columns of a record.

    arrival   0     98.9    201.0   299.7   400.0 ms     door closed, closed, closed, closed, closed
    told      0     100     200     300     400          each within TOLERANCE_US of its arrival

* A signal without a value in the whole window is left out: absence need not be told twice.
* Times are made even only where every signal keeps its value; what changes keeps its own times.
* The first and, but for rounding, the last time stay; a pause, a burst or a clock that was set back
  exceeds the tolerance, and then all times stay as they are.
* Events and trips have seen the times of arrival: this is for what is sent, docs/adr/0015.
"""

from __future__ import annotations

from operator import sub
from typing import TYPE_CHECKING, Final

from edge.columns import Group

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TOLERANCE_US: Final = 10_000
"""A tenth of the usual 100 ms: what bus and driver add to the sender's own clock."""
REGULAR_MIN: Final = 3


def evened(groups: Iterable[Group]) -> list[Group]:
    """Returns the groups as they are sent: almost even times made even, no empty column."""
    return [_evened(group) for group in map(_filled, groups) if group.series]


def _filled(group: Group) -> Group:
    """Leaves out the signals that have no value in the whole window."""
    series = {key: each for key, each in group.series.items() if _has_value(each)}
    return group if len(series) == len(group.series) else Group(group.times_us, series)


def _evened(group: Group) -> Group:
    times = group.times_us
    if len(times) < REGULAR_MIN or not all(map(_is_constant, group.series.values())):
        return group
    step = (times[-1] - times[0]) // (len(times) - 1)
    if step <= 0:
        return group
    even = range(times[0], times[0] + step * len(times), step)
    apart = list(map(sub, times, even))
    if min(apart) < -TOLERANCE_US or max(apart) > TOLERANCE_US:
        return group
    return Group(list(even), group.series)


def _has_value(values: Sequence[int | None]) -> bool:
    return bool(values) and (values[0] is not None or values.count(None) < len(values))


def _is_constant(values: Sequence[int | None]) -> bool:
    return values.count(values[0]) == len(values)
