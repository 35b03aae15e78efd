"""Tests of conditions over windows: when they become true, and what a restart remembers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge.codec import decode, encode
from tests.unit.vehicle_gateway.yard import SECOND_US, START_US, series, windows_of
from vehicle_gateway.expression import read_condition
from vehicle_gateway.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vehicle_gateway.expression import Truth, View

SPEED = "Vehicle.Speed"


def rises(text: str, values: Sequence[float | None], *, restart: bool = False) -> list[float]:
    """Seconds at which a condition becomes true over one value a second."""
    watch = Watch(read_condition(text))
    found: list[float] = []
    for groups in windows_of([series(SPEED, values, SECOND_US, START_US)]):
        end_us = max(groups[0].times_us)
        found += [(each - START_US) / SECOND_US for each in watch.feed(groups, end_us).rises()]
        if restart:
            state = decode(encode(watch.state()))
            watch = Watch(read_condition(text))
            watch.restore(state)
    return found


def test_it_becomes_true_at_the_sample_that_makes_it_so() -> None:
    assert rises("Vehicle.Speed > 50", [40, 40, 60, 60, 40, 60]) == [2, 5]


def test_what_was_true_in_the_window_before_does_not_become_true_again() -> None:
    assert rises("Vehicle.Speed > 50", [60] * 25) == [0]


def test_a_hold_counts_across_windows_and_from_the_start_of_each_spell() -> None:
    values = [40] * 7 + [60] * 20 + [40] + [60] * 20
    assert rises("held(Vehicle.Speed > 50, 8)", values) == [15, 36]
    assert rises("held(Vehicle.Speed > 50, 8)", values, restart=True) == [15, 36]


def test_a_clock_that_is_set_back_begins_a_hold_anew() -> None:
    watch = Watch(read_condition("held(Vehicle.Speed > 50, 8)"))
    now = [series(SPEED, [60] * 10, SECOND_US, START_US)]
    assert watch.feed(now, now[0].times_us[-1]).rises() == [START_US + 8 * SECOND_US]
    earlier = START_US - 3_600 * SECOND_US
    then = [series(SPEED, [60] * 10, SECOND_US, earlier)]
    assert watch.feed(then, then[0].times_us[-1]).rises() == [earlier + 8 * SECOND_US]


def test_a_gap_in_a_hold_begins_it_anew() -> None:
    assert rises("held(Vehicle.Speed > 50, 4)", [60, 60, None, 60, 60, 60, 60, 60]) == [7]


def test_age_is_asked_between_samples_too() -> None:
    watch = Watch(read_condition("age(Vehicle.Speed) > 3"))
    groups = [series(SPEED, [40, 40], SECOND_US, START_US)]
    steps = watch.feed(groups, START_US + 9 * SECOND_US)
    assert [(each - START_US) // SECOND_US for each in steps.rises()] == [5]


def test_the_answer_of_an_instant_is_the_last_before_it() -> None:
    watch = Watch(read_condition("Vehicle.Speed > 50"))
    steps = watch.feed([series(SPEED, [40, 60], SECOND_US, START_US)], START_US + SECOND_US)
    assert steps.at(START_US - 1) is None
    assert steps.at(START_US + SECOND_US - 1) is False
    assert steps.at(START_US + 9 * SECOND_US) is True


def test_the_instants_of_other_signals_cost_nothing() -> None:
    asked: list[int] = []
    condition = read_condition("Vehicle.Speed > 50")

    def answer(view: View) -> Truth:
        asked.append(view.now_us)
        return condition.answer(view)

    watch = Watch(replace(condition, _answer=answer))
    dense = series("Vehicle.Acceleration.Lateral", [1.0] * 1_000, 10_000, START_US)
    watch.feed([dense, series(SPEED, [40, 60], SECOND_US, START_US)], START_US + 10 * SECOND_US)
    assert len(asked) == 2


def test_a_clock_that_leaps_costs_a_bounded_number_of_answers() -> None:
    watch = Watch(read_condition("age(Vehicle.Speed) > 3"))
    watch.feed([series(SPEED, [40], SECOND_US, START_US)], START_US)
    leapt = START_US + 10**15
    steps = watch.feed([series(SPEED, [40], SECOND_US, leapt)], leapt + 10**15)
    assert len(steps.times_us) <= 2
