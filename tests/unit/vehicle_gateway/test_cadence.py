"""What is sent of a window: times of what does not change are even, and near the truth."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.columns import Group, encode_columns
from vehicle_gateway.cadence import TOLERANCE_US, evened

MS = 1_000
JITTER = [0, 98_900, 201_000, 299_700, 400_000]


def times(group: Group) -> list[int]:
    return list(evened([group])[0].times_us)


def test_what_does_not_change_is_told_evenly() -> None:
    (told,) = evened([Group(JITTER, {1: [7] * 5, 2: [8] * 5})])
    assert list(told.times_us) == [0, 100 * MS, 200 * MS, 300 * MS, 400 * MS]
    assert told.series == {1: [7] * 5, 2: [8] * 5}


def test_what_has_no_value_in_the_whole_window_is_left_out() -> None:
    groups = [
        Group([1, 2], {1: [None, None], 2: [None, 7]}),
        Group([3, 4], {1: [None, None]}),
        Group([5], {3: [0]}),
    ]
    assert evened(groups) == [Group([1, 2], {2: [None, 7]}), Group([5], {3: [0]})]


def test_a_signal_that_changes_keeps_its_times() -> None:
    for values in ([7, 7, 7, 7, 8], [7, None, 7, 7, 7]):
        assert times(Group(JITTER, {1: [1] * 5, 2: values})) == JITTER


def test_a_pause_a_burst_or_a_clock_set_back_keeps_its_times() -> None:
    for own in (
        [0, 100 * MS, 200 * MS, 311 * MS + 1, 400 * MS],
        [0, 100 * MS, 3_000 * MS, 3_100 * MS, 3_200 * MS],
        [0, 1, 2, 3, 400 * MS],
        [400 * MS, 300 * MS, 200 * MS, 100 * MS, 0],
        [0] * 5,
    ):
        assert times(Group(own, {1: [7] * 5})) == own


def test_few_times_or_none_stay() -> None:
    assert times(Group([5, 9], {1: [1, 1]})) == [5, 9]
    assert evened([Group([], {1: []}), Group(JITTER, {})]) == []


def test_it_costs_a_fraction() -> None:
    jitter = [100 * MS * number + number**3 * 7_919 % 9_001 for number in range(100)]
    groups = [Group(jitter, {1: [0] * 100})]
    assert len(encode_columns(evened(groups), 0)) * 5 < len(encode_columns(groups, 0))


@given(st.lists(st.integers(-(2**62), 2**62) | st.integers(0, 50 * MS), max_size=30))
def test_no_time_is_told_farther_from_its_arrival_than_the_tolerance(own: list[int]) -> None:
    told = times(Group(own, {1: [3] * len(own)})) if own else []
    assert len(told) == len(own)
    assert all(abs(one - two) <= TOLERANCE_US for one, two in zip(told, own, strict=True))
