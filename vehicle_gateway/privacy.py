"""What a batch may hold of a drive to which nobody has agreed: what keeps a vehicle safe.

Place in the flow: decode → events → trips → **privacy** → record, seal. `batch` asks it for every
message that it seals.

    with a live consent        everything that was decoded
    without                    class V and T signals, one value each in a window;
                               events of the vehicle, not of its driver; snapshots; no trip

* The classes stand in the data catalogue (`edge/catalogue.toml`): position, acceleration and what
  a driver's foot and hand do are class P; speed, distance, doors, faults and voltage are not.
* Speed at its full rate would show every brake again, so one value of ten seconds is kept: enough
  to see that a vehicle moves, too few to see how it is driven.
* A trip says when somebody set out and arrived: without a consent there is none, and no summary.
* Sources: PIPL articles 6 (smallest scope), 13 and 14 (consent), 28 and 29 (whereabouts are
  sensitive and need a consent of their own); Several Provisions on Automotive Data Security
  Management (2021), article 6 (not collected by default, no finer than needed).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edge.catalogue import load_catalogue
from edge.columns import Group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vehicle_gateway.record import Part

PERSONAL: Final = "P"
VEHICLE_EVENTS: Final = frozenset({"collision", "rollover", "door-open-moving"})
"""What may have hurt passengers; all other events are judgements of how somebody drives."""


def allowed(groups: Sequence[Group], driver: str | None) -> list[Group]:
    """Returns the samples of a window that may be kept.

    Args:
        groups: Of one window, or of a part of it.
        driver: Whose consent lives, or None.
    """
    if driver is not None:
        return list(groups)
    return [found for group in groups if (found := _of_vehicle(group)).series]


def allowed_part(part: Part, driver: str | None) -> Part | None:
    """Returns what may be sealed of a message, None where nothing is left to say."""
    if driver is not None:
        return part
    if part.summary is not None:
        return None
    events = [each for each in part.events if each["kind"] in VEHICLE_EVENTS]
    if part.events and not (events or part.groups or part.snapshots or part.health):
        return None
    return replace(part, trip=None, groups=allowed(part.groups, None), events=events)


def is_personal(signal: int) -> bool:
    """Says whether a signal tells how or where a person drives."""
    return load_catalogue().by_id[signal].law.data_class == PERSONAL


def _of_vehicle(group: Group) -> Group:
    """The last value of each signal that is not personal, absent elsewhere."""
    last = {
        signal: place
        for signal, values in group.series.items()
        if not is_personal(signal) and (place := _last(values)) is not None
    }
    places = sorted(set(last.values()))
    return Group(
        [group.times_us[place] for place in places],
        {
            signal: [group.series[signal][place] if place == own else None for place in places]
            for signal, own in last.items()
        },
    )


def _last(values: Sequence[int | None]) -> int | None:
    return next((p for p in reversed(range(len(values))) if values[p] is not None), None)
