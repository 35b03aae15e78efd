"""Claims about a journal's file: whatever became of it, it is whole or a fault that says so."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.codec import encode
from edge.custody import MIGRATIONS, JournalReader, verify_journal
from edge.entry import RECOVERED, Head, chain, genesis
from edge.errors import DeviceFault, LastmileError
from edge.journal import Journal, Recovery
from edge.store import open_reader, open_store
from tests.unit.edge.desk import StillClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from edge.store import Store

KIOSK = "kiosk-1"
KIND = "cash-withdrawal"
PAGE = 4_096
SECTOR = 512
ENTRIES = 60
DAMAGED = {"journal-damaged", "journal-epoch", "journal-foreign", "store-damaged", "store-failed"}
UNSEALED = "store-sealed"
"""A file that is damaged in its first 16 bytes cannot be told from an encrypted one."""


def append(store: Store, journal: Journal, count: int) -> None:
    for number in range(count):
        with store.transaction():
            journal.append("FACT", KIND, {"lease": "ab", "receipt": f"{number:06}"})


def write_entry(store: Store, device: str, epoch: int, seq: int, **changed: Any) -> None:
    """Writes an entry as a program without our rules could."""
    before = genesis(device, epoch) if seq == 1 else JournalReader(store, device).head().hash
    record = {
        "device": device, "epoch": epoch, "seq": seq, "class": "FACT", "kind": KIND, "body": {},
        "wall_us": 1, "boot": "", "mono_us": 1, "counter": 0, "policy": 0,
    }  # fmt: skip
    entry = encode({**record, **changed})
    store.execute(
        "INSERT INTO journal VALUES (?, ?, ?, ?)", (epoch, seq, entry, chain(before, entry))
    )


def lay(folder: Path, *steps: Callable[[Store], object]) -> Path:
    """Makes a file that was closed in good order."""
    path = folder / "journal.db"
    path.unlink(missing_ok=True)
    with open_store(path, [MIGRATIONS]) as store:
        for step in steps:
            step(store)
    return path


def fault_of(path: Path, device: str = KIOSK) -> DeviceFault:
    with open_store(path, [MIGRATIONS]) as store, pytest.raises(DeviceFault) as fault:
        verify_journal(store, device)
    return fault.value


# ---------------------------------------------------------------- any damage at all
@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, Head]:
    """A file with two epochs, its bytes, and where its journal stands."""
    folder = tmp_path_factory.mktemp("journal")

    def fill(store: Store) -> None:
        append(store, Journal(store, KIOSK, StillClock()), ENTRIES)
        again = Recovery(2, "test")
        append(store, Journal(store, KIOSK, StillClock(), recovery=again), 3)

    path = lay(folder, fill)
    with open_store(path, [MIGRATIONS]) as store:
        head = JournalReader(store, KIOSK).head()
    return path, path.read_bytes(), head


def judge(path: Path, damaged: bytes, head: Head) -> str:
    """Opens what is left as the kiosk does, then as the agent does; returns what became of it."""
    for leftover in path.parent.glob("*"):
        leftover.unlink()
    path.write_bytes(damaged)
    try:
        with open_store(path, [MIGRATIONS]) as store:
            found = Journal(store, KIOSK, StillClock()).head()
    except LastmileError as error:
        outcome = error.code
    else:
        outcome = "new" if not damaged else "whole" if found == head else "shorter"
    assert outcome in DAMAGED | {UNSEALED, "new", "whole"}
    assert look(path) in {"", UNSEALED, *DAMAGED}
    return outcome


def look(path: Path) -> str:
    """Reads without verifying, as the agent does while the kiosk writes; returns what it met."""
    try:
        with open_reader(path) as store:
            reader = JournalReader(store, KIOSK)
            at = reader.head()
            reader.anchor()
            reader.find(1, 3)
            reader.hash_at(at.epoch, at.seq)
            reader.goes_on_at(1, ENTRIES + 1)
            reader.read(0, 1_000, 1 << 20)
    except LastmileError as error:
        return error.code
    return ""


def test_a_file_cut_off_at_any_sector_is_whole_or_a_fault(
    sound: tuple[Path, bytes, Head],
) -> None:
    path, content, head = sound
    ends = range(0, len(content), SECTOR)
    assert {judge(path, content[:end], head) for end in ends[1:]} <= DAMAGED | {UNSEALED}
    assert judge(path, b"", head) == "new", "the agent's mark knows better"
    assert judge(path, content, head) == "whole"


def test_a_file_with_a_lost_sector_is_whole_or_a_fault(sound: tuple[Path, bytes, Head]) -> None:
    path, content, head = sound
    outcomes = set()
    for start in range(0, len(content), SECTOR):
        damaged = content[:start] + bytes(SECTOR) + content[start + SECTOR :]
        outcomes.add(judge(path, damaged, head))
    assert {"journal-damaged", "store-damaged"} <= outcomes


def test_a_file_with_flipped_bits_in_every_page_is_whole_or_a_fault(
    sound: tuple[Path, bytes, Head],
) -> None:
    path, content, head = sound

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, PAGE - 1), st.integers(0, 7)), min_size=1, max_size=3))
    def flip(bits: list[tuple[int, int]]) -> None:
        for start in range(0, len(content), PAGE):
            damaged = bytearray(content)
            for place, bit in bits:
                damaged[start + place] ^= 1 << bit
            judge(path, bytes(damaged), head)

    flip()


def test_a_flip_of_every_byte_of_the_schema_is_whole_or_a_fault(
    sound: tuple[Path, bytes, Head],
) -> None:
    path, content, head = sound
    for place in range(0, PAGE, 3):
        damaged = bytearray(content)
        damaged[place] ^= 0x80 if place % 2 else 0x01
        judge(path, bytes(damaged), head)


def test_a_log_whose_end_is_torn_loses_what_was_never_acknowledged_and_no_more(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    with open_store(path, [MIGRATIONS]) as store:
        append(store, Journal(store, KIOSK, StillClock()), 20)
        log = path.with_name("journal.db-wal").read_bytes()
        main = path.read_bytes()
    heads = []
    for end in range(len(log), len(log) // 2, -SECTOR):
        torn = tmp_path / f"torn-{end}.db"
        torn.write_bytes(main)
        torn.with_name(torn.name + "-wal").write_bytes(log[:end])
        with open_store(torn, [MIGRATIONS]) as store:
            heads.append(Journal(store, KIOSK, StillClock()).head().seq)
    assert heads[0] == 20
    assert heads == sorted(heads, reverse=True)
    assert {before - after for before, after in itertools.pairwise(heads)} <= {0, 1}


# ---------------------------------------------------------------- epochs
def test_an_epoch_follows_that_names_the_last_entry_before_it(tmp_path: Path) -> None:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as store:
        append(store, Journal(store, KIOSK, StillClock()), 3)
        for epoch in (2, 5):
            journal = Journal(store, KIOSK, StillClock(), recovery=Recovery(epoch, "test"))
            append(store, journal, 1)
        assert verify_journal(store, KIOSK) == 7
        assert [journal.next_epoch(epoch) for epoch in range(6)] == [1, 2, 5, 5, 5, None]
        assert Journal(store, KIOSK, StillClock()).head().epoch == 5


def test_an_epoch_that_does_not_follow_is_named(tmp_path: Path) -> None:
    body = {"epoch": 1, "seq": 3, "hash": bytes(32), "reason": "forged"}

    def begin(store: Store) -> None:
        append(store, Journal(store, KIOSK, StillClock()), 3)
        write_entry(store, KIOSK, 2, 1, kind=RECOVERED, body=body)

    fault = fault_of(lay(tmp_path, begin))
    assert fault.code == "journal-epoch"
    assert "goes on with epoch 2" in str(fault)
    assert "1/3" in str(fault)


def test_a_damaged_beginning_of_an_epoch_is_named_as_damage(tmp_path: Path) -> None:
    def begin(store: Store) -> None:
        append(store, Journal(store, KIOSK, StillClock()), 3)
        Journal(store, KIOSK, StillClock(), recovery=Recovery(2, "test"))
        store.execute("DROP TRIGGER journal_unchanged")
        store.execute("UPDATE journal SET hash = zeroblob(32) WHERE epoch = 2")

    fault = fault_of(lay(tmp_path, begin))
    assert fault.code == "journal-damaged"
    assert "2/1" in str(fault)


@pytest.mark.parametrize("epoch", [2, 9])
def test_a_first_epoch_that_is_not_the_first_is_named(tmp_path: Path, epoch: int) -> None:
    fault = fault_of(lay(tmp_path, lambda store: write_entry(store, KIOSK, epoch, 1)))
    assert fault.code == "journal-epoch"
    assert f"goes on with epoch {epoch}" in str(fault)


def test_a_journal_of_which_nothing_was_saved_may_begin_with_a_later_epoch(tmp_path: Path) -> None:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as store:
        journal = Journal(store, KIOSK, StillClock(), recovery=Recovery(4, "test"))
        append(store, journal, 2)
        assert verify_journal(store, KIOSK) == 3
        first = journal.find(4, 1)
        assert first is not None
        assert first["body"] == {
            "epoch": 1, "seq": 0, "hash": genesis(KIOSK, 1), "reason": "test",
        }  # fmt: skip


@pytest.mark.parametrize("seq", [2, 3])
def test_an_epoch_without_its_first_entry_is_damaged(tmp_path: Path, seq: int) -> None:
    def begin(store: Store) -> None:
        write_entry(store, KIOSK, 1, 1)
        write_entry(store, KIOSK, 2, seq)

    assert fault_of(lay(tmp_path, begin)).code == "journal-epoch"


def test_a_journal_without_its_first_entry_is_damaged_there(tmp_path: Path) -> None:
    fault = fault_of(lay(tmp_path, lambda store: write_entry(store, KIOSK, 1, 2)))
    assert fault.code == "journal-damaged"
    assert "1/1" in str(fault)


# ---------------------------------------------------------------- whose it is
def test_another_devices_journal_is_named_as_that(tmp_path: Path) -> None:
    def fill(store: Store) -> None:
        append(store, Journal(store, "kiosk-2", StillClock()), 2)

    fault = fault_of(lay(tmp_path, fill))
    assert fault.code == "journal-foreign"
    assert "belongs to device kiosk-2, not to kiosk-1" in str(fault)


@pytest.mark.parametrize("link", ["00", "ff"])
def test_an_entry_that_only_says_it_is_anothers_is_damage(tmp_path: Path, link: str) -> None:
    def fill(store: Store) -> None:
        append(store, Journal(store, KIOSK, StillClock()), 1)
        write_entry(store, "kiosk-2", 1, 2)
        store.execute("DROP TRIGGER journal_unchanged")
        store.execute(f"UPDATE journal SET hash = x'{link * 32}' WHERE seq = 2")

    fault = fault_of(lay(tmp_path, fill))
    assert fault.code == "journal-damaged"
    assert "1/2" in str(fault)


def test_an_entry_that_cannot_be_read_is_damaged_where_it_is_looked_for(tmp_path: Path) -> None:
    entry = b"no entry"
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as store:
        link = chain(genesis(KIOSK, 1), entry)
        store.execute("INSERT INTO journal VALUES (1, 1, ?, ?)", (entry, link))
        assert verify_journal(store, KIOSK) == 1, "it chains"
        with pytest.raises(DeviceFault, match="1/1") as fault:
            JournalReader(store, KIOSK).find(1, 1)
    assert fault.value.code == "journal-damaged"


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ("'x', 1, x'00', zeroblob(32)", "0/0"),
        ("1, 'x', x'00', zeroblob(32)", "0/0"),
        ("1, 1, 'x', zeroblob(32)", "1/1"),
        ("1, 1, x'00', '12345678901234567890123456789012'", "1/1"),
    ],
)
def test_a_row_of_other_types_is_damaged(tmp_path: Path, values: str, place: str) -> None:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as store:
        store.execute("PRAGMA ignore_check_constraints = ON")
        store.execute(f"INSERT INTO journal VALUES ({values})")
        for act in (lambda: verify_journal(store, KIOSK), JournalReader(store, KIOSK).head):
            with pytest.raises(DeviceFault, match=place) as fault:
                act()
            assert fault.value.code == "journal-damaged"


# ---------------------------------------------------------------- what was lost
def test_a_journal_says_from_where_it_goes_on_after_what_was_lost(tmp_path: Path) -> None:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as store:
        journal = Journal(store, KIOSK, StillClock())
        append(store, journal, 3)
        assert journal.goes_on_at(1, 4) is None
        Journal(store, KIOSK, StillClock(), recovery=Recovery(3, "test"))
        for seq in (1, 2, 3):
            assert journal.goes_on_at(1, seq) is None, "it is here"
        assert [journal.goes_on_at(*place) for place in ((1, 4), (1, 99), (2, 1))] == [3, 3, 3]
        assert [journal.goes_on_at(*place) for place in ((3, 2), (4, 1))] == [None, None]
