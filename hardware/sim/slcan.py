"""A serial CAN adapter with the simulated vehicle behind it, on a pseudo terminal.

Place in the flow: vehicle → **slcan** (real bytes) → pty → hardware.drivers.slcan.

* It speaks what a Lawicel CANUSB speaks: commands end in CR, done is CR, refused is BEL.
* A channel that is closed sends nothing; one that only listens refuses to send.
* Faults are switched on: damage on the line, a controller in trouble, an adapter without stamps.
"""

from __future__ import annotations

import os
import select
import tty
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault
from edge.ports import EXTENDED_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.ports import Clock
    from hardware.sim.vehicle import SimulatedVehicle

CR: Final = b"\r"
BELL: Final = b"\x07"
TICK_US: Final = 10_000
STAMP_MS: Final = 60_000
FRAME_DIGITS: Final = {"t": 3, "T": 8}


@dataclass
class SlcanAdapter:
    """The adapter's firmware: bytes in, bytes out, frames for the bus.

    Attributes:
        has_stamps: Whether it knows Z1.
        flags: What F answers: 0x04 warning, 0x20 passive, 0x80 bus error.
        is_stubborn: Refuses to open its channel.
        sent: Frames that the host had it send, oldest first.
    """

    has_stamps: bool = True
    flags: int = 0
    is_stubborn: bool = False
    is_open: bool = False
    only_listens: bool = False
    stamps: bool = False
    sent: list[tuple[int, bytes]] = field(default_factory=list)
    _rest: bytes = b""

    def hear(self, data: bytes) -> bytes:
        """Takes bytes of the host; returns what it answers."""
        *lines, self._rest = (self._rest + data).split(CR)
        return b"".join(self._answer(line.decode("ascii", "replace")) for line in lines if line)

    def frame(self, can_id: int, payload: bytes, now_ms: int) -> bytes:
        """Returns what the host hears of a frame on the bus; nothing while closed."""
        if not self.is_open:
            return b""
        number = f"T{can_id & ~EXTENDED_ID:08X}" if can_id & EXTENDED_ID else f"t{can_id:03X}"
        stamp = f"{now_ms % STAMP_MS:04X}" if self.stamps else ""
        return f"{number}{len(payload)}{payload.hex().upper()}{stamp}".encode() + CR

    def _answer(self, line: str) -> bytes:
        kind = line[0]
        if kind in "OL":
            return self._open(kind)
        if kind == "C":
            self.is_open = False
            return CR
        if kind == "S":
            return BELL if self.is_open or not line[1:].isdigit() else CR
        if kind == "Z":
            self.stamps = self.has_stamps and line == "Z1"
            return CR if self.has_stamps else BELL
        if kind == "F":
            return f"F{self.flags:02X}".encode() + CR if self.is_open else BELL
        if kind in FRAME_DIGITS and self.is_open and not self.only_listens:
            return self._send(line)
        return BELL

    def _open(self, kind: str) -> bytes:
        if self.is_open or self.is_stubborn:
            return BELL
        self.is_open, self.only_listens = True, kind == "L"
        return CR

    def _send(self, line: str) -> bytes:
        digits = FRAME_DIGITS[line[0]]
        flag = EXTENDED_ID if line[0] == "T" else 0
        self.sent.append((int(line[1 : digits + 1], 16) | flag, bytes.fromhex(line[digits + 2 :])))
        return (b"z" if line[0] == "t" else b"Z") + CR


class SlcanOnPty:
    """The adapter at a terminal of its own, with a vehicle on its bus.

    Attributes:
        path: What the driver opens.
        noise: Bytes that come before every so many-eth frame, for a bad cable.
    """

    def __init__(self, adapter: SlcanAdapter, vehicle: SimulatedVehicle, clock: Clock) -> None:
        self._adapter = adapter
        self._vehicle = vehicle
        self._clock = clock
        self._since_us = clock.now().monotonic_us
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.path = Path(os.ttyname(slave))
        self._slave = slave
        self.noise = b""

    def run(self, is_over: Callable[[], bool]) -> None:
        """Drives and answers until `is_over`; runs in a thread of the caller."""
        while not is_over():
            self.step()

    def step(self) -> None:
        """Answers what has come and tells what is on the bus by now."""
        if select.select([self._master], [], [], TICK_US / 1_000_000)[0]:
            self._say(self._adapter.hear(os.read(self._master, 4_096)))
        for can_id, payload in self._adapter.sent:
            for answer in self._vehicle.answers(can_id, payload):
                self._tell(*answer)
        self._adapter.sent.clear()
        elapsed_us = self._clock.now().monotonic_us - self._since_us
        for _ in range(elapsed_us // TICK_US - self._vehicle.ticks):
            for can_id, payload in self._vehicle.tick():
                self._tell(can_id, payload)

    def unplug(self) -> None:
        """Pulls the cable: the driver's next call fails."""
        os.close(self._master)
        os.close(self._slave)

    def _tell(self, can_id: int, payload: bytes) -> None:
        now_ms = (self._clock.now().monotonic_us - self._since_us) // 1_000
        self._say(self.noise + self._adapter.frame(can_id, payload, now_ms))

    def _say(self, data: bytes) -> None:
        try:
            os.write(self._master, data)
        except OSError as error:
            raise DeviceFault(f"The terminal {self.path} is gone.", "line") from error
