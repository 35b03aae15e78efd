"""What one connection of a terminal may say, and what it is answered: sans-IO.

Place in the flow: TCP → jtt808_frames, jtt808_messages → **jtt808_session** (decides) → door.

Theory of operation. A terminal registers once, gets a code, and shows it on every connection:

    state       heard                     answered                    then
    stranger    0x0100, known to us       0x8100 result 0, code       stranger, who has a code
    stranger    0x0100, not known         0x8100 result 4             closed
    stranger    0x0102, right code        0x8001 result 0             trusted
    stranger    0x0102, wrong code        0x8001 result 1             closed at the third
    stranger    anything else             0x8001 result 1
    trusted     0x0200, 0x0702, 0x0704    nothing yet: 0x8001 when it is durable (`acknowledge`)
    trusted     0x0002                    0x8001 result 0
    trusted     0x0003                    0x8001 result 0             its code is void; stranger
    trusted     anything else             0x8001 result 3

* A terminal deletes what was acknowledged: so nothing is acknowledged before it is on the disk.
* An encrypted body has no key here: result 3. A body that breaks the standard: result 2.
* One connection is one terminal: another phone on it, or nonsense, ends it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from edge.errors import PeerError
from vehicle_gateway import jtt808_messages as messages
from vehicle_gateway.jtt808_frames import Frames
from vehicle_gateway.jtt808_location import read_location
from vehicle_gateway.jtt808_messages import Assemblies, Message, read_message, write_message

if TYPE_CHECKING:
    from collections import Counter

    from vehicle_gateway.jtt808_messages import Card, Registration

NONSENSE_MAX: Final = 8
GARBAGE_BYTES_MAX: Final = 64
ATTEMPTS_MAX: Final = 3


class Register(Protocol):
    """Who may speak, and by which code."""

    def admit(self, phone: str, registration: Registration) -> str | None:
        """Returns a new code for a terminal, durable; None where it is not known to us."""
        ...

    def verify(self, phone: str, code: bytes) -> bool:
        """Says whether this is the code that stands."""
        ...

    def withdraw(self, phone: str) -> None:
        """Makes the code void."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something to be made durable and then acknowledged.

    Attributes:
        messages: Those to acknowledge: several where a body came in sub-packages.
        reports: Bodies of location reports.
        card: A driver's card.
        is_batch: Whether the reports are from a terminal's memory, not of the present.
    """

    messages: tuple[Message, ...]
    reports: tuple[bytes, ...] = ()
    card: Card | None = None
    is_batch: bool = False


@dataclass(slots=True)
class Heard:
    """What came of a piece of the stream.

    Attributes:
        answers: Frames to send now.
        deliveries: What waits for the disk.
        trusted: Phone of the terminal that has become trusted with this piece.
        close: Why the connection must end, or nothing.
    """

    answers: list[bytes] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    trusted: str = ""
    close: str = ""


class Session:
    """One connection.

    Args:
        register: Who may speak.

    Attributes:
        phone: Whom the connection speaks for; empty before its first message.
        is_trusted: Whether it has shown its code.
        counts: What was refused, by reason.
        heard_us: Monotonic time of the last good message.
    """

    def __init__(self, register: Register, now_us: int) -> None:
        self._register = register
        self._frames = Frames()
        self._assemblies = Assemblies()
        self._attempts = self._serial = 0
        self.phone = ""
        self.is_trusted = False
        self.counts: Counter[str] = self._frames.counts
        self.heard_us = now_us

    def feed(self, piece: bytes, now_us: int) -> Heard:
        """Takes a piece of the stream.

        Args:
            piece: Hostile bytes.
            now_us: Monotonic time.

        Raises:
            DeviceFault: The register cannot be written.
        """
        heard = Heard()
        for content in self._frames.feed(piece):
            try:
                self._take(read_message(content), heard, now_us)
            except PeerError as error:
                self.counts[error.code] += 1
                self._frames.nonsense += 1
            if heard.close:
                return heard
        if self._frames.nonsense > NONSENSE_MAX:
            heard.close = "jtt808-nonsense"
        if self.counts["jtt808-garbage"] > GARBAGE_BYTES_MAX:
            heard.close = "jtt808-garbage"
        return heard

    def acknowledge(self, delivery: Delivery) -> bytes:
        """Returns the answers to a delivery that is durable now."""
        return b"".join(self._answer(each, messages.DONE) for each in delivery.messages)

    # ------------------------------------------------------------ inside
    def _take(self, message: Message, heard: Heard, now_us: int) -> None:
        if self.phone and message.phone != self.phone:
            heard.close = "jtt808-other-phone"
            return
        self.phone, self.heard_us = message.phone, now_us
        if message.is_encrypted:
            self._refuse(message, messages.UNSUPPORTED, "jtt808-encrypted", heard)
            return
        parts = [message]
        if message.packages > 1:
            parts = self._assemble(message, heard, now_us)
            if not parts:
                return
        whole = parts[-1] if len(parts) == 1 else _joined(parts)
        try:
            self._act(whole, tuple(parts), heard)
        except PeerError as error:
            self._refuse(message, messages.WRONG, error.code, heard)

    def _assemble(self, part: Message, heard: Heard, now_us: int) -> list[Message]:
        if not self.is_trusted:
            self._refuse(part, messages.FAILED, "jtt808-stranger", heard)
            return []
        whole = self._assemblies.add(part, now_us)
        missing = self._assemblies.missing(part)
        if missing:
            body = messages.resend_request(part, missing)
            heard.answers.append(self._send(part, messages.RESEND, body))
        return whole

    def _act(self, message: Message, parts: tuple[Message, ...], heard: Heard) -> None:
        if message.kind == messages.REGISTER:
            self._admit(message, heard)
        elif message.kind == messages.AUTHENTICATE:
            self._verify(message, heard)
        elif not self.is_trusted:
            self._refuse(message, messages.FAILED, "jtt808-stranger", heard)
        elif message.kind in {messages.LOCATION, messages.BATCH, messages.CARD}:
            heard.deliveries.append(self._deliver(message, parts))
        elif message.kind == messages.HEARTBEAT:
            heard.answers.append(self._answer(message, messages.DONE))
        elif message.kind == messages.LOGOUT:
            self._register.withdraw(self.phone)
            self.is_trusted = False
            heard.answers.append(self._answer(message, messages.DONE))
        elif message.kind != messages.ANSWER:
            self._refuse(message, messages.UNSUPPORTED, "jtt808-unsupported", heard)

    def _admit(self, message: Message, heard: Heard) -> None:
        code = self._register.admit(self.phone, messages.read_registration(message))
        result, refused = (4, "jtt808-unknown") if code is None else (messages.DONE, "")
        body = messages.register_answer(message, result, code or "")
        heard.answers.append(self._send(message, messages.REGISTER_ANSWER, body))
        self._attempts += 1
        self._judge(refused, heard, is_last=code is None)

    def _verify(self, message: Message, heard: Heard) -> None:
        self._attempts += 1
        if self._register.verify(self.phone, messages.read_code(message)):
            self.is_trusted, self._attempts = True, 0
            heard.trusted = self.phone
            heard.answers.append(self._answer(message, messages.DONE))
        else:
            heard.answers.append(self._answer(message, messages.FAILED))
            self._judge("jtt808-code", heard, is_last=False)

    def _judge(self, reason: str, heard: Heard, *, is_last: bool) -> None:
        if reason:
            self.counts[reason] += 1
        if is_last or self._attempts >= ATTEMPTS_MAX:
            heard.close = reason or "jtt808-attempts"

    def _deliver(self, message: Message, parts: tuple[Message, ...]) -> Delivery:
        if message.kind == messages.CARD:
            return Delivery(parts, card=messages.read_card(message))
        if message.kind == messages.LOCATION:
            read_location(message.body)
            return Delivery(parts, (message.body,))
        reports = []
        for body in messages.read_batch(message):
            try:
                read_location(body)
            except PeerError:
                self.counts["jtt808-report"] += 1  # alone: its neighbours are good
            else:
                reports.append(body)
        return Delivery(parts, tuple(reports), is_batch=True)

    def _refuse(self, message: Message, result: int, reason: str, heard: Heard) -> None:
        self.counts[reason] += 1
        heard.answers.append(self._answer(message, result))

    def _answer(self, to: Message, result: int) -> bytes:
        body = messages.general_answer(to, result)
        return self._send(to, messages.PLATFORM_ANSWER, body)

    def _send(self, to: Message, kind: int, body: bytes) -> bytes:
        self._serial = (self._serial + 1) & 0xFFFF
        return write_message(Message(kind, to.phone, self._serial, body, to.is_2019))


def _joined(parts: list[Message]) -> Message:
    first, body = parts[0], b"".join(part.body for part in parts)
    return Message(first.kind, first.phone, first.serial, body, first.is_2019)
