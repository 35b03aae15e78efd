"""One command at a kiosk device: its time limit, its cancel, its one completion.

Place in the flow: worker → `KioskDevice.execute` → **call** → the verb of a driver or simulator.

* A command ends in exactly one `Completion`; no error of a device leaves `execute`.
* A device does one command at a time; a second one meanwhile is refused as `busy`.
* A cancel that overtakes its command ends it all the same.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from edge.errors import LastmileError, LocalError
from edge.ports import Completion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.ports import Clock, Command

CANCELS_KEPT: Final = 64
POLL_MS: Final = 40


class Call:
    """A command that is under way.

    Args:
        command: What was ordered.
        clock: Measures its time limit.
    """

    def __init__(self, command: Command, clock: Clock) -> None:
        self.command = command
        self._clock = clock
        self._cancelled = threading.Event()
        self._end_us = clock.now().monotonic_us + command.timeout_ms * 1_000

    @property
    def left_ms(self) -> int:
        """Milliseconds until the time limit, never negative."""
        return max(0, (self._end_us - self._clock.now().monotonic_us) // 1_000)

    @property
    def over(self) -> str:
        """`cancelled` or `timeout` when the command must end now, else an empty text."""
        if self._cancelled.is_set():
            return "cancelled"
        return "" if self.left_ms else "timeout"

    def pause(self, milliseconds: int = POLL_MS) -> None:
        """Waits a moment, but never past the time limit or a cancel."""
        self._cancelled.wait(min(milliseconds, self.left_ms) / 1_000)

    def cancel(self) -> None:
        """Ends the command; may come from another thread."""
        self._cancelled.set()

    def done(self, **result: object) -> Completion:
        """Returns a completion with what was read or done."""
        return Completion(self.command.request_id, "ok", result)

    def failed(self, status: str, code: str, **result: object) -> Completion:
        """Returns a completion that says why not."""
        return Completion(self.command.request_id, status, result, code)

    def ended(self) -> Completion:
        """Returns the completion of a command that ran out of time or was cancelled."""
        reason = self.over
        return Completion(self.command.request_id, reason, code=reason)


class CallDevice:
    """What every kiosk device is: a kind, some verbs, one command at a time.

    Args:
        kind: The `Command.device` it answers to.
        clock: Measures time limits.
    """

    def __init__(self, kind: str, clock: Clock) -> None:
        self._kind = kind
        self._clock = clock
        self._lock = threading.Lock()
        self._call: Call | None = None
        self._cancels: deque[str] = deque(maxlen=CANCELS_KEPT)

    @property
    def kind(self) -> str:
        """The `Command.device` it answers to."""
        return self._kind

    def verbs(self) -> Mapping[str, Callable[[Call], Completion]]:
        """Returns what the device can do, by verb."""
        raise NotImplementedError

    def execute(self, command: Command) -> Completion:
        """Carries the command out, blocking no longer than its time limit."""
        call = Call(command, self._clock)
        act = self.verbs().get(command.verb)
        if command.device != self._kind or act is None:
            return call.failed("refused", "verb-unknown")
        if not self._begin(call):
            return call.failed("refused", "busy")
        try:
            return call.ended() if call.over else act(call)
        except LocalError as error:
            return call.failed("refused", error.code)
        except LastmileError as error:
            return call.failed("fault", error.code)
        except OSError:
            return call.failed("fault", "device-io")
        finally:
            with self._lock:
                self._call = None

    def cancel(self, request_id: str) -> None:
        """Ends a command that is under way, or that comes later; it completes with `cancelled`."""
        with self._lock:
            if self._call is not None and self._call.command.request_id == request_id:
                self._call.cancel()
            else:
                self._cancels.append(request_id)

    def _begin(self, call: Call) -> bool:
        with self._lock:
            if self._call is not None:
                return False
            self._call = call
            if call.command.request_id in self._cancels:
                call.cancel()
            return True


def text_parameter(command: Command, name: str) -> str:
    """Returns a parameter that must be text.

    Raises:
        LocalError: It is absent or no text.
    """
    value = command.parameters.get(name)
    if not isinstance(value, str):
        raise LocalError(f"{command.verb} needs {name} as text.", "parameter")
    return value
