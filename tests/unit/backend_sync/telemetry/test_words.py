"""Claims about what devices are to be told: the newest, at once, and again while it may be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backend_sync.telemetry.store import take_in
from backend_sync.telemetry.words import (
    AGAIN_US,
    TIMES_MAX,
    Word,
    about_person,
    due_words,
    forget_people,
    keep_word,
    note_told,
)
from tests.unit.backend_sync.telemetry.box import ORG, START_US, Box, Core

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[Any]


def word(seq: int, about: str = "", device: str = "box-1") -> Word:
    return Word(device, "roster", about, seq, b"signed %d" % seq)


def test_a_word_is_due_until_it_was_told(connection: Connection) -> None:
    assert keep_word(connection, word(5))
    assert due_words(connection, START_US) == [word(5)]
    note_told(connection, [word(5)], START_US)
    assert due_words(connection, START_US) == []


def test_a_newer_word_replaces_an_older_and_never_the_other_way(connection: Connection) -> None:
    keep_word(connection, word(5))
    note_told(connection, [word(5)], START_US)
    assert not keep_word(connection, word(4))
    assert not keep_word(connection, word(5))
    assert due_words(connection, START_US) == []
    assert keep_word(connection, word(6))
    note_told(connection, [word(5)], START_US)  # which was on its way meanwhile
    assert due_words(connection, START_US) == [word(6)]


def test_it_is_told_again_each_day_for_a_week(connection: Connection) -> None:
    keep_word(connection, word(1))
    told, now_us = 0, START_US
    for _ in range(20):
        words = due_words(connection, now_us)
        note_told(connection, words, now_us)
        told += len(words)
        assert due_words(connection, now_us + AGAIN_US - 1) == []
        now_us += AGAIN_US
    assert told == TIMES_MAX


def test_new_words_go_first_and_each_device_has_its_own(connection: Connection) -> None:
    keep_word(connection, word(1))
    note_told(connection, [word(1)], START_US)
    keep_word(connection, word(9, device="box-2"))
    keep_word(connection, word(3, about="someone"))
    later_us = START_US + AGAIN_US
    assert due_words(connection, later_us) == [
        word(3, about="someone"),
        word(9, device="box-2"),
        word(1),
    ]


def test_what_is_about_a_person_can_be_forgotten_and_names_nobody(connection: Connection) -> None:
    keep_word(connection, word(1, about_person("driver-1")))
    keep_word(connection, word(2, about_person("driver-2")))
    assert "driver-1" not in about_person("driver-1")
    forget_people(connection, ["driver-1"])
    assert [each.seq for each in due_words(connection, START_US)] == [2]


def test_a_withdrawal_takes_back_what_was_to_be_told_about_its_driver(
    connection: Connection, core: Core, box: Box
) -> None:
    for subject in ("driver-1", "driver-2"):
        keep_word(connection, word(1, about_person(subject)))
    said = [box.start(), box.consent(given_us=START_US, withdrawn=True)]
    take_in(connection, core.ingest(), ORG, said, START_US)
    assert [each.about for each in due_words(connection, START_US)] == [about_person("driver-2")]
