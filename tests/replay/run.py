"""Replays real recordings and compares what comes out with what came out before.

Place in the flow: `dev.py replay` and `test_replay.py`; recording → can_log → decode → summary.

* A recording is read where it lies (`tests.conftest`), its summary is a JSON in `expected/`.
* A difference is printed line by line and ends with 1. `--update` writes the summaries anew, so
  that a change of results stands in a commit where somebody reads it.
* Sums are over raw integers of the data catalogue: one sample that differs is seen.
* Events and trips are told by the built-in rules, as `lastmile-gateway replay` does.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.catalogue import signal_by_id
from hardware.drivers.can_log import LogSource
from tests.conftest import NO_RECORDINGS, real_data_folder
from vehicle_gateway.campaign import default_campaign
from vehicle_gateway.decode import Decoder
from vehicle_gateway.profile import DEFAULT, load_profile
from vehicle_gateway.replay import replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.columns import Group

EXPECTED = Path(__file__).resolve().parent / "expected"


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording below the folder of recordings.

    Attributes:
        name: Of its summary.
        dbcs: Files that are read beside the profile's own.
    """

    name: str
    log: str
    profile: str = DEFAULT
    dbcs: tuple[str, ...] = ()


RECORDINGS = (
    Recording("obd_car", "can/obd_car/obd2_gnss_imu_600s.log"),
    Recording(
        "obd_car_vendor_dbc",
        "can/obd_car/obd2_gnss_imu_600s.log",
        dbcs=("can/obd_car/canmod-gps.dbc",),
    ),
    Recording("obd_car_cold_start", "can/obd_car/00000001-60FE3F04.MF4"),
    Recording(
        "toyota",
        "can/toyota/toyota_60s_bus0.log",
        "toyota_tnga",
        ("can/toyota/toyota_new_mc_pt_generated.dbc",),
    ),
    Recording(
        "ebus",
        "can/ebus_j1939/ebus_j1939.log",
        dbcs=("can/ebus_j1939/CSS-Electronics-SAE-J1939-DEMO.dbc",),
    ),
    Recording("ebus_fms", "can/ebus_j1939/ebus_j1939.log", "fms_bus"),
    Recording("j1939_tp", "can/uds_tp/j1939_tp.MF4", "fms_bus"),
    Recording("uds_ev", "can/uds_tp/uds_ev.MF4", "hyundai_ev"),
    Recording("nmea2000", "can/uds_tp/nmea2000.MF4", "nmea2000"),
    Recording("gnss_bt451", "gnss/bt451.log"),
    Recording("gnss_eg25", "gnss/quectel-eg25-g.log"),
    Recording("gnss_l76k", "gnss/quectel-l76k-nmea.log"),
    Recording("gnss_he910", "gnss/telit-he910.log"),
    Recording("gnss_um621", "gnss/unicore-um621.log"),
    Recording("gnss_track", "can/obd_car/track_derived.nmea"),
    Recording("ebus_asc", "can/ebus_j1939/ebus_20s.asc"),
    Recording("ebus_blf", "can/ebus_j1939/ebus_j1939.blf"),
)


class _Signal:
    """Running summary of one signal."""

    def __init__(self) -> None:
        self.samples = self.absent = self.sum = 0
        self.range: tuple[int, int] | None = None

    def add(self, values: Sequence[int | None]) -> None:
        present = [value for value in values if value is not None]
        self.absent += len(values) - len(present)
        self.samples += len(present)
        self.sum += sum(present)
        if present:
            known = self.range or (present[0], present[0])
            self.range = (min(*known, *present), max(*known, *present))

    def as_dict(self) -> dict[str, Any]:
        ends = {} if self.range is None else {"min": self.range[0], "max": self.range[1]}
        return {"samples": self.samples, "absent": self.absent, "sum": self.sum, **ends}


def summarise(recording: Recording, folder: Path) -> dict[str, Any]:
    """Replays a recording and says what came out."""
    source, decoder = LogSource(folder / recording.log), decoder_of(recording, folder)
    frames = unknown = 0
    counts: Counter[str] = Counter()
    signals: dict[str, _Signal] = {}
    times: list[int] = []
    for chunk in source.chunks():
        decoded = decoder.decode(chunk)
        frames += decoded.frames
        unknown += decoded.unknown_frames
        counts.update(decoded.counts)
        times = [*times[:1], chunk.times_us[0], chunk.times_us[-1]]
        for group in decoded.groups:
            _add(signals, group)
    return {
        "recording": recording.log,
        "profile": recording.profile,
        "frames": frames,
        "unknown_frames": unknown,
        "skipped": dict(source.skipped),
        "counts": dict(sorted(counts.items())),
        "first_us": times[0],
        "last_us": times[-1],
        "signals": {path: signals[path].as_dict() for path in sorted(signals)},
        "state": json.loads(json.dumps(decoder.state(), default=bytes.hex)),
        **told(recording, folder),
    }


def decoder_of(recording: Recording, folder: Path) -> Decoder:
    """Returns a decoder that has seen nothing."""
    return Decoder(load_profile(recording.profile), [folder / dbc for dbc in recording.dbcs])


def told(recording: Recording, folder: Path) -> dict[str, Any]:
    """Returns what a box would tell of a recording beside its signals, as `replay` reports it."""
    source = LogSource(folder / recording.log)
    report = replay(source, decoder_of(recording, folder), default_campaign())
    return {name: report[name] for name in ("decoded", "events", "trips", "snapshots", "imu")}


def _add(signals: dict[str, _Signal], group: Group) -> None:
    for signal_id, values in group.series.items():
        signals.setdefault(signal_by_id(signal_id).path, _Signal()).add(values)


def expected_text(recording: Recording) -> str:
    """Returns the recorded summary, or nothing."""
    path = EXPECTED / f"{recording.name}.json"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def summary_text(recording: Recording, folder: Path) -> str:
    """Returns the summary as the text that stands in `expected/`."""
    return json.dumps(summarise(recording, folder), indent=1, ensure_ascii=False) + "\n"


def compare(recording: Recording, folder: Path) -> list[str]:
    """Returns the lines that differ, none where all is as before."""
    before, now = expected_text(recording), summary_text(recording, folder)
    names = (f"expected/{recording.name}.json", "now")
    return list(difflib.unified_diff(before.splitlines(), now.splitlines(), *names, lineterm=""))


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of `dev.py replay`."""
    parser = argparse.ArgumentParser(
        prog="dev.py replay", description="Replay real recordings and compare the results."
    )
    parser.add_argument("--update", action="store_true", help="write the results as expected")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Replays all recordings; 0 as before, 1 different, 2 no recordings."""
    arguments = build_parser().parse_args(argv)
    folder = real_data_folder()
    if folder is None:
        print(NO_RECORDINGS, file=sys.stderr)
        return 2
    different = 0
    for recording in RECORDINGS:
        if arguments.update:
            path = EXPECTED / f"{recording.name}.json"
            path.write_text(summary_text(recording, folder), encoding="utf-8")
            print(f"{recording.name}: written")
            continue
        lines = compare(recording, folder)
        different += bool(lines)
        print("\n".join([f"{recording.name}: {'different' if lines else 'as before'}", *lines]))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
