"""Tests of hours at the wheel: allowances, rest, who drove, and clocks that are wrong."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.codec import decode, encode
from tests.unit.vehicle_gateway.yard import SECOND_US, START_US, series
from vehicle_gateway.campaign import default_campaign
from vehicle_gateway.events import Events
from vehicle_gateway.hours import Hours, Sheet
from vehicle_gateway.spans import Second
from vehicle_gateway.ticks import TICK_US

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.columns import Group

MINUTE, HOUR = 60, 3_600
MORNING = START_US // SECOND_US  # 08:30 in Beijing
NIGHT = MORNING + 14 * HOUR  # 22:30
STEP_S = 5
Leg = tuple[str | None, float, int]
"""Who is signed in, km/h, for how many seconds."""


class Box:
    """Hours that are shown a drive, five seconds a step."""

    def __init__(self, at: int = MORNING) -> None:
        self.hours = Hours(default_campaign())
        self.at = at
        self.told: list[dict[str, Any]] = []

    def drive(self, seconds: int, who: str | None = "ann", kmh: float = 50) -> Box:
        for _ in range(0, seconds, STEP_S):
            self._add(self.hours.sign(who))
            tick = self.at * SECOND_US // TICK_US
            self._add(self.hours.step(Second(tick, round(kmh * 1_000 / 3.6), None, None)))
            self.at += STEP_S
        return self

    def stand(self, seconds: int, who: str | None = "ann") -> Box:
        return self.drive(seconds, who, 0)

    def silence(self, seconds: int) -> Box:
        """The box is off, or its clock leaps."""
        self.at += seconds
        return self

    def restart(self) -> Box:
        state = decode(encode(self.hours.state()))
        self.hours = Hours(default_campaign())
        self.hours.restore(state)
        return self

    @property
    def rules(self) -> list[str]:
        return [event["rule"] for event in self.told]

    @property
    def level(self) -> str | None:
        alerts = self.hours.alerts()
        return alerts[0].level if alerts else None

    def _add(self, event: dict[str, Any] | None) -> None:
        self.told += [event] if event else []


# ------------------------------------------------------------------ allowances
def test_four_hours_by_day_are_allowed_and_more_is_told_at_the_next_stop() -> None:
    box = Box().drive(4 * HOUR - MINUTE)
    assert box.level == "warn"
    box.drive(11 * MINUTE)
    assert box.level == "alarm"
    assert not box.told
    box.stand(2 * MINUTE)
    (event,) = box.told
    assert (event["kind"], event["rule"], event["unit"]) == ("fatigue", "fatigue-day", "s")
    assert event["start_us"] == pytest.approx((MORNING + 4 * HOUR) * SECOND_US, abs=31 * SECOND_US)
    assert event["peak"] == pytest.approx(4 * HOUR + 10 * MINUTE, abs=2 * STEP_S)


def test_the_warning_comes_half_an_hour_before() -> None:
    assert Box().drive(3 * HOUR + 29 * MINUTE).level is None
    assert Box().drive(3 * HOUR + 31 * MINUTE).level == "warn"


def test_how_much_driving_is_left_is_known_until_the_next_stop() -> None:
    box = Box().drive(3 * HOUR)
    assert box.hours.left_s == pytest.approx(HOUR, abs=60)
    assert box.drive(HOUR + 10 * MINUTE).hours.left_s == 0
    assert box.stand(5 * MINUTE).hours.left_s is None


def test_twenty_minutes_of_rest_begin_anew_and_less_does_not() -> None:
    rested = Box().drive(3 * HOUR).stand(21 * MINUTE).drive(3 * HOUR).stand(5 * MINUTE)
    assert not rested.told
    hurried = Box().drive(3 * HOUR).stand(15 * MINUTE).drive(2 * HOUR).stand(5 * MINUTE)
    assert hurried.rules == ["fatigue-day"]


def test_a_short_break_is_not_counted_as_driving() -> None:
    box = Box()
    for _ in range(12):
        box.drive(18 * MINUTE).stand(10 * MINUTE)
    assert not box.told  # 3.8 h at the wheel within 5.6 h


def test_two_hours_by_night_are_enough() -> None:
    assert Box(NIGHT).drive(2 * HOUR + 10 * MINUTE).stand(2 * MINUTE).rules == ["fatigue-night"]
    assert not Box().drive(2 * HOUR + 10 * MINUTE).stand(2 * MINUTE).told


def test_eight_hours_in_a_day_are_told_though_each_stint_was_short() -> None:
    box = Box(MORNING - 2 * HOUR)
    for _ in range(3):
        box.drive(165 * MINUTE).stand(25 * MINUTE)
    assert box.rules == ["fatigue-24h"]


def test_a_day_later_the_day_counts_no_more() -> None:
    box = Box(MORNING).drive(3 * HOUR).stand(30 * MINUTE).drive(3 * HOUR).stand(5 * MINUTE)
    box.silence(22 * HOUR).stand(MINUTE).drive(3 * HOUR).stand(5 * MINUTE)
    assert not box.told


def test_forty_four_hours_in_a_week_are_told() -> None:
    box = Box(MORNING)
    for _ in range(6):
        box.drive(220 * MINUTE).stand(30 * MINUTE).drive(220 * MINUTE).stand(5 * MINUTE)
        box.silence(24 * HOUR - 475 * MINUTE)
    assert set(box.rules) == {"fatigue-7d"} or not box.told
    box.stand(MINUTE).drive(40 * MINUTE).stand(5 * MINUTE)
    assert box.rules[-1] == "fatigue-7d"


def test_a_stint_that_began_before_the_day_counts_by_its_share() -> None:
    sheet = Sheet([[0, 4 * HOUR, 3 * HOUR, 0]])
    assert sheet.within(4 * HOUR, 24 * HOUR) == 3 * HOUR
    assert sheet.within(26 * HOUR, 24 * HOUR) == 3 * HOUR // 2
    assert sheet.within(28 * HOUR, 24 * HOUR) == 0


# ------------------------------------------------------------------ who drives
def test_two_drivers_who_take_turns_are_each_within_their_hours() -> None:
    box = Box().drive(3 * HOUR, "ann").stand(MINUTE, "ann")
    box.drive(3 * HOUR, "bob").stand(MINUTE, "bob").drive(3 * HOUR, "ann").stand(5 * MINUTE, "ann")
    assert not box.told


def test_who_signs_in_next_does_not_answer_for_the_one_before() -> None:
    box = Box().drive(5 * HOUR, "ann").drive(MINUTE, "bob").stand(5 * MINUTE, "bob")
    assert not box.told
    assert box.level is None


def test_who_signs_out_leaves_an_event_of_the_vehicle() -> None:
    assert Box().drive(5 * HOUR, "ann").stand(5, None).rules == ["fatigue-day"]


def test_a_clock_without_a_driver_runs_too() -> None:
    assert Box().drive(4 * HOUR + 9 * MINUTE, None).stand(2 * MINUTE, None).rules == ["fatigue-day"]


def test_the_state_names_nobody_but_tags_and_stays_small() -> None:
    box = Box()
    for number in range(40):
        box.drive(MINUTE, f"{number:016x}")
    state = box.hours.state()
    assert len(state["sheets"]) <= 8
    for _ in range(300):
        box.drive(MINUTE).stand(21 * MINUTE)
    assert len(encode(box.hours.state())) < 4_000


# ------------------------------------------------------------------ clocks
LEAPS = {"a year on": 365 * 86_400, "ten years back": -3_650 * 86_400, "an hour on": HOUR}


@pytest.mark.parametrize("leap", LEAPS.values(), ids=LEAPS.keys())
def test_a_clock_that_leaps_while_driving_neither_adds_nor_forgets(leap: int) -> None:
    box = Box().drive(3 * HOUR + 50 * MINUTE).silence(leap).drive(5 * MINUTE)
    box.stand(2 * MINUTE)
    assert not box.told
    box.drive(10 * MINUTE).stand(2 * MINUTE)
    assert len(box.told) == 1


def test_a_night_with_the_box_off_is_rest() -> None:
    box = Box().drive(3 * HOUR + 50 * MINUTE).stand(10).silence(20 * HOUR).restart()
    box.stand(10).drive(3 * HOUR).stand(2 * MINUTE)
    assert not box.told


def test_a_stop_that_was_lost_with_the_power_is_rest_if_the_vehicle_stands_at_the_start() -> None:
    box = Box().drive(3 * HOUR + 50 * MINUTE).silence(20 * HOUR).restart()
    box.stand(10).drive(3 * HOUR).stand(2 * MINUTE)
    assert not box.told


def test_a_restart_while_driving_forgets_nothing() -> None:
    box = Box().drive(3 * HOUR).restart().drive(HOUR).restart().drive(5 * MINUTE).restart()
    assert box.stand(2 * MINUTE).rules == ["fatigue-day"]


legs = st.lists(
    st.tuples(st.sampled_from(["ann", "bob", None]), st.sampled_from([0, 50]), st.integers(1, 90)),
    min_size=1,
    max_size=10,
)


@given(legs, st.sets(st.integers(0, 9)))
def test_restarts_change_nothing(drives: list[Leg], cuts: set[int]) -> None:
    whole, cut = Box(NIGHT - HOUR), Box(NIGHT - HOUR)
    for number, (who, kmh, minutes) in enumerate(drives):
        whole.drive(minutes * MINUTE, who, kmh)
        cut.drive(minutes * MINUTE, who, kmh)
        if number in cuts:
            cut.restart()
    assert cut.told == whole.told
    assert encode(cut.hours.state()) == encode(whole.hours.state())


@given(legs)
def test_nobody_has_driven_longer_than_the_drive(drives: list[Leg]) -> None:
    box = Box()
    for who, kmh, minutes in drives:
        box.drive(minutes * MINUTE, who, kmh)
    sheets = box.hours.state()["sheets"].values()
    assert sum(stint[2] for stints in sheets for stint in stints) <= box.at - MORNING
    for stints in sheets:
        assert all(start <= end for start, end, _, _ in stints)
        assert all(one[1] <= two[0] for one, two in pairwise(stints))


# ------------------------------------------------------------------ within the events
def windows(seconds: int) -> Iterator[list[Group]]:
    """A drive at one sample in two seconds, in windows of ten."""
    for start in range(0, seconds, 10):
        yield [series("Vehicle.Speed", [50.0] * 5, 2 * SECOND_US, START_US + start * SECOND_US)]


def test_events_tell_fatigue_and_warn_of_it() -> None:
    events = Events(default_campaign())
    for window in windows(4 * HOUR + 5 * MINUTE):
        assert not events.feed(window, "00ff")
    assert [(alert.kind, alert.level) for alert in events.alerts()] == [("fatigue", "alarm")]
    state = events.state()
    assert "00ff" in state["hours"]["sheets"]
    for who, told in (("00ff", 1), (None, 1), ("00aa", 0)):
        ended = Events(default_campaign())
        ended.restore(state)
        assert len(ended.finish(who)) == told
