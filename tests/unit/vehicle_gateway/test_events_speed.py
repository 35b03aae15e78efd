"""Tests of overspeed: which limit holds where, and that recorded trips agree with their own limits.

The recorded trips carry the posted limit of every row. Their receiver repeats a fix for some 13 s,
so the place of a row is found between two fixes; roads are laid through these places, one for every
stretch of one limit, and our events are compared with a plain reading of the rule over the rows.
"""

from __future__ import annotations

import csv
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.unit.vehicle_gateway.yard import SECOND_US, START_US, series, windows_of
from vehicle_gateway.campaign import Campaign, default_campaign
from vehicle_gateway.events import Events
from vehicle_gateway.events_speed import Limits
from vehicle_gateway.gnss import LATITUDE, LONGITUDE
from vehicle_gateway.places import Limit, Places, check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.columns import Group
    from vehicle_gateway.places import Point

NIGHT_US = START_US + 14 * 3_600 * SECOND_US  # 22:30 in Beijing
SOURCE = "made of numbers for a test"
HERE = (26_600_000, 106_700_000)


def north(metres: int, east: int = 0) -> Point:
    """A point so many metres from here, to a metre or so."""
    return HERE[0] + metres * 9_025 // 1_000, HERE[1] + east * 10_046 // 1_000


def road(kmh: int | None, points: Sequence[Point], night: int | None = None) -> Limit:
    return Limit(f"road of {kmh}", SOURCE, kmh, night, line=list(points), width_m=20)


def area(kmh: int | None, half: int) -> Limit:
    corners = [(-half, -half), (-half, half), (half, half), (half, -half)]
    return Limit(f"area of {kmh}", SOURCE, kmh, area=[north(*each) for each in corners])


def with_limits(*limits: Limit, **figures: int) -> Campaign:
    """The default campaign with limits, and some figures of overspeed changed."""
    campaign = default_campaign()
    changed = {
        name: msgspec.structs.replace(figure, value=figures.get(name, figure.value))
        for name, figure in campaign.rules["overspeed"].items()
    }
    places = Places(limits=list(limits))
    check(places)
    rules = {**campaign.rules, "overspeed": changed}
    return msgspec.structs.replace(campaign, rules=rules, places=places)


def along(places: Sequence[Point | None], start_us: int = START_US) -> list[Group]:
    """Fixes once a second; None for a second without one."""
    return [
        series(path, [None if p is None else p[axis] / 1e6 for p in places], SECOND_US, start_us)
        for axis, path in enumerate((LATITUDE, LONGITUDE))
    ]


def told(campaign: Campaign, groups: Sequence[Group]) -> list[dict[str, Any]]:
    events = Events(campaign)
    found = [event for window in windows_of(groups) for event in events.feed(window)]
    return [event for event in found + events.finish() if event["kind"] == "overspeed"]


def drive(kmh: float, places: Sequence[Point | None], start_us: int = START_US) -> list[Group]:
    speeds = series("Vehicle.Speed", [kmh] * len(places), SECOND_US, start_us)
    return [speeds, *along(places, start_us)]


STILL = [HERE] * 60


# ------------------------------------------------------------------ which limit holds
LINE = [north(-500), north(500)]
HOLDS = {
    "a road goes before the area around it": ([area(40, 900), road(60, LINE)], HERE, (60, 0)),
    "beside the road the area holds": ([area(40, 900), road(60, LINE)], north(0, 60), (40, 0)),
    "the smaller of two areas holds": ([area(60, 900), area(40, 300)], HERE, (40, 0)),
    "the nearer of two roads holds": (
        [road(60, LINE), road(40, [north(-500, 16), north(500, 16)])],
        north(0, 15),
        (40, 0),
    ),
    "of two roads within the doubt the higher holds": (
        [road(60, LINE), road(40, [north(-500, 16), north(500, 16)])],
        north(0, 9),
        (60, 0),
    ),
    "where roads are unmarked the figure holds": ([area(None, 900)], HERE, (33, 0)),
    "a limit of the night comes with that of the day": (
        [road(60, LINE, night=30)],
        HERE,
        (60, 30),
    ),
    "nothing holds where nothing is said": ([road(60, LINE)], north(700), None),
}


@pytest.mark.parametrize(("limits", "point", "expected"), HOLDS.values(), ids=HOLDS.keys())
def test_of_several_limits(
    limits: list[Limit], point: Point, expected: tuple[int, int] | None
) -> None:
    assert Limits(limits, unmarked_kmh=33, doubt_m=5).at(point) == expected


# ------------------------------------------------------------------ what is told
def test_a_posted_limit_is_named_in_the_rule() -> None:
    (event,) = told(with_limits(area(40, 900)), drive(46, STILL))
    assert event["rule"] == "overspeed-posted-40-day"
    assert event["severity"] == "normal"
    assert event["end_us"] - event["start_us"] == 59 * SECOND_US + 100_000


def test_on_a_road_without_marks_the_unmarked_limit_holds() -> None:
    campaign = with_limits(area(None, 900))
    assert not told(campaign, drive(43, STILL))
    (event,) = told(campaign, drive(50, STILL))
    assert (event["rule"], event["severity"]) == ("overspeed-posted-40-day", "severe")


def test_off_the_posted_roads_the_ordinary_limit_holds() -> None:
    assert not told(with_limits(road(40, [north(2_000), north(3_000)])), drive(70, STILL))


def test_at_night_a_posted_night_limit_or_four_fifths_hold_whichever_is_less() -> None:
    campaign = with_limits(road(60, LINE, night=50))
    assert not told(campaign, drive(52, STILL, NIGHT_US))  # 80 % of 60 = 48, and a tenth
    (event,) = told(campaign, drive(54, STILL, NIGHT_US))
    assert event["rule"] == "overspeed-posted-50-night"
    slow = with_limits(road(60, LINE, night=30))
    assert len(told(slow, drive(40, STILL, NIGHT_US))) == 1
    assert not told(slow, drive(40, STILL))


def test_a_goods_vehicle_may_drive_as_by_day() -> None:
    campaign = with_limits(area(60, 900), night_percent=100)
    assert not told(campaign, drive(60, STILL, NIGHT_US))


def test_a_limit_that_falls_on_the_way_begins_the_event_there() -> None:
    places = [north(17 * second) for second in range(80)]  # 61 km/h
    limits = [road(60, [north(-50), north(600)]), road(40, [north(600), north(1_500)])]
    (event,) = told(with_limits(*limits, doubt_m=0), drive(61.2, places))
    first = next(second for second, place in enumerate(places) if place > north(600))
    assert abs(event["start_us"] - START_US - first * SECOND_US) <= SECOND_US
    assert event["severity"] == "severe"


def test_a_limit_that_rises_ends_the_event() -> None:
    places = [north(17 * second) for second in range(80)]
    limits = [road(40, [north(-50), north(600)]), road(60, [north(600), north(1_500)])]
    (event,) = told(with_limits(*limits, doubt_m=0), drive(61.2, places))
    assert abs(event["end_us"] - START_US - 35 * SECOND_US) <= 2 * SECOND_US


def test_where_the_fix_is_lost_the_driver_has_the_benefit_of_the_doubt() -> None:
    campaign = with_limits(area(40, 900))
    lost = [*STILL[:5], *[None] * 55]
    (event,) = told(campaign, drive(60, lost))  # 40 holds while the fix is fresh, then 70
    assert event["end_us"] - START_US == pytest.approx(15 * SECOND_US, abs=SECOND_US)
    fast = with_limits(area(100, 900))
    assert not told(fast, drive(100, lost))


def test_a_dropout_of_the_speed_splits_no_event() -> None:
    groups = drive(60, STILL)
    (identity, raw), *_ = groups[0].series.items()
    values = list(raw)
    values[30:32] = [0, 0]
    dropped = type(groups[0])(groups[0].times_us, {identity: values})
    assert len(told(with_limits(area(40, 900)), [dropped, *groups[1:]])) == 1


def test_two_seconds_below_the_limit_interrupt_nothing_and_four_do() -> None:
    campaign = with_limits(area(40, 900))
    for pause, count in ((2, 1), (4, 0)):
        kmh = [46.0] * 7 + [42.0] * pause + [46.0] * 7 + [40.0] * 10
        groups = [series("Vehicle.Speed", kmh, SECOND_US, START_US), *along([HERE] * len(kmh))]
        assert len(told(campaign, groups)) == count


def test_nothing_spans_a_gap_in_the_data() -> None:
    before, after = drive(46, [HERE] * 7), drive(46, [HERE] * 7, START_US + 12 * SECOND_US)
    assert not told(with_limits(area(40, 900)), [*before, *after])


# ------------------------------------------------------------------ recorded trips
TRIPS = {
    "T1_06_30_2021_1": [(652, 663), (3666, 3678), (4950, 4962), (4976, 4986)],
    "T2_03_30_2021": [(130, 142), (6648, 6662), (6676, 6688)],
    "T3_04_22_2021_1": [(421, 436)],
}


def read_trip(path: Path) -> tuple[list[float], list[int], list[Point]]:
    """Speed, posted limit and place of every second."""
    with path.open(encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    fixes = [(float(row["LAT"]), float(row["LON"])) for row in rows]
    starts = [n for n in range(len(rows)) if n == 0 or fixes[n] != fixes[n - 1]]
    places: list[Point] = []
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        here, there = fixes[start], fixes[min(end, len(rows) - 1)]
        for second in range(end - start):
            part = second / (end - start)
            latitude, longitude = (a + (b - a) * part for a, b in zip(here, there, strict=True))
            places.append((round(latitude * 1e6), round(longitude * 1e6)))
    return [float(r["Speed"]) for r in rows], [int(float(r["SpeedLimit"])) for r in rows], places


def roads_of(limits: Sequence[int], places: Sequence[Point]) -> Iterator[Limit]:
    """A road for every stretch of one limit, through the places of its rows."""
    for kmh, run in groupby(range(len(limits)), key=lambda row: limits[row]):
        rows = list(run)
        points = [places[row] for row in rows]
        line = points if len(points) > 1 else points * 2
        yield Limit(f"rows from {rows[0]}", SOURCE, kmh, line=line, width_m=5)


def plain_reading(speeds: Sequence[float], limits: Sequence[int]) -> list[tuple[int, int]]:
    """First and last row of every overspeed: over limit + 10 %, 10 s, gaps under 3 s belong to it.

    A speed that leaps to 0 from 10 km/h or more is passed over for three seconds.
    """
    found: list[tuple[int, int]] = []
    over: list[int] = []
    known, age = 0.0, 0
    for row, (speed, limit) in enumerate(zip(speeds, limits, strict=True)):
        is_glitch = speed == 0 and known >= 10 and age < 3
        known, age = (known, age + 1) if is_glitch else (speed, 0)
        if known > limit * 1.1:
            if over and row - over[-1] > 3:
                found.append((over[0], over[-1]))
                over = []
            over.append(row)
    found += [(over[0], over[-1])] if over else []
    return [(first, last) for first, last in found if last - first >= 10]


@pytest.mark.parametrize("name", TRIPS)
def test_overspeed_on_a_recorded_trip_agrees_with_its_posted_limits(
    name: str, real_data: Path
) -> None:
    speeds, limits, places = read_trip(real_data / "trips" / f"{name}.csv")
    campaign = with_limits(*roads_of(limits, places), doubt_m=0)
    groups = [series("Vehicle.Speed", speeds, SECOND_US, START_US), *along(places)]
    ours = [
        ((event["start_us"] - START_US) // SECOND_US, (event["end_us"] - START_US) // SECOND_US)
        for event in told(campaign, groups)
    ]
    expected = plain_reading(speeds, limits)
    assert len(ours) == len(expected)
    for one, other in zip(ours, expected, strict=True):
        assert max(abs(one[0] - other[0]), abs(one[1] - other[1])) <= 1
    assert expected == TRIPS[name]
