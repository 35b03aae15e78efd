"""Answers a device's downlink request: pages, when to call again, leases that may end.

Place in the flow: api → **contact** → leases (release), downlink → api.

* The request is signed and says where the journal stands: that is what releases expired leases.
* A device whose entries still wait for the poster is asked to call again at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backend_sync.core.accept import authenticate
from backend_sync.core.downlink import read_pages
from backend_sync.core.leases import release_expired
from backend_sync.messages import Pages, open_request
from edge.keys import verifier

if TYPE_CHECKING:
    from backend_sync.core.database import Connection

SOON_S: Final = 1


def answer_request(
    connection: Connection, device: str, message: bytes, now_us: int, next_contact_s: int
) -> Pages:
    """Reads a device's request and gathers what it does not know yet.

    Args:
        connection: Outside of a transaction.
        device: The device that the path names.
        message: The body, unverified.
        now_us: The present, microseconds UTC.
        next_contact_s: When a device with nothing under way should call again.

    Raises:
        PeerError: Unknown device, forged or malformed.
    """
    sender = authenticate(connection, device, message)
    request = open_request(message, verifier(sender.public_key), device)
    release_expired(connection, request, now_us)
    connection.execute("UPDATE devices SET contact_us = %s WHERE device = %s", [now_us, device])
    waits = _waits(connection, device)
    pages, more = read_pages(connection, device, request.cursors, now_us)
    return Pages(pages, request.nonce, now_us, SOON_S if waits else next_contact_s, more)


def _waits(connection: Connection, device: str) -> bool:
    found = connection.execute(
        "SELECT FROM post_queue JOIN journal_entries USING (op_id) WHERE device = %s LIMIT 1",
        [device],
    ).fetchone()
    return found is not None
