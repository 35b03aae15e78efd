"""Tests of trips: when they begin and end, and what they sum up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalogue import check_body
from edge.codec import decode, encode
from tests.unit.vehicle_gateway.yard import SECOND_US, START_US, series, speeds, windows_of
from vehicle_gateway.campaign import default_campaign
from vehicle_gateway.trips import Trips

if TYPE_CHECKING:
    from edge.columns import Group


def drive(*legs: tuple[float, float, float], start_us: int = START_US) -> list[Group]:
    return [series("Vehicle.Speed", speeds(*legs, hz=1), SECOND_US, start_us)]


def follow(groups: list[Group]) -> tuple[Trips, list[dict[str, Any]], list[str | None]]:
    """Feeds a drive; returns the trips, the summaries, and the trip of each window."""
    trips, summaries, own = Trips(default_campaign(), "box-1"), [], []
    for window in windows_of(groups):
        summaries.append(trips.expire(min(group.times_us[0] for group in window)))
        own.append(trips.feed(window, []))
    return trips, [each for each in summaries if each], own


def test_a_trip_is_named_after_the_box_and_the_second_it_began() -> None:
    trips, _, own = follow(drive((0, 0, 20), (30, 30, 20)))
    assert own[0] is own[1] is None
    assert trips.current == f"box-1-{START_US // SECOND_US + 20}"


def test_distance_and_duration_are_those_of_the_drive() -> None:
    trips, _, _ = follow(drive((36, 36, 101)))
    summary = trips.finish()
    assert summary is not None
    assert summary["distance_m"] == 1_000  # 100 s at 10 m/s
    assert summary["duration_s"] == 100
    assert summary["speed_mmps_max"] == 10_000


def test_a_short_stop_does_not_end_a_trip_and_counts_as_idle() -> None:
    trips, ended, _ = follow(drive((36, 36, 60), (0, 0, 120), (36, 36, 60)))
    summary = trips.finish()
    assert not ended
    assert summary is not None
    assert summary["idle_s"] == pytest.approx(120, abs=2)


def test_five_minutes_without_movement_end_a_trip_at_its_last_movement() -> None:
    _, (summary,), own = follow(drive((36, 36, 60), (0, 0, 400)))
    assert summary["end_us"] == START_US + 59 * SECOND_US
    assert own[-1] is None


def test_the_engine_alone_keeps_a_trip_open() -> None:
    rpm = series("Vehicle.OBD.EngineSpeed", [800.0] * 460, SECOND_US, START_US)
    trips, ended, _ = follow([*drive((36, 36, 60), (0, 0, 400)), rpm])
    assert not ended
    assert trips.current


def test_a_night_between_two_drives_makes_two_trips() -> None:
    later = START_US + 10 * 3_600 * SECOND_US
    trips, ended, _ = follow([*drive((36, 36, 60)), *drive((36, 36, 60), start_us=later)])
    assert len(ended) == 1
    assert trips.current != ended[0]["trip"]


def test_no_distance_is_made_up_over_a_gap() -> None:
    groups = [*drive((36, 36, 61)), *drive((36, 36, 61), start_us=START_US + 120 * SECOND_US)]
    trips, _, _ = follow(groups)
    summary = trips.finish()
    assert summary is not None
    assert summary["distance_m"] == pytest.approx(1_200, abs=2)


def test_events_are_counted_by_kind() -> None:
    trips = Trips(default_campaign(), "box-1")
    trips.feed(drive((36, 36, 10)), [{"kind": "harsh-brake"}, {"kind": "harsh-brake"}])
    trips.feed([], [{"kind": "overspeed"}])
    summary = trips.finish()
    assert summary is not None
    assert summary["events"] == {"harsh-brake": 2, "overspeed": 1}


def test_moving_and_idle_make_up_the_time_that_was_measured() -> None:
    trips, _, _ = follow(drive((36, 36, 60), (0, 0, 120), (36, 36, 61)))
    summary = trips.finish()
    assert summary is not None
    assert summary["moving_s"] + summary["idle_s"] == 240
    assert summary["moving_s"] == pytest.approx(121, abs=2)


def test_percentiles_are_of_moving_seconds_and_a_stop_changes_none() -> None:
    legs = ((18, 18, 50), (36, 36, 35), (54, 54, 15))
    for stop in ((0, 0, 1), (0, 0, 200)):
        trips, _, _ = follow(drive(*legs, stop, (18, 18, 1)))
        summary = trips.finish()
        assert summary is not None
        found = [summary[f"speed_mmps_p{part}"] for part in (50, 85, 95)]
        assert found == [5_000, 10_000, 15_000]


def test_a_fast_bus_and_a_slow_one_give_the_same_percentiles() -> None:
    legs = ((18, 18, 50), (36, 36, 40), (54, 54, 30))
    slow, _, _ = follow(drive(*legs))
    fast, _, _ = follow([series("Vehicle.Speed", speeds(*legs, hz=10), SECOND_US // 10, START_US)])
    one, other = slow.finish(), fast.finish()
    assert one is not None
    assert other is not None
    assert [v for k, v in one.items() if "_p" in k] == [v for k, v in other.items() if "_p" in k]


def test_the_share_of_the_night_is_of_the_time_moving() -> None:
    dusk = START_US + 13 * 3_600 * SECOND_US + 1_800 * SECOND_US - 100 * SECOND_US  # 21:58:20
    trips, _, _ = follow(drive((36, 36, 401), start_us=dusk))
    summary = trips.finish()
    assert summary is not None
    assert summary["night_permille"] == pytest.approx(750, abs=6)
    assert summary["night_s"] == pytest.approx(300, abs=1)


def test_rates_are_thousandths_of_an_event_a_hundred_kilometres() -> None:
    trips = Trips(default_campaign(), "box-1")
    trips.feed(drive((36, 36, 501)), [{"kind": "harsh-brake"}, {"kind": "harsh-brake"}])
    summary = trips.finish()
    assert summary is not None
    assert summary["distance_m"] == 5_000
    assert summary["per_100km"] == {"harsh-brake": 40_000}


def test_no_rate_is_made_of_a_few_metres() -> None:
    trips = Trips(default_campaign(), "box-1")
    trips.feed(drive((36, 36, 60)), [{"kind": "harsh-brake"}])
    summary = trips.finish()
    assert summary is not None
    assert summary["per_100km"] == {}


def test_with_a_receiver_alone_a_trip_has_its_distance() -> None:
    speed = series("Vehicle.Private.GNSS.Speed", [10.0] * 101, SECOND_US, START_US)
    trips, _, _ = follow([speed])
    summary = trips.finish()
    assert summary is not None
    assert summary["distance_m"] == 1_000


def test_the_state_of_an_older_version_begins_anew() -> None:
    trips = Trips(default_campaign(), "box-1")
    trips.restore({"trip": "box-1-1", "numbers": [1, 2, 3, 4, 5], "last": [], "events": {}})
    assert trips.current is None


def rich(legs: list[tuple[int, int, int]]) -> list[Group]:
    """A drive on a bus that tells of fuel, battery and odometer too."""
    kmh = [v for first, last, seconds in legs for v in speeds((first, last, seconds), hz=1)]
    way = [sum(kmh[:place]) / 3_600 for place in range(len(kmh))]
    paths = {
        "Vehicle.Speed": kmh,
        "Vehicle.TraveledDistance": [12_345 + each for each in way],
        "Vehicle.Powertrain.FuelSystem.FuelRate": [1 + each / 10 for each in kmh],
        "Vehicle.Powertrain.TractionBattery.CurrentVoltage": [580.0] * len(kmh),
        "Vehicle.Powertrain.TractionBattery.CurrentCurrent": [40 - each for each in kmh],
    }
    return [series(path, values, SECOND_US, START_US) for path, values in paths.items()]


def test_a_summary_has_only_fields_of_the_data_catalogue() -> None:
    trips = Trips(default_campaign(), "box-1")
    for window in windows_of(rich([(0, 60, 60), (60, 60, 60)])):
        trips.feed(window, [])
    summary = trips.finish()
    assert summary is not None
    check_body("trip-summary", summary)
    assert {"fuel_ml", "energy_wh", "odometer_m_start"} <= set(summary)


paces = st.lists(
    st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(5, 400)), min_size=1, max_size=5
)


@given(paces, st.sets(st.integers(0, 200)))
def test_power_that_is_cut_anywhere_changes_no_summary(
    legs: list[tuple[int, int, int]], cuts: set[int]
) -> None:
    windows = windows_of(rich(legs))
    results = []
    for restarts in (set[int](), cuts):
        trips, told = Trips(default_campaign(), "box-1"), []
        for number, window in enumerate(windows):
            if number in restarts:
                state = decode(encode(trips.state()))
                trips = Trips(default_campaign(), "box-1")
                trips.restore(state)
            told.append(trips.expire(window[0].times_us[0]))
            trips.feed(window, [{"kind": "harsh-brake"}] if number % 7 == 0 else [])
        results.append(encode([*told, trips.finish(), trips.state()]))
    assert results[0] == results[1]


def test_state_restored_in_every_window_gives_the_same_summary() -> None:
    groups = drive((10, 70, 60), (70, 70, 30), (0, 0, 40), (20, 20, 60))
    whole, _, _ = follow(groups)
    state = encode(Trips(default_campaign(), "box-1").state())
    for window in windows_of(groups):
        trips = Trips(default_campaign(), "box-1")
        trips.restore(decode(state))
        trips.feed(window, [])
        state = encode(trips.state())
    last = Trips(default_campaign(), "box-1")
    last.restore(decode(state))
    assert last.finish() == whole.finish()


def test_a_clock_that_was_set_back_ends_the_trip() -> None:
    trips, ended, _ = follow(drive((36, 36, 60)))
    summary = trips.expire(START_US - 86_400 * SECOND_US)
    assert not ended
    assert summary is not None
