"""Tests of sleep, wake and the cut: by the key, by the supply, and by nothing but the bus."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from edge.ports import (
    ADAPTER_LINE,
    IMU_LINE,
    NMEA_LINE,
    SOURCE_SHIFT,
    FrameChunk,
    PowerReading,
)
from tests.unit.vehicle_gateway.yard import Box, Core, Hasty, Script, frames
from vehicle_gateway.gateway import Feed, Gateway
from vehicle_gateway.obd_schedule import ObdSchedule
from vehicle_gateway.power import Power, PowerRule
from vehicle_gateway.profile import ObdSection

RULE = PowerRule()
SECOND = 1_000_000


@dataclass
class Wires:
    """A supply that a test sets."""

    reading: PowerReading = field(default_factory=PowerReading)

    def read(self) -> PowerReading:
        return self.reading


def run(power: Power, seconds: int, start_s: int = 0, *, is_heard: bool = False) -> list[str]:
    """States of so many seconds, one step each."""
    return [
        power.step(is_heard=is_heard, now_us=(start_s + second) * SECOND)
        for second in range(seconds)
    ]


def test_without_any_wire_a_silent_bus_puts_the_box_to_sleep_and_a_frame_wakes_it() -> None:
    power = Power(None, RULE, 0)
    states = run(power, 700)
    assert states.index("asleep") == 600
    assert power.step(is_heard=True, now_us=701 * SECOND) == "awake"
    assert run(power, 599, 702) == ["awake"] * 599


def test_a_key_that_is_on_keeps_it_awake_and_is_never_cut() -> None:
    power = Power(Wires(PowerReading(ignition=True, supply_mv=9_000)), RULE, 0)
    assert set(run(power, 2_000)) == {"awake"}


def test_a_low_battery_with_the_key_off_is_cut_after_a_minute() -> None:
    power = Power(Wires(PowerReading(ignition=False, supply_mv=11_700)), RULE, 0)
    states = run(power, 100)
    assert states[:60] == ["awake"] * 60
    assert set(states[60:]) == {"cut"}
    assert power.step(is_heard=True, now_us=200 * SECOND) == "cut"  # a cut is not undone


def test_the_starter_motor_is_no_empty_battery() -> None:
    wires = Wires(PowerReading(supply_mv=12_600))
    power = Power(wires, RULE, 0)
    for second in range(1, 600):
        dips = second % 50 < 5  # five seconds of every fifty
        wires.reading = PowerReading(supply_mv=8_000 if dips else 12_600)
        assert power.step(is_heard=False, now_us=second * SECOND) == "awake"


def test_charging_wakes_a_box_without_a_wire_to_the_key() -> None:
    wires = Wires(PowerReading(supply_mv=12_400))
    power = Power(wires, RULE, 0)
    assert run(power, 601)[-1] == "asleep"
    wires.reading = PowerReading(supply_mv=13_900)
    assert power.step(is_heard=False, now_us=602 * SECOND) == "awake"


def test_a_reading_that_fails_decides_nothing() -> None:
    wires = Wires(PowerReading(ignition=False, supply_mv=11_000))
    power = Power(wires, RULE, 0)
    run(power, 59)
    wires.reading = PowerReading()
    assert power.step(is_heard=False, now_us=59 * SECOND) == "awake"
    wires.reading = PowerReading(ignition=False, supply_mv=12_500)
    assert run(power, 120, 60)[-1] == "awake"


# ------------------------------------------------------------------ in the loop of the box
def test_with_the_key_off_a_vehicle_is_asked_nothing(box: Box) -> None:
    wires = Wires(PowerReading(ignition=True))
    schedule = ObdSchedule(ObdSection())
    asked: list[int] = []

    def ask() -> None:
        asked.append(len(schedule.due((1_000 + 100 * len(asked)) * SECOND)))

    def turn(*, on: bool) -> None:
        wires.reading = PowerReading(ignition=on)
        box.clock.advance(2)

    off, on = (lambda: turn(on=False)), (lambda: turn(on=True))
    script = Script([None, ask, off, None, ask, None, on, None, ask])
    power = Power(wires, RULE, box.clock.monotonic_us)
    feed = Feed(script, is_live=True, requesters=[schedule])
    Gateway(feed, box.open(), box.sink, None, box.folder, power).run(Hasty())
    assert asked == [1, 0, 1]


@pytest.mark.parametrize("kind", [ADAPTER_LINE, NMEA_LINE, 1 << SOURCE_SHIFT | IMU_LINE])
def test_what_talks_on_a_line_for_ever_is_no_sign_of_life(box: Box, core: Core, kind: int) -> None:
    line = FrameChunk([box.clock.wall_us], [kind], [b"12.6V"], 1)
    script = Script([*frames(5.0), lambda: box.clock.advance(601), line, line])
    power = Power(None, RULE, box.clock.monotonic_us)
    feed = Feed(script, is_live=True)
    Gateway(feed, box.open(), box.sink, None, box.folder, power).run(Hasty())
    assert power.state == "asleep"
    assert core.evidence(box.messages())[-1]["type"] == "epoch-close"


def test_a_box_that_hears_no_bus_stays_awake_while_its_receiver_drives(box: Box) -> None:
    line = FrameChunk([box.clock.wall_us], [NMEA_LINE], [b"$GNRMC"], 1)
    batcher = box.open()
    moving: list[Any] = [*frames(60.0), lambda: box.clock.advance(601), line]
    power = Power(None, RULE, box.clock.monotonic_us)
    gateway = Gateway(
        Feed(Script(moving), is_live=True), batcher, box.sink, None, box.folder, power
    )
    gateway.run(Hasty())
    assert power.state == "awake"
