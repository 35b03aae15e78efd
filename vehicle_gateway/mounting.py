"""How the acceleration sensor sits in this vehicle: found from the drive, not from a drawing.

Place in the flow: decode → ticks, fit → **mounting** → motion → events.

Theory of operation. Installers screw the sensor in as it fits: in one recorded car its X axis
points up and its Y axis backwards. The wheel speed knows better. Over each second, the slope of
the speed is paired with the mean of each axis; the axis along the vehicle is the one whose means
follow the slope (correlation), and the sign of that is its direction. Its zero (bias, tilt of the
mounting, grade of the road) is the mean acceleration less the change of speed, over ten seconds,
averaged with a short memory.

    movement that is known              axis that follows it
    slope of the speed                  along the vehicle
    speed x rate of turn                across it; the sign is that of the turn
    none: what stays, near 1 g          up and down; the gyro about it is the one of turns

* Until an axis fits, and its zero has settled, the sensor decides nothing: events then come from
  the speed and the turn alone.
* A box that is mounted anew is found anew.
* Where there is no speed, nothing can be found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vehicle_gateway.fit import AxisFit
from vehicle_gateway.ticks import TICK_MS, scale_of, sums_by_tick

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.columns import Group
    from vehicle_gateway.campaign import Campaign

AXES: Final = (
    "Vehicle.Acceleration.Longitudinal",
    "Vehicle.Acceleration.Lateral",
    "Vehicle.Acceleration.Vertical",
)
OFFSET_WEIGHT: Final = 6
GRAVITY_MMPS2: Final = (8_000, 11_600)
"""What an axis must show all the time to be held for the vertical one: 1 g, tilted up to 35°."""
SECOND_TICKS: Final = 1_000 // TICK_MS

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
    """Finds the axes of the vehicle, and gives calibrated acceleration along them."""

    def __init__(self, campaign: Campaign) -> None:
        rule = campaign.figures("motion")
        self._mean = rule["mean_ms"] // TICK_MS
        self._keep = rule["slope_ms"] * 2 // TICK_MS
        self._span = rule["offset_span_ms"] // TICK_MS
        self._spans_min = rule["offset_spans_min"]
        self._scales = [scale_of(path) for path in AXES]
        self._along, self._across = AxisFit(rule), AxisFit(rule)
        self._offsets = [[0, 0] for _ in AXES]  # mm/s2, spans measured
        self.forget()

    @property
    def axis(self) -> Axis | None:
        """What was found along the vehicle, None so far."""
        return self._found(self._along)

    @property
    def across(self) -> Axis | None:
        """What was found across the vehicle, None so far; 1 where it counts as the turn does."""
        return self._found(self._across)

    @property
    def vertical(self) -> int | None:
        """Place of the axis that gravity acts on; None so far, and where no sensor is up."""
        found = [
            place
            for place, (value, spans) in enumerate(self._offsets)
            if spans >= self._spans_min and GRAVITY_MMPS2[0] <= abs(value) <= GRAVITY_MMPS2[1]
        ]
        return found[0] if len(found) == 1 else None

    @property
    def rest(self) -> tuple[int, ...] | None:
        """What the axes show of a vehicle at rest, mm/s2; None until it has settled."""
        if min(spans for _, spans in self._offsets) < self._spans_min:
            return None
        return tuple(value for value, _ in self._offsets)

    def forget(self) -> None:
        """Drops what is short-lived, after a gap; what was learned stays."""
        self._recent: list[tuple[int, Parts]] = []
        # Start tick and mm/s, sum and count of each axis, sum and count of the bends.
        self._open: list[int] = []
        self._bend = [0, 0, 0]  # second, sum and count of speed x turn in it

    def parts(self, groups: Sequence[Group]) -> dict[int, Parts]:
        """Tick → (sum, count) of each axis, for the ticks that have any."""
        one, two, three = sums_by_tick(groups, [scale.id for scale in self._scales])
        none = (0, 0)
        return {
            tick: (one.get(tick, none), two.get(tick, none), three.get(tick, none))
            for tick in {*one, *two, *three}
        }

    def forward(self, tick: int, parts: Parts) -> int | None:
        """Takes a tick in; returns the mean of the last half second, mm/s2, positive forwards."""
        self._recent.append((tick, parts))
        while self._recent[0][0] <= tick - self._keep:
            del self._recent[0]
        if self._open:
            for place, (total, count) in enumerate(parts):
                self._open[2 + 2 * place] += total
                self._open[3 + 2 * place] += count
        return self._calibrated(self._along, tick)

    def sideways(self, tick: int) -> int | None:
        """Mean of the last half second across the vehicle, mm/s2, positive as the turn."""
        if self._across.axis == self._along.axis:
            return None
        return self._calibrated(self._across, tick)

    def means(self, until: int, ticks: int) -> list[int | None]:
        """Mean of each axis over the `ticks` up to one, mm/s2; None where it has no sample."""
        found = [parts for tick, parts in self._recent if until - ticks < tick <= until]
        return [
            self._millimetres(axis, total, count) if count else None
            for axis in range(len(AXES))
            for total, count in [(sum(p[axis][0] for p in found), sum(p[axis][1] for p in found))]
        ]

    def learn(self, tick: int, speed: int, slope: tuple[int, int] | None, bend: int | None) -> None:
        """Takes a trusted speed in.

        Args:
            tick: When.
            speed: mm/s.
            slope: mm/s2 and the ticks over which it was taken, if it has one.
            bend: Speed x rate of turn in mm/s2, if the turn is known.
        """
        if slope is not None:
            value, ticks = slope
            self._pair(self._along, value, tick - ticks, ticks // 2)
        if bend is not None:
            self._pair_bend(tick, bend)
        self._measure_offset(tick, speed)

    def state(self) -> dict[str, Any]:
        """Returns all that the next window depends on."""
        return {
            "along": self._along.state(),
            "across": self._across.state(),
            "offsets": [list(each) for each in self._offsets],
            "recent": [
                number
                for tick, (one, two, three) in self._recent
                for number in (tick, *one, *two, *three)
            ],
            "open": list(self._open),
            "bend": list(self._bend),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._along.restore(state["along"])
        self._across.restore(state["across"])
        self._offsets = [list(each) for each in state["offsets"]]
        flat = iter(state["recent"])
        self._recent = [
            (tick, ((one, its), (two, of_two), (three, of_three)))
            for tick, one, its, two, of_two, three, of_three in zip(*[flat] * 7, strict=True)
        ]
        self._open = list(state["open"])
        self._bend = list(state["bend"])

    # ------------------------------------------------------------ inside
    def _found(self, fit: AxisFit) -> Axis | None:
        if fit.axis < 0:
            return None
        return Axis(AXES[fit.axis], fit.sign, self._offsets[fit.axis][0])

    def _calibrated(self, fit: AxisFit, tick: int) -> int | None:
        axis = fit.axis
        if axis < 0 or self._offsets[axis][1] < self._spans_min:
            return None
        mean = self._mean_of(axis, tick - self._mean, self._mean)
        return None if mean is None else (mean - self._offsets[axis][0]) * fit.sign

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

    def _pair(self, fit: AxisFit, movement: int, after: int, least: int) -> None:
        if not self._recent:
            return
        means = [self._mean_of(axis, after, least) for axis in range(len(AXES))]
        if fit.pair(movement, means):
            self._offsets[fit.axis] = [0, 0]  # measured without regard to its direction so far

    def _pair_bend(self, tick: int, bend: int) -> None:
        """Pairs once a second: the mean of the bends in it."""
        second, total, count = self._bend
        if tick // SECOND_TICKS == second:
            self._bend = [second, total + bend, count + 1]
        else:
            if count:
                self._pair(self._across, total // count, tick - SECOND_TICKS, SECOND_TICKS // 2)
            self._bend = [tick // SECOND_TICKS, bend, 1]
        if self._open:
            self._open[-2] += bend
            self._open[-1] += 1

    def _measure_offset(self, tick: int, speed: int) -> None:
        """Compares mean acceleration with change of speed and with the turns, span after span."""
        if not self._open:
            self._open = [tick, speed, *([0, 0] * (len(AXES) + 1))]
            return
        start, before, *sums = self._open
        if tick - start < self._span:
            return
        self._open = [tick, speed, *([0, 0] * (len(AXES) + 1))]
        known = [0] * len(AXES)
        if self._across.axis >= 0 and sums[-1]:
            known[self._across.axis] = self._across.sign * (sums[-2] // sums[-1])
        if self._along.axis >= 0:
            change = (speed - before) * 1_000 // ((tick - start) * TICK_MS)
            known[self._along.axis] = self._along.sign * change
        for axis in range(len(AXES)):
            total, count = sums[2 * axis], sums[2 * axis + 1]
            if count >= tick - start:  # less than one sample a tick is no measure
                found = self._millimetres(axis, total, count) - known[axis]
                value, spans = self._offsets[axis]
                weight = min(spans + 1, OFFSET_WEIGHT)
                self._offsets[axis] = [value + (found - value) // weight, spans + 1]
