"""The PIN pad's word: whether a withdrawal was the customer's own.

Place in the flow: journal entry, lease → **pins** → post.

The pad opens the verifier that travels inside the lease, compares, and signs its answer:

    {type: "pin-answer", ok, lease, pad, counter, amount_fen, verifier: SHA-256 of what it opened}

* The answer must be by the pad of that kiosk, for this lease and this amount.
* It must name the very verifier that the core sealed into the lease: a kiosk can seal a verifier of
  its own to the pad, since HPKE's base mode authenticates nobody, but its hash betrays it.
* One answer pays once, whatever a kiosk writes into its journal.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from edge.codec import decode
from edge.errors import PeerError
from edge.keys import open_evidence, verifier
from edge.purposes import PIN_ANSWER_TOPIC, answer_id
from edge.seal import read_sign1

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from backend_sync.core.database import Connection
    from backend_sync.core.leases import LeaseState, Withdrawal

WRONG: Final = "pin-answer"
SPENT: Final = "pin-answer-spent"


def judge_answer(
    pad: str | None, pad_key: bytes | None, claim: Withdrawal, lease: LeaseState
) -> str:
    """Says why an answer does not speak for a withdrawal; an empty text when it does.

    Args:
        pad: The pad that is registered for the kiosk, or None.
        pad_key: Its public signing key.
        claim: The withdrawal with the answer's bytes.
        lease: The lease that it spends.
    """
    if pad is None or pad_key is None:
        return WRONG
    try:
        said = open_evidence(claim.pin_answer, verifier(pad_key), PIN_ANSWER_TOPIC, pad)
    except PeerError:
        return WRONG
    expected = {
        "type": "pin-answer",
        "ok": True,
        "lease": claim.lease,
        "pad": pad,
        "amount_fen": claim.amount_fen,
        "verifier": verifier_digest(lease.document),
    }
    given = {name: said.get(name) for name in expected}
    return "" if given == expected and said["ok"] is True else WRONG


def verifier_digest(document: bytes) -> bytes:
    """Returns SHA-256 of the sealed verifier inside a lease document of our own."""
    record: dict[str, Any] = decode(read_sign1(document)[1])
    return hashlib.sha256(record["pin_verifier"]).digest()


def claimed_answer(answer: bytes) -> bytes:
    """Returns the id of what an entry shows as its PIN answer, whatever bytes these are."""
    try:
        return answer_id(answer)
    except PeerError:
        return hashlib.sha256(answer).digest()


def spent_answers(connection: Connection, answers: Collection[bytes]) -> set[bytes]:
    """Returns which answers, by id, have paid before.

    The caller holds the locks of their leases, and an answer is good for one lease alone: nobody
    else can spend one of them meanwhile.
    """
    rows = connection.execute(
        "SELECT answer FROM pin_answers WHERE answer = ANY (%s)", [list(answers)]
    ).fetchall()
    return {bytes(answer) for (answer,) in rows}


def note_answers(connection: Connection, spent: Mapping[bytes, UUID]) -> None:
    """Keeps answers, by id, with the operation that each has paid for."""
    if spent:
        connection.execute(
            "INSERT INTO pin_answers (answer, op_id) SELECT * FROM unnest(%s::bytea[], %s::uuid[])",
            [list(spent), list(spent.values())],
        )
