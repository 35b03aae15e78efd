"""Tests of conditions: what they answer, what is refused, and that nothing is guessed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import LocalError
from tests.unit.vehicle_gateway.yard import RPM, SECOND_US, SPEED, START_US
from vehicle_gateway.expression import (
    NODES_MAX,
    STALE_US,
    TEXT_CHARACTERS_MAX,
    read_condition,
)

if TYPE_CHECKING:
    from vehicle_gateway.expression import Truth

KMH = SPEED.denominator


def answer(text: str, speed: int | None = None, rpm: int | None = None) -> Truth:
    """What a condition says of one instant, of km/h and turns."""
    condition = read_condition(text)
    raws = {
        SPEED.id: None if speed is None else speed * KMH,
        RPM.id: None if rpm is None else rpm * RPM.denominator,
    }
    view = condition.blank()
    view.now_us = START_US
    for place, signal in enumerate(condition.signals):
        view.raws[place] = raws[signal]
        view.times_us[place] = START_US
    return condition.answer(view)


CASES: dict[str, tuple[str, int | None, int | None, Truth]] = {
    "a bare path is compared": ("Vehicle.Speed > 60", 61, None, True),
    "a named signal is the same": ('signal("Vehicle.Speed") > 60', 60, None, False),
    "a constant may stand first": ("60 < Vehicle.Speed", 61, None, True),
    "a chain holds when each link does": ("50 <= Vehicle.Speed < 60", 60, None, False),
    "a decimal is what is written": ("Vehicle.Speed / 10 == 0.1", 1, None, True),
    "arithmetic is exact": (
        "Vehicle.Speed / 3 * 3 == Vehicle.Speed", 7, None, True,
    ),
    "a minus turns a number": ("-Vehicle.Speed < -5", 6, None, True),
    "the least and the greatest": (
        "max(Vehicle.Speed, 50) - min(Vehicle.Speed, 50) > 9", 40, None, True,
    ),
    "a distance from zero": ("abs(Vehicle.Speed - 50) >= 10", 40, None, True),
    "two signals are compared": (
        "Vehicle.OBD.EngineSpeed > Vehicle.Speed * 40", 20, 900, True,
    ),
    "absent is unknown": ("Vehicle.Speed > 60", None, None, None),
    "unknown is not its contrary": ("not Vehicle.Speed > 60", None, None, None),
    "false and unknown is false": (
        "Vehicle.Speed > 60 and Vehicle.OBD.EngineSpeed > 0", 10, None, False,
    ),
    "true and unknown is unknown": (
        "Vehicle.Speed > 60 and Vehicle.OBD.EngineSpeed > 0", 70, None, None,
    ),
    "true or unknown is true": (
        "Vehicle.Speed > 60 or Vehicle.OBD.EngineSpeed > 0", 70, None, True,
    ),
    "false or unknown is unknown": (
        "Vehicle.Speed > 60 or Vehicle.OBD.EngineSpeed > 0", 10, None, None,
    ),
    "presence is never unknown": ("present(Vehicle.Speed)", None, None, False),
    "a division by zero is unknown": ("60 / Vehicle.Speed > 1", 0, None, None),
    "the least of what is unknown is unknown": (
        "min(Vehicle.Speed, Vehicle.OBD.EngineSpeed) < 5", 1, None, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_that(case: str) -> None:
    text, speed, rpm, expected = CASES[case]
    assert answer(text, speed, rpm) is expected


REFUSED = {
    "nothing": "",
    "a number for a truth": "Vehicle.Speed",
    "a truth for a number": "(Vehicle.Speed > 1) > 0",
    "a truth to be added": "not Vehicle.Speed",
    "a literal truth": "True",
    "an attribute of something else": "().__class__ > 1",
    "a call of something else": '__import__("os") > 1',
    "a method": "Vehicle.Speed.bit_length() > 1",
    "a power": "Vehicle.Speed ** 9 > 1",
    "a remainder": "Vehicle.Speed % 2 == 1",
    "a subscript": "Vehicle.Speed[0] > 1",
    "a lambda": "(lambda: 1)() > 1",
    "a comprehension": "[x for x in 1] > 1",
    "a choice": "1 if Vehicle.Speed > 1 else 2",
    "an assignment": "(x := 1) > 0",
    "a text": "Vehicle.Speed > 'fast'",
    "a complex number": "Vehicle.Speed > 1j",
    "an exponent": "Vehicle.Speed > 1e400",
    "a number too large": "Vehicle.Speed > 9999999999999",
    "digits without end": "Vehicle.Speed > " + "9" * 100,
    "membership": "Vehicle.Speed in 1",
    "held without seconds": "held(Vehicle.Speed > 1)",
    "held for a signal's time": "held(Vehicle.Speed > 1, Vehicle.Speed)",
    "held for no time": "held(Vehicle.Speed > 1, 0)",
    "held for a day": "held(Vehicle.Speed > 1, 86400)",
    "age of a number": "age(5) > 1",
    "a keyword": "min(Vehicle.Speed, key=1) > 1",
    "abs of two": "abs(1, 2) > 1",
    "unfinished": "Vehicle.Speed >",
    "two statements": "1 > 0; 2 > 1",
    "too long": "Vehicle.Speed > 1 and " * 30 + "Vehicle.Speed > 1",
    "too deep": "Vehicle.Speed > " + "-" * 60 + "1",
    "too many": " or ".join(["1<2"] * 55),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_condition_is_refused_for(case: str) -> None:
    with pytest.raises(LocalError) as refused:
        read_condition(REFUSED[case])
    assert refused.value.code == "expression"


def test_the_limits_are_what_refuses() -> None:
    assert len(REFUSED["too many"]) <= TEXT_CHARACTERS_MAX
    assert len(REFUSED["too deep"]) <= TEXT_CHARACTERS_MAX
    assert NODES_MAX < 55 * 4
    assert read_condition(" or ".join(["1<2"] * 25)).signals == ()


def test_a_signal_outside_of_the_catalogue_is_refused() -> None:
    with pytest.raises(LocalError) as refused:
        read_condition("Vehicle.Sped > 60")
    assert refused.value.code == "signal-unknown"


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(LocalError):
        read_condition(text)


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.decimals(min_value=-1000, max_value=1000, places=3),
)
def test_the_short_way_of_comparing_answers_as_the_long_one(
    raw: int, relation: str, limit: object
) -> None:
    short = read_condition(f"Vehicle.Speed {relation} {limit}")
    long = read_condition(f"Vehicle.Speed + 0 {relation} {limit}")
    answers = []
    for condition in (short, long):
        view = condition.blank()
        view.raws[0], view.times_us[0] = raw, 0
        answers.append(condition.answer(view))
    assert answers[0] is answers[1]
    assert answers[0] is not None


def test_an_old_value_is_no_answer_about_the_present() -> None:
    condition = read_condition("Vehicle.Speed > 60")
    view = condition.blank()
    view.raws[0], view.times_us[0] = 70 * KMH, START_US
    view.now_us = START_US + STALE_US
    assert condition.answer(view) is True
    view.now_us += 1
    assert condition.answer(view) is None


def test_a_value_from_the_future_is_no_answer_either() -> None:
    condition = read_condition("Vehicle.Speed > 60")
    view = condition.blank()
    view.raws[0], view.times_us[0] = 70 * KMH, START_US
    view.now_us = START_US - 60 * SECOND_US
    assert condition.answer(view) is None
