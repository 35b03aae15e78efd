"""Listens to a live CAN bus through python-can, and asks OBD questions where it may.

Place in the flow: bus → python-can → **can_bus** → `FrameChunk`s → vehicle_gateway.decode.

* The box listens only, in hardware where the adapter can, unless it has OBD requests to send.
* A chunk is handed on at least every 100 ms, an empty one on a silent bus, so that whoever
  consumes it can also look at the clock.
* Error and remote frames are counted. Bus-off or a lost adapter is a `DeviceFault`: the caller
  waits and opens the bus again.
* Requests are spread: at most one per 25 ms, each PID at its own period, none made up for later.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from edge.errors import DeviceFault
from edge.ports import EXTENDED_ID, FrameChunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import can

    from edge.ports import Clock

R = TypeVar("R")

CHUNK_US_MAX: Final = 100_000
CHUNK_FRAMES_MAX: Final = 4_096
REQUEST_GAP_US: Final = 25_000
BUS_OFF_CLASS: Final = 0x40  # CAN_ERR_BUSOFF of linux/can/error.h
TIME_US_MIN: Final = (
    946_684_800_000_000  # 2000-01-01: below it an adapter counts from its own start
)

LISTEN_ONLY: Final[Mapping[str, Mapping[str, Any]]] = {
    # Interface of python-can 4.6 → what makes it silent. SocketCAN is silent by its link setting:
    # `ip link set can0 type can bitrate 500000 listen-only on`.
    "slcan": {"listen_only": True},
    "vector": {"listen_only": True},
    "nixnet": {"listen_only": True},
    "kvaser": {"driver_mode": False},
    "seeedstudio": {"operation_mode": "silent"},
}


@dataclass(frozen=True, slots=True)
class PeriodicRequest:
    """A frame that is sent every `period_us`, such as an OBD request."""

    can_id: int
    payload: bytes
    period_us: int


class RequestSchedule:
    """Says which request is due; time is an argument.

    Args:
        requests: What to ask for. The first comes first where several are due.
    """

    def __init__(self, requests: Sequence[PeriodicRequest]) -> None:
        self._requests = list(requests)
        self._due_us = [0] * len(self._requests)
        self._last_us = -REQUEST_GAP_US

    def due(self, now_us: int) -> PeriodicRequest | None:
        """Returns the request to send at this monotonic time, if any."""
        if now_us - self._last_us < REQUEST_GAP_US or not self._requests:
            return None
        place = min(range(len(self._due_us)), key=self._due_us.__getitem__)
        if self._due_us[place] > now_us:
            return None
        self._due_us[place] = now_us + self._requests[place].period_us
        self._last_us = now_us
        return self._requests[place]


@dataclass(frozen=True, slots=True)
class BusSettings:
    """Which bus.

    Attributes:
        interface: Of python-can: `socketcan`, `slcan`, `pcan`, `virtual`, ...
        channel: Such as `can0` or `/dev/ttyACM0`.
        options: Further settings of that interface, such as `bitrate`.
        requests: OBD requests; with none the box only listens.
    """

    interface: str
    channel: str
    options: Mapping[str, Any] = field(default_factory=dict)
    requests: Sequence[PeriodicRequest] = ()

    @property
    def name(self) -> str:
        """Interface and channel."""
        return f"{self.interface}:{self.channel}"


class BusSource:
    """A live bus as an `edge.ports.FrameSource`."""

    def __init__(self, settings: BusSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._skipped: Counter[str] = Counter()
        self._schedule = RequestSchedule(settings.requests)
        self._wait_us_max = REQUEST_GAP_US if settings.requests else CHUNK_US_MAX
        self._bus: can.BusABC | None = None

    @property
    def name(self) -> str:
        """Interface and channel, such as `socketcan:can0`."""
        return self._settings.name

    @property
    def skipped(self) -> Mapping[str, int]:
        """Frames that carried no data, by reason."""
        return dict(self._skipped)

    def chunks(self, skip_frames: int = 0) -> Iterator[FrameChunk]:
        """Yields what arrives until `close`; a live bus has nothing to skip.

        Raises:
            DeviceFault: The adapter cannot be opened or was lost, or the bus went off.
        """
        del skip_frames
        self._bus = open_bus(self._settings)
        position = 0
        while self._bus is not None:
            times_us, ids, payloads = self._receive(self._bus)
            position += len(ids)
            yield FrameChunk(times_us, ids, payloads, position)

    def close(self) -> None:
        """Leaves the bus; `chunks` ends after its next chunk."""
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.shutdown()

    def _receive(self, bus: can.BusABC) -> tuple[list[int], list[int], list[bytes]]:
        """Collects frames for at most 100 ms."""
        times_us: list[int] = []
        ids: list[int] = []
        payloads: list[bytes] = []
        now_us = self._clock.now().monotonic_us
        end_us = now_us + CHUNK_US_MAX
        while now_us < end_us and len(ids) < CHUNK_FRAMES_MAX:
            self._ask(bus, now_us)
            wait_us = min(end_us - now_us, self._wait_us_max)
            for message in self._drain(bus, wait_us):
                if self._is_data(message):
                    times_us.append(self._time_us(message.timestamp))
                    flag = EXTENDED_ID if message.is_extended_id else 0
                    ids.append(message.arbitration_id | flag)
                    payloads.append(bytes(message.data))
            now_us = self._clock.now().monotonic_us
        return times_us, ids, payloads

    def _drain(self, bus: can.BusABC, wait_us: int) -> Iterator[can.Message]:
        """Waits for one frame, then takes all that is already there."""
        timeout = wait_us / 1_000_000
        for _ in range(CHUNK_FRAMES_MAX):
            message = _guarded(self.name, lambda: bus.recv(timeout))  # noqa: B023 - called at once
            if message is None:
                return
            yield message
            timeout = 0.0

    def _ask(self, bus: can.BusABC, now_us: int) -> None:
        due = self._schedule.due(now_us)
        if due is not None:
            _guarded(self.name, lambda: bus.send(_message(due), timeout=0.1))

    def _is_data(self, message: can.Message) -> bool:
        if message.is_error_frame:
            self._skipped["error-frame"] += 1
            if message.arbitration_id & BUS_OFF_CLASS:
                raise DeviceFault(
                    f"The bus {self.name} went off; check wiring, bit rate and termination.",
                    "bus-off",
                )
            return False
        if message.is_remote_frame:
            self._skipped["remote-frame"] += 1
            return False
        return True

    def _time_us(self, seconds: float) -> int:
        time_us = round(seconds * 1_000_000)
        return time_us if time_us >= TIME_US_MIN else self._clock.now().wall_us


def open_bus(settings: BusSettings) -> can.BusABC:
    """Opens a bus, silent where the adapter can be and nothing is to be sent.

    Raises:
        DeviceFault: The adapter is absent, refused or needs a library that is not installed.
    """
    import can

    silent = {} if settings.requests else LISTEN_ONLY.get(settings.interface, {})
    options = {**silent, **settings.options}
    return _guarded(
        settings.name,
        lambda: can.Bus(interface=settings.interface, channel=settings.channel, **options),
    )


def _message(request: PeriodicRequest) -> can.Message:
    import can

    return can.Message(
        arbitration_id=request.can_id & ~EXTENDED_ID,
        is_extended_id=bool(request.can_id & EXTENDED_ID),
        data=request.payload,
    )


def _guarded(name: str, act: Callable[[], R]) -> R:
    """Runs one call into python-can and its adapter's library."""
    import can

    try:
        return act()
    except (can.CanError, OSError, ValueError, ImportError, AttributeError, TypeError) as error:
        raise DeviceFault(
            f"The bus {name} does not answer ({error}); check adapter, channel and bit rate.",
            "bus-lost",
        ) from error
