"""A serial line, or a file that stands for one: bytes to a device and back.

Place in the flow: id_reader and printer speak through a `ByteStream`; this is the real one.

* 115200 baud (or as given), 8 data bits, no parity, 1 stop bit, no flow control, raw.
* `read` waits no longer than it is told; an unplugged cable is a `DeviceFault`, never a hang.
"""

from __future__ import annotations

import errno
import os
import select
import termios
from typing import TYPE_CHECKING, Final, Protocol

from edge.errors import DeviceFault, LocalError

if TYPE_CHECKING:
    from pathlib import Path

SPEEDS: Final = {
    4_800: termios.B4800,
    9_600: termios.B9600,
    19_200: termios.B19200,
    38_400: termios.B38400,
    57_600: termios.B57600,
    115_200: termios.B115200,
    230_400: termios.B230400,
    460_800: termios.B460800,
    921_600: termios.B921600,
    1_000_000: termios.B1000000,
    2_000_000: termios.B2000000,
}
READ_BYTES_MAX: Final = 4_096
WRITE_TIMEOUT_S: Final = 5.0


class ByteStream(Protocol):
    """Bytes to a device and back."""

    def write(self, data: bytes) -> None:
        """Sends all of `data`; raises DeviceFault when the line is gone."""
        ...

    def read(self, timeout_ms: int) -> bytes:
        """Returns what came, at the latest after `timeout_ms`; empty when nothing came."""
        ...

    def close(self) -> None:
        """Releases the line."""
        ...


class SerialLine:
    """A terminal device in raw mode; fulfils `ByteStream`.

    Args:
        path: Such as `/dev/ttyUSB0`.
        baud: One of `SPEEDS`.

    Raises:
        LocalError: The speed is none of a serial line.
        DeviceFault: The device is absent or not readable.
    """

    def __init__(self, path: Path, baud: int = 115_200) -> None:
        if baud not in SPEEDS:
            raise LocalError(f"A line of {baud} baud is unknown; use 115200.", "line-speed")
        self._path = path
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise self._fault(error) from error
        self._is_terminal = os.isatty(self._handle)
        if self._is_terminal:
            self._make_raw(SPEEDS[baud])

    def _make_raw(self, speed: int) -> None:
        control = termios.CS8 | termios.CREAD | termios.CLOCAL
        characters = termios.tcgetattr(self._handle)[6]
        raw = [0, 0, control, 0, speed, speed, characters]
        termios.tcsetattr(self._handle, termios.TCSANOW, raw)
        termios.tcflush(self._handle, termios.TCIOFLUSH)

    def write(self, data: bytes) -> None:
        """Sends all of `data`."""
        rest = memoryview(data)
        while rest:
            if not select.select([], [self._handle], [], WRITE_TIMEOUT_S)[1]:
                raise DeviceFault(f"{self._path} takes no bytes; check its cable.", "line-stuck")
            try:
                rest = rest[os.write(self._handle, rest) :]
            except OSError as error:
                raise self._fault(error) from error

    def read(self, timeout_ms: int) -> bytes:
        """Returns what came, at the latest after `timeout_ms`; empty when nothing came."""
        if not select.select([self._handle], [], [], timeout_ms / 1_000)[0]:
            return b""
        try:
            data = os.read(self._handle, READ_BYTES_MAX)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._fault(error) from error
        if not data and self._is_terminal:  # readable, but nothing to read: it was hung up
            raise self._fault(OSError(errno.EIO, os.strerror(errno.EIO)))
        return data

    def close(self) -> None:
        """Releases the line."""
        os.close(self._handle)

    def _fault(self, error: OSError) -> DeviceFault:
        return DeviceFault(
            f"{self._path} does not answer ({error.strerror}); check its cable and power.", "line"
        )
