"""An inertial sensor's bytes become messages; what is no message costs a byte and a count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ports import IMU_LINE
from hardware.drivers.clock import SystemClock
from hardware.drivers.imu_line import ImuCutter, ImuSource, is_whole
from hardware.sim.drive import Drive, scenario
from hardware.sim.imu import ACCELERATION, ANGLE, ANGULAR_VELOCITY, Sensor, message
from hardware.sim.talker import TalkerOnPty

if TYPE_CHECKING:
    from edge.ports import FrameChunk


def cut(data: bytes, step: int = 10_000) -> tuple[list[bytes], dict[str, int]]:
    cutter = ImuCutter()
    found = [each for at in range(0, len(data), step) for each in cutter.feed(data[at : at + step])]
    return found, dict(+cutter.counts)


def whole(kind: int) -> bytes:
    return message(kind, (1.0, -1.0, 9.0), 160.0)


def test_the_sum_of_a_message_is_that_of_its_first_ten_bytes() -> None:
    body = bytes.fromhex("555100000000000800e8")
    assert is_whole(body + bytes([sum(body) & 0xFF]))
    assert not is_whole(body + bytes([sum(body) + 1 & 0xFF]))


@pytest.mark.parametrize("step", [1, 5, 11, 10_000])
def test_messages_are_found_however_they_arrive(step: int) -> None:
    parts = [whole(ACCELERATION), whole(ANGULAR_VELOCITY), whole(ANGLE)]
    assert cut(b"".join(parts) * 3, step) == (parts * 3, {})


def test_other_messages_are_counted_and_not_handed_on() -> None:
    assert cut(whole(0x50) + whole(ACCELERATION) + whole(0x54)) == (
        [whole(ACCELERATION)],
        {"other-message": 2},
    )


def test_garbage_and_half_messages_cost_their_bytes_and_no_more() -> None:
    data = b"\x00\x55\x55" + whole(ACCELERATION)[:7] + whole(ACCELERATION) + whole(ANGLE)
    assert cut(data) == ([whole(ACCELERATION), whole(ANGLE)], {"garbage-byte": 10})


@given(st.binary(max_size=300), st.integers(1, 40))
def test_arbitrary_bytes_never_raise_and_give_only_whole_messages(data: bytes, step: int) -> None:
    found, _ = cut(data, step)
    assert all(map(is_whole, found))
    assert found == cut(data)[0]


def test_a_simulated_sensor_is_heard_over_its_terminal() -> None:
    clock, drive = SystemClock(), Drive(scenario("calm"), 1)
    sensor = Sensor(drive.noise, dirt=b"\x00")
    talker = TalkerOnPty(drive, lambda state, _: sensor.messages(state), clock)
    source = ImuSource(talker.path, 0, clock)
    chunks: list[FrameChunk] = []
    for chunk in source.chunks():
        chunks += [chunk] if chunk.ids else []
        talker.step()
        if len(chunks) == 3:
            source.close()
    talker.unplug()
    times = [time for chunk in chunks for time in chunk.times_us]
    assert set(chunks[0].ids) == {IMU_LINE}
    assert times == sorted(times)
    assert source.skipped["garbage-byte"] > 0
