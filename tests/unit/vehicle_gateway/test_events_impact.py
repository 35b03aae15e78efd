"""Tests of collision and rollover: what is told, and what only shakes or tilts the box."""

from __future__ import annotations

from math import cos, radians, sin
from typing import TYPE_CHECKING, Any

import pytest

from edge.codec import decode, encode
from tests.unit.vehicle_gateway.yard import SECOND_US, START_US, series, speeds, windows_of
from vehicle_gateway.campaign import default_campaign
from vehicle_gateway.events import Events

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edge.columns import Group

GRAVITY = 9.81
AXES = ("Longitudinal", "Lateral", "Vertical")
HZ = 100
AT_S = 70  # when something happens
Shake = dict[str, tuple[float, float]]
"""Axis → (m/s2 beside what it felt, for how many seconds)."""


def ride(kmh: Sequence[float], **shake: tuple[float, float]) -> list[Group]:
    """A drive at 10 Hz, felt at 100 Hz, with a shake of some axes."""
    groups = [series("Vehicle.Speed", kmh, SECOND_US // 10, START_US)]
    slopes = [(b - a) / 3.6 * 10 for a, b in zip(kmh, [*kmh[1:], kmh[-1]], strict=True)]
    slopes = [slope if abs(slope) < 9 else 0.0 for slope in slopes]  # a leap is in the shake
    felt = {"Longitudinal": slopes, "Lateral": [0.0] * len(kmh), "Vertical": [GRAVITY] * len(kmh)}
    for axis, values in felt.items():
        dense = [value for value in values for _ in range(HZ // 10)]
        extra, seconds = shake.get(axis.lower(), (0.0, 0.0))
        for place in range(AT_S * HZ, AT_S * HZ + round(seconds * HZ)):
            dense[place] += extra
        groups.append(series(f"Vehicle.Acceleration.{axis}", dense, SECOND_US // HZ, START_US))
    return groups


def told(groups: Iterable[Group], kind: str) -> tuple[list[dict[str, Any]], int]:
    """Events of a kind, and how often something was refuted."""
    events = Events(default_campaign())
    found = [event for window in windows_of(groups) for event in events.feed(window)]
    return [e for e in found + events.finish() if e["kind"] == kind], events.refuted


LEARN = [*speeds((0, 0, 5), (0, 50, 15)), *speeds(*[(50, 40, 5), (40, 50, 5)] * 5)]
CRUISE = [*LEARN, *[50.0] * 300]
CRASH = [*LEARN, *[0.0] * 300]  # the bus says 0 from one sample to the next


# ------------------------------------------------------------------ collision
def test_an_impact_that_stops_the_vehicle_is_a_collision() -> None:
    (event,), _ = told(ride(CRASH, longitudinal=(-25, 0.2)), "collision")
    assert (event["unit"], event["severity"], event["rule"]) == ("mm/s2", "severe", "collision")
    assert event["peak"] > 20_000
    assert event["start_us"] == START_US + AT_S * SECOND_US


def test_an_impact_from_the_side_that_pushes_the_vehicle_on_is_a_collision() -> None:
    pushed = [*LEARN, *[62.0] * 300]
    (event,), _ = told(ride(pushed, lateral=(14, 0.25)), "collision")
    assert event["severity"] == "normal"


def test_being_hit_while_standing_is_a_collision() -> None:
    stands = [*LEARN[:-100], *speeds((50, 0, 8)), *[0.0] * 20, *[10.0] * 300]
    assert len(told(ride(stands, longitudinal=(15, 0.2)), "collision")[0]) == 1


NO_COLLISION: Mapping[str, tuple[list[float], Shake]] = {
    "a pothole": (CRUISE, {"longitudinal": (-15, 0.03), "vertical": (30, 0.05)}),
    "a speed bump": (CRUISE, {"vertical": (20, 0.3)}),
    "a knock against the box": (CRUISE, {"lateral": (40, 0.02)}),
    "a long shake that changes no speed": (CRUISE, {"lateral": (12, 0.4)}),
    "a knock while a door slams at the stop": ([0.0] * 1_000, {"lateral": (20, 0.05)}),
    "a pothole while braking hard": (
        [*LEARN[:-10], *speeds((48, 6, 1.6)), *[6.0] * 290],
        {"longitudinal": (-15, 0.03)},
    ),
    "a speed bump while braking": (
        [*LEARN[:-10], *speeds((48, 6, 1.6)), *[6.0] * 290],
        {"vertical": (20, 0.3)},
    ),
    "braking with all force": ([*LEARN, *speeds((50, 6, 1.4)), *[6.0] * 290], {}),
    "a dropout of the speed with a pothole": (
        [*LEARN, *[0.0] * 10, *[50.0] * 290],
        {"longitudinal": (-15, 0.03)},
    ),
}


@pytest.mark.parametrize(("kmh", "shake"), NO_COLLISION.values(), ids=NO_COLLISION.keys())
def test_no_collision_is(kmh: list[float], shake: Shake) -> None:
    assert not told(ride(kmh, **shake), "collision")[0]


def test_what_nothing_bears_out_is_counted() -> None:
    assert told(ride(CRUISE, lateral=(12, 0.4)), "collision")[1] == 1


# ------------------------------------------------------------------ rollover
def tilted(kmh: Sequence[float], degrees: float, seconds: float, heavy: float = 1.0) -> list[Group]:
    """A drive after which gravity points elsewhere for so long."""
    groups = ride(kmh)
    turned = {
        "Lateral": GRAVITY * heavy * sin(radians(degrees)),
        "Vertical": GRAVITY * heavy * cos(radians(degrees)),
    }
    for axis, value in turned.items():
        ordinal = 1 + AXES.index(axis)
        (identity, raw), *_ = groups[ordinal].series.items()
        values = list(raw)
        start = AT_S * HZ
        values[start : start + round(seconds * HZ)] = [round(value * 8)] * round(seconds * HZ)
        groups[ordinal] = type(groups[ordinal])(groups[ordinal].times_us, {identity: values})
    return groups


LAID = [*LEARN, *speeds((50, 0, 4)), *[0.0] * 260]


@pytest.mark.parametrize("degrees", [40, 90, 180])
def test_a_vehicle_that_comes_to_rest_on_its_side_has_rolled_over(degrees: int) -> None:
    (event,), _ = told(tilted(LAID, degrees, 30), "rollover")
    assert (event["rule"], event["unit"]) == ("rollover-gravity", "degrees")
    assert event["severity"] == "severe"
    assert event["peak"] >= 30


NO_ROLLOVER = {
    "a slope of 20 degrees": (LAID, 20, 30, 1.0),
    "a swing of two seconds": (LAID, 45, 2, 1.0),
    "a long bend that feels like 33 degrees": (CRUISE, 33, 20, 1 / cos(radians(33))),
    "a box that fell off its bracket and drives on": (CRUISE, 70, 30, 1.0),
}


@pytest.mark.parametrize(
    ("kmh", "degrees", "seconds", "heavy"), NO_ROLLOVER.values(), ids=NO_ROLLOVER.keys()
)
def test_no_rollover_is(kmh: list[float], degrees: float, seconds: float, heavy: float) -> None:
    assert not told(tilted(kmh, degrees, seconds, heavy), "rollover")[0]


def test_the_attitude_of_the_box_is_enough() -> None:
    roll = [0.0] * 70 + [35.0] * 30
    speed = series("Vehicle.Speed", LAID, SECOND_US // 10, START_US)
    attitude = series("Vehicle.Private.GNSS.Roll", roll[:100], SECOND_US, START_US)
    (event,), _ = told([speed, attitude], "rollover")
    assert (event["rule"], event["peak"]) == ("rollover-attitude", 35)


def cut_short(groups: Iterable[Group]) -> list[Group]:
    """The same, but the box falls silent six seconds after something has happened."""
    cut = START_US + (AT_S + 6) * SECOND_US
    found = []
    for group in groups:
        ((identity, values),) = group.series.items()
        kept = [n for n, time in enumerate(group.times_us) if time < cut]
        found.append(
            type(group)([group.times_us[n] for n in kept], {identity: [values[n] for n in kept]})
        )
    return found


def test_a_vehicle_that_falls_silent_on_its_side_has_rolled_over() -> None:
    assert len(told(cut_short(tilted(LAID, 90, 30)), "rollover")[0]) == 1


def test_a_box_that_falls_silent_in_a_long_bend_tells_nothing() -> None:
    bend = tilted(CRUISE, 33, 20, 1 / cos(radians(33)))
    assert not told(cut_short(bend), "rollover")[0]


@pytest.mark.parametrize("groups", [ride(CRASH, longitudinal=(-25, 0.2)), tilted(LAID, 90, 30)])
def test_state_restored_in_every_window_gives_the_same(groups: list[Group]) -> None:
    whole = Events(default_campaign())
    expected = [event for window in windows_of(groups) for event in whole.feed(window)]
    state, found = encode(Events(default_campaign()).state()), []
    for window in windows_of(groups):
        events = Events(default_campaign())
        events.restore(decode(state))
        found += events.feed(window)
        state = encode(events.state())
    assert found == expected
    assert state == encode(whole.state())
