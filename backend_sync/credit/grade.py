"""Features in, grade with reasons out, and a record that lets anyone repeat the decision.

Place in the flow: features → **grade** → decision → lending, and down to the driver's own screen.

* Pure: the same features and the same table give the same bytes of the same record.
* base + the points of all reasons = score, exactly: the points are integers.
* Without a live consent no feature is used; all count as missing and the grade is `unrated`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from edge.errors import PeerError
from edge.points import score_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend_sync.credit.consent import Consent
    from edge.points import PointsTable

RECORD_VERSION = 1


def grade_driver(
    table: PointsTable,
    features: Mapping[str, float | None],
    *,
    subject: str,
    as_of_us: int,
    consent: Consent | None,
) -> dict[str, Any]:
    """Grades one driver.

    Args:
        table: The checked points table.
        features: Values by name; a feature that is absent or None counts as missing.
        subject: Pseudonym of the driver.
        as_of_us: The instant up to which facts were taken, microseconds UTC.
        consent: The live consent, or None: then `features` is not looked at.

    Returns:
        The decision record: `grade`, `score`, `base`, `reasons` (a list of `feature`, `value`,
        `points`, `zh`, `en`), `inputs`, `subject`, `as_of_us`, `consent`, `table` and its hash.
    """
    used = features if consent is not None else {}
    inputs = {feature.name: used.get(feature.name) for feature in table.features}
    return {
        "v": RECORD_VERSION,
        "decision": "driver-grade",
        "subject": subject,
        "as_of_us": as_of_us,
        "consent": consent.text_sha256 if consent is not None else None,
        "table": {"id": table.id, "version": table.version, "sha256": table.sha256},
        "inputs": inputs,
        **_outcome(table, inputs),
    }


def replay_decision(record: Mapping[str, Any], table: PointsTable) -> dict[str, Any]:
    """Repeats a recorded decision and compares every field.

    Raises:
        PeerError: The record names another table, or does not follow from its inputs.
    """
    if record.get("table", {}).get("sha256") != table.sha256:
        raise PeerError("This decision was made with another points table.", "decision-table")
    repeated = {**record, **_outcome(table, record["inputs"])}
    if encode_record(repeated) != encode_record(record):
        raise PeerError("The decision does not follow from its inputs.", "decision-changed")
    return repeated


def encode_record(record: Mapping[str, Any]) -> bytes:
    """Returns the canonical JSON of a record: sorted keys, no spaces, shortest floats."""
    return msgspec.json.encode(dict(record), order="deterministic")


def record_id(record: Mapping[str, Any]) -> str:
    """Returns the id of a decision: SHA-256 of its canonical JSON, hexadecimal."""
    return hashlib.sha256(encode_record(record)).hexdigest()


def _outcome(table: PointsTable, inputs: Mapping[str, float | None]) -> dict[str, Any]:
    scored = score_of(table, inputs)
    reasons = [
        {
            "feature": each.feature,
            "value": each.value,
            "points": each.placed.points,
            "zh": each.placed.zh,
            "en": each.placed.en,
        }
        for each in scored.reasons
    ]
    return {"base": table.base, "reasons": reasons, "score": scored.score, "grade": scored.grade}
