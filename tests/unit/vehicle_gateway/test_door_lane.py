"""Tests of the order of reports: what is held, for how long, and what is late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_gateway.door_lane import (
    AHEAD_US,
    EARLIEST_US,
    FILL_US,
    HOLD_US,
    ITEMS_MAX,
    SECOND_US,
    SILENCE_US,
    SPAN_US,
    Item,
    Lane,
    believed_time,
)

BASE_US = 1_772_411_400 * SECOND_US


def item(row: int, second: float, held_s: float = 0, *, is_card: bool = False) -> Item:
    time_us = BASE_US + round(second * SECOND_US)
    return Item(row, time_us, round(held_s * SECOND_US), b"", is_card)


def sealed(lane: Lane, now_us: int, *, all_of_it: bool = False) -> list[tuple[list[int], bool]]:
    """Rows of each stretch that may go now, and whether it is late."""
    found = []
    while (stretch := lane.next(now_us, all_of_it=all_of_it)) is not None:
        lane.done(stretch)
        found.append(([each.row for each in stretch.items], stretch.is_late))
    return found


def test_reports_are_held_and_then_go_by_the_minute_in_order_of_time() -> None:
    lane = Lane()
    for row, second in enumerate((40, 10, 70, 20), start=1):
        lane.add(item(row, second))
    assert sealed(lane, HOLD_US - 1) == []
    assert sealed(lane, HOLD_US) == [([2, 4, 1], False)]
    assert sealed(lane, SILENCE_US - 1) == []
    assert sealed(lane, SILENCE_US) == [([3], False)]


def test_before_a_gap_the_present_waits_for_the_memory() -> None:
    lane = Lane(sealed_us=BASE_US)
    lane.add(item(1, 600))
    lane.add(item(2, 665))
    assert sealed(lane, FILL_US - 1) == []
    assert sealed(lane, FILL_US) == [([1], False), ([2], False)]


def test_a_memory_that_fills_the_gap_lets_all_go() -> None:
    lane = Lane(sealed_us=BASE_US)
    for row, second in enumerate((200, 265, 60, 120, 180), start=1):
        lane.add(item(row, second))
    rows = [row for stretch, _ in sealed(lane, HOLD_US) for row in stretch]
    assert rows == [3, 4, 5, 1]


def test_what_is_older_than_the_last_that_was_sealed_is_late() -> None:
    lane = Lane(sealed_us=BASE_US + 100 * SECOND_US)
    lane.add(item(1, 50))
    lane.add(item(2, 40))
    assert sealed(lane, HOLD_US) == [([2, 1], True)]
    assert lane.sealed_us == BASE_US + 100 * SECOND_US


def test_a_card_is_alone_and_in_its_place() -> None:
    lane = Lane()
    for row, second in enumerate((10, 30), start=1):
        lane.add(item(row, second))
    lane.add(item(3, 20, is_card=True))
    assert sealed(lane, 0, all_of_it=True) == [([1], False), ([3], False), ([2], False)]


def test_a_full_lane_holds_nothing_back() -> None:
    lane = Lane()
    for row in range(ITEMS_MAX):
        lane.add(item(row, row))
    assert lane.next(0) is not None
    assert sum(len(rows) for rows, _ in sealed(lane, 0)) >= SPAN_US // SECOND_US


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), max_size=40))
def test_whatever_comes_when_each_report_goes_once_and_in_order(
    reports: list[tuple[int, int]],
) -> None:
    lane, rows, order = Lane(), [], []
    arrivals = sorted(enumerate(reports), key=lambda each: each[1][1])
    for row, (second, held_s) in arrivals:
        lane.add(item(row, second, held_s))
        for stretch, is_late in sealed(lane, held_s * SECOND_US):
            rows += stretch
            order += [] if is_late else [reports[each][0] for each in stretch]
    for stretch, is_late in sealed(lane, 10_000 * SECOND_US):
        rows += stretch
        order += [] if is_late else [reports[each][0] for each in stretch]
    assert sorted(rows) == list(range(len(reports)))
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("told_us", "has_fix", "is_batch", "believed"),
    [
        (BASE_US - SECOND_US, True, False, True),
        (BASE_US - 86_400 * SECOND_US, True, False, True),  # kept, and sent as if of the present
        (BASE_US - 86_400 * SECOND_US, False, False, False),
        (BASE_US - 86_400 * SECOND_US, False, True, True),
        (BASE_US + AHEAD_US + 1, True, False, False),
        (EARLIEST_US - 1, True, False, False),
        (None, True, False, False),
    ],
)
def test_a_time_is_believed_or_that_of_arrival_stands_for_it(
    told_us: int | None, has_fix: bool, is_batch: bool, believed: bool
) -> None:
    found = believed_time(told_us, BASE_US, has_fix=has_fix, is_batch=is_batch)
    assert found == (told_us if believed else BASE_US)


@pytest.mark.parametrize("told_us", [None, EARLIEST_US - 1, BASE_US + AHEAD_US + 1])
def test_a_memory_of_an_impossible_time_has_no_place(told_us: int | None) -> None:
    assert believed_time(told_us, BASE_US, has_fix=True, is_batch=True) is None
