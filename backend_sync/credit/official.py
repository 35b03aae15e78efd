"""A grade goes down to the driver: signed by the core, sealed to the boxes where they agreed.

Place in the flow: decide → **official** → words (telemetry) → the box → the driver's own screen.

* Only a grade that was decided under a live consent goes down, and only to gateways at which this
  driver gave one; a box that was retired is told nothing.
* It carries the exact bytes of the points table: the box grades the present day by it (ADR 20).
* `seq` is when it was decided: a box takes no older one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from backend_sync.core.registry import find_device
from backend_sync.telemetry.words import Word, about_person, forget_people, keep_word
from edge.drivers import GRADE_TYPE, Grade, sign_grade

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend_sync.core.database import Connection
    from edge.ports import Signer

ACTIVE: Final = "active"


def publish_grade(
    connection: Connection, signer: Signer, record: Mapping[str, Any], table: bytes
) -> list[str]:
    """Keeps a decided grade to be told to the driver's boxes.

    Args:
        connection: Outside of a transaction.
        signer: The core, kid "core".
        record: Of `decide_driver`.
        table: The exact bytes of the points table that it was decided by.

    Returns:
        Which boxes are told; none without a consent, and then what was kept for them is deleted.
    """
    subject, as_of_us = str(record["subject"]), int(record["as_of_us"])
    if record["consent"] is None:
        with connection.transaction():
            forget_people(connection, [subject])
        return []
    grade = Grade(
        subject=subject,
        as_of_us=as_of_us,
        grade=str(record["grade"]),
        score=int(record["score"]),
        features=dict(record["inputs"]),
        table=table.decode("utf-8"),
    )
    told = []
    for device, public in _boxes_of(connection, subject):
        message = sign_grade(signer, (device, public), grade, as_of_us)
        word = Word(device, GRADE_TYPE, about_person(subject), as_of_us, message)
        if keep_word(connection, word):
            told.append(device)
    return told


def _boxes_of(connection: Connection, subject: str) -> list[tuple[str, bytes]]:
    """Gateways at which a driver has ever agreed, with their public keys."""
    with connection.transaction():
        rows = connection.execute(
            "SELECT DISTINCT device FROM telemetry_consents"
            " WHERE subject = %s AND NOT withdrawn ORDER BY device",
            [subject],
        ).fetchall()
        found = [find_device(connection, device) for (device,) in rows]
    return [(each.device, each.public_key) for each in found if each and each.state == ACTIVE]
