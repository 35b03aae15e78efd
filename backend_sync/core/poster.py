"""Keeps posting: the process around `post`.

Place in the flow: accept → NOTIFY → **poster** → post.

* A notification wakes it; a short poll makes up for one that was lost.
* A database that is away is waited for. Any number of posters may run at once.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import psycopg

from backend_sync.core.accept import POST_CHANNEL
from backend_sync.core.database import connect
from backend_sync.core.post import post_queued
from edge.errors import DeviceFault

if TYPE_CHECKING:
    from threading import Event

    from backend_sync.core.database import Connection
    from edge.ports import Clock

POLL_S: Final = 0.5
RETRY_S: Final = 1.0
RETRIED: Final = (
    psycopg.OperationalError,
    psycopg.errors.UniqueViolation,
    psycopg.errors.DeadlockDetected,
)

log = logging.getLogger(__name__)


def keep_posting(dsn: str, clock: Clock, stop: Event) -> None:
    """Posts whatever is accepted until `stop` is set; then ends between two batches."""
    while not stop.is_set():
        try:
            with connect(dsn) as connection:
                connection.execute(f"LISTEN {POST_CHANNEL}".encode())
                _post_until(connection, clock, stop)
        except (*RETRIED, DeviceFault) as error:
            log.warning("posting waits, trying again: %s", error)
            stop.wait(RETRY_S)


def _post_until(connection: Connection, clock: Clock, stop: Event) -> None:
    while not stop.is_set():
        if post_queued(connection, clock.now().wall_us) == 0:
            for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                break
