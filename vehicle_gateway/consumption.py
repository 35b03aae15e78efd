"""What a trip took out of tank or battery, and the vehicle's own odometer at its ends.

Place in the flow: trips → **consumption** (sums of one trip).

    fuel     counter of high resolution, else the rate, else the coarse counter, else OBD's rate
    energy   voltage x current of the traction battery; out of it is positive, braking gives back
    charge   state of charge at both ends

* A source is used only if the bus has it, and the summary says which it was.
* A counter that falls, or leaps by more than `LEAP_ML` in a window, has been exchanged or is a
  fault: the step is left out. Rates are held until the next sample, but not over a gap.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.catalogue import SignalSpec
    from edge.columns import Group

GAP_US: Final = 10_000_000
HOUR_US: Final = 3_600_000_000
LEAP_ML: Final = 5_000
VOLTAGE: Final = "Vehicle.Powertrain.TractionBattery.CurrentVoltage"
CURRENT: Final = "Vehicle.Powertrain.TractionBattery.CurrentCurrent"
ODOMETER: Final = "Vehicle.TraveledDistance"
CHARGES: Final = (
    "Vehicle.Powertrain.TractionBattery.StateOfCharge.Current",
    "Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed",
)
# Path → whether it counts litres or is a rate in litres an hour; the best first.
FUEL: Final = {
    "Vehicle.Powertrain.FuelSystem.HighResTotalConsumption": "counter",
    "Vehicle.Powertrain.FuelSystem.FuelRate": "rate",
    "Vehicle.Powertrain.FuelSystem.TotalConsumption": "counter",
    "Vehicle.OBD.FuelRate": "rate",
}
MILLI: Final = 1_000
SUM_MAX: Final = 1 << 62
RAW_MAX: Final = 1 << 32
"""Counters of vehicles have 32 bits."""
PERCENT_TO_PERMILLE: Final = 10

Samples = list[tuple[int, int]]


class Consumption:
    """Sums of one trip."""

    def __init__(self) -> None:
        self._fuel = {signal(path).id: path for path in FUEL}
        self._voltage, self._current = signal(VOLTAGE), signal(CURRENT)
        self._ends = [signal(path) for path in (ODOMETER, *CHARGES)]
        self._wanted = {*self._fuel, self._voltage.id, self._current.id}
        self._wanted |= {spec.id for spec in self._ends}
        self._last: dict[int, tuple[int, int]] = {}  # signal → time and raw value
        self._sums: dict[int, int] = {}  # signal → raw steps, or raw x us
        self._power = 0  # raw volts x raw amperes x ms
        self._first: dict[int, int] = {}  # signal → raw value at the beginning

    def add(self, groups: Sequence[Group]) -> None:
        """Takes a window in."""
        told = {key for group in groups for key in group.series} & self._wanted
        if not told:
            return
        samples = {key: samples_of(groups, key) for key in sorted(told)}
        for key, path in self._fuel.items():
            if samples.get(key):
                self._add_fuel(key, FUEL[path], samples[key])
        if samples.get(self._current.id):
            self._add_power(samples.get(self._voltage.id, []), samples[self._current.id])
        for key, found in samples.items():
            if found:
                self._first.setdefault(key, found[0][1])
                self._last[key] = found[-1]

    def summary(self) -> dict[str, int | str]:
        """Returns what the bus told of; nothing for what it did not."""
        found: dict[str, int | str] = {}
        for key, path in self._fuel.items():
            if key in self._sums:
                spec = signal(path)
                divisor = spec.denominator * (HOUR_US if FUEL[path] == "rate" else 1)
                found["fuel_ml"] = self._sums[key] * spec.numerator * MILLI // divisor
                found["fuel_source"] = path
                break
        if self._current.id in self._sums:
            scale = self._voltage.denominator * self._current.denominator
            found["energy_wh"] = -self._power // (scale * (HOUR_US // MILLI))
            found["energy_source"] = CURRENT
        odometer, *charges = self._ends
        if odometer.id in self._first:
            found |= self._both("odometer_m", odometer, MILLI)
        for spec in charges:
            if spec.id in self._first:
                found |= self._both("charge_permille", spec, PERCENT_TO_PERMILLE)
                break
        return found

    def state(self) -> dict[str, Any]:
        """Returns all that the next window depends on."""
        return {
            "last": [[key, *pair] for key, pair in sorted(self._last.items())],
            "sums": [list(pair) for pair in sorted(self._sums.items())],
            "first": [list(pair) for pair in sorted(self._first.items())],
            "power": self._power,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._last = {key: (time, value) for key, time, value in state["last"]}
        self._sums = dict(state["sums"])
        self._first = dict(state["first"])
        self._power = state["power"]

    # ------------------------------------------------------------ inside
    def _add_fuel(self, key: int, sort: str, samples: Samples) -> None:
        before = self._last.get(key)
        if sort == "rate":
            steps = _held([before, *samples] if before else samples)
            more = sum(value * span for value, span in steps)
        else:
            spec = signal(self._fuel[key])
            step = samples[-1][1] - (before or samples[0])[1]
            leap = LEAP_ML * spec.denominator // (spec.numerator * MILLI)
            more = step if 0 <= step <= leap else 0
        self._sums[key] = _bounded(self._sums.get(key, 0) + more)

    def _add_power(self, volts: Samples, amperes: Samples) -> None:
        """Adds current x the voltage that was last told, between neighbouring samples."""
        key = self._current.id
        before, known = self._last.get(key), self._last.get(self._voltage.id)
        told = sorted([known, *volts] if known else volts)
        if not told:
            return
        self._sums[key] = 1  # it was measured
        line = [before, *amperes] if before else amperes
        place = 0
        for (time, _), (value, span) in zip(line, _held(line), strict=False):
            while place + 1 < len(told) and told[place + 1][0] <= time:
                place += 1
            self._power = _bounded(self._power + value * told[place][1] * (span // MILLI))

    def _both(self, name: str, spec: SignalSpec, factor: int) -> dict[str, int | str]:
        """What the beginning and the end showed, in the unit of the signal x factor."""
        ends = {"start": self._first[spec.id], "end": self._last[spec.id][1]}
        return {
            f"{name}_{end}": raw * spec.numerator * factor // spec.denominator
            for end, raw in ends.items()
        }


def samples_of(groups: Sequence[Group], identity: int) -> Samples:
    """(time, raw) of a signal where it is present, in order of time."""
    found = [
        (time, value)
        for group in groups
        for time, value in zip(group.times_us, group.series.get(identity, ()), strict=False)
        if value is not None and abs(value) <= RAW_MAX
    ]
    return sorted(found)


def _bounded(total: int) -> int:
    """Keeps a sum within what can be kept: a bus that lies makes no trip that cannot be told."""
    return max(-SUM_MAX, min(SUM_MAX, total))


def _held(samples: Samples) -> list[tuple[int, int]]:
    """(raw, us) of each sample until the next; nothing over a gap."""
    spans = [(later[0] - time, value) for (time, value), later in pairwise(samples)]
    return [(value, span if 0 <= span <= GAP_US else 0) for span, value in spans]
