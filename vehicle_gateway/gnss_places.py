"""Which of the receiver's places can follow upon one another, and how far the vehicle has come.

Place in the flow: decode → gnss (gate) → **gnss_places** → decode; trips where no bus says a speed.

Theory of operation. A place is believed if the vehicle can have come there from the last believed
one: no faster than `SPEED_MMPS_MAX`, give or take `SLACK_MM` for what two honest fixes differ.
One that cannot is put aside. When `AGREE` of them in a row can follow upon one another, it was the
believed one that was wrong, or the vehicle was carried: the last of them is believed.

* A receiver that repeats one place to the last digit while its own speed says that it moves hangs:
  its place is stale after `STALE_US`.
* Distance is the integral of the receiver's speed (a Doppler measurement, far better than the
  difference of two places); below `STILL_MMPS` it is the noise of a vehicle that stands.
* Where it has no speed, places are joined, but only when the vehicle has left a circle of
  `CIRCLE_MM`: standing still adds nothing up, and small steps of noise neither.
* Nothing is measured across more than `GAP_US`; a tunnel counts as the straight line through it.
* State is integers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vehicle_gateway.geo import distance_mm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vehicle_gateway.places import Point

SPEED_MMPS_MAX: Final = 70_000
"""252 km/h: no vehicle on a county's roads does it, and noise of a good fix never looks like it."""
SLACK_MM: Final = 100_000
AGREE: Final = 5
STALE_US: Final = 5_000_000
MOVING_MMPS: Final = 3_000
STILL_MMPS: Final = 500
CIRCLE_MM: Final = 15_000
GAP_US: Final = 10_000_000
TUNNEL_US: Final = 600_000_000
SECOND_US: Final = 1_000_000

Fix = tuple[int, int, int]
"""Time in microseconds, latitude and longitude in millionths of a degree."""


class Jumps:
    """Says of each place whether it can be true; remembers the last that was believed."""

    def __init__(self) -> None:
        self._believed: Fix | None = None
        self._doubted: Fix | None = None
        self._doubts = 0
        self._since_us = 0  # when the believed place was first sent

    def judge(self, fix: Fix, speed_mmps: int | None) -> str:
        """Returns why a place cannot be true, or nothing if it can.

        Args:
            fix: In order of arrival.
            speed_mmps: What the receiver last said of its speed, None if it never did.
        """
        if self._believed is None or can_follow(self._believed, fix):
            return self._believe(fix, speed_mmps)
        agrees = self._doubted is not None and can_follow(self._doubted, fix)
        self._doubted, self._doubts = fix, self._doubts + 1 if agrees else 1
        if self._doubts < AGREE:
            return "gnss-jump"
        return self._believe(fix, speed_mmps)

    def state(self) -> list[int]:
        """Returns all that the next place depends on."""
        if self._believed is None:
            return []
        return [*self._believed, self._since_us, self._doubts, *(self._doubted or ())]

    def restore(self, state: Sequence[int]) -> None:
        """Goes on from what `state` returned; whoever calls handles what is none."""
        numbers = [int(value) for value in state]
        if len(numbers) not in {0, 5, 8}:
            raise ValueError(numbers)
        self._believed = (numbers[0], numbers[1], numbers[2]) if numbers else None
        self._since_us, self._doubts = numbers[3:5] if numbers else (0, 0)
        self._doubted = (numbers[5], numbers[6], numbers[7]) if len(numbers) == 8 else None

    def _believe(self, fix: Fix, speed_mmps: int | None) -> str:
        moved = self._believed is None or self._believed[1:] != fix[1:]
        rests = speed_mmps is None or speed_mmps < MOVING_MMPS
        if moved or rests or fix[0] < self._since_us:
            self._since_us = fix[0]
        self._believed, self._doubted, self._doubts = fix, None, 0
        return "gnss-stale" if fix[0] - self._since_us > STALE_US else ""


def can_follow(one: Fix, other: Fix) -> bool:
    """Says whether a vehicle can have come from one place to the other.

    A clock that went back says nothing about how long it took: then a second is assumed.
    """
    seconds = max(other[0] - one[0], SECOND_US) / SECOND_US
    return distance_mm(one[1:], other[1:]) <= SLACK_MM + SPEED_MMPS_MAX * seconds


class Travelled:
    """How far a vehicle came by its receiver alone, without a map and without its bus.

    Attributes:
        distance_mm: So far.
    """

    def __init__(self) -> None:
        self.distance_mm = 0
        self._rest = 0  # (mm/s + mm/s) x us that are no whole millimetre yet
        self._speed: tuple[int, int] | None = None  # time, mm/s
        self._anchor: Fix | None = None

    def feed(
        self,
        times_us: Sequence[int],
        places: Sequence[Point | None],
        speeds_mmps: Sequence[int | None],
    ) -> int:
        """Takes fixes in that have passed the gate, in order of time.

        Args:
            times_us: Of each fix.
            places: Latitude and longitude in millionths of a degree, None without one.
            speeds_mmps: None where the receiver says none.

        Returns:
            Millimetres that they add.
        """
        before = self.distance_mm
        for time, place, speed in zip(times_us, places, speeds_mmps, strict=True):
            fix = None if place is None else (time, *place)
            if speed is not None:
                self._by_speed(time, speed, fix)
            elif fix is not None:
                self._by_place(fix)
        return self.distance_mm - before

    def state(self) -> dict[str, Any]:
        """Returns all that the next fix depends on."""
        return {
            "distance_mm": self.distance_mm,
            "rest": self._rest,
            "speed": list(self._speed or ()),
            "anchor": list(self._anchor or ()),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self.distance_mm, self._rest = state["distance_mm"], state["rest"]
        speed, anchor = state["speed"], state["anchor"]
        self._speed = (speed[0], speed[1]) if speed else None
        self._anchor = (anchor[0], anchor[1], anchor[2]) if anchor else None

    def _by_speed(self, time: int, speed: int, fix: Fix | None) -> None:
        speed = speed if speed >= STILL_MMPS else 0
        if self._speed is not None:
            span = time - self._speed[0]
            if 0 <= span <= GAP_US:
                whole, self._rest = divmod(
                    self._rest + (speed + self._speed[1]) * span, 2 * SECOND_US
                )
                self.distance_mm += whole
            elif fix is not None and self._anchor is not None:
                self.distance_mm += _straight(self._anchor, fix)
        self._speed = (time, speed)
        self._anchor = fix or self._anchor

    def _by_place(self, fix: Fix) -> None:
        if self._anchor is None or not 0 <= fix[0] - self._anchor[0] <= TUNNEL_US:
            self._anchor = fix
            return
        step = distance_mm(self._anchor[1:], fix[1:])
        if step >= CIRCLE_MM:
            self.distance_mm += step
            self._anchor = fix


def travelled(
    times_us: Sequence[int],
    places: Sequence[Point | None],
    speeds_mmps: Sequence[int | None],
) -> int:
    """Returns the millimetres of a whole track, as `Travelled` measures them."""
    return Travelled().feed(times_us, places, speeds_mmps)


def _straight(one: Fix, other: Fix) -> int:
    """The straight line between two fixes, if a vehicle can have driven it."""
    plausible = 0 <= other[0] - one[0] <= TUNNEL_US and can_follow(one, other)
    step = distance_mm(one[1:], other[1:]) if plausible else 0
    return step if step >= CIRCLE_MM else 0
