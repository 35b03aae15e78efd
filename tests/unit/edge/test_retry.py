"""Claims about waiting: longer after each failure, spread out, and short again after success."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.retry import Backoff, Leases, Pauses, draw
from tests.unit.edge.desk import Dice

PAUSES = Pauses(base_us=20, cap_us=120, least_us=10)


class Drawn:
    """Randomness that draws the lowest or the highest there is."""

    def __init__(self, byte: int) -> None:
        self.byte = byte

    def token(self, count: int) -> bytes:
        return bytes([self.byte]) * count


LOW, HIGH = Drawn(0), Drawn(255)


# ---------------------------------------------------------------- back-off
def test_the_longest_pause_doubles_up_to_its_cap() -> None:
    backoff = Backoff(PAUSES, HIGH)
    assert [backoff.fail() for _ in range(5)] == [20, 40, 80, 120, 120]
    assert backoff.failures == 5


def test_the_shortest_pause_is_what_an_answer_needs() -> None:
    backoff = Backoff(PAUSES, LOW)
    assert {backoff.fail() for _ in range(50)} == {10}


def test_the_jitter_is_full_where_no_least_is_set() -> None:
    assert Backoff(Pauses(1_000, 1_000), LOW).fail() == 0
    assert Backoff(Pauses(1_000, 1_000), HIGH).fail() == 1_000


def test_a_least_beyond_the_cap_is_the_pause() -> None:
    assert Backoff(Pauses(20, 40, least_us=60), HIGH).fail() == 60


def test_many_failures_do_not_overflow() -> None:
    backoff = Backoff(PAUSES, HIGH)
    assert {backoff.fail() for _ in range(5_000)} == {20, 40, 80, 120}


def test_success_forgets_the_failures() -> None:
    backoff = Backoff(PAUSES, HIGH)
    backoff.fail()
    backoff.fail()
    backoff.succeed()
    assert (backoff.failures, backoff.fail()) == (0, 20)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.binary(min_size=6, max_size=6))
def test_a_draw_stays_within_its_bounds(least: int, more: int, drawn: bytes) -> None:
    class Given:
        def token(self, count: int) -> bytes:
            assert count == len(drawn)
            return drawn

    assert least <= draw(Given(), least, least + more) <= least + more


def test_draws_reach_both_ends_and_are_spread() -> None:
    dice = Dice()
    drawn = [draw(dice, 1, 6) for _ in range(600)]
    assert set(drawn) == {1, 2, 3, 4, 5, 6}
    assert min(drawn.count(each) for each in range(1, 7)) > 50


# ---------------------------------------------------------------- leases
def test_a_lease_lasts_for_its_pause_and_the_next_one_is_longer() -> None:
    leases: Leases[str] = Leases(PAUSES, HIGH)
    assert leases.is_free("a", 0)
    leases.take("a", 0)
    assert (leases.is_free("a", 19), leases.is_free("a", 20)) == (False, True)
    leases.take("a", 20)
    assert (leases.is_free("a", 59), leases.is_free("a", 60)) == (False, True)
    assert leases.is_free("b", 0)


def test_what_is_answered_is_forgotten_and_shortens_the_rest() -> None:
    leases: Leases[str] = Leases(PAUSES, HIGH)
    for now_us in (0, 20, 60):
        leases.take("a", now_us)
        leases.take("b", now_us)
    leases.keep({"a", "b"}, 70)
    assert not leases.is_free("b", 139)
    leases.keep({"b"}, 70)
    assert (leases.is_free("b", 89), leases.is_free("b", 90)) == (False, True)
    leases.take("b", 90)
    assert (leases.is_free("b", 129), leases.is_free("b", 130)) == (False, True)
    leases.take("a", 90)
    assert leases.is_free("a", 110)


def test_an_answer_neither_shortens_a_first_lease_nor_lengthens_any() -> None:
    leases: Leases[str] = Leases(PAUSES, HIGH)
    leases.take("new", 0)
    leases.take("old", 0)
    leases.take("old", 0)
    leases.take("gone", 0)
    leases.keep({"new", "old"}, 39)
    assert (leases.is_free("new", 19), leases.is_free("new", 20)) == (False, True)
    assert (leases.is_free("old", 39), leases.is_free("old", 40)) == (False, True)


@pytest.mark.parametrize("released", ["a", "b"])
def test_what_did_not_get_through_is_free_at_once(released: str) -> None:
    leases: Leases[str] = Leases(PAUSES, HIGH)
    leases.take("a", 0)
    leases.take("b", 0)
    leases.release(lambda key: key == released)
    assert {key for key in "ab" if leases.is_free(key, 1)} == {released}
    leases.take(released, 1)
    assert leases.is_free(released, 21)
