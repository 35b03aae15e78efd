"""Tests of doors and the driver's belt while the vehicle moves, and of what the driver hears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.vehicle_gateway.yard import SECOND_US, START_US, series, windows_of
from vehicle_gateway.campaign import default_campaign
from vehicle_gateway.events import Events
from vehicle_gateway.senses import BELT, door_paths
from vehicle_gateway.spans import Alert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.columns import Group

FRONT = "Vehicle.Cabin.Door.Row1.PassengerSide.IsOpen"
DAY_START_US = START_US


def moving(kmh: Sequence[float], **sensors: Sequence[float | None]) -> list[Group]:
    """A drive at 1 Hz with a door or a belt that tells as often."""
    paths = {"door": FRONT, "belt": BELT}
    groups = [series("Vehicle.Speed", kmh, SECOND_US, START_US)]
    told = {paths[name]: values for name, values in sensors.items()}
    return groups + [series(path, values, SECOND_US, START_US) for path, values in told.items()]


def told(groups: list[Group]) -> list[dict[str, Any]]:
    events = Events(default_campaign())
    found = [event for window in windows_of(groups) for event in events.feed(window)]
    return found + events.finish()


def test_there_are_doors_in_the_data_catalogue() -> None:
    assert FRONT in door_paths()
    assert all(path.endswith(".IsOpen") for path in door_paths())


def test_a_door_that_is_open_while_moving_is_told() -> None:
    (event,) = told(moving([30.0] * 60, door=[0.0] * 20 + [1.0] * 10 + [0.0] * 30))
    assert (event["kind"], event["rule"]) == ("door-open-moving", "door-open-moving")
    assert event["start_us"] == START_US + 20 * SECOND_US
    assert event["peak"] == pytest.approx(30 / 3.6 * 1_000, abs=10)


NO_DOOR = {
    "doors that open and close at a stop": ([0.0] * 60, ([0.0] * 5 + [1.0] * 5) * 6),
    "a door that closes while the bus moves off": (
        [0.0] * 20 + [4.0, 7.0, 10.0] + [12.0] * 37,
        [1.0] * 22 + [0.0] * 38,
    ),
    "a door that tells nothing": ([30.0] * 60, [None] * 60),
    "a door that was open before it fell silent": (
        [0.0] * 10 + [4.0] * 20 + [30.0] * 30,
        [1.0] * 10 + [None] * 50,
    ),
}


@pytest.mark.parametrize(("kmh", "door"), NO_DOOR.values(), ids=NO_DOOR.keys())
def test_no_door_is_open_with(kmh: list[float], door: list[float | None]) -> None:
    kinds = {event["kind"] for event in told(moving(kmh, door=door))}
    assert "door-open-moving" not in kinds


def test_a_belt_that_is_off_for_ten_seconds_of_driving_is_told() -> None:
    (event,) = told(moving([40.0] * 60, belt=[0.0] * 30 + [1.0] * 30))
    assert event["kind"] == "seat-belt"
    assert event["end_us"] - event["start_us"] == 29 * SECOND_US + 100_000


NO_BELT = {
    "a belt that is fastened while moving off": ([40.0] * 60, [0.0] * 9 + [1.0] * 51),
    "a belt that is off in the yard": ([10.0] * 60, [0.0] * 60),
    "no belt that tells": ([40.0] * 60, [None] * 60),
}


@pytest.mark.parametrize(("kmh", "belt"), NO_BELT.values(), ids=NO_BELT.keys())
def test_no_belt_is_missed_with(kmh: list[float], belt: list[float | None]) -> None:
    assert not told(moving(kmh, belt=belt))


# ------------------------------------------------------------------ alerts
def test_what_goes_on_is_a_warning_before_it_counts_and_an_alarm_since() -> None:
    events = Events(default_campaign())
    windows = windows_of(moving([85.0] * 30, belt=[0.0] * 6 + [1.0] * 24))
    assert not events.alerts()
    events.feed(windows[0])
    assert events.alerts() == [Alert("overspeed", "warn", START_US)]
    events.feed(windows[1])
    assert events.alerts() == [Alert("overspeed", "alarm", START_US)]
    events.finish()
    assert not events.alerts()


def test_a_belt_and_a_door_are_heard_in_order_of_their_start() -> None:
    events = Events(default_campaign())
    groups = moving([40.0] * 10, door=[0.0] * 4 + [1.0] * 6, belt=[1.0] * 2 + [0.0] * 8)
    for window in windows_of(groups):
        events.feed(window)
    assert [alert.kind for alert in events.alerts()] == ["seat-belt", "door-open-moving"]
