"""Tests of driving events: what is told, what is not, and that a restart changes nothing."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.catalogue import load_catalogue, require_event, signals
from edge.codec import decode, encode
from edge.columns import Group
from hardware.drivers.can_log import LogSource
from tests.unit.vehicle_gateway.yard import (
    SECOND_US,
    START_US,
    series,
    speeds,
    windows_of,
)
from vehicle_gateway.campaign import default_campaign
from vehicle_gateway.decode import Decoder
from vehicle_gateway.events import Events
from vehicle_gateway.places import Ban, Corridor, Fence, Limit, Places
from vehicle_gateway.privacy import VEHICLE_EVENTS
from vehicle_gateway.profile import load_profile
from vehicle_gateway.replay import replay
from vehicle_gateway.shape import SHAPE
from vehicle_gateway.trips import Trips

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

NIGHT_US = START_US + 14 * 3_600 * SECOND_US  # 22:30 in Beijing
LONGITUDINAL = "Vehicle.Acceleration.Longitudinal"
LATERAL = "Vehicle.Acceleration.Lateral"


def told(groups: Iterable[Group]) -> list[dict[str, Any]]:
    """The events of a whole drive."""
    events = Events(default_campaign())
    found = [event for window in windows_of(groups) for event in events.feed(window)]
    return found + events.finish()


def kinds(groups: Iterable[Group]) -> list[str]:
    return [event["kind"] for event in told(groups)]


def speed(values: Sequence[float | None], hz: int = 10, start_us: int = START_US) -> Group:
    return series("Vehicle.Speed", values, SECOND_US // hz, start_us)


def wander(seconds: float, hz: int = 10) -> list[float]:
    """Gentle driving that teaches the mounting: 40 km/h up to 60 and down, at 1.1 m/s2."""
    leg = 5.0
    legs = [
        (40.0, 60.0, leg) if number % 2 == 0 else (60.0, 40.0, leg)
        for number in range(round(seconds / leg))
    ]
    return speeds(*legs, hz=hz)


def imu_of(path: str, kmh: Sequence[float], sign: int = 1, bias: float = 0.0) -> Group:
    """What a sensor along the vehicle measures at 100 Hz while these 10 Hz speeds are driven."""
    slopes = [(after - before) / 3.6 * 10 for before, after in pairwise(kmh)]
    held = [sign * slope + bias for slope in slopes for _ in range(10)]
    return series(path, held, SECOND_US // 100, START_US)


# ------------------------------------------------------------------ by speed
def test_a_hard_stop_is_one_harsh_brake_with_its_peak() -> None:
    (event,) = told([speed(speeds((60, 60, 20), (60, 24, 3), (24, 24, 20)))])
    assert (event["kind"], event["rule"]) == ("harsh-brake", "harsh-brake-speed")
    assert -3_500 < event["peak"] < -3_200
    assert event["severity"] == "normal"
    assert 2 * SECOND_US <= event["end_us"] - event["start_us"] <= 5 * SECOND_US


def test_an_emergency_stop_is_severe() -> None:
    (event,) = told([speed(speeds((60, 60, 20), (60, 5, 3), (5, 5, 20)))])
    assert event["severity"] == "severe"


def test_a_gentle_stop_is_no_event() -> None:
    assert not told([speed(speeds((60, 60, 20), (60, 0, 10), (0, 0, 20)))])


def test_braking_from_walking_pace_is_no_event() -> None:
    assert not told([speed(speeds((8, 8, 20), (8, 0, 0.6), (0, 0, 20)))])


@pytest.mark.parametrize("hz", [1, 2, 10])
def test_a_dropout_of_the_speed_to_zero_is_a_glitch(hz: int) -> None:
    values: list[float] = [50.0] * (60 * hz)
    values[30 * hz : 31 * hz] = [0.0] * hz
    assert not told([speed(values, hz)])


def test_a_jump_that_no_vehicle_can_make_is_a_glitch() -> None:
    values = [50.0] * 600
    values[300:305] = [20.0] * 5
    assert not told([speed(values)])


def test_absent_speed_is_not_zero_speed() -> None:
    values: list[float | None] = [50.0] * 600
    values[300:320] = [None] * 20
    assert not told([speed(values)])


def test_no_slope_is_taken_across_a_gap() -> None:
    before = speed([60.0] * 100)
    after = speed([20.0] * 100, start_us=START_US + 15 * SECOND_US)
    assert not told([before, after])


def test_moving_off_fast_is_a_harsh_acceleration() -> None:
    (event,) = told([speed(speeds((0, 0, 20), (0, 40, 4), (40, 40, 20)))])
    assert event["kind"] == "harsh-acceleration"
    assert 2_600 < event["peak"] < 2_900


def test_two_brakings_within_a_second_are_one() -> None:
    legs = ((70, 70, 20), (70, 50, 2), (50, 50, 0.5), (50, 30, 2), (30, 30, 20))
    assert kinds([speed(speeds(*legs))]) == ["harsh-brake"]


def test_two_brakings_apart_are_two() -> None:
    legs = ((69, 69, 20), (69, 49, 2), (49, 49, 5), (49, 29, 2), (29, 29, 20))
    assert kinds([speed(speeds(*legs))]) == ["harsh-brake", "harsh-brake"]


# ------------------------------------------------------------------ by the acceleration sensor
def test_the_sensor_tells_a_brake_that_slow_speed_samples_miss() -> None:
    kmh = [*wander(120), *speeds((40, 40, 1), (40, 33.5, 0.6), (33.5, 33.5, 20))]
    groups = [
        series("Vehicle.Speed", kmh[::5], SECOND_US // 2, START_US),
        imu_of(LONGITUDINAL, kmh),
    ]
    found = told(groups)
    assert [event["kind"] for event in found] == ["harsh-brake"]
    assert not told(groups[:1])


@pytest.mark.parametrize(("path", "sign"), [(LONGITUDINAL, 1), (LATERAL, -1)])
def test_the_axis_and_its_direction_are_found_from_the_drive(path: str, sign: int) -> None:
    kmh = wander(120)
    events = Events(default_campaign())
    other = LATERAL if path == LONGITUDINAL else LONGITUDINAL
    still = series(other, [9.75] * (len(kmh) * 10), SECOND_US // 100, START_US)
    for window in windows_of([speed(kmh), imu_of(path, kmh, sign, bias=0.5), still]):
        events.feed(window)
    axis = events.motion.mounting.axis
    assert axis is not None
    assert (axis.path, axis.sign) == (path, sign)
    assert 300 <= axis.offset_mmps2 <= 700


def test_a_knock_against_the_box_is_refuted() -> None:
    kmh = wander(120) + [40.0] * 300
    sensor = imu_of(LONGITUDINAL, kmh)
    (identity, raw), *_ = sensor.series.items()
    values = list(raw)
    values[13_000:13_080] = [-60] * 80  # -7.5 m/s2 for 0.8 s, and the speed does not change
    events = Events(default_campaign())
    knocked = type(sensor)(sensor.times_us, {identity: values})
    found = [event for w in windows_of([speed(kmh), knocked]) for event in events.feed(w)]
    assert not found
    assert events.refuted == 1


def test_a_sensor_without_speed_tells_nothing() -> None:
    assert not told([imu_of(LONGITUDINAL, wander(120) + speeds((40, 0, 1), (0, 0, 20)))])


# ------------------------------------------------------------------ long events
def over_for(seconds: float) -> Group:
    """A while at 85 km/h; some four seconds of the ramps are over the limit too."""
    return speed(speeds((70, 70, 20), (70, 85, 4), (85, 85, seconds), (85, 70, 4), (70, 70, 20)))


def test_overspeed_needs_ten_seconds() -> None:
    assert not told([over_for(5)])
    (event,) = told([over_for(8)])
    assert (event["kind"], event["rule"], event["unit"]) == ("overspeed", "overspeed-day", "mm/s")
    assert event["peak"] == pytest.approx(85 / 3.6 * 1_000, abs=10)


def test_a_limit_exceeded_within_its_margin_is_no_event() -> None:
    assert not told([speed([76.0] * 600)])


def test_overspeed_far_over_the_limit_is_severe() -> None:
    (event,) = told([speed([90.0] * 600)])
    assert event["severity"] == "severe"


def test_at_night_four_fifths_of_the_limit_count() -> None:
    assert not told([speed([66.0] * 600)])
    (event,) = told([speed([66.0] * 600, start_us=NIGHT_US)])
    assert event["rule"] == "overspeed-night"


def idle(seconds: int, rpm: float = 800.0) -> list[Group]:
    return [
        series("Vehicle.OBD.EngineSpeed", [rpm] * seconds, SECOND_US, START_US),
        series("Vehicle.Speed", [0.0] * seconds, SECOND_US, START_US),
    ]


def test_five_minutes_of_idling_are_told_in_seconds() -> None:
    (event,) = told(idle(330))
    assert (event["kind"], event["unit"]) == ("idling", "s")
    assert event["peak"] == pytest.approx(330, abs=2)


def test_a_short_stop_and_a_parked_vehicle_do_not_idle() -> None:
    assert not told(idle(290))
    assert not told(idle(600, rpm=0.0))


def test_a_clock_that_is_set_back_begins_anew() -> None:
    late = speed([85.0] * 80, start_us=START_US + 3_600 * SECOND_US)
    early = speed([85.0] * 80)
    events = Events(default_campaign())
    found = [event for group in (late, early) for event in events.feed([group])]
    assert not found + events.finish()


# ------------------------------------------------------------------ restart, and the real drive
def test_state_restored_in_every_window_gives_the_same_events() -> None:
    kmh = [*wander(120), *speeds((40, 90, 20), (90, 90, 15), (90, 20, 4), (20, 20, 20))]
    groups = [speed(kmh), imu_of(LONGITUDINAL, kmh, bias=-0.4), *idle(200)[:1]]
    found: list[dict[str, Any]] = []
    state = encode(Events(default_campaign()).state())
    for window in windows_of(groups):
        events = Events(default_campaign())
        events.restore(decode(state))
        found += events.feed(window)
        state = encode(events.state())
    last = Events(default_campaign())
    last.restore(decode(state))
    assert found + last.finish() == told(groups)
    assert {"overspeed", "harsh-brake"} <= {event["kind"] for event in found}


def everything() -> list[Group]:
    """A drive with most of what can happen, on a bus that tells most of what there is."""
    kmh = [*wander(120), *speeds((40, 90, 20), (90, 90, 15), (90, 20, 4), (20, 20, 60), (20, 0, 9))]
    seconds = len(kmh) // 10
    each = range(seconds)
    way = [26.6 + second * 0.0001 for second in range(seconds)]
    course = [0.0] * 130 + [(second * 25) % 360 for second in range(seconds - 130)]
    slow = {
        "Vehicle.CurrentLocation.Latitude": way,
        "Vehicle.CurrentLocation.Longitude": [106.7] * seconds,
        "Vehicle.CurrentLocation.Heading": course,
        "Vehicle.Cabin.Door.Row1.PassengerSide.IsOpen": [
            float(s % 40 > 30) for s in range(seconds)
        ],
        "Vehicle.Cabin.Seat.Row1.DriverSide.IsBelted": [float(s > 50) for s in each],
        "Vehicle.OBD.EngineSpeed": [900.0] * seconds,
    }
    told_slowly = [series(path, values, SECOND_US, START_US) for path, values in slow.items()]
    return [speed(kmh), imu_of(LONGITUDINAL, kmh, bias=-0.4), *told_slowly]


EVERYTHING = windows_of(everything())
HEARD = [
    spec.id
    for spec in signals()
    if spec.path.startswith(("Vehicle.Speed", "Vehicle.Acc", "Vehicle.Ang", "Vehicle.Curr"))
    or any(
        part in spec.path for part in ("GNSS.Speed", "Roll", "IsOpen", "IsBelted", "EngineSpeed")
    )
    or any(part in spec.path for part in ("FuelSystem", "TractionBattery", "Traveled"))
]
EDGE = [(26_600_000, 106_700_000), (26_700_000, 106_700_000)]
FULL = msgspec.structs.replace(
    default_campaign(),
    places=Places(
        limits=[Limit("a", "for a test", 40, line=EDGE, width_m=30)],
        corridors=[Corridor("b", "for a test", EDGE, 100, 60)],
        bans=[Ban("c", "for a test", "any", line=EDGE, width_m=30)],
        fences=[Fence("d", "for a test", centre=EDGE[0], radius_m=900)],
    ),
)


@given(st.sets(st.integers(0, len(EVERYTHING) - 1)))
@settings(max_examples=25)
def test_power_that_is_cut_anywhere_changes_no_event(cuts: set[int]) -> None:
    results = []
    for restarts in (set[int](), cuts):
        events, found = Events(FULL), []
        for number, window in enumerate(EVERYTHING):
            if number in restarts:
                state = decode(encode(events.state()))
                events = Events(FULL)
                events.restore(state)
            found += events.feed(window, "00ff")
        results.append((encode(found), encode(events.state()), events.alerts()))
    assert results[0] == results[1]


ODD = [-(2**62), -1, 0, 1, 255, 2**31, 2**62]
odd_values = st.lists(
    st.one_of(st.none(), st.sampled_from(ODD), st.integers(-(2**40), 2**40)), min_size=1, max_size=8
)
odd_times = st.one_of(
    st.integers(START_US, START_US + 30 * SECOND_US),
    st.sampled_from([-5, 0, 1, 2**40, START_US - 10**15, START_US + 10**15]),
)


@st.composite
def odd_groups(draw: st.DrawFn) -> list[Group]:
    """What no sensor should send: any value of any signal at any time, in any order."""
    groups = []
    for spec in draw(st.lists(st.sampled_from(HEARD), min_size=1, max_size=12)):
        values = draw(odd_values)
        times = draw(st.lists(odd_times, min_size=len(values), max_size=len(values)))
        groups.append(Group(times, {spec: values}))
    return groups


@given(st.lists(odd_groups(), min_size=1, max_size=4), st.sampled_from([None, "00ff"]))
def test_nothing_that_a_sensor_says_raises_or_leaves_a_state_that_cannot_be_kept(
    windows: list[list[Group]], driver: str | None
) -> None:
    events, trips = Events(FULL), Trips(FULL, "box-1")
    for window in windows:
        found = events.feed(window, driver)
        trips.expire(START_US)
        trips.feed(window, found)
        assert all(event["start_us"] <= event["end_us"] for event in found)
        decode(encode([events.state(), trips.state()]), items_max=100_000)
    encode([events.finish(driver), trips.finish(), events.alerts()])


def test_every_rule_of_driving_is_a_kind_of_event_of_the_data_catalogue() -> None:
    assert set(SHAPE) - {"motion", "trip"} == set(load_catalogue().events)
    for event in told(everything()):
        assert event["unit"] == require_event(event["kind"]).unit


def test_what_may_be_told_without_consent_is_of_the_vehicle_in_the_data_catalogue() -> None:
    specs = load_catalogue().events.values()
    assert {spec.kind for spec in specs if spec.law.data_class == "V"} == VEHICLE_EVENTS


def test_that_drive_holds_events_of_every_family() -> None:
    found = {event["kind"] for event in told(everything())}
    assert found >= {"overspeed", "harsh-brake", "door-open-moving", "seat-belt"}


def test_the_state_of_an_older_version_begins_anew() -> None:
    events = Events(default_campaign())
    events.restore({"last": 5, "brake": [1] * 8})
    assert events.state() == Events(default_campaign()).state()


def test_the_recorded_drive_tells_only_what_its_speed_shows(real_data: Path) -> None:
    log = real_data / "can" / "obd_car" / "obd2_gnss_imu_600s.log"
    report = replay(LogSource(log), Decoder(load_profile()), default_campaign())
    counted = {event["kind"] for event in report["events"]}
    assert counted == {"harsh-acceleration", "overspeed"}
    assert len(report["events"]) == 7
    assert report["imu"]["path"] == LONGITUDINAL
    assert report["trips"][0]["distance_m"] == pytest.approx(11_280, rel=0.02)


def test_a_car_on_the_highway_neither_crashes_nor_rolls_nor_corners(real_data: Path) -> None:
    folder = real_data / "can" / "toyota"
    decoder = Decoder(load_profile("toyota_tnga"), [folder / "toyota_new_mc_pt_generated.dbc"])
    report = replay(LogSource(folder / "toyota_60s_bus0.log"), decoder, default_campaign())
    counted = {event["kind"] for event in report["events"]}
    assert counted == {"harsh-acceleration", "overspeed"}  # at night: 80 % of 70 km/h
    assert report["trips"][0]["distance_m"] == pytest.approx(1_025, abs=10)


def test_doors_that_cycle_on_a_standing_bus_are_no_event(real_data: Path) -> None:
    log = real_data / "can" / "ebus_j1939" / "ebus_j1939.log"
    report = replay(LogSource(log), Decoder(load_profile("fms_bus")), default_campaign())
    door = report["signals"]["Vehicle.Cabin.Door.Row1.PassengerSide.IsOpen"]
    assert (door["min"], door["max"]) == (0, 1)
    assert report["events"] == []


def test_a_drive_from_a_cold_start_tells_two_accelerations(real_data: Path) -> None:
    log = real_data / "can" / "obd_car" / "00000001-60FE3F04.MF4"
    report = replay(LogSource(log), Decoder(load_profile()), default_campaign())
    assert [event["rule"] for event in report["events"]] == [
        "harsh-acceleration-speed",
        "harsh-acceleration-imu",
    ]
    assert report["trips"][0]["moving_s"] + report["trips"][0]["idle_s"] >= 540
