"""A recording is reported as a box would have told it, for programs and for people."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from hardware.drivers.can_log import LogSource
from tests.unit.vehicle_gateway.test_isotp import sent
from vehicle_gateway.__main__ import main
from vehicle_gateway.campaign import default_campaign
from vehicle_gateway.decode import Decoder
from vehicle_gateway.profile import load_profile
from vehicle_gateway.replay import bar, replay, report_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FAULTS = b"\x59\x02\xff" + bytes.fromhex("0A801108 C1008704")


def write_log(path: Path, frames: Sequence[tuple[int, bytes]]) -> Path:
    path.write_text(
        "".join(
            f"({1_700_000_000 + place / 10:.6f}) can0 {can_id:03X}#{data.hex().upper()}\n"
            for place, (can_id, data) in enumerate(frames)
        )
    )
    return path


def speed(kmh: int) -> tuple[int, bytes]:
    return 0x7E8, bytes([3, 0x41, 0x0D, kmh, 0, 0, 0, 0])


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    frames = [speed(each) for each in (10, 30, 20)]
    return write_log(
        tmp_path / "drive.log", [*frames, (0x123, b"\x01"), (0x7E8, b"\x03\x7f\x01\x12")]
    )


def report_of(log: Path, profile: str = "obd_gnss_imu") -> dict[str, Any]:
    return replay(LogSource(log), Decoder(load_profile(profile)), default_campaign())


def test_a_report_holds_what_its_page_names(drive: Path) -> None:
    report = report_of(drive)
    assert report["log"] == "drive.log"
    assert [report[name] for name in ("frames", "decoded", "samples", "unknown_frames")] == [
        5,
        3,
        3,
        1,
    ]
    assert report["signals"] == {
        "Vehicle.Speed": {"count": 3, "min": 10.0, "max": 30.0, "last": 20.0, "unit": "km/h"}
    }
    assert (report["skipped"], report["dropped"]) == ({}, {"obd-refused": 1})
    assert (report["events"], report["snapshots"], report["imu"]) == ([], [], None)
    assert set(report) >= {"events", "trips"}


def test_the_latest_value_is_that_of_the_latest_time_whoever_says_it(tmp_path: Path) -> None:
    signals = '{}: 1 A\n SG_ S : 0|8@1+ (1,0) [0|0] "" A\n'
    (tmp_path / "own.dbc").write_text(
        'VERSION ""\nBU_: A\nBO_ 1 ' + signals.format("one") + "\nBO_ 2 " + signals.format("two")
    )
    profile = tmp_path / "own.toml"
    profile.write_text(
        'title = "x"\ndbc = ["own.dbc"]\n[messages]\n'
        'one = {S = "Vehicle.Speed"}\ntwo = {S = "Vehicle.Speed"}\n'
    )
    for last, frames in ((9, [(2, b"\x07"), (1, b"\x09")]), (7, [(1, b"\x09"), (2, b"\x07")])):
        log = write_log(tmp_path / "drive.log", [(1, b"\x01"), (2, b"\x02"), *frames])
        report = report_of(log, str(profile))
        assert report["signals"]["Vehicle.Speed"]["last"] == last


def test_fault_codes_are_explained_to_people(tmp_path: Path) -> None:
    log = write_log(tmp_path / "ev.log", [(0x7EC, frame) for frame in sent(FAULTS)])
    report = report_of(log, "hyundai_ev")
    assert [each["status"] for each in report["snapshots"]] == ["stored", "pending"]
    text = report_text(report)
    assert "P0A80-11: hybrid or electric drive: circuit short to ground" in text
    assert "U0100-87: network between control units: missing message" in text


def test_progress_is_told_after_each_window(tmp_path: Path) -> None:
    log = write_log(tmp_path / "drive.log", [speed(10)] * 250)
    told: list[int] = []
    replay(LogSource(log), Decoder(load_profile()), default_campaign(), told.append)
    assert told == [100, 200, 250]


@pytest.mark.parametrize(
    ("fraction", "line"),
    [
        (None, "a.log 1,000 frames"),
        (0.0, f"a.log [{' ' * 30}]   0% 1,000 frames"),
        (0.5, f"a.log [{'#' * 15}{' ' * 15}]  50% 1,000 frames"),
        (1.0, f"a.log [{'#' * 30}] 100% 1,000 frames"),
    ],
)
def test_a_bar_shows_how_far_a_recording_was_read(fraction: float | None, line: str) -> None:
    assert bar("a.log", 1_000, fraction) == line


# ------------------------------------------------------------------ the command
def test_each_of_several_logs_is_one_line_of_json(
    drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_log(tmp_path / "other.log", [speed(50)])
    assert main(["replay", str(drive), str(other), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["log"] for line in lines] == ["drive.log", "other.log"]


def test_a_log_that_cannot_be_read_does_not_hide_the_others(
    drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = [str(tmp_path / name) for name in ("none.log", "nothing.log")]
    assert main(["replay", missing[0], str(drive), missing[1], "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["log"] == "drive.log"
    assert "none.log" in told.err
    assert "nothing.log" in told.err


def test_a_campaign_of_ones_own_gives_other_events(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_log(tmp_path / "drive.log", [speed(60)] * 600)
    assert main(["replay", str(log), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == []
    campaign = tmp_path / "own.json"
    rules = json.loads(default_rules())
    set_limit(rules, 50)
    campaign.write_text(json.dumps(rules))
    assert main(["replay", str(log), "--campaign", str(campaign), "--json"]) == 0
    (event,) = json.loads(capsys.readouterr().out)["events"]
    assert event["kind"] == "overspeed"


def default_rules() -> str:
    return (resources.files("vehicle_gateway") / "campaigns" / "default.json").read_text()


def set_limit(rules: dict[str, Any], kmh: int) -> None:
    for rule in rules["rules"].values():
        if "limit_kmh" in rule:
            rule["limit_kmh"]["value"] = kmh


def test_people_get_text(drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(drive)]) == 0
    out = capsys.readouterr().out
    assert "drive.log: 5 frames, 3 messages decoded, 3 samples, 1 frames unknown" in out
    assert "dropped: obd-refused 1" in out
    assert "events: none" in out


def test_a_recording_of_which_nothing_is_known_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_log(tmp_path / "other.log", [(0x123, b"\x01")])
    assert main(["replay", str(log)]) == 0
    assert "choose another --profile" in capsys.readouterr().out
