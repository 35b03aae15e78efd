"""One command at a device: one completion, one at a time, and a cancel that may come early."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edge.errors import DeviceFault, LocalError, PeerError
from edge.ports import Command, Completion
from hardware.drivers.call import Call, CallDevice
from hardware.drivers.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Bell(CallDevice):
    """A device that rings, waits for ever, or breaks."""

    def __init__(self) -> None:
        super().__init__("bell", SystemClock())
        self.waiting = threading.Event()

    def verbs(self) -> Mapping[str, Callable[[Call], Completion]]:
        return {"ring": lambda call: call.done(rang=True), "wait": self._wait, "break": self._break}

    def _wait(self, call: Call) -> Completion:
        self.waiting.set()
        while not call.over:
            call.pause()
        return call.ended()

    def _break(self, call: Call) -> Completion:
        raise call.command.parameters["error"]  # type: ignore[misc] # the test sends errors


def order(verb: str, request: str = "r", timeout_ms: int = 10_000, **given: object) -> Command:
    return Command(request, "bell", verb, given, timeout_ms)


def test_a_command_gets_its_completion_under_its_request_id() -> None:
    assert Bell().execute(order("ring", "r-7")) == Completion("r-7", "ok", {"rang": True})


def test_an_unknown_verb_and_another_devices_command_are_refused() -> None:
    assert Bell().execute(order("sing")).code == "verb-unknown"
    assert Bell().execute(Command("r", "printer", "ring")).code == "verb-unknown"


def test_no_error_of_a_device_leaves_it() -> None:
    errors = {
        LocalError("Ours.", "ours"): ("refused", "ours"),
        PeerError("Theirs.", "theirs"): ("fault", "theirs"),
        DeviceFault("Nobody's.", "broken"): ("fault", "broken"),
        OSError("disk"): ("fault", "device-io"),
    }
    for error, expected in errors.items():
        completion = Bell().execute(order("break", error=error))
        assert (completion.status, completion.code) == expected


def test_a_second_command_meanwhile_is_refused_and_the_first_can_be_cancelled() -> None:
    bell, found = Bell(), list[Completion]()
    first = threading.Thread(target=lambda: found.append(bell.execute(order("wait", "r-1"))))
    first.start()
    bell.waiting.wait(5)
    assert bell.execute(order("ring", "r-2")).code == "busy"
    bell.cancel("r-1")
    first.join(5)
    assert found[0].status == "cancelled"
    assert bell.execute(order("ring", "r-3")).status == "ok"


def test_a_cancel_that_overtakes_its_command_ends_it() -> None:
    bell = Bell()
    bell.cancel("r-1")
    assert bell.execute(order("wait", "r-1")).status == "cancelled"


def test_a_cancel_of_something_else_changes_nothing() -> None:
    bell = Bell()
    bell.cancel("r-0")
    assert bell.execute(order("ring", "r-1")).status == "ok"


def test_the_time_limit_ends_a_command() -> None:
    assert Bell().execute(order("wait", timeout_ms=30)).status == "timeout"
