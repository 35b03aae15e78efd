"""The 29-bit ids of J1939: what is said, by whom, to whom.

Place in the flow: `FrameChunk.ids` → **j1939_ids** → j1939 and what stands beside it.

    bit   28..26    25 24      23..16       15..8                       7..0       SAE J1939-21
          priority  EDP, DP    PDU format   PDU specific                source     clause 5.2
    PDU1  format < 240: the specific byte is the address it is sent to, no part of the PGN
    PDU2  format >= 240: it is sent to all, and the specific byte is part of the PGN

* The priority is nobody's identity: a message is known by its PGN and its source address.
* Names of PGNs that the protocol itself needs; all others are data (DBC files).
"""

from __future__ import annotations

from typing import Final

from edge.ports import EXTENDED_ID

PDU2_FORMAT: Final = 240
GLOBAL: Final = 0xFF
"""Destination of what is sent to all."""

TRANSFER: Final = 0xEB00  # TP.DT, 60160
CONNECTION: Final = 0xEC00  # TP.CM, 60416
ADDRESS_CLAIM: Final = 0xEE00  # 60928
IDENTITY: Final = 0xFEEC  # VI, 65260
ACTIVE_FAULTS: Final = 0xFECA  # DM1, 65226
FORMER_FAULTS: Final = 0xFECB  # DM2, 65227


def is_extended(can_id: int) -> bool:
    """Tells whether an id of a chunk has 29 bits."""
    return bool(can_id & EXTENDED_ID)


def pgn_of(can_id: int) -> int:
    """Returns the number of the parameter group, priority and addresses left out."""
    pgn = can_id >> 8 & 0x3FFFF
    return pgn if pgn >> 8 & 0xFF >= PDU2_FORMAT else pgn & 0x3FF00


def source_of(can_id: int) -> int:
    """Returns the address of the sender."""
    return can_id & 0xFF


def destination_of(can_id: int) -> int:
    """Returns the address it is sent to, `GLOBAL` for all."""
    return GLOBAL if can_id >> 16 & 0xFF >= PDU2_FORMAT else can_id >> 8 & 0xFF
