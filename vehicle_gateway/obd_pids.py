"""What SAE J1979 says of the engine's parameters, and who is addressed how on the bus.

Place in the flow: the table that `obd` decodes by and `obd_schedule` groups by.

    to            11-bit             29-bit            ISO 15765-4
    all           7DF                18DB33F1
    one           7E0 to 7E7         18DAxxF1
    answers       7E8 to 7EF         18DAF1xx

* One row a parameter, only those of which a signal of the data catalogue is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Final

from edge.catalogue import signal
from edge.ports import EXTENDED_ID
from vehicle_gateway.scaling import Scaling

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST_ID: Final = 0x7DF
REQUEST_ID_29: Final = EXTENDED_ID | 0x18DB_33F1
REQUEST_IDS: Final = range(0x7E0, 0x7E8)
RESPONSE_IDS: Final = range(0x7E8, 0x7F0)
RESPONSE_IDS_29: Final = range(EXTENDED_ID | 0x18DA_F100, (EXTENDED_ID | 0x18DA_F1FF) + 1)
TESTER: Final = 0xF1
PADDING: Final = 0x55  # ISO 15765-2 lets a sender fill with what it likes; this toggles most bits
FRAME_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Pid:
    """One parameter: value = X * factor + offset, X the unsigned integer of its bytes."""

    pid: int
    length: int
    factor: Fraction
    offset: int
    path: str


def _pid(pid: int, length: int, factor: str, offset: int, path: str) -> Pid:
    return Pid(pid, length, Fraction(factor), offset, f"Vehicle.{path}")


PIDS: Final[Mapping[int, Pid]] = {
    row.pid: row
    for row in (
        # SAE J1979 (ISO 15031-5) appendix B, diagnostic service 01: PID, bytes, factor, offset.
        _pid(0x04, 1, "100/255", 0, "OBD.EngineLoad"),  # calculated load, %
        _pid(0x05, 1, "1", -40, "OBD.CoolantTemperature"),  # degrees Celsius
        _pid(0x0B, 1, "1", 0, "OBD.MAP"),  # intake manifold absolute pressure, kPa
        _pid(0x0C, 2, "1/4", 0, "OBD.EngineSpeed"),  # rpm
        _pid(0x0D, 1, "1", 0, "Speed"),  # km/h
        _pid(0x0F, 1, "1", -40, "OBD.IntakeTemp"),  # degrees Celsius
        _pid(0x10, 2, "1/100", 0, "OBD.MAF"),  # g/s
        _pid(0x11, 1, "100/255", 0, "OBD.ThrottlePosition"),  # absolute, %
        _pid(0x1F, 2, "1", 0, "OBD.RunTime"),  # since the engine started, s
        _pid(0x21, 2, "1", 0, "OBD.DistanceWithMIL"),  # km
        _pid(0x2F, 1, "100/255", 0, "OBD.FuelLevel"),  # %
        _pid(0x31, 2, "1", 0, "OBD.DistanceSinceDTCClear"),  # km
        _pid(0x33, 1, "1", 0, "OBD.BarometricPressure"),  # kPa
        _pid(0x42, 2, "1/1000", 0, "OBD.ControlModuleVoltage"),  # V
        _pid(0x46, 1, "1", -40, "OBD.AmbientAirTemperature"),  # degrees Celsius
        _pid(0x51, 1, "1", 0, "OBD.FuelType"),  # a number of table B-51
        _pid(0x5B, 1, "100/255", 0, "OBD.HybridBatteryRemaining"),  # %
        _pid(0x5C, 1, "1", -40, "OBD.OilTemperature"),  # degrees Celsius
        _pid(0x5E, 2, "1/20", 0, "OBD.FuelRate"),  # l/h
        _pid(0x62, 1, "1", -125, "OBD.EngineTorquePercent"),  # actual, % of reference torque
        _pid(0x63, 2, "1", 0, "Private.OBD.ReferenceTorque"),  # N·m
        _pid(0xA6, 4, "1/10", 0, "TraveledDistance"),  # odometer, km
    )
}


@cache
def scaling_of(pid: int) -> tuple[int, Scaling]:
    """Returns the signal's id of a parameter of the table, and how its bits are scaled."""
    row = PIDS[pid]
    spec = signal(row.path)
    unit = Fraction(spec.numerator, spec.denominator)
    return spec.id, Scaling.between(row.factor, Fraction(row.offset), unit)


def is_response(can_id: int) -> bool:
    """Tells whether an id carries answers to OBD requests."""
    return can_id in RESPONSE_IDS or can_id in RESPONSE_IDS_29


def is_request(can_id: int) -> bool:
    """Tells whether an id carries the requests of a tester."""
    if can_id in REQUEST_IDS or can_id in {REQUEST_ID, REQUEST_ID_29}:
        return True
    return can_id & ~0xFF00 == EXTENDED_ID | 0x18DA_0000 | TESTER


def request_id(response_id: int) -> int:
    """Returns where the computer listens that answers with this id."""
    if response_id in RESPONSE_IDS:
        return response_id - 8
    return EXTENDED_ID | 0x18DA_0000 | (response_id & 0xFF) << 8 | TESTER


def address_of_all(response_id: int) -> int:
    """Returns where every computer listens that answers with this kind of id."""
    return REQUEST_ID if response_id in RESPONSE_IDS else REQUEST_ID_29


def single_frame(message: bytes) -> bytes:
    """Returns the frame that carries a request of at most seven bytes."""
    return bytes([len(message), *message]).ljust(FRAME_BYTES, bytes([PADDING]))
