"""What a vehicle does to its box: a node that babbles at full bus load, a disk that fills up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest

from edge.columns import decode_columns
from edge.ports import FrameChunk
from hardware.sim.vehicle import IMU_ID
from tests.story.world import ROOT
from tests.unit.vehicle_gateway.test_gateway import provision
from tests.unit.vehicle_gateway.yard import frames
from vehicle_gateway.record import PLAINTEXT_BYTES_MAX
from vehicle_gateway.windows import FRAMES_MAX, Windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.unit.vehicle_gateway.yard import Box, Core

DRIVE_S: Final = 25.0
LOAD_HZ: Final = 8_000
"""Frames of 8 bytes that 1 Mbit/s carries in a second, at the very most."""
SIM_S: Final = 300
DISK_BYTES: Final = 120_000


# ------------------------------------------------------------------ a node that babbles
def babbled(ids: Sequence[int]) -> Iterator[FrameChunk]:
    """The drive, and between its frames those of a node that sends as fast as the bus lets it."""
    step_us, position, next_us = 1_000_000 // LOAD_HZ, 0, 0
    for chunk in frames(DRIVE_S, 500):
        rows = list(zip(chunk.times_us, chunk.ids, chunk.payloads, strict=True))
        next_us = next_us or chunk.times_us[0]
        while next_us < chunk.times_us[-1]:
            payload = (next_us * 0x9E3779B97F4A7C15 % (1 << 64)).to_bytes(8, "big")
            rows.append((next_us, ids[next_us // step_us % len(ids)], payload))
            next_us += step_us
        rows.sort(key=lambda row: row[0])
        position += len(rows)
        times, numbers, payloads = zip(*rows, strict=True)
        yield FrameChunk(list(times), list(numbers), list(payloads), position)


def sealed(box: Box, core: Core, chunks: Iterator[FrameChunk]) -> tuple[dict[str, int], list[Any]]:
    """Drives to the end; returns the totals, and the batches as the core opens them."""
    batcher, windows = box.open(), Windows()
    for chunk in chunks:
        for window in windows.add(chunk):
            assert len(window.ids) <= FRAMES_MAX
            batcher.take(window)
    rest = windows.cut()
    if rest is not None:
        batcher.take(rest)
    batcher.finish()
    return batcher.totals, core.records(box.messages())


def values_of(records: Sequence[Any]) -> dict[int, Counter[int]]:
    """How often which value of which signal is in batches."""
    found: dict[int, Counter[int]] = {}
    for record in records:
        for group in decode_columns(record["columns"]) if record.get("columns") else ():
            for signal, values in group.series.items():
                kept = (value for value in values if value is not None)
                found.setdefault(signal, Counter()).update(kept)
    return found


def told(records: Sequence[Any]) -> list[Any]:
    """Events and trip summaries, in order."""
    return [(each.get("events", []), each.get("trip_summary")) for each in records]


def test_a_node_that_babbles_what_nobody_knows_changes_nothing_and_is_counted(
    box: Box, core: Core
) -> None:
    calm, calm_records = sealed(box, core, frames(DRIVE_S, 500))
    box.cut_power()
    box.path.unlink()
    box.consented = "driver-0"
    totals, records = sealed(box, core, babbled([0x7A0, 0x7A1, 0x18FF_0001 | 1 << 31]))

    noise = totals["frames"] - calm["frames"]
    assert noise > LOAD_HZ * (DRIVE_S - 1)
    assert totals["unknown_frames"] == calm["unknown_frames"] + noise
    assert sum(each["counts"]["frames"] for each in records) == totals["frames"]
    assert values_of(records) == values_of(calm_records)
    assert [each for each in told(records) if any(each)] == [
        each for each in told(calm_records) if any(each)
    ]


def test_a_node_that_babbles_under_a_known_id_drowns_no_other_signal(box: Box, core: Core) -> None:
    _, calm_records = sealed(box, core, frames(DRIVE_S, 500))
    box.cut_power()
    box.path.unlink()
    box.consented = "driver-0"
    totals, records = sealed(box, core, babbled([IMU_ID]))

    assert totals["frames"] > LOAD_HZ * (DRIVE_S - 1)
    assert sum(each["counts"]["frames"] for each in records) == totals["frames"]
    assert all(len(each.payload) < PLAINTEXT_BYTES_MAX for each in box.messages())
    calm, loud = values_of(calm_records), values_of(records)
    babbling = {signal for signal in calm if loud[signal].total() > 10 * calm[signal].total()}
    assert 0 < len(babbling) < len(calm) / 2
    for signal in calm.keys() - babbling:
        assert loud[signal] == calm[signal], signal


# ------------------------------------------------------------------ a disk that fills up
def run(config: Path, *options: str) -> tuple[int, str, str]:
    """Runs the gateway over a drive as a process; `options` are those of `child`."""
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "tests.soak.child", *options, "vehicle_gateway"),
            *("run", "--config", str(config), "--sim", str(SIM_S)),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_a_disk_that_fills_up_ends_the_run_and_with_room_the_next_one_goes_on(
    tmp_path: Path, core: Core, tmp_path_factory: pytest.TempPathFactory
) -> None:
    undisturbed = provision(tmp_path_factory.mktemp("undisturbed"), core)
    expected = json.loads(run(undisturbed)[1])
    config = provision(tmp_path, core)

    code, out, complaint = run(config, "--file-bytes-max", str(DISK_BYTES))
    assert (code, out) == (1, "")
    assert "disk" in complaint
    assert "Traceback" not in complaint

    code, out, _ = run(config)
    got = json.loads(out)
    assert code == 0
    for name in ("frames", "samples", "events", "batches", "unknown_frames"):
        assert got[name] == expected[name], name
