"""Bus to durable outbox, against decode → JSON → QoS 1, in the same run on the same machine.

Place in the flow: `dev.py bench chain [--quick]`; docs/reference/bench.md explains the figures.

* Ours: recording → decode → events, trips → columns → seal → outbox on the disk, one synced
  transaction a window. The peer is `tests.bench.ground.naive`.
* Both see the same frames in the same order; the median of several runs counts.
* Without the recording the simulated vehicle drives, and the first line says so.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edge.ports import EXTENDED_ID
from hardware.drivers.broker import BrokerFiles, start_broker
from hardware.sim.vehicle import SimSettings, SimulatedSource
from tests.bench.ground import naive
from tests.bench.ground.box import ADDRESS, DEVICE, seal_log
from tests.conftest import real_data_folder
from tests.unit.hardware.pki import Pki
from vehicle_gateway.decode import Decoder
from vehicle_gateway.mqtt import BrokerPlace
from vehicle_gateway.profile import load_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.ground.naive import Outcome

RECORDING = "can/obd_car/obd2_gnss_imu_600s.log"


def find_log(folder: Path) -> Path:
    """Returns the recording, or writes the simulated vehicle's drive to a candump log."""
    data = real_data_folder()
    if data is not None and (data / RECORDING).exists():
        print(f"log: recorded drive {RECORDING}")
        return data / RECORDING
    path = folder / "simulated.log"
    with path.open("w", encoding="ascii") as file:
        for chunk in SimulatedSource(SimSettings(seconds=600)).chunks():
            for time_us, can_id, payload in zip(
                chunk.times_us, chunk.ids, chunk.payloads, strict=True
            ):
                width = 8 if can_id & EXTENDED_ID else 3
                number = f"{can_id & ~EXTENDED_ID:0{width}X}"
                file.write(f"({time_us / 1e6:.6f}) can0 {number}#{payload.hex().upper()}\n")
    print("log: simulated drive of 600 s (the recording is absent)")
    return path


def run_naive(log: Path, frames_max: int, folder: Path, runs: int) -> list[Outcome]:
    """Runs the peer several times over one broker."""
    pki = Pki(folder)
    server, client = pki.issue("broker"), pki.issue(DEVICE)
    database = naive.load_database(load_profile().dbc)
    with start_broker(BrokerFiles(folder / "broker", pki.ca, *server)) as broker:
        print(f"broker: {broker.kind}")
        place = BrokerPlace(broker.host, broker.port, pki.ca, *client)
        return [naive.run(log, frames_max, database, place, ADDRESS.up) for _ in range(runs)]


def median(outcomes: Sequence[Outcome], of: Callable[[Outcome], float]) -> float:
    """Returns the median of a figure."""
    return statistics.median(of(each) for each in outcomes)


def report(ours: Sequence[Outcome], theirs: Sequence[Outcome]) -> dict[str, object]:
    """Prints the table and returns the last line."""
    rows = (("ours: sealed, durable", ours), ("JSON a frame, QoS 1", theirs))
    print(f"{'':24}{'frames':>9}{'frames/s':>11}{'bytes/sample':>14}")
    for name, outcomes in rows:
        speed = median(outcomes, lambda each: each.frames_per_s)
        size = median(outcomes, lambda each: each.bytes_per_sample)
        print(f"{name:24}{outcomes[0].frames:>9,}{speed:>11,.0f}{size:>14.2f}")
    speeds = [median(each, lambda one: one.frames_per_s) for each in (ours, theirs)]
    sizes = [median(each, lambda one: one.bytes_per_sample) for each in (ours, theirs)]
    return {
        "bench": "chain",
        "frames_per_s": round(speeds[0]),
        "throughput_ratio": round(speeds[0] / speeds[1], 1),
        "bytes_per_sample": round(sizes[0], 3),
        "bytes_ratio": round(sizes[1] / sizes[0], 1),
    }


def build_parser() -> argparse.ArgumentParser:
    """Builds the command line."""
    parser = argparse.ArgumentParser(prog="dev.py bench chain", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs, and a prefix for JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints."""
    arguments = build_parser().parse_args(argv)
    runs, frames_max = (3, 10_000) if arguments.quick else (7, 40_000)
    with tempfile.TemporaryDirectory(prefix="lastmile-bench-") as name:
        folder = Path(name)
        log = find_log(folder)
        ours = []
        for number in range(runs):
            place = folder / f"ours-{number}"
            place.mkdir()
            ours.append(seal_log(log, Decoder(load_profile()), place))
        theirs = run_naive(log, frames_max, folder, 3)
    print(json.dumps(report(ours, theirs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
