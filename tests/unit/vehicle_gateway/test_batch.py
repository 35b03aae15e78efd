"""Tests of batches: what the core reads, and that no power cut changes what is counted."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from backend_sync.telemetry.batch import read_batch
from edge.codec import decode, deflate, encode
from edge.columns import Group
from edge.errors import DeviceFault
from edge.outbox import PRIORITY_RAW, OutboxLimits
from edge.ports import FrameChunk
from tests.unit.vehicle_gateway.yard import (
    DEVICE,
    START_US,
    Box,
    Core,
    feed,
    frames,
)
from vehicle_gateway.driver import make_statement
from vehicle_gateway.record import PLAINTEXT_BYTES_MAX, Part, fitting
from vehicle_gateway.windows import FRAMES_MAX, Windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vehicle_gateway.batch import Batcher

DRIVE_S = 400.0
COMMON = {"boot": "00" * 8, "mono_us": 0, "driver": None, "vehicle": "bus-1"}


def drive(box: Box, chunk: int = 1_000) -> dict[str, int]:
    """A whole drive without interruption; returns its totals."""
    batcher = box.open()
    for _ in feed(batcher, DRIVE_S, chunk):
        pass
    batcher.finish()
    return batcher.totals


def facts(core: Core, box: Box) -> list[dict[str, Any]]:
    """What the batches say, without what depends on when they were sealed."""
    return [
        {name: value for name, value in record.items() if name not in ("boot", "mono_us")}
        for record in core.records(box.messages())
    ]


def test_the_core_reads_what_the_box_seals(box: Box, core: Core) -> None:
    totals = drive(box)
    records = core.records(box.messages())
    batches = [read_batch(deflate(encode(record))) for record in records]
    assert sum(batch.samples for batch in batches) == totals["samples"] > 0
    assert sum(batch.frames for batch in batches) == totals["frames"] > 0
    assert sum(len(batch.events) for batch in batches) == totals["events"] > 0
    assert len(batches) == totals["batches"]
    present = sum(
        len(values) - list(values).count(None)
        for batch in batches
        for group in batch.groups
        for values in group.series.values()
    )
    assert present == totals["samples"]


def test_the_drive_of_the_simulator_has_its_events_and_one_trip(box: Box, core: Core) -> None:
    drive(box)
    records = core.records(box.messages())
    kinds = sorted(event["kind"] for record in records for event in record["events"])
    assert kinds == ["harsh-acceleration", "harsh-brake", "harsh-brake", "overspeed"]
    (summary,) = [record["trip_summary"] for record in records if "trip_summary" in record]
    assert sum(summary["events"].values()) == 4
    assert summary["trip"].startswith(f"{DEVICE}-")


def test_a_window_is_ten_seconds_of_the_drive(box: Box, core: Core) -> None:
    drive(box)
    starts = [record["start_us"] for record in core.records(box.messages()) if record["columns"]]
    numbers = [start // 10_000_000 - START_US // 10_000_000 for start in starts]
    assert numbers == list(range(41))  # the last frames fall just behind the fortieth


@pytest.mark.parametrize("chunk", [7, 333, 100_000])
def test_how_frames_arrive_changes_nothing(chunk: int) -> None:
    def cut(size: int) -> list[tuple[int, int, int]]:
        windows = Windows()
        found = [each for part in frames(60.0, size) for each in windows.add(part)]
        rest = windows.cut()
        whole = [*found, rest] if rest else found
        return [(len(each.ids), each.times_us[0], each.position) for each in whole]

    assert cut(chunk) == cut(1_000)


def test_a_power_cut_after_every_commit_changes_nothing(
    box: Box, core: Core, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Box(tmp_path_factory.mktemp("whole"), core.policy)
    with other:
        expected = drive(other)
        wanted = facts(core, other)
    windows = 0
    batcher = box.open()
    while True:
        try:
            next(feed(batcher, DRIVE_S, chunk=777))
        except StopIteration:
            break
        windows += 1
        batcher = box.open()
    batcher.finish()
    assert windows >= 40
    uncounted = {"sealed_bytes"}  # a seal's length depends on its epoch's number
    assert {k: v for k, v in batcher.totals.items() if k not in uncounted} == {
        k: v for k, v in expected.items() if k not in uncounted
    }
    assert facts(core, box) == wanted


def test_a_power_cut_before_the_commit_repeats_the_window(box: Box, core: Core) -> None:
    batcher = box.open()
    progress = feed(batcher, DRIVE_S)
    next(progress)
    before = dict(batcher.totals)
    with pytest.raises(RuntimeError, match="power"):
        _cut_before_commit(box, progress)
    again = box.open()
    assert again.totals == before
    for _ in feed(again, DRIVE_S):
        pass
    again.finish()
    samples = sum(record["counts"]["samples"] for record in core.records(box.messages()))
    assert samples == again.totals["samples"]


def test_no_epoch_is_used_by_two_starts(box: Box, core: Core) -> None:
    for _ in range(3):
        next(feed(box.open(), DRIVE_S))
    evidence = core.evidence(box.messages())
    starts = [record["epoch"] for record in evidence if record["type"] == "epoch-start"]
    closes = [record["epoch"] for record in evidence if record["type"] == "epoch-close"]
    assert starts == [1, 2, 3]
    assert closes == [1, 2]


def test_an_hour_of_use_begins_a_new_epoch(box: Box, core: Core) -> None:
    batcher = box.open()
    progress = feed(batcher, DRIVE_S)
    next(progress)
    box.clock.advance(3_601)
    next(progress)
    types = [record["type"] for record in core.evidence(box.messages())]
    assert types == ["epoch-start", "epoch-close", "epoch-start"]


def test_a_full_disk_loses_nothing(box: Box, core: Core) -> None:
    batcher = box.open()
    progress = feed(batcher, DRIVE_S)
    next(progress)
    box.sink.store.execute("PRAGMA max_page_count = 1")  # SQLite then says that the disk is full
    window = next(_windows(skip=batcher.position))
    with pytest.raises(DeviceFault) as fault:
        _fill(batcher, window)
    assert fault.value.code == "disk-full"
    assert batcher.totals == _totals_on_disk(box)
    box.sink.store.execute("PRAGMA max_page_count = 1000000")
    batcher.take(window)
    counted = sum(record["counts"]["samples"] for record in core.records(box.messages()))
    assert counted == batcher.totals["samples"]


def _cut_before_commit(box: Box, progress: Iterator[None]) -> None:
    with box.sink.store.transaction():
        next(progress)
        raise RuntimeError("power")


def _fill(batcher: Batcher, window: FrameChunk) -> None:
    for _ in range(500):
        batcher.take(window)


def _totals_on_disk(box: Box) -> object:
    row = box.sink.store.row("SELECT totals FROM gateway_checkpoint")
    assert row is not None
    return decode(bytes(row["totals"]))


def _windows(skip: int) -> Iterator[FrameChunk]:
    windows = Windows()
    for part in frames(DRIVE_S, 1_000, skip):
        yield from windows.add(part)


def test_events_and_trips_outlive_raw_columns(box: Box, core: Core) -> None:
    box.limits = OutboxLimits(bytes_max=30_000)
    drive(box)
    records = core.records(box.messages())
    assert box.sink.outbox.counts()[f"dropped_{PRIORITY_RAW}"] > 0
    assert sum(len(record["events"]) for record in records) == 4
    assert any("trip_summary" in record for record in records)
    assert "gap" in {record["type"] for record in core.evidence(box.messages())}


def test_nothing_readable_lies_in_the_outbox(box: Box) -> None:
    batcher = box.open()
    box.sink.drivers.take_in(
        make_statement("marker-driver", "zh", START_US - 1, 365, withdrawn=False), box.sink.stream
    )
    box.sink.drivers.take_in(
        make_statement("marker-driver", "zh", START_US, 365, withdrawn=True), box.sink.stream
    )
    marker = b"\xde\xad\xbe\xef\xca\xfe\xf0\x0d"
    times = [START_US + place * 1_000 for place in range(1_000)]
    batcher.take(FrameChunk(times, [3] * 1_000, [marker] * 1_000, 1_000))
    box.cut_power()
    content = box.path.read_bytes()
    assert marker not in content
    assert b"bus-1" not in content
    assert b"harsh-brake" not in content


def test_a_batch_that_is_too_large_is_split_without_loss() -> None:
    noise = [hashlib.sha256(place.to_bytes(4, "big")).digest()[:5] for place in range(60_000)]
    values = [int.from_bytes(each, "big") for each in noise]
    times = [START_US + place * 1_000 for place in range(60_000)]
    groups: Sequence[Group] = [Group(times, {1: values}), Group(times[:10], {2: values[:10]})]
    part = Part(PRIORITY_RAW, START_US, "trip", groups=groups, frames=60_010)
    pieces = list(fitting(part, COMMON))
    assert len(pieces) > 2
    assert all(len(plaintext) <= PLAINTEXT_BYTES_MAX for _, plaintext in pieces)
    batches = [read_batch(plaintext) for _, plaintext in pieces]
    assert sum(batch.samples for batch in batches) == 60_010
    assert sum(batch.frames for batch in batches) == 60_010
    assert [v for b in batches for g in b.groups if 1 in g.series for v in g.series[1]] == values


def test_a_busy_bus_is_cut_before_a_message_is_too_large() -> None:
    count = 3 * FRAMES_MAX + 5
    chunk = FrameChunk([START_US] * count, [1] * count, [b"\0"] * count, count)
    windows = Windows()
    found = list(windows.add(chunk))
    assert [len(each.ids) for each in found] == [FRAMES_MAX] * 3
    assert [each.position for each in found] == [FRAMES_MAX, 2 * FRAMES_MAX, 3 * FRAMES_MAX]
    assert len(windows) == 5


def test_a_clock_that_is_set_back_cuts_a_window() -> None:
    times = [START_US, START_US + 1, START_US - 3_600_000_000]
    windows = Windows()
    (window,) = windows.add(FrameChunk(times, [1] * 3, [b""] * 3, 3))
    assert window.position == 2


def test_another_source_begins_at_nothing(box: Box) -> None:
    drive(box)
    batcher = box.open()
    assert batcher.position > 0
    batcher.resume("another drive", repeatable=True)
    assert batcher.position == 0
    assert not any(batcher.totals.values())


def test_a_live_bus_keeps_its_counts_but_skips_nothing(box: Box) -> None:
    totals = drive(box)
    batcher = box.open()
    batcher.resume("drive", repeatable=False)
    assert batcher.position == 0
    assert batcher.totals == totals
