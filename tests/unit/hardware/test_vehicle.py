"""The simulated vehicle: one drive from one seed, physics that agree, real OBD manners."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.errors import LocalError
from hardware.sim.drive import SCENARIOS, TICK_S, Drive, State, scenario
from hardware.sim.engine import ENGINE
from hardware.sim.vehicle import (
    START_US,
    SimSettings,
    SimulatedSource,
    SimulatedVehicle,
    gnss_frames,
    pid_data,
)
from vehicle_gateway.decode import Decoder
from vehicle_gateway.profile import load_profile

if TYPE_CHECKING:
    from collections.abc import Iterator


def decoded(settings: SimSettings) -> dict[int, list[tuple[int, int]]]:
    """Signal id → (time, raw) of what is present."""
    decoder = Decoder(load_profile())
    found: dict[int, list[tuple[int, int]]] = {}
    for chunk in SimulatedSource(settings).chunks():
        for group in decoder.decode(chunk).groups:
            for signal_id, values in group.series.items():
                pairs = zip(group.times_us, values, strict=True)
                found.setdefault(signal_id, []).extend((t, v) for t, v in pairs if v is not None)
    return found


def test_the_same_seed_gives_the_same_drive_and_another_another() -> None:
    one, same, other = (
        [chunk.payloads for chunk in SimulatedSource(SimSettings(30, seed)).chunks()]
        for seed in (7, 7, 8)
    )
    assert one == same
    assert one != other


def test_ten_minutes_hold_what_a_logger_would_have_recorded() -> None:
    chunks = list(SimulatedSource(SimSettings(600)).chunks())
    ids = [can_id for chunk in chunks for can_id in chunk.ids]
    assert ids.count(9) == 60_000
    assert ids.count(3) == 600
    assert ids.count(ENGINE) == 600 // 0.5 * 5 + 600 + 3 * 200 + 60
    times = [time_us for chunk in chunks for time_us in chunk.times_us]
    assert times == sorted(times)
    assert times[0] == START_US + 10_000
    assert chunks[-1].position == len(ids)


def test_a_resumed_drive_goes_on_where_it_was() -> None:
    whole = [
        frame for chunk in SimulatedSource(SimSettings(30)).chunks() for frame in chunk.payloads
    ]
    rest = [
        frame
        for chunk in SimulatedSource(SimSettings(30)).chunks(skip_frames=1_234)
        for frame in chunk.payloads
    ]
    assert rest == whole[1_234:]


def test_an_unknown_scenario_names_the_known_ones() -> None:
    with pytest.raises(LocalError, match="mountain, calm, idling"):
        scenario("autobahn")


@pytest.mark.parametrize("name", SCENARIOS)
def test_speed_is_the_sum_of_acceleration_and_distance_that_of_speed(name: str) -> None:
    drive = Drive(scenario(name), seed=3)
    speed = distance = 0.0
    for _ in range(60_000):
        before = drive.state.speed_mps
        state = drive.tick()
        if state.speed_mps > 0 and before > 0:
            assert abs(before + state.acceleration_mps2 * TICK_S - state.speed_mps) < 1e-9
        distance += state.speed_mps * TICK_S
        speed = max(speed, state.speed_mps)
    assert abs(distance - drive.state.distance_m) < 0.01
    assert speed * 3.6 < 90


def test_the_mountain_drive_holds_its_faults() -> None:
    drive = Drive(scenario("mountain"), seed=1)
    states = [(drive.leg.what, s.acceleration_mps2, s.speed_kmh) for s in iter_ticks(drive, 60_000)]
    assert min(a for _, a, _ in states) < -4.0
    assert sum(a <= -2.7 for what, a, _ in states if what == "harsh brake") * TICK_S > 0.8
    assert sum(a >= 2.0 for what, a, _ in states if what == "harsh acceleration") * TICK_S > 1.0
    assert sum(v > 80 for _, _, v in states) * TICK_S > 10


def test_the_calm_drive_holds_none() -> None:
    drive = Drive(scenario("calm"), seed=1)
    assert max(abs(state.acceleration_mps2) for state in iter_ticks(drive, 60_000)) <= 1.0


def test_the_idling_drive_stands_for_more_than_five_minutes_with_the_engine_on() -> None:
    drive = Drive(scenario("idling"), seed=1)
    longest = standing = 0
    for state in iter_ticks(drive, 60_000):
        standing = standing + 1 if state.speed_kmh < 3 and state.engine_rpm > 0 else 0
        longest = max(longest, standing)
    assert longest * TICK_S >= 300


def iter_ticks(drive: Drive, count: int) -> Iterator[State]:
    return (drive.tick() for _ in range(count))


def test_decoded_acceleration_sums_up_to_decoded_speed() -> None:
    found = decoded(SimSettings(60, scenario="calm"))
    gained = sum(raw for _, raw in found[48]) / 8 * TICK_S
    last_kmh = found[1][-1][1] / 256
    # Gravity on the climb and the noise of the sensor are in the sum, as in a real one.
    assert abs(gained - last_kmh / 3.6) < 20
    standing = [raw for time_us, raw in found[48] if time_us < START_US + 10_000_000]
    assert abs(sum(standing) / len(standing) / 8) < 0.1


def test_decoded_turns_follow_the_road() -> None:
    found = decoded(SimSettings(120))
    assert max(raw for _, raw in found[53]) / 4 > 5  # the left bend
    assert min(raw for _, raw in found[53]) / 4 < -4  # the right bend
    up = [raw / 8 for _, raw in found[50]]
    assert abs(sum(up) / len(up) - 9.81) < 0.1


# ------------------------------------------------------------------ OBD manners
def test_a_request_is_answered_with_its_pid() -> None:
    vehicle = SimulatedVehicle(SimSettings())
    assert vehicle.answers(0x7DF, bytes.fromhex("02010C5555555555")) == [
        (ENGINE, bytes.fromhex("04410C0CD0555555"))  # 820 rpm: the engine idles
    ]
    assert vehicle.answers(0x7E0, bytes.fromhex("02010D")) == [
        (ENGINE, bytes.fromhex("03410D0055555555"))
    ]


def test_every_value_fits_its_bytes_at_the_extremes() -> None:
    wild = State(speed_mps=400, acceleration_mps2=90, fuel_percent=900, altitude_m=90_000)
    for pid in range(256):
        data = pid_data(wild, pid)
        assert data is None or len(data) in {1, 2, 4}
    assert [len(data) for _, data in gnss_frames(wild, START_US)] == [1, 6, 8, 4, 8, 8, 5]
