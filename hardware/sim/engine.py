"""An engine computer that does not exist: SAE J1979 services 01 to 0A over ISO 15765-2.

Place in the flow: `vehicle` has one; requests of a bus or an adapter in, answers as frames out.

    asked on 7DF (all) or 7E0   answers on 7E8         or 18DB33F1, 18DA10F1 → 18DAF110
    long answers                first frame, waits for flow control, then the rest

* It is silent, as J1979 asks, to parameters that it does not have and, where all were asked, to
  services that it does not know; asked alone it refuses them.
* `fail` stores a fault and a freeze frame of that instant; service 04 forgets both.
* The vehicle's number is invented.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.ports import EXTENDED_ID

if TYPE_CHECKING:
    from collections.abc import Callable

Frame = tuple[int, bytes]

ALL: Final = 0x7DF
ALL_29: Final = EXTENDED_ID | 0x18DB_33F1
ENGINE: Final = 0x7E8
ENGINE_29: Final = EXTENDED_ID | 0x18DA_F110
FRAME_BYTES: Final = 8
PAGES: Final = range(0x00, 0xE0, 0x20)
STATUS: Final = 0x01
LAMP: Final = 0x80
NOT_SUPPORTED: Final = 0x11
LETTERS: Final = "PCBU"
CALIBRATION_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Which computer.

    Attributes:
        response_id: Where it answers; an extended id makes all its addresses extended ones.
        vin: The vehicle's number; empty where this computer does not know it.
        group_max: Most parameters that it answers in one request.
        own_address: Whether it also listens to the address that is its alone.
    """

    response_id: int = ENGINE
    vin: str = "LTESTSAMPLE000001"
    calibrations: tuple[str, ...] = ("LM-SIM-1.0",)
    group_max: int = 6
    own_address: bool = True


class Engine:
    """Answers requests.

    Args:
        data: Returns the data of a parameter now, or None for one that there is not.
    """

    def __init__(self, settings: EngineSettings, data: Callable[[int], bytes | None]) -> None:
        self._settings = settings
        self._data = data
        self._rest: deque[bytes] = deque()
        self._freeze: dict[int, bytes] = {}
        self.codes: dict[int, list[bytes]] = {0x03: [], 0x07: [], 0x0A: []}

    def fail(self, code: str, service: int = 0x03) -> None:
        """Stores a fault.

        Args:
            code: Such as `P0420`.
            service: Who tells it: 03 stored, 07 pending, 0A permanent.
        """
        number = LETTERS.index(code[0]) << 14 | int(code[1:], 16)
        self.codes[service].append(number.to_bytes(2, "big"))
        if service == 0x03 and not self._freeze:
            self._freeze = {0x02: self.codes[service][-1]}
            self._freeze |= {pid: data for pid in range(3, 0x100) if (data := self._data(pid))}

    def frames(self, can_id: int, payload: bytes) -> list[Frame]:
        """Answers one frame of a tester, often with nothing."""
        to_all = can_id in {ALL, ALL_29}
        if not to_all and not (self._settings.own_address and can_id == self._request_id):
            return []
        if to_all and (can_id >= EXTENDED_ID) != (self._settings.response_id >= EXTENDED_ID):
            return []
        if not payload:
            return []
        if payload[0] >> 4 == 3:
            return self._go_on(payload)
        length = payload[0]
        if not 1 <= length < min(FRAME_BYTES, len(payload)):
            return []
        request = payload[1 : 1 + length]
        answer = self._answer(request)
        if answer is None and not to_all and request[0] not in self._services:
            answer = bytes([0x7F, request[0], NOT_SUPPORTED])
        return self._send(answer) if answer else []

    @property
    def _request_id(self) -> int:
        own = self._settings.response_id
        if own < EXTENDED_ID:
            return own - 8
        return EXTENDED_ID | 0x18DA_00F1 | (own & 0xFF) << 8

    # ------------------------------------------------------------ ISO 15765-2
    def _send(self, message: bytes) -> list[Frame]:
        self._rest.clear()
        own = self._settings.response_id
        if len(message) < FRAME_BYTES:
            return [(own, padded(bytes([len(message)]) + message))]
        head = (0x1000 | len(message)).to_bytes(2, "big")
        for number, start in enumerate(range(6, len(message), 7), 1):
            part = message[start : start + 7]
            self._rest.append(padded(bytes([0x20 | number & 0xF]) + part))
        return [(own, head + message[:6])]

    def _go_on(self, control: bytes) -> list[Frame]:
        if control[0] != 0x30:
            self._rest.clear()  # the other side has no room: ISO 15765-2 gives the message up
        count = control[1] if len(control) > 1 and control[1] else len(self._rest)
        taken = [self._rest.popleft() for _ in range(min(count, len(self._rest)))]
        return [(self._settings.response_id, frame) for frame in taken]

    # ------------------------------------------------------------ SAE J1979
    @property
    def _services(self) -> dict[int, Callable[[bytes], bytes | None]]:
        return {
            0x01: self._parameters,
            0x02: self._freeze_frame,
            0x03: self._faults,
            0x04: self._clear,
            0x07: self._faults,
            0x09: self._identity,
            0x0A: self._faults,
        }

    def _answer(self, request: bytes) -> bytes | None:
        service = self._services.get(request[0])
        return service(request) if service else None

    def _parameters(self, request: bytes) -> bytes | None:
        answer = b""
        for pid in request[1 : 1 + self._settings.group_max]:
            data = self._page(pid) if pid in PAGES else self._value(pid)
            answer += bytes([pid]) + data if data else b""
        return b"\x41" + answer if answer else None

    def _value(self, pid: int) -> bytes | None:
        if pid == STATUS:
            faults = len(self.codes[0x03])
            return bytes([LAMP * bool(faults) | faults, 0x07, 0x65, 0x00])
        return self._data(pid)

    def _page(self, page: int) -> bytes | None:
        has = [pid for pid in range(1, 0x100) if pid in PAGES or self._value(pid)]
        last = max(pid for pid in has if pid not in PAGES)
        mine = [pid for pid in has if page < pid <= page + 0x20 and pid <= last]
        bits = sum(1 << (page + 0x20 - pid) for pid in mine)
        return bits.to_bytes(4, "big") if bits else None

    def _freeze_frame(self, request: bytes) -> bytes | None:
        data = self._freeze.get(request[1]) if len(request) == 3 else None
        return bytes([0x42, request[1], 0]) + data if data else None

    def _faults(self, request: bytes) -> bytes:
        codes = self.codes[request[0]]
        return bytes([request[0] | 0x40, len(codes)]) + b"".join(codes)

    def _clear(self, request: bytes) -> bytes:
        del request
        self.codes[0x03].clear()
        self.codes[0x07].clear()  # permanent ones stay until the engine proved itself
        self._freeze = {}
        return b"\x44"

    def _identity(self, request: bytes) -> bytes | None:
        info = request[1] if len(request) == 2 else None
        if info == 0x02 and self._settings.vin:
            return b"\x49\x02\x01" + self._settings.vin.encode("ascii")
        if info == 0x04 and self._settings.calibrations:
            texts = [text.encode("ascii") for text in self._settings.calibrations]
            body = b"".join(text.ljust(CALIBRATION_BYTES, b"\0") for text in texts)
            return bytes([0x49, 0x04, len(texts)]) + body
        return None


def padded(data: bytes) -> bytes:
    """Fills a frame up to its eight bytes."""
    return data.ljust(FRAME_BYTES, b"\x55")
