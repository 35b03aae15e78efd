"""Claims about one column: the shortest order is chosen, and nothing of a value is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import LocalError
from edge.planes import INT_MAX, INT_MIN
from edge.residuals import CLOCK, CONSTANT, DRIFT, LEVEL, spell, values_of

CHOSEN = {
    "one value": ([7], CONSTANT, 0),
    "values that are all alike": ([7] * 9, CONSTANT, 0),
    "two values": ([7, 9], CLOCK, 0),
    "a checksum over a whole byte": ([0, 255, 3, 251, 9, 240, 5], LEVEL, 8),
    "a value that drifts": ([1000, 1001, 1003, 1002, 1004, 1006, 1005], DRIFT, 3),
    "a clock without jitter": ([10 * n for n in range(9)], CLOCK, 0),
    "a clock with jitter": ([1000 * n + n % 2 for n in range(9)], CLOCK, 2),
    "both ends of the range": ([INT_MIN, INT_MAX, INT_MIN], LEVEL, 1),
    "both ends and the middle": ([INT_MIN, INT_MAX, 0, 1], LEVEL, 64),
}


@pytest.mark.parametrize("claim", CHOSEN)
def test_the_order_is_the_shortest_for(claim: str) -> None:
    values, order, bits = CHOSEN[claim]
    column = spell(values)
    assert (column.order, column.bits) == (order, bits)
    assert values_of(column) == values


def test_a_factor_of_all_numbers_is_told_once() -> None:
    column = spell([0, 5_000, 0, 250, 1_000])
    assert (column.factor, column.bits) == (250, 5)


def test_outliers_stand_apart_where_that_is_shorter() -> None:
    column = spell([0, 1] * 20 + [100_000, 0])
    assert column.outliers
    assert [len(plane) for plane in column.planes] == [size for _, size in column.shape()]
    many = spell([0, 100_000, 50_000, 20_000] * 20)
    assert not many.outliers


def test_a_number_has_as_many_planes_as_it_has_bytes() -> None:
    for count in range(1, 8):
        column = spell([0, *[256**count - 1, 256**count // 2] * 9])
        assert len(column.planes) == count


@given(st.lists(st.integers(INT_MIN, INT_MAX), min_size=1, max_size=30))
def test_planes_are_as_long_as_the_head_says(values: list[int]) -> None:
    column = spell(values)
    assert [len(plane) for plane in column.planes] == [size for _, size in column.shape()]
    assert values_of(column) == values


@pytest.mark.parametrize("value", [INT_MIN - 1, INT_MAX + 1])
def test_a_value_of_more_than_64_bits_is_a_mistake_of_ours(value: int) -> None:
    with pytest.raises(LocalError, match="64 bits"):
        spell([0, value])
