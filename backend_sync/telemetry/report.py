"""Figures about telemetry: what came, what was refused, what is lost, what the lake holds.

Place in the flow: store and lake → **report** → the people who watch, and the end of a story.

* Figures are derived from what is stored, not kept beside it: they cannot drift away.
* `lost` counts numbers that the device signed away in a gap record and that never arrived;
  `lost_by` is what the devices themselves say of these, by priority;
  `double` counts batches that the lake holds more than once, and must be 0.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from backend_sync.telemetry.batch import TABLES
from backend_sync.telemetry.claim import SEQ_MAX
from edge.codec import decode
from edge.gaps import PRIORITY_NAMES
from edge.seal import read_sign1

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import psycopg

CONSENT_FIELDS = (
    *("subject", "purpose", "text_sha256", "language"),
    *("given_us", "expires_us", "withdrawn"),
)

# A device widens its gaps as it loses more; the narrower ones that it sent before say the same.
WIDEST_GAPS = """
    SELECT g.message FROM telemetry_gaps g WHERE NOT EXISTS (
        SELECT 1 FROM telemetry_gaps w WHERE (w.device, w.epoch) = (g.device, g.epoch)
        AND w.first <= g.first AND w.last >= g.last AND (w.first, w.last) <> (g.first, g.last))"""


def totals(connection: psycopg.Connection[Any]) -> Mapping[str, Any]:
    """Sums telemetry up for a report.

    Returns:
        `messages`, `batches`, `frames`, `samples`, `events` (what the lake holds), `duplicates`,
        `rejected` (count by reason), `quarantined`, `lost` (numbers below the covered prefix of
        which no message is stored), `lost_by` (what the gap records say, by name of priority),
        `waiting` (stored beyond the prefix), `unflushed`, `epochs`, `epochs_verified`,
        `epochs_mismatched`.
    """
    with connection.transaction():
        sums = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE kind = 'batch'),"
            " coalesce(sum(frames), 0)::bigint, coalesce(sum(samples), 0)::bigint,"
            " coalesce(sum(events), 0)::bigint, count(quarantine),"
            " count(*) FILTER (WHERE m.seq > s.seq),"
            " count(*) FILTER (WHERE kind = 'batch' AND quarantine IS NULL AND"
            "  NOT coalesce((SELECT done FROM telemetry_flushes f WHERE f.flush = m.flush), false))"
            " FROM telemetry_messages m JOIN telemetry_streams s USING (device, epoch)"
        ).fetchone()
        streams = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE verdict = 'verified'),"
            " count(*) FILTER (WHERE verdict = 'mismatch'),"
            " coalesce(sum(greatest(s.seq, 0) - (SELECT count(*) FROM telemetry_messages m"
            "  WHERE m.device = s.device AND m.epoch = s.epoch AND m.seq BETWEEN 1 AND s.seq)"
            " ), 0)::bigint FROM telemetry_streams s"
        ).fetchone()
        gaps = connection.execute(WIDEST_GAPS).fetchall()
        counts = connection.execute(
            "SELECT outcome, reason, sum(count)::bigint FROM telemetry_counts GROUP BY 1, 2"
        ).fetchall()
    names = (
        *("messages", "batches", "frames", "samples", "events"),
        *("quarantined", "waiting", "unflushed"),
    )
    ends = ("epochs", "epochs_verified", "epochs_mismatched", "lost")
    return {
        **dict(zip(names, sums or (), strict=True)),
        **dict(zip(ends, streams or (), strict=True)),
        "lost_by": _sum_lost(message for (message,) in gaps),
        "duplicates": sum(number for outcome, _, number in counts if outcome == "duplicate"),
        "rejected": {reason: n for outcome, reason, n in counts if outcome == "refused"},
    }


def _sum_lost(gaps: Iterable[bytes]) -> dict[str, int]:
    """Adds up what signed gaps say is lost; a name or count that is none is passed over."""
    sums: Counter[str] = Counter()
    for message in gaps:
        lost = decode(read_sign1(message)[1]).get("lost")
        for name, count in lost.items() if isinstance(lost, dict) else ():
            if name in PRIORITY_NAMES and isinstance(count, int) and 0 <= count <= SEQ_MAX:
                sums[name] += count
    return dict(sums)


def count_lake(lake: Path) -> dict[str, int]:
    """Counts what is in the lake by its own files, as a check on the store's figures.

    Returns:
        Rows of each table, by its name; `double`: batches whose samples are in two files.
    """
    counts = dict.fromkeys(TABLES, 0)
    seen: defaultdict[tuple[str, int, int], int] = defaultdict(int)
    for kind in TABLES:
        for path in sorted((lake / kind).glob("day=*/*.parquet")):
            counts[kind] += pq.read_metadata(path).num_rows
            if kind == "samples":
                keys = pq.read_table(path, columns=["device", "epoch", "seq"])
                for row in keys.group_by(keys.column_names).aggregate([]).to_pylist():
                    seen[row["device"], row["epoch"], row["seq"]] += 1
    return {**counts, "double": sum(number - 1 for number in seen.values())}


def consents_of(connection: psycopg.Connection[Any], subject: str) -> list[dict[str, Any]]:
    """Returns every consent statement of a subject: the fields of `credit.consent.Consent`."""
    with connection.transaction():
        rows = connection.execute(
            "SELECT subject, purpose, text_sha256, language, given_us, expires_us, withdrawn"
            " FROM telemetry_consents WHERE subject = %s ORDER BY given_us, withdrawn",
            (subject,),
        ).fetchall()
    return [dict(zip(CONSENT_FIELDS, row, strict=True)) for row in rows]
