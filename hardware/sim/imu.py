"""An inertial sensor that drives along: 11-byte messages of the WitMotion family, noise and faults.

Place in the flow: drive → **imu** → bytes: on a pseudo terminal (`talker`) or straight to a cutter.

* 100 messages of acceleration, of angular velocity and of angles a second; layout in
  `hardware/drivers/imu_line.py`.
* X points forward, Y to the left, Z up, as `vehicle_gateway/vehicles/imu.toml` says.
* Its faults are switched on: it hangs (repeats itself), is knocked (saturates), or the cable adds
  bytes.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardware.sim.drive import GRAVITY_MPS2

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.drive import State

ACCELERATION, ANGULAR_VELOCITY, ANGLE = 0x51, 0x52, 0x53
FULL: Final = 32_768
RANGE_MPS2: Final = 16 * 9.80665
RANGE_DPS: Final = 2_000.0
RANGE_DEGREES: Final = 180.0
TEMPERATURE: Final = 3_250


@dataclass(slots=True)
class Sensor:
    """The sensor's firmware.

    Attributes:
        noise: About normal values with a deviation of 1, such as `Drive.noise`.
        hangs: It repeats its last message.
        knocked: What it feels is beyond its range.
        dirt: Bytes that the cable adds before each message of acceleration.
    """

    noise: Callable[[], float]
    hangs: bool = False
    knocked: bool = False
    dirt: bytes = b""
    _last: bytes = b""

    def messages(self, state: State) -> bytes:
        """Returns what it sends every 10 ms."""
        if self.hangs and self._last:
            return self._last
        noise = self.noise
        shake = 0.06 + (0.16 if state.speed_mps > 0.3 else 0.0)
        forward = state.acceleration_mps2 + GRAVITY_MPS2 * state.grade + shake * noise()
        left = state.lateral_mps2 + shake * noise()
        up = GRAVITY_MPS2 + shake * noise()
        if self.knocked:
            forward = left = up = 1_000.0
        rates = (0.3 * noise(), 0.3 * noise(), state.turn_dps + 0.3 * noise())
        angles = (0.0, -math.degrees(math.atan(state.grade)), -state.heading)
        self._last = (
            self.dirt
            + message(ACCELERATION, (forward, left, up), RANGE_MPS2)
            + message(ANGULAR_VELOCITY, rates, RANGE_DPS)
            + message(ANGLE, angles, RANGE_DEGREES)
        )
        return self._last


def message(kind: int, values: tuple[float, float, float], full: float) -> bytes:
    """Returns one message; values beyond the range saturate."""
    raw = [max(-FULL, min(FULL - 1, round(value / full * FULL))) for value in values]
    body = struct.pack("<BB4h", 0x55, kind, *raw, TEMPERATURE)
    return body + bytes([sum(body) & 0xFF])
