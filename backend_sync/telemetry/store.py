"""Durable before acknowledged: the tables of telemetry in PostgreSQL.

Place in the flow: ingest (verdicts) → **store** → acknowledgement; store → lake (flush).

* One transaction takes a handful of messages in, whatever devices they are from; what it says is
  acknowledged only after it committed.
* Two consumers never work on one device at once: an advisory lock per device, taken in order of
  name, lasts until the commit.
* Messages stay sealed here. What is opened goes to the lake and nowhere else.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from backend_sync.telemetry.claim import Claim, Refused, read_claim
from backend_sync.telemetry.devices import load_standings, lock_devices, save_standings
from backend_sync.telemetry.ingest import DUPLICATE, Ingest, Verdict
from backend_sync.telemetry.orders import save_outcomes
from backend_sync.telemetry.refusal import Refusal, refusal_of
from backend_sync.telemetry.stream import NOTHING, Close, Gap, Stream, digest_of
from backend_sync.telemetry.words import forget_people
from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import psycopg

    from backend_sync.telemetry.standing import Standing

StreamKey = tuple[str, int]
BATCH_MESSAGES_MAX: Final = 500
CONSENT_FIELDS: Final = (
    ("subject", str),
    ("purpose", str),
    ("text_sha256", (str, bytes)),
    ("language", str),
    ("given_us", int),
    ("expires_us", int),
    ("withdrawn", bool),
)


@dataclass(frozen=True, slots=True)
class Stored:
    """What is durable of an epoch: an acknowledgement in the making."""

    device: str
    epoch: int
    seq: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """What a device is to be told once the transaction is durable.

    Attributes:
        stored: What to acknowledge, one per epoch that was touched and has begun.
        policies: (device, signed policy) for each that named another policy than its newest.
        refusals: Messages that can never be taken.
    """

    stored: list[Stored]
    policies: list[tuple[str, bytes]]
    refusals: list[Refusal]


@dataclass(slots=True)
class _Work:
    """One transaction's worth of streams, new rows and counts."""

    streams: dict[StreamKey, Stream] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    fresh: list[Claim] = field(default_factory=list)
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    touched: set[StreamKey] = field(default_factory=set)
    refusals: list[Refusal] = field(default_factory=list)


def take_in(
    connection: psycopg.Connection[Any],
    ingest: Ingest,
    org: str,
    arrivals: Sequence[tuple[str, bytes]],
    known_us: int,
) -> Taken:
    """Decides about arrivals and makes the outcome durable in one transaction.

    Args:
        connection: Outside of a transaction.
        ingest: The rules.
        org: The organisation of this core.
        arrivals: (topic, message), at most `BATCH_MESSAGES_MAX`.
        known_us: The present, microseconds UTC.

    Raises:
        LocalError: The connection is inside a transaction, so nothing would be durable.
        psycopg.Error: Nothing of it was stored; call again with the same arrivals.
    """
    require_idle(connection)
    work = _Work()
    claims = list(_claims(org, arrivals, work.counts))
    with connection.transaction():
        lock_devices(connection, [claim.device for claim in claims])
        work.standings = load_standings(connection, claims)
        work.streams = _load(connection, claims)
        for claim in claims:
            _admit(ingest, work, claim)
        _save(connection, work, known_us)
    return _taken(work)


def _taken(work: _Work) -> Taken:
    stored = [
        Stored(stream.device, stream.epoch, stream.seq, stream.head)
        for key in sorted(work.touched)
        if (stream := work.streams[key]).seq > NOTHING
    ]
    behind = [(device, standing.due) for device, standing in sorted(work.standings.items())]
    policies = [(device, policy) for device, policy in behind if policy is not None]
    return Taken(stored, policies, work.refusals)


def require_idle(connection: psycopg.Connection[Any]) -> None:
    """Makes sure that our commit is a commit, not a savepoint of somebody's transaction.

    Raises:
        LocalError: The connection is inside a transaction.
    """
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        raise LocalError(
            "The connection is inside a transaction; commit it, or use another connection.",
            "store-transaction",
        )


def _claims(
    org: str, arrivals: Sequence[tuple[str, bytes]], counts: Counter[tuple[str, str, str]]
) -> Iterable[Claim]:
    for topic, message in arrivals:
        try:
            yield read_claim(org, topic, message)
        except Refused as refusal:
            counts["", "refused", refusal.code] += 1


def _admit(ingest: Ingest, work: _Work, claim: Claim) -> None:
    """Admits a claim, and after an epoch start all that waited for it; in vain, if refused."""
    key = (claim.device, claim.epoch)
    stream, standing = work.streams[key], work.standings[claim.device]
    verdict = ingest.admit(stream, claim, standing)
    _note(work, ingest.disclose(claim) if verdict.outcome == "new" else claim, verdict)
    if claim.kind == "epoch-start" and verdict.outcome == "new":
        for waiting in ingest.release(*key):
            _note(work, waiting, ingest.admit(stream, waiting, standing))
    elif claim.kind == "epoch-start" and stream.start is None:
        ingest.release(*key)


def _note(work: _Work, claim: Claim, verdict: Verdict) -> None:
    if verdict.outcome == "new":
        work.fresh.append(claim)
        if claim.kind == "consent" and _consent_row(claim) is None:
            work.counts[claim.device, "quarantined", "malformed"] += 1
    elif verdict.outcome != "held":
        refusal = refusal_of(work.streams[claim.device, claim.epoch], claim, verdict)
        work.refusals += [refusal] if refusal else []
        known = verdict.reason != "unknown-device"
        work.counts[claim.device if known else "", verdict.outcome, verdict.reason] += 1
    if claim.epoch and (verdict.outcome == "new" or verdict == DUPLICATE):
        work.touched.add((claim.device, claim.epoch))


READ_STREAMS: Final = """
    SELECT s.*, k.sealed FROM telemetry_streams s
    JOIN unnest(%s::text[], %s::bigint[]) AS w (device, epoch) USING (device, epoch)
    LEFT JOIN telemetry_epoch_keys k ON (k.device, k.epoch, k.begun) = (s.device, s.epoch, true)"""

READ_WAITING: Final = """
    SELECT m.device, m.epoch, m.seq, m.message FROM telemetry_messages m
    JOIN unnest(%s::text[], %s::bigint[]) AS w (device, epoch) USING (device, epoch)
    JOIN telemetry_streams s USING (device, epoch)
    WHERE m.seq = 0 OR m.seq > s.seq"""

READ_GAPS: Final = """
    SELECT g.device, g.epoch, g.first, g.last, g.head FROM telemetry_gaps g
    JOIN unnest(%s::text[], %s::bigint[]) AS w (device, epoch) USING (device, epoch)"""


def _load(connection: psycopg.Connection[Any], claims: Sequence[Claim]) -> dict[StreamKey, Stream]:
    """Loads every stream that a claim names: state, start, what waits, digests of the claimed."""
    streams = {(c.device, c.epoch): Stream(c.device, c.epoch) for c in claims}
    devices = [device for device, _ in streams]
    epochs = [epoch for _, epoch in streams]
    with connection.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(READ_STREAMS, (devices, epochs)):
            _restore(streams[row["device"], row["epoch"]], row)
        for row in cursor.execute(READ_WAITING, (devices, epochs)):
            _restore_message(streams[row["device"], row["epoch"]], row)
        for row in cursor.execute(READ_GAPS, (devices, epochs)):
            gap = Gap(row["first"], row["last"], row["head"])
            stream = streams[row["device"], row["epoch"]]
            stream.gaps += [gap] if gap.last > stream.seq else []
    _load_digests(connection, claims, streams)
    return streams


def _restore(stream: Stream, row: Mapping[str, Any]) -> None:
    stream.seq = row["seq"]
    stream.head = row["head"]
    stream.verdict = row["verdict"]
    stream.hpke_id = row["hpke_id"]
    stream.kept = row["sealed"] or b""
    if row["close_count"] is not None:
        stream.close = Close(row["close_count"], row["close_head"])


def _restore_message(stream: Stream, row: Mapping[str, Any]) -> None:
    if row["seq"] == 0:
        stream.start = row["message"]
    else:
        stream.waiting[row["seq"]] = row["message"]
    stream.digests[row["seq"]] = digest_of(row["message"])


def _load_digests(
    connection: psycopg.Connection[Any],
    claims: Sequence[Claim],
    streams: Mapping[StreamKey, Stream],
) -> None:
    placed = [(c.device, c.epoch, c.seq) for c in claims if c.seq is not None]
    rows = connection.execute(
        "SELECT device, epoch, seq, digest FROM telemetry_messages JOIN"
        " unnest(%s::text[], %s::bigint[], %s::bigint[]) AS w (device, epoch, seq)"
        " USING (device, epoch, seq)",
        tuple([list(column) for column in zip(*placed, strict=True)] or [[], [], []]),
    )
    for device, epoch, seq, digest in rows:
        streams[device, epoch].digests[seq] = digest


def _save(connection: psycopg.Connection[Any], work: _Work, known_us: int) -> None:
    forget_people(connection, _withdrawn(work.fresh))
    with connection.cursor() as cursor:
        save_standings(cursor, work.standings, known_us)
        _save_streams(cursor, [work.streams[key] for key in sorted(work.touched)])
        _save_messages(cursor, work.fresh, known_us)
        _save_gaps(cursor, work.fresh, known_us)
        _save_consents(cursor, work.fresh, known_us)
        save_outcomes(cursor, work.fresh, known_us)
        cursor.executemany(
            "INSERT INTO telemetry_counts AS c (device, outcome, reason, count)"
            " VALUES (%s, %s, %s, %s) ON CONFLICT (device, outcome, reason)"
            " DO UPDATE SET count = c.count + EXCLUDED.count",
            [(*key, number) for key, number in sorted(work.counts.items())],
        )


def _save_streams(cursor: psycopg.Cursor[Any], streams: Sequence[Stream]) -> None:
    cursor.executemany(
        "INSERT INTO telemetry_streams"
        " (device, epoch, seq, head, close_count, close_head, verdict, hpke_id)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (device, epoch) DO UPDATE SET"
        " seq = EXCLUDED.seq, head = EXCLUDED.head, close_count = EXCLUDED.close_count,"
        " close_head = EXCLUDED.close_head, verdict = EXCLUDED.verdict,"
        " hpke_id = EXCLUDED.hpke_id",
        [
            (
                *(s.device, s.epoch, s.seq, s.head),
                *((s.close.count, s.close.head) if s.close else (None, None)),
                *(s.verdict, s.hpke_id),
            )
            for s in streams
        ],
    )


def _save_messages(cursor: psycopg.Cursor[Any], fresh: Sequence[Claim], known_us: int) -> None:
    cursor.executemany(
        "INSERT INTO telemetry_messages"
        " (device, epoch, seq, kind, topic, message, digest, known_us)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (
                *(c.device, c.epoch, c.seq, c.kind, c.topic),
                *(c.message, digest_of(c.message), known_us),
            )
            for c in fresh
            if c.seq is not None
        ],
    )


def _save_gaps(cursor: psycopg.Cursor[Any], fresh: Sequence[Claim], known_us: int) -> None:
    cursor.executemany(
        "INSERT INTO telemetry_gaps (device, epoch, first, last, head, message, known_us)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [
            (
                *(c.device, c.epoch, c.record["first"], c.record["last"], c.record["head"]),
                *(c.message, known_us),
            )
            for c in fresh
            if c.kind == "gap"
        ],
    )


def _save_consents(cursor: psycopg.Cursor[Any], fresh: Sequence[Claim], known_us: int) -> None:
    rows = [(c, row) for c in fresh if c.kind == "consent" and (row := _consent_row(c))]
    cursor.executemany(
        "INSERT INTO telemetry_consents (subject, purpose, text_sha256, language, given_us,"
        " expires_us, withdrawn, digest, device, message, known_us)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [(*row, digest_of(c.message), c.device, c.message, known_us) for c, row in rows],
    )


def _withdrawn(fresh: Sequence[Claim]) -> list[str]:
    """Returns who has withdrawn: nothing more is told about them."""
    rows = [row for each in fresh if each.kind == "consent" and (row := _consent_row(each))]
    subject, withdrawn = (
        [name for name, _ in CONSENT_FIELDS].index(name) for name in ("subject", "withdrawn")
    )
    return [row[subject] for row in rows if row[withdrawn]]


def _consent_row(claim: Claim) -> tuple[Any, ...] | None:
    """Returns the columns of a consent statement, or None when a field is not what it must be."""
    values = [claim.record.get(name) for name, _ in CONSENT_FIELDS]
    kinds = [kind for _, kind in CONSENT_FIELDS]
    if not all(isinstance(value, kind) for value, kind in zip(values, kinds, strict=True)):
        return None
    return tuple(value.hex() if isinstance(value, bytes) else value for value in values)
