"""Listens to a live CAN bus through python-can, and asks where somebody has a question.

Place in the flow: bus → python-can → **can_bus** → `FrameChunk`s → vehicle_gateway.decode.

* The box listens only, in hardware where the adapter can, unless there is a requester.
* A chunk is handed on at least every 100 ms, an empty one on a silent bus, so that whoever
  consumes it can also look at the clock.
* Error and remote frames are counted. Bus-off or a lost adapter is a `DeviceFault`: the caller
  waits and opens the bus again.
* What is asked, and how often, is a matter of the requesters (`asking`); this only sends.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from edge.errors import DeviceFault
from edge.lean import without
from edge.ports import EXTENDED_ID, FrameChunk
from hardware.drivers.asking import Asking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import can

    from edge.ports import Clock, Requester

R = TypeVar("R")

CHUNK_US_MAX: Final = 100_000
CHUNK_FRAMES_MAX: Final = 4_096
ASK_US: Final = 10_000  # how often a requester is asked on a bus that says nothing
BUS_OFF_CLASS: Final = 0x40  # CAN_ERR_BUSOFF of linux/can/error.h
CONTROLLER_CLASS: Final = 0x04  # CAN_ERR_CRTL: data[1] says what of the controller
ERROR_CLASSES: Final[Mapping[int, str]] = {
    0x01: "error-send-timeout",
    0x02: "error-arbitration",
    0x08: "error-protocol",
    0x10: "error-transceiver",
    0x20: "error-unacknowledged",
    BUS_OFF_CLASS: "bus-off",
    0x80: "error-bus",
}
CONTROLLER_STATES: Final[Mapping[int, str]] = {
    0x03: "controller-overrun",
    0x0C: "error-warning",
    0x30: "error-passive",
}
STAMP_US_MAX: Final = 1_000_000

LISTEN_ONLY: Final[Mapping[str, Mapping[str, Any]]] = {
    # Interface of python-can 4.6 → what makes it silent. SocketCAN is silent by its link setting:
    # `ip link set can0 type can bitrate 500000 listen-only on`.
    "pcan": {"state": "PASSIVE"},
    "vector": {"listen_only": True},
    "nixnet": {"listen_only": True},
    "kvaser": {"driver_mode": False},
    "seeedstudio": {"operation_mode": "silent"},
}


@dataclass(frozen=True, slots=True)
class BusSettings:
    """Which bus.

    Attributes:
        interface: Of python-can: `socketcan`, `slcan`, `pcan`, `virtual`, ...
        channel: Such as `can0` or `/dev/ttyACM0`.
        options: Further settings of that interface, such as `bitrate`.
        requesters: Who asks; with none the box only listens.
    """

    interface: str
    channel: str
    options: Mapping[str, Any] = field(default_factory=dict)
    requesters: Sequence[Requester] = ()

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
        self._asking = Asking(settings.requesters)
        self._wait_us_max = ASK_US if self._asking else CHUNK_US_MAX
        self._bus: can.BusABC | None = None

    @property
    def name(self) -> str:
        """Interface and channel, such as `socketcan:can0`."""
        return self._settings.name

    @property
    def skipped(self) -> Mapping[str, int]:
        """Frames that carried no data, and what was odd about answers, by reason."""
        return dict(self._skipped + self._asking.counts)

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
        now = self._clock.now()
        now_us, wall_us = now.monotonic_us, now.wall_us
        end_us = now_us + CHUNK_US_MAX
        while now_us < end_us and len(ids) < CHUNK_FRAMES_MAX:
            self._ask(bus, now_us)
            wait_us = min(end_us - now_us, self._wait_us_max)
            for message in self._drain(bus, wait_us):
                if self._is_data(message):
                    times_us.append(self._time_us(message.timestamp, wall_us))
                    flag = EXTENDED_ID if message.is_extended_id else 0
                    ids.append(message.arbitration_id | flag)
                    payloads.append(bytes(message.data))
                    if self._asking:
                        self._asking.heard(ids[-1], payloads[-1], now_us)
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
        for can_id, payload in self._asking.due(now_us) if self._asking else ():
            _guarded(self.name, partial(bus.send, _message(can_id, payload), timeout=0.1))

    def _is_data(self, message: can.Message) -> bool:
        if message.is_error_frame:
            self._count_error(message.arbitration_id, bytes(message.data))
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

    def _count_error(self, classes: int, data: bytes) -> None:
        """Counts an error frame, and what it says is wrong (linux/can/error.h)."""
        self._skipped["error-frame"] += 1
        told = {name for bit, name in ERROR_CLASSES.items() if classes & bit}
        if classes & CONTROLLER_CLASS and len(data) > 1:
            told |= {name for bits, name in CONTROLLER_STATES.items() if data[1] & bits}
        self._skipped.update(told)

    def _time_us(self, seconds: float, begun_us: int) -> int:
        """Returns when a frame arrived, by the box's clock.

        The adapter's own stamp is finer, but only if it is of the same clock: some count from their
        own start, and the kernel's are of a machine's clock that may be in 1970.
        """
        time_us = round(seconds * 1_000_000)
        same = abs(time_us - begun_us) <= STAMP_US_MAX
        return time_us if same else self._clock.now().wall_us


def open_bus(settings: BusSettings) -> can.BusABC:
    """Opens a bus, silent where the adapter can be and nothing is to be sent.

    Raises:
        DeviceFault: The adapter is absent, refused or needs a library that is not installed.
    """
    with without("asammdf"):  # it reads recordings, and is heavy
        import can

    silent = {} if settings.requesters else LISTEN_ONLY.get(settings.interface, {})
    options = {**silent, **settings.options}
    if isinstance(options.get("state"), str):
        options["state"] = can.BusState[options["state"]]
    return _guarded(
        settings.name,
        lambda: can.Bus(interface=settings.interface, channel=settings.channel, **options),
    )


def _message(can_id: int, payload: bytes) -> can.Message:
    import can

    return can.Message(
        arbitration_id=can_id & ~EXTENDED_ID,
        is_extended_id=bool(can_id & EXTENDED_ID),
        data=payload,
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
