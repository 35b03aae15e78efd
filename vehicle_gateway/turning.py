"""How fast the vehicle turns: from the gyro about the vertical axis, or from its course.

Place in the flow: decode → ticks, mounting → **turning** → motion → events.

* The gyro that turns with the vehicle is the one about the axis that gravity acts on, however the
  box is mounted; its zero is what it shows while the vehicle stands.
* A receiver's course is taken only between fixes of a moving vehicle; `motion` passes over a turn
  beyond friction, such as a leap of the course.
* All state is integers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal
from vehicle_gateway.ticks import TICK_MS, latest_by_tick, sums_by_tick

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.columns import Group

GYROS: Final = (
    "Vehicle.AngularVelocity.Roll",
    "Vehicle.AngularVelocity.Pitch",
    "Vehicle.AngularVelocity.Yaw",
)
COURSE: Final = "Vehicle.CurrentLocation.Heading"
YAW: Final = 2
HALF_TURN_DDEG: Final = 1_800
COURSE_MMPS_MIN: Final = 3_000
"""Below this a receiver's course is noise: 10 km/h."""
COURSE_TICKS: Final = (8, 30)
"""Over less than 0.8 s the noise of a course is a turn, over more than three a bend is lost."""
FRESH_TICKS: Final = 15
ZERO_MDPS_MAX: Final = 5_000
ZERO_WEIGHT: Final = 64
# (mm/s x mdeg/s) to mm/s2: pi / 180 / 1000, in billionths.
BEND_BILLIONTHS: Final = 17_453
BILLION: Final = 1_000_000_000

Samples = dict[int, tuple[int, int]]


class Turning:
    """Follows the rate of turn."""

    def __init__(self) -> None:
        specs = [signal(path) for path in GYROS]
        self._ids = [spec.id for spec in specs]
        self._scales = [(spec.numerator * 1_000, spec.denominator) for spec in specs]
        self._course = signal(COURSE).id
        self._axis = YAW
        self._zeros = [0, 0, 0]  # mdeg/s of each gyro
        self.forget()

    def forget(self) -> None:
        """Drops what is short-lived, after a gap."""
        self._rate = [0, 0]  # tick and mdeg/s
        self._from_gyro = 0  # tick of the last gyro sample
        self._heading = [0, 0]  # tick and tenths of a degree of the last course

    def window(self, groups: Sequence[Group], vertical: int | None) -> tuple[Samples, Samples]:
        """Returns the gyro's and the course's samples by tick.

        Args:
            groups: What was decoded of it.
            vertical: Place of the vertical axis; where none is known, the gyro named yaw is asked.
        """
        self._axis = YAW if vertical is None else vertical
        (gyro,) = sums_by_tick(groups, [self._ids[self._axis]])
        course = {tick: (raw, 1) for tick, raw in latest_by_tick(groups, self._course).items()}
        return gyro, course

    def step(
        self,
        tick: int,
        speed: int | None,
        gyro: tuple[int, int] | None,
        course: tuple[int, int] | None,
    ) -> None:
        """Takes what there is of a tick in."""
        if gyro is not None:
            numerator, denominator = self._scales[self._axis]
            rate = gyro[0] * numerator // (gyro[1] * denominator)
            if speed == 0 and abs(rate) < ZERO_MDPS_MAX:
                zero = self._zeros[self._axis]
                self._zeros[self._axis] = zero + _toward(rate - zero)
            self._rate = [tick, rate - self._zeros[self._axis]]
            self._from_gyro = tick
        if course is not None:
            self._by_course(tick, speed, course[0])

    def rate(self, tick: int) -> int | None:
        """Returns the rate of turn in mdeg/s; None when it is unknown."""
        return self._rate[1] if tick - self._rate[0] <= FRESH_TICKS else None

    def state(self) -> dict[str, Any]:
        """Returns all that the next window depends on."""
        return {
            "zeros": list(self._zeros),
            "rate": [*self._rate, self._from_gyro],
            "heading": list(self._heading),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._zeros = list(state["zeros"])
        *self._rate, self._from_gyro = state["rate"]
        self._heading = list(state["heading"])

    def _by_course(self, tick: int, speed: int | None, heading: int) -> None:
        before, known = self._heading
        span = tick - before
        if not (speed is not None and speed >= COURSE_MMPS_MIN):
            self._heading = [0, 0]
            return
        if before and span < COURSE_TICKS[0]:
            return
        self._heading = [tick, heading]
        if not before or span > COURSE_TICKS[1] or tick - self._from_gyro <= FRESH_TICKS:
            return
        change = (heading - known + HALF_TURN_DDEG) % (2 * HALF_TURN_DDEG) - HALF_TURN_DDEG
        # Tenths of a degree over ticks to mdeg/s.
        self._rate = [tick, change * 100 * 1_000 // (span * TICK_MS)]


def bend_of(speed: int, rate: int) -> int:
    """Returns the acceleration towards the middle of a turn in mm/s2, signed as the turn."""
    return speed * rate * BEND_BILLIONTHS // BILLION


def _toward(difference: int) -> int:
    """A small step that never stalls short of its aim."""
    step = abs(difference) // ZERO_WEIGHT or (1 if difference else 0)
    return step if difference > 0 else -step
