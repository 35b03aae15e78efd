"""Hours at the wheel, per driver: how long without rest, in a day, in a week.

Place in the flow: motion → **hours** → events. The state lies in the checkpoint of a window, so it
outlives restarts; drivers are keyed tags, never names or pseudonyms.

Theory of operation. Time runs on a line of the box's own: it goes on by the data's time between
two seconds that follow one another, and by a silence if the vehicle stood before or after it. A
silence between driving and driving is a leap of the clock, or a sensor that was away: it moves the
line by nothing, so it neither adds driving nor counts as rest, and what was driven before keeps its
distance to the present. A clock that is set back moves it by nothing either.

    stint     driving with breaks shorter than `rest_ms`: [start, end, seconds driven, by night]
    a driver  the present stint and those of seven days, at most `STINTS_MAX`

* A stop counts as driving for `stop_ms`: traffic lights and gates are no break.
* An event covers what is driven beyond an allowance without a longer stop; it is told at that stop,
  while the one who drove is still signed in, and never to whoever signs in next.
* Sums of a day and a week take a stint that only partly lies in them by its share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vehicle_gateway.spans import Alert, Event, Second, event, is_between
from vehicle_gateway.ticks import TICK_MS, TICK_US, mmps_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vehicle_gateway.campaign import Campaign

NOBODY: Final = ""
"""Who drives while nobody is signed in: the vehicle's own clock."""
SECOND_TICKS: Final = 1_000 // TICK_MS
STEP_S_MAX: Final = 10
"""Two seconds that are further apart bound a silence."""
DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S
STINTS_MAX: Final = 96
DRIVERS_MAX: Final = 8
LOOK_S: Final = 30
"""How often the sums of day and week are made anew."""

Stint = list[int]


class Sheet:
    """What one driver drove in seven days, on the line of the box."""

    def __init__(self, stints: list[Stint] | None = None) -> None:
        self.stints: list[Stint] = stints or []

    @property
    def last(self) -> int:
        """When it was driven last, on the line of the box."""
        return self.stints[-1][1] if self.stints else 0

    def drive(self, now: int, seconds: int, rest: int, *, night: bool) -> None:
        """Adds driving that ends now; after a rest it begins a stint."""
        if not self.stints or now - seconds - self.stints[-1][1] >= rest:
            self.stints.append([now - seconds, now, 0, 0])
            self.stints = [each for each in self.stints if now - each[1] < WEEK_S][-STINTS_MAX:]
        stint = self.stints[-1]
        stint[1] = now
        stint[2] += seconds
        stint[3] += seconds * night

    def present(self, now: int, rest: int) -> tuple[int, int]:
        """Seconds since the last rest, and how many of them by night."""
        if not self.stints or now - self.stints[-1][1] >= rest:
            return 0, 0
        return self.stints[-1][2], self.stints[-1][3]

    def within(self, now: int, span: int) -> int:
        """Seconds driven in the last `span`."""
        total = 0
        for start, end, driven, _ in self.stints:
            inside = end - max(start, now - span)
            if inside >= end - start:
                total += driven
            elif inside > 0:
                total += driven * inside // (end - start)
        return total


class Hours:
    """Watches for driving beyond what is allowed without rest, in a day and in a week."""

    def __init__(self, campaign: Campaign) -> None:
        figures = campaign.figures("fatigue")
        night = campaign.figures("overspeed")
        self._night = night["night_from_h"], night["night_until_h"]
        self._least = mmps_of(figures["speed_kmh_min"])
        self._rest, self._stop = figures["rest_ms"] // 1_000, figures["stop_ms"] // 1_000
        self._warn = figures["warn_ms"] // 1_000
        self._allowed = {
            "fatigue-day": figures["day_ms"] // 1_000,
            "fatigue-night": figures["night_ms"] // 1_000,
            "fatigue-24h": figures["daily_ms"] // 1_000,
            "fatigue-7d": figures["weekly_ms"] // 1_000,
        }
        self._sheets: dict[str, Sheet] = {}
        self._driver = NOBODY
        self._now = self._last = self._looked = 0
        self._stood = self._stop + 1  # what has not driven yet is no traffic stop
        self._open: list[Any] = []  # rule, ticks of start and end, seconds driven
        self._near: list[Any] = []  # level and tick since when, of the alert
        self.left_s: int | None = None  # until the next rest is due, as of the last look

    def sign(self, driver: str | None) -> Event | None:
        """Says who drives from now on; what the one before did is told only if nobody does.

        Returns:
            Driving beyond an allowance that has ended with it.
        """
        if (driver or NOBODY) == self._driver:
            return None
        ended = self._tell()
        self._driver, self._looked = driver or NOBODY, 0
        return None if driver else ended

    def step(self, second: Second) -> Event | None:
        """Takes a second in; returns driving beyond an allowance that has ended with it."""
        if second.speed_mmps is None:
            return None
        moves = second.speed_mmps >= self._least
        passed = self._pass(second.number, moves=moves)
        self._stood = 0 if moves else self._stood + passed
        ended = None
        if self._stood <= self._stop:
            night = is_between(second.number, *self._night)
            self._sheet().drive(self._now, passed, self._rest, night=night)
        else:
            ended = self._tell()
        if moves and (self._now >= self._looked + LOOK_S or self._open):
            self._look(second.number)
        return ended

    def finish(self) -> Event | None:
        """Ends what is going on; what was driven stays."""
        return self._tell()

    def alerts(self) -> list[Alert]:
        """Driving near an allowance, or beyond it."""
        return [Alert("fatigue", self._near[0], self._near[1] * TICK_US)] if self._near else []

    def state(self) -> dict[str, Any]:
        """Returns all that the next second depends on."""
        return {
            "now": [self._now, self._last, self._stood, self._looked],
            "driver": self._driver,
            "open": list(self._open),
            "near": list(self._near),
            "sheets": {tag: [list(s) for s in sheet.stints] for tag, sheet in self._sheets.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._now, self._last, self._stood, self._looked = state["now"]
        self._driver = state["driver"]
        self._open, self._near = list(state["open"]), list(state["near"])
        self._sheets = {
            tag: Sheet([list(stint) for stint in stints]) for tag, stints in state["sheets"].items()
        }

    # ------------------------------------------------------------ inside
    def _pass(self, number: int, *, moves: bool) -> int:
        """Moves the line on; returns the seconds that count since the one before."""
        passed = (number - self._last) // SECOND_TICKS if self._last else 0
        if 0 <= passed <= STEP_S_MAX:
            self._last += passed * SECOND_TICKS if self._last else number
            self._now += passed
            return passed
        self._last = number
        if passed > 0 and not (moves and self._stood == 0):
            self._now += passed
            self._stood = self._stop + 1
        return 0

    def _sheet(self) -> Sheet:
        """The sheet of whoever drives; that of the one who has not driven for longest may go."""
        sheet = self._sheets.setdefault(self._driver, Sheet())
        if len(self._sheets) > DRIVERS_MAX:
            others = [tag for tag in self._sheets if tag != self._driver]
            del self._sheets[min(others, key=lambda tag: (self._sheets[tag].last, tag))]
        return sheet

    def _look(self, number: int) -> None:
        """Compares what was driven with what is allowed."""
        self._looked = self._now
        sheet = self._sheet()
        driven, by_night = sheet.present(self._now, self._rest)
        done = {
            "fatigue-day": driven,
            "fatigue-night": by_night,
            "fatigue-24h": sheet.within(self._now, DAY_S),
            "fatigue-7d": sheet.within(self._now, WEEK_S),
        }
        left = {rule: self._allowed[rule] - spent for rule, spent in done.items()}
        rule = min(left, key=lambda each: left[each])
        self.left_s = max(0, left[rule])
        if left[rule] < 0:
            if not self._open:
                self._open = [rule, number, number, 0]
            self._open[2:] = [number + 1, max(self._open[3], done[self._open[0]])]
        level = "alarm" if left[rule] < 0 else "warn"
        if left[rule] > self._warn:
            self._near = []
        elif not self._near or self._near[0] != level:
            self._near = [level, number]

    def _tell(self) -> Event | None:
        self._near, self.left_s = [], None
        if not self._open:
            return None
        rule, start, end, driven = self._open
        self._open = []
        return event("fatigue", (start, end), driven, "s", rule=rule)
