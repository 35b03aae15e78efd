"""Claims about the lake: the same rows whatever order, repetition or crash came between."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend_sync.telemetry import lake as lake_module
from backend_sync.telemetry.batch import SAMPLES
from backend_sync.telemetry.features import SpeedSignal, driving_features, features_of
from backend_sync.telemetry.lake import day_of, flush, open_lake
from backend_sync.telemetry.report import count_lake, totals
from backend_sync.telemetry.store import Stored, take_in
from edge.catalogue import signal
from edge.codec import deflate, encode
from edge.columns import Group, encode_columns
from tests.unit.backend_sync.telemetry.box import ORG, SPEED, START_US, Box, Core, plaintext

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Connection = psycopg.Connection[Any]
    Message = tuple[str, bytes]

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
DAY_US = 86_400_000_000
TIMES = {
    "samples": "time_us",
    "events": "start_us",
    "trips": "start_us",
    "snapshots": "at_us",
    "health": "at_us",
}


def store(connection: Connection, core: Core, messages: Sequence[Message]) -> list[Stored]:
    return take_in(connection, core.ingest(), ORG, messages, START_US + DAY_US).stored


def rows(lake: Path, kind: str = "samples") -> list[dict[str, Any]]:
    tables = [pq.read_table(path) for path in sorted(lake.glob(f"{kind}/day=*/*.parquet"))]
    if not tables:
        return []
    order = ["device", "epoch", "seq", TIMES[kind]]
    found: list[dict[str, Any]] = (
        pa.concat_tables(tables).sort_by([(name, "ascending") for name in order]).to_pylist()
    )
    return found


def empty(connection: Connection) -> None:
    connection.execute(
        "TRUNCATE telemetry_streams, telemetry_messages, telemetry_gaps, telemetry_consents,"
        " telemetry_counts, telemetry_files, telemetry_flushes"
    )


def test_a_batch_becomes_rows_in_long_form(
    connection: Connection, core: Core, box: Box, tmp_path: Path
) -> None:
    store(connection, core, box.drive(2))
    assert flush(connection, core.ring(), tmp_path) == 2
    found = rows(tmp_path)
    assert len(found) == 18
    spec = signal(SPEED)
    assert found[0] == {
        "device": "box-1",
        "vehicle": "bus-1",
        "driver": "driver-1",
        "trip": "trip-1",
        "signal": spec.id,
        "path": SPEED,
        "time_us": START_US + 10_000_000,
        "raw": 36 * spec.denominator // spec.numerator,
        "value": 36.0,
        "epoch": 1,
        "seq": 1,
        "known_us": START_US + DAY_US,
    }
    assert [event["kind"] for event in rows(tmp_path, "events")] == ["harsh-brake"] * 2
    report = totals(connection)
    assert (report["frames"], report["samples"], report["events"]) == (200, 18, 2)
    assert report["unflushed"] == 0


def test_a_flush_with_nothing_to_do_writes_nothing(
    connection: Connection, core: Core, box: Box, tmp_path: Path
) -> None:
    store(connection, core, box.drive(1))
    flush(connection, core.ring(), tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert flush(connection, core.ring(), tmp_path) == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_files_are_partitioned_by_the_day_of_the_batch(
    connection: Connection, core: Core, box: Box, tmp_path: Path
) -> None:
    tomorrow = plaintext(1, start_us=START_US + DAY_US)
    start = box.start()
    store(connection, core, [start, box.batch(1), box.batch(2, tomorrow)])
    flush(connection, core.ring(), tmp_path)
    days = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert days == ["day=2023-11-14", "day=2023-11-15"]
    assert (day_of(0), day_of(DAY_US - 1), day_of(DAY_US)) == (
        "1970-01-01",
        "1970-01-01",
        "1970-01-02",
    )


def test_without_consent_no_driver_reaches_the_lake(
    connection: Connection, core: Core, box: Box, tmp_path: Path
) -> None:
    store(connection, core, [box.start(), box.batch(1, plaintext(1, driver=None))])
    flush(connection, core.ring(), tmp_path)
    assert {row["driver"] for row in rows(tmp_path) + rows(tmp_path, "events")} == {None}


def test_a_trip_summary_becomes_one_row(
    connection: Connection, core: Core, box: Box, tmp_path: Path
) -> None:
    summary = {"distance_m": 1200, "end_us": START_US}
    store(connection, core, [box.start(), box.batch(1, plaintext(1, trip_summary=summary))])
    flush(connection, core.ring(), tmp_path)
    (row,) = rows(tmp_path, "trips")
    assert row["summary"] == f'{{"distance_m": 1200, "end_us": {START_US}}}'


EVENT = {
    "kind": "collision",
    "start_us": START_US,
    "end_us": START_US,
    "peak": 9_900,
    "unit": "mm/s2",
}
DTC = {
    "kind": "dtc",
    "at_us": START_US,
    "system": "powertrain",
    "ecu": "7EC",
    "standard": "uds",
    "status": "stored",
    "codes": ["P0A80-00"],
    "lamps": ["mil"],
}


def test_snapshots_and_health_have_tables_of_their_own(
    connection: Connection, core: Core, box: Box, tmp_path: Path
) -> None:
    told = plaintext(1, snapshots=[DTC], health={"queue": 3, "version": "0.1"})
    store(connection, core, [box.start(), box.batch(1, told)])
    flush(connection, core.ring(), tmp_path)
    (row,) = rows(tmp_path, "snapshots")
    assert (row["kind"], row["at_us"], row["vehicle"]) == ("dtc", START_US, "bus-1")
    assert json.loads(row["body"]) == {
        name: value for name, value in DTC.items() if name not in {"kind", "at_us"}
    }
    health = [(row["name"], row["number"], row["text"]) for row in rows(tmp_path, "health")]
    assert health == [("queue", 3, None), ("version", None, "0.1")]
    counted = count_lake(tmp_path)
    assert (counted["snapshots"], counted["health"]) == (1, 2)


def unknown_signal() -> bytes:
    return encode_columns([Group([START_US], {30_000: [1]})], START_US)


@pytest.mark.parametrize(
    "poison",
    [
        b"not deflate",
        deflate(b"not cbor"),
        deflate(encode({"v": 2})),
        plaintext(2, columns=b"\xff\xff"),
        plaintext(2, columns=unknown_signal()),
        plaintext(2, events=[{"kind": "x"}]),
        plaintext(2, events=[{**EVENT, "kind": "yawning"}]),
        plaintext(2, events=[{**EVENT, "unit": "km/h"}]),
        plaintext(2, trip_summary={"distance_m": 1, "passengers": 31}),
        plaintext(2, trip_summary={7: 1, "distance_m": 1}),
        plaintext(2, vehicle=5),
        plaintext(2, start_us=-1),
        plaintext(2, counts=None),
        plaintext(2, snapshots={}),
        plaintext(2, snapshots=[1]),
        plaintext(2, snapshots=[DTC] * 1_001),
        plaintext(2, snapshots=[{"kind": "receipt-copy", "at_us": START_US, "of": "1"}]),
        plaintext(2, snapshots=[{**DTC, "vin": "LVSHCAMB1CE054249"}]),
        plaintext(2, snapshots=[{**DTC, 1: 2}]),
        plaintext(2, snapshots=[{**DTC, "at_us": 2**62}]),
        plaintext(2, snapshots=[{**DTC, "codes": ["P0A80"] * 257}]),
        plaintext(2, snapshots=[{**DTC, "codes": [["P0A80"]]}]),
        plaintext(2, snapshots=[{**DTC, "codes": {"P0A80": b"x"}}]),
        plaintext(2, snapshots=[{**DTC, "codes": "x" * 201}]),
        plaintext(2, snapshots=[{**DTC, "codes": True}]),
        plaintext(2, health=[1]),
        plaintext(2, health={"queue": None}),
        plaintext(2, health={1: 1}),
        plaintext(2, health={str(number): number for number in range(65)}),
    ],
)
def test_a_batch_that_breaks_a_rule_is_quarantined_alone(
    connection: Connection, core: Core, box: Box, tmp_path: Path, poison: bytes
) -> None:
    start = box.start()
    messages = [start, box.batch(1), box.batch(2, poison), box.batch(3)]
    (stored,) = store(connection, core, messages)
    assert stored.seq == 3
    flush(connection, core.ring(), tmp_path)
    assert {row["seq"] for row in rows(tmp_path)} == {1, 3}
    report = totals(connection)
    assert (report["quarantined"], report["unflushed"], report["samples"]) == (1, 0, 18)
    assert flush(connection, core.ring(), tmp_path) == 0


class Disturbed:
    """Fails the n-th call, as a disk or a power cut would, and works before and after."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, descriptor: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(5, "injected")
        REAL_FSYNC(descriptor)


REAL_FSYNC = os.fsync


@pytest.mark.parametrize("at", range(1, 9))
def test_a_crash_between_any_two_steps_of_a_flush_neither_loses_nor_doubles(
    connection: Connection,
    core: Core,
    box: Box,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
) -> None:
    tomorrow = plaintext(9, start_us=START_US + DAY_US)
    store(connection, core, [box.start(), box.batch(1), box.batch(2, tomorrow)])
    monkeypatch.setattr(os, "fsync", Disturbed(at))
    with pytest.raises(OSError, match="injected"):
        flush(connection, core.ring(), tmp_path)
    flush(connection, core.ring(), tmp_path)
    assert [row["seq"] for row in rows(tmp_path)] == [1] * 9 + [2] * 9
    assert len(rows(tmp_path, "events")) == 2
    counted = count_lake(tmp_path)
    assert (counted["samples"], counted["events"], counted["double"]) == (18, 2, 0)
    assert totals(connection)["samples"] == 18


def test_a_crash_after_the_files_and_before_the_manifest_repeats_the_same_files(
    connection: Connection, core: Core, box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise OSError(5, "injected")

    store(connection, core, box.drive(2))
    with monkeypatch.context() as patch:
        patch.setattr(lake_module, "_finish", crash)
        with pytest.raises(OSError, match="injected"):
            flush(connection, core.ring(), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    assert before
    box.epoch = 2
    store(connection, core, box.drive(1))
    flush(connection, core.ring(), tmp_path)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    assert before.items() <= after.items()
    assert count_lake(tmp_path)["samples"] == totals(connection)["samples"] == 27


def test_two_writers_do_not_flush_at_once(
    connection: Connection, dsn: str, core: Core, box: Box, tmp_path: Path
) -> None:
    store(connection, core, box.drive(1))
    with psycopg.connect(dsn) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (lake_module.FLUSH_LOCK,))
        other.commit()
        assert flush(connection, core.ring(), tmp_path) == 0
        # A closed connection gives its lock back only some moments later.
        other.execute("SELECT pg_advisory_unlock(%s)", (lake_module.FLUSH_LOCK,))
    assert flush(connection, core.ring(), tmp_path) == 1


def test_a_batch_in_two_files_shows_as_double(
    connection: Connection, core: Core, box: Box, tmp_path: Path
) -> None:
    store(connection, core, box.drive(1))
    flush(connection, core.ring(), tmp_path)
    (path,) = tmp_path.glob("samples/day=*/*.parquet")
    path.with_name("flush-copy.parquet").write_bytes(path.read_bytes())
    assert count_lake(tmp_path)["double"] == 1


def test_an_empty_lake_opens_with_the_right_columns(tmp_path: Path) -> None:
    tables = open_lake(tmp_path)
    assert tables["samples"].columns == tuple(SAMPLES.names)
    speed = signal(SPEED)
    scale = SpeedSignal(speed.id, speed.numerator, speed.denominator)
    table = driving_features(tables["samples"], tables["events"], scale, START_US)
    assert set(features_of(table, "driver-1").values()) == {None}


def test_features_come_from_the_files_of_the_lake(
    connection: Connection, core: Core, box: Box, tmp_path: Path
) -> None:
    store(connection, core, box.drive(30))
    flush(connection, core.ring(), tmp_path)
    tables = open_lake(tmp_path)
    speed = signal(SPEED)
    scale = SpeedSignal(speed.id, speed.numerator, speed.denominator)
    table = driving_features(tables["samples"], tables["events"], scale, START_US + 2 * DAY_US)
    found = features_of(table, "driver-1")
    assert found["km"] == pytest.approx(298 / 3600 * 36, abs=1e-12)
    assert found["harsh_brakes_per_100km"] == pytest.approx(30 / (298 / 3600 * 36) * 100, rel=1e-12)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_order_and_repetition_gives_the_same_lake_and_ends_acknowledged(
    connection: Connection,
    core: Core,
    box: Box,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    """Messages come in any order, some twice, in any grouping, with flushes in between."""
    empty(connection)
    box.heads.clear()
    count = 5
    messages = box.drive(count)
    extra = data.draw(st.lists(st.sampled_from(messages), max_size=5))
    order = data.draw(st.permutations([*messages, *extra]))
    lake = tmp_path_factory.mktemp("lake")
    ingest = core.ingest()
    last: dict[int, Stored] = {}
    while order:
        size = data.draw(st.integers(1, len(order)))
        for stored in take_in(connection, ingest, ORG, order[:size], START_US).stored:
            last[stored.epoch] = stored
        order = order[size:]
        if data.draw(st.booleans()):
            flush(connection, core.ring(), lake)
    flush(connection, core.ring(), lake)
    assert last == {1: Stored("box-1", 1, count + 1, box.heads[count + 1])}
    found = [(row["seq"], row["time_us"]) for row in rows(lake)]
    assert found == [
        (seq, START_US + (seq * 10 + i) * 1_000_000)
        for seq in range(1, count + 1)
        for i in range(9)
    ]
    assert len(rows(lake, "events")) == count
    assert totals(connection)["epochs_verified"] == 1
