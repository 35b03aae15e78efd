"""Tests of what a trip took: which source counts, and that no fault of a counter is burnt fuel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.vehicle_gateway.yard import SECOND_US, START_US, series, windows_of
from vehicle_gateway.consumption import Consumption

if TYPE_CHECKING:
    from collections.abc import Sequence

TANK = "Vehicle.Powertrain.FuelSystem"
BATTERY = "Vehicle.Powertrain.TractionBattery"


def took(**signals: Sequence[float | None]) -> dict[str, int | str]:
    """What signals at 1 Hz add up to; two underscores are the dots of a path."""
    paths = {
        name.replace("TANK", TANK).replace("BATTERY", BATTERY): v for name, v in signals.items()
    }
    groups = [
        series(path.replace("__", "."), values, SECOND_US, START_US)
        for path, values in paths.items()
    ]
    consumption = Consumption()
    for window in windows_of(groups):
        consumption.add(window)
    return consumption.summary()


def _path(name: str) -> str:
    return name.replace("TANK", TANK).replace("BATTERY", BATTERY).replace("__", ".")


def test_a_bus_that_tells_nothing_gives_nothing() -> None:
    assert took(Vehicle__Speed=[50.0] * 60) == {}


def test_a_rate_is_held_until_the_next_sample() -> None:
    found = took(TANK__FuelRate=[18.0] * 101)  # 18 l/h = 5 ml/s
    assert found == {"fuel_ml": 500, "fuel_source": f"{TANK}.FuelRate"}


def test_no_fuel_is_burnt_over_a_gap() -> None:
    assert took(TANK__FuelRate=[18.0] * 11 + [None] * 60 + [18.0] * 11)["fuel_ml"] == 100


def test_a_counter_of_high_resolution_goes_before_the_rate() -> None:
    litres = [4_000 + second * 0.004 for second in range(101)]
    found = took(TANK__FuelRate=[18.0] * 101, TANK__HighResTotalConsumption=litres)
    assert found == {"fuel_ml": 400, "fuel_source": f"{TANK}.HighResTotalConsumption"}


@pytest.mark.parametrize("after", [0.0, 9_000.0])
def test_a_counter_that_was_exchanged_burns_nothing(after: float) -> None:
    litres = [4_000.0] * 30 + [after] * 30
    assert took(TANK__HighResTotalConsumption=litres)["fuel_ml"] == 0


def test_energy_out_of_the_battery_is_positive_and_braking_gives_back() -> None:
    volts = [600.0] * 121
    out = took(BATTERY__CurrentVoltage=volts, BATTERY__CurrentCurrent=[-60.0] * 121)
    assert out["energy_wh"] == 1_200  # 36 kW for 120 s
    both = [-60.0] * 61 + [60.0] * 60
    back = took(BATTERY__CurrentVoltage=volts, BATTERY__CurrentCurrent=both)
    assert 0 <= int(back["energy_wh"]) <= 20


def test_a_current_without_a_voltage_is_no_energy() -> None:
    assert took(BATTERY__CurrentCurrent=[-60.0] * 60) == {}


def test_odometer_and_charge_are_told_of_both_ends() -> None:
    found = took(
        Vehicle__TraveledDistance=[1_000 + second * 0.05 for second in range(61)],
        BATTERY__StateOfCharge__Current=[80 - second / 60 for second in range(61)],
    )
    assert (found["odometer_m_start"], found["odometer_m_end"]) == (1_000_000, 1_003_000)
    assert (found["charge_permille_start"], found["charge_permille_end"]) == (800, 790)
