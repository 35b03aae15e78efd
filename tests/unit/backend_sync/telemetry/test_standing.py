"""Claims about epoch starts: judged by the policies that were issued, in the device's own order."""

from __future__ import annotations

import random  # noqa: TID251 - seeded: a failure can be repeated
from typing import TYPE_CHECKING, Any

import pytest

from backend_sync.core.policies import ensure_policy, rotate_key
from backend_sync.telemetry.report import totals
from backend_sync.telemetry.store import Taken, take_in
from edge.keys import verifier
from edge.policy import open_policy
from tests.unit.backend_sync.telemetry.box import ORG, START_US, Box, Core, Message

if TYPE_CHECKING:
    from backend_sync.core.database import Connection


def take(connection: Connection, core: Core, *messages: Message) -> Taken:
    return take_in(connection, core.ingest(), ORG, messages, START_US)


def refused(connection: Connection) -> dict[str, int]:
    found: dict[str, int] = totals(connection)["rejected"]
    return found


def issue(connection: Connection, core: Core, *algs: int) -> None:
    ensure_policy(connection, core.issuer, "box-1", algs, START_US)


def rotate(connection: Connection, core: Core, box: Box) -> None:
    """Rotates the core's key; the box takes the new policy."""
    key_id, _ = rotate_key(connection, core.issuer, core.pairs.create, START_US)
    box.backend_public = core.pairs[key_id].public_bytes
    box.policy += 1


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"policy": 2}, "policy"),
        ({"policy": None}, "policy"),
        ({"policy": True}, "policy"),
        ({"policy": [1]}, "policy"),
        ({"alg": 24}, "algorithm"),
        ({"alg": [3]}, "algorithm"),
        ({"alg": None}, "algorithm"),
        ({"hpke": b"\0" * 8}, "bad-wrap"),
        ({"hpke": None}, "bad-wrap"),
        ({"wrap": b""}, "bad-wrap"),
        ({"wrap": None}, "bad-wrap"),
    ],
)
def test_a_start_that_its_policy_does_not_cover_is_refused_and_begins_nothing(
    connection: Connection, core: Core, box: Box, changed: dict[str, Any], reason: str
) -> None:
    taken = take(connection, core, box.start(**changed))
    assert refused(connection) == {reason: 1}
    assert taken.stored == []
    assert connection.execute("SELECT first_epoch FROM policies").fetchall() == [(None,)]


def test_a_policy_of_another_device_counts_for_nothing(
    connection: Connection, core: Core, box: Box, other_box: Box
) -> None:
    issue(connection, core, 30)
    take(connection, core, other_box.start(policy=2))
    assert refused(connection) == {"policy": 1}
    del box


def test_an_algorithm_of_the_policy_that_this_machine_lacks_is_refused(
    connection: Connection, core: Core, box: Box
) -> None:
    connection.execute("UPDATE policies SET algs = '{3,1}'")
    take(connection, core, box.start(alg=1))
    assert refused(connection) == {"algorithm": 1}


@pytest.mark.parametrize("alg", [3, 24, 30, -65_601])
def test_every_cipher_of_the_suite_table_serves_where_its_policy_allows_it(
    connection: Connection, core: Core, box: Box, alg: int
) -> None:
    issue(connection, core, alg)
    box.policy, box.alg = 2, alg
    take(connection, core, *box.drive(2))
    assert refused(connection) == {}
    assert totals(connection)["epochs_verified"] == 1


def test_a_batch_of_another_cipher_than_its_epochs_is_refused(
    connection: Connection, core: Core, box: Box
) -> None:
    start = box.start()
    box.alg = 30
    take(connection, core, start, box.batch(1))
    assert refused(connection) == {"algorithm": 1}


def test_an_epoch_under_an_older_policy_than_an_earlier_one_is_a_downgrade(
    connection: Connection, core: Core, box: Box
) -> None:
    issue(connection, core, 30)
    box.epoch, box.policy, box.alg = 5, 2, 30
    take(connection, core, box.start())
    box.epoch, box.policy, box.alg = 6, 1, 3
    taken = take(connection, core, box.start())
    assert refused(connection) == {"downgrade": 1}
    assert [device for device, _ in taken.policies] == ["box-1"]


def test_a_downgrade_within_one_transaction_is_seen(
    connection: Connection, core: Core, box: Box
) -> None:
    issue(connection, core, 30)
    box.policy, box.alg = 2, 30
    first = box.start()
    box.epoch, box.policy, box.alg = 2, 1, 3
    take(connection, core, first, box.start())
    assert refused(connection) == {"downgrade": 1}


@pytest.mark.parametrize("seed", range(6))
def test_starts_in_any_order_of_arrival_are_no_downgrade(
    connection: Connection, core: Core, box: Box, seed: int
) -> None:
    issue(connection, core, 30)
    starts = []
    for box.epoch in range(1, 7):
        box.policy, box.alg = (1, 3) if box.epoch < 4 else (2, 30)
        starts.append(box.start())
    random.Random(seed).shuffle(starts)
    for start in starts:
        take(connection, core, start)
    assert refused(connection) == {}
    assert totals(connection)["epochs"] == 6


def test_who_begins_under_an_old_policy_is_told_the_newest_once_per_start(
    connection: Connection, core: Core, box: Box
) -> None:
    assert take(connection, core, box.start()).policies == []
    issue(connection, core, 30)
    box.epoch = 2
    start = box.start()
    for _ in range(2):
        [(device, message)] = take(connection, core, start, box.batch(1)).policies
        policy = open_policy(message, verifier(core.signer.public_bytes), device)
        assert (device, policy.seq, policy.algs) == ("box-1", 2, (30,))
    assert take(connection, core, box.batch(1)).policies == []


def test_nobody_is_told_anything_for_a_start_that_is_not_the_devices(
    connection: Connection, core: Core, box: Box
) -> None:
    issue(connection, core, 30)
    topic, start = box.start()
    assert take(connection, core, (topic, start[:-1] + bytes([start[-1] ^ 1]))).policies == []
    assert refused(connection) == {"bad-signature": 1}


def test_epochs_of_before_and_after_a_rotation_open_side_by_side(
    connection: Connection, core: Core, box: Box
) -> None:
    ingest = core.ingest()
    old = box.drive(2)
    take_in(connection, ingest, ORG, old[:2], START_US)
    rotate(connection, core, box)
    box.epoch = 2
    consent = box.consent(given_us=5)
    take_in(connection, ingest, ORG, [*box.drive(2), consent, *old[2:]], START_US)
    assert refused(connection) == {}
    assert totals(connection)["epochs_verified"] == 2
    count = connection.execute("SELECT count(*) FROM telemetry_consents").fetchone()
    assert count == (1,)


def test_a_start_for_a_retired_key_is_refused_and_told_the_newest_policy(
    connection: Connection, core: Core, box: Box
) -> None:
    start = box.start()
    rotate(connection, core, box)
    connection.execute("UPDATE hpke_keys SET retired_us = 1 WHERE number = 1")
    taken = take(connection, core, start)
    assert refused(connection) == {"bad-wrap": 1}
    assert len(taken.policies) == 1


def test_a_key_of_the_core_that_is_not_there_is_no_fault_of_the_device(
    connection: Connection, core: Core, box: Box, tmp_path: Any
) -> None:
    (tmp_path / "keys" / "hpke.pem").rename(tmp_path / "away.pem")
    start = box.start(hpke=box_key(connection))
    core.pairs = type(core.pairs)(tmp_path / "keys")
    take(connection, core, start)
    assert refused(connection) == {"no-key": 1}


def box_key(connection: Connection) -> bytes:
    row = connection.execute("SELECT hpke_id FROM hpke_keys").fetchone()
    assert row is not None
    return bytes(row[0])
