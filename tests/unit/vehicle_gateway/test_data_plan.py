"""Tests of the data plan: it lasts to the end of the month, and a kill does not refill it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.store import open_store
from vehicle_gateway.data_plan import (
    BEIJING,
    MIGRATIONS,
    OVERHEAD_BYTES,
    SAVE_BYTES,
    DataPlan,
    PlanRule,
    month_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.store import Store

MB = 1_000_000
RULE = PlanRule(30 * MB)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "plan.db", [MIGRATIONS]) as store:
        yield store


def at(year: int, month: int, day: int, hour: int = 12) -> int:
    return int(dt.datetime(year, month, day, hour, tzinfo=BEIJING).timestamp()) * 1_000_000


def test_each_day_has_an_equal_part_of_what_is_left(store: Store) -> None:
    plan = DataPlan(store, RULE)
    assert plan.room(at(2026, 4, 1), is_urgent=False) == 27 * MB // 30
    plan.spend(300_000 - OVERHEAD_BYTES)
    assert plan.room(at(2026, 4, 1), is_urgent=False) == 600_000
    assert plan.room(at(2026, 4, 2), is_urgent=False) == (27 * MB - 300_000) // 29


def test_a_plan_that_is_spent_keeps_its_reserve_for_events(store: Store) -> None:
    plan = DataPlan(store, RULE)
    plan.room(at(2026, 4, 30), is_urgent=False)
    plan.spend(28 * MB)
    assert plan.room(at(2026, 4, 30), is_urgent=False) == 0
    assert 0 < plan.room(at(2026, 4, 30), is_urgent=True) <= 2 * MB
    plan.spend(2 * MB)
    assert plan.room(at(2026, 4, 30), is_urgent=True) == 0


def test_a_new_month_begins_on_its_day_and_not_because_a_clock_went_back(store: Store) -> None:
    plan = DataPlan(store, PlanRule(30 * MB, reset_day=15))
    plan.room(at(2026, 4, 14), is_urgent=False)
    plan.spend(20 * MB)
    assert plan.room(at(1970, 1, 2), is_urgent=True) < 10 * MB
    assert plan.room(at(2026, 4, 14, 23), is_urgent=True) < 10 * MB
    assert plan.room(at(2026, 4, 15), is_urgent=True) == 30 * MB


def test_a_kill_forgets_no_more_than_what_was_not_saved(store: Store) -> None:
    plan = DataPlan(store, RULE)
    plan.room(at(2026, 4, 1), is_urgent=False)
    for _ in range(100):
        plan.spend(5_000)
    again = DataPlan(store, RULE)
    lost = plan.told()["plan_month_bytes"] - again.told()["plan_month_bytes"]
    assert 0 <= lost < SAVE_BYTES + 5_000 + OVERHEAD_BYTES
    plan.save()
    assert DataPlan(store, RULE).told() == plan.told()


@given(st.dates(dt.date(2024, 1, 1), dt.date(2032, 12, 31)), st.integers(1, 28))
def test_every_day_is_in_exactly_one_month(today: dt.date, reset_day: int) -> None:
    start, end = month_of(today, reset_day)
    assert start <= today < end
    assert start.day == end.day == reset_day
    assert month_of(end, reset_day)[0] == end
