"""Tests of harsh cornering: by sensor, gyro or course, however the box is mounted; and no other."""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.vehicle_gateway.yard import SECOND_US, START_US, series, speeds, windows_of
from vehicle_gateway.campaign import default_campaign
from vehicle_gateway.events import Events

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edge.columns import Group

AXES = ("Longitudinal", "Lateral", "Vertical")
GYROS = ("Roll", "Pitch", "Yaw")
GRAVITY = 9.81


def told(groups: Iterable[Group], events: Events | None = None) -> list[dict[str, Any]]:
    events = events or Events(default_campaign())
    found = [event for window in windows_of(groups) for event in events.feed(window)]
    return [e for e in found + events.finish() if e["kind"] == "harsh-cornering"]


def bends(*legs: tuple[float, float]) -> list[float]:
    """Rate of turn in degrees a second at 10 Hz: each leg keeps one for so many seconds."""
    return [rate for rate, seconds in legs for _ in range(round(seconds * 10))]


def slalom(seconds: int) -> list[float]:
    """Bends to either side that teach the mounting and are not harsh at 40 km/h."""
    return bends(*([(9.0, 4.0), (0.0, 2.0), (-9.0, 4.0), (0.0, 2.0)] * (seconds // 12)))


def by_course(kmh: Sequence[float], turn: Sequence[float]) -> list[Group]:
    """What a receiver tells once a second."""
    course = [sum(turn[: place + 1]) / 10 % 360 for place in range(0, len(turn), 10)]
    return [
        series("Vehicle.Speed", kmh[::10], SECOND_US, START_US),
        series("Vehicle.CurrentLocation.Heading", course, SECOND_US, START_US),
    ]


def by_box(
    kmh: Sequence[float], turn: Sequence[float], places: Mapping[str, int], sign: int = 1
) -> list[Group]:
    """What a box at 50 Hz feels whose axes sit at these places."""
    slopes = [(b - a) / 3.6 * 10 for a, b in zip(kmh, [*kmh[1:], kmh[-1]], strict=True)]
    across = [v / 3.6 * r * pi / 180 for v, r in zip(kmh, turn, strict=True)]
    felt = {"along": slopes, "across": across, "up": [GRAVITY] * len(kmh)}
    groups = [series("Vehicle.Speed", kmh, SECOND_US // 10, START_US)]
    for way, place in places.items():
        dense = [sign * value for value in felt[way] for _ in range(5)]
        groups.append(
            series(f"Vehicle.Acceleration.{AXES[place]}", dense, SECOND_US // 50, START_US)
        )
    gyro = f"Vehicle.AngularVelocity.{GYROS[places['up']]}"
    dense = [sign * rate for rate in turn for _ in range(5)]
    return [*groups, series(gyro, dense, SECOND_US // 50, START_US)]


def steady(kmh: float, turn: Sequence[float]) -> list[float]:
    return [kmh] * len(turn)


HAIRPIN = bends((0, 20), (18, 5), (0, 20))  # 90 degrees
LEARN = [*speeds((0, 0, 5), (0, 40, 10)), *speeds(*[(40, 50, 3), (50, 40, 3)] * 40)]
PLACES = {
    "as drawn": {"along": 0, "across": 1, "up": 2},
    "turned by a quarter": {"along": 1, "across": 0, "up": 2},
    "standing on its side": {"along": 1, "across": 2, "up": 0},
}


# ------------------------------------------------------------------ by course
def test_a_bend_taken_too_fast_is_told_by_the_course_alone() -> None:
    (event,) = told(by_course(steady(45, HAIRPIN), HAIRPIN))
    assert (event["rule"], event["unit"]) == ("harsh-cornering-turn", "mm/s2")
    assert event["peak"] == pytest.approx(12.5 * 18 * pi / 180 * 1_000, rel=0.05)
    assert event["severity"] == "normal"


def test_left_and_right_count_alike() -> None:
    left = [-rate for rate in HAIRPIN]
    assert len(told(by_course(steady(45, left), left))) == 1


NOT_HARSH = {
    "the same bend at 25 km/h": (25, HAIRPIN),
    "a tight turn at 28 km/h": (28, bends((0, 20), (30, 6), (0, 20))),
    "a bend of 27 degrees": (60, bends((0, 20), (13.5, 2), (0, 20))),
    "a wide bend on a highway": (70, bends((0, 20), (7, 10), (0, 20))),
    "a change of lane": (60, bends((0, 20), (12, 1), (-12, 1), (0, 20))),
    "a leap of the course and back": (60, bends((0, 20), (40, 1), (0, 1), (-40, 1), (0, 20))),
    "a course that spins": (60, bends((0, 20), (170, 6), (0, 20))),
}


@pytest.mark.parametrize(("kmh", "turn"), NOT_HARSH.values(), ids=NOT_HARSH.keys())
def test_no_harsh_bend_is(kmh: float, turn: list[float]) -> None:
    assert not told(by_course(steady(kmh, turn), turn))


def test_a_course_at_a_standstill_is_noise() -> None:
    turn = bends(*([(30, 2), (-20, 2)] * 20))
    assert not told(by_course(steady(2, turn), turn))


# ------------------------------------------------------------------ by the box
@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("sign", [1, -1])
def test_the_axis_across_is_found_from_the_drive(places: Mapping[str, int], sign: int) -> None:
    turn = [*bends((0, 15)), *slalom(240), *bends((0, 4), (20, 5), (0, 20))]
    kmh = [*LEARN, *([45.0] * len(turn))][: len(turn)]
    events = Events(default_campaign())
    found = told(by_box(kmh, turn, places, sign), events)
    across = events.motion.mounting.across
    assert across is not None
    assert across.path.endswith(AXES[places["across"]])
    assert events.motion.mounting.vertical == places["up"]
    assert [event["rule"] for event in found] == ["harsh-cornering-imu"]


def test_a_gyro_without_the_axis_across_is_enough() -> None:
    turn = HAIRPIN
    groups = by_box(steady(45, turn), turn, {"up": 2})
    assert [event["rule"] for event in told(groups)] == ["harsh-cornering-turn"]


def test_a_swerve_turns_back_and_is_refuted() -> None:
    turn = bends((0, 20), (14, 1.9), (-14, 1.9), (0, 20))
    events = Events(default_campaign())
    assert not told(by_box(steady(60, turn), turn, {"up": 2}), events)
    assert events.refuted == 1


def test_a_long_road_of_left_bends_is_not_taken_for_the_zero_of_the_sensor() -> None:
    turn = [*bends((0, 15)), *slalom(240), *bends((9.0, 180))]
    kmh = [*LEARN, *([45.0] * len(turn))][: len(turn)]
    events = Events(default_campaign())
    told(by_box(kmh, turn, PLACES["as drawn"]), events)
    across = events.motion.mounting.across
    assert across is not None
    assert abs(across.offset_mmps2) < 300


def test_a_camber_that_pulls_to_the_side_is_no_bend() -> None:
    """The sensor feels 3.4 m/s2 towards the middle of a turn that the gyro says is gentle."""
    turn = [*bends((0, 15)), *slalom(240), *bends((0, 4), (6, 8), (0, 20))]
    kmh = [*LEARN, *([45.0] * len(turn))][: len(turn)]
    groups = by_box(kmh, turn, PLACES["as drawn"])
    (lateral,) = [g for g in groups if 49 in g.series]
    values = list(lateral.series[49])
    start = (15 + 240 + 4) * 50
    values[start : start + 400] = [27] * 400
    groups[groups.index(lateral)] = type(lateral)(lateral.times_us, {49: values})
    assert not told(groups)
