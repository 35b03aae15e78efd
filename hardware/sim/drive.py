"""A drive on a mountain road that nobody took: speed, bends, climbs and the faults of the driver.

Place in the flow: scenario → **drive** → `vehicle` puts the state on a bus as frames.

* Time is an argument (ticks of 10 ms); the same seed and scenario give the same drive everywhere.
* Speed, acceleration, position, engine and what the sensors feel follow from one another, so that
  rules which compare them find no contradiction.
* Every fault of the driver is a leg with a name; `SCENARIOS` says how many there are to be found.
* Axes are those of ISO 8855: forward, left, up; a turn to the left is positive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TICK_US: Final = 10_000
TICK_S: Final = TICK_US / 1_000_000
GRAVITY_MPS2: Final = 9.81
JERK_MPS3: Final = 9.0
EARTH_M_PER_DEGREE: Final = 111_320.0
START_DEGREES: Final = (26.5783, 106.7135)
START_ALTITUDE_M: Final = 1_240.0
COLD_START_S: Final = 4.0
IDLE_RPM: Final = 820.0
RPM_PER_KMH: Final = (130.0, 75.0, 50.0, 36.0, 28.0)
SHIFT_RPM: Final = 2_600.0
NOISE_VALUES: Final = 4_093


@dataclass(frozen=True, slots=True)
class Leg:
    """One thing the driver does: reach a speed, then keep it.

    Attributes:
        what: Name for people and tests.
        target_kmh: Speed to reach.
        hold_s: How long to keep it.
        rate_mps2: How hard to accelerate or brake on the way.
        turn_dps: Rate of turn while it is kept; left is positive.
        grade_percent: Climb of the road.
        tunnel: The sky is hidden: the receiver has no fix.
    """

    what: str
    target_kmh: float
    hold_s: float
    rate_mps2: float = 1.0
    turn_dps: float = 0.0
    grade_percent: float = 0.0
    tunnel: bool = False


MOUNTAIN: Final = (
    Leg("at the stop", 0, 12),
    Leg("climb", 48, 30, grade_percent=4),
    Leg("left bend", 36, 9, turn_dps=7, grade_percent=3),
    Leg("right bend", 38, 10, turn_dps=-6),
    Leg("straight", 56, 25),
    Leg("harsh brake", 18, 6, rate_mps2=3.8),
    Leg("on again", 52, 20),
    Leg("village stop", 0, 20),
    Leg("harsh acceleration", 58, 18, rate_mps2=2.9),
    Leg("overspeed", 88, 25, rate_mps2=1.4),
    Leg("slow down", 46, 12, grade_percent=-4),
    Leg("tunnel", 46, 25, tunnel=True),
    Leg("descent", 54, 30, grade_percent=-5),
    Leg("severe brake", 12, 5, rate_mps2=5.2),
    Leg("hairpin", 22, 8, turn_dps=14, grade_percent=-3),
    Leg("valley", 50, 45),
    Leg("terminus", 0, 40),
)
CALM: Final = (
    Leg("at the stop", 0, 15),
    Leg("climb", 46, 40, rate_mps2=0.8, grade_percent=3),
    Leg("left bend", 34, 10, rate_mps2=0.8, turn_dps=5),
    Leg("straight", 54, 60, rate_mps2=0.8),
    Leg("village stop", 0, 25, rate_mps2=0.9),
    Leg("descent", 50, 60, rate_mps2=0.8, grade_percent=-3),
)
IDLING: Final = (
    Leg("at the stop", 0, 10),
    Leg("straight", 50, 40),
    Leg("idling", 0, 330),
    Leg("on again", 50, 60),
)
SCENARIOS: Final[Mapping[str, Sequence[Leg]]] = {
    "mountain": MOUNTAIN,  # a round of about 7 minutes: 2 brakings, 1 acceleration, 1 overspeed
    "calm": CALM,  # nothing to object to
    "idling": IDLING,  # the engine runs for 5.5 minutes at a stop
}


def scenario(name: str) -> Sequence[Leg]:
    """Returns the legs of a scenario.

    Raises:
        LocalError: There is none of that name.
    """
    if name not in SCENARIOS:
        known = ", ".join(SCENARIOS)
        raise LocalError(f"There is no scenario {name}; choose one of {known}.", "sim-scenario")
    return SCENARIOS[name]


@dataclass(slots=True)
class State:
    """What is true of the vehicle at one instant."""

    speed_mps: float = 0.0
    acceleration_mps2: float = 0.0
    turn_dps: float = 0.0
    heading: float = 70.0  # clockwise from north, degrees
    grade: float = 0.0  # climb as a fraction
    latitude: float = START_DEGREES[0]
    longitude: float = START_DEGREES[1]
    altitude_m: float = START_ALTITUDE_M
    distance_m: float = 0.0
    fuel_percent: float = 62.0
    coolant_c: float = 71.0
    has_fix: bool = False

    @property
    def speed_kmh(self) -> float:
        """Speed in km/h."""
        return self.speed_mps * 3.6

    @property
    def engine_rpm(self) -> float:
        """Engine speed in the gear that a patient driver would choose."""
        kmh = self.speed_kmh
        ratio = next((r for r in RPM_PER_KMH if kmh * r < SHIFT_RPM), RPM_PER_KMH[-1])
        return max(IDLE_RPM, kmh * ratio)

    @property
    def load_percent(self) -> float:
        """Engine load: rolling and air drag, climb and acceleration of a laden minibus."""
        drag = 0.15 + 0.0006 * self.speed_mps**2
        need = self.acceleration_mps2 + GRAVITY_MPS2 * self.grade + drag
        return min(100.0, max(6.0, 18.0 + 26.0 * need)) if self.speed_mps > 0.3 else 22.0

    @property
    def lateral_mps2(self) -> float:
        """Acceleration to the left in a bend."""
        return self.speed_mps * math.radians(self.turn_dps)


class Drive:
    """Plays the legs of a scenario round after round.

    Args:
        legs: The scenario.
        seed: Moves the length of every leg and the noise of every sensor.
    """

    def __init__(self, legs: Sequence[Leg], seed: int) -> None:
        self.state = State()
        self._legs = legs
        self._noise = noise_table(seed)
        self._at = seed % NOISE_VALUES
        self._place = -1
        self._ticks = 0
        self._next_leg()

    @property
    def leg(self) -> Leg:
        """The leg under way."""
        return self._legs[self._place % len(self._legs)]

    def noise(self) -> float:
        """Returns the next value of noise, about normal with a deviation of 1."""
        self._at = (self._at + 1) % NOISE_VALUES
        return self._noise[self._at]

    def tick(self) -> State:
        """Drives on for 10 ms."""
        state, leg = self.state, self.leg
        gap_mps = leg.target_kmh / 3.6 - state.speed_mps
        wanted = min(max(gap_mps / 0.5, -leg.rate_mps2), leg.rate_mps2)
        jerk = min(max(wanted - state.acceleration_mps2, -JERK_MPS3 * TICK_S), JERK_MPS3 * TICK_S)
        state.acceleration_mps2 += jerk
        state.speed_mps = max(0.0, state.speed_mps + state.acceleration_mps2 * TICK_S)
        reached = abs(gap_mps) < 0.3
        if reached and leg.target_kmh == 0:
            state.speed_mps = state.acceleration_mps2 = 0.0
        state.turn_dps += ((leg.turn_dps if reached else 0.0) - state.turn_dps) * 0.02
        state.grade += (leg.grade_percent / 100 - state.grade) * 0.005
        self._move(state)
        self._ticks += 1
        state.has_fix = self._ticks * TICK_S > COLD_START_S and not leg.tunnel
        self._left_s -= TICK_S if reached else 0.0
        if self._left_s <= 0:
            self._next_leg()
        return state

    def _next_leg(self) -> None:
        self._place += 1
        self._left_s = self.leg.hold_s * (1 + 0.02 * self.noise())

    def _move(self, state: State) -> None:
        step_m = state.speed_mps * TICK_S
        state.heading = (state.heading - state.turn_dps * TICK_S) % 360
        angle = math.radians(state.heading)
        state.latitude += step_m * math.cos(angle) / EARTH_M_PER_DEGREE
        across = EARTH_M_PER_DEGREE * math.cos(math.radians(state.latitude))
        state.longitude += step_m * math.sin(angle) / across
        state.altitude_m += step_m * state.grade
        state.distance_m += step_m
        state.fuel_percent = max(3.0, state.fuel_percent - step_m * 2e-6 - TICK_S * 1e-5)
        state.coolant_c += (89.0 - state.coolant_c) * TICK_S / 120


def noise_table(seed: int) -> list[float]:
    """Returns seeded values, about normal: sums of uniform draws of splitmix64."""
    state = seed & 0xFFFF_FFFF_FFFF_FFFF
    values = []
    for _ in range(NOISE_VALUES):
        state = (state + 0x9E37_79B9_7F4A_7C15) & 0xFFFF_FFFF_FFFF_FFFF
        mixed = ((state ^ state >> 30) * 0xBF58_476D_1CE4_E5B9) & 0xFFFF_FFFF_FFFF_FFFF
        mixed = ((mixed ^ mixed >> 27) * 0x94D0_49BB_1331_11EB) & 0xFFFF_FFFF_FFFF_FFFF
        mixed ^= mixed >> 31
        parts = sum(mixed >> shift & 0xFFFF for shift in (0, 16, 32, 48))
        # Four uniforms have variance 4/12; the factor makes it 1.
        values.append((parts / 0x1_0000 - 2) * math.sqrt(3))
    return values
