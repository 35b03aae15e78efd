"""Claims about a decision on stored data: consent first, then the lake, then a kept record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from backend_sync.core.keypairs import KeyFolder
from backend_sync.credit.decide import decide_driver, replay_stored
from backend_sync.telemetry.lake import flush
from backend_sync.telemetry.store import take_in
from edge.errors import LocalError
from edge.keys import FileIdentity
from edge.points import UNRATED, shipped_table
from tests.unit.backend_sync.telemetry.box import ORG, START_US, Core

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
KNOWN_US = START_US + 3_600_000_000
GRADED_US = KNOWN_US + 1
WITHDRAWN_US = GRADED_US + 1_000


@pytest.fixture
def lake(connection: Connection, tmp_path: Path) -> Path:
    """A lake with five minutes of driver-1, who consented, and later withdrew."""
    pairs = KeyFolder(tmp_path / "keys")
    pairs.create()
    core = Core(FileIdentity.create(tmp_path / "core.pem", "core"), pairs)
    box = core.register(connection, FileIdentity.create(tmp_path / "box.pem", "box-1"))
    said = [box.consent(given_us=START_US), box.consent(given_us=WITHDRAWN_US, withdrawn=True)]
    take_in(connection, core.ingest(), ORG, [*said, *box.drive(30)], KNOWN_US)
    flush(connection, core.ring(), tmp_path / "lake")
    return tmp_path / "lake"


def decide(connection: Connection, lake: Path, as_of_us: int, who: str = "driver-1") -> Any:
    return decide_driver(connection, lake, shipped_table(), who, as_of_us)


def test_a_driver_who_consented_is_graded_on_what_the_lake_holds(
    connection: Connection, lake: Path
) -> None:
    record = decide(connection, lake, GRADED_US)
    assert record["grade"] in {"A", "B", "C", "D", "E"}
    assert record["inputs"]["km"] == pytest.approx(298 / 3600 * 36)
    assert record["base"] + sum(r["points"] for r in record["reasons"]) == record["score"]


def test_withdrawal_stops_the_use_at_once_and_does_not_undo_the_past(
    connection: Connection, lake: Path
) -> None:
    record = decide(connection, lake, WITHDRAWN_US)
    assert record["grade"] == UNRATED
    assert set(record["inputs"].values()) == {None}
    assert decide(connection, lake, WITHDRAWN_US - 1)["grade"] != UNRATED


def test_nobody_who_never_consented_is_graded(connection: Connection, lake: Path) -> None:
    assert decide(connection, lake, GRADED_US, "driver-2")["grade"] == UNRATED


def test_without_consent_the_lake_is_not_opened(connection: Connection, tmp_path: Path) -> None:
    broken = tmp_path / "samples" / "day=2023-11-14"
    broken.mkdir(parents=True)
    (broken / "flush.parquet").write_bytes(b"no parquet")
    assert decide(connection, tmp_path, GRADED_US)["grade"] == UNRATED


def test_a_decision_is_stored_once_and_replays(connection: Connection, lake: Path) -> None:
    first = decide(connection, lake, GRADED_US)
    assert decide(connection, lake, GRADED_US) == first
    assert connection.execute("SELECT count(*) FROM credit_decisions").fetchone() == (1,)
    again = replay_stored(connection, first["decision_id"], shipped_table())
    assert {**again, "decision_id": first["decision_id"]} == first


def test_a_decision_nobody_made_is_said_to_be_unknown(connection: Connection) -> None:
    with pytest.raises(LocalError, match="no decision"):
        replay_stored(connection, "00" * 32, shipped_table())
