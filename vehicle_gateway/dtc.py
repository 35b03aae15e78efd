"""Fault codes as people write them, and what may be said of a vehicle's number.

Place in the flow: bytes of an answer → **dtc** → `uds`, `obd` (snapshots) → replay (texts).

    two bytes    P0123       2 bits of system, 2 bits and 3 digits      ISO 15031-6, SAE J2012
    three bytes  P0123-1C    the third says how the part failed (failure type byte)

* A vehicle's number (VIN) leaves the box as a hash only. Who knows the number can compare; the
  loan's contract names it. Its fourteen free places are no secret to somebody who tries them all.
* Texts are for people on the spot; what is sent and stored is the code.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEMS: Final = "PCBU"
VIN_LENGTH: Final = 17
RECORDS_AT, RECORD_BYTES = 3, 4
# ISO 14229-1 annex D: bits of a fault code's status.
PENDING, CONFIRMED, WARNING = 0x04, 0x08, 0x80
VIN_LETTERS: Final = frozenset(b"ABCDEFGHJKLMNPRSTUVWXYZ0123456789")  # ISO 3779: no I, O, Q

# ISO 15031-6 clause 6: the first digits of a code say where the fault is.
AREAS: Final[Mapping[str, str]] = {
    "P00": "fuel, air and emission control",
    "P01": "fuel and air metering",
    "P02": "fuel and air metering, injectors",
    "P03": "ignition or misfire",
    "P04": "auxiliary emission control",
    "P05": "vehicle speed, idle control, auxiliary inputs",
    "P06": "control unit and its outputs",
    "P07": "transmission",
    "P08": "transmission",
    "P09": "transmission",
    "P0A": "hybrid or electric drive",
    "P0B": "hybrid or electric drive",
    "P0C": "hybrid or electric drive",
    "P2": "powertrain",
    "P34": "powertrain, cylinder deactivation",
    "P": "powertrain, by the maker",
    "C0": "chassis",
    "C": "chassis, by the maker",
    "B0": "body",
    "B": "body, by the maker",
    "U0": "network between control units",
    "U3": "network and software",
    "U": "network, by the maker",
}
# ISO 15031-6 / SAE J2012-DA annex: the failure type byte.
FAILURES: Final[Mapping[int, str]] = {
    0x11: "circuit short to ground",
    0x12: "circuit short to battery",
    0x13: "circuit open",
    0x14: "circuit short to ground or open",
    0x15: "circuit short to battery or open",
    0x16: "circuit voltage below threshold",
    0x17: "circuit voltage above threshold",
    0x18: "circuit current below threshold",
    0x19: "circuit current above threshold",
    0x1A: "circuit resistance below threshold",
    0x1B: "circuit resistance above threshold",
    0x1C: "circuit voltage out of range",
    0x1F: "circuit intermittent",
    0x21: "signal amplitude too small",
    0x22: "signal amplitude too large",
    0x23: "signal stuck low",
    0x24: "signal stuck high",
    0x29: "signal invalid",
    0x2F: "signal erratic",
    0x31: "no signal",
    0x38: "signal frequency incorrect",
    0x41: "general checksum failure",
    0x44: "data memory failure",
    0x45: "program memory failure",
    0x46: "calibration memory failure",
    0x47: "watchdog or safety processor failure",
    0x49: "internal electronic failure",
    0x4A: "incorrect component installed",
    0x4B: "over temperature",
    0x51: "not programmed",
    0x54: "missing calibration",
    0x55: "not configured",
    0x62: "signal compare failure",
    0x64: "signal plausibility failure",
    0x71: "actuator stuck",
    0x72: "actuator stuck open",
    0x73: "actuator stuck closed",
    0x77: "commanded position not reachable",
    0x81: "invalid serial data received",
    0x82: "alive counter incorrect or not updated",
    0x83: "signal protection value incorrect",
    0x86: "signal invalid",
    0x87: "missing message",
    0x88: "bus off",
    0x92: "performance or incorrect operation",
    0x96: "component internal failure",
    0x97: "component obstructed or blocked",
    0x98: "component over temperature",
}


def code_text(code: bytes) -> str:
    """Writes a fault code of two or three bytes as it is printed in a manual.

    Args:
        code: As in the answer; two zero bytes are no code and the caller's to leave out.
    """
    first, second = code[0], code[1]
    text = f"{SYSTEMS[first >> 6]}{first >> 4 & 3}{first & 0xF:X}{second:02X}"
    return f"{text}-{code[2]:02X}" if len(code) > 2 else text


def codes_by_status(answer: bytes) -> dict[str, list[str]] | None:
    """Reads an answer 59 02 or 59 0A of UDS (ISO 14229-1 clause 12.3).

    Returns:
        `stored` (confirmed) and `pending` (not confirmed) with their codes, and `lamps`: `mil`
        where a code asks for it; None where the answer ends in the middle of a code.
    """
    if len(answer) < RECORDS_AT or (len(answer) - RECORDS_AT) % RECORD_BYTES:
        return None
    records = [
        (code_text(answer[at : at + 3]), answer[at + 3])
        for at in range(RECORDS_AT, len(answer), RECORD_BYTES)
    ]
    either = PENDING | CONFIRMED
    return {
        "stored": [code for code, status in records if status & CONFIRMED],
        "pending": [code for code, status in records if status & either == PENDING],
        "lamps": ["mil"] if any(status & WARNING for _, status in records) else [],
    }


def describe(code: str) -> str:
    """Says in English where the fault of a code is and, where it tells, how the part failed."""
    base, _, failure = code.partition("-")
    area = next((AREAS[base[:n]] for n in (3, 2, 1) if base[:n] in AREAS), "unknown system")
    how = FAILURES.get(int(failure, 16), "") if failure else ""
    return f"{area}: {how}" if how else area


def vin_hash(vin: bytes) -> str | None:
    """Hashes a vehicle identification number (ISO 3779); None where the bytes are none.

    Args:
        vin: As in the answer, with or without padding around it.
    """
    number = vin.strip(b"\0\xff \xaa\x55")
    if len(number) != VIN_LENGTH or not VIN_LETTERS.issuperset(number):
        return None
    return hashlib.sha256(b"lastmile vin " + number).hexdigest()
