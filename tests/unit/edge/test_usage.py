"""Claims about the clock of use: it adds up running time, and no wrong clock can hurry it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.outbox import MIGRATIONS
from edge.ports import Instant
from edge.store import open_store
from edge.usage import UsageClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.store import Store

A, B = "aa" * 8, "bb" * 8


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "outbox.db", [MIGRATIONS]) as opened:
        yield opened


def ticks(store: Store, *readings: tuple[str, int], wall_us: int = 0) -> list[int]:
    clock = UsageClock(store)
    return [clock.tick(Instant(wall_us, boot, mono)) for boot, mono in readings]


def test_it_begins_at_nothing_and_counts_what_the_machine_runs(store: Store) -> None:
    assert ticks(store, (A, 500), (A, 700), (A, 700), (A, 1_000)) == [0, 200, 200, 500]


def test_another_boot_adds_its_own_running_time(store: Store) -> None:
    assert ticks(store, (A, 500), (A, 900), (B, 300), (B, 350)) == [0, 400, 700, 750]


def test_a_boot_that_may_be_the_same_one_adds_the_lesser_of_both(store: Store) -> None:
    assert ticks(store, (A, 500), (B, 900), (A, 1_000)) == [0, 400, 500]


def test_a_monotonic_clock_that_falls_back_in_its_boot_adds_nothing(store: Store) -> None:
    assert ticks(store, (A, 500), (A, 100), (A, 150)) == [0, 0, 50]


def test_it_goes_on_after_a_restart(store: Store) -> None:
    ticks(store, (A, 0), (A, 40))
    assert ticks(store, (A, 100), (B, 7)) == [100, 107]


@given(st.lists(st.integers(-(2**62), 2**62), min_size=2, max_size=6))
@settings(max_examples=30)
def test_the_wall_clock_is_never_asked(
    tmp_path_factory: pytest.TempPathFactory, walls: list[int]
) -> None:
    path = tmp_path_factory.mktemp("usage") / "outbox.db"
    with open_store(path, [MIGRATIONS]) as store:
        for number, wall_us in enumerate(walls):
            assert ticks(store, (A, number), wall_us=wall_us) == [number]
