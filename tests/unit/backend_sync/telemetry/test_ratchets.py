"""Claims about epochs ratcheted from a seed: skipped, kept, gone, whatever comes between."""

from __future__ import annotations

import random  # noqa: TID251 - seeded: a failure can be repeated
import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from backend_sync.telemetry import store
from backend_sync.telemetry.claim import Refused
from backend_sync.telemetry.ratchets import (
    PURPOSE,
    Chain,
    Ratchets,
    RatchetState,
    step_over,
)
from backend_sync.telemetry.report import totals
from backend_sync.telemetry.seeds import Seed, enrol_seed
from backend_sync.telemetry.store import Stored, take_in
from edge.keys import FileIdentity, LocalSecret, ratchet
from edge.ratchet import SKIP_MAX
from edge.suites import AEADS
from hardware.drivers.clock import SystemRandomness
from tests.unit.backend_sync.telemetry.box import ORG, START_US, Box, Core, Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backend_sync.core.database import Connection

SEED = b"\x05" * 32
CCM, GCM, SM4 = 30, 3, -65_601
HOSTILE = Chain(1, SEED)


@pytest.fixture
def chip(connection: Connection, core: Core, tmp_path: Path) -> Box:
    """A microcontroller with a seed."""
    identity = FileIdentity.create(tmp_path / "chip-1.pem", "chip-1")
    box = core.register(connection, identity, CCM, GCM, SM4)
    box.seed, box.alg = SEED, CCM
    enrol_seed(connection, Ratchets(core.secret), Seed("chip-1", SEED), START_US)
    return box


def epochs(chip: Box, count: int, batches: int = 2) -> list[list[Message]]:
    """Whole epochs, one after the other."""
    made = []
    for _ in range(count):
        start = chip.bare_start()
        sealed = [chip.batch(seq) for seq in range(1, batches + 1)]
        made.append([start, *sealed, chip.close(batches)])
        chip.next()
    return made


def take(connection: Connection, core: Core, *messages: Message) -> list[Stored]:
    """A consumer that has just started takes messages in."""
    return take_in(connection, core.ingest(), ORG, messages, START_US).stored


def refused(connection: Connection) -> dict[str, int]:
    found: dict[str, int] = totals(connection)["rejected"]
    return found


def kept(connection: Connection) -> dict[int, bool]:
    rows = connection.execute("SELECT epoch, begun FROM telemetry_epoch_keys").fetchall()
    return dict(rows)


# ------------------------------------------------------------------ stepping
@pytest.mark.parametrize("alg", [CCM, GCM, SM4])
def test_a_step_gives_the_keys_that_the_device_derives_itself(alg: int) -> None:
    key, suite = SEED, AEADS[alg]
    chain, passed = step_over(HOSTILE, 4, alg)
    for epoch in range(1, 5):
        key, keys = ratchet(key, suite)
        assert passed[epoch][alg] == keys
    assert chain == Chain(5, key, alg)


def test_skipped_epochs_keep_the_keys_of_every_cipher_of_the_same_hash() -> None:
    _, passed = step_over(HOSTILE, 2, CCM)
    assert passed[1].keys() == {3, 24, 30}
    assert step_over(HOSTILE, 2, SM4)[1][1].keys() == {SM4}


def test_a_chain_never_changes_its_hash() -> None:
    chain, _ = step_over(HOSTILE, 1, CCM)
    assert step_over(chain, 2, GCM)[0].epoch == 3
    with pytest.raises(Refused) as refusal:
        step_over(chain, 2, SM4)
    assert refusal.value.code == "algorithm"


def test_as_many_epochs_are_skipped_as_the_limit_says_and_not_one_more() -> None:
    chain, passed = step_over(HOSTILE, SKIP_MAX + 1, CCM)
    assert (chain.epoch, len(passed)) == (SKIP_MAX + 2, SKIP_MAX + 1)
    with pytest.raises(Refused) as refusal:
        step_over(HOSTILE, SKIP_MAX + 2, CCM)
    assert refusal.value.code == "too-far"


def test_what_is_sealed_for_one_place_opens_in_no_other(core: Core, tmp_path: Path) -> None:
    ratchets = Ratchets(core.secret)
    state = RatchetState(ratchets.seal_seed("chip-1", SEED, 1))
    ratchets.keys_for("chip-1", 1, CCM, state)
    sealed = state.fresh[1]
    assert ratchets.open_keys("chip-1", 1, sealed).keys() == {CCM}
    stranger = FileIdentity.create(tmp_path / "other.pem", "core")
    other = Ratchets(LocalSecret(stranger, PURPOSE, SystemRandomness()))
    attempts: list[Callable[[], Any]] = [
        lambda: ratchets.open_keys("chip-1", 2, sealed),
        lambda: ratchets.open_keys("chip-2", 1, sealed),
        lambda: other.open_keys("chip-1", 1, sealed),
        lambda: ratchets.keys_for("chip-2", 2, CCM, state),
        lambda: other.keys_for("chip-1", 2, CCM, state),
    ]
    for attempt in attempts:
        with pytest.raises(Refused) as refusal:
            attempt()
        assert refusal.value.code == "no-key"


# ------------------------------------------------------------------ messages
@pytest.mark.parametrize("alg", [CCM, GCM, SM4])
def test_epochs_without_a_wrap_open_one_after_the_other(
    connection: Connection, core: Core, chip: Box, alg: int
) -> None:
    chip.alg = alg
    for epoch in epochs(chip, 3):
        take(connection, core, *epoch)
    assert refused(connection) == {}
    assert totals(connection)["epochs_verified"] == 3


def test_an_epoch_goes_on_after_a_restart_of_the_core(
    connection: Connection, core: Core, chip: Box
) -> None:
    [[start, one, two, close]] = epochs(chip, 1)
    take(connection, core, start)
    take(connection, core, one)
    [stored] = take(connection, core, two, close)
    assert (stored.seq, refused(connection)) == (3, {})


@pytest.mark.parametrize("seed", range(8))
def test_any_order_of_epochs_and_messages_with_repeats_and_restarts_ends_the_same(
    connection: Connection, core: Core, chip: Box, seed: int
) -> None:
    chance = random.Random(seed)
    messages = [message for epoch in epochs(chip, 5) for message in epoch] * 2
    chance.shuffle(messages)
    ingest = core.ingest()
    for message in messages:
        take_in(connection, ingest, ORG, [message], START_US)
    for at in range(0, len(messages), 7):  # What was held in a process that ended comes again.
        take(connection, core, *messages[at : at + 7])
    report = totals(connection)
    assert (report["epochs_verified"], report["batches"], report["rejected"]) == (5, 10, {})


def test_a_skipped_epoch_opens_when_it_comes_after_all(
    connection: Connection, core: Core, chip: Box
) -> None:
    first, second, third = epochs(chip, 3)
    take(connection, core, *third)
    assert kept(connection) == {1: False, 2: False, 3: True}
    take(connection, core, *first)
    take(connection, core, *second)
    assert kept(connection) == {1: True, 2: True, 3: True}
    assert totals(connection)["epochs_verified"] == 3


def test_an_epoch_whose_keys_are_gone_is_refused_for_good(
    connection: Connection, core: Core, chip: Box
) -> None:
    first, second = epochs(chip, 2)
    take(connection, core, *second)
    connection.execute("DELETE FROM telemetry_epoch_keys WHERE epoch = 1")
    take(connection, core, *first)
    assert refused(connection) == {"epoch-gone": 1}


def test_a_late_batch_of_an_epoch_whose_keys_are_gone_is_refused(
    connection: Connection, core: Core, chip: Box
) -> None:
    [[start, one, _two, _close]] = epochs(chip, 1)
    take(connection, core, start)
    connection.execute("DELETE FROM telemetry_epoch_keys")
    take(connection, core, one)
    assert refused(connection) == {"epoch-gone": 1}


def test_too_many_missing_epochs_change_nothing(
    connection: Connection, core: Core, chip: Box
) -> None:
    before = connection.execute("SELECT sealed FROM telemetry_ratchets").fetchall()
    true = epochs(chip, 1)[0]
    chip.epoch = SKIP_MAX + 2
    take(connection, core, chip.bare_start())
    assert refused(connection) == {"too-far": 1}
    assert connection.execute("SELECT sealed FROM telemetry_ratchets").fetchall() == before
    take(connection, core, *true)
    assert totals(connection)["epochs_verified"] == 1


def test_a_device_without_a_seed_must_wrap(connection: Connection, core: Core, box: Box) -> None:
    take(connection, core, box.bare_start())
    assert refused(connection) == {"bad-wrap": 1}


def test_a_start_that_is_replayed_or_forked_steps_nothing(
    connection: Connection, core: Core, chip: Box
) -> None:
    start, fork = chip.bare_start(), chip.bare_start(boot="11" * 8)
    take(connection, core, start, start, fork)
    after = connection.execute("SELECT sealed FROM telemetry_ratchets").fetchall()
    take(connection, core, start, fork)
    assert connection.execute("SELECT sealed FROM telemetry_ratchets").fetchall() == after
    assert refused(connection) == {"epoch-restart": 2}


def test_a_crash_before_the_commit_steps_nothing_and_the_same_messages_are_taken_again(
    connection: Connection, core: Core, chip: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = epochs(chip, 2)
    ingest = core.ingest()

    def cut(*_: object) -> None:
        raise psycopg.OperationalError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_save_messages", cut)
        with pytest.raises(psycopg.OperationalError):
            take_in(connection, ingest, ORG, second, START_US)
    assert kept(connection) == {}
    take_in(connection, ingest, ORG, [*second, *first], START_US)
    assert totals(connection)["epochs_verified"] == 2


def test_two_consumers_at_once_step_a_chain_as_one(
    connections: Callable[[], Connection], core: Core, chip: Box
) -> None:
    made = epochs(chip, 12)
    halves = [made[::2], made[1::2][::-1]]
    together = threading.Barrier(2)
    errors: list[BaseException] = []

    def consume(connection: Connection, share: list[list[Message]]) -> None:
        ingest = core.ingest()
        together.wait()
        try:
            for epoch in share:
                take_in(connection, ingest, ORG, epoch, START_US)
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=consume, args=(connections(), share)) for share in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    report = totals(connections())
    assert (report["epochs_verified"], report["rejected"]) == (12, {})


def test_nothing_of_a_key_stands_in_the_database(
    connection: Connection, core: Core, chip: Box
) -> None:
    chain_key, secrets = SEED, [SEED]
    for _ in range(3):
        chain_key, (key, _) = ratchet(chain_key, AEADS[CCM])
        secrets += [chain_key, key]
    take(connection, core, *epochs(chip, 3)[2])
    rows = connection.execute(
        "SELECT sealed FROM telemetry_ratchets UNION ALL SELECT sealed FROM telemetry_epoch_keys"
    ).fetchall()
    assert len(rows) == 4
    assert not [secret for (sealed,) in rows for secret in secrets if secret in sealed]
