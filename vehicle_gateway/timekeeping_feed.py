"""Teaches the box's clock from the receivers among its live sources, and keeps the floor.

Place in the flow: live source → **timekeeping_feed** → gateway; beside it: clock, kept floor.

* Chunks pass unchanged: their times are those of arrival, whatever the clock learns from them.
* Only epochs with a fix, a date, four satellites and a good dilution teach.
* The floor goes to the disk every few minutes, after a step, and when the source is closed. A disk
  that cannot be written is a warning here: the outbox will say so in its own words.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from edge.errors import DeviceFault
from edge.ports import NMEA_LINE, SOURCE_SHIFT
from vehicle_gateway.nmea_epochs import Epochs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge.ports import FrameChunk, FrameSource
    from vehicle_gateway.nmea_epochs import Epoch
    from vehicle_gateway.timekeeping import Kept

SATELLITES_MIN: Final = 4
HDOP_MAX: Final = 1_000
FIX_MIN: Final = 2
SOURCE_MASK: Final = (1 << SOURCE_SHIFT) - 1

log = logging.getLogger(__name__)


class TaughtClock(Protocol):
    """A clock that learns; `hardware.drivers.clock_disciplined` is one."""

    def teach(self, utc_us: int, at_us: int) -> None:
        """Takes in that it was `utc_us` when this clock said `at_us`."""
        ...

    def keep(self, *, stopping: bool) -> Kept | None:
        """Returns what to write to the disk, None where that is not due."""
        ...

    def report(self) -> Mapping[str, Any]:
        """Returns what a technician wants to know."""
        ...


class Floor(Protocol):
    """Keeps what is known of the time; `hardware.drivers.clock_floor` does."""

    def write(self, known: Mapping[str, Any]) -> None:
        """Keeps it durably; DeviceFault where it cannot."""
        ...


class ClockFeed:
    """A live `edge.ports.FrameSource` whose receivers discipline the clock."""

    def __init__(self, source: FrameSource, clock: TaughtClock, floor: Floor) -> None:
        self._source = source
        self._clock = clock
        self._floor = floor
        self._epochs: dict[int, Epochs] = {}

    @property
    def name(self) -> str:
        """That of the source."""
        return self._source.name

    @property
    def skipped(self) -> Mapping[str, int]:
        """What the source could not read."""
        return self._source.skipped

    def chunks(self, skip_frames: int = 0) -> Iterator[FrameChunk]:
        """Yields the chunks of the source as they are."""
        for chunk in self._source.chunks(skip_frames):
            self._listen(chunk)
            self._keep(stopping=False)
            yield chunk

    def close(self) -> None:
        """Keeps the floor and releases the source."""
        self._keep(stopping=True)
        self._source.close()

    def _listen(self, chunk: FrameChunk) -> None:
        counts: Counter[str] = Counter()  # the decoder counts the same lines for everybody
        for place, can_id in enumerate(chunk.ids):
            if can_id & SOURCE_MASK == NMEA_LINE:
                epochs = self._epochs.setdefault(can_id, Epochs())
                for epoch in epochs.add(chunk.payloads[place], chunk.times_us[place], counts):
                    if (utc_us := time_of(epoch)) is not None:
                        self._clock.teach(utc_us, epoch.at_us)

    def _keep(self, *, stopping: bool) -> None:
        kept = self._clock.keep(stopping=stopping)
        if kept is None:
            return
        try:
            self._floor.write(
                {"at_us": kept.at_us, "until_us": kept.until_us, **self._clock.report()}
            )
        except DeviceFault as error:
            log.warning("%s", error)


def time_of(epoch: Epoch) -> int | None:
    """Returns the time that an epoch teaches, None where it is not good enough."""
    numbers = epoch.numbers
    good = (
        (epoch.fix or 0) >= FIX_MIN
        and numbers.get("satellites", SATELLITES_MIN) >= SATELLITES_MIN
        and numbers.get("hdop", 0) <= HDOP_MAX
    )
    return epoch.utc_us if good else None
