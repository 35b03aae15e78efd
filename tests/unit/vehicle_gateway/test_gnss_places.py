"""Places that can follow upon one another, and the way between them."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.codec import decode, encode
from vehicle_gateway.gnss_places import AGREE, Jumps, Travelled, can_follow, travelled

if TYPE_CHECKING:
    from pathlib import Path

SECOND_US = 1_000_000
NORTH, EAST = 26_578_300, 106_713_500
TEN_METRES = 90  # millionths of a degree of latitude


def judge(*latitudes: int, jumps: Jumps | None = None, speed: int | None = None) -> list[str]:
    judged = jumps or Jumps()
    return [
        judged.judge((place * SECOND_US, latitude, EAST), speed)
        for place, latitude in enumerate(latitudes)
    ]


# ------------------------------------------------------------------ jumps
def test_a_drive_is_believed() -> None:
    assert not any(judge(*(NORTH + place * 3 * TEN_METRES for place in range(60)), speed=30_000))


def test_one_false_place_is_put_aside_and_the_next_true_one_believed() -> None:
    assert judge(NORTH, NORTH + 50_000, NORTH + TEN_METRES) == ["", "gnss-jump", ""]


def test_places_far_away_that_agree_are_believed_in_the_end() -> None:
    far = [NORTH + 500_000 + place * TEN_METRES for place in range(AGREE + 2)]
    assert judge(NORTH, *far) == ["", *["gnss-jump"] * (AGREE - 1), "", "", ""]


def test_false_places_that_do_not_agree_are_never_believed() -> None:
    scattered = [NORTH + (place % 7 + 1) * 200_000 for place in range(40)]
    assert set(judge(NORTH, *scattered)[1:]) == {"gnss-jump"}


def test_after_a_tunnel_the_vehicle_may_be_as_far_as_it_can_have_come() -> None:
    before, after = (0, NORTH, EAST), (60 * SECOND_US, NORTH + 27_000, EAST)
    assert can_follow(before, after)
    assert not can_follow(before, (30 * SECOND_US, *after[1:]))


def test_a_clock_that_goes_back_gives_a_second() -> None:
    assert can_follow((10**15, NORTH, EAST), (0, NORTH + TEN_METRES, EAST))
    assert not can_follow((10**15, NORTH, EAST), (0, NORTH + 20_000, EAST))


def test_a_place_that_stands_still_while_the_speed_says_otherwise_is_stale() -> None:
    assert judge(*[NORTH] * 8, speed=10_000) == [""] * 6 + ["gnss-stale"] * 2


@pytest.mark.parametrize("speed", [None, 0, 2_999])
def test_a_vehicle_that_stands_may_be_where_it_is(speed: int | None) -> None:
    assert not any(judge(*[NORTH] * 60, speed=speed))


@given(st.lists(st.sampled_from([NORTH, NORTH + 50_000, NORTH + 900_000]), max_size=30), st.data())
def test_a_restart_anywhere_changes_no_verdict(places: list[int], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(places)))
    fixes = [(place * SECOND_US, north, EAST) for place, north in enumerate(places)]
    whole, first, second = Jumps(), Jumps(), Jumps()
    expected = [whole.judge(fix, 5_000) for fix in fixes]
    found = [first.judge(fix, 5_000) for fix in fixes[:cut]]
    second.restore(decode(encode(first.state())))
    assert found + [second.judge(fix, 5_000) for fix in fixes[cut:]] == expected


# ------------------------------------------------------------------ the way
def test_a_steady_speed_over_a_minute_is_its_distance() -> None:
    times = [place * SECOND_US for place in range(61)]
    assert travelled(times, [None] * 61, [10_000] * 61) == 600_000


def test_standing_still_adds_nothing_up() -> None:
    # An hour of noise: a few tenths of a metre a second, places that wander by five metres.
    times = [place * SECOND_US for place in range(3_600)]
    noise = [(place * 7_919) % 45 for place in range(3_600)]
    places = [(NORTH + each, EAST + 44 - each) for each in noise]
    assert travelled(times, places, [each * 11 for each in noise]) == 0
    assert travelled(times, places, [None] * 3_600) == 0


def test_without_a_speed_places_are_joined() -> None:
    times = [place * SECOND_US for place in range(101)]
    places = [(NORTH + place * TEN_METRES, EAST) for place in range(101)]
    assert travelled(times, places, [None] * 101) == pytest.approx(1_000_000, rel=0.03)


def test_a_tunnel_counts_as_the_straight_line_and_a_leap_as_nothing() -> None:
    def way(seconds: int, north: int) -> int:
        times = [0, seconds * SECOND_US]
        return travelled(times, [(NORTH, EAST), (NORTH + north, EAST)], [10_000, 10_000])

    assert way(60, 60 * TEN_METRES) == pytest.approx(600_000, rel=0.01)
    assert way(60, 9_000_000) == 0
    assert way(3_600, 60 * TEN_METRES) == 0


def test_a_clock_that_goes_back_adds_nothing() -> None:
    assert travelled([10 * SECOND_US, 0], [None, None], [10_000, 10_000]) == 0


@given(st.integers(0, 60))
def test_a_restart_anywhere_changes_no_millimetre(cut: int) -> None:
    times = [place * 700_001 for place in range(60)]
    places = [(NORTH + place * TEN_METRES, EAST) for place in range(60)]
    speeds = [None if place % 9 > 6 else 10_001 + place for place in range(60)]
    first, second = Travelled(), Travelled()
    first.feed(times[:cut], places[:cut], speeds[:cut])
    second.restore(decode(encode(first.state())))
    second.feed(times[cut:], places[cut:], speeds[cut:])
    assert second.distance_mm == travelled(times, places, speeds)


def test_the_way_of_a_real_car_agrees_with_its_table(real_data: Path) -> None:
    with (real_data / "can" / "obd_car" / "gnss_1hz.csv").open(encoding="ascii") as file:
        rows = [row for row in csv.DictReader(file) if row["fix"] in "23"]
    times = [round(float(row["t_unix"]) * SECOND_US) for row in rows]
    places = [(round(float(row["lat"]) * 1e6), round(float(row["lon"]) * 1e6)) for row in rows]
    speeds: list[int | None] = [round(float(row["speed_mps"]) * 1_000) for row in rows]
    ours = travelled(times, places, speeds) / 1_000
    # The table holds several recordings, hours apart and not in order; a naive sum stays in each.
    naive = math.fsum(
        _haversine_m(one, other)
        for one, other, time, later in zip(rows, rows[1:], times, times[1:], strict=False)
        if 0 < later - time < 10 * SECOND_US
    )
    assert naive > 50_000
    assert ours == pytest.approx(naive, rel=0.002)
    assert travelled(times, places, [None] * len(rows)) / 1_000 == pytest.approx(naive, rel=0.01)


def _haversine_m(one: dict[str, str], other: dict[str, str]) -> float:
    north, east, north2, east2 = (
        math.radians(float(row[name])) for row in (one, other) for name in ("lat", "lon")
    )
    half = math.sin((north2 - north) / 2) ** 2
    half += math.cos(north) * math.cos(north2) * math.sin((east2 - east) / 2) ** 2
    return 2 * 6_371_000 * math.asin(math.sqrt(half))
