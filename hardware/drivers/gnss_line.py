"""A satellite receiver on a serial line, as an `edge.ports.FrameSource` of its sentences.

Place in the flow: line_source → **gnss_line** → `NMEA_LINE` frames → vehicle_gateway.nmea.

    $ ... CR LF                                     NMEA 0183: one frame, without its line end
    B5 62 class id length(2) payload check(2)       UBX binary: skipped whole, counted
    D3 0 length(10 bits) payload CRC-24Q(3)         RTCM 3: skipped whole, counted
    anything else                                   `garbage-byte`

* A sentence is printable; the first byte that is not ends it. What it says is not looked at here,
  but for its checksum while the speed of the line is sought.
* A receiver whose speed is not known is sought at each of `BAUDS` (line_source).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from edge.ports import LINE_BYTES_MAX, NMEA_LINE
from hardware.drivers.line_source import LineKind, LineSource
from hardware.drivers.serial_line import SerialLine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.ports import Clock
    from hardware.drivers.serial_line import ByteStream

BAUDS: Final = (9_600, 115_200, 38_400, 4_800, 57_600, 19_200, 230_400, 460_800, 921_600)
LISTEN_US: Final = 2_200_000
SILENCE_US: Final = 15_000_000
DOLLAR: Final = 0x24
UBX: Final = b"\xb5\x62"
UBX_HEAD: Final = 6
RTCM: Final = 0xD3
RTCM_HEAD: Final = 3
CRC_24Q: Final = 0x186_4CFB
BINARY_BYTES_MAX: Final = 1_100
ENDS: Final = b"\r\n"
PRINTABLE: Final = frozenset(range(0x20, 0x7F))


class GnssCutter:
    """Cuts what a receiver sends into sentences: sans-IO.

    Attributes:
        counts: What was no sentence, by reason.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Takes bytes in and returns the sentences that they complete, without line ends."""
        rest, start = self._rest, 0
        rest += data
        lines: list[bytes] = []
        while start < len(rest):
            if rest[start] == DOLLAR:
                length = self._sentence(start, lines)
            elif rest[start] == UBX[0]:
                length = self._ubx(start)
            elif rest[start] == RTCM:
                length = self._rtcm(start)
            else:
                length = 1
                self.counts["garbage-byte"] += rest[start] not in ENDS
            if not length:
                break  # it goes on in the next bytes
            start += length
        del rest[:start]
        return lines

    def _sentence(self, start: int, lines: list[bytes]) -> int:
        """Takes a sentence; returns its length, 0 while its end is not there."""
        rest = self._rest
        end = start + 1
        while end < len(rest) and rest[end] in PRINTABLE and rest[end] != DOLLAR:
            end += 1
        if end - start > LINE_BYTES_MAX:
            self.counts["overlong-line"] += 1
            return end - start
        if end == len(rest):
            return 0
        lines.append(bytes(rest[start:end]))
        return end - start

    def _ubx(self, start: int) -> int:
        head = bytes(self._rest[start : start + UBX_HEAD])
        if len(head) < UBX_HEAD and UBX.startswith(head[:2]):
            return 0
        length = UBX_HEAD + int.from_bytes(head[4:6], "little") + 2
        if head[:2] != UBX or length > BINARY_BYTES_MAX:
            return self._garbage()
        whole = self._rest[start : start + length]
        if len(whole) < length:
            return 0
        return self._binary("ubx-message", length) if _is_ubx(whole) else self._garbage()

    def _rtcm(self, start: int) -> int:
        head = self._rest[start : start + RTCM_HEAD]
        if len(head) < RTCM_HEAD:
            return 0
        length = RTCM_HEAD + (int.from_bytes(head[1:3], "big") & 0x3FF) + 3
        if head[1] & 0xFC or length > BINARY_BYTES_MAX:
            return self._garbage()
        whole = self._rest[start : start + length]
        if len(whole) < length:
            return 0
        return self._garbage() if crc_24q(whole) else self._binary("rtcm-message", length)

    def _garbage(self) -> int:
        self.counts["garbage-byte"] += 1
        return 1

    def _binary(self, reason: str, length: int) -> int:
        self.counts[reason] += 1
        return length


def is_whole(line: bytes) -> bool:
    """Says whether a line has the checksum that it says: at a wrong speed none has."""
    body, star, digits = line[1:].partition(b"*")
    value = 0
    for byte in body:
        value ^= byte
    return bool(star) and digits[:2].upper() == b"%02X" % value


KIND: Final = LineKind("gnss", NMEA_LINE, BAUDS, LISTEN_US, SILENCE_US, is_whole, spread=False)


class GnssSource(LineSource):
    """A receiver as a live source.

    Args:
        path: Such as `/dev/ttyUSB0`.
        baud: Of the line, 0 to seek it.
        clock: Tells when sentences arrived.
        open_line: Opens the line at a speed; `SerialLine` outside of tests.
    """

    def __init__(
        self,
        path: Path,
        baud: int,
        clock: Clock,
        open_line: Callable[[Path, int], ByteStream] = SerialLine,
    ) -> None:
        super().__init__(KIND, GnssCutter(), path, baud, clock, open_line)


def _is_ubx(whole: bytes | bytearray) -> bool:
    """Says whether a UBX message has its checksum (8-bit Fletcher, RFC 1145)."""
    first = second = 0
    for byte in whole[2:-2]:
        first = first + byte & 0xFF
        second = second + first & 0xFF
    return (first, second) == (whole[-2], whole[-1])


def crc_24q(data: bytes | bytearray) -> int:
    """Returns the CRC of RTCM 3 (RTCM 10403 §4); 0 over a message with its own CRC."""
    value = 0
    for byte in data:
        value ^= byte << 16
        for _ in range(8):
            value = value << 1 ^ (CRC_24Q if value & 0x80_0000 else 0)
    return value
