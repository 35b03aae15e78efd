"""What the story must end in, and the one line that says whether it did.

Place in the flow: reports of core, gateway and kiosk → **figures** → last line of the demo, tests.

* Figures come from the core's report and the gateway's last line; nothing is counted twice here.
* A figure that differs stops the story with what was expected and what was seen.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Surprise(Exception):  # noqa: N818 - that is what it is
    """Something came out differently; the text says what was expected and what was seen."""

    def __init__(self, claim: str, expected: object, seen: object) -> None:
        super().__init__(f"{claim}\n  expected: {expected}\n  seen:     {seen}")


def expect(claim: str, expected: object, seen: object) -> None:
    """Stops the story when a figure is not the expected one.

    Raises:
        Surprise: They differ.
    """
    if expected != seen:
        raise Surprise(claim, expected, seen)


def expect_at_least(claim: str, least: int, seen: int) -> None:
    """Stops the story when a figure is too small.

    Raises:
        Surprise: It is.
    """
    if seen < least:
        raise Surprise(claim, f"at least {least}", seen)


def last_json(text: str) -> dict[str, Any]:
    """Returns the JSON object that a program printed as its last line of that kind.

    Raises:
        Surprise: It printed none.
    """
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            found = json.loads(line)
            assert isinstance(found, dict)
            return found
    raise Surprise("a program ends with a line of JSON", "{...}", text[-500:])


def sum_up(
    gateway: Mapping[str, Any],
    grade: Mapping[str, Any],
    reasons_sum: int,
    report: Mapping[str, Any],
) -> dict[str, Any]:
    """Draws the figures of a whole story together.

    Args:
        gateway: The last line of `lastmile-gateway run`.
        grade: `lastmile-core grade --json`.
        reasons_sum: Base and points as they were printed, added up.
        report: `lastmile-core report --json`.
    """
    core, telemetry = report["core"], report["telemetry"]
    return {
        "frames": telemetry["frames"],
        "samples": telemetry["samples"],
        "bytes_per_sample": round(gateway["sealed_bytes"] / gateway["samples"], 3),
        "events": telemetry["events"],
        "grade": grade["grade"],
        "score": grade["score"],
        "reasons_sum": reasons_sum,
        "entries": core["entries"],
        "lost": core["lost"] + telemetry["lost"],
        "double": core["double"] + telemetry["double"],
        "ledger_sum": core["ledger_sum_fen"],
    }
