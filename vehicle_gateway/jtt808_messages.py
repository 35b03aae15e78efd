"""Messages of JT/T 808-2013 and -2019: header, sub-packages, and the bodies that the door speaks.

Place in the flow: jtt808_frames → **jtt808_messages** → jtt808_session → door; answers go back.

    2013         id 2 | properties 2 | phone BCD 6 | serial 2 [| packages 2 | number 2]
    2019         id 2 | properties 2 | version 1 | phone BCD 10 | serial 2 [| packages 2 | number 2]
    properties   bit 0-9 length of the body, 10-12 encryption, 13 sub-packages, 14 version of 2019

* Big endian. A phone is its digits without the zeros that fill it up, the same in both versions.
* Bytes are hostile: what breaks the tables of the standard is a PeerError, never anything else.
* A body in sub-packages is put together within limits of number, size and time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.errors import PeerError
from vehicle_gateway.jtt808_frames import frame

if TYPE_CHECKING:
    from collections.abc import Iterator

# Terminal to platform (JT/T 808-2013 appendix B, -2019 appendix B).
ANSWER: Final = 0x0001
HEARTBEAT: Final = 0x0002
LOGOUT: Final = 0x0003
REGISTER: Final = 0x0100
AUTHENTICATE: Final = 0x0102
LOCATION: Final = 0x0200
CARD: Final = 0x0702
BATCH: Final = 0x0704
# Platform to terminal.
PLATFORM_ANSWER: Final = 0x8001
RESEND: Final = 0x8003
REGISTER_ANSWER: Final = 0x8100

# Results of 0x8001.
DONE: Final = 0
FAILED: Final = 1
WRONG: Final = 2
UNSUPPORTED: Final = 3

LENGTH_MASK: Final = 0x03FF
ENCRYPTED: Final = 0x1C00
PACKAGED: Final = 0x2000
OF_2019: Final = 0x4000
PACKAGES_MAX: Final = 64
ASSEMBLIES_MAX: Final = 4
ASSEMBLY_US_MAX: Final = 60_000_000
PHONE_BYTES: Final = {False: 6, True: 10}


@dataclass(frozen=True, slots=True)
class Message:
    """One message, of either side.

    Attributes:
        kind: Message id.
        phone: Digits of the terminal's SIM, without leading zeros.
        serial: Number that the sender counts up, modulo 65,536.
        is_2019: Whether header and bodies are those of JT/T 808-2019.
        is_encrypted: The body is a cipher text; nobody here has its key.
        packages: Number of sub-packages, 1 for a whole message.
        number: Which of them this is, from 1.
    """

    kind: int
    phone: str
    serial: int
    body: bytes = b""
    is_2019: bool = False
    is_encrypted: bool = False
    packages: int = 1
    number: int = 1


def read_message(content: bytes) -> Message:
    """Reads header and body of a frame.

    Raises:
        PeerError: `jtt808-header`: shorter than its own header says, of another length, with a
            phone that is no number or with sub-packages that cannot be.
    """
    kind, properties = _word(content, 0), _word(content, 2)
    is_2019 = bool(properties & OF_2019)
    at = 5 if is_2019 else 4
    phone_end = at + PHONE_BYTES[is_2019]
    phone = content[at:phone_end].hex().lstrip("0")
    serial, at = _word(content, phone_end), phone_end + 2
    packages = number = 1
    if properties & PACKAGED:
        packages, number = _word(content, at), _word(content, at + 2)
        at += 4
    if len(content) - at != properties & LENGTH_MASK:
        raise _wrong("the length of the body is not the one that the header names")
    if not phone.isdecimal() or not 1 <= number <= packages <= PACKAGES_MAX:
        raise _wrong("phone or sub-packages cannot be")
    is_encrypted = bool(properties & ENCRYPTED)
    return Message(kind, phone, serial, content[at:], is_2019, is_encrypted, packages, number)


def write_message(message: Message) -> bytes:
    """Returns the frame of a message."""
    digits = 2 * PHONE_BYTES[message.is_2019]
    properties = len(message.body) | (OF_2019 if message.is_2019 else 0)
    properties |= ENCRYPTED & 0x0400 if message.is_encrypted else 0
    properties |= PACKAGED if message.packages > 1 else 0
    head = _words(message.kind, properties) + (b"\x01" if message.is_2019 else b"")
    head += bytes.fromhex(message.phone.rjust(digits, "0")) + _words(message.serial)
    if message.packages > 1:
        head += _words(message.packages, message.number)
    return frame(head + message.body)


# ------------------------------------------------------------------ sub-packages
@dataclass(slots=True)
class _Assembly:
    since_us: int
    parts: dict[int, Message]


class Assemblies:
    """Puts bodies in sub-packages together: serials of one message count up by one each."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int, int], _Assembly] = {}

    def add(self, part: Message, now_us: int) -> list[Message]:
        """Takes a sub-package; returns all of its message, in order, once none is missing.

        What was begun longest ago makes room, and what takes longer than `ASSEMBLY_US_MAX` is
        given up: nothing of it was acknowledged, so the terminal sends it again.
        """
        self._open = {
            key: each
            for key, each in self._open.items()
            if now_us - each.since_us <= ASSEMBLY_US_MAX
        }
        key = _key(part)
        if key not in self._open and len(self._open) >= ASSEMBLIES_MAX:
            del self._open[min(self._open, key=lambda each: self._open[each].since_us)]
        assembly = self._open.setdefault(key, _Assembly(now_us, {}))
        assembly.parts[part.number] = part
        if len(assembly.parts) < part.packages:
            return []
        del self._open[key]
        return [assembly.parts[number] for number in range(1, part.packages + 1)]

    def missing(self, part: Message) -> list[int]:
        """Numbers of the sub-packages that have not come when the last one has."""
        assembly = self._open.get(_key(part))
        if assembly is None or part.number != part.packages:
            return []
        return [each for each in range(1, part.packages + 1) if each not in assembly.parts]


def _key(part: Message) -> tuple[int, int, int]:
    return part.kind, first_serial(part), part.packages


def first_serial(part: Message) -> int:
    """Returns the serial of the first sub-package of a message."""
    return (part.serial - part.number + 1) & 0xFFFF


# ------------------------------------------------------------------ bodies from the terminal
@dataclass(frozen=True, slots=True)
class Registration:
    """What a terminal says of itself (0x0100)."""

    maker: str
    model: str
    terminal: str
    plate_color: int
    plate: str


def read_registration(message: Message) -> Registration:
    """Reads 0x0100: maker 5, model 20, terminal 7 bytes in 2013; 11, 30 and 30 in 2019.

    Raises:
        PeerError: `jtt808-body`: it is shorter.
    """
    model, terminal, color = (15, 45, 75) if message.is_2019 else (9, 29, 36)
    body = message.body
    if len(body) <= color:
        raise _short("a registration")
    maker, plate = _text(body[4:model]), _text(body[color + 1 :])
    return Registration(
        maker, _text(body[model:terminal]), _text(body[terminal:color]), body[color], plate
    )


def read_code(message: Message) -> bytes:
    """Reads the code of 0x0102: the whole body in 2013; length, code, IMEI, version in 2019.

    Raises:
        PeerError: `jtt808-body`: it is shorter than it says.
    """
    body = message.body
    if not message.is_2019:
        return body.rstrip(b"\0")
    if not body or len(body) < 1 + body[0]:
        raise _short("an authentication")
    return body[1 : 1 + body[0]].rstrip(b"\0")


@dataclass(frozen=True, slots=True)
class Card:
    """A driver's qualification card (0x0702). It names a person: it is never kept.

    Attributes:
        inserted: False when it was pulled out.
        certificate: Number of the qualification; empty where the card could not be read.
    """

    inserted: bool
    time_bcd: bytes
    certificate: str


def read_card(message: Message) -> Card:
    """Reads 0x0702: state 1, time 6, result 1, name, certificate 20, ...; 2019 adds an id number.

    Raises:
        PeerError: `jtt808-body`: it is shorter than it says, or of no known state.
    """
    body = message.body
    if len(body) < 7 or body[0] not in {1, 2}:
        raise _short("a driver's card")
    if body[0] == 2 or (len(body) > 7 and body[7] != 0):
        return Card(body[0] == 1, body[1:7], "")
    name_end = 9 + body[8] if len(body) > 8 else 9
    if len(body) < name_end + 20:
        raise _short("a driver's card")
    return Card(True, body[1:7], _text(body[name_end : name_end + 20]))


def read_batch(message: Message) -> Iterator[bytes]:
    """Yields the location reports of 0x0704.

    Raises:
        PeerError: `jtt808-body`: it ends before its reports do, or holds none.
    """
    body, at = message.body, 3
    count = _word(body, 0)
    if not count or len(body) < 3:
        raise _short("a batch of locations")
    for _ in range(count):
        end = at + 2 + _word(body, at)
        if end > len(body):
            raise _short("a batch of locations")
        yield body[at + 2 : end]
        at = end


# ------------------------------------------------------------------ bodies to the terminal
def general_answer(to: Message, result: int) -> bytes:
    """Returns the body of 0x8001 (or 0x0001)."""
    return _words(to.serial, to.kind) + bytes([result])


def register_answer(to: Message, result: int, code: str = "") -> bytes:
    """Returns the body of 0x8100; a code only with result 0."""
    return _words(to.serial) + bytes([result]) + code.encode("ascii")


def resend_request(part: Message, missing: list[int]) -> bytes:
    """Returns the body of 0x8003; the number of packages is one byte in 2013, two in 2019."""
    count = _words(len(missing)) if part.is_2019 else bytes([len(missing)])
    return _words(first_serial(part)) + count + _words(*missing)


# ------------------------------------------------------------------ inside
def _word(content: bytes, at: int) -> int:
    if len(content) < at + 2:
        raise _wrong("it ends within a number")
    return int.from_bytes(content[at : at + 2], "big")


def _words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def _text(field: bytes) -> str:
    """GBK, as the standard has it; what is no GBK becomes a replacement sign."""
    return field.strip(b"\0 ").decode("gbk", errors="replace")


def _wrong(why: str) -> PeerError:
    return PeerError(f"This is no message of JT/T 808: {why}.", "jtt808-header")


def _short(what: str) -> PeerError:
    return PeerError(
        f"The body of {what} is not as JT/T 808 lays it out. Compare the terminal's version with "
        "docs/reference/jtt808.md.",
        "jtt808-body",
    )
