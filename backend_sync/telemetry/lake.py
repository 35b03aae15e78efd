"""The lake: opened batches as Parquet files by day, each written exactly once whatever happens.

Place in the flow: store (sealed, durable) → **lake** → features.

Theory of operation. A flush is three steps, and `kill -9` between any two only repeats the second:

    plan     one transaction numbers a flush and marks its batches
    write    every file goes to a temporary name, fsync, rename; names and rows follow from the plan
    done     one transaction enters the files into the manifest and the counts into the messages

* `{kind}/day=YYYY-MM-DD/flush-{number}-{members}.parquet`: the day is that of the batch's start
  in UTC, `members` a digest of the batches in it.
* A reader may take every `*.parquet` there is: an unfinished flush has complete files or none.
* A batch that cannot be read is quarantined with its reason; its sealed bytes stay in the store.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from backend_sync.telemetry.batch import (
    TABLES,
    Origin,
    concatenate,
    read_batch,
    rows_of,
)
from backend_sync.telemetry.keyring import Begun
from backend_sync.telemetry.store import require_idle
from edge.errors import LastmileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import ibis.expr.types as ir
    import psycopg

    from backend_sync.telemetry.keyring import KeyRing

FLUSH_BATCHES_MAX: Final = 128
FLUSH_LOCK: Final = 7_201_001
DAY_US: Final = 86_400_000_000
EPOCH_ORDINAL: Final = 719_163  # 1970-01-01 as a proleptic Gregorian ordinal
CODE_CHARACTERS_MAX: Final = 60

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Member:
    """A sealed batch of a flush, with the start of its epoch, and what was kept of its keys."""

    origin: Origin
    topic: str
    message: bytes
    start: bytes
    kept: bytes


@dataclass(slots=True)
class _Opened:
    """What the members of a flush became."""

    rows: dict[Place, list[pa.Table]] = field(default_factory=lambda: defaultdict(list))
    counts: list[tuple[int, int, int, str, int, int]] = field(default_factory=list)
    quarantined: list[tuple[str, str, int, int]] = field(default_factory=list)


def flush(connection: psycopg.Connection[Any], ring: KeyRing, lake: Path) -> int:
    """Writes what is durable and not in the lake yet; finishes an interrupted flush first.

    Args:
        connection: Outside of a transaction.
        ring: Opens batches.
        lake: Root folder of the lake.

    Returns:
        Batches handled; 0 when there is nothing to do or another process is flushing.

    Raises:
        LocalError: The connection is inside a transaction.
        OSError: The disk refused; the flush is repeated by the next call.
        psycopg.Error: The database went away; likewise.
    """
    require_idle(connection)
    with _alone(connection) as alone:
        if not alone:
            return 0
        unfinished = _unfinished(connection)
        handled = sum(_carry_out(connection, ring, lake, number) for number in unfinished)
        planned = _plan(connection)
        while planned is not None:
            handled += _carry_out(connection, ring, lake, planned)
            planned = _plan(connection)
        return handled


def open_lake(lake: Path) -> dict[str, ir.Table]:
    """Opens the lake's tables, by their names, on an embedded DuckDB."""
    backend = ibis.duckdb.connect()
    tables = {}
    for kind, schema in TABLES.items():
        if any((lake / kind).glob("day=*/*.parquet")):
            pattern = str(lake / kind / "day=*" / "*.parquet")
            tables[kind] = backend.read_parquet(pattern, hive_partitioning=False)
        else:
            tables[kind] = ibis.memtable(schema.empty_table())
    return tables


@contextmanager
def _alone(connection: psycopg.Connection[Any]) -> Iterator[bool]:
    """Holds the flush lock for as long as this database session lives, if it is free."""
    with connection.transaction():
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (FLUSH_LOCK,)).fetchone()
    alone = bool(row and row[0])
    try:
        yield alone
    finally:
        if alone and not connection.broken:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_unlock(%s)", (FLUSH_LOCK,))


def _unfinished(connection: psycopg.Connection[Any]) -> list[int]:
    with connection.transaction():
        rows = connection.execute(
            "SELECT flush FROM telemetry_flushes WHERE NOT done ORDER BY flush"
        ).fetchall()
    return [number for (number,) in rows]


def _plan(connection: psycopg.Connection[Any]) -> int | None:
    with connection.transaction():
        row = connection.execute(
            "WITH members AS (SELECT device, epoch, seq FROM telemetry_messages"
            "  WHERE kind = 'batch' AND flush IS NULL AND quarantine IS NULL"
            "  ORDER BY device, epoch, seq LIMIT %s),"
            " numbered AS (INSERT INTO telemetry_flushes (flush)"
            "  SELECT coalesce((SELECT max(flush) FROM telemetry_flushes), 0) + 1"
            "  WHERE EXISTS (SELECT FROM members) RETURNING flush),"
            " marked AS (UPDATE telemetry_messages m SET flush = n.flush"
            "  FROM numbered n, members k"
            "  WHERE (m.device, m.epoch, m.seq) = (k.device, k.epoch, k.seq) RETURNING 1)"
            " SELECT flush FROM numbered",
            (FLUSH_BATCHES_MAX,),
        ).fetchone()
    return row[0] if row else None


def _carry_out(connection: psycopg.Connection[Any], ring: KeyRing, lake: Path, number: int) -> int:
    members = _members(connection, number)
    opened = _Opened()
    for member in members:
        _open_member(ring, member, opened)
    name = f"flush-{number:08d}-{_digest(members)}.parquet"
    files = [
        _write_file(lake, place, name, tables) for place, tables in sorted(opened.rows.items())
    ]
    _finish(connection, number, opened, files)
    return len(members)


def _members(connection: psycopg.Connection[Any], number: int) -> list[_Member]:
    with connection.transaction():
        rows = connection.execute(
            "SELECT m.device, m.epoch, m.seq, m.known_us, m.topic, m.message, s.message,"
            " coalesce(k.sealed, '')"
            " FROM telemetry_messages m JOIN telemetry_messages s"
            " ON s.device = m.device AND s.epoch = m.epoch AND s.seq = 0"
            " LEFT JOIN telemetry_epoch_keys k"
            " ON (k.device, k.epoch, k.begun) = (m.device, m.epoch, true)"
            " WHERE m.flush = %s ORDER BY m.device, m.epoch, m.seq",
            (number,),
        ).fetchall()
    return [_Member(Origin(*row[:4]), *row[4:]) for row in rows]


def _open_member(ring: KeyRing, member: _Member, opened: _Opened) -> None:
    """Opens one batch into rows; one that breaks a rule is set aside alone."""
    origin = member.origin
    try:
        begun = Begun(origin.device, origin.epoch, member.start, member.kept)
        plaintext = ring.open(begun, member.topic, member.message)
        batch = read_batch(plaintext)
        tables = rows_of(batch, origin)
    except LastmileError as error:
        code = error.code[:CODE_CHARACTERS_MAX]
        opened.quarantined.append((code, origin.device, origin.epoch, origin.seq))
        return
    day = day_of(batch.start_us)
    for kind, table in tables.items():
        if len(table):
            opened.rows[kind, day].append(table)
    opened.counts.append(
        (
            *(batch.frames, len(tables["samples"]), len(tables["events"])),
            *(origin.device, origin.epoch, origin.seq),
        )
    )


def day_of(time_us: int) -> str:
    """Returns the UTC day of an instant as YYYY-MM-DD."""
    return dt.date.fromordinal(EPOCH_ORDINAL + time_us // DAY_US).isoformat()


def _digest(members: Sequence[_Member]) -> str:
    names = "\n".join(f"{m.origin.device}/{m.origin.epoch}/{m.origin.seq}" for m in members)
    return hashlib.sha256(names.encode()).hexdigest()[:16]


def _write_file(
    lake: Path, place: Place, name: str, tables: Sequence[pa.Table]
) -> tuple[str, str, str, int, bytes]:
    """Writes a file so that it is either whole or not there; returns its manifest row."""
    kind, day = place
    folder = lake / kind / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = concatenate(kind, tables)
    temporary = folder / f".{name}.tmp"
    pq.write_table(rows, temporary, compression="zstd")
    content = hashlib.sha256(temporary.read_bytes()).digest()
    _sync(temporary)
    temporary.replace(folder / name)
    _sync(folder)
    return f"{kind}/day={day}/{name}", kind, day, len(rows), content


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _finish(
    connection: psycopg.Connection[Any],
    number: int,
    opened: _Opened,
    files: Sequence[tuple[str, str, str, int, bytes]],
) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO telemetry_files (flush, path, kind, day, rows, sha256)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (path) DO NOTHING",
            [(number, *file) for file in files],
        )
        cursor.executemany(
            "UPDATE telemetry_messages SET frames = %s, samples = %s, events = %s"
            " WHERE device = %s AND epoch = %s AND seq = %s",
            opened.counts,
        )
        cursor.executemany(
            "UPDATE telemetry_messages SET quarantine = %s"
            " WHERE device = %s AND epoch = %s AND seq = %s",
            opened.quarantined,
        )
        cursor.execute("UPDATE telemetry_flushes SET done = true WHERE flush = %s", (number,))
