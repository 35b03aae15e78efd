"""Which device may send telemetry now, and under which key; asked for every message.

Place in the flow: registry → **devices** → ingest.

* What was read is believed for `FRESH_US`: a device that was retired is heard no longer than that.
* Only active devices are heard; a quarantined one keeps its messages until a person has looked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backend_sync.core.registry import DEVICE, find_device

if TYPE_CHECKING:
    from backend_sync.core.database import Pool
    from edge.ports import Clock

FRESH_US: Final = 2_000_000
DEVICES_MAX: Final = 100_000


class DeviceKeys:
    """Looks up the public keys of devices.

    Args:
        pool: Connections to a prepared database.
        clock: Says how old an answer is.
    """

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._read: dict[str, tuple[int, bytes | None]] = {}

    def __call__(self, device: str) -> bytes | None:
        """Returns the public key of an active device (SEC1, 65 bytes), else None.

        Raises:
            psycopg.OperationalError: The database is away.
        """
        now_us = self._clock.now().monotonic_us
        read_us, key = self._read.get(device, (-FRESH_US, None))
        if 0 <= now_us - read_us < FRESH_US:
            return key
        if len(self._read) >= DEVICES_MAX:
            self._read.clear()
        key = self._find(device)
        self._read[device] = (now_us, key)
        return key

    def _find(self, device: str) -> bytes | None:
        if DEVICE.fullmatch(device) is None:
            return None
        with self._pool.connection() as connection:
            found = find_device(connection, device)
        return found.public_key if found is not None and found.state == "active" else None
