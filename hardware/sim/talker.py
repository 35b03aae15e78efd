"""A device at a terminal of its own that talks without being asked, while a vehicle drives.

Place in the flow: drive → gnss, imu → **talker** → pty → hardware.drivers.{gnss_line, imu_line}.

* Time is the clock's: each step drives on to the present and says what became due on the way.
* It can be unplugged; the driver's next call then fails.
"""

from __future__ import annotations

import os
import select
import tty
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault
from hardware.sim.drive import TICK_US

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.ports import Clock
    from hardware.sim.drive import Drive, State

GNSS_TICKS: Final = 100
CATCH_UP_TICKS_MAX: Final = 1_000


class TalkerOnPty:
    """A device on a pseudo terminal.

    Args:
        drive: Whose movement it feels.
        say: What it says at a tick: state, number of the tick.
        clock: Moves the vehicle.

    Attributes:
        path: What the driver opens.
    """

    def __init__(self, drive: Drive, say: Callable[[State, int], bytes], clock: Clock) -> None:
        self._drive = drive
        self._say = say
        self._clock = clock
        self._since_us = clock.now().monotonic_us
        self._ticks = 0
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = Path(os.ttyname(self._slave))

    def run(self, is_over: Callable[[], bool]) -> None:
        """Drives and talks until `is_over`; runs in a thread of the caller."""
        while not is_over():
            select.select([], [], [], TICK_US / 1_000_000)
            self.step()

    def step(self) -> None:
        """Drives on to the present; what nobody reads is lost, as on a real line."""
        due = (self._clock.now().monotonic_us - self._since_us) // TICK_US - self._ticks
        for _ in range(min(due, CATCH_UP_TICKS_MAX)):
            state = self._drive.tick()
            self._ticks += 1
            self._write(self._say(state, self._ticks))

    def unplug(self) -> None:
        """Pulls the cable."""
        os.close(self._master)
        os.close(self._slave)

    def _write(self, data: bytes) -> None:
        if not data:
            return
        try:
            os.write(self._master, data)
        except BlockingIOError:
            return
        except OSError as error:
            raise DeviceFault(f"The terminal {self.path} is gone.", "line") from error
