"""A terminal of JT/T 808 that nobody mounted: it drives, reports, loses its way and repeats.

Place in the flow: `drive` → **jtt808** (real bytes of 2013 or 2019) → TCP → the door, and answers.

* It keeps every report until it was acknowledged, and sends what it kept as a batch (0x0704) when
  it is connected again: what any terminal does in a valley without signal.
* It writes its own frames: nothing here is the code that is tried with it.
* Faults are chosen, counted, and the same for the same seed: a wrong check, a lost connection.
"""

from __future__ import annotations

import calendar
import socket
import time
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault
from hardware.sim.drive import TICK_S, Drive, scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hardware.sim.drive import State

SECOND_US: Final = 1_000_000
BEIJING_S: Final = 8 * 3_600
BATCH_REPORTS: Final = 15
"""So many fit into one body of 1,023 bytes."""
ODOMETER_M: Final = 48_123_400
TANK_L: Final = 90.0
WAIT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class TerminalSettings:
    """Which terminal.

    Attributes:
        start_us: When its drive begins, microseconds UTC.
        period_s: Between two reports.
        wrong_check_every: Each so many frames is sent with a wrong check first; 0 for none.
    """

    phone: str
    start_us: int
    is_2019: bool = False
    period_s: int = 10
    seed: int = 1
    scenario: str = "mountain"
    wrong_check_every: int = 0


class SimulatedTerminal:
    """Its memory and its words; moves no byte.

    Attributes:
        code: That the door gave; kept over connections.
        is_trusted: Whether the door has taken it on this connection.
        kept: Reports that were never acknowledged, by no order but their time.
        sent: Frames so far.
        acknowledged: Reports that the door has.
    """

    def __init__(self, settings: TerminalSettings) -> None:
        self._settings = settings
        self._drive = Drive(scenario(settings.scenario), settings.seed)
        self._clock_us = settings.start_us
        self._serial = self.sent = self.acknowledged = self.refused = 0
        self._flying: dict[int, list[bytes]] = {}
        self._heard = b""
        self._results: dict[int, int] = {}
        self.code = ""
        self.is_trusted = False
        self.alarms = 0
        self.kept: list[bytes] = []

    # ------------------------------------------------------------ on the road
    def drive(self, seconds: int) -> Iterator[bytes]:
        """Drives on and yields each report's body when it is due."""
        for _ in range(seconds // self._settings.period_s):
            for _ in range(round(self._settings.period_s / TICK_S)):
                state = self._drive.tick()
            self._clock_us += self._settings.period_s * SECOND_US
            yield location(state, self._clock_us, self.alarms)

    # ------------------------------------------------------------ what it says
    def hello(self) -> bytes:
        """Registers, or shows its code."""
        self.is_trusted, self._heard = False, b""
        if not self.code:
            return self._say(0x0100, self._registration())
        code = self.code.encode()
        if self._settings.is_2019:
            code = bytes([len(code)]) + code + b"867959033000000" + b"\x02V1"
        return self._say(0x0102, code)

    def report(self, body: bytes) -> bytes:
        """Sends a report of the present; it is kept until it is acknowledged."""
        frame = self._say(0x0200, body)
        self._flying[self._serial] = [body]
        return frame

    def heartbeat(self) -> bytes:
        """Says that it is there."""
        return self._say(0x0002, b"")

    def card(self, certificate: str, *, inserted: bool = True) -> bytes:
        """A driver puts a card in, or pulls it out."""
        head = bytes([1 if inserted else 2]) + bcd_time(self._clock_us)
        if not inserted:
            return self._say(0x0702, head)
        name, office = "测试".encode("gbk"), "运管".encode("gbk")
        body = head + bytes([0, len(name)]) + name + certificate.encode().ljust(20, b"\0")
        body += bytes([len(office)]) + office + bytes.fromhex("20301231")
        return self._say(0x0702, body + (bytes(20) if self._settings.is_2019 else b""))

    def memory(self) -> Iterator[bytes]:
        """Sends what was kept, oldest first, in batches."""
        self.kept.sort(key=lambda body: body[22:28])
        while self.kept:
            bodies, self.kept = self.kept[:BATCH_REPORTS], self.kept[BATCH_REPORTS:]
            items = b"".join(pack(">H", len(each)) + each for each in bodies)
            yield self._say(0x0704, pack(">HB", len(bodies), 1) + items)
            self._flying[self._serial] = bodies

    def lose(self) -> None:
        """The connection is lost: what was not acknowledged is kept."""
        self.kept += [body for bodies in self._flying.values() for body in bodies]
        self._flying.clear()
        self.is_trusted = False

    @property
    def flying(self) -> int:
        """Messages without an answer."""
        return len(self._flying)

    # ------------------------------------------------------------ what it hears
    def hear(self, piece: bytes) -> bytes:
        """Takes what the door says; returns what it says to that."""
        *whole, self._heard = (self._heard + piece).split(b"\x7e")
        answers = b""
        for part in filter(None, whole):
            content = part.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
            if reduce(xor, content) or len(content) < 14:
                raise DeviceFault("The door sends no frame of JT/T 808.", "sim-jtt808")
            answers += self._act(content[:-1])
        return answers

    def _act(self, content: bytes) -> bytes:
        kind, body = unpack_from(">H", content)[0], content[17 if self._settings.is_2019 else 12 :]
        if kind == 0x8100 and body[2] == 0:
            self.code = body[3:].decode()
            return self.hello()
        if kind == 0x8001:
            serial, to, result = unpack_from(">HHB", body)
            bodies = self._flying.pop(serial, [])
            if to == 0x0102:
                self.is_trusted = result == 0
                self.code = self.code if self.is_trusted else ""
            elif result:
                self.refused += 1
            else:
                self.acknowledged += len(bodies)
        return b""

    def _say(self, kind: int, body: bytes) -> bytes:
        self._serial = (self._serial + 1) & 0xFFFF
        self.sent += 1
        is_2019 = self._settings.is_2019
        head = pack(">HH", kind, len(body) | (0x4000 if is_2019 else 0))
        phone = bytes.fromhex(self._settings.phone.rjust(20 if is_2019 else 12, "0"))
        content = head + (b"\x01" if is_2019 else b"") + phone + pack(">H", self._serial) + body
        good = wrap(content, reduce(xor, content))
        every = self._settings.wrong_check_every
        if every and self.sent % every == 0:
            return wrap(content, reduce(xor, content) ^ 0x55) + good
        return good

    def _registration(self) -> bytes:
        maker, model, own = (11, 30, 30) if self._settings.is_2019 else (5, 20, 7)
        own_id = f"T{self._settings.phone[-6:]}".encode()
        texts = b"70111".ljust(maker, b"\0") + b"SIM-808".ljust(model, b"\0")
        return pack(">HH", 52, 100) + texts + own_id.ljust(own, b"\0") + b"\x02\xb9\xf3A12345"


def wrap(content: bytes, check: int) -> bytes:
    """Returns a frame with this check."""
    inner = content + bytes([check])
    return b"\x7e" + inner.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02") + b"\x7e"


def bcd_time(now_us: int) -> bytes:
    """Returns a time as the standard spells it: Beijing, YYMMDDhhmmss."""
    moment = time.gmtime(now_us // SECOND_US + BEIJING_S)
    return bytes.fromhex(time.strftime("%y%m%d%H%M%S", moment))


def location(state: State, now_us: int, alarms: int = 0) -> bytes:
    """Returns the body of a report."""
    speed = round(state.speed_kmh * 10)
    status = 0b01 | (0b10 if state.has_fix else 0)
    place = (round(state.latitude * 1e6), round(state.longitude * 1e6))
    numbers = (round(state.altitude_m), speed, round(state.heading) % 360)
    basic = pack(">IIIIHHH", alarms, status, *(place if state.has_fix else (0, 0)), *numbers)
    mileage = (ODOMETER_M + round(state.distance_m)) // 100
    fuel = round(state.fuel_percent / 100 * TANK_L * 10)
    items = pack(">BBIBBHBBH", 1, 4, mileage, 2, 2, fuel, 3, 2, speed)
    items += pack(">BBBBBB", 0x30, 1, 23, 0x31, 1, 11 if state.has_fix else 0)
    return basic + bcd_time(now_us) + items


def time_of(body: bytes) -> int:
    """Returns the time of a report's body, microseconds UTC."""
    digits = time.strptime(body[22:28].hex(), "%y%m%d%H%M%S")
    return (calendar.timegm(digits) - BEIJING_S) * SECOND_US


@dataclass(slots=True)
class TerminalOnTcp:
    """A terminal with a socket, for tests and the bench.

    Attributes:
        address: Host and port of the door.
    """

    terminal: SimulatedTerminal
    address: tuple[str, int]
    _line: socket.socket | None = field(default=None)

    def connect(self) -> None:
        """Connects and waits until the door takes it.

        Raises:
            DeviceFault: The door does not answer, or does not take it.
        """
        self._line = socket.create_connection(self.address, WAIT_S)
        self.send(self.terminal.hello())
        self.wait(lambda: self.terminal.is_trusted)

    def send(self, content: bytes) -> None:
        """Sends bytes."""
        assert self._line is not None, "connected first"
        self._line.sendall(content)

    def send_all(self, frames: Sequence[bytes]) -> None:
        """Sends frames at once and waits until each has its answer."""
        self.send(b"".join(frames))
        self.wait(lambda: not self.terminal.flying)

    def wait(self, is_over: Callable[[], bool]) -> None:
        """Hears until something holds.

        Raises:
            DeviceFault: The door is silent or has closed the line.
        """
        assert self._line is not None, "connected first"
        while not is_over():
            try:
                piece = self._line.recv(65_536)
            except OSError as error:
                raise DeviceFault(f"The door does not answer ({error}).", "sim-jtt808") from error
            if not piece:
                raise DeviceFault("The door has closed the line.", "sim-jtt808")
            self.send(self.terminal.hear(piece))

    def lose(self) -> None:
        """Loses the connection."""
        if self._line is not None:
            self._line.close()
            self._line = None
        self.terminal.lose()
