"""Claims about recovery: what chains is saved wherever it is found, and nothing else ever is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from edge.closing import DayClosed, sign_day_closed
from edge.codec import encode
from edge.entry import RECOVERED, Head, chain, genesis
from edge.errors import LastmileError
from edge.journal import MIGRATIONS, Journal, JournalReader, Recovery, verify_journal
from edge.keys import FileIdentity, verifier
from edge.recovery import (
    EMPTY_RANGES_MAX,
    RANGE_ROWS,
    Salvage,
    nothing_saved,
    refill_journal,
    salvage_journal,
)
from edge.store import open_reader, open_store
from tests.unit.edge.desk import StillClock

if TYPE_CHECKING:
    from pathlib import Path

    from edge.store import Store

KIOSK = "kiosk-1"
KIND = "cash-withdrawal"
PAGE = 4_096


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> FileIdentity:
    return FileIdentity.create(tmp_path_factory.mktemp("core") / "core.pem", "core")


def fill(store: Store, count: int, recovery: Recovery | None = None) -> Journal:
    journal = Journal(store, KIOSK, StillClock(), recovery=recovery)
    with store.transaction():
        for number in range(count):
            journal.append("FACT", KIND, {"lease": "ab", "receipt": f"{number:06}"})
    return journal


def save(store: Store, core: FileIdentity) -> Salvage:
    return salvage_journal(store, KIOSK, verifier(core.public_bytes))


def places(salvage: Salvage) -> list[tuple[int, int]]:
    return [(at.epoch, at.seq) for at, _ in salvage.entries]


def loosen(store: Store) -> None:
    for name in ("journal_unchanged", "journal_permanent", "journal_new"):
        store.execute(f"DROP TRIGGER {name}")
    for name in ("unchanged", "permanent", "forward", "own"):
        store.execute(f"DROP TRIGGER journal_anchors_{name}")


def is_saved_whole(salvage: Salvage, folder: Path, count: int) -> None:
    """A fresh file takes what was saved, and the next epoch begins over it."""
    with open_store(folder / "fresh.db", [MIGRATIONS]) as fresh:
        with fresh.transaction():
            refill_journal(fresh, salvage)
            assert verify_journal(fresh, KIOSK) == count == len(salvage.entries)
            recovery = Recovery(salvage.epoch + 1, "test")
            journal = Journal(fresh, KIOSK, StillClock(), recovery=recovery)
        assert journal.anchor() == (salvage.anchor[0] if salvage.anchor else None)
        assert Journal(fresh, KIOSK, StillClock()).head().epoch == salvage.epoch + 1


# ---------------------------------------------------------------- what is saved
def test_all_of_a_whole_journal_is_saved(tmp_path: Path, core: FileIdentity) -> None:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as store:
        fill(store, 300)
        journal = fill(store, 3, Recovery(4, "test"))
        salvage = save(store, core)
        assert (salvage.head, salvage.epoch, salvage.anchor) == (journal.head(), 4, None)
    assert places(salvage) == [
        *((1, seq) for seq in range(1, 301)),
        *((4, n) for n in (1, 2, 3, 4)),
    ]
    is_saved_whole(salvage, tmp_path, 304)


def test_nothing_of_an_empty_journal_is_saved(tmp_path: Path, core: FileIdentity) -> None:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as store:
        assert save(store, core) == nothing_saved(KIOSK)
    assert nothing_saved(KIOSK).head == Head(1, 0, genesis(KIOSK, 1))
    is_saved_whole(nothing_saved(KIOSK), tmp_path, 0)


DAMAGE = {
    "a changed entry": "UPDATE journal SET entry = x'00' WHERE seq = 6",
    "a changed hash": "UPDATE journal SET hash = zeroblob(32) WHERE seq = 6",
    "a missing entry": "DELETE FROM journal WHERE seq = 6",
    "an entry with no hash": "UPDATE journal SET hash = '12345678901234567890123456789012' "
    "WHERE seq = 6",
    "an entry in words": "UPDATE journal SET entry = 'x' WHERE seq = 6",
    "an epoch in words": "UPDATE journal SET epoch = 'x' WHERE seq = 6",
    "a seq in words": "UPDATE journal SET seq = 'x' WHERE seq = 6",
}


@pytest.mark.parametrize("claim", DAMAGE)
def test_what_stands_before_it_is_saved_of_a_journal_with(
    claim: str, tmp_path: Path, core: FileIdentity
) -> None:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as store:
        fill(store, 9)
        expected = JournalReader(store, KIOSK).hash_at(1, 5)
        loosen(store)
        store.execute(DAMAGE[claim])
        salvage = save(store, core)
    assert places(salvage) == [(1, seq) for seq in range(1, 6)]
    assert salvage.head == Head(1, 5, expected or b"")
    is_saved_whole(salvage, tmp_path, 5)


def test_a_row_that_stands_twice_is_saved_where_it_chains(
    tmp_path: Path, core: FileIdentity
) -> None:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as store:
        fill(store, 5)
        loosen(store)
        store.execute("CREATE TABLE twice AS SELECT * FROM journal")
        store.execute("INSERT INTO twice SELECT epoch, seq, x'00', hash FROM journal")
        store.execute("DROP TABLE journal")
        store.execute("ALTER TABLE twice RENAME TO journal")
        assert places(save(store, core)) == [(1, seq) for seq in range(1, 6)]


def test_another_devices_journal_is_not_saved(tmp_path: Path, core: FileIdentity) -> None:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as store:
        fill(store, 5)
        salvage = salvage_journal(store, "kiosk-2", verifier(core.public_bytes))
    assert salvage == nothing_saved("kiosk-2")


def test_rows_that_were_not_saved_still_tell_which_epochs_were_used(
    tmp_path: Path, core: FileIdentity
) -> None:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as store:
        fill(store, 3)
        fill(store, 3, Recovery(5, "test"))
        loosen(store)
        store.execute("DELETE FROM journal WHERE epoch = 1 AND seq = 2")
        others: list[dict[str, Any]] = [{}, {"device": KIOSK, "epoch": 2**53}]
        others += [{"device": KIOSK, "epoch": 0}, {"kind": 1}]
        record = {
            "device": "kiosk-2", "epoch": 9, "seq": 1, "class": "FACT", "kind": KIND, "body": {},
            "wall_us": 1, "boot": "", "mono_us": 1, "counter": 0, "policy": 0,
        }  # fmt: skip
        for seq, changed in enumerate(others):
            entry = encode({**record, **changed})
            row = (9, seq + 1, entry, bytes(32))
            store.execute("INSERT INTO journal VALUES (?, ?, ?, ?)", row)
        salvage = save(store, core)
    assert (places(salvage), salvage.epoch) == ([(1, 1)], 5)


def test_an_epoch_is_saved_only_when_it_names_the_last_that_was_saved(
    tmp_path: Path, core: FileIdentity
) -> None:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as store:
        journal = fill(store, 3)
        for epoch, seq in ((2, 2), (3, 3)):
            saved = {"epoch": 1, "seq": seq, "hash": journal.hash_at(1, seq), "reason": "x"}
            record = {
                "device": KIOSK, "epoch": epoch, "seq": 1, "class": "FACT", "kind": RECOVERED,
                "body": saved, "wall_us": 1, "boot": "", "mono_us": 1, "counter": 0, "policy": 0,
            }  # fmt: skip
            entry = encode(record)
            link = chain(genesis(KIOSK, epoch), entry)
            store.execute("INSERT INTO journal VALUES (?, 1, ?, ?)", (epoch, entry, link))
        salvage = save(store, core)
    assert places(salvage) == [(1, 1), (1, 2), (1, 3), (3, 1)]


# ---------------------------------------------------------------- pruned journals
def prune(journal: Journal, core: FileIdentity, seq: int, keep: int = 0) -> None:
    at = Head(1, seq, journal.hash_at(1, seq) or b"")
    statement = sign_day_closed(core, DayClosed(KIOSK, "2026-07-01", at, seq, {}))
    journal.prune(statement, verifier(core.public_bytes), keep)


def test_a_pruned_journal_is_saved_from_its_newest_anchor(
    tmp_path: Path, core: FileIdentity
) -> None:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as store:
        journal = fill(store, 9)
        prune(journal, core, 3)
        prune(journal, core, 6)
        salvage = save(store, core)
        assert salvage.anchor is not None
        assert salvage.anchor[0] == journal.anchor() == Head(1, 5, journal.hash_at(1, 5) or b"")
    assert places(salvage) == [(1, seq) for seq in (6, 7, 8, 9)]
    is_saved_whole(salvage, tmp_path, 4)


BAD_ANCHORS = {
    "is of no known form": "UPDATE journal_anchors SET statement = x'00' WHERE seq = 5",
    "names a place past its statement": "UPDATE journal_anchors SET seq = 8 WHERE seq = 5",
}


@pytest.mark.parametrize("claim", BAD_ANCHORS)
def test_an_anchor_is_not_believed_that(claim: str, tmp_path: Path, core: FileIdentity) -> None:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as store:
        journal = fill(store, 9)
        prune(journal, core, 6)
        loosen(store)
        store.execute(BAD_ANCHORS[claim])
        assert save(store, core).anchor is None


def test_an_anchor_at_its_statement_must_have_its_hash(tmp_path: Path, core: FileIdentity) -> None:
    at = Head(1, 5, b"\x05" * 32)
    statement = sign_day_closed(core, DayClosed(KIOSK, "2026-07-01", at, 5, {}))
    for link, believed in ((at.hash, True), (bytes(32), False)):
        with open_store(tmp_path / f"{believed}.db", [MIGRATIONS]) as store:
            store.execute("INSERT INTO journal_anchors VALUES (1, 5, ?, ?)", (link, statement))
            salvage = save(store, core)
        assert (salvage.anchor == (at, statement)) == believed
        assert salvage.head == (at if believed else nothing_saved(KIOSK).head)


def test_nobody_but_the_core_sets_an_anchor(tmp_path: Path, core: FileIdentity) -> None:
    thief = FileIdentity.create(tmp_path / "thief.pem", "core")
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as store:
        at = Head(1, 6, bytes(32))
        statement = sign_day_closed(thief, DayClosed(KIOSK, "2026-07-01", at, 6, {}))
        loosen(store)
        store.execute("INSERT INTO journal_anchors VALUES (1, 5, ?, ?)", (bytes(32), statement))
        assert save(store, core).anchor is None


# ---------------------------------------------------------------- any damage at all
def lose_index(path: Path) -> None:
    """Zeroes the root page of the index over epoch and seq."""
    with open_reader(path) as store:
        row = store.row("SELECT rootpage FROM sqlite_master WHERE name LIKE '%_journal_1'")
    assert row is not None
    content = bytearray(path.read_bytes())
    start = PAGE * (row["rootpage"] - 1)
    content[start : start + PAGE] = bytes(PAGE)
    path.write_bytes(content)


def test_whatever_became_of_a_file_what_is_saved_is_a_part_of_it_from_the_start(
    tmp_path: Path, core: FileIdentity
) -> None:
    whole, path = tmp_path / "whole.db", tmp_path / "damaged.db"
    with open_store(whole, [MIGRATIONS]) as store:
        journal = fill(store, 60)
        hashes = {seq: journal.hash_at(1, seq) for seq in range(61)}
    content = whole.read_bytes()
    saved = []
    for page in range(len(content) // PAGE):
        noise = hashlib.sha256(b"%d" % page).digest() * (PAGE // 32)
        for lost in (bytes(PAGE), noise):
            path.write_bytes(content[: page * PAGE] + lost + content[(page + 1) * PAGE :])
            try:
                with open_reader(path) as reader:
                    salvage = save(reader, core)
            except LastmileError:
                salvage = nothing_saved(KIOSK)
            seqs = [at.seq for at, _ in salvage.entries]
            assert seqs == list(range(1, len(seqs) + 1))
            assert salvage.head.hash == hashes[len(seqs)]
            saved.append(len(seqs))
    assert max(saved) == 60, "a page of an index, or an empty one, costs nothing"
    assert any(0 < count < 60 for count in saved), "a page of entries costs what came after it"


def test_a_table_whose_index_is_gone_is_read_by_place(tmp_path: Path, core: FileIdentity) -> None:
    path = tmp_path / "journal.db"
    with open_store(path, [MIGRATIONS]) as store:
        fill(store, RANGE_ROWS + 40)
    lose_index(path)
    with open_reader(path) as reader:
        salvage = save(reader, core)
    assert salvage.head.seq == RANGE_ROWS + 40
    is_saved_whole(salvage, tmp_path, RANGE_ROWS + 40)


def test_a_pruned_table_is_read_by_place_from_its_first_row(
    tmp_path: Path, core: FileIdentity
) -> None:
    path, last = tmp_path / "journal.db", RANGE_ROWS * (EMPTY_RANGES_MAX + 3)
    with open_store(path, [MIGRATIONS]) as store:
        prune(fill(store, last), core, last, 2)
    lose_index(path)
    with open_reader(path) as reader:
        assert places(save(reader, core)) == [(1, last - 1), (1, last)]


def test_places_are_looked_at_past_a_hole_but_not_for_ever(
    tmp_path: Path, core: FileIdentity
) -> None:
    for hole, found in ((EMPTY_RANGES_MAX - 1, 2), (EMPTY_RANGES_MAX, 1)):
        path = tmp_path / f"{hole}.db"
        with open_store(path, [MIGRATIONS]) as store:
            fill(store, 2)
            store.execute("DROP TRIGGER journal_unchanged")
            place = RANGE_ROWS * (hole + 1) + 1
            store.execute("UPDATE journal SET rowid = ? WHERE seq = 2", (place,))
        lose_index(path)
        with open_reader(path) as reader:
            assert len(save(reader, core).entries) == found
