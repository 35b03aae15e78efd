"""A card reader of the RDM6300 family, at the far end of a line.

Place in the flow: a test or a demonstration → **card_reader** → pseudo-terminal → card_serial.

* It writes the frames that are drawn in `hardware.drivers.card_serial`, again and again while a
  card is held, as such a reader does.
"""

from __future__ import annotations

from functools import reduce
from operator import xor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware.drivers.serial_line import ByteStream


def card_frame(number: bytes, *, with_line_end: bool = False) -> bytes:
    """Returns what a reader says of a card: its 5 bytes in hexadecimal, and their XOR."""
    text = number.hex().upper() + f"{reduce(xor, number):02X}"
    return b"\x02" + text.encode() + (b"\r\n" if with_line_end else b"") + b"\x03"


class SimulatedCardReader:
    """Holds cards before the reader.

    Args:
        line: The reader's end of the line.
    """

    def __init__(self, line: ByteStream) -> None:
        self._line = line

    def hold(self, number: bytes, times: int = 3) -> None:
        """Holds a card: the reader says it again and again."""
        self._line.write(card_frame(number) * times)
