"""One decision about one driver, from consent to a stored record.

Place in the flow: telemetry (consents, lake) → **decide** → lending, the driver's screen. The
shell of `grade`: it fetches what the rules need and keeps what they decided.

* Consent is looked up first; without a live one the lake is not even opened.
* The record is durable before it is returned, and repeating a decision stores nothing twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from backend_sync.credit.consent import DRIVING_GRADE, Consent, live_consent
from backend_sync.credit.grade import encode_record, grade_driver, record_id, replay_decision
from backend_sync.telemetry.features import SpeedSignal, driving_features, features_of
from backend_sync.telemetry.lake import open_lake
from backend_sync.telemetry.report import consents_of
from edge.catalogue import signal
from edge.errors import LocalError

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from edge.points import PointsTable

SPEED_PATH = "Vehicle.Speed"


def decide_driver(
    connection: psycopg.Connection[Any],
    lake: Path,
    table: PointsTable,
    subject: str,
    as_of_us: int,
) -> dict[str, Any]:
    """Grades a driver on what was known at an instant and stores the decision.

    Args:
        connection: Outside of a transaction.
        lake: Root folder of the lake.
        table: Points table to grade by.
        subject: Pseudonym of the driver.
        as_of_us: The instant, microseconds UTC.

    Returns:
        The decision record of `grade_driver`, with its id under `decision_id`.
    """
    statements = [Consent(**row) for row in consents_of(connection, subject)]
    consent = live_consent(statements, subject, DRIVING_GRADE, as_of_us)
    features = read_features(lake, subject, as_of_us) if consent is not None else {}
    record = grade_driver(table, features, subject=subject, as_of_us=as_of_us, consent=consent)
    return {**record, "decision_id": _keep(connection, record)}


def read_features(lake: Path, subject: str, as_of_us: int) -> dict[str, float | None]:
    """Computes the driving features of one driver from the lake."""
    tables = open_lake(lake)
    spec = signal(SPEED_PATH)
    speed = SpeedSignal(spec.id, spec.numerator, spec.denominator)
    expression = driving_features(tables["samples"], tables["events"], speed, as_of_us)
    return features_of(expression, subject)


def replay_stored(
    connection: psycopg.Connection[Any], decision_id: str, table: PointsTable
) -> dict[str, Any]:
    """Repeats a stored decision and returns its record.

    Raises:
        LocalError: There is no decision of that id.
        PeerError: The record does not follow from its inputs by this table.
    """
    with connection.transaction():
        row = connection.execute(
            "SELECT record FROM credit_decisions WHERE decision = %s", (decision_id,)
        ).fetchone()
    if row is None:
        raise LocalError(f"There is no decision {decision_id}; check the id.", "decision-unknown")
    return replay_decision(msgspec.json.decode(row[0]), table)


def _keep(connection: psycopg.Connection[Any], record: dict[str, Any]) -> str:
    identity = record_id(record)
    with connection.transaction():
        connection.execute(
            "INSERT INTO credit_decisions"
            " (decision, kind, subject, as_of_us, grade, score, record)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (decision) DO NOTHING",
            (
                *(identity, record["decision"], record["subject"], record["as_of_us"]),
                *(record["grade"], record["score"], encode_record(record).decode()),
            ),
        )
    return identity
