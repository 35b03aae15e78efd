"""A disciplined clock asks its discipline in order, from however many threads."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.ports import Instant
from hardware.drivers.clock import SystemClock
from hardware.drivers.clock_disciplined import DisciplinedClock

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class Ahead:
    """A discipline that is always an hour ahead, and remembers what it was asked."""

    asked: list[int] = field(default_factory=list)
    heard: list[tuple[int, int]] = field(default_factory=list)

    def wall(self, instant: Instant) -> int:
        self.asked.append(instant.monotonic_us)
        return instant.monotonic_us + 3_600_000_000

    def hear(self, utc_us: int, age_us: int, instant: Instant) -> None:
        assert instant.monotonic_us
        self.heard.append((utc_us, age_us))

    def keep(self, *, stopping: bool) -> int | None:
        return 7 if stopping else None

    def report(self) -> Mapping[str, int]:
        return {"asked": len(self.asked)}


class Steps:
    """A raw clock that moves by a second with every reading."""

    def __init__(self) -> None:
        self._seconds = 0

    def now(self) -> Instant:
        self._seconds += 1
        return Instant(0, "ab" * 8, self._seconds * 1_000_000)


def test_wall_time_is_the_disciplines_and_the_rest_the_machines() -> None:
    clock = DisciplinedClock[int](Steps(), Ahead())
    assert clock.now() == Instant(3_601_000_000, "ab" * 8, 1_000_000)


def test_what_is_taught_comes_with_its_age() -> None:
    discipline = Ahead()
    clock = DisciplinedClock[int](Steps(), discipline)
    at_us = clock.now().wall_us
    clock.teach(5, at_us)
    assert discipline.heard == [(5, 1_000_000)]


def test_what_to_keep_is_decided_at_the_present_instant() -> None:
    discipline = Ahead()
    clock = DisciplinedClock[int](Steps(), discipline)
    assert (clock.keep(stopping=False), clock.keep(stopping=True)) == (None, 7)
    assert discipline.asked == [1_000_000, 2_000_000]
    assert clock.report() == {"asked": 2}


def test_readings_of_many_threads_reach_the_discipline_in_order() -> None:
    discipline = Ahead()
    clock = DisciplinedClock[int](SystemClock(), discipline)
    threads = [threading.Thread(target=lambda: [clock.now() for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(discipline.asked) == 2_000
    assert discipline.asked == sorted(discipline.asked)
