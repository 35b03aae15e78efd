"""A vehicle that does not exist on a bus that does: GNSS, IMU and an engine that answers OBD-II.

Place in the flow: `drive` → **vehicle** → frames: as a `FrameSource` in its own time, or on a bus
of python-can where `can_bus` listens and asks.

    id       every     layout (vehicle_gateway/vehicles/gnss_imu.dbc)
    1 to 7   1 s       status, time, position, altitude, attitude, distance, speed
    9        10 ms     IMU
    0x7E8    as asked  answers of the `engine`, SAE J1979

* The module stands upright with its labels to the left, as in the recorded car: X is up, Y is
  backward, Z is to the right.
* Without a fix it sends what a real receiver sends: `PositionValid = 1`, fix 0, no satellites and
  an altitude of -5,400 m.
* In its own time (`SimulatedSource`) ten minutes pass in about a second, the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge.ports import EXTENDED_ID
from hardware.drivers.can_log import number_chunks, paced
from hardware.drivers.can_log_candump import Columns
from hardware.sim.drive import GRAVITY_MPS2, TICK_US, Drive, State, scenario
from hardware.sim.engine import ALL, Engine, EngineSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import can

    from edge.ports import Clock, FrameChunk
    from hardware.drivers.can_log import Pace

Frame = tuple[int, bytes]

IMU_ID: Final = 9
GNSS_TICKS: Final = 100
CHUNK_TICKS: Final = 1_000
EPOCH_US: Final = 1_577_840_400_000_000  # where the module's clock counts from
LOST_ALTITUDE_M: Final = -5_400.0
START_US: Final = 1_772_411_400_000_000  # Monday 2 March 2026, 08:30 in Beijing
CATCH_UP_TICKS_MAX: Final = 100

OBD_PERIODS: Final[Mapping[int, int]] = {
    # PID → ticks between two answers, as the logger of the recorded car asked.
    0x0D: 50,
    0x0C: 50,
    0x11: 50,
    0x0B: 50,
    0x62: 50,
    0x05: 100,
    0x04: 300,
    0x33: 300,
    0x42: 300,
    0x2F: 1_000,
}


@dataclass(frozen=True, slots=True)
class SimSettings:
    """Which drive.

    Attributes:
        seconds: Length; None drives on for ever.
        scenario: A name of `hardware.sim.drive.SCENARIOS`.
        start_us: Time of the first frame, microseconds UTC.
        engine: Which computer answers.
    """

    seconds: float | None = 600.0
    seed: int = 1
    scenario: str = "mountain"
    start_us: int = START_US
    engine: EngineSettings = field(default_factory=EngineSettings)


class SimulatedVehicle:
    """Drives on tick by tick and says what appears on the bus.

    Attributes:
        engine: The computer that answers OBD-II requests.

    Raises:
        LocalError: There is no such scenario.
    """

    def __init__(self, settings: SimSettings) -> None:
        self._drive = Drive(scenario(settings.scenario), settings.seed)
        self._start_us = settings.start_us
        self.ticks = 0
        self.engine = Engine(settings.engine, self._pid_data)

    @property
    def state(self) -> State:
        """What is true of the vehicle now."""
        return self._drive.state

    @property
    def time_us(self) -> int:
        """The vehicle's own time, microseconds UTC."""
        return self._start_us + self.ticks * TICK_US

    def tick(self) -> list[Frame]:
        """Drives on for 10 ms and returns what the sensors broadcast."""
        state = self._drive.tick()
        self.ticks += 1
        frames = [(IMU_ID, self._imu(state))]
        if self.ticks % GNSS_TICKS == 0:
            frames += gnss_frames(state, self.time_us)
        return frames

    def answers(self, can_id: int, payload: bytes) -> list[Frame]:
        """Answers one frame of a tester; with nothing where a real engine would be silent too."""
        return self.engine.frames(can_id, payload)

    def answers_due(self) -> list[Frame]:
        """Returns the answers to the requests that a logger would have sent by now."""
        due = (pid for pid, ticks in OBD_PERIODS.items() if self.ticks % ticks == 0)
        return [frame for pid in due for frame in self.answers(ALL, bytes([2, 1, pid, 0x55]))]

    def _pid_data(self, pid: int) -> bytes | None:
        if pid == 0x1F:
            return _fit(self.ticks * TICK_US / 1_000_000, 16).to_bytes(2, "big")
        return pid_data(self.state, pid)

    def _imu(self, state: State) -> bytes:
        noise = self._drive.noise
        shake = 0.06 + (0.16 if state.speed_mps > 0.3 else 0.0)
        forward = state.acceleration_mps2 + GRAVITY_MPS2 * state.grade + shake * noise()
        left = state.lateral_mps2 + shake * noise()
        up = GRAVITY_MPS2 + shake * noise()
        turn = state.turn_dps + 0.3 * noise()
        # The module stands upright: X is up, Y backward, Z to the right.
        accelerations = (up, -forward, -left)
        rates = (turn, 0.3 * noise(), 0.3 * noise())
        bits, shift = 1, 1
        for value in accelerations:
            bits |= _fit(value * 8 + 512, 10) << shift
            shift += 10
        for value in rates:
            bits |= _fit(value * 4 + 1024, 11) << shift
            shift += 11
        return bits.to_bytes(8, "little")


def gnss_frames(state: State, time_us: int) -> list[Frame]:
    """Returns the seven frames that the receiver sends every second."""
    fix, satellites = (3, 14) if state.has_fix else (0, 0)
    altitude_m = state.altitude_m if state.has_fix else LOST_ALTITUDE_M
    valid = int(state.has_fix)
    epoch = _fit((time_us - EPOCH_US) / 1_000, 40)
    latitude = _fit((state.latitude + 90) * 1e6, 28)
    longitude = _fit((state.longitude + 180) * 1e6, 29)
    pitch = _fit((state.grade * 57.3 + 90) * 10, 12)
    heading = _fit(state.heading * 10, 12)
    trip = _fit(state.distance_m, 22)
    words = (
        (1, 1, fix | satellites << 3),
        (2, 6, 3 | epoch << 8),
        (3, 8, 1 | latitude << 1 | longitude << 29 | (2 if valid else 63) << 58),
        (4, 4, 1 | _fit((altitude_m + 6_000) * 10, 18) << 1 | (3 if valid else 8_000) << 19),
        (5, 8, valid | 1_800 << 1 | 20 << 13 | pitch << 22 | 20 << 34 | heading << 43 | 20 << 55),
        (6, 8, valid | trip << 1 | 5 << 23 | _fit(state.distance_m / 1_000, 22) << 42),
        (7, 5, 1 | _fit(state.speed_mps * 1_000, 20) << 1 | 120 << 21),
    )
    return [(can_id, word.to_bytes(length, "little")) for can_id, length, word in words]


def pid_data(state: State, pid: int) -> bytes | None:
    """Returns the data of a mode 01 PID (SAE J1979), or None for one this engine does not have."""
    level = {
        0x04: state.load_percent * 2.55,
        0x05: state.coolant_c + 40,
        0x0B: 30 + state.load_percent * 0.75,
        0x0D: state.speed_kmh,
        0x0F: 24 + 40,
        0x11: 32 + state.load_percent * 1.6,
        0x2F: state.fuel_percent * 2.55,
        0x46: 21 + 40,
        0x51: 4,  # diesel
        0x5C: state.coolant_c + 4 + 40,
        0x33: 101.3 * max(0.0, 1 - state.altitude_m / 44_330) ** 5.255,
        0x62: state.load_percent * 0.9 + 125,
    }
    wide = {
        0x0C: state.engine_rpm * 4,
        0x10: state.engine_rpm * state.load_percent * 0.012,
        0x21: 0,
        0x31: 1_204 + state.distance_m / 1_000,
        0x42: 14_100 - state.load_percent * 3,
        0x5E: state.engine_rpm * state.load_percent * 0.0015,
        0x63: 320,
    }
    if pid == 0xA6:
        return _fit(1_234_567 + state.distance_m / 100, 32).to_bytes(4, "big")
    if pid in level:
        return bytes([_fit(level[pid], 8)])
    return _fit(wide[pid], 16).to_bytes(2, "big") if pid in wide else None


def _fit(value: float, bits: int) -> int:
    """Rounds to an unsigned integer of so many bits, clipped at both ends."""
    return min(max(round(value), 0), (1 << bits) - 1)


# ------------------------------------------------------------------ in its own time
class SimulatedSource:
    """The drive as an `edge.ports.FrameSource`.

    Args:
        settings: Which drive.
        pace: Real speed; None lets time pass as fast as it is consumed.
    """

    def __init__(self, settings: SimSettings, pace: Pace | None = None) -> None:
        self._settings = settings
        self._pace = pace
        self._closed = False

    @property
    def name(self) -> str:
        """Scenario and seed."""
        return f"sim:{self._settings.scenario}/{self._settings.seed}"

    @property
    def skipped(self) -> Mapping[str, int]:
        """Nothing is ever unreadable here."""
        return {}

    def chunks(self, skip_frames: int = 0) -> Iterator[FrameChunk]:
        """Yields the drive from its start, ten seconds of it at a time."""
        self._closed = False
        chunks = number_chunks(self._columns(), skip_frames)
        return paced(chunks, self._pace) if self._pace else chunks

    def close(self) -> None:
        """Stops the vehicle."""
        self._closed = True

    def _columns(self) -> Iterator[Columns]:
        vehicle = SimulatedVehicle(self._settings)
        seconds = self._settings.seconds
        left = -1 if seconds is None else round(seconds * 1_000_000 / TICK_US)
        while left and not self._closed:
            ticks = CHUNK_TICKS if left < 0 else min(left, CHUNK_TICKS)
            left -= ticks if left > 0 else 0
            yield _drive_on(vehicle, ticks)


def _drive_on(vehicle: SimulatedVehicle, ticks: int) -> Columns:
    columns = Columns([], [], [])
    for _ in range(ticks):
        frames = vehicle.tick() + vehicle.answers_due()
        for place, (can_id, payload) in enumerate(frames):
            columns.times_us.append(vehicle.time_us + place * 250)  # a frame takes 0.25 ms
            columns.ids.append(can_id)
            columns.payloads.append(payload)
    return columns


# ------------------------------------------------------------------ on a bus
class VehicleOnBus:
    """The vehicle at the other end of a python-can bus, in real time.

    Args:
        vehicle: Who drives.
        bus: Its own end of the bus; another end of a `virtual` channel sees what it sends.
        clock: Its monotonic time moves the vehicle.
    """

    def __init__(self, vehicle: SimulatedVehicle, bus: can.BusABC, clock: Clock) -> None:
        self._vehicle = vehicle
        self._bus = bus
        self._clock = clock
        self._since_us = clock.now().monotonic_us

    def run(self, is_over: Callable[[], bool]) -> None:
        """Drives and answers until `is_over`; runs in a thread of the caller."""
        while not is_over():
            self.step(wait_s=TICK_US / 1_000_000)

    def step(self, wait_s: float = 0.0) -> None:
        """Broadcasts what is due, then answers the requests that have come."""
        due = (self._clock.now().monotonic_us - self._since_us) // TICK_US - self._vehicle.ticks
        for _ in range(min(due, CATCH_UP_TICKS_MAX)):
            for frame in self._vehicle.tick():
                self._send(frame)
        message = self._bus.recv(wait_s)
        while message is not None:
            flag = EXTENDED_ID if message.is_extended_id else 0
            for answer in self._vehicle.answers(message.arbitration_id | flag, bytes(message.data)):
                self._send(answer)
            message = self._bus.recv(0.0)

    def _send(self, frame: Frame) -> None:
        import can

        can_id, payload = frame
        is_extended = can_id >= EXTENDED_ID
        self._bus.send(
            can.Message(
                arbitration_id=can_id & ~EXTENDED_ID, data=payload, is_extended_id=is_extended
            )
        )
