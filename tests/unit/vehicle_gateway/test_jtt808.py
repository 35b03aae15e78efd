"""Tests of location reports, laid out by the standard's tables, as columns and snapshots."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalogue import check_body, signal
from edge.errors import LocalError, PeerError
from edge.ports import JTT808_LINE, FrameChunk
from vehicle_gateway.decode import Decoder
from vehicle_gateway.jtt808 import JUDGEMENTS, READERS, SNAPSHOTS_MAX, JttInterpreter
from vehicle_gateway.jtt808_location import ALARMS, alarm_names, read_location, read_time
from vehicle_gateway.profile import load_profile

START_US = 1_772_411_400_000_000  # 2026-03-02 08:30:00 in Beijing
# Table 23: alarms, status, latitude, longitude, altitude, speed, direction, time.
PLACE = "01958df4 065c6d78 04d8 01f4 010e 260302083000"  # 26.578420 N 106.720632 E, 1240 m, 50 km/h
ITEMS = (
    "01 04 0001e240"  # mileage 12,345.6 km
    "02 02 01f5"  # 50.1 l
    "03 02 01f9"  # 50.5 km/h by the recorder
    "06 02 8005"  # -5 degrees in the cabin
    "25 04 00000010"  # brake light
    "2a 02 0000"
    "30 01 17"
    "31 01 0b"
)


def report(alarms: int = 0, status: int = 3, place: str = PLACE, items: str = ITEMS) -> bytes:
    return bytes.fromhex(f"{alarms:08x}{status:08x}{place}{items}")


def chunk(*bodies: bytes, start_us: int = START_US) -> FrameChunk:
    times = [start_us + 10_000_000 * place for place in range(len(bodies))]
    return FrameChunk(times, [JTT808_LINE] * len(bodies), bodies, len(bodies))


def decoded(*bodies: bytes) -> dict[str, list[int | None]]:
    (group,) = Decoder(load_profile("jtt808")).decode(chunk(*bodies)).groups
    paths = {signal(path).id: path for path in READERS}
    return {paths[number]: list(values) for number, values in group.series.items()}


def value(found: dict[str, list[int | None]], path: str) -> float:
    raw, spec = found[path][0], signal(path)
    assert raw is not None
    return raw * spec.numerator / spec.denominator


def test_a_report_becomes_signals_in_the_units_of_the_catalogue() -> None:
    found = decoded(report(status=0b10_0000_0000_0000 | 3))
    expected = {
        "Vehicle.CurrentLocation.Latitude": 26.57842,
        "Vehicle.CurrentLocation.Longitude": 106.720632,
        "Vehicle.CurrentLocation.Altitude": 1240,
        "Vehicle.CurrentLocation.Heading": 270,
        "Vehicle.Private.GNSS.Speed": 13.888,
        "Vehicle.Private.GNSS.FixType": 3,
        "Vehicle.Private.GNSS.Satellites": 11,
        "Vehicle.TraveledDistance": 12_345.6,
        "Vehicle.Powertrain.FuelSystem.AbsoluteLevel": 50.1,
        "Vehicle.Cabin.HVAC.AmbientAirTemperature": -5,
        "Vehicle.Cabin.Door.Row1.PassengerSide.IsOpen": 1,
        "Vehicle.Cabin.Door.Row2.PassengerSide.IsOpen": 0,
        "Vehicle.Private.JTT808.Ignition": 1,
        "Vehicle.Private.JTT808.VehicleSignals": 16,
        "Vehicle.Private.JTT808.SignalStrength": 23,
    }
    assert {path: value(found, path) for path in expected} == pytest.approx(expected)
    assert value(found, "Vehicle.Speed") == pytest.approx(50.5, abs=1 / 256)


def test_hemispheres_are_signs() -> None:
    location = read_location(report(status=0b1111))
    assert (location.latitude, location.longitude) == (-26_578_420, -106_720_632)


@pytest.mark.parametrize("status", [0b01, 0b10_0011])
def test_without_a_fix_or_with_secret_coordinates_there_is_no_place(status: int) -> None:
    found = decoded(report(status=status))
    assert "Vehicle.CurrentLocation.Latitude" not in found
    assert "Vehicle.Private.GNSS.Speed" not in found
    assert value(found, "Vehicle.Speed") == pytest.approx(50.5, abs=1 / 256)


def test_a_report_without_items_or_with_foreign_ones_is_read() -> None:
    bare = read_location(report(items=""))
    assert not bare.items
    foreign = read_location(report(items="64 03 aabbcc 01 02 0001 ef 00"))
    assert (foreign.items, foreign.skipped) == ({}, 3)


@pytest.mark.parametrize("items", ["01", "01 04 0000", "31 ff 0b"])
def test_an_item_that_ends_outside_refuses_the_report(items: str) -> None:
    with pytest.raises(PeerError):
        read_location(report(items=items))
    counts = Decoder(load_profile("jtt808")).decode(chunk(report(items=items))).counts
    assert counts["jtt808-body"] == 1


@pytest.mark.parametrize(
    ("bcd", "expected"),
    [
        ("260302083000", START_US),
        ("000000000000", None),
        ("260230083000", None),
        ("240229083000", 1_709_166_600_000_000),
        ("250229083000", None),
        ("261302083000", None),
        ("260302243000", None),
        ("2603020830ff", None),
    ],
)
def test_a_time_is_that_of_beijing_or_none(bcd: str, expected: int | None) -> None:
    assert read_time(bytes.fromhex(bcd)) == expected


# ---------------------------------------------------------------- alarms
def snapshots(interpreter: JttInterpreter, *alarms: int, items: str = "") -> list[dict[str, Any]]:
    bodies = [report(each, items=items) for each in alarms]
    return interpreter.decode(chunk(*bodies), range(len(bodies)), Counter()).snapshots


def test_an_alarm_is_told_when_it_comes_and_when_it_goes() -> None:
    interpreter = JttInterpreter()
    told = snapshots(interpreter, 0, 1, 1, 0x81, 0x80)
    assert [each["values"] for each in told] == [
        {"emergency": 1},
        {"power-low": 1},
        {"emergency": 0},
    ]
    assert [each["at_us"] - START_US for each in told] == [10_000_000, 30_000_000, 40_000_000]
    for each in told:
        check_body(each["kind"], {key: each[key] for key in each if key not in {"kind", "at_us"}})


def test_which_alarms_stand_survives_a_restart() -> None:
    before, after = JttInterpreter(), JttInterpreter()
    snapshots(before, 1)
    after.restore(before.state())
    assert snapshots(after, 1) == []
    with pytest.raises(LocalError):
        after.restore({"alarms": "many"})


@pytest.mark.parametrize(
    "items", ["11 05 02 00000007", "12 06 01 00000007 01", "13 07 00000007 0258 01"]
)
def test_an_alarm_of_an_area_tells_which(items: str) -> None:
    assert decoded(report(1 << 20, items=items))["Vehicle.Private.JTT808.Area"] == [7]


def test_what_a_terminal_thinks_of_the_driving_is_a_sample_and_no_snapshot() -> None:
    assert snapshots(JttInterpreter(), JUDGEMENTS) == []
    assert decoded(report(0b110))["Vehicle.Private.JTT808.Alarms"] == [0b110]
    assert signal("Vehicle.Private.JTT808.Alarms").law.data_class == "P"


def test_a_flapping_alarm_is_bounded_and_counted() -> None:
    bodies = [report(place % 2) for place in range(400)]
    found = Decoder(load_profile("jtt808")).decode(chunk(*bodies))
    assert len(found.snapshots) == SNAPSHOTS_MAX
    assert found.counts["jtt808-alarms"] == 399 - SNAPSHOTS_MAX


def test_every_alarm_bit_has_a_name() -> None:
    assert len(ALARMS) == len(set(ALARMS)) == 32
    assert alarm_names(0x8000_0001) == ["emergency", "illegal-door"]


@given(st.binary(max_size=120))
def test_reports_raise_nothing_but_our_errors(body: bytes) -> None:
    found = Decoder(load_profile("jtt808")).decode(chunk(body))
    assert found.frames == 1
    assert bool(found.groups) != bool(found.counts["jtt808-body"])
