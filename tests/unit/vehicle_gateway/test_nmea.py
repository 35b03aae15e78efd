"""Lines of satellite receivers become columns; real ones are read as a naive eye reads them."""

from __future__ import annotations

import csv
import math
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalogue import signal_by_id
from edge.codec import decode, encode
from edge.errors import LocalError
from edge.ports import IMU_LINE, NMEA_LINE, FrameChunk
from tests.unit.vehicle_gateway.test_nmea_epochs import GSA_BEIDOU, gga, rmc
from tests.unit.vehicle_gateway.test_nmea_sentences import framed
from vehicle_gateway.nmea import NmeaInterpreter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HERE = "Vehicle.CurrentLocation."
GNSS = "Vehicle.Private.GNSS."
RECEIVERS = ("bt451", "quectel-eg25-g", "quectel-l76k-nmea", "telit-he910", "unicore-um621")


def chunk_of(lines: Sequence[bytes], first_us: int = 0) -> FrameChunk:
    times = [first_us + place * 10_000 for place in range(len(lines))]
    return FrameChunk(times, [NMEA_LINE] * len(lines), lines, len(lines))


def columns_of(
    lines: Sequence[bytes], interpreter: NmeaInterpreter | None = None
) -> tuple[dict[str, list[float | None]], dict[str, int]]:
    """VSS path → values in its own unit, and what was passed over."""
    counts: Counter[str] = Counter()
    reader = interpreter or NmeaInterpreter()
    found = reader.decode(chunk_of(lines), range(len(lines)), counts)
    series: dict[str, list[float | None]] = {}
    for each in found.columns:
        for number, values in each.series.items():
            spec = signal_by_id(number)
            series[spec.path] = [
                None if value is None else value * spec.numerator / spec.denominator
                for value in values
            ]
    return series, dict(counts)


def test_an_epoch_is_one_row_of_every_signal_at_the_arrival_of_its_first_sentence() -> None:
    lines = [framed(body) for n in range(3) for body in (rmc(n), gga(n), GSA_BEIDOU)]
    found = NmeaInterpreter().decode(chunk_of(lines), range(9), Counter())
    assert [(each.places, each.times_us) for each in found.columns] == [
        ([3, 5, 8], [0, 30_000, 60_000])
    ]
    series, counts = columns_of(lines)
    assert {path: values[0] for path, values in series.items()} == {
        HERE + "Latitude": 26.578333,
        HERE + "Longitude": 106.7135,
        HERE + "Altitude": 1240.1,
        HERE + "Heading": 70.0,
        GNSS + "Speed": 4.887,
        GNSS + "FixType": 3,
        GNSS + "Satellites": 14,
        GNSS + "HDOP": 0.9,
        GNSS + "PDOP": 1.5,
        GNSS + "BeidouSatellites": 1,
        GNSS + "ClockError": -1_772_409_600,
    }
    assert not counts


def test_the_course_of_a_vehicle_that_stands_is_absent() -> None:
    bodies = [rmc(n).replace(",9.5,", f",{speed},") for n, speed in enumerate((0.02, 9.5, 0.1))]
    series, _ = columns_of([framed(body) for body in bodies])
    assert series[HERE + "Heading"] == [None, 70.0, None]


def test_a_simulated_position_is_no_fix_and_counted() -> None:
    series, counts = columns_of([framed(gga(n, 8)) for n in range(3)])
    assert set(series[GNSS + "FixType"]) == {0}
    assert counts == {"nmea-simulated": 3}


def test_it_claims_sentences_and_nothing_else() -> None:
    claims = [NmeaInterpreter().claims(each) for each in (NMEA_LINE, IMU_LINE, 1, 0x7E8)]
    assert claims == [True, False, False, False]


@pytest.mark.parametrize(
    "state", [{"open": {"at_us": "x"}}, {"view": [[1]]}, {"open": 3}, {"expected": 3}]
)
def test_a_damaged_state_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(LocalError, match="NMEA state is damaged"):
        NmeaInterpreter().restore(state)


@given(st.integers(0, 12))
def test_an_epoch_across_two_chunks_is_one_row_also_after_a_restart(cut: int) -> None:
    lines = [framed(body) for n in range(4) for body in (rmc(n), gga(n), GSA_BEIDOU)]
    first, second = NmeaInterpreter(), NmeaInterpreter()
    before, _ = columns_of(lines[:cut], first)
    second.restore(decode(encode(first.state())))
    after, _ = columns_of(lines[cut:], second)
    path = GNSS + "FixType"
    assert before.get(path, []) + after.get(path, []) == [3, 3, 3, 3]


@given(st.lists(st.binary(max_size=80)))
def test_arbitrary_lines_never_raise(lines: list[bytes]) -> None:
    columns_of(lines)


# ------------------------------------------------------------------ real receivers
def naive_fixes(lines: Sequence[bytes]) -> list[tuple[float, float, float]]:
    """(latitude, longitude, m/s) of each RMC that says A, as thirty lines of script read them."""
    found = []
    for line in lines:
        text = line.decode("latin-1").strip()
        if text[:1] != "$" or text[3:6] != "RMC":
            continue
        row = text[: text.index("*")].split(",")
        if row[2] == "A":
            place = []
            for value, half, digits in ((row[3], row[4], 2), (row[5], row[6], 3)):
                degrees = float(value[:digits]) + float(value[digits:]) / 60
                place.append(-degrees if half in "SW" else degrees)
            found.append((place[0], place[1], float(row[7]) * 1852 / 3600))
    return found


@pytest.mark.parametrize("name", RECEIVERS)
def test_a_real_receiver_is_read_as_a_naive_script_reads_it(name: str, real_data: Path) -> None:
    lines = (real_data / "gnss" / f"{name}.log").read_bytes().split(b"\n")
    series, counts = columns_of(lines)
    rows = zip(
        series[HERE + "Latitude"],
        series[HERE + "Longitude"],
        series[GNSS + "Speed"],
        series[GNSS + "FixType"],
        strict=True,
    )
    ours = [
        (north, east, speed)
        for north, east, speed, fix in rows
        if fix and north is not None and east is not None and speed is not None
    ]
    naive = naive_fixes(lines)
    assert len(naive) > 10
    assert len(naive) - len(ours) in {0, 1}  # the last second of a log may have been cut
    for one, other in zip(ours, naive, strict=False):
        assert one[2] == pytest.approx(other[2], abs=0.03)  # VTG is finer than RMC's knots
        assert one[:2] == pytest.approx(other[:2], abs=0.6e-6)
    sentences = sum(line.startswith(b"$") for line in lines)
    assert counts["nmea-no-sentence"] == len(lines) - sentences - counts.get("nmea-no-checksum", 0)
    assert not {"nmea-checksum", "nmea-field", "nmea-garbage", "nmea-repeated"} & set(counts)


def test_the_lines_of_one_receiver_that_are_no_nmea_are_foreign(real_data: Path) -> None:
    lines = (real_data / "gnss" / "unicore-um621.log").read_bytes().split(b"\n")
    _, counts = columns_of([line for line in lines if line[:3] in {b"$GY", b"$SN", b"$PD"}])
    assert counts == {"nmea-foreign": 220, "nmea-proprietary": 1}


def test_beidou_is_counted_where_the_receiver_uses_it(real_data: Path) -> None:
    most = {}
    for name in RECEIVERS:
        lines = (real_data / "gnss" / f"{name}.log").read_bytes().split(b"\n")
        series, _ = columns_of(lines)
        most[name] = max(value or 0 for value in series[GNSS + "BeidouSatellites"])
    assert (most["unicore-um621"], most["quectel-l76k-nmea"]) == (9, 3)
    assert most["bt451"] == most["telit-he910"] == 0


def test_the_track_of_a_real_car_agrees_with_its_table(real_data: Path) -> None:
    folder = real_data / "can" / "obd_car"
    series, _ = columns_of((folder / "track_derived.nmea").read_bytes().split(b"\n"))
    with (folder / "gnss_1hz.csv").open(encoding="ascii") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(series[GNSS + "FixType"]) == 2_793
    for place, row in enumerate(table):
        assert series[HERE + "Latitude"][place] == pytest.approx(float(row["lat"]), abs=2e-6)
        assert series[HERE + "Longitude"][place] == pytest.approx(float(row["lon"]), abs=2e-6)
        assert series[GNSS + "Speed"][place] == pytest.approx(float(row["speed_mps"]), abs=1e-3)
        assert bool(series[GNSS + "FixType"][place]) == (int(row["fix"]) >= 2)
        assert series[GNSS + "Satellites"][place] == int(row["sats"])
    assert length_m(series) == pytest.approx(table_length_m(table), rel=1e-4)


def length_m(series: dict[str, list[float | None]]) -> float:
    """Sum of the speeds of all epochs with a fix: one a second, so metres."""
    rows = zip(series[GNSS + "Speed"], series[GNSS + "FixType"], strict=True)
    return math.fsum(speed or 0.0 for speed, fix in rows if fix)


def table_length_m(table: Sequence[dict[str, str]]) -> float:
    return math.fsum(float(row["speed_mps"]) for row in table if row["fix"] in "23")


def test_two_epochs_never_share_a_place_in_the_chunk(real_data: Path) -> None:
    lines = (real_data / "gnss" / "quectel-l76k-nmea.log").read_bytes().split(b"\n")
    found = NmeaInterpreter().decode(chunk_of(lines), range(len(lines)), Counter())
    assert all(one < other for one, other in pairwise(found.columns[0].places))
