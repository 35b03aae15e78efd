"""A clock whose wall time somebody disciplines: the machine's clocks read under one lock.

Place in the flow: clock → **clock_disciplined** (asks its discipline) → everything that needs time.

* It decides nothing: `vehicle_gateway.timekeeping` does, without a lock and without a clock.
* Threads of several sources ask it; readings reach the discipline in order.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from edge.ports import Instant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.ports import Clock

K_co = TypeVar("K_co", covariant=True)


class Discipline(Protocol[K_co]):
    """Decides wall time; what it keeps is its own."""

    def wall(self, instant: Instant) -> int:
        """Returns wall time for a reading of the machine's clocks."""
        ...

    def hear(self, utc_us: int, age_us: int, instant: Instant) -> None:
        """Takes in what a receiver says of the time."""
        ...

    def keep(self, *, stopping: bool) -> K_co | None:
        """Returns what to write to the disk, None where that is not due."""
        ...

    def report(self) -> Mapping[str, Any]:
        """Returns what a technician wants to know."""
        ...


class DisciplinedClock(Generic[K_co]):
    """Fulfils `edge.ports.Clock`.

    Args:
        raw: The machine's own clocks.
        discipline: Who decides wall time.
    """

    def __init__(self, raw: Clock, discipline: Discipline[K_co]) -> None:
        self._raw = raw
        self._discipline = discipline
        self._lock = threading.Lock()

    def now(self) -> Instant:
        """Returns the present instant, its wall time disciplined."""
        with self._lock:
            instant = self._raw.now()
            wall_us = self._discipline.wall(instant)
        return Instant(wall_us, instant.boot_id, instant.monotonic_us)

    def teach(self, utc_us: int, at_us: int) -> None:
        """Takes in that it was `utc_us` when this clock said `at_us`."""
        with self._lock:
            instant = self._raw.now()
            age_us = self._discipline.wall(instant) - at_us
            self._discipline.hear(utc_us, age_us, instant)

    def keep(self, *, stopping: bool) -> K_co | None:
        """Returns what to write to the disk, None where that is not due."""
        with self._lock:
            self._discipline.wall(self._raw.now())
            return self._discipline.keep(stopping=stopping)

    def report(self) -> Mapping[str, Any]:
        """Returns what a technician wants to know."""
        with self._lock:
            return self._discipline.report()
