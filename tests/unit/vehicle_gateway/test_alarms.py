"""Tests of how loud it gets: a warning first, silence for a while, and never for good."""

from __future__ import annotations

from typing import NamedTuple

from vehicle_gateway.alarms import GROW_US, HOUR_US, MUTE_US, MUTES_MAX, Alarms, sound_of


class Going(NamedTuple):
    """What the rules of events tell."""

    kind: str
    level: str
    since_us: int


SPEED, NEAR = Going("overspeed", "warn", 5), Going("fatigue", "warn", 7)


def test_a_warning_that_lasts_becomes_an_alarm() -> None:
    alarms = Alarms()
    assert [each.level for each in alarms.hear([SPEED], 0)] == ["warn"]
    assert [each.level for each in alarms.hear([SPEED], GROW_US - 1)] == ["warn"]
    assert [each.level for each in alarms.hear([SPEED], GROW_US)] == ["alarm"]
    assert alarms.hear([], GROW_US + 1) == []
    assert [each.level for each in alarms.hear([SPEED], GROW_US + 2)] == ["warn"]


def test_a_rest_that_is_near_stays_a_warning_however_long() -> None:
    alarms = Alarms()
    alarms.hear([NEAR], 0)
    assert [each.level for each in alarms.hear([NEAR], 10 * GROW_US)] == ["warn"]


def test_the_louder_stands_first_and_then_the_more_urgent() -> None:
    told = Alarms().hear(
        [NEAR, Going("seat-belt", "alarm", 1), SPEED, Going("door-open-moving", "alarm", 2)], 0
    )
    assert [each.kind for each in told] == [
        *("door-open-moving", "seat-belt"),
        *("overspeed", "fatigue"),
    ]
    assert sound_of(told) == "alarm"


def test_silence_ends_by_itself_and_hides_nothing() -> None:
    alarms = Alarms()
    alarms.hear([NEAR], 0)
    assert alarms.mute(0)
    told = alarms.hear([NEAR], MUTE_US - 1)
    assert (sound_of(told), told[0].muted, told[0].level) == ("", True, "warn")
    assert sound_of(alarms.hear([NEAR], MUTE_US)) == "warn"


def test_what_grows_or_is_new_sounds_in_spite_of_a_silence() -> None:
    alarms = Alarms()
    alarms.hear([SPEED], 0)
    assert alarms.mute(0)
    assert sound_of(alarms.hear([SPEED], 1)) == ""
    assert sound_of(alarms.hear([SPEED, Going("seat-belt", "warn", 9)], 2)) == "warn"
    assert sound_of(alarms.hear([SPEED], GROW_US)) == "alarm"


def test_silence_may_be_asked_for_three_times_an_hour() -> None:
    alarms = Alarms()
    for number in range(MUTES_MAX):
        alarms.hear([NEAR], number * 2 * MUTE_US)
        assert alarms.mute(number * 2 * MUTE_US)
    now_us = MUTES_MAX * 2 * MUTE_US
    alarms.hear([NEAR], now_us)
    assert alarms.mutes_left(now_us) == 0
    assert not alarms.mute(now_us)
    assert sound_of(alarms.hear([NEAR], now_us)) == "warn"
    alarms.hear([NEAR], HOUR_US)
    assert alarms.mutes_left(HOUR_US) == 1
    assert alarms.mute(HOUR_US)


def test_a_touch_while_nothing_sounds_costs_no_silence() -> None:
    alarms = Alarms()
    alarms.hear([], 0)
    assert not alarms.mute(0)
    alarms.hear([NEAR], 0)
    assert alarms.mute(0)
    alarms.hear([NEAR], 1)
    assert not alarms.mute(1)
    assert alarms.mutes_left(1) == MUTES_MAX - 1
