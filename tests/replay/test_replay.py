"""Real recordings give what they gave before, and what independent readers say of them."""

from __future__ import annotations

import csv
from itertools import islice
from typing import TYPE_CHECKING

import can
import pytest

from edge.catalogue import signal
from edge.ports import EXTENDED_ID
from hardware.drivers.can_log import LogSource
from tests.replay import run
from vehicle_gateway.decode import Decoder
from vehicle_gateway.gnss import LATITUDE, LONGITUDE
from vehicle_gateway.profile import load_profile

if TYPE_CHECKING:
    from pathlib import Path

Frames = list[tuple[int, int, bytes]]


def read(path: Path) -> Frames:
    return [
        frame
        for chunk in LogSource(path).chunks()
        for frame in zip(chunk.times_us, chunk.ids, chunk.payloads, strict=True)
    ]


@pytest.mark.parametrize("recording", run.RECORDINGS, ids=lambda recording: recording.name)
def test_a_recording_gives_what_it_gave_before(recording: run.Recording, real_data: Path) -> None:
    assert run.compare(recording, real_data) == []


def test_a_difference_is_printed_and_ends_with_1(
    real_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del real_data  # it only has to be there
    monkeypatch.setattr(run, "EXPECTED", tmp_path)
    monkeypatch.setattr(run, "RECORDINGS", run.RECORDINGS[:1])
    assert run.main(["--update"]) == 0
    assert run.main([]) == 0
    path = tmp_path / "obd_car.json"
    path.write_text(path.read_text().replace('"frames": 73812', '"frames": 73811'))
    capsys.readouterr()
    assert run.main([]) == 1
    assert '- "frames": 73811,\n+ "frames": 73812,' in capsys.readouterr().out


def test_our_layout_of_the_module_decodes_as_the_makers(real_data: Path) -> None:
    ours, vendors = (run.summarise(recording, real_data) for recording in run.RECORDINGS[:2])
    assert ours == vendors


# ------------------------------------------------------------------ other formats
def test_the_blf_of_the_bus_holds_the_frames_of_its_log(real_data: Path) -> None:
    folder = real_data / "can" / "ebus_j1939"
    assert read(folder / "ebus_j1939.blf") == read(folder / "ebus_j1939.log")


def test_the_asc_of_the_bus_holds_the_frames_of_its_log(real_data: Path) -> None:
    folder = real_data / "can" / "ebus_j1939"
    converted = read(folder / "ebus_20s.asc")
    original = read(folder / "ebus_j1939.log")[: len(converted)]
    assert [frame[1:] for frame in converted] == [frame[1:] for frame in original]
    # The date line of an ASC has milliseconds, the log microseconds.
    assert (
        max(abs(one[0] - other[0]) for one, other in zip(converted, original, strict=True)) < 1_000
    )


@pytest.mark.parametrize("suffix", ["asc", "blf", "mf4"])
def test_a_conversion_of_the_bus_holds_the_same_frames(
    suffix: str, real_data: Path, tmp_path: Path
) -> None:
    frames = read(real_data / "can" / "ebus_j1939" / "ebus_j1939.log")[:2_000]
    path = tmp_path / f"bus.{suffix}"
    with can.Logger(path) as writer:
        for time_us, can_id, payload in frames:
            writer(
                can.Message(
                    timestamp=time_us / 1_000_000,
                    arbitration_id=can_id & ~EXTENDED_ID,
                    is_extended_id=bool(can_id & EXTENDED_ID),
                    data=payload,
                )
            )
    converted = read(path)
    assert [frame[1:] for frame in converted] == [frame[1:] for frame in frames]
    assert max(abs(one[0] - other[0]) for one, other in zip(converted, frames, strict=True)) < 1_000


# ------------------------------------------------------------------ against what others decoded
def test_positions_are_those_of_the_track_and_none_without_a_fix(real_data: Path) -> None:
    folder = real_data / "can" / "obd_car"
    decoder = Decoder(load_profile())
    places: list[tuple[int | None, int | None]] = []
    for chunk in LogSource(folder / "00000001-60FE3F04.MF4").chunks():
        for group in decoder.decode(chunk).groups:
            if signal(LATITUDE).id in group.series:
                pair = (group.series[signal(path).id] for path in (LATITUDE, LONGITUDE))
                places += zip(*pair, strict=True)
    with (folder / "gnss_1hz.csv").open(encoding="ascii") as file:
        rows = list(islice(csv.DictReader(file), len(places)))
    assert any(row["fix"] == "0" for row in rows)
    for place, row in zip(places, rows, strict=True):
        if int(row["fix"]) < 2:
            assert place == (None, None)
        elif place != (None, None):
            truth = (round(float(row["lat"]) * 1e6), round(float(row["lon"]) * 1e6))
            assert place == truth
    assert sum(place != (None, None) for place in places) > 350


def test_speed_of_the_highway_is_what_its_receiver_measured(real_data: Path) -> None:
    folder = real_data / "can" / "toyota"
    summary = run.summarise(next(r for r in run.RECORDINGS if r.name == "toyota"), real_data)
    speed = summary["signals"]["Vehicle.Speed"]
    with (folder / "gnss_ublox_10hz.csv").open(encoding="ascii") as file:
        measured = [float(row["speed_mps"]) * 3.6 for row in csv.DictReader(file)]
    assert abs(speed["sum"] / speed["samples"] / 256 - sum(measured) / len(measured)) < 1.5
    assert abs(speed["max"] / 256 - max(measured)) < 2
