"""Claims about the journal: gapless, chained, unchangeable, and honest about an old copy."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.closing import DayClosed, sign_day_closed
from edge.codec import encode
from edge.custody import READ_ROWS
from edge.entry import NUMBER_MAX, recovered_from
from edge.errors import DeviceFault, LocalError, PeerError
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
from edge.keys import FileIdentity, verifier
from edge.sqlite import engine
from edge.store import open_reader, open_store
from tests.unit.edge.desk import PaperCounter, StillClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
    assert len(journal.read(0, 100, 0)) == 1
    assert journal.read(0, 0, 1 << 20) == []


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
    path, counter = tmp_path / "journal.db", PaperCounter(40)
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
    path, counter = tmp_path / "journal.db", PaperCounter()
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
    path, counter = tmp_path / "journal.db", PaperCounter()
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


def test_a_new_counter_may_be_fitted_to_a_journal_that_had_none(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with open_store(path, [MIGRATIONS]) as store:
        fill(Journal(store, KIOSK, StillClock()), 1)
    counter = PaperCounter()
    with open_store(path, [MIGRATIONS]) as store:
        journal = Journal(store, KIOSK, StillClock(), counter)
        fill(journal, 1)
        entry = journal.find(1, 2)
    assert entry is not None
    assert entry["counter"] == 1


@pytest.mark.parametrize("ahead", [0, 1, 2, 40])
def test_a_counter_that_is_two_ahead_tells_of_an_old_copy(tmp_path: Path, ahead: int) -> None:
    path, counter = tmp_path / "journal.db", PaperCounter()
    with open_store(path, [MIGRATIONS]) as store:
        fill(Journal(store, KIOSK, StillClock(), counter), 3)
        counter.advance_to(3 + ahead)
        if ahead < 2:
            Journal(store, KIOSK, StillClock(), counter)
            return
        with pytest.raises(DeviceFault, match="old copy"):
            Journal(store, KIOSK, StillClock(), counter)


def test_with_a_counter_a_transaction_holds_one_entry(store: Store) -> None:
    counted = Journal(store, KIOSK, StillClock(), PaperCounter())

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
    counter = PaperCounter()
    counted = Journal(store, KIOSK, StillClock(), counter)
    fill(counted, 1)
    with store.transaction():
        with pytest.raises(RuntimeError):
            attempt(store, counted)
        fill(counted, 1)
    assert (counted.head().seq, counter.read()) == (2, 2)


def test_without_a_counter_a_transaction_may_hold_many(store: Store, journal: Journal) -> None:
    with store.transaction():
        fill(journal, 3)
    assert journal.head().seq == 3


# ---------------------------------------------------------------- a new epoch over what was saved
def test_a_recovered_journal_says_first_what_was_saved(store: Store, journal: Journal) -> None:
    fill(journal, 3)
    saved = journal.head()
    counter = PaperCounter(9)
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


# ---------------------------------------------------------------- pruning
@pytest.fixture
def core(tmp_path: Path) -> FileIdentity:
    return FileIdentity.create(tmp_path / "core.pem", "core")


def close_day(core: FileIdentity, at: Head, device: str = KIOSK) -> bytes:
    return sign_day_closed(core, DayClosed(device, "2026-07-01", at, at.seq, {KIND: 100}))


def at(journal: Journal, seq: int, epoch: int = 1) -> Head:
    return Head(epoch, seq, journal.hash_at(epoch, seq) or b"")


def prune(journal: Journal, core: FileIdentity, seq: int, keep: int = 0, epoch: int = 1) -> int:
    statement = close_day(core, at(journal, seq, epoch))
    return journal.prune(statement, verifier(core.public_bytes), keep)


def left(journal: Journal, epoch: int = 1) -> list[int]:
    return [decode_entry(entry)["seq"] for entry, _ in journal.read(0, 99, 1 << 20, epoch)]


def test_a_closed_day_is_forgotten_but_for_its_anchor(
    store: Store, journal: Journal, core: FileIdentity
) -> None:
    fill(journal, 6)
    head, anchor = journal.head(), at(journal, 3)
    assert prune(journal, core, 4) == 3
    assert left(journal) == [4, 5, 6], "one of the closed day stays"
    assert (journal.head(), journal.anchor(), journal.hash_at(1, 3)) == (head, anchor, anchor.hash)
    assert (journal.hash_at(1, 2), journal.find(1, 3)) == (None, None)
    assert verify_journal(store, KIOSK) == 3
    again = Journal(store, KIOSK, StillClock())
    fill(again, 2)
    assert left(again) == [4, 5, 6, 7, 8]
    assert prune(again, core, 8) == 4
    assert left(Journal(store, KIOSK, StillClock())) == [8]


@pytest.mark.parametrize(("keep", "gone"), [(0, 4), (1, 4), (2, 3), (4, 1), (5, 0), (99, 0)])
def test_the_latest_entries_of_a_closed_day_may_be_kept(
    store: Store, journal: Journal, core: FileIdentity, keep: int, gone: int
) -> None:
    fill(journal, 5)
    assert prune(journal, core, 5, keep) == gone
    assert left(journal) == list(range(gone + 1, 6))
    assert verify_journal(store, KIOSK) == 5 - gone
    assert (journal.anchor() is None) == (gone == 0)


def test_the_same_day_again_and_an_earlier_one_change_nothing(
    journal: Journal, core: FileIdentity
) -> None:
    fill(journal, 6)
    second, fifth = close_day(core, at(journal, 2)), close_day(core, at(journal, 5))
    verify = verifier(core.public_bytes)
    assert journal.prune(fifth, verify) == 4
    anchor = journal.anchor()
    assert [journal.prune(each, verify) for each in (fifth, second, fifth)] == [0, 0, 0]
    assert (journal.anchor(), left(journal)) == (anchor, [5, 6])


def test_a_closed_day_over_another_chain_is_refused(journal: Journal, core: FileIdentity) -> None:
    fill(journal, 3)
    for place in (Head(1, 3, bytes(32)), Head(1, 4, bytes(32)), Head(2, 1, bytes(32))):
        with pytest.raises(PeerError) as refusal:
            journal.prune(close_day(core, place), verifier(core.public_bytes))
        assert refusal.value.code == "day-closed-head"
    with pytest.raises(PeerError) as refusal:
        journal.prune(close_day(core, at(journal, 3), "kiosk-2"), verifier(core.public_bytes))
    assert refusal.value.code == "day-closed-device"
    assert left(journal) == [1, 2, 3]


def test_epochs_before_a_closed_day_go_with_it(
    store: Store, journal: Journal, core: FileIdentity
) -> None:
    fill(journal, 3)
    later = Journal(store, KIOSK, StillClock(), recovery=Recovery(2, "test"))
    fill(later, 2)
    assert prune(later, core, 3, epoch=2) == 5
    assert (left(later), left(later, 2)) == ([], [3])
    assert later.anchor() == at(later, 2, 2)
    assert verify_journal(store, KIOSK) == 1


def test_an_epoch_may_follow_an_anchor(store: Store, journal: Journal, core: FileIdentity) -> None:
    fill(journal, 3)
    prune(journal, core, 3)
    Journal(store, KIOSK, StillClock(), recovery=Recovery(2, "test"))
    assert verify_journal(store, KIOSK) == 2


def test_what_was_pruned_is_gone_from_the_file(tmp_path: Path, core: FileIdentity) -> None:
    path = tmp_path / "journal.db"
    with open_store(path, [MIGRATIONS]) as store:
        journal = Journal(store, KIOSK, StillClock())
        fill(journal, 200)
        assert prune(journal, core, 200) == 199
    content = path.read_bytes()
    assert b"000200" in content
    assert b"000100" not in content


def test_pages_of_what_was_pruned_are_used_again(tmp_path: Path, core: FileIdentity) -> None:
    path = tmp_path / "journal.db"
    sizes = []
    with open_store(path, [MIGRATIONS]) as store:
        journal = Journal(store, KIOSK, StillClock())
        for _ in range(4):
            with store.transaction():
                fill(journal, 200)
            prune(journal, core, journal.head().seq)
            sizes.append(store.row("PRAGMA page_count"))
    assert sizes[1] == sizes[2] == sizes[3]


def test_a_pruning_that_fails_changes_nothing(
    store: Store, journal: Journal, core: FileIdentity
) -> None:
    fill(journal, 4)

    def interrupted() -> None:
        with store.transaction():
            prune(journal, core, 4)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert (left(journal), journal.anchor()) == ([1, 2, 3, 4], None)


def test_a_pruned_journal_still_notices_an_old_copy(tmp_path: Path, core: FileIdentity) -> None:
    path, counter = tmp_path / "journal.db", PaperCounter()
    with open_store(path, [MIGRATIONS]) as store:
        journal = Journal(store, KIOSK, StillClock(), counter)
        fill(journal, 5)
        prune(journal, core, 5)
        counter.advance_to(7)
        with pytest.raises(DeviceFault) as fault:
            Journal(store, KIOSK, StillClock(), counter)
    assert fault.value.code == "journal-rollback"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM journal",
        "DELETE FROM journal WHERE seq = 6",
        "UPDATE journal SET seq = 9 WHERE seq = 6",
        "INSERT OR REPLACE INTO journal SELECT epoch, seq, x'00', hash FROM journal WHERE seq = 6",
        "INSERT INTO journal SELECT epoch, 2, entry, hash FROM journal WHERE seq = 6",
        "INSERT INTO journal SELECT epoch, 3, entry, hash FROM journal WHERE seq = 6",
        "UPDATE journal_anchors SET seq = 6",
        "DELETE FROM journal_anchors",
        "INSERT INTO journal_anchors SELECT epoch, 2, hash, statement FROM journal_anchors",
        "INSERT INTO journal_anchors SELECT epoch, 5, hash, statement FROM journal_anchors",
        "INSERT INTO journal_anchors SELECT epoch, 7, hash, statement FROM journal_anchors",
        "INSERT OR REPLACE INTO journal_anchors SELECT epoch, seq, hash, x'' FROM journal_anchors",
    ],
)
def test_the_database_itself_keeps_what_no_anchor_covers(
    statement: str, store: Store, journal: Journal, core: FileIdentity
) -> None:
    fill(journal, 6)
    prune(journal, core, 4)
    with pytest.raises(engine.IntegrityError, match="never"):
        store.execute(statement)
    assert (left(journal), journal.anchor()) == ([4, 5, 6], at(journal, 3))


ANCHOR_DAMAGE = {
    "another hash": "UPDATE journal_anchors SET hash = zeroblob(32)",
    "no statement": "UPDATE journal_anchors SET statement = x'00'",
    "a place past its statement": "UPDATE journal_anchors SET seq = 5",
    "an epoch past its statement": "UPDATE journal_anchors SET epoch = 2",
    "a statement of another type": "UPDATE journal_anchors SET statement = 'x'",
    "a row that it covers": "DELETE FROM journal WHERE seq = 4",
}


@pytest.mark.parametrize("claim", ANCHOR_DAMAGE)
def test_an_anchor_is_not_believed_with(
    claim: str, store: Store, journal: Journal, core: FileIdentity
) -> None:
    fill(journal, 6)
    prune(journal, core, 4)
    for name in ("journal_anchors_unchanged", "journal_permanent"):
        store.execute(f"DROP TRIGGER {name}")
    store.execute(ANCHOR_DAMAGE[claim])
    with pytest.raises(DeviceFault) as fault:
        Journal(store, KIOSK, StillClock())
    assert fault.value.code in {"journal-damaged", "journal-epoch"}


def test_the_anchor_of_another_device_is_named_as_that(
    store: Store, journal: Journal, core: FileIdentity
) -> None:
    fill(journal, 6)
    prune(journal, core, 4)
    with pytest.raises(DeviceFault) as fault:
        Journal(store, "kiosk-2", StillClock())
    assert fault.value.code == "journal-foreign"
    assert "belongs to device kiosk-1" in str(fault.value)


def test_an_anchor_that_the_statement_names_must_have_its_hash(
    store: Store, journal: Journal, core: FileIdentity
) -> None:
    fill(journal, 2)
    statement = close_day(core, at(journal, 2))
    with open_store(store.path.with_name("new.db"), [MIGRATIONS]) as fresh:
        fresh.execute("INSERT INTO journal_anchors VALUES (1, 2, ?, ?)", (bytes(32), statement))
        with pytest.raises(DeviceFault, match="1/2"):
            JournalReader(fresh, KIOSK).head()
    with open_store(store.path.with_name("newer.db"), [MIGRATIONS]) as fresh:
        good = journal.hash_at(1, 2)
        fresh.execute("INSERT INTO journal_anchors VALUES (1, 2, ?, ?)", (good, statement))
        reader = JournalReader(fresh, KIOSK)
        assert reader.head() == reader.anchor() == journal.head()
        assert verify_journal(fresh, KIOSK) == 0


# ---------------------------------------------------------------- hostile entries
GOOD = {
    "device": KIOSK, "epoch": 1, "seq": 1, "class": "FACT", "kind": KIND, "body": {}, "wall_us": 1,
    "boot": "00", "mono_us": 1, "counter": 0, "policy": 0,
}  # fmt: skip
MISSHAPEN: dict[str, tuple[Any, str]] = {
    "a field too many": ({**GOOD, "extra": 1}, "entry-fields"),
    "a field too few": ({key: GOOD[key] for key in GOOD if key != "boot"}, "entry-fields"),
    "a list": ([GOOD], "entry-fields"),
    "a number": (5, "entry-fields"),
    "a number in words": ({**GOOD, "seq": "1"}, "entry-type"),
    "a number that is true": ({**GOOD, "seq": True}, "entry-type"),
    "a device in bytes": ({**GOOD, "device": b"kiosk"}, "entry-type"),
    "a body that is a list": ({**GOOD, "body": []}, "entry-type"),
    "nothing for a time": ({**GOOD, "wall_us": None}, "entry-type"),
    "an unknown class": ({**GOOD, "class": "RUMOUR"}, "entry-class"),
    "too many bytes": ({**GOOD, "body": {"a": bytes(ENTRY_BYTES_MAX)}}, "entry-size"),
    "too many items": ({**GOOD, "body": {"a": [0] * 600}}, "codec-items"),
}


@pytest.mark.parametrize("claim", MISSHAPEN)
def test_an_entry_may_not_have(claim: str) -> None:
    record, code = MISSHAPEN[claim]
    with pytest.raises(PeerError) as refusal:
        decode_entry(encode(record))
    assert refusal.value.code == code


@given(st.binary(max_size=200))
def test_hostile_entries_raise_only_peer_errors(data: bytes) -> None:
    with pytest.raises(PeerError):
        decode_entry(data)


SPELLED = encode(GOOD)


@given(st.integers(0, len(SPELLED) - 1), st.integers(0, 255))
def test_mutated_entries_are_refused_or_well_typed(place: int, octet: int) -> None:
    changed = bytearray(SPELLED)
    changed[place] = octet
    act: Callable[[], dict[str, Any]] = lambda: decode_entry(bytes(changed))  # noqa: E731
    try:
        entry = act()
    except PeerError:
        return
    assert set(entry) == set(GOOD)
