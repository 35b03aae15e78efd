"""Answers a device's downlink request: pages, when to call again, leases that may end.

Place in the flow: api → **contact** → leases (release), downlink → api.

* The request is signed and says where the journal stands: that is what releases expired leases.
* It says what the device's counter stands at, too. A journal that is older than its counter is an
  old copy, and a counter behind its journal was replaced: the device is quarantined, and told so.
* Place and counter are judged as they were signed together, so an old request says nothing new.
* A device whose entries still wait for the poster is asked to call again at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backend_sync.core.accept import authenticate
from backend_sync.core.downlink import read_pages
from backend_sync.core.exceptions import Raised, raise_exceptions
from backend_sync.core.leases import release_expired
from backend_sync.messages import UNREADABLE, Pages, open_request
from backend_sync.protocol import doubt_counter
from edge.entry import decode_entry
from edge.errors import PeerError
from edge.keys import verifier

if TYPE_CHECKING:
    from backend_sync.core.database import Connection
    from backend_sync.messages import Request

SOON_S: Final = 1
ROLLBACK: Final = "rollback"
FORK: Final = "fork"

NEAREST: Final = """
    (SELECT seq, hash, entry FROM journal_entries
     WHERE device = %(device)s AND epoch = %(epoch)s AND seq <= %(seq)s ORDER BY seq DESC LIMIT 1)
    UNION ALL
    (SELECT seq, hash, entry FROM journal_entries
     WHERE device = %(device)s AND epoch = %(epoch)s AND seq > %(seq)s ORDER BY seq LIMIT 1)
    LIMIT 1"""
"""The last entry up to a place, or the first of all."""


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
    halt = _judge(connection, request, now_us)
    if halt != ROLLBACK:
        release_expired(connection, request, now_us)
    connection.execute("UPDATE devices SET contact_us = %s WHERE device = %s", [now_us, device])
    waits = _waits(connection, device)
    pages, more = read_pages(connection, device, request.cursors, now_us)
    return Pages(pages, request.nonce, now_us, SOON_S if waits else next_contact_s, more, halt)


def _judge(connection: Connection, request: Request, now_us: int) -> str:
    """Quarantines a device whose journal and counter disagree; returns why it must halt, if so."""
    device = [request.device]
    with connection.transaction():
        # The row that accept locks too: no entry arrives between the journal and the judgement.
        connection.execute("SELECT FROM devices WHERE device = %s FOR NO KEY UPDATE", device)
        doubt = _doubt(connection, request)
        if doubt:
            at = request.journal
            subject = f"{request.device}/{at.epoch}/{at.seq}/{request.counter}"
            raise_exceptions(connection, [Raised(ROLLBACK, subject, request.device, doubt)], now_us)
            connection.execute(
                "UPDATE devices SET state = 'quarantined', state_reason = %s "
                "WHERE device = %s AND state = 'active'",
                [ROLLBACK, request.device],
            )
        found = connection.execute(
            "SELECT state_reason FROM devices WHERE device = %s AND state = 'quarantined'", device
        ).fetchone()
    if found is None:
        return ""
    return ROLLBACK if found[0] == ROLLBACK else FORK


def _doubt(connection: Connection, request: Request) -> str:
    """Compares counter and journal of a request with the entries that are stored."""
    at = request.journal
    row = connection.execute(
        "SELECT max(epoch), max(counter) FROM journal_heads WHERE device = %s", [request.device]
    ).fetchone()
    newest, highest = (row[0] or 0, row[1] or 0) if row else (0, 0)
    if at == UNREADABLE:
        return ""
    if at.epoch > newest:
        # Nothing of this epoch is here. Whatever it holds, the counter has not fallen.
        return doubt_counter(min(request.counter, highest), highest, 0)
    near = connection.execute(
        NEAREST, {"device": request.device, "epoch": at.epoch, "seq": at.seq}
    ).fetchone()
    if near is None or (at.seq > near[0] and at.epoch < newest):
        return ""
    if at.seq == near[0] and at.head != bytes(near[1]):
        return ""
    return doubt_counter(request.counter, _counted(bytes(near[2])), at.seq - int(near[0]))


def _counted(entry: bytes) -> int:
    """Returns the counter of a stored entry; 0 when it says nothing that we understand."""
    try:
        return max(0, int(decode_entry(entry)["counter"]))
    except PeerError:
        return 0


def _waits(connection: Connection, device: str) -> bool:
    found = connection.execute(
        "SELECT FROM post_queue JOIN journal_entries USING (op_id) WHERE device = %s LIMIT 1",
        [device],
    ).fetchone()
    return found is not None
