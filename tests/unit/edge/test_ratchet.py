"""Claims about ratcheted epochs: durable before use, no key twice, old keys gone from the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import ratchet
from edge.errors import DeviceFault, LocalError, PeerError
from edge.keys import CHAIN_KEY_BYTES
from edge.keys import ratchet as step
from edge.outbox import PRIORITY_RAW, OutboxLimits
from edge.ratchet import EPOCH_MAX, MIGRATIONS, SKIP_MAX, Drawn, RandomKeys, RatchetKeys, plant_seed
from edge.store import open_store
from edge.suites import A256GCM, AEADS, AES_CCM_16_128_128, SM4_GCM_SM3
from tests.unit.edge.desk import SEED, CoreSide, Desk, Dice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.store import Store

GCM, CCM, SM4 = AEADS[A256GCM], AEADS[AES_CCM_16_128_128], AEADS[SM4_GCM_SM3]


def chain(count: int, seed: bytes = SEED) -> list[bytes]:
    """Returns CK_1 .. CK_count."""
    found = [seed]
    while len(found) < count:
        found.append(step(found[-1], GCM)[0])
    return found


KEYS = chain(40)


def open_seeds(folder: Path) -> Store:
    return open_store(folder / "seed.db", [MIGRATIONS])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_seeds(tmp_path) as store:
        plant_seed(store, SEED)
        yield store


def spent(keys: RatchetKeys, lowest: int = 1) -> Drawn:
    drawn = keys.draw(lowest, GCM)
    keys.spend()
    return drawn


def disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("seed.db*")))


# ---------------------------------------------------------------- random keys
def test_random_keys_are_new_each_time_and_fit_every_cipher() -> None:
    keys = RandomKeys(Dice())
    first, second = keys.draw(7, GCM), keys.draw(7, GCM)
    assert first.epoch == second.epoch == 7
    assert first.chain_key != second.chain_key
    assert all(keys.fits(suite) for suite in AEADS.values())


# ---------------------------------------------------------------- the chain
def test_the_chain_is_that_of_its_seed_and_no_link_comes_twice(store: Store) -> None:
    keys = RatchetKeys(store)
    drawn = [spent(keys) for _ in range(5)]
    assert drawn == [Drawn(epoch, KEYS[epoch - 1]) for epoch in range(1, 6)]


def test_the_next_link_is_on_disk_before_this_one_is_given(tmp_path: Path, store: Store) -> None:
    keys = RatchetKeys(store)
    assert keys.draw(1, GCM).chain_key == KEYS[0]
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tmp_path.glob("seed.db*"):
        (copy / path.name).write_bytes(path.read_bytes())
    with open_seeds(copy) as other:
        assert RatchetKeys(other).draw(1, GCM) == Drawn(2, KEYS[1])


def test_a_link_that_has_sealed_nothing_is_given_again(store: Store) -> None:
    keys = RatchetKeys(store)
    assert keys.draw(1, GCM) == keys.draw(1, CCM) == Drawn(1, KEYS[0])
    keys.spend()
    assert keys.draw(1, GCM).epoch == 2
    assert keys.draw(3, GCM).epoch == 3


def test_a_start_skips_the_link_that_was_in_memory_alone(store: Store) -> None:
    RatchetKeys(store).draw(1, GCM)
    assert RatchetKeys(store).draw(1, GCM) == Drawn(2, KEYS[1])


def test_an_outbox_that_is_ahead_takes_the_chain_along(store: Store) -> None:
    assert RatchetKeys(store).draw(30, GCM) == Drawn(30, KEYS[29])


def test_a_seed_that_came_out_of_a_backup_is_told_of(store: Store) -> None:
    keys = RatchetKeys(store)
    with pytest.raises(LocalError, match="put back from a copy") as refusal:
        keys.draw(SKIP_MAX + 2, GCM)
    assert refusal.value.code == "seed-behind"
    assert keys.draw(SKIP_MAX + 1, GCM).epoch == SKIP_MAX + 1


def test_a_chain_keeps_the_hash_of_its_first_step(store: Store) -> None:
    keys = RatchetKeys(store)
    assert all(keys.fits(suite) for suite in AEADS.values())
    keys.draw(1, SM4)
    assert keys.fits(SM4)
    assert not keys.fits(GCM)
    assert not RatchetKeys(store).fits(CCM)
    with pytest.raises(AssertionError):
        keys.draw(2, GCM)


def test_there_is_no_link_beyond_63_bits(tmp_path: Path) -> None:
    with open_seeds(tmp_path) as store:
        plant_seed(store, SEED, EPOCH_MAX - 1)
        keys = RatchetKeys(store)
        assert spent(keys).epoch == EPOCH_MAX - 1
        with pytest.raises(LocalError) as refusal:
            keys.draw(1, GCM)
        assert refusal.value.code == "epoch"
        assert store.row("SELECT epoch FROM device_seed") == {"epoch": EPOCH_MAX}


# ---------------------------------------------------------------- the seed
def test_a_seed_is_planted_once(store: Store) -> None:
    with pytest.raises(LocalError) as refusal:
        plant_seed(store, bytes(CHAIN_KEY_BYTES))
    assert refusal.value.code == "seed-exists"
    assert RatchetKeys(store).draw(1, GCM).chain_key == SEED


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_seed_has_32_bytes(size: int, tmp_path: Path) -> None:
    with open_seeds(tmp_path) as store:
        with pytest.raises(LocalError) as refusal:
            plant_seed(store, bytes(size))
        assert refusal.value.code == "seed-length"


@pytest.mark.parametrize("epoch", [0, -1, EPOCH_MAX])
def test_a_seed_begins_at_an_epoch_that_there_is(epoch: int, tmp_path: Path) -> None:
    with open_seeds(tmp_path) as store:
        with pytest.raises(LocalError) as refusal:
            plant_seed(store, SEED, epoch)
        assert refusal.value.code == "epoch"


def test_a_store_without_a_seed_is_told_of(tmp_path: Path) -> None:
    with open_seeds(tmp_path) as store:
        with pytest.raises(LocalError, match="holds no seed") as refusal:
            RatchetKeys(store)
        assert refusal.value.code == "seed-missing"


# ---------------------------------------------------------------- durable before use
def test_a_link_is_not_drawn_inside_a_transaction_that_could_undo_it(store: Store) -> None:
    keys = RatchetKeys(store)
    with pytest.raises(LocalError, match="a store of its own") as refusal, store.transaction():
        keys.draw(1, GCM)
    assert refusal.value.code == "seed-transaction"
    assert keys.draw(1, GCM).epoch == 1


def test_a_stream_whose_seed_shares_the_outboxs_store_never_seals(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.has_seed = True
    with desk.open() as box:
        shared = box.store
        ratchet.MIGRATIONS.apply(shared.database)
        plant_seed(shared, SEED)
        box.stream._keys = RatchetKeys(shared)
        with pytest.raises(LocalError) as refusal:
            box.stream.seal(b"batch", PRIORITY_RAW)
        assert refusal.value.code == "seed-transaction"


def test_a_disk_that_fails_gives_no_link_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = RatchetKeys(store)
    execute = store.execute

    def full(sql: str, parameters: tuple[object, ...] = ()) -> int:
        if sql == "COMMIT":
            raise DeviceFault("disk full", "disk-full")
        return execute(sql, parameters)

    with monkeypatch.context() as patch:
        patch.setattr(store, "execute", full)
        with pytest.raises(DeviceFault):
            keys.draw(1, GCM)
    assert spent(keys) == Drawn(1, KEYS[0])


# ---------------------------------------------------------------- old keys are gone
def test_no_link_that_was_given_is_left_on_the_disk(tmp_path: Path, store: Store) -> None:
    keys = RatchetKeys(store)
    assert store.row("PRAGMA secure_delete") == {"secure_delete": 1}
    assert SEED in disk(tmp_path)
    for number in range(6):
        spent(keys)
        left = disk(tmp_path)
        assert not any(key in left for key in KEYS[: number + 1])
        assert KEYS[number + 1] in left


def test_a_link_that_a_power_cut_left_in_the_log_is_gone_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_seeds(tmp_path) as store:
        plant_seed(store, SEED)
        with monkeypatch.context() as patch:
            patch.setattr(RatchetKeys, "_empty_log", lambda _self: None)
            RatchetKeys(store).draw(1, GCM)
        copy = {path.name: path.read_bytes() for path in tmp_path.glob("seed.db*")}
    assert SEED in b"".join(copy.values())
    cut = tmp_path / "cut"
    cut.mkdir()
    for name, content in copy.items():
        (cut / name).write_bytes(content)
    with open_seeds(cut) as store:
        RatchetKeys(store)
        assert SEED not in disk(cut)
        assert KEYS[1] in disk(cut)


# ---------------------------------------------------------------- with the stream
def test_the_backend_opens_what_a_ratcheting_device_sealed_and_stepped_over(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    desk.has_seed = True
    core = CoreSide(desk)
    with desk.open() as box:

        def failing() -> None:
            with box.store.transaction():
                box.stream.seal(b"lost", PRIORITY_RAW)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            failing()
        box.stream.seal(b"batch", PRIORITY_RAW)
        box.send(core)
        assert box.stream.epoch == 2
    with desk.open() as box:
        box.stream.seal(b"batch", PRIORITY_RAW)
        box.send(core)
    assert set(core.streams) == {2, 3}
    assert core.streams[2].verdict == "verified"
    assert not core.verdicts.keys() - {"new", "duplicate"}


def test_an_outbox_that_stays_full_burns_no_links(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.has_seed = True
    with desk.open(OutboxLimits(bytes_max=10)) as box:
        for _ in range(5):
            with pytest.raises(DeviceFault):
                box.stream.seal(b"batch", PRIORITY_RAW)
    with desk.open() as box:
        box.stream.seal(b"batch", PRIORITY_RAW)
        assert box.stream.epoch == 2


def test_a_policy_of_another_hash_than_the_seeds_is_not_taken(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.has_seed = True
    desk.issue(2, SM4_GCM_SM3)
    with desk.open() as box:
        box.stream.seal(b"batch", PRIORITY_RAW)
        with pytest.raises(PeerError) as refusal:
            box.stream.take_policy(desk.issued[2][1], desk.verify_core)
        assert refusal.value.code == "policy-algorithm"


@given(st.lists(st.sampled_from(["draw", "spend", "restart", "ahead"]), max_size=30))
@settings(max_examples=40, deadline=None)
def test_no_link_is_given_after_it_was_spent_whatever_the_order(
    tmp_path_factory: pytest.TempPathFactory, acts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("seed")
    store = open_seeds(folder)
    plant_seed(store, SEED)
    keys, used, lowest = RatchetKeys(store), set[int](), 1
    for act in acts:
        if act == "restart":
            store.close()
            store = open_seeds(folder)
            keys = RatchetKeys(store)
        elif act == "ahead":
            lowest += 3
        elif act == "draw":
            drawn = keys.draw(lowest, GCM)
            assert drawn.epoch >= lowest
            assert drawn.epoch not in used
            used.add(drawn.epoch)
            keys.spend()
        else:
            keys.draw(lowest, GCM)
    assert len(used) == acts.count("draw")
    store.close()
