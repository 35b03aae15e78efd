"""Claims about a grade on its way down: to the driver's boxes alone, and only while they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from backend_sync.core.keypairs import KeyFolder
from backend_sync.credit.decide import decide_driver
from backend_sync.credit.official import publish_grade
from backend_sync.telemetry.lake import flush
from backend_sync.telemetry.store import take_in
from backend_sync.telemetry.words import due_words
from edge.drivers import open_grade
from edge.keys import FileIdentity, verifier
from edge.points import read_table, score_of, shipped_document
from tests.unit.backend_sync.telemetry.box import ORG, START_US, Core

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
KNOWN_US = START_US + 3_600_000_000
TABLE = shipped_document()


class Bank:
    """A core, the boxes where driver-1 drives, and one where somebody else does."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        pairs = KeyFolder(folder / "keys")
        pairs.create()
        self.connection, self.lake = connection, folder / "lake"
        self.core = Core(FileIdentity.create(folder / "core.pem", "core"), pairs)
        self.identities = {
            name: FileIdentity.create(folder / f"{name}.pem", name)
            for name in ("box-1", "box-2", "box-3")
        }
        boxes = [self.core.register(connection, each) for each in self.identities.values()]
        self.first, *_ = boxes
        said = [
            each
            for box, subject in zip(boxes, ("driver-1", "driver-1", "driver-9"), strict=True)
            for each in (box.start(), box.consent(given_us=START_US, subject=subject))
        ]
        ended = boxes[2].consent(given_us=START_US - 1, withdrawn=True)  # where they never agreed
        self.say(*said, ended, *self.first.drive(30)[1:])
        flush(connection, self.core.ring(), self.lake)

    def say(self, *messages: tuple[str, bytes]) -> None:
        take_in(self.connection, self.core.ingest(), ORG, messages, KNOWN_US)

    def publish(self, as_of_us: int = KNOWN_US + 1) -> list[str]:
        table = read_table(TABLE)
        record = decide_driver(self.connection, self.lake, table, "driver-1", as_of_us)
        return publish_grade(self.connection, self.core.signer, record, TABLE)


@pytest.fixture
def bank(connection: Connection, tmp_path: Path) -> Bank:
    return Bank(connection, tmp_path)


def test_a_grade_goes_to_each_box_where_the_driver_agreed_and_reads_there(bank: Bank) -> None:
    assert bank.publish() == ["box-1", "box-2"]
    words = due_words(bank.connection, KNOWN_US)
    verify = verifier(bank.core.signer.public_bytes)
    for word in words:
        seq, grade = open_grade(word.message, verify, bank.identities[word.device])
        assert (seq, grade.as_of_us, grade.subject) == (KNOWN_US + 1, KNOWN_US + 1, "driver-1")
        scored = score_of(read_table(grade.table.encode()), grade.features)
        assert (scored.grade, scored.score) == (grade.grade, grade.score)
        assert grade.features["km"] == pytest.approx(298 / 3600 * 36)
    assert [word.device for word in words] == ["box-1", "box-2"]


def test_the_database_keeps_no_name_beside_the_word(bank: Bank) -> None:
    bank.publish()
    rows = bank.connection.execute("SELECT device, kind, about, message FROM telemetry_words")
    assert "driver-1" not in str(rows.fetchall())


def test_a_grade_of_the_past_never_replaces_a_newer_one(bank: Bank) -> None:
    bank.publish(KNOWN_US + 10)
    assert bank.publish(KNOWN_US + 5) == []


def test_without_a_consent_nothing_goes_down_and_what_was_to_go_is_deleted(bank: Bank) -> None:
    bank.publish()
    bank.first.epoch = 1
    bank.say(bank.first.consent(given_us=KNOWN_US + 2, withdrawn=True))
    assert bank.publish(KNOWN_US + 3) == []
    assert due_words(bank.connection, KNOWN_US) == []
