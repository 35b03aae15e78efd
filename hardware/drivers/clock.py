"""The door to clocks and randomness: everything else is given what it needs from here.

Place in the flow: a `__main__` chooses these; all else takes `edge.ports.Clock` and `Randomness`.

* The boot id is the kernel's, so that monotonic times of two processes of one boot compare.
* Where the kernel has none (a container without /proc), each process counts as a boot of its own.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from edge.ports import Instant

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
BOOT_DIGITS = 16
NS_PER_US = 1_000


class SystemClock:
    """The machine's own clocks; fulfils `edge.ports.Clock`."""

    def __init__(self, boot_id_path: Path = BOOT_ID) -> None:
        self._boot_id = _read_boot_id(boot_id_path)

    def now(self) -> Instant:
        """Returns the present instant."""
        wall_us = time.time_ns() // NS_PER_US
        monotonic_us = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // NS_PER_US
        return Instant(wall_us, self._boot_id, monotonic_us)


class SystemRandomness:
    """The kernel's entropy source; fulfils `edge.ports.Randomness`."""

    def token(self, count: int) -> bytes:
        """Returns `count` unpredictable bytes."""
        return secrets.token_bytes(count)


def _read_boot_id(path: Path) -> str:
    try:
        digits = path.read_text(encoding="ascii").strip().replace("-", "")[:BOOT_DIGITS]
    except (OSError, UnicodeDecodeError):
        digits = ""
    if len(digits) == BOOT_DIGITS and set(digits) <= set("0123456789abcdef"):
        return digits
    return secrets.token_hex(BOOT_DIGITS // 2)
