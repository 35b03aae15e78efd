"""What is claimed of private facts, masks and the time of the counter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk_app.privacy import FACTS, local, mask_account, moment_of, public_facts, time_of


def test_what_nobody_declared_is_private() -> None:
    facts = {"amount_fen": 5, "id_number": "x", "shoe_size": 43}
    assert public_facts(facts, FACTS) == {"amount_fen": 5}


@pytest.mark.parametrize(
    ("account", "masked"),
    [
        ("6230580000001234567", "6230 **** **** 4567"),
        ("customer:customer-0001", "**** 0001"),
        ("12", "**** 2"),
        ("", "**** "),
    ],
)
def test_an_account_is_masked(account: str, masked: str) -> None:
    assert mask_account(account) == masked


@given(st.text(alphabet="0123456789", min_size=5, max_size=24))
def test_a_mask_shows_eight_figures_at_most(account: str) -> None:
    assert sum(each.isdigit() for each in mask_account(account)) <= 8


def test_the_counter_has_the_time_of_china() -> None:
    assert time_of(0) == "08:00"
    assert moment_of(1_795_500_000_000_000) == "11-24 14:00"


@given(st.integers(-(1 << 62), 1 << 62))
def test_no_instant_is_too_strange_to_be_shown(wall_us: int) -> None:
    assert 1 <= local(wall_us).year <= 9999
