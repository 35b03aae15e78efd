"""What an ELM327 says, line by line: frames, words about itself, words about the bus, noise.

Place in the flow: bytes of the adapter → **elm327_lines** → `elm327_talk`.

    7E8 06 41 00 BE 3F A8 13     3 digits of id, 1 to 8 bytes; spaces or none     data sheet, ATH1
    18 DA F1 10 03 41 0D 32      8 digits of id
    NO DATA, CAN ERROR, ...      what went wrong; `>` asks for the next command

* A line is one frame or it is none: digits beside noise are not whole and are not taken.
* The length tells the id: an odd count of digits is a short id, an even one a long id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from edge.ports import EXTENDED_ID

LINE_BYTES_MAX: Final = 256
PROMPT: Final = 0x3E
SHORT_ID_MAX: Final = 0x7FF
LONG_ID_MAX: Final = 0x1FFF_FFFF
SHORT_DIGITS: Final = 3
LONG_DIGITS: Final = 8
DATA_DIGITS: Final = range(2, 17, 2)

HEX: Final = re.compile(rb"[0-9A-F]+")
VOLTAGE: Final = re.compile(rb"\d{1,2}\.\d{1,2}V?")
PROTOCOL: Final = re.compile(rb"A?[0-9A-C]")
BANNER: Final = re.compile(rb"(ELM ?3\d\d|OBD ?II|STN|VGATE|LV RESET)[\x20-\x7e]*")
SEARCHING: Final = re.compile(rb"SEARCHING\.*")
INIT: Final = re.compile(rb"BUS INIT:? ?\.*(OK)?")


class Kind(Enum):
    """What a line is."""

    FRAME = "frame"
    OK = "ok"
    UNKNOWN = "unknown"
    NO_DATA = "no-data"
    BUS_FAULT = "bus-fault"
    REPLY_FAULT = "reply-fault"
    NOTICE = "notice"
    BANNER = "banner"
    VOLTAGE = "voltage"
    PROTOCOL = "protocol"
    NOISE = "noise"


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        reason: Word for the counter, where something went wrong.
    """

    kind: Kind
    reason: str = ""
    can_id: int = 0
    payload: bytes = b""
    text: bytes = b""


# Data sheet, "Error Messages and Alerts". A bus fault says that nothing can be asked now, a reply
# fault that this reply is not whole, a notice nothing about a reply.
WORDS: Final[dict[bytes, tuple[Kind, str]]] = {
    b"OK": (Kind.OK, ""),
    b"?": (Kind.UNKNOWN, "elm-unknown-command"),
    b"NODATA": (Kind.NO_DATA, "elm-no-data"),
    b"UNABLETOCONNECT": (Kind.BUS_FAULT, "elm-unable-to-connect"),
    b"CANERROR": (Kind.BUS_FAULT, "elm-can-error"),
    b"BUSERROR": (Kind.BUS_FAULT, "elm-bus-error"),
    b"BUSBUSY": (Kind.BUS_FAULT, "elm-bus-busy"),
    b"FBERROR": (Kind.BUS_FAULT, "elm-feedback-error"),
    b"ERROR": (Kind.BUS_FAULT, "elm-bus-init"),
    b"BUFFERFULL": (Kind.REPLY_FAULT, "elm-buffer-full"),
    b"DATAERROR": (Kind.REPLY_FAULT, "elm-data-error"),
    b"RXERROR": (Kind.REPLY_FAULT, "elm-rx-error"),
    b"STOPPED": (Kind.REPLY_FAULT, "elm-stopped"),
    b"FCRXTIMEOUT": (Kind.REPLY_FAULT, "elm-flow-timeout"),
    b"ACTALERT": (Kind.NOTICE, "elm-activity-alert"),
    b"LPALERT": (Kind.NOTICE, "elm-low-power-alert"),
}
INTERNAL: Final = re.compile(rb"ERR\d\d")
INIT_FAILED: Final = re.compile(rb"BUSINIT:?\.*ERROR")


def read_line(raw: bytes) -> Line:
    """Says what a line is; never raises.

    Args:
        raw: Without line end, prompt and NUL bytes.
    """
    text = raw.strip().upper()
    text = INIT.sub(b"", SEARCHING.sub(b"", text, count=1), count=1).strip() or text
    digits = text.replace(b" ", b"")
    if HEX.fullmatch(digits):
        return _frame(digits)
    word = digits.lstrip(b"!<")
    if word in WORDS:
        return Line(*WORDS[word])
    if INIT_FAILED.fullmatch(word):
        return Line(Kind.BUS_FAULT, "elm-bus-init")
    if INTERNAL.fullmatch(word):
        return Line(Kind.BUS_FAULT, "elm-internal-error")
    if SEARCHING.fullmatch(text) or INIT.fullmatch(text):
        return Line(Kind.NOTICE)
    if BANNER.fullmatch(text):
        return Line(Kind.BANNER, text=text)
    if VOLTAGE.fullmatch(digits):
        return Line(Kind.VOLTAGE, text=digits)
    fault = next((word for word in (b"<DATAERROR", b"<RXERROR") if digits.endswith(word)), b"")
    return Line(*WORDS[fault[1:]]) if fault else Line(Kind.NOISE, "elm-garbage")


def _frame(digits: bytes) -> Line:
    wide = len(digits) % 2 == 0
    at, most = (LONG_DIGITS, LONG_ID_MAX) if wide else (SHORT_DIGITS, SHORT_ID_MAX)
    if PROTOCOL.fullmatch(digits):
        return Line(Kind.PROTOCOL, text=digits)
    if len(digits) - at not in DATA_DIGITS or int(digits[:at], 16) > most:
        return Line(Kind.NOISE, "elm-garbage")
    can_id = int(digits[:at], 16) | (EXTENDED_ID if wide else 0)
    return Line(Kind.FRAME, "", can_id, bytes.fromhex(digits[at:].decode("ascii")))


class Splitter:
    """Cuts the stream of an adapter into lines and prompts.

    Attributes:
        overlong: Lines that did not end in time; each was dropped.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._dropping = False
        self.overlong = 0

    def split(self, data: bytes) -> list[bytes | None]:
        """Returns what is complete, in order: lines that are not empty, and None for a prompt."""
        found: list[bytes | None] = []
        for byte in data:
            if byte in b"\r\n" or byte == PROMPT:
                if self._line.strip():
                    found.append(bytes(self._line))
                self._line.clear()
                self._dropping = False
                if byte == PROMPT:
                    found.append(None)
            elif byte and not self._dropping:  # the data sheet says that NUL bytes may appear
                self._line.append(byte)
                if len(self._line) > LINE_BYTES_MAX:
                    self._line.clear()
                    self._dropping = True
                    self.overlong += 1
        return found

    def clear(self) -> None:
        """Forgets the begun line: another conversation begins."""
        self._line.clear()
        self._dropping = False
