"""A clock that counts use: how long this device has been running, over all of its boots.

Place in the flow: clock → **usage** → outbox (how old is what waits).

Theory of operation. The store keeps where the clock stood when it was last read. The next reading
adds what the monotonic clock has moved since:

    same boot                       now - then
    another boot, less than then    now                   the machine has begun from nothing
    another boot, more than then    now - then            perhaps the same boot under a random name:
                                                          the lesser of both truths

* Never wall time: a wrong clock, or one that jumps, makes nothing old.
* It may lag (time after the last reading of a boot is not counted) and never runs ahead: what is
  dropped for its age is at least as old as is said.
* It is part of the caller's transaction and rolls back with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.ports import Instant
    from edge.store import Store


class UsageClock:
    """The clock of use in one store; table `outbox_clock`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def tick(self, now: Instant) -> int:
        """Moves the clock to the present and returns it: microseconds of use."""
        row = self._store.row("SELECT boot_id, monotonic_us, used_us FROM outbox_clock")
        used_us = row["used_us"] if row else 0
        if row and now.monotonic_us >= row["monotonic_us"]:
            used_us += now.monotonic_us - row["monotonic_us"]
        elif row and now.boot_id != row["boot_id"]:
            used_us += now.monotonic_us
        self._store.execute(
            "INSERT INTO outbox_clock (id, boot_id, monotonic_us, used_us) VALUES (1, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET boot_id = excluded.boot_id, "
            "monotonic_us = excluded.monotonic_us, used_us = excluded.used_us",
            (now.boot_id, now.monotonic_us, used_us),
        )
        return int(used_us)
