"""The ID card reader: frames of the SDT protocol, the text of a card, and the driver above them.

Place in the flow: worker → `IdReader` → a serial line or `hardware.sim.id_reader`.

    host → reader   AA AA AA 96 69 | length | CMD  PARA        | data | XOR
    reader → host   AA AA AA 96 69 | length | SW1  SW2  SW3    | data | XOR
                                     2 B, big endian: all that follows it, XOR included
                                     XOR of every byte from the length to the end of the data
    card            text length 2 B BE (256) | photo length 2 B BE (1024) | text | photo
    text            name 30 | sex 2 | nation 4 | birth 16 | address 70 | number 36 | authority 30 |
                    from 16 | until 16 | latest address 36 bytes, UTF-16LE, padded with spaces

Sources: GA 450-2013 (SDT reader interface), GA 490 (card text), GB 11643-1999 (number, ISO 7064
MOD 11-2), GB/T 2261.1 (sex), GB/T 3304 (nation).

* Every byte from the reader is hostile: a damaged frame is `PeerError`, noise is passed over.
* Of a number only length, date and check digit are judged: county codes change after a birth.
* The photo is not kept, and nothing that was read is logged.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import date
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault, PeerError
from hardware.drivers.call import POLL_MS, CallDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.ports import Clock, Completion
    from hardware.drivers.call import Call
    from hardware.drivers.serial_line import ByteStream

PREAMBLE: Final = bytes.fromhex("AAAAAA9669")
FRAME_BYTES_MAX: Final = 4_096
FIND, SELECT, READ = b"\x20\x01", b"\x20\x02", b"\x30\x01"
FOUND, OK, NO_CARD, READ_FAILED = b"\0\0\x9f", b"\0\0\x90", b"\0\0\x80", b"\0\0\x41"
TEXT_BYTES: Final = 256
PHOTO_BYTES: Final = 1_024
ANSWER_MS_MAX: Final = 1_500
"""A reader needs about 700 ms for a card at 115200 baud."""

FIELDS: Final = (
    ("name", 30), ("sex", 2), ("nation", 4), ("birth", 16), ("address", 70), ("number", 36),
    ("authority", 30), ("valid_from", 16), ("valid_until", 16),
)  # fmt: skip
SEXES: Final = {"0": "未知", "1": "男", "2": "女", "9": "未说明"}
NATION_NAMES: Final = """
汉 蒙古 回 藏 维吾尔 苗 彝 壮 布依 朝鲜 满 侗 瑶 白
土家 哈尼 哈萨克 傣 黎 傈僳 佤 畲 高山 拉祜 水 东乡 纳西 景颇
柯尔克孜 土 达斡尔 仫佬 羌 布朗 撒拉 毛南 仡佬 锡伯 阿昌 普米 塔吉克 怒
乌孜别克 俄罗斯 鄂温克 德昂 保安 裕固 京 塔塔尔 独龙 鄂伦春 赫哲 门巴 珞巴 基诺
"""
NATIONS: Final = tuple(NATION_NAMES.split())
NUMBER: Final = re.compile(r"[0-9]{17}[0-9X]")
CHECK_DIGITS: Final = "10X98765432"


# ------------------------------------------------------------------ frames
def encode_frame(body: bytes) -> bytes:
    """Wraps a command or an answer (everything between length and XOR)."""
    counted = (len(body) + 1).to_bytes(2, "big") + body
    return PREAMBLE + counted + bytes([reduce(xor, counted)])


class FrameDecoder:
    """Takes bytes as they come and returns the bodies of whole frames; sans-IO."""

    def __init__(self) -> None:
        self._waiting = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Returns the bodies that became whole.

        Raises:
            PeerError: A frame is longer than any of a reader, or its XOR is wrong; it is dropped.
        """
        self._waiting += data
        bodies: list[bytes] = []
        while (body := self._next()) is not None:
            bodies.append(body)
        return bodies

    def _next(self) -> bytes | None:
        start = self._waiting.find(PREAMBLE)
        # Noise before a frame is passed over; what may be the head of a preamble is kept.
        self._waiting = self._waiting[start if start >= 0 else -len(PREAMBLE) + 1 :]
        if start < 0 or len(self._waiting) < len(PREAMBLE) + 2:
            return None
        counted = self._waiting[len(PREAMBLE) :]
        length = int.from_bytes(counted[:2], "big")
        if not 1 < length <= FRAME_BYTES_MAX:
            self._waiting = self._waiting[1:]
            raise PeerError("The ID reader sent a frame of impossible length.", "reader-frame")
        if len(counted) < 2 + length:
            return None
        frame, self._waiting = counted[: 2 + length], counted[2 + length :]
        if reduce(xor, frame):
            raise PeerError("A frame of the ID reader is damaged; read again.", "reader-frame")
        return frame[2:-1]


# ------------------------------------------------------------------ cards
@dataclass(frozen=True, slots=True)
class IdCard:
    """What stands on a card.

    Attributes:
        sex: `男` or `女`.
        nation: Such as `汉`.
        birth: YYYYMMDD, as are `valid_from` and `valid_until`; the latter may be `长期`.
        number: 18 characters.
    """

    name: str
    sex: str
    nation: str
    birth: str
    address: str
    number: str
    authority: str
    valid_from: str
    valid_until: str


def check_digit(first: str) -> str:
    """Returns the last character of a number from its first 17 digits (ISO 7064 MOD 11-2)."""
    weighted = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(first))
    return CHECK_DIGITS[weighted % 11]


def check_number(number: str) -> None:
    """Judges an ID number by length, date of birth and check digit, and by nothing else.

    Raises:
        PeerError: It cannot be an ID number (`id-number`).
    """
    good = NUMBER.fullmatch(number) is not None
    if good:
        try:
            date.fromisoformat(f"{number[6:10]}-{number[10:12]}-{number[12:14]}")
        except ValueError:
            good = False
    if not good or check_digit(number[:17]) != number[17]:
        raise PeerError("The number on the card is no ID number; look at the card.", "id-number")


def encode_card(card: IdCard) -> bytes:
    """Returns the answer data of READ for a card, with an empty photo."""
    coded = {**asdict(card), "sex": _code(SEXES, card.sex)}
    coded["nation"] = f"{NATIONS.index(card.nation) + 1:02d}"
    text = b"".join(_field(coded[name], size) for name, size in FIELDS)
    text += " ".encode("utf-16-le") * ((TEXT_BYTES - len(text)) // 2)
    lengths = TEXT_BYTES.to_bytes(2, "big") + PHOTO_BYTES.to_bytes(2, "big")
    return lengths + text + bytes(PHOTO_BYTES)


def decode_card(data: bytes) -> IdCard:
    """Reads the answer data of READ.

    Raises:
        PeerError: Lengths, text, codes or number are not those of a card.
    """
    if len(data) < 4 + TEXT_BYTES or int.from_bytes(data[:2], "big") != TEXT_BYTES:
        raise PeerError("The ID reader sent a card of wrong length; read again.", "card-shape")
    text, at = {}, 4
    for name, size in FIELDS:
        text[name] = _read_field(data[at : at + size])
        at += size
    nation = int(text["nation"]) if re.fullmatch("[0-9]{2}", text["nation"]) else 0
    if text["sex"] not in SEXES or not 1 <= nation <= len(NATIONS) or not text["name"]:
        raise PeerError("The card's text cannot be understood; read again.", "card-shape")
    check_number(text["number"])
    return IdCard(**{**text, "sex": SEXES[text["sex"]], "nation": NATIONS[nation - 1]})


def _code(table: Mapping[str, str], word: str) -> str:
    return next(code for code, known in table.items() if known == word)


def _field(text: str, size: int) -> bytes:
    return text.ljust(size // 2).encode("utf-16-le")[:size]


def _read_field(data: bytes) -> str:
    try:
        text = data.decode("utf-16-le")
    except UnicodeDecodeError:
        raise PeerError("The card's text is damaged; read again.", "card-shape") from None
    text = text.rstrip(" \0")
    if not text.isprintable():
        raise PeerError("The card's text holds control characters; read again.", "card-shape")
    return text


# ------------------------------------------------------------------ driver
class IdReader(CallDevice):
    """An SDT reader at a byte stream; fulfils `edge.ports.KioskDevice`.

    Verbs: `read` waits for a card and returns its text; `present` tells whether one lies there.

    Args:
        line: 115200 baud, 8N1.
        clock: Measures time limits.
    """

    def __init__(self, line: ByteStream, clock: Clock) -> None:
        super().__init__("id_reader", clock)
        self._line = line

    def verbs(self) -> Mapping[str, Callable[[Call], Completion]]:
        """`read` and `present`."""
        return {"read": self._read, "present": self._present}

    def _read(self, call: Call) -> Completion:
        while not call.over:
            data = self._read_card()
            if data is not None:
                return call.done(**asdict(decode_card(data)))
            call.pause(POLL_MS)
        return call.ended()

    def _present(self, call: Call) -> Completion:
        return call.done(present=self._read_card() is not None)

    def _read_card(self) -> bytes | None:
        """Finds, selects and reads; None while no card lies there.

        Raises:
            DeviceFault: The card cannot be read.
        """
        # A card that was read before answers READ only; a fresh one must be found and selected.
        if self._ask(FIND)[:3] == FOUND:
            self._ask(SELECT)
        answer = self._ask(READ)
        if answer[:3] == NO_CARD:
            return None
        if answer[:3] != OK:
            raise DeviceFault("The card cannot be read; lay it down again.", "card-unreadable")
        return answer[3:]

    def _ask(self, command: bytes) -> bytes:
        decoder = FrameDecoder()
        self._line.write(encode_frame(command))
        waited_ms = 0
        while waited_ms < ANSWER_MS_MAX:
            data = self._line.read(POLL_MS)
            bodies = decoder.feed(data)
            if bodies:
                return bodies[0]
            waited_ms += 0 if data else POLL_MS
        raise DeviceFault("The ID reader does not answer; check its cable.", "reader-silent")
