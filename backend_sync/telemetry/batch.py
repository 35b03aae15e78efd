"""What a batch says once it is open: checked field by field, then laid out as rows of the lake.

Place in the flow: store (sealed) → **batch** → lake (Parquet). An authentic batch can still be
wrong; a batch that breaks a rule here is quarantined alone and never stops its neighbours.

* Every signal and event kind must be in the data catalogue (DESIGN §4.7), else nothing is stored.
* Samples are in long form; `raw` is the integer the device measured, `value` is raw x scale.
* Times are microseconds UTC of the device, kept as they are: order within an epoch is `seq`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from backend_sync.telemetry.fields import (
    FROM,
    INTEGER_MAX,
    INTEGER_MIN,
    TEXT_CHARACTERS_MAX,
    TIME_US_MAX,
    WHO,
    integer,
    mapping,
    plain,
    text,
    text_or_none,
)
from backend_sync.telemetry.snapshots import (
    HEALTH,
    SNAPSHOTS,
    health_rows,
    read_health,
    read_snapshots,
    snapshot_rows,
)
from edge.catalogue import check_body, require_event, signal_by_id
from edge.codec import decode, inflate
from edge.columns import Group, decode_columns
from edge.errors import LastmileError, LocalError, PeerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PLAINTEXT_BYTES_MAX: Final = 8 * 1024 * 1024
SAMPLES_MAX: Final = 1_000_000
EVENTS_MAX: Final = 10_000

SAMPLES = pa.schema(
    [
        *WHO,
        ("signal", pa.int32()),
        ("path", pa.string()),
        ("time_us", pa.int64()),
        ("raw", pa.int64()),
        ("value", pa.float64()),
        *FROM,
    ]
)
EVENTS = pa.schema(
    [
        *WHO,
        ("kind", pa.string()),
        ("start_us", pa.int64()),
        ("end_us", pa.int64()),
        ("peak", pa.int64()),
        ("unit", pa.string()),
        ("severity", pa.string()),
        ("rule", pa.string()),
        *FROM,
    ]
)
TRIPS = pa.schema([*WHO, ("start_us", pa.int64()), ("summary", pa.string()), *FROM])
TABLES: Final[Mapping[str, pa.Schema]] = {
    "samples": SAMPLES,
    "events": EVENTS,
    "trips": TRIPS,
    "snapshots": SNAPSHOTS,
    "health": HEALTH,
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a batch came from and when the core first had it durable (microseconds UTC)."""

    device: str
    epoch: int
    seq: int
    known_us: int


@dataclass(frozen=True, slots=True)
class Batch:
    """An opened batch.

    Attributes:
        driver: Pseudonym, present only where the device had a live consent.
        frames: Frames of the bus that went into it.
        samples: Samples the device says it holds.
    """

    start_us: int
    vehicle: str
    driver: str | None
    trip: str | None
    groups: Sequence[Group]
    events: Sequence[Mapping[str, Any]]
    trip_summary: Mapping[str, Any] | None
    frames: int
    samples: int
    snapshots: Sequence[Mapping[str, Any]] = ()
    health: Mapping[str, int | str] = field(default_factory=dict)


def read_batch(plaintext: bytes) -> Batch:
    """Reads an opened batch.

    Args:
        plaintext: Raw DEFLATE of the deterministic CBOR map of a batch, version 1.

    Raises:
        PeerError: It breaks a rule; nothing of it may be stored in the clear.
    """
    record = decode(inflate(plaintext, PLAINTEXT_BYTES_MAX), items_max=SAMPLES_MAX)
    if not isinstance(record, dict) or record.get("v") != 1:
        raise PeerError("The batch is not of version 1; update the core.", "batch-version")
    events = record.get("events", [])
    if not isinstance(events, list) or len(events) > EVENTS_MAX:
        raise PeerError("The batch has no valid list of events.", "batch-events")
    counts = mapping(record, "counts")
    columns = record.get("columns", b"")
    if not isinstance(columns, bytes):
        raise PeerError("The batch has no columns.", "batch-columns")
    return Batch(
        start_us=integer(record, "start_us", 0, TIME_US_MAX),
        vehicle=text(record, "vehicle"),
        driver=text_or_none(record, "driver"),
        trip=text_or_none(record, "trip"),
        groups=decode_columns(columns, samples_max=SAMPLES_MAX) if columns else [],
        events=[_event(event) for event in events],
        trip_summary=_summary(record) if "trip_summary" in record else None,
        frames=integer(counts, "frames", 0, 2**40),
        samples=integer(counts, "samples", 0, SAMPLES_MAX),
        snapshots=read_snapshots(record),
        health=read_health(record),
    )


def rows_of(batch: Batch, origin: Origin) -> dict[str, pa.Table]:
    """Lays a batch out as rows of each table of the lake.

    Raises:
        PeerError: A signal is not in the data catalogue.
    """
    return {
        "samples": sample_rows(batch, origin),
        "events": event_rows(batch, origin),
        "trips": trip_rows(batch, origin),
        "snapshots": _lay_out(snapshot_rows(batch.snapshots), batch, origin, SNAPSHOTS),
        "health": _lay_out(health_rows(batch.health, batch.start_us), batch, origin, HEALTH),
    }


def sample_rows(batch: Batch, origin: Origin) -> pa.Table:
    """Lays the samples of a batch out in long form; absent values make no row.

    Raises:
        PeerError: A signal is not in the data catalogue.
    """
    parts = [
        _series(group, signal, values)
        for group in batch.groups
        for signal, values in group.series.items()
    ]
    if not parts:
        return SAMPLES.empty_table()
    joined = pa.concat_tables(parts)
    return _complete(joined, batch, origin, SAMPLES)


def event_rows(batch: Batch, origin: Origin) -> pa.Table:
    """Lays the events of a batch out."""
    return _lay_out(batch.events, batch, origin, EVENTS)


def trip_rows(batch: Batch, origin: Origin) -> pa.Table:
    """Lays the trip summary of a batch out: one row or none."""
    if batch.trip_summary is None:
        return TRIPS.empty_table()
    summary = json.dumps(plain(batch.trip_summary), ensure_ascii=False, sort_keys=True)
    return _lay_out([{"start_us": batch.start_us, "summary": summary}], batch, origin, TRIPS)


def _series(group: Group, signal: int, values: Sequence[int | None]) -> pa.Table:
    try:
        spec = signal_by_id(signal)
    except LastmileError as error:
        raise PeerError(f"Signal {signal} is not in the data catalogue.", "batch-signal") from error
    raw = pa.array(values, pa.int64())
    times = pa.array(group.times_us, pa.int64())
    if raw.null_count:
        present = raw.is_valid()
        raw, times = raw.filter(present), times.filter(present)
    # A float rounds what has more than 53 bits; `raw` keeps it, so the cast need not be exact.
    scaled = pc.divide(
        pc.multiply(raw.cast(pa.float64(), safe=False), float(spec.numerator)),
        float(spec.denominator),
    )
    return pa.table(
        {
            "signal": pa.repeat(pa.scalar(signal, pa.int32()), len(raw)),
            "path": pa.repeat(pa.scalar(spec.path, pa.string()), len(raw)),
            "time_us": times,
            "raw": raw,
            "value": scaled,
        }
    )


def _lay_out(
    rows: Sequence[Mapping[str, Any]], batch: Batch, origin: Origin, schema: pa.Schema
) -> pa.Table:
    """Makes rows of what is not the same in every row of a batch, and adds what is."""
    if not rows:
        return schema.empty_table()
    own = pa.schema([schema.field(name) for name in rows[0]])
    return _complete(pa.Table.from_pylist(list(rows), own), batch, origin, schema)


def _complete(own: pa.Table, batch: Batch, origin: Origin, schema: pa.Schema) -> pa.Table:
    """Adds the columns that are the same in every row of a batch."""
    same = {
        "device": origin.device,
        "vehicle": batch.vehicle,
        "driver": batch.driver,
        "trip": batch.trip,
        "epoch": origin.epoch,
        "seq": origin.seq,
        "known_us": origin.known_us,
    }
    columns = [
        own[field.name]
        if field.name in own.column_names
        else pa.repeat(pa.scalar(same[field.name], field.type), len(own))
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _event(event: object) -> dict[str, Any]:
    if not isinstance(event, dict):
        raise PeerError("An event of the batch is not a map.", "batch-events")
    start_us = integer(event, "start_us", 0, TIME_US_MAX)
    kind, unit = text(event, "kind"), text(event, "unit")
    try:
        known = require_event(kind).unit
    except LocalError as error:
        raise PeerError(str(error), "batch-events") from error
    if unit != known:
        raise PeerError(f"The peak of {kind} is in {known}, not in {unit}.", "batch-events")
    return {
        "kind": kind,
        "start_us": start_us,
        "end_us": integer(event, "end_us", start_us, TIME_US_MAX),
        "peak": integer(event, "peak", INTEGER_MIN, INTEGER_MAX),
        "unit": unit,
        "severity": str(event.get("severity", ""))[:TEXT_CHARACTERS_MAX],
        "rule": str(event.get("rule", ""))[:TEXT_CHARACTERS_MAX],
    }


def _summary(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Takes the summary of a trip if all its fields are in the data catalogue."""
    summary = mapping(record, "trip_summary")
    if not all(isinstance(name, str) for name in summary):
        raise PeerError("A field of the trip summary has no name.", "batch-trip")
    try:
        check_body("trip-summary", summary)
    except LocalError as error:
        raise PeerError(str(error), "batch-trip") from error
    return summary


def concatenate(kind: str, tables: Iterable[pa.Table]) -> pa.Table:
    """Joins rows of one kind; an empty input gives an empty table of the right schema."""
    return pa.concat_tables([TABLES[kind].empty_table(), *tables]).combine_chunks()
