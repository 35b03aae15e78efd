"""The conversation with an ELM327: one command, its lines, a prompt, the next command.

Place in the flow: `elm327` moves bytes → **elm327_talk** ⇄ `asking` (questions), frames out.

    reset → settings → search (0100 on all protocols) → questions, the battery's voltage between
      ↑         │          ↑ 10, 20 ... 300 s apart        │ three bus faults in a row
      │         │          └──────────────────────────────┤
      └─────────┴── an adapter that reset itself, or that says nothing ──┘

* Sans-IO: bytes and monotonic time in, bytes out; frames wait in `take`.
* A reply ends at a prompt, but only at one after a line of its own: clones send the late answer to
  a question, and a prompt with it, during the next one.
* What a clone does not know it is not told again. Every oddity is counted, none is fatal, except
  an adapter that says nothing, prints no ids, or found a protocol that is no CAN.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault
from edge.ports import ADAPTER_LINE, EXTENDED_ID
from hardware.drivers.elm327_lines import Kind, Line, Splitter, read_line

if TYPE_CHECKING:
    from hardware.drivers.asking import Asking

Frame = tuple[int, bytes]

RESET: Final = b"ATZ"
SETTINGS: Final = (
    b"ATE0",  # no echo
    b"ATL0",  # no line feeds
    b"ATS0",  # no spaces
    b"ATH1",  # with ids and length bytes: frames as they are on the bus
    b"ATCAF1",  # length bytes of requests are the adapter's work
    b"ATAL",  # long messages
    b"ATCFC1",  # and flow control
    b"ATAT1",  # waits as long as this vehicle usually needs
    b"ATSP0",  # any protocol
)
NEEDED: Final = frozenset({b"ATH1", b"ATSP0"})
SEARCH: Final = b"0100"
PROTOCOL: Final = b"ATDPN"
VOLTAGE: Final = b"ATRV"
WAITS: Final = (b"ATST32", b"ATST64", b"ATSTC8", b"ATSTFF")
"""At most 200 ms; more for a vehicle or clone whose answers come after the adapter gave up."""

DATA: Final = 0x01
POSITIVE: Final = 0x40
REFUSED: Final = b"\x7f"
FIRST_FRAME: Final = 1
FLOW_CONTROL: Final = 3
REPLY_US: Final = 2_000_000
REPLY_US_MAX: Final = 10_000_000
RESET_US: Final = 3_000_000
SEARCH_US: Final = 15_000_000
NUDGES_MAX: Final = 2
RESETS_MAX: Final = 3
BUS_FAULTS_MAX: Final = 3
LATE_MAX: Final = 3
VOLTAGE_US: Final = 10_000_000
CHARGING_MV: Final = 13_200
SEARCH_PAUSE_US: Final = 10_000_000
SEARCH_PAUSE_US_MAX: Final = 300_000_000
NO_CAN: Final = frozenset(b"12345A")  # J1850, ISO 9141, KWP; A is J1939, where nobody asks PIDs


@dataclass(slots=True)
class Command:
    """What was said and what it calls for.

    Attributes:
        text: Without its carriage return.
        expects: Of a question: the service of its answer and the bytes that may follow it.
        counted: Whether it ends with how many frames to wait for.
        own: Whether a line of its reply came.
        faulty: Whether the reply says that the bus failed.
    """

    text: bytes
    expects: bytes = b""
    counted: bool = False
    since_us: int = 0
    until_us: int = 0
    nudges: int = 0
    own: bool = False
    faulty: bool = False

    @property
    def question(self) -> bytes:
        """The text without the count of frames."""
        return self.text[:-1] if self.counted else self.text


class Talk:
    """One conversation, from the reset to the loss of the adapter.

    Args:
        asking: Whose questions are put.
        counts: What was odd, by reason; goes on counting over reconnects.
    """

    def __init__(self, asking: Asking, counts: Counter[str]) -> None:
        self._asking = asking
        self._counts = counts
        self._splitter = Splitter()
        self._next: deque[Command] = deque()
        self._under_way: Command | None = None
        self._frames: list[Frame] = []
        self._unknown: set[bytes] = set()
        self._long: set[bytes] = set()
        self._waits = deque(WAITS)
        self._counts_frames = True
        self._speaks_other = False
        self._header = 0
        self._resets = self._bus_faults = self._late = 0
        self._search_us = self._search_pause_us = 0
        self._voltage_us = 0
        self._voltage_mv = 0
        self._wide: bool | None = None
        self.adapter = ""
        self._restart()

    @property
    def connected(self) -> bool:
        """Whether a protocol was found on which somebody answers."""
        return self._wide is not None

    def take(self) -> list[Frame]:
        """Returns the frames that came since the last call."""
        frames, self._frames = self._frames, []
        return frames

    # ------------------------------------------------------------ to the adapter
    def say(self, now_us: int) -> bytes:
        """Returns the bytes to send now, often none.

        Raises:
            DeviceFault: The adapter says nothing any more.
        """
        command = self._under_way
        if command is not None:
            return self._insist(command, now_us) if now_us >= command.until_us else b""
        if not self._next:
            self._plan(now_us)
        if not self._next:
            return b""
        command = self._under_way = self._next.popleft()
        command.since_us, command.until_us = now_us, now_us + _patience_us(command.text)
        return command.text + b"\r"

    def _plan(self, now_us: int) -> None:
        """Decides what to say next."""
        if now_us >= self._voltage_us and VOLTAGE not in self._unknown:
            self._voltage_us = now_us + VOLTAGE_US
            self._next.append(Command(VOLTAGE))
        elif not self.connected:
            if self._asking and now_us >= self._search_us:
                pause_us = max(2 * self._search_pause_us, SEARCH_PAUSE_US)
                self._search_pause_us = min(pause_us, SEARCH_PAUSE_US_MAX)
                self._search_us = now_us + self._search_pause_us
                self._next += [Command(SEARCH, b"\x41\x00"), Command(PROTOCOL)]
        else:
            for can_id, payload in self._asking.due(now_us):
                self._question(can_id, payload)

    def _question(self, can_id: int, payload: bytes) -> None:
        """Turns a frame into commands; flow control is the adapter's own business."""
        kind, length = payload[0] >> 4, payload[0]
        if kind == FLOW_CONTROL:
            return
        if kind or not 1 <= length < len(payload):
            self._counts["elm-long-request"] += 1
            return
        if (can_id >= EXTENDED_ID) != self._wide:
            return  # nobody listens there, and the adapter could not say it
        if can_id != self._header:
            self._next.append(Command(_header(can_id)))
            self._header = can_id
        message = payload[1 : 1 + length]
        text = message.hex().upper().encode("ascii")
        # The count of frames to wait for spares the adapter's timeout. Old clones do not know it.
        alone = message[0] == DATA and length == 2 and _is_own_address(can_id)
        counted = alone and self._counts_frames and text not in self._long
        self._next.append(Command(text + b"1" * counted, _expected(message), counted))

    def _insist(self, command: Command, now_us: int) -> bytes:
        """Asks for the prompt that did not come; a carriage return never does harm."""
        self._counts["elm-no-prompt"] += 1
        self._splitter.clear()
        if command.nudges < NUDGES_MAX and command.text != RESET:
            command.nudges += 1
            command.own = True
            command.until_us = now_us + REPLY_US
            return b"\r"
        self._resets += 1
        if self._resets > RESETS_MAX:
            raise DeviceFault(
                "The OBD adapter says nothing any more. Pull it out, plug it in again, and check "
                "that it lights up.",
                "elm-silent",
            )
        self._restart()
        return b""

    def _restart(self) -> None:
        self._splitter.clear()
        self._under_way = None
        self._wide, self._header = None, 0
        self._search_us = 0
        settings = (*SETTINGS, self._waits[0])
        known = [each for each in settings if each not in self._unknown]
        self._next = deque(Command(text) for text in (RESET, *known))

    # ------------------------------------------------------------ from the adapter
    def hear(self, data: bytes, now_us: int) -> None:
        """Takes in what the adapter sent.

        Raises:
            DeviceFault: It cannot do what we need, or the vehicle has no CAN.
        """
        command = self._under_way
        if data and command is not None:
            longest_us = command.since_us + max(REPLY_US_MAX, _patience_us(command.text))
            command.until_us = max(command.until_us, min(now_us + REPLY_US, longest_us))
        for raw in self._splitter.split(data):
            if raw is None:
                self._prompt(now_us)
            else:
                self._line(raw, now_us)
        if self._splitter.overlong:
            self._counts["elm-overlong-line"] += self._splitter.overlong
            self._splitter.overlong = 0

    def _line(self, raw: bytes, now_us: int) -> None:
        command = self._under_way
        if command is not None and _squeezed(raw) == _squeezed(command.text):
            if b"ATE0" not in self._unknown and command.text not in {RESET, b"ATE0"}:
                self._counts["elm-echo"] += 1
            return
        line = read_line(raw)
        if line.kind is Kind.FRAME:
            self._frame(line, now_us)
        elif line.kind is Kind.BANNER:
            self._banner(line)
        elif command is None:
            self._counts[line.reason or "elm-unasked"] += 1
        elif line.kind is Kind.NOTICE:
            if line.reason:
                self._counts[line.reason] += 1
        else:
            self._reply(command, line, now_us)

    def _frame(self, line: Line, now_us: int) -> None:
        self._frames.append((line.can_id, line.payload))
        self._asking.heard(line.can_id, line.payload, now_us)
        command = self._under_way
        answer = _answer_of(line.payload)
        if command is not None and command.expects and _belongs(command.expects, answer):
            command.own = True
            if answer is None or line.payload[0] >> 4 == FIRST_FRAME:
                self._long.add(command.question)
            if command.text == SEARCH:
                self._wide = line.can_id >= EXTENDED_ID
            self._bus_faults = 0
            return
        self._counts["elm-late-answer"] += 1
        self._late += 1

    def _banner(self, line: Line) -> None:
        self.adapter = line.text.decode("ascii", "replace")
        command = self._under_way
        if command is not None and command.text == RESET:
            command.own = True
            return
        self._counts["elm-reset"] += 1
        self._restart()

    def _reply(self, command: Command, line: Line, now_us: int) -> None:
        if line.reason:
            self._counts[line.reason] += 1
        if line.kind is Kind.NOISE:
            self._speaks_other |= command.text == SEARCH
            command.own |= command.text in {RESET, SEARCH}
            return
        command.own = True
        if line.kind is Kind.UNKNOWN:
            self._not_known(command)
        elif line.kind is Kind.BUS_FAULT:
            command.faulty = True
        elif line.kind is Kind.VOLTAGE:
            self._voltage(line.text, now_us)
        elif line.kind is Kind.PROTOCOL and command.text == PROTOCOL:
            self._protocol(line.text)

    def _not_known(self, command: Command) -> None:
        """Remembers what a clone does not know; gives up where we cannot do without."""
        if command.text in NEEDED:
            raise DeviceFault(
                f"This OBD adapter ({self.adapter or 'without a name'}) does not know "
                f"{command.text.decode()}; use another one.",
                "elm-clone",
            )
        if command.counted:
            self._counts_frames = False
            self._next.appendleft(Command(command.question, command.expects))
        elif not command.expects:
            self._unknown.add(command.text)

    def _voltage(self, text: bytes, now_us: int) -> None:
        """Hands the voltage on; a battery that begins to be charged has an engine that runs."""
        self._frames.append((ADAPTER_LINE, text))
        millivolts = round(float(text.removesuffix(b"V")) * 1_000)
        if self._voltage_mv < CHARGING_MV <= millivolts:
            self._search_us = self._search_pause_us = 0
            self._asking.wake(now_us)
        self._voltage_mv = millivolts

    def _protocol(self, text: bytes) -> None:
        if text[-1] in NO_CAN and self._speaks_other and not self.connected:
            raise DeviceFault(
                f"The vehicle speaks protocol {text.decode()} of the adapter, which is no CAN; "
                "this box cannot read it. Take [source] out of its configuration.",
                "elm-protocol",
            )

    def _prompt(self, now_us: int) -> None:
        command = self._under_way
        if command is None:
            return
        if not command.own:
            self._counts["elm-stray-prompt"] += 1
            return
        self._under_way = None
        if command.text != RESET and not command.nudges:
            self._resets = 0
        if command.expects and command.faulty:
            self._bus_faults += 1
        if self._bus_faults >= BUS_FAULTS_MAX and self.connected:
            self._bus_faults = 0
            self._wide = None
            self._next.clear()
            self._search_us, self._search_pause_us = now_us, 0
        if self._late >= LATE_MAX:
            self._wait_longer()

    def _wait_longer(self) -> None:
        self._late = 0
        if len(self._waits) > 1:
            self._waits.popleft()
            self._next.appendleft(Command(self._waits[0]))


def _patience_us(text: bytes) -> int:
    return {RESET: RESET_US, SEARCH: SEARCH_US}.get(text, REPLY_US)


def _squeezed(text: bytes) -> bytes:
    return text.replace(b" ", b"").strip(b"\r\n>").upper()


def _header(can_id: int) -> bytes:
    """The priority byte 18 of long ids is what the adapter begins with."""
    if can_id >= EXTENDED_ID:
        return b"ATSH%06X" % (can_id & 0xFF_FFFF)
    return b"ATSH%03X" % can_id


def _is_own_address(can_id: int) -> bool:
    return 0x7E0 <= can_id <= 0x7E7 or can_id & ~0xFFFF == EXTENDED_ID | 0x18DA_0000


def _answer_of(payload: bytes) -> bytes | None:
    """Returns the first bytes of the message that a frame begins; None for one that goes on."""
    kind = payload[0] >> 4
    return {0: payload[1:4], 1: payload[2:5]}.get(kind)


def _expected(message: bytes) -> bytes:
    """Returns the service of the answer to a question, then which bytes may follow it, if any."""
    may_follow = {DATA: message[1:], 0x02: message[1:2], 0x09: message[1:2]}
    return bytes([message[0] | POSITIVE]) + may_follow.get(message[0], b"")


def _belongs(expects: bytes, answer: bytes | None) -> bool:
    """Says whether a frame can be part of the answer to a question."""
    if answer is None:
        return True
    if answer[:1] == REFUSED:
        return answer[1:2] == bytes([expects[0] & ~POSITIVE])
    return answer[:1] == expects[:1] and (len(expects) == 1 or set(answer[1:2]) <= set(expects[1:]))
