"""The end of a program as a signal asks for it: an event that a handler may set at any instant.

Place in the flow: SIGTERM → **ending** → the loops of gateway, door, core.

Theory of operation. Python runs a signal's handler in the main thread, between any two steps of
it. `threading.Event.set` takes a lock; where the main thread happened to be inside `Event.wait`,
and so held that lock, it waits for itself for ever, and the program hears no further SIGTERM (it
was seen). Here a byte is written to a pipe instead: no lock, and a waiter that wakes.

* Once set it stays set.
"""

from __future__ import annotations

import os
import select
import signal
import threading


class Ending(threading.Event):
    """A `threading.Event` without a lock: one for the life of a program.

    Attributes:
        caught: Numbers of the signals that asked, in their order.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_over = False
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.caught: list[int] = []

    def on(self, *numbers: signal.Signals) -> None:
        """Sets itself when one of these signals comes; call it in the main thread."""
        for number in numbers:
            signal.signal(number, lambda caught, _frame: self._catch(caught))

    def set(self) -> None:
        """Ends it."""
        if not self._is_over:
            self._is_over = True
            os.write(self._writer, b"\0")

    def is_set(self) -> bool:
        """Says whether the end was asked for."""
        return self._is_over

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for it, at most so many seconds; says whether it was asked for."""
        if not self._is_over:
            select.select([self._reader], [], [], timeout)
        return self._is_over

    def _catch(self, number: int) -> None:
        self.caught.append(number)
        self.set()
