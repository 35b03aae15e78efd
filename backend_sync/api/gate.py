"""The door for devices: bytes of a request in, status and signed bytes out. Knows no HTTP library.

Place in the flow: app → **gate** → accept, contact → app.

* Every answer is signed by the core, errors too: a device believes no status line.
* What a device did wrong is its error (4xx); what we cannot do now may pass (503).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg_pool import PoolTimeout

from backend_sync.core.accept import accept_frame
from backend_sync.core.contact import answer_request
from backend_sync.messages import Answer, downlink_path, journal_path, sign_answer, sign_pages
from edge.errors import LastmileError, PeerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend_sync.core.database import Connection, Pool
    from edge.ports import Clock, Signer

POOL_WAIT_S: Final = 5.0
STATUS: Final = {"received": 200, "gap": 409, "fork": 423}
ERROR_STATUS: Final = {
    "unknown-device": 403,
    "wrong-device": 403,
    "too-large": 413,
    "unavailable": 503,
    "internal": 500,
}
BAD_REQUEST: Final = 400
OK: Final = 200

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back to the device: an HTTP status and a signed body."""

    status: int
    body: bytes


class Gate:
    """Answers devices.

    Args:
        pool: Connections to a prepared database.
        signer: The core's signing identity, kid `core`.
        clock: Reads the present.
        next_contact_s: When an idle device should call again; 0 leaves it to the device.
    """

    def __init__(self, pool: Pool, signer: Signer, clock: Clock, next_contact_s: int) -> None:
        self._pool = pool
        self._signer = signer
        self._clock = clock
        self._next_contact_s = next_contact_s

    def take_journal(self, device: str, body: bytes) -> Reply:
        """Takes a journal frame."""
        path = journal_path(device)

        def work(connection: Connection) -> Reply:
            answer = accept_frame(connection, device, body, self._now_us())
            signed = sign_answer(self._signer, path, device, answer)
            return Reply(STATUS[answer.type], signed)

        return self._guard(device, path, work)

    def give_downlink(self, device: str, body: bytes) -> Reply:
        """Answers a downlink request."""

        def work(connection: Connection) -> Reply:
            pages = answer_request(connection, device, body, self._now_us(), self._next_contact_s)
            return Reply(OK, sign_pages(self._signer, device, pages))

        return self._guard(device, downlink_path(device), work)

    def refuse(self, path: str, code: str, message: str) -> Reply:
        """Signs an error for whoever asked on that path."""
        answer = Answer("error", code=code, message=message)
        status = ERROR_STATUS.get(code, BAD_REQUEST)
        return Reply(status, sign_answer(self._signer, path, "", answer))

    def ready(self) -> bool:
        """Says whether the database answers."""
        try:
            with self._pool.connection(timeout=POOL_WAIT_S) as connection:
                connection.execute("SELECT 1")
        except (psycopg.OperationalError, PoolTimeout):
            return False
        return True

    def _guard(self, device: str, path: str, work: Callable[[Connection], Reply]) -> Reply:
        """The one place that turns errors of a contact into signed answers."""
        try:
            with self._pool.connection(timeout=POOL_WAIT_S) as connection:
                return work(connection)
        except PeerError as error:
            log.warning("refused %s: %s (%s)", device, error, error.code)
            return self.refuse(path, error.code, str(error))
        except (psycopg.OperationalError, PoolTimeout) as error:
            log.warning("database away: %s", error)
            return self.refuse(path, "unavailable", "The bank is busy; try again later.")
        except LastmileError:
            log.exception("cannot answer %s", device)
            return self.refuse(path, "internal", "The bank has a fault; try again later.")

    def _now_us(self) -> int:
        return self._clock.now().wall_us
