"""Tests of the night ban and of the corridor of a route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.unit.vehicle_gateway.yard import SECOND_US, START_US, series, windows_of
from vehicle_gateway.campaign import default_campaign
from vehicle_gateway.events import Events
from vehicle_gateway.gnss import LATITUDE, LONGITUDE
from vehicle_gateway.places import Ban, Corridor, Fence, Places, check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vehicle_gateway.places import Point

HOUR_US = 3_600 * SECOND_US
AT_THREE_US = START_US - 5 * HOUR_US - HOUR_US // 2  # 03:00 in Beijing
HERE = (26_600_000, 106_700_000)
SOURCE = "made of numbers for a test"


def spot(north_m: int, east_m: int = 0) -> Point:
    return HERE[0] + north_m * 9_025 // 1_000, HERE[1] + east_m * 10_046 // 1_000


ROUTE = Corridor("line 7", SOURCE, [spot(0), spot(5_000)], leave_m=100, return_m=60)
BAN = Ban("county road 12", SOURCE, "county road", line=[spot(0), spot(5_000)], width_m=40)
SQUARE = [spot(-900, -900), spot(-900, 900), spot(900, 900), spot(900, -900)]


def told(
    places: Places, fixes: Sequence[Point | None], kmh: float = 36, start_us: int = START_US
) -> list[dict[str, Any]]:
    check(places)
    events = Events(msgspec.structs.replace(default_campaign(), places=places))
    groups = [series("Vehicle.Speed", [kmh] * len(fixes), SECOND_US, start_us)]
    for axis, path in enumerate((LATITUDE, LONGITUDE)):
        values = [None if fix is None else fix[axis] / 1e6 for fix in fixes]
        groups.append(series(path, values, SECOND_US, start_us))
    found = [event for window in windows_of(groups) for event in events.feed(window)]
    return found + events.finish()


# ------------------------------------------------------------------ night ban
AREA = Ban("nature reserve", SOURCE, "grade 4", area=SQUARE)


@pytest.mark.parametrize("ban", [BAN, AREA], ids=["along a road", "in an area"])
def test_driving_where_the_road_is_closed_at_this_hour_is_told(ban: Ban) -> None:
    fixes = [spot(10 * second) for second in range(90)]
    (event,) = told(Places(bans=[ban]), fixes, start_us=AT_THREE_US)
    assert (event["kind"], event["unit"], event["peak"]) == ("night-ban", "mm/s", 10_000)


NO_BAN: dict[str, tuple[list[Point | None], float, int]] = {
    "at half past eight": ([spot(0)] * 90, 36.0, START_US),
    "at five sharp": ([spot(0)] * 90, 36.0, AT_THREE_US + 2 * HOUR_US),
    "standing": ([spot(0)] * 90, 0.0, AT_THREE_US),
    "on another road": ([spot(0, 100)] * 90, 36.0, AT_THREE_US),
    "crossing the road": (
        [spot(2_500, 10 * second - 500) for second in range(90)],
        36.0,
        AT_THREE_US,
    ),
    "without a fix": ([None] * 90, 36.0, AT_THREE_US),
}


@pytest.mark.parametrize(("fixes", "kmh", "start_us"), NO_BAN.values(), ids=NO_BAN.keys())
def test_no_ban_is_broken(fixes: list[Point | None], kmh: float, start_us: int) -> None:
    assert not told(Places(bans=[BAN]), fixes, kmh, start_us)


def test_a_ban_holds_until_five() -> None:
    fixes = [spot(0)] * 240
    (event,) = told(Places(bans=[BAN]), fixes, start_us=AT_THREE_US + 118 * 60 * SECOND_US)
    assert event["end_us"] == AT_THREE_US + 2 * HOUR_US - SECOND_US + 100_000


# ------------------------------------------------------------------ route
def away(*legs: tuple[int, int]) -> list[Point | None]:
    """Fixes so many metres beside the route for so many seconds each."""
    east = [metres for metres, seconds in legs for _ in range(seconds)]
    return [spot(10 * second, metres) for second, metres in enumerate(east)]


def test_leaving_the_corridor_is_told_with_how_far() -> None:
    (event,) = told(Places(corridors=[ROUTE]), away((0, 20), (400, 60), (0, 30)))
    assert (event["kind"], event["unit"]) == ("route-deviation", "m")
    assert event["peak"] == pytest.approx(400, abs=4)
    assert event["start_us"] == START_US + 20 * SECOND_US
    assert event["end_us"] == START_US + 79 * SECOND_US + 100_000


NO_DEVIATION = {
    "on the way from the depot": away((600, 120), (0, 30)),
    "a fix that wanders": away((0, 20), (300, 10), (0, 60)),
    "within the corridor": away((0, 20), (90, 90)),
    "between leaving and returning": away((0, 20), (80, 60), (95, 60)),
    "without a fix": [*away((0, 20)), *[None] * 60],
}


@pytest.mark.parametrize("fixes", NO_DEVIATION.values(), ids=NO_DEVIATION.keys())
def test_no_deviation_is(fixes: list[Point | None]) -> None:
    assert not told(Places(corridors=[ROUTE]), fixes)


def test_between_the_two_widths_a_deviation_goes_on() -> None:
    fixes = away((0, 20), (150, 20), (80, 40), (0, 20))
    (event,) = told(Places(corridors=[ROUTE]), fixes)
    assert event["end_us"] == START_US + 79 * SECOND_US + 100_000


def test_either_of_two_routes_is_a_route() -> None:
    other = msgspec.structs.replace(ROUTE, name="line 8", line=[spot(0, 400), spot(5_000, 400)])
    fixes = away((0, 20), (400, 60), (0, 30))
    assert not told(Places(corridors=[ROUTE, other]), fixes)


# ------------------------------------------------------------------ fences
STATION = Fence("bus station", SOURCE, centre=spot(0), radius_m=150)
YARD = Fence("yard", SOURCE, area=SQUARE)


@pytest.mark.parametrize("fence", [STATION, YARD], ids=["a circle", "an area"])
def test_a_stay_within_a_fence_is_told_when_it_has_ended(fence: Fence) -> None:
    fixes = [*[spot(5_000)] * 20, *[spot(10)] * 60, *[spot(5_000)] * 40]
    (event,) = told(Places(fences=[fence]), fixes, kmh=0)
    assert (event["kind"], event["rule"], event["unit"]) == ("geofence", fence.name, "s")
    assert event["peak"] == 59
    assert event["start_us"] == START_US + 20 * SECOND_US


def test_fences_within_one_another_have_stays_of_their_own() -> None:
    fixes = [*[spot(400)] * 40, *[spot(10)] * 40, *[spot(5_000)] * 40]
    found = told(Places(fences=[STATION, YARD]), fixes, kmh=0)
    assert [(event["rule"], event["peak"]) for event in found] == [
        ("yard", 79),
        ("bus station", 39),
    ]


def test_passing_through_and_a_fix_that_wanders_make_no_stay_and_end_none() -> None:
    passing = [spot(20 * second - 300) for second in range(31)]
    assert not told(Places(fences=[STATION]), [*passing, *[spot(5_000)] * 40], kmh=72)
    wanders = [*[spot(10)] * 40, *[spot(300)] * 10, *[spot(10)] * 40]
    (event,) = told(Places(fences=[STATION]), wanders, kmh=0)
    assert event["peak"] == 89
