"""Inertial sensors on a line: raw integers in, acceleration and rate of turn of the vehicle out.

Place in the flow: `IMU_LINE` frames of a chunk → **imu** → decode → ticks, mounting, events.

    hardware/drivers/imu_line.py draws the messages: 51 acceleration, 52 angular velocity, 53 angles

* Whole columns are unpacked at once: a sensor of 200 Hz costs little more than one of 10 Hz.
* Axes and signs are the vehicle profile's ([imu]; by default X forward, Y to the left, Z up after
  ISO 8855). How the sensor really sits, `mounting` finds by itself.
* A value at the end of its range is saturated, and absent: what it was nobody knows.
* A sensor that repeats one acceleration to the last bit for `STUCK` messages hangs: all that it
  says is absent from then on, until it says another. Real ones tremble, also at rest.
* Angles are not taken: they are the sensor's own guess from the other two.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal
from edge.errors import LocalError
from edge.ports import IMU_LINE
from vehicle_gateway.columns import Columns, Found
from vehicle_gateway.scaling import Scaling

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence

    from edge.ports import FrameChunk
    from vehicle_gateway.profile import Target

ACCELERATION, ANGULAR_VELOCITY, ANGLE = 0x51, 0x52, 0x53
TYPES: Final = frozenset({ACCELERATION, ANGULAR_VELOCITY, ANGLE})
HEAD: Final = 0x55
LENGTH: Final = 11
FULL: Final = 32_768
SATURATED: Final = 32_700
STUCK: Final = 400
GRAVITY: Final = Fraction(980_665, 100_000)  # m/s2, the standard one (ISO 80000-3)
RANGES: Final = {
    # Type of message → what the whole 16 bits stand for.
    ACCELERATION: 16 * GRAVITY / FULL,
    ANGULAR_VELOCITY: Fraction(2_000, FULL),
}
DEFAULT_AXES: Final = {
    # Key of [imu] in a vehicle profile → VSS path.
    "acceleration_x": "Vehicle.Acceleration.Longitudinal",
    "acceleration_y": "Vehicle.Acceleration.Lateral",
    "acceleration_z": "Vehicle.Acceleration.Vertical",
    "rate_x": "Vehicle.AngularVelocity.Roll",
    "rate_y": "Vehicle.AngularVelocity.Pitch",
    "rate_z": "Vehicle.AngularVelocity.Yaw",
}
PLACES: Final = {
    "acceleration_x": (ACCELERATION, 0),
    "acceleration_y": (ACCELERATION, 1),
    "acceleration_z": (ACCELERATION, 2),
    "rate_x": (ANGULAR_VELOCITY, 0),
    "rate_y": (ANGULAR_VELOCITY, 1),
    "rate_z": (ANGULAR_VELOCITY, 2),
}


@dataclass(frozen=True, slots=True)
class _Axis:
    signal_id: int
    place: int
    scaling: Scaling


class ImuInterpreter:
    """Messages of a sensor in, columns out; fulfils `columns.Interpreter`.

    Args:
        axes: Key of `DEFAULT_AXES` → where the profile says that it goes.

    Raises:
        LocalError: The profile names an axis that no sensor has.
    """

    name = "imu"

    def __init__(self, axes: Mapping[str, Target]) -> None:
        if unknown := sorted(set(axes) - set(PLACES)):
            raise LocalError(
                f"[imu] of the vehicle profile names {', '.join(unknown)}; a sensor has "
                f"{', '.join(PLACES)}.",
                "profile-imu",
            )
        self._axes: dict[int, list[_Axis]] = {ACCELERATION: [], ANGULAR_VELOCITY: []}
        for key, (kind, place) in PLACES.items():
            target = axes.get(key)
            path, sign = (target.path, target.sign) if target else (DEFAULT_AXES[key], 1)
            spec = signal(path)
            unit = Fraction(spec.numerator, spec.denominator)
            scaling = Scaling.between(sign * RANGES[kind], Fraction(0), unit)
            self._axes[kind].append(_Axis(spec.id, place, scaling))
        self._last = b""
        self._repeats = 0

    def claims(self, can_id: int) -> bool:
        """Says whether an id is that of an inertial sensor."""
        return can_id == IMU_LINE

    def decode(self, chunk: FrameChunk, places: Sequence[int], counts: Counter[str]) -> Found:
        """Decodes the messages of a chunk, each type as a whole."""
        own: dict[int, list[int]] = {ACCELERATION: [], ANGULAR_VELOCITY: []}
        damaged = stuck = 0
        for place in places:
            message = chunk.payloads[place]
            if not _is_whole(message):
                damaged += 1
            elif message[1] != ANGLE:
                if self._hangs(message):
                    stuck += 1
                else:
                    own[message[1]].append(place)
        for reason, number in (("imu-damaged", damaged), ("imu-stuck", stuck)):
            if number:
                counts[reason] += number
        columns = [
            _columns(chunk, own[kind], axes, counts)
            for kind, axes in self._axes.items()
            if own[kind]
        ]
        return Found(columns)

    def state(self) -> Mapping[str, Any]:
        """Returns what must survive a restart."""
        return {"last": self._last, "repeats": self._repeats} if self._last else {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state of an interpreter before a restart."""
        try:
            self._last = bytes(state.get("last", b""))
            self._repeats = int(state.get("repeats", 0))
        except (AttributeError, TypeError, ValueError) as error:
            raise LocalError(
                f"The saved IMU state is damaged: {error}.", "decoder-state"
            ) from error

    def _hangs(self, message: bytes) -> bool:
        """Follows the accelerations; says whether the sensor has said one and the same for long."""
        if message[1] == ACCELERATION:
            body = message[2:8]
            self._repeats = min(self._repeats + 1, STUCK) if body == self._last else 0
            self._last = body
        return self._repeats >= STUCK


def _is_whole(message: bytes) -> bool:
    return (
        len(message) == LENGTH
        and message[0] == HEAD
        and message[1] in TYPES
        and sum(message[:10]) & 0xFF == message[10]
    )


def _columns(
    chunk: FrameChunk, places: Sequence[int], axes: Sequence[_Axis], counts: Counter[str]
) -> Columns:
    raw = array("h", b"".join([chunk.payloads[place][2:8] for place in places]))
    if not _LITTLE:
        raw.byteswap()
    saturated = max(raw) >= SATURATED or min(raw) <= -SATURATED
    series: dict[int, list[int | None]] = {}
    for axis in axes:
        multiply, add, divide = axis.scaling.multiply, axis.scaling.add, axis.scaling.divide
        own = raw[axis.place :: 3]
        if saturated:
            series[axis.signal_id] = [
                (bits * multiply + add) // divide if -SATURATED < bits < SATURATED else None
                for bits in own
            ]
            counts["imu-saturated"] += series[axis.signal_id].count(None)
        else:
            series[axis.signal_id] = [(bits * multiply + add) // divide for bits in own]
    return Columns(places, [chunk.times_us[place] for place in places], series)


_LITTLE: Final = array("h", b"\1\0")[0] == 1
