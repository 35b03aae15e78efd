"""What a driver's panel is told, as plain maps: whoever shows it needs nothing else.

Place in the flow: cabin → **panel_view** → `DriverPanel` (screen, lights).

* Texts that are data (features and reasons of the points table) come in both languages; words that
  are the panel's own it knows by code.
* A driver who has not agreed has no name here, no grade and no figure.
* Times are what people read, in China's one zone: a state changes when what is shown does.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.drivers import Grade
    from edge.points import PointsTable, Reason, Score
    from vehicle_gateway.alarms import Told

VERSION: Final = 1
CHINA: Final = dt.timezone(dt.timedelta(hours=8))
SHOWN_MAX: Final = 2
SHARE: Final = "_share"
NAME_CHARACTERS_MAX: Final = 12
MILLION: Final = 1_000_000


def clock_of(wall_us: int) -> str:
    """Returns hours and minutes in China."""
    return _local(wall_us).strftime("%H:%M")


def day_of(wall_us: int) -> str:
    """Returns the date in China."""
    return _local(wall_us).date().isoformat()


def _local(wall_us: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(wall_us // MILLION, CHINA)


def view_driver(name: str, *, consented: bool) -> dict[str, Any]:
    """Returns who is signed in, for their own eyes."""
    return {"name": name[:NAME_CHARACTERS_MAX] if consented else "", "consented": consented}


def view_alerts(
    told: Sequence[Told], wall_us: int, driving_left_s: int | None
) -> list[dict[str, Any]]:
    """Returns what goes on, the largest first, with the whole minutes that it has lasted.

    Args:
        told: The largest first.
        wall_us: The present, microseconds UTC.
        driving_left_s: Until the next rest is due; said of fatigue.
    """
    shown = [
        {
            "kind": each.kind,
            "level": each.level,
            "muted": each.muted,
            "minutes": max(0, (wall_us - each.since_us) // (60 * MILLION)),
        }
        for each in told
    ]
    for each in shown:
        if each["kind"] == "fatigue" and driving_left_s is not None:
            each["left_min"] = driving_left_s // 60
    return shown


def view_today(table: PointsTable, score: Score) -> dict[str, Any]:
    """Returns today's grade, the reasons that cost most and what would raise it."""
    km = next((each.value for each in score.reasons if each.feature == "km"), None)
    return {
        "grade": score.grade,
        "score": score.score,
        "km": round(km, 1) if km is not None else None,
        "reasons": [_reason(table, each) for each in score.costly(SHOWN_MAX)],
    }


def view_official(grade: Grade | None) -> dict[str, Any] | None:
    """Returns the core's grade and of when it is."""
    if grade is None:
        return None
    return {"grade": grade.grade, "score": grade.score, "as_of": day_of(grade.as_of_us)}


def _reason(table: PointsTable, reason: Reason) -> dict[str, Any]:
    feature = next(each for each in table.features if each.name == reason.feature)
    assert reason.raise_below is not None, "only what can be raised is shown"
    target = _figure(reason.feature, reason.raise_below)
    now = _figure(reason.feature, reason.value or 0.0)
    return {
        "zh": reason.placed.zh,
        "en": reason.placed.en,
        "cost": reason.cost,
        "raise_points": reason.raise_points,
        "raise_zh": f"{feature.zh}：现在 {now}，降到 {target} 以下可加 {reason.raise_points} 分",
        "raise_en": f"{feature.en}: {now} now, below {target} adds {reason.raise_points} points",
    }


def _figure(feature: str, value: float) -> str:
    return f"{value * 100:.3g}%" if feature.endswith(SHARE) else f"{value:.3g}"
