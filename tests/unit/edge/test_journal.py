"""Claims about the journal: gapless, chained, unchangeable, and honest about an old copy."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from edge.custody import READ_ROWS
from edge.entry import NUMBER_MAX, recovered_from
from edge.errors import DeviceFault, LocalError
from edge.journal import (
    ENTRY_BYTES_MAX,
    MIGRATIONS,
    Head,
    Journal,
    JournalReader,
    Recovery,
    chain,
    decode_entry,
    genesis,
    op_id,
    verify_journal,
)
from edge.sqlite import engine
from edge.store import open_reader, open_store
from hardware.sim.counter import SimCounter
from tests.unit.edge.desk import StillClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.store import Store

KIOSK = "kiosk-1"
KIND = "cash-withdrawal"


def body(number: int = 1) -> dict[str, Any]:
    return {"lease": "ab", "amount_fen": 100 * number, "receipt": f"{number:06}"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as opened:
        yield opened


@pytest.fixture
def journal(store: Store) -> Journal:
    return Journal(store, KIOSK, StillClock(), policy=4)


def fill(journal: Journal, count: int) -> None:
    for number in range(1, count + 1):
        journal.append("FACT", KIND, body(number))


# ---------------------------------------------------------------- the chain
def test_an_empty_journal_stands_at_its_genesis(journal: Journal) -> None:
    assert journal.head() == Head(1, 0, genesis(KIOSK, 1))
    assert journal.hash_at(1, 0) == genesis(KIOSK, 1)
    assert journal.hash_at(1, 1) is None
    assert journal.read(0, 10, 1_000) == []
    assert journal.find(1, 1) is None


def test_entries_are_chained_without_gaps(journal: Journal) -> None:
    fill(journal, 5)
    link = genesis(KIOSK, 1)
    for seq, (entry, hash_) in enumerate(journal.read(0, 100, 1 << 20), start=1):
        link = hashlib.sha256(link + entry).digest()
        assert (
            hash_
            == link
            == journal.hash_at(1, seq)
            == chain(journal.hash_at(1, seq - 1) or b"", entry)
        )
        assert decode_entry(entry)["seq"] == seq
    assert journal.head() == Head(1, 5, link)


def test_an_entry_says_who_when_and_under_which_policy(journal: Journal) -> None:
    written = journal.append("REQUEST", KIND, body())
    entry = journal.find(1, 1)
    assert entry == {
        "device": KIOSK, "epoch": 1, "seq": 1, "class": "REQUEST", "kind": KIND, "body": body(),
        "wall_us": written.wall_us, "boot": "00" * 8, "mono_us": 0, "counter": 0, "policy": 4,
    }  # fmt: skip
    assert written.op_id == op_id(KIOSK, 1, 1)
    assert written.hash == journal.head().hash


def test_an_operation_is_named_by_its_place_alone() -> None:
    places = [("kiosk-1", 1, 1), ("kiosk-1", 1, 2), ("kiosk-1", 2, 1), ("kiosk-11", 1, 1)]
    names = [op_id(*place) for place in places]
    assert len(set(names)) == len(names)
    assert all(len(name) == 32 and bytes.fromhex(name) for name in names)
    assert len({genesis("a", 1), genesis("a", 2), genesis("b", 1)}) == 3


def test_reading_ends_at_its_limits_but_gives_one_entry_at_least(journal: Journal) -> None:
    fill(journal, 6)
    size = len(journal.read(0, 1, 1)[0][0])
    assert len(journal.read(0, 4, 1 << 20)) == 4
    assert len(journal.read(2, 100, 1 << 20)) == 4
    assert len(journal.read(0, 100, 3 * size + 9)) == 3
    three = sum(len(entry) for entry, _ in journal.read(0, 3, 1 << 20))
    assert len(journal.read(0, 100, three)) == 3
    assert len(journal.read(0, 100, three - 1)) == 2
    assert len(journal.read(0, 100, 0)) == 1
    assert journal.read(0, 0, 1 << 20) == []


def test_reading_passes_over_no_entry_that_is_too_long_for_a_shorter_one(journal: Journal) -> None:
    for length in (1, 900, 1):
        journal.append("FACT", KIND, {"receipt": "x" * length})
    size = len(journal.read(0, 1, 1)[0][0])
    assert len(journal.read(0, 100, 3 * size)) == 1


# ---------------------------------------------------------------- rules
def test_a_field_outside_the_catalogue_is_refused_before_it_is_written(journal: Journal) -> None:
    with pytest.raises(LocalError) as refusal:
        journal.append("FACT", KIND, {**body(), "name": "Wang"})
    assert refusal.value.code == "field-unknown"
    with pytest.raises(LocalError):
        journal.append("FACT", "gossip", {})
    with pytest.raises(LocalError) as refusal:
        journal.append("RUMOUR", KIND, body())
    assert refusal.value.code == "entry-class"
    assert journal.head().seq == 0


def test_an_entry_too_long_to_be_sent_is_refused(journal: Journal) -> None:
    with pytest.raises(LocalError) as refusal:
        journal.append("FACT", KIND, {"pin_answer": bytes(ENTRY_BYTES_MAX)})
    assert refusal.value.code == "entry-size"
    assert journal.head().seq == 0


def test_an_entry_that_can_just_be_sent_is_taken(journal: Journal) -> None:
    journal.append("FACT", KIND, {"receipt": "x" * 1_000})
    spare = 16_384 - len(journal.read(0, 1, 1)[0][0])
    journal.append("FACT", KIND, {"receipt": "x" * (1_000 + spare)})
    longest = journal.read(1, 1, 1)[0][0]
    assert len(longest) == 16_384
    assert decode_entry(longest)["seq"] == 2
    with pytest.raises(LocalError):
        journal.append("FACT", KIND, {"receipt": "x" * (1_001 + spare)})


def test_a_transaction_that_fails_leaves_no_entry_and_no_gap(
    store: Store, journal: Journal
) -> None:
    fill(journal, 1)

    def interrupted() -> None:
        with store.transaction():
            journal.append("FACT", KIND, body(2))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert journal.head().seq == 1
    with store.transaction():
        assert journal.append("FACT", KIND, body(3)).seq == 2
    assert verify_journal(store, KIOSK) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET entry = x'00'",
        "UPDATE journal SET seq = 9 WHERE seq = 1",
        "DELETE FROM journal",
        "DELETE FROM journal WHERE seq = 1",
    ],
)
def test_the_database_itself_refuses_to_change_an_entry(
    statement: str, store: Store, journal: Journal
) -> None:
    fill(journal, 2)
    with pytest.raises(engine.IntegrityError, match="never"):
        store.execute(statement)
    assert verify_journal(store, KIOSK) == 2


def test_a_reader_sees_what_the_kiosk_has_written(store: Store, journal: Journal) -> None:
    with open_reader(store.path) as read_only:
        reader = JournalReader(read_only, KIOSK)
        assert reader.head().seq == 0
        fill(journal, 3)
        assert reader.head() == journal.head()
        assert reader.read(0, 9, 9_999) == journal.read(0, 9, 9_999)


# ---------------------------------------------------------------- damage
def tamper(path: Path, *statements: str) -> None:
    """Does what somebody with the disk in hand can do."""
    with open_store(path, [MIGRATIONS]) as store:
        store.execute("DROP TRIGGER journal_unchanged")
        store.execute("DROP TRIGGER journal_permanent")
        for statement in statements:
            store.execute(statement)


FLIP = "UPDATE journal SET entry = CAST(substr(entry, 1, 40) || x'00' || substr(entry, 42) AS BLOB)"
REHASH = "UPDATE journal SET hash = (SELECT hash FROM journal WHERE seq = 1)"
DAMAGE = {
    "a changed byte": FLIP + " WHERE seq = 3",
    "no entry at all": "UPDATE journal SET entry = x'00' WHERE seq = 3",
    "a changed hash": "UPDATE journal SET hash = zeroblob(32) WHERE seq = 3",
    "a hash of another entry": REHASH + " WHERE seq = 3",
    "a missing entry": "DELETE FROM journal WHERE seq = 3",
    "a missing first entry": "DELETE FROM journal WHERE seq = 1",
    "a changed last entry": FLIP + " WHERE seq = 5",
    "an entry of an invented epoch": "UPDATE journal SET epoch = 2 WHERE seq = 5",
}


@pytest.mark.parametrize("claim", DAMAGE)
def test_a_journal_is_not_opened_that_has(claim: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with open_store(path, [MIGRATIONS]) as store:
        fill(Journal(store, KIOSK, StillClock()), 5)
    tamper(path, DAMAGE[claim])
    with open_store(path, [MIGRATIONS]) as store:
        with pytest.raises(DeviceFault) as fault:
            Journal(store, KIOSK, StillClock())
        invented = claim == "an entry of an invented epoch"
        assert fault.value.code == ("journal-epoch" if invented else "journal-damaged")


def test_the_journal_of_another_device_is_not_opened(store: Store, journal: Journal) -> None:
    fill(journal, 1)
    with pytest.raises(DeviceFault) as fault:
        Journal(store, "kiosk-2", StillClock())
    assert fault.value.code == "journal-foreign"


@pytest.mark.parametrize("count", [READ_ROWS - 1, READ_ROWS, READ_ROWS + 1])
def test_a_chain_is_verified_across_pages_of_rows(count: int, store: Store) -> None:
    journal = Journal(store, KIOSK, StillClock())
    with store.transaction():
        fill(journal, count)
    assert verify_journal(store, KIOSK) == count


# ---------------------------------------------------------------- the counter
def test_an_old_copy_is_recognised_by_the_counter(tmp_path: Path) -> None:
    path, counter = tmp_path / "journal.db", SimCounter(40)
    for number in (1, 2, 3):
        with open_store(path, [MIGRATIONS]) as store:
            fill(Journal(store, KIOSK, StillClock(), counter), 1)
        if number == 1:
            shutil.copy(path, tmp_path / "old.db")
    shutil.copy(tmp_path / "old.db", path)
    with open_store(path, [MIGRATIONS]) as store:
        with pytest.raises(DeviceFault) as fault:
            Journal(store, KIOSK, StillClock(), counter)
        assert fault.value.code == "journal-rollback"


def test_a_power_cut_between_counter_and_entry_is_no_old_copy(tmp_path: Path) -> None:
    path, counter = tmp_path / "journal.db", SimCounter()
    with open_store(path, [MIGRATIONS]) as store:
        fill(Journal(store, KIOSK, StillClock(), counter), 2)
    counter.advance_to(counter.read() + 1)
    with open_store(path, [MIGRATIONS]) as store:
        Journal(store, KIOSK, StillClock(), counter)


def attempt(store: Store, journal: Journal) -> None:
    with store.transaction():
        journal.append("FACT", KIND, body())
        raise RuntimeError


def test_entries_that_were_rolled_back_never_make_a_journal_look_old(tmp_path: Path) -> None:
    path, counter = tmp_path / "journal.db", SimCounter()
    with open_store(path, [MIGRATIONS]) as store:
        journal = Journal(store, KIOSK, StillClock(), counter)
        fill(journal, 1)
        for _ in range(5):
            with pytest.raises(RuntimeError):
                attempt(store, journal)
    with open_store(path, [MIGRATIONS]) as store:
        journal = Journal(store, KIOSK, StillClock(), counter)
        fill(journal, 2)
        counts = [decode_entry(entry)["counter"] for entry, _ in journal.read(0, 9, 1 << 20)]
    assert counts == [1, 2, 3]
    assert counter.read() == 3


@pytest.mark.parametrize("value", [0, 40])
def test_a_new_counter_may_be_fitted_to_a_journal_that_had_none(tmp_path: Path, value: int) -> None:
    path = tmp_path / "journal.db"
    with open_store(path, [MIGRATIONS]) as store:
        fill(Journal(store, KIOSK, StillClock()), 1)
    counter = SimCounter(value)
    with open_store(path, [MIGRATIONS]) as store:
        journal = Journal(store, KIOSK, StillClock(), counter)
        fill(journal, 1)
        entry = journal.find(1, 2)
    assert entry is not None
    assert entry["counter"] == value + 1


@pytest.mark.parametrize("ahead", [0, 1, 2, 40])
def test_a_counter_that_is_two_ahead_tells_of_an_old_copy(tmp_path: Path, ahead: int) -> None:
    path, counter = tmp_path / "journal.db", SimCounter()
    with open_store(path, [MIGRATIONS]) as store:
        fill(Journal(store, KIOSK, StillClock(), counter), 3)
        counter.advance_to(3 + ahead)
        if ahead < 2:
            Journal(store, KIOSK, StillClock(), counter)
            return
        with pytest.raises(DeviceFault, match="old copy"):
            Journal(store, KIOSK, StillClock(), counter)


def test_with_a_counter_a_transaction_holds_one_entry(store: Store) -> None:
    counted = Journal(store, KIOSK, StillClock(), SimCounter())

    def twice() -> None:
        with store.transaction():
            fill(counted, 2)

    with pytest.raises(LocalError) as refusal:
        twice()
    assert refusal.value.code == "entry-second"
    assert counted.head().seq == 0
    for number in (1, 2):
        with store.transaction():
            fill(counted, 1)
        assert counted.head().seq == number
    fill(counted, 2)
    assert counted.head().seq == 4, "outside of a transaction each is its own"


def test_an_entry_whose_part_was_undone_may_be_written_once_more(store: Store) -> None:
    counter = SimCounter()
    counted = Journal(store, KIOSK, StillClock(), counter)
    fill(counted, 1)
    with store.transaction():
        with pytest.raises(RuntimeError):
            attempt(store, counted)
        fill(counted, 1)
    assert (counted.head().seq, counter.read()) == (2, 2)


def test_a_device_without_counter_and_policy_says_0_of_both(store: Store) -> None:
    plain = Journal(store, KIOSK, StillClock())
    fill(plain, 1)
    entry = plain.find(1, 1)
    assert entry is not None
    assert (entry["counter"], entry["policy"]) == (0, 0)


def test_without_a_counter_a_transaction_may_hold_many(store: Store, journal: Journal) -> None:
    with store.transaction():
        fill(journal, 3)
    assert journal.head().seq == 3


# ---------------------------------------------------------------- a new epoch over what was saved
def test_a_recovered_journal_says_first_what_was_saved(store: Store, journal: Journal) -> None:
    fill(journal, 3)
    saved = journal.head()
    counter = SimCounter(9)
    again = Journal(store, KIOSK, StillClock(), counter, 4, Recovery(2, "journal-rollback"))
    entry = again.find(2, 1)
    assert entry is not None
    assert (entry["class"], entry["kind"], entry["counter"], entry["policy"]) == (
        "FACT", "journal-recovered", 10, 4,
    )  # fmt: skip
    assert entry["body"] == {
        "epoch": 1, "seq": 3, "hash": saved.hash, "reason": "journal-rollback",
    }  # fmt: skip
    assert recovered_from(again.read(0, 1, 0, 2)[0][0]) == saved
    assert again.append("FACT", KIND, body()).seq == 2
    assert Journal(store, KIOSK, StillClock(), counter).head().seq == 2


@pytest.mark.parametrize("epoch", [0, 1, NUMBER_MAX + 1])
def test_a_recovery_begins_no_epoch_that_was_used(
    store: Store, journal: Journal, epoch: int
) -> None:
    fill(journal, 1)
    with pytest.raises(LocalError) as refusal:
        Journal(store, KIOSK, StillClock(), recovery=Recovery(epoch, "test"))
    assert refusal.value.code == "journal-epoch"
    assert journal.head().seq == 1
    assert Journal(store, KIOSK, StillClock(), recovery=Recovery(NUMBER_MAX, "test")).head().seq
