"""Time that passes faster, for the box alone.

Place in the flow: the machine's clock → **clock** → child → the box's composition.

* Wall clock and monotonic clock run from one common instant on, so that a box which was killed and
  starts again goes on in the same hour, later.
"""

from __future__ import annotations

from edge.ports import Instant
from hardware.drivers.clock import SystemClock


class FastClock:
    """Runs `factor` times as fast as the machine's; fulfils `edge.ports.Clock`.

    Args:
        since: The instant, of the machine, at which both showed the same.
        factor: How many times as fast.
    """

    def __init__(self, since: Instant, factor: int) -> None:
        self._since = since
        self._factor = factor
        self._machine = SystemClock()

    def now(self) -> Instant:
        """Returns the present instant."""
        now = self._machine.now()
        ran_us = (now.monotonic_us - self._since.monotonic_us) * self._factor
        return Instant(self._since.wall_us + ran_us, now.boot_id, self._since.monotonic_us + ran_us)


def write_since(since: Instant) -> str:
    """Returns an instant as an argument of a command line."""
    return f"{since.wall_us}:{since.boot_id}:{since.monotonic_us}"


def read_since(text: str) -> Instant:
    """Reads what `write_since` returned."""
    wall_us, boot_id, monotonic_us = text.split(":")
    return Instant(int(wall_us), boot_id, int(monotonic_us))
