"""Claims about how an idle counter is told to end."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from PySide6.QtCore import QTimer

from kiosk_app.__main__ import end_on_signals
from kiosk_app.shell import make_application

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_MS = 10_000


@pytest.fixture
def handlers() -> Iterator[None]:
    """Puts pytest's own handlers back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", ["before the loop", "in the loop"])
def test_a_signal_ends_an_idle_counter(number: signal.Signals, when: str) -> None:
    application = make_application()
    waker = end_on_signals(application)
    # Qt alone ends the loop when nothing else does: no Python runs in it that could help.
    patience = QTimer()
    patience.setSingleShot(True)
    patience.timeout.connect(application.quit)
    patience.start(PATIENCE_MS)
    hand = threading.Timer(0.1, os.kill, (os.getpid(), number))
    if when == "before the loop":
        os.kill(os.getpid(), number)
    else:
        hand.start()
    application.exec()
    ended_by_signal = patience.isActive()
    patience.stop()
    waker.stop()
    hand.cancel()
    assert ended_by_signal
