"""Claims about when the agent calls: patient in trouble, prompt with news, obedient to the core."""

from __future__ import annotations

import pytest

from backend_sync.agent.config import ContactSection
from backend_sync.agent.schedule import SECOND_US, Schedule


class Drawn:
    """Randomness that draws the lowest or the highest there is."""

    def __init__(self, byte: int) -> None:
        self.byte = byte

    def token(self, count: int) -> bytes:
        return bytes([self.byte]) * count


LOW, HIGH = Drawn(0), Drawn(255)
NOW = 5_000 * SECOND_US


def pauses(schedule: Schedule, count: int) -> list[int]:
    found = []
    for _ in range(count):
        schedule.fail(NOW)
        found.append((schedule.due_us - NOW) // SECOND_US)
    return found


def test_the_first_contact_is_due_at_once() -> None:
    assert Schedule(ContactSection(), LOW).due_us == 0


def test_the_pause_after_failures_doubles_up_to_its_limit() -> None:
    settings = ContactSection(retry_s=2, retry_s_max=900)
    assert pauses(Schedule(settings, HIGH), 11) == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


def test_the_jitter_is_full_from_nothing_to_the_whole_pause() -> None:
    assert set(pauses(Schedule(ContactSection(), LOW), 5)) == {0}


def test_many_failures_do_not_overflow() -> None:
    schedule = Schedule(ContactSection(), HIGH)
    assert pauses(schedule, 5_000)[-1] == 900


def test_a_good_contact_forgets_the_failures() -> None:
    schedule = Schedule(ContactSection(), HIGH)
    pauses(schedule, 6)
    schedule.succeed(NOW, 0)
    assert pauses(schedule, 1) == [2]


@pytest.mark.parametrize(("source", "seconds"), [(LOW, 900), (HIGH, 990)])
def test_idle_devices_are_spread_by_a_tenth(source: Drawn, seconds: int) -> None:
    schedule = Schedule(ContactSection(interval_s=900), source)
    schedule.succeed(NOW, 0)
    assert schedule.due_us == NOW + seconds * SECOND_US


def test_what_the_core_asks_for_is_kept_exactly() -> None:
    schedule = Schedule(ContactSection(), HIGH)
    schedule.succeed(NOW, 7)
    assert schedule.due_us == NOW + 7 * SECOND_US


def test_what_is_left_over_is_brought_at_once() -> None:
    schedule = Schedule(ContactSection(), HIGH)
    schedule.succeed(NOW, 7, more=True)
    assert schedule.due_us == NOW


def test_news_hurries_only_while_the_core_answers() -> None:
    schedule = Schedule(ContactSection(), HIGH)
    schedule.succeed(NOW, 0)
    schedule.hurry(NOW)
    assert schedule.due_us == NOW
    schedule.fail(NOW)
    schedule.hurry(NOW)
    assert schedule.due_us == NOW + 2 * SECOND_US


def test_it_sleeps_no_longer_than_to_the_next_look_at_the_journal() -> None:
    schedule = Schedule(ContactSection(poll_s=2), LOW)
    schedule.succeed(NOW, 60)
    assert schedule.pause_s(NOW) == 2
    assert schedule.pause_s(NOW + 59 * SECOND_US) == 1
    assert schedule.pause_s(NOW + 70 * SECOND_US) == 0
