"""What a campaign wants collected, as data: rows of signals, triggers, and a budget.

Place in the flow: campaign file or signed message → **wanted** (checks) → collect.

    signals     the first row that names a signal says how often it is kept; no row, not at all
    triggers    a condition or an event, around which everything is kept at its full rate
    budget      sealed bytes a day; what is less important goes first

* A path is that of the data catalogue, or a family of it: `Vehicle.OBD.*` is all below it.
* What names nothing, contradicts itself or is out of its range is refused with the campaign.
* Whole milliseconds and seconds: a signature covers exactly what acts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from edge.catalogue import signals
from edge.errors import LocalError
from vehicle_gateway.expression import read_condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FAMILY: Final = ".*"
ROWS: Final = (1, 64)
TRIGGERS_MAX: Final = 16
PATHS: Final = (1, 200)
NAME_CHARACTERS: Final = (1, 40)
INTERVAL_MS: Final = (0, 3_600_000)
HEARTBEAT_S: Final = (0, 3_600)
PRE_S: Final = (0, 60)
POST_S: Final = (0, 300)
PAUSE_S: Final = (0, 86_400)
PRIORITY: Final = (1, 9)
BYTES_PER_DAY_MAX: Final = 1 << 40
OCCASIONS: Final = frozenset(
    {
        "harsh-brake",
        "harsh-acceleration",
        "harsh-cornering",
        "overspeed",
        "fatigue",
        "night-ban",
        "idling",
        "route-deviation",
        "geofence",
        "collision",
        "rollover",
        "door-open-moving",
        "seat-belt",
        "dtc",
    }
)
"""What a trigger may wait for: the kinds of events, and fault codes."""


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often the signals of a row are kept.

    Attributes:
        paths: Paths or families.
        interval_ms: At most one sample in each of these; 0 keeps every one.
        heartbeat_s: Where it is not 0, what has not changed is kept again only after so long.
        when: Condition under which they are kept; empty for always.
        priority: 1 is the last to be thinned when the budget runs out, 9 the first.
        skip: Keeps none of them, whatever a later row says.
    """

    paths: list[str]
    interval_ms: int = 0
    heartbeat_s: int = 0
    when: str = ""
    priority: int = 5
    skip: bool = False


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Around which instants signals are kept at their full rate.

    Attributes:
        name: For people.
        paths: Paths or families.
        when: Condition that starts it by becoming true; or
        event: kind of an event, from whose start to whose end it reaches.
        pre_s: How long before.
        post_s: How long after.
        pause_s: It does not start again before so long after its start.
        priority: As that of a row.
    """

    name: str
    paths: list[str]
    when: str = ""
    event: str = ""
    pre_s: int = 0
    post_s: int = 0
    pause_s: int = 0
    priority: int = 3


class Collect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `collect` section of a campaign.

    Attributes:
        signals: Rows, the first that names a signal decides.
        bytes_per_day: Sealed bytes a day, 0 for no limit.
    """

    signals: list[Row]
    triggers: list[Trigger] = []
    bytes_per_day: int = 0


def check_collect(collect: Collect) -> None:
    """Checks all that the types do not say.

    Raises:
        LocalError: Something names nothing, contradicts itself, or is out of its range.
    """
    _require(len(collect.signals), ROWS, "rows of signals")
    _require(len(collect.triggers), (0, TRIGGERS_MAX), "triggers")
    _require(collect.bytes_per_day, (0, BYTES_PER_DAY_MAX), "bytes_per_day")
    for row in collect.signals:
        _check_row(row)
    for trigger in collect.triggers:
        _check_trigger(trigger)
    names = [trigger.name for trigger in collect.triggers]
    if len(set(names)) < len(names):
        raise _wrong("two triggers have one name")


def ids_of(paths: Iterable[str]) -> frozenset[int]:
    """Returns the signals that paths and families name.

    Raises:
        LocalError: One of them names nothing in the data catalogue.
    """
    return frozenset(identity for path in paths for identity in _named(path))


def _named(path: str) -> Sequence[int]:
    if path.endswith(FAMILY):
        stem = path.removesuffix("*")
        found = [spec.id for spec in signals() if spec.path.startswith(stem)]
    else:
        found = [spec.id for spec in signals() if spec.path == path]
    if not found:
        raise _wrong(f"{path!r} names no signal of the data catalogue")
    return found


def _check_row(row: Row) -> None:
    _require(len(row.paths), PATHS, "paths of a row")
    _require(row.interval_ms, INTERVAL_MS, "interval_ms")
    _require(row.heartbeat_s, HEARTBEAT_S, "heartbeat_s")
    _require(row.priority, PRIORITY, "priority")
    ids_of(row.paths)
    if row.when:
        read_condition(row.when)


def _check_trigger(trigger: Trigger) -> None:
    _require(len(trigger.name), NAME_CHARACTERS, "characters of a trigger's name")
    _require(len(trigger.paths), PATHS, "paths of a trigger")
    _require(trigger.pre_s, PRE_S, "pre_s")
    _require(trigger.post_s, POST_S, "post_s")
    _require(trigger.pause_s, PAUSE_S, "pause_s")
    _require(trigger.priority, PRIORITY, "priority")
    ids_of(trigger.paths)
    if bool(trigger.when) == bool(trigger.event):
        raise _wrong(f"trigger {trigger.name!r} needs either a condition or an event")
    if trigger.when:
        read_condition(trigger.when)
    elif trigger.event not in OCCASIONS:
        known = ", ".join(sorted(OCCASIONS))
        raise _wrong(f"trigger {trigger.name!r} waits for no event of ours; use {known}")


def _require(value: int, bounds: tuple[int, int], what: str) -> None:
    low, high = bounds
    if not low <= value <= high:
        raise _wrong(f"{what}: from {low} to {high}, not {value}")


def _wrong(why: str) -> LocalError:
    return LocalError(f"What is to be collected is refused: {why}.", "collect-refused")
