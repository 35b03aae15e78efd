"""What the core has to tell its devices: kept first, handed to the broker until it should be known.

Place in the flow: grades, rosters → **words** → consumer → broker → the device's down topic.

* A word replaces the one of the same kind about the same thing; a device takes no older one, so
  that telling twice, or late, is harmless.
* It is told at once, and again each day for a week: a box may be away for days, and a broker
  forgets. There is no answer to it; what a device does with it is its own.
* Words are signed, and sealed where they name a person; `about` is a hash then.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from backend_sync.core.database import Connection

AGAIN_US: Final = 86_400_000_000
TIMES_MAX: Final = 7
WORDS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Word:
    """One signed message to one device.

    Attributes:
        kind: Its `type`.
        about: What it replaces the last word about; "" where a device has one of the kind.
        seq: Its number; a lower one never replaces a higher.
    """

    device: str
    kind: str
    about: str
    seq: int
    message: bytes


def about_person(subject: str) -> str:
    """Returns what stands for a pseudonym in `Word.about`."""
    return hashlib.sha256(subject.encode()).hexdigest()


def keep_word(connection: Connection, word: Word) -> bool:
    """Keeps a word to be told; returns False where a newer one stands.

    Args:
        connection: Durable when the caller's transaction, or this call without one, has ended.
        word: What to tell.
    """
    with connection.transaction():
        row = connection.execute(
            "INSERT INTO telemetry_words (device, kind, about, seq, message)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (device, kind, about) DO UPDATE"
            " SET seq = excluded.seq, message = excluded.message, told_us = NULL, times = 0"
            " WHERE telemetry_words.seq < excluded.seq RETURNING 1",
            [word.device, word.kind, word.about, word.seq, word.message],
        ).fetchone()
    return row is not None


def due_words(connection: Connection, now_us: int) -> list[Word]:
    """Returns what is to be told now, new words first."""
    with connection.transaction():
        rows = connection.execute(
            "SELECT device, kind, about, seq, message FROM telemetry_words"
            " WHERE told_us IS NULL OR (times < %s AND told_us <= %s)"
            " ORDER BY told_us NULLS FIRST, device, kind, about LIMIT %s",
            [TIMES_MAX, now_us - AGAIN_US, WORDS_MAX],
        ).fetchall()
    return [Word(who, kind, key, seq, bytes(said)) for who, kind, key, seq, said in rows]


def note_told(connection: Connection, words: Iterable[Word], now_us: int) -> None:
    """Notes that words were handed to the broker; one that was replaced meanwhile stays due."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE telemetry_words SET told_us = %s, times = times + 1"
            " WHERE (device, kind, about, seq) = (%s, %s, %s, %s)",
            [(now_us, each.device, each.kind, each.about, each.seq) for each in words],
        )


def forget_people(connection: Connection, subjects: Sequence[str]) -> None:
    """Deletes words about people: they have withdrawn, or are to be forgotten."""
    if subjects:
        hashes = [about_person(each) for each in subjects]
        connection.execute("DELETE FROM telemetry_words WHERE about = ANY (%s)", [hashes])
