"""When a box works, sleeps, or lets go so that the bus can still be started tomorrow.

Place in the flow: ignition, supply, silence of the bus → **power** → gateway (seals, leaves the
broker, ends).

    awake  ──key off, or nothing known of it and the bus silent, for sleep_after──> asleep
    asleep ──key on, a frame on the bus, or the battery being charged────────────> awake
    any    ──supply below the cut for cut_after, with the key off────────────────> cut

* Sans-IO: readings and time are arguments; time is monotonic.
* A single low reading (the starter turns) cuts nothing; a reading that fails decides nothing.
* A key that is on keeps the box awake on a silent bus, and is never cut: the alternator will come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from edge.ports import PowerReading, PowerSense

State = Literal["awake", "asleep", "cut"]
READ_US: Final = 1_000_000
CHARGING_MV: Final = 13_200


@dataclass(frozen=True, slots=True)
class PowerRule:
    """Thresholds; millivolts are of the battery, so those of a 24 V bus are twice a car's.

    Attributes:
        cut_mv: Below it a lead-acid battery no longer starts an engine on a cold morning.
        charging_mv: Above it somebody charges: the engine runs.
    """

    sleep_after_us: int = 600_000_000
    cut_mv: int = 11_800
    cut_after_us: int = 60_000_000
    charging_mv: int = CHARGING_MV


class Power:
    """Follows the supply of one box.

    Args:
        sense: Reads it; None where nothing is wired, and then only silence of the bus is known.
        rule: Thresholds.
        now_us: Monotonic time of the start, at which a box is awake.

    Attributes:
        state: `awake`, `asleep` or `cut`; a box that was cut stays so.
        reading: The last one, None before the first.
    """

    def __init__(self, sense: PowerSense | None, rule: PowerRule, now_us: int) -> None:
        self._sense = sense
        self._rule = rule
        self._active_us = self._read_us = now_us
        self._low_since_us: int | None = None
        self.state: State = "awake"
        self.reading: PowerReading | None = None

    def step(self, *, is_heard: bool, now_us: int) -> State:
        """Takes the present in and returns the state; reads the supply once a second.

        Args:
            is_heard: Whether a frame came from the bus since the last call.
            now_us: Monotonic time.
        """
        if self.state == "cut":
            return self.state
        if self.reading is None or now_us - self._read_us >= READ_US:
            self._read_us = now_us
            self._look(now_us)
        if is_heard or self._is_on():
            self._active_us = now_us
        if self._is_spent(now_us):
            self.state = "cut"
        else:
            is_over = now_us - self._active_us >= self._rule.sleep_after_us
            self.state = "asleep" if is_over else "awake"
        return self.state

    def _look(self, now_us: int) -> None:
        if self._sense is None:
            return
        self.reading = reading = self._sense.read()
        supply = reading.supply_mv
        if supply is None:
            return
        if supply >= self._rule.cut_mv or reading.ignition:
            self._low_since_us = None
        elif self._low_since_us is None:
            self._low_since_us = now_us

    def _is_on(self) -> bool:
        reading = self.reading
        if reading is None:
            return False
        is_charged = reading.supply_mv is not None and reading.supply_mv >= self._rule.charging_mv
        return bool(reading.ignition) or is_charged

    def _is_spent(self, now_us: int) -> bool:
        since_us = self._low_since_us
        return since_us is not None and now_us - since_us >= self._rule.cut_after_us
