"""What J1939 units say of themselves: fault codes with their lamps, and the vehicle's number.

Place in the flow: whole messages DM1, DM2, VI → **j1939_faults** → j1939 (snapshots).

    DM1, DM2   byte 0, 1   lamps, two bits each: on, or flashing        SAE J1939-73 clause 5.7
               then four bytes a fault: SPN 16 bits; its upper 3 bits, FMI 5 bits; CM, OC 7 bits
    VI         text up to `*`                                           SAE J1939-71, PGN 65260

* A fault of only zeros is none, one of only ones is filling.
* A code is written `SPN 190 FMI 3 OC 5`: how often it occurred stands only where the unit counts.
  With the conversion bit the SPN may be spelled in an older way; such a code ends in `CM 1`.
* The vehicle's number leaves as a hash, never in clear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vehicle_gateway.dtc import vin_hash
from vehicle_gateway.j1939_ids import ACTIVE_FAULTS, FORMER_FAULTS

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from vehicle_gateway.columns import Snapshot

CODES_MAX: Final = 64
FAULT_BYTES: Final = 4
STATUSES: Final[Mapping[int, str]] = {ACTIVE_FAULTS: "active", FORMER_FAULTS: "former"}
LAMPS: Final = ((6, "mil"), (4, "stop"), (2, "warning"), (0, "protect"))
ON: Final = 0b01
OCCURRENCES_UNKNOWN: Final = 0x7F
FILLING: Final = frozenset({bytes(FAULT_BYTES), b"\xff" * FAULT_BYTES})
SYSTEMS: Final[Mapping[int, str]] = {
    # Preferred addresses of SAE J1939 tables B2 and B3.
    0x00: "engine",
    0x01: "engine-2",
    0x03: "transmission",
    0x0B: "brakes",
    0x0F: "retarder",
    0x13: "steering",
    0x17: "instruments",
    0x19: "climate",
    0x1E: "electrical",
    0x21: "body",
    0x27: "management",
    0x2F: "suspension",
    0x30: "pneumatics",
    0x31: "cab",
    0x33: "tyres",
    0x3D: "exhaust",
    0x42: "ramp",
    0xEC: "doors",
    0xEE: "tachograph",
}


def read_faults(
    pgn: int, source: int, time_us: int, data: bytes, counts: Counter[str]
) -> Snapshot | None:
    """Reads a DM1 or DM2; None where it is too short.

    Args:
        pgn: Which of the two.
        source: Address of the unit.
        time_us: When it was heard.
        data: Whole message.
        counts: What was passed over, by reason.
    """
    if len(data) < 2 + FAULT_BYTES:
        counts["short-payload"] += 1
        return None
    faults = [data[at : at + FAULT_BYTES] for at in range(2, len(data) - 3, FAULT_BYTES)]
    codes = [_text(fault) for fault in faults if fault not in FILLING]
    if len(codes) > CODES_MAX:
        counts["j1939-faults-cut"] += len(codes) - CODES_MAX
    return {
        **_told_by(source, time_us, "dtc"),
        "system": SYSTEMS.get(source, "unit"),
        "status": STATUSES[pgn],
        "codes": codes[:CODES_MAX],
        "lamps": [name for shift, name in LAMPS if data[0] >> shift & 3 == ON],
    }


def read_identity(source: int, time_us: int, data: bytes, counts: Counter[str]) -> Snapshot | None:
    """Reads a VI; None where it holds no vehicle identification number.

    Args:
        source: Address of the unit.
        time_us: When it was heard.
        data: Whole message.
        counts: What was passed over, by reason.
    """
    hashed = vin_hash(data.partition(b"*")[0])
    if hashed is None:
        counts["j1939-no-vin"] += 1
        return None
    return {**_told_by(source, time_us, "vehicle-identity"), "vin_hash": hashed}


def _told_by(source: int, time_us: int, kind: str) -> dict[str, Any]:
    return {"kind": kind, "at_us": time_us, "ecu": f"{source:02X}", "standard": "j1939"}


def _text(fault: bytes) -> str:
    spn = fault[0] | fault[1] << 8 | (fault[2] & 0xE0) << 11
    occurrences = fault[3] & 0x7F
    text = f"SPN {spn} FMI {fault[2] & 0x1F}"
    if occurrences != OCCURRENCES_UNKNOWN:
        text += f" OC {occurrences}"
    return text + " CM 1" if fault[3] & 0x80 else text
