"""A device on a pseudo terminal talks as time passes, and not when its cable is pulled."""

from __future__ import annotations

import threading

import pytest

from edge.errors import DeviceFault
from edge.ports import Instant
from hardware.drivers.serial_line import SerialLine
from hardware.sim.drive import Drive, scenario
from hardware.sim.talker import TalkerOnPty


class Ticking:
    """A clock that a test moves."""

    now_us = 0

    def now(self) -> Instant:
        return Instant(0, "00" * 8, self.now_us)


def talker_of(clock: Ticking, text: bytes = b"x") -> TalkerOnPty:
    return TalkerOnPty(Drive(scenario("calm"), 1), lambda _, tick: text * (tick % 2), clock)


def test_it_says_what_became_due() -> None:
    clock = Ticking()
    talker = talker_of(clock)
    line = SerialLine(talker.path)
    clock.now_us = 100_000
    talker.step()
    assert line.read(1_000) == b"xxxxx"
    line.close()
    talker.unplug()


def test_what_nobody_reads_is_lost_and_holds_nothing_up() -> None:
    clock = Ticking()
    talker = talker_of(clock, b"y" * 4_096)
    clock.now_us = 10_000_000
    talker.step()
    talker.unplug()


def test_a_pulled_cable_is_a_fault() -> None:
    clock = Ticking()
    talker = talker_of(clock)
    talker.unplug()
    clock.now_us = 100_000
    with pytest.raises(DeviceFault):
        talker.step()


def test_it_talks_in_a_thread_until_it_is_told_to_stop() -> None:
    clock, stop = Ticking(), threading.Event()
    talker = talker_of(clock)
    line = SerialLine(talker.path)
    thread = threading.Thread(target=talker.run, args=(stop.is_set,))
    thread.start()
    clock.now_us = 20_000
    assert line.read(5_000) == b"x"
    stop.set()
    thread.join()
    line.close()
    talker.unplug()
