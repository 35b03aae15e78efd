"""How the acceleration sensor sits in this vehicle: found from the drive, not from a drawing.

Place in the flow: decode → **mounting** → motion → events.

Theory of operation. Installers screw the sensor in as it fits: in one recorded car its X axis
points up and its Y axis backwards. The wheel speed knows better. Over each second, the slope of
the speed is paired with the mean of each axis; the axis along the vehicle is the one whose means
follow the slope (correlation), and the sign of that is its direction. Its zero (bias, tilt of the
mounting, grade of the road) is the mean acceleration less the change of speed, over ten seconds,
averaged with a short memory.

* Until one axis fits, and its zero has settled, the sensor decides nothing: events then come from
  the speed alone.
* Sums are integers and halve when they grow old, so a box that is mounted anew is found anew.
* Where there is no speed, nothing can be found.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vehicle_gateway.ticks import TICK_MS, TICK_US, present, scale_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edge.columns import Group
    from vehicle_gateway.campaign import Campaign

AXES: Final = (
    "Vehicle.Acceleration.Longitudinal",
    "Vehicle.Acceleration.Lateral",
    "Vehicle.Acceleration.Vertical",
)
OFFSET_WEIGHT: Final = 6
PAIRS_MAX: Final = 1_200
# A pair that no vehicle can have made (a knock against the box) would outweigh a minute of driving.
MMPS2_MAX: Final = 12_000

Parts = tuple[tuple[int, int], ...]  # (sum, count) of each axis within a tick


class Axis(NamedTuple):
    """The axis along the vehicle: `sign` is 1 where it counts forwards.

    Attributes:
        path: Its signal.
        offset_mmps2: Its present zero.
    """

    path: str
    sign: int
    offset_mmps2: int


class Mounting:
    """Finds the axis along the vehicle, and gives calibrated acceleration along it."""

    def __init__(self, campaign: Campaign) -> None:
        rule = campaign.figures("motion")
        self._mean = rule["mean_ms"] // TICK_MS
        self._keep = rule["slope_ms"] * 2 // TICK_MS
        self._span = rule["offset_span_ms"] // TICK_MS
        self._spans_min = rule["offset_spans_min"]
        self._pairs_min = rule["axis_pairs_min"]
        self._spread_min = rule["axis_spread_mmps2_min"]
        self._fit_min = rule["axis_fit_percent_min"]
        self._scales = [scale_of(path) for path in AXES]
        self._axis, self._sign = -1, 0
        self._pairs = [0, 0, 0]  # number, sum and sum of squares of the slope
        self._moments = [[0, 0, 0] for _ in AXES]  # sum, sum of squares, sum of products
        self._offsets = [[0, 0] for _ in AXES]  # mm/s2, spans measured
        self.forget()

    @property
    def axis(self) -> Axis | None:
        """What was found, None so far."""
        if self._axis < 0:
            return None
        return Axis(AXES[self._axis], self._sign, self._offsets[self._axis][0])

    def forget(self) -> None:
        """Drops what is short-lived, after a gap; what was learned stays."""
        self._recent: list[tuple[int, Parts]] = []
        self._open: list[int] = []  # start tick and mm/s, then sum and count of each axis

    def parts(self, groups: Sequence[Group]) -> dict[int, Parts]:
        """Tick → (sum, count) of each axis, for the ticks that have any."""
        sums = [sums_by_tick(groups, scale.id) for scale in self._scales]
        ticks = {*sums[0], *sums[1], *sums[2]}
        return {tick: tuple(each.get(tick, (0, 0)) for each in sums) for tick in ticks}

    def forward(self, tick: int, parts: Parts) -> int | None:
        """Takes a tick in; returns the mean of the last half second, mm/s2, positive forwards."""
        self._recent.append((tick, parts))
        while self._recent[0][0] <= tick - self._keep:
            del self._recent[0]
        if self._open:
            for place, (total, count) in enumerate(parts):
                self._open[2 + 2 * place] += total
                self._open[3 + 2 * place] += count
        axis = self._axis
        if axis < 0 or self._offsets[axis][1] < self._spans_min:
            return None
        mean = self._mean_of(axis, tick - self._mean, self._mean)
        return None if mean is None else (mean - self._offsets[axis][0]) * self._sign

    def learn(self, tick: int, speed: int, slope: int | None, slope_ticks: int) -> None:
        """Takes a trusted speed in, with its slope over the last `slope_ticks` if it has one."""
        if slope is not None:
            self._pair(tick, slope, slope_ticks)
        self._measure_offset(tick, speed)

    def state(self) -> dict[str, Any]:
        """Returns all that the next window depends on."""
        return {
            "axis": [self._axis, self._sign],
            "pairs": list(self._pairs),
            "moments": [list(each) for each in self._moments],
            "offsets": [list(each) for each in self._offsets],
            "recent": [[tick, [list(part) for part in parts]] for tick, parts in self._recent],
            "open": list(self._open),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._axis, self._sign = state["axis"]
        self._pairs = list(state["pairs"])
        self._moments = [list(each) for each in state["moments"]]
        self._offsets = [list(each) for each in state["offsets"]]
        self._recent = [
            (tick, tuple((total, count) for total, count in parts))
            for tick, parts in state["recent"]
        ]
        self._open = list(state["open"])

    # ------------------------------------------------------------ inside
    def _mean_of(self, axis: int, after: int, ticks_min: int) -> int | None:
        """Mean of an axis over the ticks after `after`, None where too few have samples."""
        total = count = ticks = 0
        for tick, parts in reversed(self._recent):
            if tick <= after:
                break
            if parts[axis][1]:
                total += parts[axis][0]
                count += parts[axis][1]
                ticks += 1
        return self._millimetres(axis, total, count) if ticks >= ticks_min else None

    def _millimetres(self, axis: int, total: int, count: int) -> int:
        scale = self._scales[axis]
        return total * scale.numerator // (count * scale.denominator)

    def _pair(self, tick: int, slope: int, slope_ticks: int) -> None:
        after, least = tick - slope_ticks, slope_ticks // 2
        means = [self._mean_of(axis, after, least) for axis in range(len(AXES))]
        if means == [None] * len(AXES) or abs(slope) > MMPS2_MAX:
            return
        if self._pairs[0] >= PAIRS_MAX:
            self._pairs = [value // 2 for value in self._pairs]
            self._moments = [[value // 2 for value in each] for each in self._moments]
        _add(self._pairs, (1, slope, slope * slope))
        for moments, mean in zip(self._moments, means, strict=True):
            # An absent axis follows nothing.
            bounded = max(-MMPS2_MAX, min(MMPS2_MAX, mean or 0))
            _add(moments, (bounded, bounded * bounded, bounded * slope))
        self._choose()

    def _choose(self) -> None:
        """Takes the axis that follows the slope best, if any does."""
        number, total, squares = self._pairs
        spread = number * squares - total * total  # number² x variance
        if number < self._pairs_min or spread < (number * self._spread_min) ** 2:
            return
        best, fit, sign = -1, 0, 0
        for axis, (own, own_squares, products) in enumerate(self._moments):
            along = number * products - own * total
            own_spread = number * own_squares - own * own
            percent = along * along * 100 * 100 // (spread * own_spread) if own_spread else 0
            if percent > fit:
                best, fit, sign = axis, percent, 1 if along > 0 else -1
        if fit >= self._fit_min * self._fit_min and (best, sign) != (self._axis, self._sign):
            self._offsets[best] = [0, 0]  # measured without regard to its direction so far
            self._axis, self._sign = best, sign

    def _measure_offset(self, tick: int, speed: int) -> None:
        """Compares mean acceleration with change of speed, span after span."""
        if not self._open:
            self._open = [tick, speed, *([0, 0] * len(AXES))]
            return
        start, before, *sums = self._open
        if tick - start < self._span:
            return
        self._open = [tick, speed, *([0, 0] * len(AXES))]
        change = (speed - before) * 1_000 // ((tick - start) * TICK_MS)
        for axis in range(len(AXES)):
            total, count = sums[2 * axis], sums[2 * axis + 1]
            if count >= tick - start:  # less than one sample a tick is no measure
                sign = self._sign if axis == self._axis else 0
                found = self._millimetres(axis, total, count) - sign * change
                value, spans = self._offsets[axis]
                weight = min(spans + 1, OFFSET_WEIGHT)
                self._offsets[axis] = [value + (found - value) // weight, spans + 1]


def _add(sums: list[int], more: Iterable[int]) -> None:
    for place, value in enumerate(more):
        sums[place] += value


def sums_by_tick(groups: Sequence[Group], identity: int) -> dict[int, tuple[int, int]]:
    """Tick → (sum, count) of the raw values of a signal in it."""
    found: dict[int, tuple[int, int]] = {}
    for group in groups:
        series = group.series.get(identity)
        if series is None:
            continue
        pairs = present([time // TICK_US for time in group.times_us], series)
        for tick, total, count in _runs(pairs):
            part = found.get(tick, (0, 0))
            found[tick] = (part[0] + total, part[1] + count)
    return found


def _runs(pairs: list[tuple[int, int]]) -> Iterable[tuple[int, int, int]]:
    """Yields (tick, sum, count) of neighbours with the same tick."""
    ends: dict[int, int] = {}
    ordered = sorted(pairs, key=lambda pair: pair[0])
    for place, (tick, _) in enumerate(ordered, start=1):
        ends[tick] = place
    prefix = [0, *accumulate(value for _, value in ordered)]
    start = 0
    for tick, end in ends.items():
        yield tick, prefix[end] - prefix[start], end - start
        start = end
