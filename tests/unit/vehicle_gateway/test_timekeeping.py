"""What time it is: clocks at 1970 or ten years ahead, clocks that jump, receivers that lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ports import Instant
from vehicle_gateway.timekeeping import (
    DAY_US,
    DOUBT,
    ERA_US,
    KEEP_US,
    RELEASE_US,
    SECOND_US,
    Kept,
    Timekeeper,
)

HOUR_US = 3_600 * SECOND_US
YEAR_US = 365 * DAY_US
TRUE_US = 1_798_765_200 * SECOND_US  # 1 January 2027, 01:00 UTC
KNOWN = Kept(TRUE_US - 20 * DAY_US, TRUE_US - 20 * DAY_US + KEEP_US)


@dataclass
class Box:
    """A box whose true time a test moves; its machine's clock is off by `wrong_us`."""

    wrong_us: int = 0
    kept: Kept | None = KNOWN
    uptime_us: int = 7 * SECOND_US
    true_us: int = TRUE_US
    keeper: Timekeeper = field(init=False)

    def __post_init__(self) -> None:
        self.keeper = Timekeeper(self.kept)

    @property
    def instant(self) -> Instant:
        return Instant(self.true_us + self.wrong_us, "00" * 8, self.uptime_us)

    @property
    def wall_us(self) -> int:
        return self.keeper.wall(self.instant)

    @property
    def error_s(self) -> float:
        return (self.wall_us - self.true_us) / SECOND_US

    def live(self, seconds: float, step_s: float = 0.5) -> None:
        """Lets time pass; asks the clock as often as a gateway does, and wants no step back."""
        left = round(seconds * SECOND_US)
        while left > 0:
            before = self.wall_us
            step = min(left, round(step_s * SECOND_US))
            self.true_us += step
            self.uptime_us += step
            left -= step
            assert self.wall_us >= before

    def fixes(self, count: int, wrong_us: int = 0, late_us: int = 300_000) -> None:
        """So many seconds with a receiver that is off by `wrong_us`."""
        for place in range(count):
            self.live(1)
            jitter = place % 3 * 40_000
            utc_us = self.true_us + wrong_us - late_us - jitter
            self.keeper.hear(utc_us, jitter, self.instant)


# ------------------------------------------------------------------ the boot
def test_a_sane_clock_is_used_at_once() -> None:
    box = Box()
    assert (box.error_s, box.keeper.source) == (0, "system")
    box.live(600)
    assert box.error_s == 0
    assert box.keeper.report() == {"source": "system", "ahead_s": 0}


@pytest.mark.parametrize("wrong_us", [-TRUE_US, 10 * YEAR_US, -30 * DAY_US, -(10**18), 10**18])
def test_a_clock_at_1970_or_ten_years_ahead_begins_at_the_last_known_time(wrong_us: int) -> None:
    box = Box(wrong_us)
    assert (box.wall_us, box.keeper.source) == (KNOWN.until_us, "floor")
    box.live(100)
    assert box.wall_us == KNOWN.until_us + 100 * SECOND_US
    assert box.keeper.report() == {"source": "floor", "ahead_s": 0, "system_refused": 1}


@pytest.mark.parametrize("wrong_us", [-TRUE_US, 10 * YEAR_US])
def test_a_receiver_with_a_fix_sets_it_right_within_seconds(wrong_us: int) -> None:
    box = Box(wrong_us)
    box.fixes(4)
    assert box.keeper.source == "floor"
    box.fixes(1)
    assert box.keeper.source == "gnss"
    assert abs(box.error_s) < 1
    assert box.keeper.report()["steps"] == 1


def test_a_first_boot_knows_no_more_than_when_its_program_was_made() -> None:
    assert Box(-TRUE_US, kept=None).wall_us == RELEASE_US
    assert Box(4 * YEAR_US, kept=None).keeper.source == "floor"
    assert Box(10 * YEAR_US, kept=None).wall_us == RELEASE_US
    assert Box(kept=None).error_s == 0


def test_a_network_that_sets_the_clock_at_last_is_believed_at_once() -> None:
    box = Box(-TRUE_US)
    box.live(30)
    box.wrong_us = 0
    assert box.error_s == 0
    assert box.keeper.report() == {
        "source": "system",
        "ahead_s": 0,
        "steps": 1,
        "system_jumps": 1,
        "system_refused": 1,
    }


# ------------------------------------------------------------------ jumps while driving
@pytest.mark.parametrize("jump_us", [-TRUE_US, -HOUR_US, -3 * SECOND_US, HOUR_US, 10 * YEAR_US])
def test_with_a_receiver_a_jump_of_the_machines_clock_changes_nothing(jump_us: int) -> None:
    box = Box()
    box.fixes(10)
    box.wrong_us = jump_us
    box.fixes(100)
    box.live(600)  # a tunnel
    assert abs(box.error_s) < 1
    assert box.keeper.counts["system-jumps"] == 1
    assert box.keeper.counts["steps"] == 0


@pytest.mark.parametrize("jump_us", [-HOUR_US, HOUR_US, 10 * YEAR_US, -TRUE_US])
def test_without_a_receiver_a_jump_that_goes_away_changes_nothing(jump_us: int) -> None:
    box = Box()
    box.live(60)
    box.wrong_us = jump_us
    box.live(50)
    box.wrong_us = 0
    box.live(100)
    assert box.error_s == 0
    assert box.keeper.counts["system-jumps"] == 2


def test_without_a_receiver_a_jump_forward_that_stays_is_followed() -> None:
    box = Box(-HOUR_US)
    box.live(60)
    box.wrong_us = 0  # the network corrects a clock that was an hour late
    box.live(59)
    assert box.error_s == -3_600
    box.live(2)
    assert box.error_s == 0


def test_a_clock_that_was_ahead_runs_two_per_cent_slow_until_it_is_right() -> None:
    box = Box(60 * SECOND_US)
    box.live(10)
    box.fixes(5)
    assert 59 < box.error_s < 60.1
    assert box.keeper.report()["ahead_s"] == 60
    box.live(1_000)
    assert box.error_s == pytest.approx(40, abs=0.5)
    box.live(2_100)
    assert abs(box.error_s) < 1
    assert box.keeper.report()["ahead_s"] == 0


def test_small_steps_of_the_network_are_followed() -> None:
    box = Box()
    for _ in range(100):
        box.live(10)
        box.wrong_us += 100_000
    assert box.error_s == pytest.approx(10, abs=0.2)
    assert box.keeper.report() == {"source": "system", "ahead_s": 0}


def test_where_both_agree_the_machines_clock_is_used_for_it_is_finer() -> None:
    box = Box()
    box.fixes(20)
    assert (box.error_s, box.keeper.source) == (0, "gnss")


# ------------------------------------------------------------------ receivers that lie
@pytest.mark.parametrize("lie_us", [-HOUR_US, HOUR_US, 90 * DAY_US, -5 * SECOND_US])
def test_one_lying_epoch_is_counted_and_changes_nothing(lie_us: int) -> None:
    box = Box(-TRUE_US)
    box.fixes(10)
    box.fixes(1, lie_us)
    box.fixes(10)
    assert abs(box.error_s) < 1
    assert box.keeper.counts["gnss-inconsistent"] == 2
    assert box.keeper.counts["steps"] == 1


def test_a_lie_among_the_first_epochs_only_delays_the_truth() -> None:
    box = Box(-TRUE_US)
    box.fixes(3)
    box.fixes(1, HOUR_US)
    box.fixes(4)
    assert box.keeper.source == "floor"
    box.fixes(1)
    assert (box.keeper.source, abs(box.error_s) < 1) == ("gnss", True)


def test_against_its_own_word_a_receiver_needs_a_minute() -> None:
    box = Box(-TRUE_US)
    box.fixes(10)
    box.fixes(DOUBT - 1, HOUR_US)
    assert abs(box.error_s) < 1
    box.fixes(1, HOUR_US)
    assert box.error_s == pytest.approx(3_600, abs=1)


def test_a_receiver_that_learns_of_leap_seconds_late_ends_right() -> None:
    box = Box(-TRUE_US)
    box.fixes(30, 18 * SECOND_US)
    assert box.error_s == pytest.approx(18, abs=1)
    box.fixes(DOUBT + 18 * 50 + 5)
    assert abs(box.error_s) < 1


@pytest.mark.parametrize("eras", [-2, -1, 1])
def test_a_date_1024_weeks_off_is_recognised_and_corrected(eras: int) -> None:
    assert datetime.fromtimestamp((TRUE_US - ERA_US) / 1e6, UTC).year == 2007
    box = Box(-TRUE_US)
    box.fixes(6, eras * ERA_US)
    assert (box.keeper.source, abs(box.error_s) < 1) == ("gnss", True)
    assert box.keeper.counts["gnss-rollover"] == 6


@pytest.mark.parametrize("lie_us", [-3 * YEAR_US, 5 * YEAR_US, -30 * YEAR_US])
def test_a_date_that_cannot_be_is_refused(lie_us: int) -> None:
    box = Box(-TRUE_US)
    box.fixes(200, lie_us)
    assert box.keeper.source == "floor"
    assert box.keeper.counts["gnss-refused"] == 200


def test_a_box_that_lay_for_years_believes_two_clocks_that_agree() -> None:
    box = Box(true_us=TRUE_US + 5 * YEAR_US)
    assert box.keeper.wall(box.instant) == KNOWN.until_us
    box.fixes(5, late_us=0)
    assert abs(box.error_s) < 1


def test_an_epoch_that_was_stamped_before_a_step_teaches_nothing() -> None:
    box = Box(-TRUE_US)
    box.wall_us  # noqa: B018 - the clock begins
    for age_us in (-1, 10 * YEAR_US):
        for _ in range(9):
            box.keeper.hear(box.true_us, age_us, box.instant)
    assert box.keeper.source == "floor"


# ------------------------------------------------------------------ the floor
def test_nothing_is_dated_before_what_was_signed_before_the_power_cut() -> None:
    box, signed_us, kept = Box(), 0, KNOWN
    for _ in range(40):
        box.fixes(17)
        kept = box.keeper.keep() or kept
        signed_us = box.wall_us
    again = Box(-TRUE_US, kept, uptime_us=3 * SECOND_US, true_us=box.true_us)
    assert again.wall_us >= signed_us


def test_a_clean_stop_keeps_the_present_and_no_more() -> None:
    box = Box()
    box.live(10)
    assert box.keeper.keep(stopping=True) == Kept(box.wall_us, box.wall_us)


def test_the_floor_is_written_seldom_and_after_a_step() -> None:
    box, written = Box(-TRUE_US), 0
    for _ in range(1_200):
        box.live(1)
        written += box.keeper.keep() is not None
    assert written == 4
    box.fixes(5)
    assert box.keeper.keep() is not None
    assert box.keeper.keep() is None


def test_a_clock_that_nobody_asked_has_nothing_to_keep() -> None:
    assert Timekeeper(None).keep(stopping=True) is None
    assert Timekeeper(None).report() == {"source": "floor", "ahead_s": 0}


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 1_000, SECOND_US, 61 * SECOND_US, DAY_US]),
            st.integers(-(10**17), 10**17) | st.integers(-5_000_000, 5_000_000),
            st.none() | st.integers(-(10**17), 10**17) | st.integers(-5_000_000, 5_000_000),
        ),
        max_size=60,
    )
)
def test_whatever_the_clocks_say_wall_time_never_runs_backwards(
    steps: list[tuple[int, int, int | None]],
) -> None:
    keeper, uptime_us, last_us = Timekeeper(KNOWN), 0, KNOWN.at_us
    for gone_us, wrong_us, heard_us in steps:
        uptime_us += gone_us
        instant = Instant(TRUE_US + uptime_us + wrong_us, "00" * 8, uptime_us)
        if heard_us is not None:
            keeper.hear(TRUE_US + uptime_us + heard_us, 0, instant)
        now_us = keeper.wall(instant)
        assert now_us >= last_us
        last_us = now_us
