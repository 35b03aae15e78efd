"""The simulated sensor feels what the vehicle does, and fails as real ones do."""

from __future__ import annotations

import struct

import pytest

from hardware.drivers.imu_line import ImuCutter
from hardware.sim.drive import Drive, State, scenario
from hardware.sim.imu import ANGULAR_VELOCITY, Sensor, message


def values(sensor: Sensor, state: State) -> list[tuple[int, int, int]]:
    found = ImuCutter().feed(sensor.messages(state))
    return [struct.unpack("<3h", each[2:8]) for each in found]


def test_at_rest_it_feels_gravity_upwards() -> None:
    forward, left, up = values(Sensor(lambda: 0.0), State())[0]
    assert (forward, left) == (0, 0)
    assert up / 32_768 * 16 * 9.80665 == pytest.approx(9.81, abs=0.01)


def test_a_bend_to_the_left_is_positive_in_both() -> None:
    state = State(speed_mps=10.0, turn_dps=9.0)
    acceleration, rate, _ = values(Sensor(lambda: 0.0), state)
    assert acceleration[1] / 32_768 * 16 * 9.80665 == pytest.approx(1.57, abs=0.01)
    assert rate[2] / 32_768 * 2_000 == pytest.approx(9.0, abs=0.1)


def test_a_knock_saturates_and_a_hang_repeats() -> None:
    drive = Drive(scenario("mountain"), 1)
    sensor = Sensor(drive.noise, knocked=True)
    assert values(sensor, drive.tick())[0] == (32_767, 32_767, 32_767)
    sensor.hangs, sensor.knocked = True, False
    assert values(sensor, drive.tick())[0] == (32_767, 32_767, 32_767)


def test_the_sum_holds_for_any_value() -> None:
    for value in (-3_000.0, -1.0, 0.0, 1.0, 3_000.0):
        whole = message(ANGULAR_VELOCITY, (value, value, value), 2_000.0)
        assert ImuCutter().feed(whole) == [whole]
