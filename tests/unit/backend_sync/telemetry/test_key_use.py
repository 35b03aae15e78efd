"""Claims about the core's HPKE keys in use: counted truly, and deleted when nobody needs them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import psycopg
import pytest

from backend_sync.core.keypairs import KeyFolder
from backend_sync.core.policies import rotate_key
from backend_sync.telemetry.key_use import Use, list_keys, retire_key, use_of
from backend_sync.telemetry.lake import flush
from backend_sync.telemetry.report import totals
from backend_sync.telemetry.store import take_in
from edge.errors import DeviceFault, LocalError
from edge.policy import hpke_id
from tests.unit.backend_sync.telemetry.box import ORG, START_US, Box, Core, Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backend_sync.core.database import Connection

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")


def take(connection: Connection, core: Core, *messages: Message) -> None:
    take_in(connection, core.ingest(), ORG, messages, START_US)


def rotate(connection: Connection, core: Core, box: Box) -> bytes:
    """Rotates; returns the id of the key before."""
    before = hpke_id(box.backend_public)
    key_id, _ = rotate_key(connection, core.issuer, core.pairs.create, START_US)
    box.backend_public, box.policy, box.epoch = core.pairs[key_id].public_bytes, 2, box.epoch + 1
    return before


def retire(connection: Connection, core: Core, key_id: bytes, *, force: bool = False) -> Use:
    return retire_key(connection, core.pairs, key_id, START_US, force=force)


def test_a_key_is_needed_until_all_of_it_has_ended_and_is_in_the_lake(
    connection: Connection, core: Core, box: Box, tmp_path: Path
) -> None:
    start, one, close = box.drive(1)
    key_id = hpke_id(box.backend_public)
    assert use_of(connection, key_id) == Use(1, 0, 0)
    take(connection, core, start, one)
    assert use_of(connection, key_id) == Use(1, 1, 1)
    take(connection, core, close)
    assert use_of(connection, key_id) == Use(1, 0, 1)
    assert rotate(connection, core, box) == key_id
    assert use_of(connection, key_id) == Use(1, 0, 1)
    take(connection, core, box.start())
    assert use_of(connection, key_id) == Use(0, 0, 1)
    with pytest.raises(LocalError, match="--force") as refusal:
        retire(connection, core, key_id)
    assert refusal.value.code == "key-needed"
    flush(connection, core.ring(), tmp_path / "lake")
    assert retire(connection, core, key_id) == Use(0, 0, 0)
    states = [line.state for line in list_keys(connection, core.pairs, START_US)]
    assert states == ["present", "retired"]
    assert key_id not in KeyFolder(tmp_path / "keys")


def test_a_device_that_is_provisioned_and_has_not_begun_needs_the_key_of_its_bundle(
    connection: Connection, core: Core, box: Box
) -> None:
    key_id = rotate(connection, core, box)
    with pytest.raises(LocalError, match="1 devices"):
        retire(connection, core, key_id)
    connection.execute("UPDATE devices SET state = 'retired', state_reason = 'sold'")
    retire(connection, core, key_id)


def test_what_was_taken_under_a_key_that_was_retired_by_force_is_lost_as_it_was_said(
    connection: Connection, core: Core, box: Box, tmp_path: Path
) -> None:
    start, one, two, _ = box.drive(2)
    take(connection, core, start, one)
    key_id = rotate(connection, core, box)
    assert retire(connection, core, key_id, force=True) == Use(1, 1, 1)
    core.pairs = KeyFolder(tmp_path / "keys")
    take(connection, core, two)
    assert totals(connection)["rejected"] == {"no-key": 1}
    flush(connection, core.ring(), tmp_path / "lake")
    assert totals(connection)["quarantined"] == 1


@pytest.mark.parametrize("force", [False, True])
def test_the_present_key_and_an_unknown_one_are_not_retired(
    connection: Connection, core: Core, box: Box, *, force: bool
) -> None:
    for key_id, code in ((hpke_id(box.backend_public), "key-present"), (bytes(8), "key-unknown")):
        with pytest.raises(LocalError) as refusal:
            retire(connection, core, key_id, force=force)
        assert refusal.value.code == code
    assert len(core.pairs) == 1


def test_a_power_cut_between_the_row_and_the_file_is_finished_by_the_next_retire(
    connection: Connection, core: Core, box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_id = rotate(connection, core, box)
    take(connection, core, box.start())

    def cut(*_: object) -> None:
        raise DeviceFault("the power is gone", "cut")

    with monkeypatch.context() as patch:
        patch.setattr(KeyFolder, "delete", cut)
        with pytest.raises(DeviceFault):
            retire(connection, core, key_id)
    assert key_id in KeyFolder(tmp_path / "keys")
    retire(connection, core, key_id)
    assert key_id not in KeyFolder(tmp_path / "keys")


def test_a_folder_that_cannot_be_written_keeps_the_key_retired_and_says_so(
    connection: Connection, core: Core, box: Box, tmp_path: Path
) -> None:
    key_id = rotate(connection, core, box)
    take(connection, core, box.start())
    assert key_id in core.pairs
    shutil.rmtree(tmp_path / "keys")
    with pytest.raises(DeviceFault, match="cannot be deleted"):
        retire(connection, core, key_id)
    row = connection.execute("SELECT retired_us FROM hpke_keys ORDER BY number").fetchone()
    assert row == (START_US,)


def test_a_key_whose_file_is_gone_is_shown_as_missing(
    connection: Connection, core: Core, box: Box, tmp_path: Path
) -> None:
    rotate(connection, core, box)
    (tmp_path / "keys" / "hpke.pem").unlink()
    states = [line.state for line in list_keys(connection, core.pairs, START_US)]
    assert states == ["present", "missing"]


def test_no_epoch_begins_under_a_key_while_it_is_retired(
    connections: Callable[[], Connection], core: Core, box: Box
) -> None:
    first, second = connections(), connections()
    start = box.start()
    key_id = rotate(first, core, box)
    second.execute("SET lock_timeout = '10ms'")
    with first.transaction():
        first.execute("UPDATE hpke_keys SET retired_us = 1 WHERE hpke_id = %s", (key_id,))
        with pytest.raises(psycopg.errors.LockNotAvailable):
            take(second, core, start)
    take(second, core, start)
    assert totals(first)["rejected"] == {"bad-wrap": 1}
