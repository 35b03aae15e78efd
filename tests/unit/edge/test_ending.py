"""Claims about the end of a program: a handler may set it at any instant, and a waiter wakes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.ending import Ending

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
ENOUGH_S = 20.0
# Four hundred waits in short turns, each ended by a signal that comes a little later than the last:
# with `threading.Event` one of them waits for itself for ever.
WAITS = """import signal
from edge.ending import Ending
for number in range(400):
    stop = Ending()
    stop.on(signal.SIGALRM)
    signal.setitimer(signal.ITIMER_REAL, 2e-5 + number % 97 * 3e-6)
    while not stop.wait(2e-5):
        pass
print("done")"""


@pytest.fixture
def ending() -> Iterator[Ending]:
    before = signal.getsignal(signal.SIGUSR1)
    ending = Ending()
    yield ending
    signal.signal(signal.SIGUSR1, before)


def test_it_is_what_it_was_set_to(ending: Ending) -> None:
    assert (ending.is_set(), ending.wait(0.0)) == (False, False)
    ending.set()
    ending.set()
    assert (ending.is_set(), ending.wait(), ending.wait(0.0)) == (True, True, True)


def test_a_waiter_in_another_thread_wakes(ending: Ending) -> None:
    woke = threading.Event()
    thread = threading.Thread(target=lambda: woke.set() if ending.wait(ENOUGH_S) else None)
    thread.start()
    ending.set()
    thread.join(ENOUGH_S)
    assert woke.is_set()


def test_a_signal_sets_it_and_is_remembered(ending: Ending) -> None:
    ending.on(signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert ending.wait(ENOUGH_S)
    assert ending.caught == [signal.SIGUSR1]


def test_wherever_a_signal_meets_a_waiting_program_it_ends() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WAITS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=ENOUGH_S,
        check=True,
    )
    assert ran.stdout == "done\n"
