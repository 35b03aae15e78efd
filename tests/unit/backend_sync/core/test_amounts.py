"""Claims about amounts: exact to the fen in both directions, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_sync.core.amounts import format_yuan, parse_yuan
from edge.errors import LocalError


@pytest.mark.parametrize(
    ("text", "fen"),
    [("500", 50_000), ("500.00", 50_000), ("0.1", 10), ("0.01", 1), ("0", 0), ("007.5", 750)],
)
def test_yuan_are_read_digit_by_digit(text: str, fen: int) -> None:
    assert parse_yuan(text) == fen


@pytest.mark.parametrize(
    "text",
    ["", "-1", "+1", "1.", ".5", "1.234", "1,000", "1e3", " 1", "1 ", "¥1", "１", "nan", "1" * 12],
)
def test_what_is_no_exact_amount_is_refused(text: str) -> None:
    with pytest.raises(LocalError, match="no amount"):
        parse_yuan(text)


@given(st.integers(0, 10**13 - 1))
def test_every_amount_comes_back(fen: int) -> None:
    assert parse_yuan(format_yuan(fen)) == fen


def test_a_negative_sum_is_shown_with_its_sign() -> None:
    assert format_yuan(-105) == "-1.05"
