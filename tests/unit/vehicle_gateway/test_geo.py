"""Tests of local geometry against the textbook: great circles, winding, and asking everything."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_gateway.geo import (
    MICRO,
    Index,
    distance_mm,
    distance_to_line_mm,
    is_within,
    nearest_mm,
)

if TYPE_CHECKING:
    from vehicle_gateway.places import Point

EARTH_M = 6_371_008.8
latitudes = st.integers(-60 * MICRO, 60 * MICRO)
longitudes = st.integers(-180 * MICRO, 180 * MICRO - 1)
origins = st.tuples(latitudes, longitudes)
shifts = st.tuples(st.integers(-20_000, 20_000), st.integers(-20_000, 20_000))


def moved(origin: Point, shift: tuple[int, int]) -> Point:
    """A point near another, whatever meridian lies between."""
    east = (origin[1] + shift[1] + 180 * MICRO) % (360 * MICRO) - 180 * MICRO
    return origin[0] + shift[0], east


def great_circle_m(one: Point, other: Point) -> float:
    """The haversine on a sphere, as any textbook has it."""
    a, b = (radians(each[0] / MICRO) for each in (one, other))
    turn = radians((other[1] - one[1]) / MICRO)
    part = sin((b - a) / 2) ** 2 + cos(a) * cos(b) * sin(turn / 2) ** 2
    return 2 * EARTH_M * asin(sqrt(part))


# ------------------------------------------------------------------ lengths
@given(origins, shifts)
def test_distances_agree_with_the_great_circle(origin: Point, shift: tuple[int, int]) -> None:
    other = moved(origin, shift)
    expected = great_circle_m(origin, other)
    # The ellipsoid differs from the sphere by up to 0.6 %.
    assert distance_mm(origin, other) / 1_000 == pytest.approx(expected, rel=0.006, abs=0.2)


@pytest.mark.parametrize(
    ("latitude", "north_mm", "east_mm"),
    [(0, 110_574, 111_320), (30, 110_852, 96_486), (45, 111_132, 78_847), (60, 111_412, 55_800)],
)
def test_a_thousandth_of_a_degree_has_its_length_on_the_ellipsoid(
    latitude: int, north_mm: int, east_mm: int
) -> None:
    here = (latitude * MICRO, 106 * MICRO)
    assert distance_mm(here, (here[0] + 1_000, here[1])) == pytest.approx(north_mm, rel=1e-4)
    assert distance_mm(here, (here[0], here[1] + 1_000)) == pytest.approx(east_mm, rel=1e-4)


@given(origins, shifts, shifts, shifts)
def test_no_corner_of_a_line_is_nearer_than_the_line(
    origin: Point, one: tuple[int, int], two: tuple[int, int], three: tuple[int, int]
) -> None:
    line = [moved(origin, each) for each in (one, two, three)]
    distance = distance_to_line_mm(origin, line)
    assert distance <= min(distance_mm(origin, corner) for corner in line)
    assert nearest_mm(origin, [line, line[:2]]) == distance


@given(origins, st.integers(-3_000, 3_000), st.integers(1, 4_000))
def test_the_distance_to_a_straight_road_is_the_perpendicular(
    origin: Point, aside: int, half: int
) -> None:
    road = [moved(origin, (-half, aside)), moved(origin, (half, aside))]
    foot = moved(origin, (0, aside))
    # A road along a meridian; where it ends nearer to a pole a degree is a little shorter.
    expected = distance_mm(origin, foot)
    assert distance_to_line_mm(origin, road) == pytest.approx(expected, rel=2e-3, abs=2)


def test_a_line_of_one_corner_twice_is_a_point() -> None:
    here = (30 * MICRO, 100 * MICRO)
    there = moved(here, (100, 100))
    assert distance_to_line_mm(here, [there, there]) == distance_mm(here, there)


# ------------------------------------------------------------------ areas
@given(origins, shifts, st.integers(100, 10_000), st.integers(100, 10_000))
def test_a_rectangle_holds_what_lies_between_its_sides(
    origin: Point, shift: tuple[int, int], high: int, wide: int
) -> None:
    signs = ((1, 1), (1, -1), (-1, -1), (-1, 1))
    area = [moved(origin, (up * high, right * wide)) for up, right in signs]
    inside = abs(shift[0]) <= high and abs(shift[1]) <= wide
    assert is_within(moved(origin, shift), area) == inside
    assert is_within(moved(origin, shift), area[::-1]) == inside


def test_the_notch_of_a_concave_area_is_outside() -> None:
    area = [(0, 0), (0, 100), (100, 100), (100, 60), (40, 60), (40, 40), (100, 40), (100, 0)]
    assert not is_within((70, 50), area)
    assert is_within((20, 50), area)
    assert is_within((70, 20), area)
    assert is_within((40, 50), area)  # an edge belongs to it


# ------------------------------------------------------------------ index
lines = st.lists(st.lists(shifts, min_size=2, max_size=4), min_size=1, max_size=12)


@given(origins, lines, st.integers(5, 200), shifts)
def test_the_index_finds_what_asking_every_line_finds(
    origin: Point, roads: list[list[tuple[int, int]]], reach_m: int, shift: tuple[int, int]
) -> None:
    index, asked = Index(), moved(origin, shift)
    placed = [[moved(origin, corner) for corner in road] for road in roads]
    for owner, road in enumerate(placed):
        index.add_line(owner, road, reach_m)
    distances = {owner: distance_to_line_mm(asked, road) for owner, road in enumerate(placed)}
    expected = {owner: mm for owner, mm in distances.items() if mm <= reach_m * 1_000}
    assert {near.owner: near.distance_mm for near in index.at(asked)} == expected


@given(origins, shifts, st.integers(10, 50_000))
def test_a_circle_holds_within_its_radius(
    origin: Point, shift: tuple[int, int], radius_m: int
) -> None:
    index, asked = Index(), moved(origin, shift)
    index.add_circle(7, origin, radius_m)
    inside = distance_mm(asked, origin) <= radius_m * 1_000
    assert [near.owner for near in index.at(asked)] == ([7] if inside else [])


@given(origins, st.integers(1_000, 2 * MICRO))
def test_an_area_of_any_size_is_found(origin: Point, half: int) -> None:
    index = Index()
    signs = ((1, 1), (1, -1), (-1, -1), (-1, 1))
    index.add_area(3, [moved(origin, (up * half, right * half)) for up, right in signs])
    assert [near.owner for near in index.at(origin)] == [3]
    assert not index.at(moved(origin, (0, half + 10)))


def test_the_nearest_road_comes_first() -> None:
    origin = (26 * MICRO, 106 * MICRO)
    index = Index()
    for owner, aside in enumerate((300, 100, 200)):
        index.add_line(owner, [moved(origin, (-900, aside)), moved(origin, (900, aside))], 60)
    assert [near.owner for near in index.at(origin)] == [1, 2, 0]


def test_a_question_looks_at_few_of_a_thousand_roads() -> None:
    """The claim of speed, without a clock: how many pieces a cell holds."""
    index = Index()
    for number in range(1_000):
        south = (26 * MICRO + number // 32 * 20_000, 106 * MICRO + number % 32 * 20_000)
        index.add_line(number, [south, moved(south, (15_000, 3_000))], 30)
    assert max(map(len, index._cells.values())) <= 4
    assert not index._wide
