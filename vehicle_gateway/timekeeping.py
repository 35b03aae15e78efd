"""What time it is, from clocks that lie: the machine's, a receiver's, and what was known before.

Place in the flow: Clock port, GNSS epochs, kept floor → **timekeeping** → all wall time of the box.

Theory of operation. The monotonic clock of a boot is trusted; wall time is it plus an offset, and
all that is ever decided is the offset.

    floor    nothing better is known: the box begins at the latest time it can have signed before
    system   the machine's clock is sane: not before the floor, not `ahead_us_max` past it
    gnss     `AGREE` epochs with a fix, each as far from the last as the monotonic clock says

* Wall time never runs backwards, not by a microsecond. Forward it steps; a clock that is found to
  be ahead is slewed: it runs 2 % slow until it is right. Durations stay true to 2 %, nothing is
  dated before what was signed earlier, and an expired consent stays expired.
* The floor is what the disk remembers (`Kept`): a time that was true, and the latest time that can
  have been signed since. It outlives power cuts; a clock at 1970 starts no box in 1970.
* GNSS stands above the machine's clock. Where both agree to `AGREE_US`, the machine's is used, for
  NTP is finer than the lines of a receiver. A jump of the machine's clock is then only counted.
* Without GNSS a sane machine's clock is used; one that jumps must stand for `SETTLE_US` first.
* One lying epoch breaks the row of those that agree, and no more. Against a time that GNSS itself
  gave in this boot, `DOUBT` epochs in a row are needed: receivers lie, crystals do not.
* A date 1,024 weeks off (the week number of GPS rolls over, and old receivers do not notice) is
  moved by whole eras into the time that is possible; what does not fit is refused. Only if the
  machine's clock says the very same is it believed: two that know nothing of each other.
* A receiver that has not learned of leap seconds is seconds ahead; slewing takes care of it.
* Recorded data are not touched: who replays a log does not ask this clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from edge.ports import Instant

SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US
ERA_US: Final = 1_024 * 7 * DAY_US
RELEASE_US: Final = 1_767_225_600 * SECOND_US
"""2026-01-01: this program did not run before."""
AGREE_US: Final = 2 * SECOND_US
TOLERANCE_US: Final = SECOND_US
AGREE: Final = 5
DOUBT: Final = 60
ROW_GAP_US: Final = 60 * SECOND_US
SETTLE_US: Final = 60 * SECOND_US
SLEW: Final = 50
BEHIND_US: Final = 2 * DAY_US
AHEAD_US_MAX: Final = 730 * DAY_US
FIRST_US_MAX: Final = 1_826 * DAY_US
"""A box that starts for the first time may be this much younger than its program."""
KEEP_US: Final = 300 * SECOND_US
AGE_US_MAX: Final = 30 * SECOND_US


@dataclass(frozen=True, slots=True)
class Kept:
    """What the disk remembers of the time.

    Attributes:
        at_us: Wall time when it was written.
        until_us: No later wall time was given out before it was written anew.
    """

    at_us: int
    until_us: int


@dataclass(slots=True)
class _Row:
    """Epochs of a receiver that agree with the monotonic clock.

    Attributes:
        offset_us: UTC less monotonic time, of the sentence that was least late.
    """

    offset_us: int
    last_us: int
    epochs: int = 1


class Timekeeper:
    """Decides the offset of wall time over monotonic time; one boot, one instance.

    Args:
        kept: What the disk remembers, None where nothing is.
        ahead_us_max: How far past the floor a time is still possible.

    Attributes:
        source: `floor`, `system` or `gnss`.
        counts: What happened: `steps`, `system-jumps`, `system-refused`, `gnss-inconsistent`,
            `gnss-refused`, `gnss-rollover`.
    """

    def __init__(self, kept: Kept | None, ahead_us_max: int = AHEAD_US_MAX) -> None:
        self._low_us = max(kept.at_us if kept else 0, RELEASE_US)
        self._start_us = max(kept.until_us if kept else 0, RELEASE_US)
        self._ahead_us_max = ahead_us_max if kept else FIRST_US_MAX
        self.source = "floor"
        self.counts: Counter[str] = Counter()
        self._offset_us: int | None = None
        self._monotonic_us = 0
        self._born_us = 0
        self._slew_rest = 0
        self._system: int | None = None  # last offset of the machine's clock
        self._jumped_us = 0
        self._trusted: int | None = None  # its offset that is believed
        self._gnss: int | None = None
        self._row: _Row | None = None
        self._until_us: int | None = None

    def wall(self, instant: Instant) -> int:
        """Returns wall time, microseconds UTC, for a reading of the machine's clocks.

        Readings come in order; the result never goes back.
        """
        now_us = instant.monotonic_us
        if self._offset_us is None:
            self._monotonic_us = self._born_us = now_us
            begin_us = instant.wall_us if self._is_sane(instant.wall_us) else self._start_us
            self._offset_us = begin_us - now_us
        elapsed_us = max(0, now_us - self._monotonic_us)
        self._monotonic_us += elapsed_us
        self._watch_system(instant)
        self._move(self._target(), elapsed_us)
        return self._monotonic_us + self._offset_us

    def hear(self, utc_us: int, age_us: int, instant: Instant) -> None:
        """Takes in what a receiver with a fix says of the time.

        Args:
            utc_us: Of one epoch.
            age_us: How long ago its sentence arrived, of which anything but a short time is a step
                of this clock in between, and tells nothing.
            instant: Now.
        """
        self.wall(instant)
        if not 0 <= age_us <= AGE_US_MAX:
            return
        at_us = instant.monotonic_us - age_us
        possible = self._possible(utc_us, instant)
        if possible is None:
            self.counts["gnss-refused"] += 1
            self._row = None
            return
        self._join(possible - at_us, at_us)
        self._believe()
        self.wall(instant)

    def keep(self, *, stopping: bool = False) -> Kept | None:
        """Returns what to write to the disk now, None where that is not due.

        It is due every `KEEP_US` and after a step; at the stop the present time is enough.
        """
        if self._offset_us is None:
            return None
        now_us = self._monotonic_us + self._offset_us
        if not stopping and self._until_us is not None and now_us < self._until_us:
            return None
        self._until_us = now_us if stopping else now_us + KEEP_US
        return Kept(now_us, self._until_us)

    def report(self) -> dict[str, Any]:
        """Returns what a technician wants to know of this clock."""
        ahead_us = 0 if self._offset_us is None else self._offset_us - self._target()
        return {
            "source": self.source,
            "ahead_s": max(0, ahead_us) // SECOND_US,
            **{name.replace("-", "_"): count for name, count in sorted((+self.counts).items())},
        }

    # ------------------------------------------------------------ the offset
    def _target(self) -> int:
        if self._gnss is not None:
            return self._gnss
        if self._trusted is not None:
            return self._trusted
        assert self._offset_us is not None
        return self._offset_us

    def _move(self, target_us: int, elapsed_us: int) -> None:
        """Steps forward, or runs slow for as long as the clock is ahead."""
        assert self._offset_us is not None
        if target_us >= self._offset_us:
            self.counts["steps"] += target_us - self._offset_us > AGREE_US
            self._offset_us = target_us
            self._slew_rest = 0
            return
        slow_us, self._slew_rest = divmod(elapsed_us + self._slew_rest, SLEW)
        self._offset_us = max(target_us, self._offset_us - slow_us)

    # ------------------------------------------------------------ the machine's clock
    def _watch_system(self, instant: Instant) -> None:
        system = instant.wall_us - instant.monotonic_us
        before, self._system = self._system, system
        if before is None or abs(system - before) > AGREE_US:
            self._jumped_us = instant.monotonic_us
            self.counts["system-jumps"] += before is not None
            if not self._is_sane(instant.wall_us):
                self.counts["system-refused"] += 1
        if self._gnss is not None:
            if abs(system - self._gnss) <= AGREE_US:
                self._gnss = system
            return
        settled = instant.monotonic_us - self._jumped_us >= SETTLE_US
        follows = self._trusted is not None and abs(system - self._trusted) <= AGREE_US
        if follows or (self._is_sane(instant.wall_us) and (self._trusted is None or settled)):
            self._trusted, self.source = system, "system"

    def _is_sane(self, wall_us: int) -> bool:
        return self._low_us <= wall_us <= self._high_us()

    def _high_us(self) -> int:
        return self._low_us + self._ahead_us_max + self._monotonic_us - self._born_us

    # ------------------------------------------------------------ the receiver
    def _possible(self, utc_us: int, instant: Instant) -> int | None:
        """Moves a time by whole eras of the week number to where it can be, if there is such."""
        low_us = self._low_us - BEHIND_US
        eras = -((utc_us - low_us) // ERA_US)
        moved_us = utc_us + eras * ERA_US
        if moved_us <= self._high_us():
            self.counts["gnss-rollover"] += eras != 0
            return moved_us
        agrees = utc_us >= low_us and abs(utc_us - instant.wall_us) <= AGREE_US
        return utc_us if agrees else None

    def _join(self, offset_us: int, at_us: int) -> None:
        row = self._row
        if row is not None and not 0 <= at_us - row.last_us <= ROW_GAP_US:
            row = None
        if row is not None and abs(offset_us - row.offset_us) > TOLERANCE_US:
            self.counts["gnss-inconsistent"] += 1
            row = None
        if row is None:
            self._row = _Row(offset_us, at_us)
            return
        row.offset_us = max(row.offset_us, offset_us)
        row.epochs += 1
        row.last_us = at_us

    def _believe(self) -> None:
        row = self._row
        assert row is not None
        contradicts = self._gnss is not None and abs(row.offset_us - self._gnss) > AGREE_US
        if row.epochs >= (DOUBT if contradicts else AGREE):
            self._gnss, self.source = row.offset_us, "gnss"
