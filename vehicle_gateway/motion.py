"""How the vehicle moves, ten times a second: trusted speed, its slope, acceleration and turn.

Place in the flow: decode → ticks, mounting, turning → **motion** → events, trips.

Samples of one window are laid on ticks of 100 ms (UTC). Long series are summed per tick by C code;
only ticks are looped over, so a 100 Hz sensor costs little more than a 1 Hz one.

* A step of speed that no vehicle can make, and a step straight to 0, is held to be a fault of the
  sensor: such samples are passed over, and no slope is ever taken across them or across a gap.
* All state is integers, so that a gateway that was killed goes on exactly where it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from edge.catalogue import signal
from vehicle_gateway.mounting import Mounting, Parts
from vehicle_gateway.ticks import TICK_MS, latest_by_tick, mmps_of, scale_of
from vehicle_gateway.turning import Turning, bend_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edge.columns import Group
    from vehicle_gateway.campaign import Campaign

BACKWARDS_TICKS: Final = 100
Sample = tuple[int, int] | None
SPEEDS: Final = ("Vehicle.Speed", "Vehicle.Private.GNSS.Speed")
ENGINE: Final = "Vehicle.OBD.EngineSpeed"
TURN_MDPS_MIN: Final = 3_000
"""At less, 3 m/s2 sideways would need over 200 km/h: the axis across is not asked."""


class Tick(NamedTuple):
    """One tenth of a second.

    Attributes:
        number: Microseconds UTC / `TICK_US`.
        speed_mmps: Last trusted speed, None when it is too old.
        slope_mmps2: Change of speed over the last second; None without a fresh sample.
        forward_mmps2: Mean of calibrated acceleration, positive forwards; None when unknown.
        running: Whether the engine turns; None when unknown.
        before_mmps: Trusted speed of about a second ago.
        raw_mmps: What the sensor said in this tick, trusted or not; None for nothing.
        turn_mdps: Rate of turn, thousandths of a degree a second; None when unknown.
        bend_mmps2: Speed x rate of turn, signed as the turn; None when unknown.
        sideways_mmps2: Mean of calibrated acceleration across, signed as the turn; None when it
            is unknown or the vehicle hardly turns.
    """

    number: int
    speed_mmps: int | None
    slope_mmps2: int | None
    forward_mmps2: int | None
    running: bool | None
    before_mmps: int | None
    raw_mmps: int | None
    turn_mdps: int | None
    bend_mmps2: int | None
    sideways_mmps2: int | None


class Motion:
    """Turns the groups of one window after another into ticks."""

    _history: list[tuple[int, int]]  # trusted (tick, mm/s), a little over a second
    _running: list[int]  # tick of the last engine sample, whether it turned

    def __init__(self, campaign: Campaign) -> None:
        rule = campaign.figures("motion")
        self.mounting = Mounting(campaign)
        self._turning = Turning()
        self._change_max = rule["change_mmps2_max"]
        self._zero_step = mmps_of(rule["zero_step_kmh"])
        self._age = rule["speed_age_ms_max"] // TICK_MS
        self._slope = rule["slope_ms"] // TICK_MS
        self._speeds = [scale_of(path) for path in SPEEDS]
        self._engine = signal(ENGINE).id
        self._last = 0
        self._forget()

    def ticks(self, groups: Sequence[Group]) -> Iterator[Tick]:
        """Yields the ticks of a window that hold anything; ticks never repeat or go back.

        A clock that was set back by more than ten seconds begins anew. What `mounting` says holds
        for the tick that was yielded last.
        """
        speeds = self._speed_by_tick(groups)
        engine = latest_by_tick(groups, self._engine)
        parts = self.mounting.parts(groups)
        gyro, course = self._turning.window(groups, self.mounting.vertical)
        numbers = sorted({*speeds, *engine, *parts})
        if numbers and numbers[-1] < self._last - BACKWARDS_TICKS:
            self._last = 0
        for number in numbers:
            if number > self._last:
                self._begin(number, engine.get(number))
                turn = gyro.get(number), course.get(number)
                yield self._step(number, speeds.get(number), parts.get(number), turn)

    def state(self) -> dict[str, Any]:
        """Returns all that the next window depends on."""
        return {
            "last": self._last,
            "history": [list(pair) for pair in self._history],
            "engine": list(self._running),
            "mounting": self.mounting.state(),
            "turning": self._turning.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._last = state["last"]
        self._history = [(tick, speed) for tick, speed in state["history"]]
        self._running = list(state["engine"])
        self.mounting.restore(state["mounting"])
        self._turning.restore(state["turning"])

    def _forget(self) -> None:
        """Drops everything short-lived."""
        self._history, self._running = [], []
        self.mounting.forget()
        self._turning.forget()

    def _speed_by_tick(self, groups: Sequence[Group]) -> dict[int, int]:
        """The bus's own speed where there is any in the window, else that of the receiver."""
        for scale in self._speeds:
            raw = latest_by_tick(groups, scale.id)
            if raw:
                return {
                    tick: value * scale.numerator // scale.denominator
                    for tick, value in raw.items()
                }
        return {}

    def _begin(self, tick: int, engine: int | None) -> None:
        """Forgets across a gap, and takes the engine in."""
        if tick - self._last > self._age:
            self._forget()
        self._last = tick
        if engine is not None:
            self._running = [tick, int(engine > 0)]

    def _step(
        self, tick: int, speed: int | None, parts: Parts | None, turn: tuple[Sample, Sample]
    ) -> Tick:
        forward = None if parts is None else self.mounting.forward(tick, parts)
        is_trusted = speed is not None and self._trust(tick, speed)
        known = self._known(tick)
        if turn != (None, None):
            self._turning.step(tick, known, *turn)
        rate = self._turning.rate(tick)
        bend = None if known is None or rate is None else bend_of(known, rate)
        if bend is not None and abs(bend) > self._change_max:
            rate = bend = None  # beyond friction: a fault of the course
        slope = None
        if known is not None and is_trusted:
            slope = self._slope_to(tick, known)
            pair = None if slope is None else (slope, tick - self._history[0][0])
            self.mounting.learn(tick, known, pair, bend)
        sideways = None
        if rate is not None and abs(rate) >= TURN_MDPS_MIN:
            sideways = self.mounting.sideways(tick)
        before = None if known is None else self._history[0][1]
        running = self._turns(tick)
        return Tick(tick, known, slope, forward, running, before, speed, rate, bend, sideways)

    def _known(self, tick: int) -> int | None:
        fresh = self._history and tick - self._history[-1][0] <= self._age
        return int(self._history[-1][1]) if fresh else None

    def _turns(self, tick: int) -> bool | None:
        fresh = self._running and tick - self._running[0] <= self._age
        return bool(self._running[1]) if fresh else None

    def _trust(self, tick: int, speed: int) -> bool:
        """Takes a speed into the history, unless it is a fault of the sensor."""
        if self._history:
            before, known = self._history[-1]
            span = tick - before
            if span > self._age:
                self._history.clear()
                self.mounting.forget()
            elif (speed == 0 and known >= self._zero_step) or (
                abs(speed - known) * 1_000 > self._change_max * span * TICK_MS
            ):
                return False
        self._history.append((tick, speed))
        while len(self._history) > 2 and self._history[1][0] <= tick - self._slope:
            del self._history[0]
        return True

    def _slope_to(self, tick: int, speed: int) -> int | None:
        """Change over the last second, or over up to 1.6 s where samples are rare."""
        before, known = self._history[0]
        span = tick - before
        if not self._slope * 4 <= span * 5 <= self._slope * 8:
            return None
        return (speed - known) * 1_000 // (span * TICK_MS)
