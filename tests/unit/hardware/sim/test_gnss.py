"""The simulated receiver sends what a real one sends, and as much garbage as it says."""

from __future__ import annotations

from hardware.drivers.gnss_line import GnssCutter, is_whole
from hardware.sim.drive import Drive, State, scenario
from hardware.sim.gnss import Receiver

START_US = 1_772_411_400_000_000  # 2 March 2026, 00:30 UTC


def listen(receiver: Receiver, seconds: int) -> tuple[list[bytes], dict[str, int]]:
    drive, cutter = Drive(scenario("mountain"), 1), GnssCutter()
    lines: list[bytes] = []
    for second in range(seconds):
        for _ in range(100):
            state = drive.tick()
        lines += cutter.feed(receiver.burst(state, START_US + second * 1_000_000))
    return lines, dict(+cutter.counts)


def test_its_garbage_can_be_counted() -> None:
    lines, counts = listen(Receiver(), 221)
    assert counts == {"ubx-message": 31, "rtcm-message": 20}
    assert sum(not is_whole(line) for line in lines) == 17 + 13  # cut off, flipped
    assert sum(line.startswith(b"$P") for line in lines) == 23


def test_without_garbage_every_sentence_is_whole() -> None:
    lines, counts = listen(Receiver(garbage=False), 60)
    assert counts == {}
    assert all(map(is_whole, lines))
    assert len(lines) == 60 * 10


def test_before_its_first_fix_it_knows_neither_time_nor_place() -> None:
    burst = Receiver(garbage=False).burst(State(), START_US).decode()
    assert "$GNRMC,,V,,,,,,,,,,N,V*" in burst
    assert ",0,00,99.99,," in burst


def test_without_a_fix_later_it_goes_on_with_time_and_last_place() -> None:
    receiver, state = Receiver(garbage=False), State(has_fix=True)
    receiver.burst(state, START_US)
    state.has_fix = False
    burst = receiver.burst(state, START_US + 1_000_000).decode()
    assert "$GNRMC,003001.00,V,2634.69800,N,10642.81000,E,,,020326,,,N,V*" in burst


def test_it_lies_about_the_time_when_told_to() -> None:
    receiver = Receiver(garbage=False, lie_us=-1_024 * 7 * 86_400_000_000)
    assert b",170706,,,A,V*" in receiver.burst(State(has_fix=True), START_US)
