"""The whole gateway on two real buses, against decode → JSON → QoS 1 over the same broker.

Place in the flow: `dev.py bench gateway [--quick]`; docs/reference/bench.md explains the figures.

* Ours: recording → decode with every check → events, trips → columns → seal → outbox on the disk,
  one synced transaction a window, with every signal of the DBC. The peer is `ground.naive`.
* Memory, CPU and cold start are those of `lastmile-gateway run` as a process of its own, with the
  vehicle's own profile, connected to the broker.
* Without the recordings the simulated vehicle drives, the figures of the two buses are null, and
  the first line says so.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware.drivers.broker import BrokerFiles, start_broker
from tests.bench.chain import find_log, median
from tests.bench.ground import naive, process
from tests.bench.ground.box import ADDRESS, DEVICE, seal_log
from tests.bench.ground.everything import everything
from tests.bench.ground.obd_day import obd_day_mb
from tests.conftest import real_data_folder
from tests.unit.hardware.pki import Pki
from vehicle_gateway.decode import Decoder
from vehicle_gateway.mqtt import BrokerPlace
from vehicle_gateway.profile import load_profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardware.drivers.broker import RunningBroker
    from tests.bench.ground.naive import Outcome


@dataclass(frozen=True, slots=True)
class Bus:
    """One recorded bus below the folder of recordings.

    Attributes:
        dbc: Beside the recordings; empty where the profile brings its own.
    """

    name: str
    log: str
    profile: str
    dbc: str = ""
    is_j1939: bool = False

    def dbcs(self, data: Path) -> list[Path]:
        """Returns what both sides decode with."""
        return [data / self.dbc] if self.dbc else list(load_profile(self.profile).dbc)


BUSES = (
    Bus(
        "toyota",
        "can/toyota/toyota_60s_bus0.log",
        "toyota_tnga",
        "can/toyota/toyota_new_mc_pt_generated.dbc",
    ),
    Bus("ebus", "can/ebus_j1939/ebus_j1939.log", "fms_bus", is_j1939=True),
)


@dataclass(frozen=True, slots=True)
class Compared:
    """One bus, ours and the peer's runs."""

    ours: Sequence[Outcome]
    theirs: Sequence[Outcome]

    @property
    def ratio(self) -> float:
        """Our frames/s over the peer's."""
        speeds = [median(each, lambda one: one.frames_per_s) for each in (self.ours, self.theirs)]
        return speeds[0] / speeds[1]

    @property
    def bytes_per_sample(self) -> float:
        """Sealed bytes a sample."""
        return median(self.ours, lambda one: one.bytes_per_sample)


def compare(bus: Bus, data: Path, folder: Path, place: BrokerPlace, *, quick: bool) -> Compared:
    """Runs both in turns."""
    log, dbcs = data / bus.log, bus.dbcs(data)
    database = naive.load_database(dbcs, is_j1939=bus.is_j1939)
    ours, theirs = [], []
    with everything(bus.profile, dbcs) as profile:
        for number in range(3 if quick else 7):
            own = folder / f"{bus.name}-{number}"
            own.mkdir()
            ours.append(seal_log(log, Decoder(profile, dbcs), own))
            frames = 8_000 if quick else 30_000
            theirs.append(naive.run(log, frames, database, place, ADDRESS.up))
    return Compared(ours, theirs)


def measure_process(
    folder: Path, broker: RunningBroker, pki: Pki, log: Path, dbc: Path, *, quick: bool
) -> dict[str, float]:
    """Starts the gateway as systemd would, several times."""
    profile = BUSES[0].profile
    starts = []
    for number in range(3 if quick else 7):
        place = process.provision(folder / f"start-{number}", broker, pki, profile, dbc)
        starts.append(process.cold_start_ms(place, log))
    place = process.provision(folder / "full", broker, pki, profile, dbc)
    with process.running(place, ["--log", str(log)]) as pid:
        process.wait_for_frames(place, 50_000)
        rss_mb = process.resident_mb(pid)
    place = process.provision(folder / "real", broker, pki, profile, dbc)
    with process.running(place, ["--log", str(log), "--speed", "real"]) as pid:
        process.wait_for_frames(place, 1)  # the first window: imports are over
        share = process.cpu_share(pid, 10.0 if quick else 45.0)
    return {
        "rss_mb": round(rss_mb, 1),
        "cpu_share": round(share, 4),
        "cold_start_ms": round(statistics.median(starts)),
    }


def show(name: str, found: Compared) -> None:
    """Prints two lines of the table."""
    for who, outcomes in (("ours: sealed, durable", found.ours), ("JSON, QoS 1", found.theirs)):
        speed = median(outcomes, lambda each: each.frames_per_s)
        size = median(outcomes, lambda each: each.bytes_per_sample)
        label = f"{name} {who}"
        print(f"{label:32}{outcomes[0].frames:>9,}{speed:>11,.0f}{size:>14.3f}")


def build_parser() -> argparse.ArgumentParser:
    """Builds the command line."""
    parser = argparse.ArgumentParser(prog="dev.py bench gateway", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs, and a prefix for JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints."""
    quick = build_parser().parse_args(argv).quick
    figures: dict[str, Any] = {"bench": "gateway"}
    with tempfile.TemporaryDirectory(prefix="lastmile-bench-") as name:
        folder, data = Path(name), real_data_folder()
        log = find_log(folder)
        figures |= _against_the_broker(folder, data, quick=quick)
        figures["obd_day_mb"] = round(obd_day_mb(log), 2)
    print(json.dumps(figures))
    return 0


def _against_the_broker(folder: Path, data: Path | None, *, quick: bool) -> dict[str, Any]:
    pki = Pki(folder)
    server, client = pki.issue("broker"), pki.issue(DEVICE)
    figures: dict[str, Any] = {}
    with start_broker(BrokerFiles(folder / "broker", pki.ca, *server)) as broker:
        print(f"broker: {broker.kind}")
        place = BrokerPlace(broker.host, broker.port, pki.ca, *client)
        print(f"{'':32}{'frames':>9}{'frames/s':>11}{'bytes/sample':>14}")
        for bus in BUSES:
            found = compare(bus, data, folder, place, quick=quick) if data else None
            if found:
                show(bus.name, found)
            figures[f"{bus.name}_ratio"] = found and round(found.ratio, 1)
            figures[f"{bus.name}_bytes_per_sample"] = found and round(found.bytes_per_sample, 3)
        if data:
            paths = data / BUSES[0].log, data / BUSES[0].dbc
            figures |= measure_process(folder, broker, pki, *paths, quick=quick)
    return figures


if __name__ == "__main__":
    sys.exit(main())
