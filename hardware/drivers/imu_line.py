"""An inertial sensor on a serial line, as an `edge.ports.FrameSource` of its messages.

Place in the flow: sensor → line_source → **imu_line** → `IMU_LINE` frames → vehicle_gateway.imu.

The common 11-byte messages of the WitMotion family (JY61, JY901, WT901, ...):

    byte   0     1     2 3   4 5   6 7   8 9          10
           55    51    ax    ay    az    temperature  sum    raw / 32768 x 16 g
           55    52    wx    wy    wz    voltage      sum    raw / 32768 x 2000 degrees/s
           55    53    roll  pitch yaw   version      sum    raw / 32768 x 180 degrees
           each a signed 16-bit integer, low byte first; sum = bytes 0 to 9, modulo 256

* One frame per message, all eleven bytes of it. Other types (50 time, 54 magnetic field, 56 to 5A)
  are whole too: counted as `other-message`, not handed on.
* A sum that does not hold costs one byte: the next 55 is tried. Its bytes are `garbage-byte`s.
* A sensor whose speed is not known is sought at each of `BAUDS` (line_source).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from edge.ports import IMU_LINE
from hardware.drivers.line_source import LineKind, LineSource
from hardware.drivers.serial_line import SerialLine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.ports import Clock
    from hardware.drivers.serial_line import ByteStream

BAUDS: Final = (115_200, 9_600, 230_400, 460_800, 921_600, 38_400, 57_600, 19_200)
LISTEN_US: Final = 1_000_000
SILENCE_US: Final = 10_000_000
HEAD: Final = 0x55
LENGTH: Final = 11
ACCELERATION: Final = 0x51
ANGULAR_VELOCITY: Final = 0x52
ANGLE: Final = 0x53
TYPES: Final = range(0x50, 0x60)
WANTED: Final = frozenset({ACCELERATION, ANGULAR_VELOCITY, ANGLE})


class ImuCutter:
    """Cuts what a sensor sends into messages: sans-IO.

    Attributes:
        counts: What was no message to hand on, by reason.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Takes bytes in and returns the whole messages that are wanted."""
        rest, start = self._rest + data, 0
        messages: list[bytes] = []
        while start <= len(rest) - LENGTH:
            message = rest[start : start + LENGTH]
            if not is_whole(message):
                self.counts["garbage-byte"] += 1
                start += 1
                continue
            start += LENGTH
            if message[1] in WANTED:
                messages.append(message)
            else:
                self.counts["other-message"] += 1
        self._rest = rest[start:]
        return messages


def is_whole(message: bytes) -> bool:
    """Says whether eleven bytes are a message of the family."""
    return (
        len(message) == LENGTH
        and message[0] == HEAD
        and message[1] in TYPES
        and sum(message[:10]) & 0xFF == message[10]
    )


KIND: Final = LineKind("imu", IMU_LINE, BAUDS, LISTEN_US, SILENCE_US, is_whole, spread=True)


class ImuSource(LineSource):
    """A sensor as a live source.

    Args:
        path: Such as `/dev/ttyUSB1`.
        baud: Of the line, 0 to seek it.
        clock: Tells when messages arrived.
        open_line: Opens the line at a speed; `SerialLine` outside of tests.
    """

    def __init__(
        self,
        path: Path,
        baud: int,
        clock: Clock,
        open_line: Callable[[Path, int], ByteStream] = SerialLine,
    ) -> None:
        super().__init__(KIND, ImuCutter(), path, baud, clock, open_line)
