"""Tenths of a second: the grid on which samples of different rates meet.

Place in the flow: decode → **ticks** → mounting, motion, events, trips.

* A tick is microseconds UTC divided by `TICK_US`, rounded down: the same samples fall into the same
  ticks however they were cut into windows.
* A raw value of more than 31 bits is of no sensor of motion or cabin: it is absence.
* Speeds are integer mm/s and accelerations integer mm/s2 everywhere above the catalogue's scales.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import accumulate
from operator import le
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from edge.catalogue import signal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.columns import Group

TICK_US: Final = 100_000
TICK_MS: Final = TICK_US // 1_000
RAW_MAX: Final = (1 << 31) - 1
# One unit in mm/s or mm/s2, as (numerator, denominator).
MILLIMETRES: Final[Mapping[str, tuple[int, int]]] = {
    "km/h": (1_000_000, 3_600),
    "m/s": (1_000, 1),
    "m/s^2": (1_000, 1),
}


class Scale(NamedTuple):
    """From raw integers of a signal to millimetres a second (squared)."""

    id: int
    numerator: int
    denominator: int


def scale_of(path: str) -> Scale:
    """Returns how raw integers of a signal become millimetres a second (squared).

    Raises:
        LocalError: The signal is not in the data catalogue.
    """
    spec = signal(path)
    numerator, denominator = MILLIMETRES[spec.unit]
    return Scale(spec.id, spec.numerator * numerator, spec.denominator * denominator)


def mmps_of(kmh: int) -> int:
    """Returns a speed in mm/s, rounded down."""
    numerator, denominator = MILLIMETRES["km/h"]
    return kmh * numerator // denominator


def latest_by_tick(groups: Sequence[Group], identity: int) -> dict[int, int]:
    """Tick → the last value of a signal that is present in it."""
    found: dict[int, int] = {}
    for group in groups:
        values = group.series.get(identity)
        if values is not None:
            found.update(present([time // TICK_US for time in group.times_us], values))
    return found


def present(ticks: Sequence[int], values: Sequence[int | None]) -> list[tuple[int, int]]:
    """Pairs ticks with the values that are there."""
    pairs = zip(ticks, values, strict=True)
    if is_whole(values):
        return list(pairs)  # type: ignore[arg-type] # no value is None
    return [(tick, value) for tick, value in pairs if value is not None and abs(value) <= RAW_MAX]


def is_whole(values: Sequence[int | None]) -> bool:
    """Says whether every value is there, and one that a sensor can have."""
    unsure: Any = values  # a packed array refuses all else, faster than any comparison of ours
    try:
        array("i", unsure)
    except (OverflowError, TypeError):
        return False
    return True


def is_ordered(times: Sequence[int]) -> bool:
    """Says whether times never step back."""
    return all(map(le, times, times[1:]))


def sums_by_tick(
    groups: Sequence[Group], identities: Sequence[int]
) -> list[dict[int, tuple[int, int]]]:
    """Tick → (sum, count) of the raw values in it, for each of some signals."""
    found: list[dict[int, tuple[int, int]]] = [{} for _ in identities]
    for group in groups:
        shared: list[tuple[int, int, int]] | None = None
        for sums, identity in zip(found, identities, strict=True):
            series = group.series.get(identity)
            if series is None:
                continue
            if shared is None:  # the three axes of a sensor have the same ticks
                shared = runs(group.times_us) if is_ordered(group.times_us) else []
            if shared and is_whole(series):
                _add_up(sums, shared, series)  # type: ignore[arg-type] # no value is None
            else:
                times, values = in_order(group.times_us, series)
                _add_up(sums, runs(times), values)
    return found


def _add_up(
    sums: dict[int, tuple[int, int]],
    bounds: Sequence[tuple[int, int, int]],
    values: Sequence[int],
) -> None:
    prefix = [0, *accumulate(values)]
    for tick, start, end in bounds:
        total, count = sums.get(tick, (0, 0))
        sums[tick] = (total + prefix[end] - prefix[start], count + end - start)


def in_order(
    times: Sequence[int], values: Sequence[int | None]
) -> tuple[Sequence[int], Sequence[int]]:
    """Returns the values that are there, with their times, in order of time."""
    if is_whole(values) and is_ordered(times):
        return times, values  # type: ignore[return-value] # no value is None
    kept = sorted(present(times, values))
    return [time for time, _ in kept], [value for _, value in kept]


def runs(times: Sequence[int]) -> list[tuple[int, int, int]]:
    """Returns (tick, start, end) of neighbours with the same tick; times are in order."""
    found = []
    start, count = 0, len(times)
    while start < count:
        tick = times[start] // TICK_US
        end = bisect_left(times, (tick + 1) * TICK_US, start)
        found.append((tick, start, end))
        start = end
    return found
