"""Distance and speed of real drives, against tables and sentences that others wrote or read.

Place in the flow: recording → replay, and the table or twenty lines of our own → the same figures.
"""

from __future__ import annotations

import csv
import datetime as dt
from functools import reduce
from itertools import pairwise
from operator import xor
from typing import TYPE_CHECKING, Any

import pytest

from edge.catalogue import signal
from hardware.drivers.can_log import LogSource
from vehicle_gateway.campaign import default_campaign
from vehicle_gateway.decode import Decoder
from vehicle_gateway.profile import load_profile
from vehicle_gateway.replay import replay

if TYPE_CHECKING:
    from pathlib import Path

CAR = "can/obd_car"
SPEED = "Vehicle.Private.GNSS.Speed"
LATITUDE = "Vehicle.CurrentLocation.Latitude"
LONGITUDE = "Vehicle.CurrentLocation.Longitude"
RECEIVERS = ["bt451", "quectel-eg25-g", "quectel-l76k-nmea", "telit-he910", "unicore-um621"]
Row = dict[str, float]


def table(folder: Path) -> list[Row]:
    """The rows that somebody else decoded of the same frames."""
    with (folder / CAR / "gnss_1hz.csv").open(encoding="ascii") as file:
        return [{name: float(text) for name, text in row.items()} for row in csv.DictReader(file)]


def columns(log: Path) -> dict[str, dict[int, int]]:
    """VSS path → time → raw value, where there is one."""
    decoder = Decoder(load_profile())
    ids = {signal(path).id: path for path in (SPEED, LATITUDE, LONGITUDE)}
    found: dict[str, dict[int, int]] = {path: {} for path in ids.values()}
    for chunk in LogSource(log).chunks():
        for group in decoder.decode(chunk).groups:
            for key in ids.keys() & group.series.keys():
                for time, raw in zip(group.times_us, group.series[key], strict=True):
                    if raw is not None:
                        found[ids[key]][time] = raw
    return found


def report_of(log: Path) -> dict[str, Any]:
    return replay(LogSource(log), Decoder(load_profile()), default_campaign())


def metres(rows: list[Row]) -> float:
    """Integrates the speed of neighbouring rows, at most ten seconds apart."""
    return sum(
        (one["speed_mps"] + two["speed_mps"]) / 2 * (two["t_unix"] - one["t_unix"])
        for one, two in pairwise(rows)
        if 0 < two["t_unix"] - one["t_unix"] <= 10
    )


# ------------------------------------------------------------------ the module on the car's bus
def same_drive(ours: list[int], rows: list[Row]) -> list[Row]:
    """The rows of the table that hold the same speeds, mm/s, one after the other.

    The table has the receiver's time and the frames the logger's, which is five seconds ahead.
    """
    speeds = [round(row["speed_mps"] * 1_000) for row in rows]
    (start,) = (at for at in range(len(rows)) if speeds[at : at + 20] == ours[:20])
    return rows[start : start + len(ours)]


def test_speeds_and_places_of_the_module_are_those_of_the_table(real_data: Path) -> None:
    ours = columns(real_data / CAR / "obd2_gnss_imu_600s.log")
    speeds = list(ours[SPEED].values())
    rows = same_drive(speeds, table(real_data))
    assert speeds == [round(row["speed_mps"] * 1_000) for row in rows]
    for path, name in ((LATITUDE, "lat"), (LONGITUDE, "lon")):
        assert list(ours[path].values()) == [round(row[name] * 1e6) for row in rows]
    assert len(rows) == 571


def test_distance_and_top_speed_of_a_drive_are_those_of_the_table(real_data: Path) -> None:
    log = real_data / CAR / "obd2_gnss_imu_600s.log"
    report = report_of(log)
    (trip,) = report["trips"]
    rows = same_drive(list(columns(log)[SPEED].values()), table(real_data))
    assert trip["duration_s"] == pytest.approx(rows[-1]["t_unix"] - rows[0]["t_unix"], abs=3)
    # The car's own speed is what is integrated; it reads a little more than the satellites say.
    assert trip["distance_m"] == pytest.approx(metres(rows), rel=0.01)
    top = max(row["speed_mps"] for row in rows)
    assert report["signals"][SPEED]["max"] == pytest.approx(top, abs=1e-6)
    assert report["signals"]["Vehicle.Speed"]["max"] == pytest.approx(top * 3.6, abs=1)


# ------------------------------------------------------------------ sentences
def sentences(log: Path) -> list[list[str]]:
    """The whole sentences of a log whose checksum is right, as fields."""
    found = []
    for line in log.read_bytes().split(b"\n"):
        body, star, told = line.strip().partition(b"*")
        is_one = body[:1] == b"$" and star and told[:2].isalnum()
        if is_one and reduce(xor, body[1:], 0) == int(told[:2], 16):
            found.append(body[1:].decode("ascii").split(","))
    return found


def degrees(text: str, side: str) -> float:
    point = text.index(".") - 2
    value = int(text[:point]) + float(text[point:]) / 60
    return -value if side in "SW" else value


def fixes(log: Path) -> dict[int, tuple[float, float, float]]:
    """Time → latitude, longitude and m/s of each RMC that says its position is valid."""
    found = {}
    for fields in sentences(log):
        if fields[0][2:] == "RMC" and fields[2] == "A" and fields[3] and fields[7]:
            text = fields[9] + fields[1].ljust(10, "0" if "." in fields[1] else ".")[:9]
            time = dt.datetime.strptime(text[:12], "%d%m%y%H%M%S").replace(tzinfo=dt.UTC)
            time_us = int(time.timestamp()) * 1_000_000
            time_us += round(float("0." + (fields[1].partition(".")[2] or "0")) * 1e6)
            place = degrees(fields[3], fields[4]), degrees(fields[5], fields[6])
            found[time_us] = (*place, float(fields[7]) * 1852 / 3600)
    return found


@pytest.mark.parametrize("name", RECEIVERS)
def test_places_and_speeds_of_a_receiver_are_those_of_its_sentences(
    name: str, real_data: Path
) -> None:
    log = real_data / "gnss" / f"{name}.log"
    ours, theirs = columns(log), fixes(log)
    assert set(ours[LATITUDE]) <= set(theirs)
    for time, raw in ours[LATITUDE].items():
        latitude, longitude, mps = theirs[time]
        assert raw / 1e6 == pytest.approx(latitude, abs=1.1e-6)
        assert ours[LONGITUDE][time] / 1e6 == pytest.approx(longitude, abs=1.1e-6)
        if time in ours[SPEED]:
            # RMC has hundredths of a knot, VTG of a km/h: both are within a hundredth of a m/s.
            assert ours[SPEED][time] / 1e3 == pytest.approx(mps, abs=0.011)
    # The gate takes the weak and the impossible out, and says so; it never takes most of a log.
    assert len(ours[LATITUDE]) >= len(theirs) * 0.5
    dropped = report_of(log)["dropped"]
    missing = len(theirs) - len(ours[LATITUDE])
    assert missing <= sum(count for reason, count in dropped.items() if "gnss" in reason) + 5


def test_the_track_of_a_receiver_is_that_of_the_table(real_data: Path) -> None:
    rows = table(real_data)
    log = real_data / CAR / "track_derived.nmea"
    ours = columns(log)
    matched = 0
    for row in rows:
        # Sentences have hundredths of a second, the rest is cut off.
        time = int(row["t_unix"] * 100 + 1e-3) * 10_000
        if time in ours[LATITUDE]:
            matched += 1
            assert ours[LATITUDE][time] / 1e6 == pytest.approx(row["lat"], abs=2e-6)
            assert ours[LONGITUDE][time] / 1e6 == pytest.approx(row["lon"], abs=2e-6)
            assert ours[SPEED][time] / 1e3 == pytest.approx(row["speed_mps"], abs=0.01)
    assert matched == len(ours[LATITUDE])
    assert matched >= sum(row["fix"] >= 2 for row in rows) * 0.99


def test_the_distance_of_the_track_is_that_of_the_table(real_data: Path) -> None:
    rows = table(real_data)
    trips = report_of(real_data / CAR / "track_derived.nmea")["trips"]
    assert len(trips) == 4
    for trip in trips:
        start, end = trip["start_us"] / 1e6, trip["end_us"] / 1e6
        own = [row for row in rows if start <= row["t_unix"] <= end and row["fix"] >= 2]
        assert trip["distance_m"] == pytest.approx(metres(own), rel=0.005)
        top = max(row["speed_mps"] for row in own)
        assert trip["speed_mmps_max"] == pytest.approx(top * 1000, abs=10)
