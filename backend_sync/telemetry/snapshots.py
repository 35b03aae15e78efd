"""Small records beside the samples: fault codes, identity and state of a vehicle, a box's health.

Place in the flow: batch (opened) → **snapshots** → lake (Parquet).

* A snapshot has a kind of the data catalogue that is one of vehicles, and only that kind's fields.
* A field is an integer, a short text, a list of those or a map of texts to those: nothing deeper.
* Health is a flat map of at most 64 names; each becomes a row with a number or a text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from backend_sync.telemetry.fields import (
    FROM,
    TIME_US_MAX,
    WHO,
    integer,
    is_integer,
    is_text,
    text,
)  # fmt: skip
from edge.catalogue import check_body
from edge.errors import LocalError, PeerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KINDS: Final = frozenset({"dtc", "freeze-frame", "vehicle-identity", "vehicle-status"})
SNAPSHOTS_MAX: Final = 1_000
ITEMS_MAX: Final = 256
HEALTH_MAX: Final = 64

SNAPSHOTS: Final = pa.schema(
    [*WHO, ("kind", pa.string()), ("at_us", pa.int64()), ("body", pa.string()), *FROM]
)
HEALTH: Final = pa.schema(
    [
        *WHO,
        ("at_us", pa.int64()),
        ("name", pa.string()),
        ("number", pa.int64()),
        ("text", pa.string()),
        *FROM,
    ]
)


def read_snapshots(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the snapshots of a batch: {kind, at_us, body}, often none.

    Raises:
        PeerError: One of them is not what the data catalogue says of its kind.
    """
    listed = record.get("snapshots", [])
    if not isinstance(listed, list) or len(listed) > SNAPSHOTS_MAX:
        raise PeerError("The batch has no valid list of snapshots.", "batch-snapshots")
    return [_snapshot(each) for each in listed]


def read_health(record: Mapping[str, Any]) -> dict[str, int | str]:
    """Returns what a box says of its own health: name → number or text, often nothing.

    Raises:
        PeerError: It is no small flat map.
    """
    told = record.get("health", {})
    if not isinstance(told, dict) or not _is_flat(told, HEALTH_MAX):
        raise PeerError("The health in the batch is no small map.", "batch-health")
    return told


def health_rows(told: Mapping[str, int | str], at_us: int) -> list[dict[str, Any]]:
    """Lays health out: one row a name."""
    return [
        {
            "at_us": at_us,
            "name": name,
            "number": value if isinstance(value, int) else None,
            "text": value if isinstance(value, str) else None,
        }
        for name, value in told.items()
    ]


def snapshot_rows(snapshots: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Lays snapshots out: the fields of a kind are one JSON, in order of their names."""
    return [
        {**each, "body": json.dumps(each["body"], ensure_ascii=False, sort_keys=True)}
        for each in snapshots
    ]


def _snapshot(told: object) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise PeerError("A snapshot of the batch is not a map.", "batch-snapshots")
    kind, at_us = text(told, "kind"), integer(told, "at_us", 0, TIME_US_MAX)
    body = {name: value for name, value in told.items() if name not in {"kind", "at_us"}}
    if kind not in KINDS or not all(isinstance(name, str) for name in body):
        raise PeerError(f"{kind} is no kind of snapshot.", "batch-snapshots")
    try:
        check_body(kind, body)
    except LocalError as error:
        raise PeerError(str(error), "batch-snapshots") from error
    if not all(_is_field(value) for value in body.values()):
        raise PeerError(f"A field of the snapshot {kind} is too large or odd.", "batch-snapshots")
    return {"kind": kind, "at_us": at_us, "body": body}


def _is_field(value: object) -> bool:
    if isinstance(value, list):
        return len(value) <= ITEMS_MAX and all(map(_is_single, value))
    return _is_flat(value, ITEMS_MAX) if isinstance(value, dict) else _is_single(value)


def _is_flat(told: Mapping[Any, Any], items_max: int) -> bool:
    return len(told) <= items_max and all(
        is_text(name) and _is_single(value) for name, value in told.items()
    )


def _is_single(value: object) -> bool:
    return is_integer(value) or is_text(value)
