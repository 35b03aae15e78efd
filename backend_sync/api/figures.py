"""What the bank's people ask a core: a driver's grade with its reasons, and whether all adds up.

Place in the flow: `lastmile-core grade | report` → **figures** → credit, reconcile, telemetry.

* Figures are derived anew at every call; nothing here is counted along the way.
* What a person reads and what `--json` prints come from the same values.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from backend_sync.core.amounts import format_yuan
from backend_sync.core.reconcile import reconcile
from backend_sync.credit.decide import decide_driver
from backend_sync.credit.official import publish_grade
from backend_sync.telemetry.report import count_lake, totals
from edge.errors import LocalError
from edge.points import shipped_document, shipped_table

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from backend_sync.core.command_register import Desk

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def grade(desk: Desk, arguments: Namespace) -> str:
    """Grades a driver by the shipped table, stores the decision, and tells the driver's boxes.

    Raises:
        LocalError: `--as-of` is no instant.
    """
    as_of_us = parse_instant(arguments.as_of) if arguments.as_of else desk.now_us()
    lake = desk.config.lake.dir
    record = decide_driver(desk.connection, lake, shipped_table(), arguments.driver, as_of_us)
    if arguments.publish:
        told = publish_grade(desk.connection, desk.keys.core, record, shipped_document())
        record = {**record, "told": told}
    return to_json(record) if arguments.json else describe_grade(record)


def report(desk: Desk, arguments: Namespace) -> str:
    """Draws up the state of ledger, sync and telemetry."""
    figures = read_figures(desk)
    return to_json(figures) if arguments.json else describe_figures(figures)


def read_figures(desk: Desk) -> dict[str, Any]:
    """Returns {"core": the books, "telemetry": what is stored, and what the lake's files hold}."""
    stored = totals(desk.connection)
    counted = count_lake(desk.config.lake.dir)
    agree = all(stored[name] == counted[name] for name in ("samples", "events"))
    return {
        "core": reconcile(desk.connection).as_dict(),
        "telemetry": {**stored, **counted, "lake_agrees": agree},
    }


def parse_instant(text: str) -> int:
    """Returns microseconds UTC of an ISO 8601 instant that names its offset.

    Raises:
        LocalError: No such instant, or without an offset.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise LocalError(
            f"{text!r} is no instant; write one with its offset, such as 2026-11-24T08:00+08:00.",
            "instant",
        )
    return (instant - EPOCH) // timedelta(microseconds=1)


def describe_grade(record: Mapping[str, Any]) -> str:
    """Returns a grade and its reasons for people."""
    lines = [f"{record['subject']}: grade {record['grade']}, {record['score']} points"]
    lines.append(f"  {record['base']:+5d}  everyone begins with")
    lines.extend(
        f"  {reason['points']:+5d}  {reason['en']} ({reason['feature']}: {reason['value']})"
        for reason in record["reasons"]
    )
    if "told" in record:
        lines.append(f"to be told to {', '.join(record['told']) or 'no box'}")
    return "\n".join([*lines, f"decision {record['decision_id']}"])


def describe_figures(figures: Mapping[str, Any]) -> str:
    """Returns the report for people."""
    core, telemetry = figures["core"], figures["telemetry"]
    verdict = "sound" if core["sound"] else "NOT SOUND: a person must look"
    names = ("entries", "posted", "suspense", "declined", "waiting", "lost", "double")
    lines = [f"books      {verdict}, sum {format_yuan(core['ledger_sum_fen'])}"]
    lines.append("journal    " + ", ".join(f"{name} {core[name]}" for name in names))
    for kiosk, fen in core["cash_fen"].items():
        paid = format_yuan(core["paid_out_fen"].get(kiosk, 0))
        lines.append(f"drawer     {kiosk}: {format_yuan(fen)} yuan, paid out {paid}")
    lines.extend(f"exception  {kind}: {count}" for kind, count in core["exceptions"].items())
    lines.extend(f"quarantine {device}" for device in core["quarantined"])
    seen = ("messages", "batches", "samples", "events", "trips", "lost", "double", "quarantined")
    lines.append("telemetry  " + ", ".join(f"{name} {telemetry[name]}" for name in seen))
    return "\n".join(lines)


def to_json(value: object) -> str:
    """Returns a value as JSON, sorted, in the characters of its texts."""
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
