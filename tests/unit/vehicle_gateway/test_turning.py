"""Tests of the rate of turn: the gyro that fits, its zero, and a course that can be believed."""

from __future__ import annotations

import pytest

from edge.codec import decode, encode
from tests.unit.vehicle_gateway.yard import SECOND_US, START_US, series
from vehicle_gateway.turning import BEND_BILLIONTHS, Turning, bend_of

TICK = START_US // 100_000
FAST = 10_000


def by_course(degrees: list[float], speed: int | None, period_s: int = 1) -> int | None:
    """The rate after courses at a steady pace."""
    turning = Turning()
    group = series("Vehicle.CurrentLocation.Heading", degrees, period_s * SECOND_US, START_US)
    _, courses = turning.window([group], None)
    for tick, course in courses.items():
        turning.step(tick, speed, None, course)
    return turning.rate(max(courses))


def by_gyro(name: str, rates: list[float], speed: int, vertical: int | None) -> int | None:
    turning = Turning()
    path = f"Vehicle.AngularVelocity.{name}"
    gyro, _ = turning.window([series(path, rates, SECOND_US // 10, START_US)], vertical)
    for tick, sample in gyro.items():
        turning.step(tick, speed, sample, None)
    return turning.rate(TICK + len(rates) - 1)


def test_a_course_that_passes_north_turns_on() -> None:
    assert by_course([350, 0, 10], FAST) == 10_000
    assert by_course([10, 0, 350], FAST) == -10_000


@pytest.mark.parametrize("speed", [None, 0, 2_000])
def test_the_course_of_a_vehicle_that_hardly_moves_is_not_believed(speed: int | None) -> None:
    assert by_course([10, 40, 80], speed) is None


def test_no_turn_is_taken_over_a_gap_of_the_course() -> None:
    assert by_course([10, 100], FAST, period_s=10) is None


@pytest.mark.parametrize(("name", "vertical"), [("Yaw", None), ("Roll", 0), ("Pitch", 1)])
def test_the_gyro_about_the_vertical_axis_measures_the_turn(
    name: str, vertical: int | None
) -> None:
    assert by_gyro(name, [12.0] * 20, FAST, vertical) == 12_000


def test_a_gyro_about_another_axis_does_not() -> None:
    assert by_gyro("Roll", [12.0] * 20, FAST, 2) is None


def test_what_a_gyro_shows_at_rest_is_its_zero() -> None:
    assert abs(by_gyro("Yaw", [2.0] * 2_000, 0, 2) or 0) <= 40
    assert by_gyro("Yaw", [2.0] * 2_000, FAST, 2) == 2_000


def test_a_rate_grows_old() -> None:
    turning = Turning()
    turning.step(TICK, FAST, (48, 1), None)
    assert turning.rate(TICK + 15) == 12_000
    assert turning.rate(TICK + 16) is None


def test_state_is_restored() -> None:
    turning, other = Turning(), Turning()
    turning.step(TICK, 0, (4, 1), None)
    turning.step(TICK + 1, FAST, (48, 1), (900, 1))
    other.restore(decode(encode(turning.state())))
    assert other.state() == turning.state()
    assert other.rate(TICK + 5) == turning.rate(TICK + 5)


def test_a_bend_is_speed_times_turn() -> None:
    assert bend_of(10_000, 18_000) == 10_000 * 18_000 * BEND_BILLIONTHS // 1_000_000_000 == 3_141
