"""Messages of an inertial sensor become columns, or absence where the sensor fails."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalogue import signal_by_id
from edge.codec import decode, encode
from edge.errors import LocalError
from edge.ports import IMU_LINE, NMEA_LINE, FrameChunk
from hardware.drivers.imu_line import ImuCutter
from hardware.sim.drive import Drive, scenario
from hardware.sim.imu import ACCELERATION, ANGLE, ANGULAR_VELOCITY, Sensor, message
from vehicle_gateway.decode import Decoder
from vehicle_gateway.imu import STUCK, ImuInterpreter
from vehicle_gateway.profile import Target, load_profile

if TYPE_CHECKING:
    from collections.abc import Sequence

AHEAD = "Vehicle.Acceleration.Longitudinal"
UP = "Vehicle.Acceleration.Vertical"
YAW = "Vehicle.AngularVelocity.Yaw"
FULL_MPS2 = 16 * 9.80665


def acceleration(ahead: float, left: float = 0.0, up: float = 9.81) -> bytes:
    return message(ACCELERATION, (ahead, left, up), FULL_MPS2)


def columns_of(
    payloads: Sequence[bytes], reader: ImuInterpreter | None = None
) -> tuple[dict[str, list[float | None]], dict[str, int]]:
    counts: Counter[str] = Counter()
    chunk = FrameChunk([*range(len(payloads))], [IMU_LINE] * len(payloads), payloads, len(payloads))
    found = (reader or ImuInterpreter({})).decode(chunk, range(len(payloads)), counts)
    series: dict[str, list[float | None]] = {}
    for each in found.columns:
        assert all(len(values) == len(each.places) for values in each.series.values())
        for number, values in each.series.items():
            spec = signal_by_id(number)
            series[spec.path] = [
                None if value is None else value * spec.numerator / spec.denominator
                for value in values
            ]
    return series, dict(counts)


def test_raw_integers_become_metres_and_degrees() -> None:
    series, counts = columns_of(
        [
            acceleration(-3.0, 1.5),
            message(ANGULAR_VELOCITY, (1.0, -2.0, 30.0), 2_000.0),
            message(ANGLE, (1.0, 2.0, 3.0), 180.0),
        ]
    )
    assert {path: values[0] for path, values in series.items()} == {
        AHEAD: -3.0,
        "Vehicle.Acceleration.Lateral": 1.5,
        UP: 9.75,
        "Vehicle.AngularVelocity.Roll": 1.0,
        "Vehicle.AngularVelocity.Pitch": -2.0,
        YAW: 30.0,
    }
    assert not counts


def test_the_profile_says_how_the_sensor_is_mounted() -> None:
    axes = {"acceleration_x": Target(UP), "acceleration_z": Target(AHEAD, -1)}
    series, _ = columns_of([acceleration(9.81, 0.0, -2.0)], ImuInterpreter(axes))
    assert (series[AHEAD], series[UP]) == ([2.0], [9.75])


def test_an_axis_that_no_sensor_has_is_refused() -> None:
    with pytest.raises(LocalError, match="acceleration_w"):
        ImuInterpreter({"acceleration_w": Target(UP)})


@pytest.mark.parametrize("ahead", [1_000.0, -1_000.0, FULL_MPS2 * 0.9985])
def test_a_value_at_the_end_of_its_range_is_absent(ahead: float) -> None:
    series, counts = columns_of([acceleration(1.0), acceleration(ahead), acceleration(2.0)])
    assert series[AHEAD] == [1.0, None, 2.0]
    assert series[UP] == [9.75] * 3
    assert counts == {"imu-saturated": 1}


def test_a_sensor_that_hangs_is_absent_until_it_says_another_thing() -> None:
    turn = message(ANGULAR_VELOCITY, (0.0, 0.0, 5.0), 2_000.0)
    payloads = [acceleration(1.0), turn] * (STUCK + 10) + [acceleration(2.0), turn]
    series, counts = columns_of(payloads)
    assert len(series[AHEAD]) == len(series[YAW]) == STUCK + 1
    assert series[AHEAD][-1] == 2.0
    assert series[YAW][-1] == 5.0
    assert counts == {"imu-stuck": 20}


def test_a_rate_of_nothing_at_rest_is_no_hanging() -> None:
    still = message(ANGULAR_VELOCITY, (0.0, 0.0, 0.0), 2_000.0)
    payloads = [part for at in range(900) for part in (acceleration(at % 2 * 0.01), still)]
    series, counts = columns_of(payloads)
    assert (len(series[YAW]), counts) == (900, {})


def test_what_is_no_message_is_counted() -> None:
    good = acceleration(1.0)
    damaged = [b"", good[:10], good[:-1] + b"\x00", b"\x00" * 11, message(0x54, (1, 1, 1), 9.0)]
    series, counts = columns_of([*damaged, good])
    assert (series[AHEAD], counts) == ([1.0], {"imu-damaged": 5})


@given(st.integers(0, 2 * STUCK + 40))
def test_a_restart_anywhere_changes_nothing(cut: int) -> None:
    payloads = [acceleration(1.0)] * (STUCK + 10) + [acceleration(2.0)] * (STUCK + 30)
    whole, _ = columns_of(payloads)
    first, second = ImuInterpreter({}), ImuInterpreter({})
    before, _ = columns_of(payloads[:cut], first)
    second.restore(decode(encode(first.state())))
    after, _ = columns_of(payloads[cut:], second)
    assert before.get(AHEAD, []) + after.get(AHEAD, []) == whole[AHEAD]


@pytest.mark.parametrize("state", [{"repeats": "x"}, {"last": 3.5}, 3])
def test_a_damaged_state_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(LocalError, match="IMU state is damaged"):
        ImuInterpreter({}).restore(state)


@given(st.lists(st.binary(max_size=16)))
def test_arbitrary_messages_never_raise(payloads: list[bytes]) -> None:
    columns_of(payloads)


def test_it_claims_its_own_line_only() -> None:
    reader = ImuInterpreter({})
    assert [reader.claims(each) for each in (IMU_LINE, NMEA_LINE, 9)] == [True, False, False]


@pytest.mark.parametrize("name", ["imu", "obd_gnss_imu"])
def test_a_drive_felt_by_a_sensor_on_a_line_is_decoded_by_any_profile(name: str) -> None:
    drive, cutter = Drive(scenario("mountain"), 1), ImuCutter()
    sensor = Sensor(drive.noise)
    payloads = [each for _ in range(1_000) for each in cutter.feed(sensor.messages(drive.tick()))]
    times = [at * 3_333 for at in range(len(payloads))]
    chunk = FrameChunk(times, [IMU_LINE] * len(payloads), payloads, len(payloads))
    found = Decoder(load_profile(name)).decode(chunk)
    assert found.samples == 6_000
    assert found.unknown_frames == 0
    assert not found.counts
