"""How much of the bus may be used, and how often everybody is asked who is there.

Place in the flow: `obd_schedule` spends from it.

* Sans-IO: time is an argument. Bits are counted at their worst, so the share is never passed.
"""

from __future__ import annotations

from typing import Final

from edge.ports import EXTENDED_ID
from vehicle_gateway.obd_pids import REQUEST_ID, REQUEST_ID_29

TIMEOUT_US: Final = 150_000
"""ISO 15765-4: a computer begins its answer within 50 ms; gateways on the way take some more."""
BUDGET_US: Final = 250_000
SEARCH_US_MAX: Final = 60_000_000
DOUBLINGS_MAX: Final = 6


class Budget:
    """Bits that may be used; a quarter of a second of them can be saved up.

    Args:
        bitrate: Of the bus, bits per second.
        load_percent: Share of it that may be used.
    """

    def __init__(self, bitrate: int, load_percent: float) -> None:
        self._bits_per_s = max(1, round(bitrate * load_percent / 100))
        self._micro_bits = self._micro_bits_max = self._bits_per_s * BUDGET_US
        self._then_us: int | None = None

    @property
    def left(self) -> bool:
        """Whether something may be sent now."""
        return self._micro_bits > 0

    def pass_time(self, now_us: int) -> None:
        """Earns what the time since the last call is worth."""
        if self._then_us is not None:
            earned = (now_us - self._then_us) * self._bits_per_s
            self._micro_bits = min(self._micro_bits + earned, self._micro_bits_max)
        self._then_us = now_us

    def spend(self, can_id: int, payload: bytes) -> None:
        """Pays for one frame."""
        self._micro_bits -= frame_bits(can_id, payload) * 1_000_000


class Search:
    """When everybody is asked who is there; a computer answers within `TIMEOUT_US`.

    Attributes:
        began: Whether anybody was asked yet.
    """

    def __init__(self) -> None:
        self._tries = 0
        self._at_us = 0
        self._until_us = 0
        self.began = False

    def under_way(self, now_us: int) -> bool:
        """Whether answers of others may still come."""
        return self.began and now_us < self._until_us

    def next_address(self, now_us: int) -> int | None:
        """Returns whom to ask now, if anybody: short ids and long ones in turn."""
        if now_us < self._at_us:
            return None
        self.began, self._until_us = True, now_us + TIMEOUT_US
        is_second = bool(self._tries % 2)
        pause_us = min(1_000_000 << min(self._tries // 2, DOUBLINGS_MAX), SEARCH_US_MAX)
        self._at_us = now_us + (pause_us if is_second else TIMEOUT_US)
        self._tries += 1
        return REQUEST_ID_29 if is_second else REQUEST_ID


def frame_bits(can_id: int, payload: bytes) -> int:
    """Returns the bits of a classic data frame on the bus, stuff bits at their worst.

    ISO 11898-1: 44 bits (64 with a long id) beside the data and 3 between frames; of the first 34
    (54) and the data every fourth may be followed by a stuff bit.
    """
    fixed, stuffed = (67, 54) if can_id & EXTENDED_ID else (47, 34)
    data = 8 * len(payload)
    return fixed + data + (stuffed + data - 1) // 4
