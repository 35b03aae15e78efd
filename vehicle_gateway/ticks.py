"""Tenths of a second: the grid on which samples of different rates meet.

Place in the flow: decode → **ticks** → mounting, motion, events, trips.

* A tick is microseconds UTC divided by `TICK_US`, rounded down: the same samples fall into the same
  ticks however they were cut into windows.
* Speeds are integer mm/s and accelerations integer mm/s2 everywhere above the catalogue's scales.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from edge.catalogue import signal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.columns import Group

TICK_US: Final = 100_000
TICK_MS: Final = TICK_US // 1_000
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
    if None in values:
        return [(tick, value) for tick, value in pairs if value is not None]
    return list(pairs)  # type: ignore[arg-type] # no value is None
