"""A card reader on a serial line that says each card's number by itself: the RDM6300 family.

Place in the flow: card → reader → **card_serial** → `edge.ports.DriverReader` → vehicle_gateway.

    02 | 10 hexadecimal characters | 2 of their XOR | [0D 0A] | 03       9600 baud, 8N1
         0 A 0 0 4 F 7 B 2 C         6 8
         version and number: 5 bytes, the card's number as it goes on

* RDM6300, EM-18, ID-12LA and readers that call themselves UART EM4100 send this; those with CR LF
  before the end too. Such a reader repeats a card for as long as it lies there.
* A card that is held counts once: again only after it was gone for `GONE_US`.
* Every byte is anybody's: what is no frame is passed over, and a wrong sum is counted.
* A reader that is unplugged is opened again when it is asked the next time.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.ports import Clock
    from hardware.drivers.serial_line import ByteStream

BAUD: Final = 9_600
FRAME: Final = re.compile(rb"\x02([0-9A-Fa-f]{10})([0-9A-Fa-f]{2})(?:\r\n)?\x03")
FRAME_BYTES_MAX: Final = 16
GONE_US: Final = 2_000_000
TRY_US: Final = 2_000_000


class Frames:
    """Takes bytes as they come and returns the numbers of whole frames; sans-IO.

    Attributes:
        counts: Frames whose sum was wrong, under `sum`.
    """

    def __init__(self) -> None:
        self._waiting = b""
        self.counts: Counter[str] = Counter()

    def feed(self, data: bytes) -> list[bytes]:
        """Returns the numbers that became whole."""
        self._waiting += data
        found, end = [], 0
        for frame in FRAME.finditer(self._waiting):
            end = frame.end()
            number, told = bytes.fromhex(frame[1].decode()), int(frame[2], 16)
            if reduce(xor, number) == told:
                found.append(number)
            else:
                self.counts["sum"] += 1
        self._waiting = self._waiting[end:][-FRAME_BYTES_MAX:]
        return found


class SerialCardReader:
    """Fulfils `edge.ports.DriverReader`.

    Args:
        connect: Opens the line.
        clock: Tells how long a card was gone.
    """

    def __init__(self, connect: Callable[[], ByteStream], clock: Clock) -> None:
        self._connect = connect
        self._clock = clock
        self._line: ByteStream | None = None
        self._frames = Frames()
        self._held, self._heard_us, self._failed_us = b"", 0, -TRY_US

    def cards(self) -> list[bytes]:
        """Returns the cards that were held before the reader since the last call."""
        now_us = self._clock.now().monotonic_us
        if self._line is None and now_us - self._failed_us < TRY_US:
            return []
        try:
            self._line = self._line or self._connect()
            data = self._line.read(0)
        except DeviceFault:
            self._failed_us = now_us
            self.close()
            raise
        return [number for number in self._frames.feed(data) if self._is_new(number, now_us)]

    def close(self) -> None:
        """Releases the line."""
        line, self._line, self._frames = self._line, None, Frames()
        if line is not None:
            line.close()

    def _is_new(self, number: bytes, now_us: int) -> bool:
        again = number == self._held and now_us - self._heard_us < GONE_US
        self._held, self._heard_us = number, now_us
        return not again
