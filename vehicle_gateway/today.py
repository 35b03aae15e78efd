"""Today's driving features of the driver at the box, as the core will compute them.

Place in the flow: decode, events, trips → **today** → cabin, which grades them by the points table.

* The definitions are those of `backend_sync/telemetry/features.py` for the same samples: spans
  between neighbouring values of `Vehicle.Speed` of one trip, at most `GAP_US` long; exact integers,
  one division last; times as they are sent (`cadence`). A test drives both over one drive and
  compares. Where a campaign collects less of the speed, the core sees less, and this does not.
* Only with a live consent: what a driver did before it, or drives without one, is not counted.
* Kept under the driver's tag, for `DRIVERS_MAX` of them, and until midnight in China: it is the
  driver's own screen, and no record.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal
from vehicle_gateway.cadence import evened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.columns import Group

GAP_US: Final = 10_000_000
KM_MIN: Final = 1.0
IDLE_BELOW_KMH: Final = 3
HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
CHINA_OFFSET_US: Final = 8 * HOUR_US
NIGHT_FROM_US: Final = 22 * HOUR_US
NIGHT_UNTIL_US: Final = 6 * HOUR_US
DRIVERS_MAX: Final = 8
SUMS: Final = (
    *("distance", "driven_us", "idle_us", "night_us"),
    *("brakes", "accelerations", "overspeed_us"),
)
COUNTED: Final = {"harsh-brake": "brakes", "harsh-acceleration": "accelerations"}


class Today:
    """Sums of one day by driver."""

    def __init__(self) -> None:
        self._speed = signal("Vehicle.Speed")
        self._day = 0
        self._sums: dict[str, dict[str, int]] = {}
        self._last: list[int] = []  # time and raw speed of the last sample
        self._place = ""  # whose it is: tag and trip

    def feed(
        self,
        groups: Sequence[Group],
        events: Sequence[Mapping[str, Any]],
        trip: str | None,
        tag: str | None,
    ) -> None:
        """Takes a window in.

        Args:
            groups: What was decoded.
            events: That have ended in it.
            trip: That it belongs to.
            tag: Of the driver whose consent lives, else None.
        """
        samples = self._samples(groups)
        self._turn(max([time for time, _ in samples[-1:]] + [e["end_us"] for e in events] + [0]))
        place = f"{tag}/{trip}"
        if place != self._place:
            self._place, self._last = place, []
        if tag is None:
            self._last = []
            return
        sums = self._sums_of(tag)
        self._drive(sums, samples)
        for event in events:
            self._incident(sums, event)

    def features(self, tag: str, now_us: int) -> dict[str, float | None]:
        """Returns the features by name, None where unknown; those of another day are gone."""
        sums = self._sums.get(tag) if _day(now_us) == self._day else None
        if sums is None or not sums["driven_us"]:
            return {}
        scale = self._speed
        km = float(sums["distance"]) * scale.numerator / (2.0 * scale.denominator * HOUR_US)
        hours = float(sums["driven_us"])
        per_100km = 100.0 / km if km >= KM_MIN else None
        return {
            "km": km,
            "hours": hours / HOUR_US,
            "harsh_brakes_per_100km": per_100km and sums["brakes"] * per_100km,
            "harsh_accelerations_per_100km": per_100km and sums["accelerations"] * per_100km,
            "overspeed_share": sums["overspeed_us"] / hours,
            "idle_share": sums["idle_us"] / hours,
            "night_share": sums["night_us"] / hours,
        }

    def forget(self, tag: str) -> None:
        """Drops what a driver did today: they have withdrawn."""
        self._sums.pop(tag, None)

    def state(self) -> dict[str, Any]:
        """Returns all that the next window depends on."""
        return {
            "day": self._day,
            "place": self._place,
            "last": list(self._last),
            "sums": {tag: [sums[name] for name in SUMS] for tag, sums in self._sums.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned; one of an earlier release has nothing."""
        self._day, self._place = state.get("day", 0), state.get("place", "")
        self._last = list(state.get("last", []))
        self._sums = {
            tag: dict(zip(SUMS, values, strict=True))
            for tag, values in state.get("sums", {}).items()
        }

    # ------------------------------------------------------------ inside
    def _samples(self, groups: Sequence[Group]) -> list[tuple[int, int]]:
        return sorted(
            (time, raw)
            for group in evened(each for each in groups if self._speed.id in each.series)
            for time, raw in zip(group.times_us, group.series.get(self._speed.id, ()), strict=False)
            if raw is not None
        )

    def _turn(self, now_us: int) -> None:
        """Begins a new day; a clock that went back begins one too."""
        if now_us and _day(now_us) != self._day:
            self._day, self._sums, self._last = _day(now_us), {}, []

    def _sums_of(self, tag: str) -> dict[str, int]:
        if tag not in self._sums:
            while len(self._sums) >= DRIVERS_MAX:
                del self._sums[next(iter(self._sums))]
            self._sums[tag] = dict.fromkeys(SUMS, 0)
        return self._sums[tag]

    def _drive(self, sums: dict[str, int], samples: Sequence[tuple[int, int]]) -> None:
        if not samples:
            return
        known = [(self._last[0], self._last[1]), *samples] if self._last else samples
        scale = self._speed
        for (time, raw), (later, following) in pairwise(known):
            span = later - time
            if not 0 < span <= GAP_US:
                continue
            both = raw + following
            sums["driven_us"] += span
            sums["distance"] += both * span
            if both * scale.numerator < 2 * IDLE_BELOW_KMH * scale.denominator:
                sums["idle_us"] += span
            if _at_night(time):
                sums["night_us"] += span
        self._last = list(samples[-1])

    def _incident(self, sums: dict[str, int], event: Mapping[str, Any]) -> None:
        name = COUNTED.get(event["kind"])
        if name is not None:
            sums[name] += 1
        if event["kind"] == "overspeed":
            sums["overspeed_us"] += event["end_us"] - event["start_us"]


def _day(time_us: int) -> int:
    return (time_us + CHINA_OFFSET_US) // DAY_US


def _at_night(time_us: int) -> bool:
    of_day = (time_us + CHINA_OFFSET_US) % DAY_US
    return of_day >= NIGHT_FROM_US or of_day < NIGHT_UNTIL_US
