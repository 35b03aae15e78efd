"""Claims about seeds: given once, replaced on purpose, and their keys swept in time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backend_sync.telemetry.lake import flush
from backend_sync.telemetry.ratchets import Ratchets
from backend_sync.telemetry.report import totals
from backend_sync.telemetry.seeds import DAY_US, KEYS_RETENTION_DAYS, Seed, enrol_seed, sweep_keys
from backend_sync.telemetry.store import take_in
from edge.errors import LocalError
from tests.unit.backend_sync.telemetry.box import ORG, START_US

if TYPE_CHECKING:
    from pathlib import Path

    from backend_sync.core.database import Connection
    from tests.unit.backend_sync.telemetry.box import Box, Core, Message

FIRST = Seed("box-1", b"\x05" * 32)
AGES_US = (KEYS_RETENTION_DAYS + 1) * DAY_US
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")


def enrol(connection: Connection, core: Core, seed: Seed) -> None:
    enrol_seed(connection, Ratchets(core.secret), seed, START_US)


def take(connection: Connection, core: Core, *messages: Message) -> None:
    take_in(connection, core.ingest(), ORG, messages, START_US)


@pytest.fixture
def chip(connection: Connection, core: Core, box: Box) -> Box:
    """The box with a seed."""
    enrol(connection, core, FIRST)
    box.seed = FIRST.key
    return box


def bare_drive(chip: Box) -> list[Message]:
    start = chip.bare_start()
    return [start, chip.batch(1), chip.close(1)]


def test_a_second_seed_is_refused_and_changes_nothing(
    connection: Connection, core: Core, chip: Box
) -> None:
    with pytest.raises(LocalError, match="--replace") as refusal:
        enrol(connection, core, replace_key(FIRST))
    assert refusal.value.code == "seed-taken"
    take(connection, core, *bare_drive(chip))
    assert totals(connection)["epochs_verified"] == 1


def replace_key(seed: Seed) -> Seed:
    return seed._replace(key=b"\x06" * 32)


def test_a_seed_that_replaces_another_serves_from_its_first_epoch_on(
    connection: Connection, core: Core, chip: Box
) -> None:
    chip.next()
    take(connection, core, *bare_drive(chip))
    late = replace(chip, epoch=1, seed=FIRST.key)
    second = Seed("box-1", b"\x06" * 32, 3, replaces=True)
    enrol(connection, core, second)
    chip.epoch, chip.seed = 3, second.key
    take(connection, core, *bare_drive(chip))
    assert totals(connection)["epochs_verified"] == 2
    take(connection, core, late.bare_start())
    assert totals(connection)["rejected"] == {"epoch-gone": 1}


@pytest.mark.parametrize(
    ("seed", "code"),
    [
        (FIRST._replace(device="nobody"), "device-unknown"),
        (FIRST._replace(key=b"\x05" * 31, replaces=True), "seed-length"),
        (FIRST._replace(epoch=1, replaces=True), "seed-epoch"),
    ],
)
def test_a_seed_that_cannot_serve_is_refused(
    connection: Connection, core: Core, chip: Box, seed: Seed, code: str
) -> None:
    take(connection, core, *bare_drive(chip))
    with pytest.raises(LocalError) as refusal:
        enrol(connection, core, seed)
    assert refusal.value.code == code


def test_a_retired_device_gets_no_seed(connection: Connection, core: Core, box: Box) -> None:
    connection.execute("UPDATE devices SET state = 'retired', state_reason = 'sold'")
    with pytest.raises(LocalError, match="not registered"):
        enrol(connection, core, FIRST)
    del box


def test_keys_go_when_their_epoch_has_ended_and_is_in_the_lake(
    connection: Connection, core: Core, chip: Box, tmp_path: Path
) -> None:
    start, batch, close = bare_drive(chip)
    take(connection, core, start, batch)
    flush(connection, core.ring(), tmp_path / "lake")
    assert sweep_keys(connection, START_US) == (0, 0)
    take(connection, core, close)
    assert sweep_keys(connection, START_US) == (1, 0)
    take(connection, core, start, batch)
    assert totals(connection)["duplicates"] == 2


def test_keys_of_a_batch_that_waits_for_the_lake_stay(
    connection: Connection, core: Core, chip: Box, tmp_path: Path
) -> None:
    take(connection, core, *bare_drive(chip))
    assert sweep_keys(connection, START_US) == (0, 0)
    assert flush(connection, core.ring(), tmp_path / "lake") == 1
    assert totals(connection)["quarantined"] == 0
    assert sweep_keys(connection, START_US) == (1, 0)


def test_keys_past_their_retention_go_whatever_became_of_their_epoch(
    connection: Connection, core: Core, chip: Box
) -> None:
    chip.next()
    take(connection, core, chip.bare_start())
    assert sweep_keys(connection, START_US + KEYS_RETENTION_DAYS * DAY_US) == (0, 0)
    assert sweep_keys(connection, START_US + AGES_US) == (0, 2)
