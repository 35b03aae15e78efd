"""An ELM327 that does not exist, with the faults of those that do, before a simulated vehicle.

Place in the flow: driver ⇄ (terminal) ⇄ **elm327** ⇄ `vehicle` answers frames.

    command CR          answer CR CR >           as the data sheet of version 2.2 lays it out
    010C                7E8 04 41 0C 0C D0 CR    with ATH1: the frame as it was on the bus

* `ElmFirmware` is sans-IO: bytes in, bytes out. `ElmOnPty` gives it a terminal of its own.
* A clone is a real one less what it does not know (`Clone`). A mishap is what a question gets to
  hear in place of its answer.
"""

from __future__ import annotations

import os
import select
import tty
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.ports import EXTENDED_ID
from hardware.sim.drive import TICK_US
from hardware.sim.engine import ALL, ALL_29

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.ports import Clock
    from hardware.sim.engine import Frame
    from hardware.sim.vehicle import SimulatedVehicle

CR: Final = b"\r"
PROMPT: Final = b">"
FLOW_CONTROL: Final = bytes.fromhex("3000000000000000")
FIRST_PAGE: Final = bytes.fromhex("0201000000000000")
FIRST_FRAME: Final = 1
FRAME_BYTES: Final = 8
MESSAGE_BYTES_MAX: Final = 7
PROTOCOLS: Final = {None: b"A0", False: b"A6", True: b"A7"}
PLAIN: Final = ("AL", "CFC", "AT", "ST", "CAF", "M", "D0", "CRA", "CP")


@dataclass(frozen=True, slots=True)
class Clone:
    """What an adapter is like.

    Attributes:
        banner: What it calls itself.
        unknown: Beginnings of commands that it answers with `?`.
        echoes: It echoes whatever ATE0 says.
        spaces: It prints spaces whatever ATS0 says.
        counts: It knows the count of frames at the end of a question.
        lags: Every answer comes during the next question, with a prompt of its own.
    """

    banner: bytes = b"ELM327 v2.2"
    unknown: tuple[str, ...] = ()
    echoes: bool = False
    spaces: bool = False
    counts: bool = True
    lags: bool = False


GENUINE: Final = Clone()
V21: Final = Clone(
    banner=b"ELM327 v2.1",
    unknown=("ATAT", "ATAL", "ATCFC", "ATDPN"),
    spaces=True,
    echoes=True,
    counts=False,
)


class ElmFirmware:
    """The adapter: bytes in, bytes out.

    Args:
        bus: Who is on the bus: a frame in, the frames that answer it out.

    Attributes:
        mishaps: Bytes to say in place of the answers to the next questions, before the prompt.
        mute: It says nothing at all.
        lost_prompts: How many of the next prompts do not come.
        voltage: What ATRV says.
        protocol: What ATDPN says; empty for the truth.
    """

    def __init__(
        self, bus: Callable[[int, bytes], Sequence[Frame]], clone: Clone = GENUINE
    ) -> None:
        self._bus = bus
        self._clone = clone
        self._line = b""
        self._late = b""
        self.mishaps: deque[bytes] = deque()
        self.mute = False
        self.lost_prompts = 0
        self.voltage = b"12.6V"
        self.protocol = b""
        self._reset()

    def _reset(self) -> None:
        self._echo, self._feeds, self._spaces, self._headers = True, True, True, False
        self._wide: bool | None = None
        self._header = 0

    def restart(self) -> bytes:
        """Loses power for an instant, and says so."""
        self._reset()
        self._line = b""
        return self._reply([b"LV RESET"])

    def hear(self, data: bytes) -> bytes:
        """Takes in what the driver sends and returns what it gets to read."""
        said = b""
        for byte in data:
            if byte != CR[0]:
                self._line += bytes([byte])
                continue
            line, self._line = self._line, b""
            said += line + CR if self._echo or self._clone.echoes else b""
            said += self._obey(line.replace(b" ", b"").upper().decode("ascii", "replace"))
        return b"" if self.mute else said

    # ------------------------------------------------------------ commands
    def _obey(self, line: str) -> bytes:
        if line == "":
            return self._reply([])
        if line.startswith(self._clone.unknown):
            return self._reply([b"?"])
        if line.startswith("AT"):
            return self._reply(self._command(line[2:]))
        return self._question(line)

    def _command(self, word: str) -> list[bytes]:
        if word in {"Z", "WS"}:
            self._reset()
            return [b"", b"", self._clone.banner]
        if word in {"I", "RV", "DPN"}:
            spoken = self.protocol or PROTOCOLS[self._wide]
            return [{"I": self._clone.banner, "RV": self.voltage, "DPN": spoken}[word]]
        if word.startswith("SP"):
            self._wide = None
        elif word.startswith("SH"):
            wide = 0x1800_0000 | EXTENDED_ID if len(word) > len("SH7E0") else 0
            self._header = int(word.removeprefix("SH"), base=16) | wide
        elif word[:-1] in {"E", "L", "S", "H"}:
            self._switch(word[0], on=word[-1] == "1")
        elif not word.startswith(PLAIN):
            return [b"?"]
        return [b"OK"]

    def _switch(self, letter: str, *, on: bool) -> None:
        if letter == "E":
            self._echo = on
        elif letter == "L":
            self._feeds = on
        elif letter == "S":
            self._spaces = on
        else:
            self._headers = on

    # ------------------------------------------------------------ questions
    def _question(self, line: str) -> bytes:
        most = 0
        try:
            if len(line) % 2 and self._clone.counts:
                line, most = line[:-1], int(line[-1], 16)
            message = bytes.fromhex(line)
        except ValueError:
            return self._reply([b"?"])
        if not 1 <= len(message) <= MESSAGE_BYTES_MAX:
            return self._reply([b"?"])
        if self.mishaps:
            return self._reply([self.mishaps.popleft()])
        begun = b"SEARCHING..." + CR if self._wide is None else b""
        if self._wide is None and not self._search():
            return begun + self._reply([b"UNABLE TO CONNECT"])
        frames = self._ask(message)
        lines = [self._print(*frame) for frame in frames[: most or len(frames)]] or [b"NO DATA"]
        answer = begun + self._reply(lines)
        if not self._clone.lags or begun:
            return answer
        late, self._late = self._late, answer
        return late + self._reply([b"NO DATA"])

    def _search(self) -> bool:
        for address, wide in ((ALL, False), (ALL_29, True)):
            if self._bus(address, FIRST_PAGE):
                self._wide = wide
                return True
        return False

    def _ask(self, message: bytes) -> list[Frame]:
        address = self._header or (ALL_29 if self._wide else ALL)
        payload = (bytes([len(message)]) + message).ljust(FRAME_BYTES, b"\0")
        answers = list(self._bus(address, payload))
        for can_id, first in list(answers):
            if first[0] >> 4 == FIRST_FRAME:
                answers += self._bus(_asked_at(can_id), FLOW_CONTROL)
        return answers

    def _print(self, can_id: int, payload: bytes) -> bytes:
        wide = can_id >= EXTENDED_ID
        number = f"{can_id & ~EXTENDED_ID:08X}" if wide else f"{can_id:03X}"
        data = [f"{byte:02X}" for byte in payload]
        if not self._headers:
            data = data[1:]
        elif wide:
            data = [number[at : at + 2] for at in range(0, 8, 2)] + data
        else:
            data = [number, *data]
        gap = " " if self._spaces or self._clone.spaces else ""
        return (gap.join(data) + gap).encode("ascii")

    def _reply(self, lines: Sequence[bytes]) -> bytes:
        end = CR + b"\n" if self._feeds else CR
        said = b"".join(line + end for line in lines) + end
        if self.lost_prompts:
            self.lost_prompts -= 1
            return said
        return said + PROMPT


def _asked_at(can_id: int) -> int:
    if can_id >= EXTENDED_ID:
        return EXTENDED_ID | 0x18DA_00F1 | (can_id & 0xFF) << 8
    return can_id - 8


class ElmOnPty:
    """The adapter at a terminal of its own, in a vehicle that drives in real time.

    Attributes:
        path: What the driver opens.
        noise: Bytes that come before everything it says, for a bad cable.
    """

    def __init__(self, firmware: ElmFirmware, vehicle: SimulatedVehicle, clock: Clock) -> None:
        self._firmware = firmware
        self._vehicle = vehicle
        self._clock = clock
        self._since_us = clock.now().monotonic_us
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self.noise = b""

    def run(self, is_over: Callable[[], bool]) -> None:
        """Drives and answers until `is_over`; runs in a thread of the caller."""
        while not is_over():
            self.step()

    def step(self) -> None:
        """Drives on to now and answers what has come."""
        elapsed_us = self._clock.now().monotonic_us - self._since_us
        for _ in range(elapsed_us // TICK_US - self._vehicle.ticks):
            self._vehicle.tick()
        if select.select([self._master], [], [], TICK_US / 1_000_000)[0]:
            said = self._firmware.hear(os.read(self._master, 4_096))
            os.write(self._master, self.noise + said if said else b"")

    def unplug(self) -> None:
        """Pulls the cable: the driver's next call fails."""
        os.close(self._master)
        os.close(self._slave)
