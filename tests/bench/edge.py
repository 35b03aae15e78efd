"""What the ground costs: signed frames, sealed batches, the journal, and bytes a sample.

Place in the flow: `dev.py bench edge [--quick]`; docs/reference/bench.md explains the figures.

* Ours and the bare way take turns in one run (`tests.bench.ground.timing`); the median counts.
* The highway minute is `can/toyota` with all signals of its DBC, the drive is the OBD, GNSS and
  motion recording. Without them the simulated vehicle drives, and the first lines say so.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.columns import encode_columns
from edge.sqlite import HAS_CIPHER
from hardware.drivers.clock import SystemRandomness
from tests.bench.chain import RECORDING, find_log
from tests.bench.ground.naive import obd_dbc
from tests.bench.ground.samples import read_recording
from tests.bench.ground.spelling import (
    deflated_bytes,
    entropy_bits,
    json_bytes,
    payload_class,
    plaintexts,
    sealed_bytes,
    sparkplug_bytes,
    time_entropy_bits,
)
from tests.bench.ground.timing import KEY_BYTES, time_batch, time_journal, time_signed_frame
from tests.conftest import real_data_folder
from vehicle_gateway.mqtt import Address
from vehicle_gateway.profile import load_profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.ground.samples import Recording
    from tests.bench.ground.timing import Pair

HIGHWAY: Final = "can/toyota/toyota_60s_bus0.log"
HIGHWAY_DBC: Final = "can/toyota/toyota_new_mc_pt_generated.dbc"
GNSS_DBC: Final = "can/obd_car/canmod-gps.dbc"
FRAME_BYTES: Final = 2_048
VALUE_BYTES: Final = 8
TOPIC: Final = Address("bench", "box-1").up.encode()


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes a sample of one recording, and bits of what there is to tell."""

    ours: float
    json: float
    json_deflated: float
    sparkplug: float
    sparkplug_deflated: float
    entropy: float
    time_entropy: float
    samples_per_s: float


# ------------------------------------------------------------------ recordings
def find_recordings(folder: Path) -> list[Recording]:
    """Returns the highway minute, where it is present, and the drive."""
    service_01 = folder / "obd.dbc"
    service_01.write_text(obd_dbc(), encoding="ascii")
    data = real_data_folder()
    found = []
    if data is not None and (data / HIGHWAY).exists():
        found.append(read_recording("toyota", data / HIGHWAY, [data / HIGHWAY_DBC]))
    if data is not None and (data / RECORDING).exists():
        dbcs = [data / GNSS_DBC]
    else:
        dbcs = [*load_profile().dbc]
    return [*found, read_recording("obd", find_log(folder), [*dbcs, service_01])]


def measure(recording: Recording, rounds: int) -> Sizes:
    """Spells a recording in every way."""
    numbered = list(enumerate(recording.batches, 1))
    make, samples = payload_class(), recording.samples
    lines = [json_bytes(batch, recording.names) for _, batch in numbered]
    metrics = [sparkplug_bytes(batch, seq, make) for seq, batch in numbered]
    return Sizes(
        ours=sum(sealed_bytes(batch, seq, TOPIC) for seq, batch in numbered) / samples,
        json=sum(map(len, lines)) / samples,
        json_deflated=sum(map(deflated_bytes, lines)) / samples,
        sparkplug=sum(map(len, metrics)) / samples,
        sparkplug_deflated=sum(map(deflated_bytes, metrics)) / samples,
        entropy=entropy_bits(recording),
        time_entropy=time_entropy_bits(recording),
        samples_per_s=samples / statistics.median(_encode_s(recording) for _ in range(rounds)),
    )


def _encode_s(recording: Recording) -> float:
    """Time on the processor: there is no peer here that other work would meet alike."""
    began = time.thread_time()
    for batch in recording.batches:
        encode_columns(batch.groups, batch.start_us)
    return time.thread_time() - began


# ------------------------------------------------------------------ report
def print_pairs(pairs: Sequence[tuple[str, Pair]]) -> None:
    """Prints what takes how long."""
    print(f"\n{'':34}{'ours, us':>10}{'bare, us':>10}{'ratio':>8}")
    for name, pair in pairs:
        print(f"{name:34}{pair.ours_us:>10.1f}{pair.bare_us:>10.1f}{pair.ratio:>8.2f}")


def print_sizes(recording: Recording, sizes: Sizes) -> None:
    """Prints bytes a sample."""
    frames = f"{recording.decoded:,} of {recording.frames:,} frames decoded"
    shape = f"{recording.samples:,} samples of {len(recording.names)} signals"
    print(f"\n{recording.name}: {frames}, {shape}, {len(recording.batches)} batches")
    rows = (
        ("columns, sealed, MQTT included", sizes.ours, None),
        ("JSON, a line a frame", sizes.json, sizes.json_deflated),
        ("Sparkplug B, aliases", sizes.sparkplug, sizes.sparkplug_deflated),
    )
    print(f"{'':34}{'bytes/sample':>14}{'deflated':>10}")
    for name, plain, deflated in rows:
        print(f"{name:34}{plain:>14.3f}" + ("" if deflated is None else f"{deflated:>10.3f}"))
    values, times = sizes.entropy, sizes.time_entropy
    print(f"order-0 entropy of deltas: values {values:.3f} bits/sample, times {times:.3f} more,")
    print(f"together {(values + times) / 8:.3f} bytes/sample")
    speed = sizes.samples_per_s
    print(f"encoded: {speed:,.0f} samples/s, {speed * VALUE_BYTES / 1e6:.1f} MB/s of 64-bit values")


def last_line(pairs: Sequence[Pair], sizes: dict[str, Sizes]) -> dict[str, object]:
    """Returns the figures by name; null for a recording that is absent."""
    line: dict[str, object] = {"bench": "edge"}
    names = ("signed_frame_ratio", "batch_ratio", "journal_ratio")
    line |= {name: round(pair.ratio, 3) for name, pair in zip(names, pairs, strict=True)}
    for name in ("toyota", "obd"):
        found = sizes.get(name)
        line[f"{name}_bytes_per_sample"] = found and round(found.ours, 3)
        line[f"{name}_entropy"] = found and round(found.entropy, 3)
    return line


def build_parser() -> argparse.ArgumentParser:
    """Builds the command line."""
    parser = argparse.ArgumentParser(prog="dev.py bench edge", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints."""
    quick = build_parser().parse_args(argv).quick
    rounds = 101 if quick else 501
    syncs = 10 * rounds  # a disk's sync varies more than a processor's work
    with tempfile.TemporaryDirectory(prefix="lastmile-bench-") as name:
        folder = Path(name)
        recordings = find_recordings(folder)
        batch = max((plaintexts(each)[0] for each in recordings[0].batches), key=len)
        frame = time_signed_frame(folder, FRAME_BYTES, rounds, 10)
        sealed = time_batch(batch, rounds, 50)
        journal, size = time_journal(folder, None, syncs, 2)
        shown = [
            (f"signed frame of {FRAME_BYTES:,} bytes", frame),
            (f"unsigned batch of {len(batch):,} bytes", sealed),
            (f"journal entry of {size} bytes", journal),
        ]
        if HAS_CIPHER:
            (folder / "cipher").mkdir()
            key = SystemRandomness().token(KEY_BYTES)
            encrypted, _ = time_journal(folder / "cipher", key, syncs, 2)
            shown.append(("... encrypted at rest", encrypted))
        print_pairs(shown)
        sizes = {each.name: measure(each, 3) for each in recordings}
    for each in recordings:
        print_sizes(each, sizes[each.name])
    print(json.dumps(last_line([frame, sealed, journal], sizes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
