"""Claims about closed days: the core's word is believed exactly, and only it lets entries go."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.closing import (
    STATEMENT_BYTES_MAX,
    DayClosed,
    kept_day_closed,
    open_day_closed,
    sign_day_closed,
)
from edge.entry import NUMBER_MAX, Head, genesis
from edge.errors import DeviceFault, PeerError
from edge.journal import (
    MIGRATIONS,
    Journal,
    JournalReader,
    Recovery,
    decode_entry,
    verify_journal,
)
from edge.keys import FileIdentity, sign_evidence, verifier
from edge.purposes import DAY_CLOSED, LEASE_TOPIC
from edge.sqlite import engine
from edge.store import open_store
from hardware.sim.counter import SimCounter
from tests.unit.edge.desk import StillClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.store import Store

KIOSK = "kiosk-1"
KIND = "cash-withdrawal"
HEAD = b"\x01" * 32
CLOSED = DayClosed("kiosk-1", "2026-07-01", Head(2, 17, HEAD), 40, {"cash-withdrawal": -120_000})
RECORD: dict[str, Any] = {
    "type": "day-closed", "device": "kiosk-1", "day": "2026-07-01", "epoch": 2, "seq": 17,
    "head": HEAD, "entries": 40, "totals": {"cash-withdrawal": -120_000},
}  # fmt: skip
MALFORMED: dict[str, dict[str, Any]] = {
    "another type": {"type": "day-open"},
    "a type that sorts before it": {"type": "day"},
    "a device that is a number": {"device": 1},
    "a day that is none": {"day": "2026-02-30"},
    "a day in another spelling": {"day": "20260701"},
    "a day that is a number": {"day": 20_260_701},
    "epoch 0": {"epoch": 0},
    "seq 0": {"seq": 0},
    "a seq that is true": {"seq": True},
    "a seq past all": {"seq": NUMBER_MAX + 1},
    "fewer than no entries": {"entries": -1},
    "a head in words": {"head": "01" * 32},
    "a head too long": {"head": HEAD + b"\0"},
    "a head too short": {"head": HEAD[1:]},
    "totals in a list": {"totals": []},
    "a total of no kind": {"totals": {1: 1}},
    "a total in words": {"totals": {"cash-withdrawal": "1"}},
    "a total past all": {"totals": {"cash-withdrawal": -NUMBER_MAX - 1}},
    "a field too many": {"more": 1},
}


@pytest.fixture
def core(tmp_path: Path) -> FileIdentity:
    return FileIdentity.create(tmp_path / "core.pem", "core")


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(PeerError) as refused:
        act()
    return refused.value.code


def test_what_the_core_signed_is_read_as_it_was(core: FileIdentity) -> None:
    statement = sign_day_closed(core, CLOSED)
    assert open_day_closed(statement, verifier(core.public_bytes), "kiosk-1") == CLOSED
    assert kept_day_closed(statement) == CLOSED


def test_the_outermost_numbers_are_read(core: FileIdentity) -> None:
    totals = {"a": NUMBER_MAX, "b": -NUMBER_MAX, "c": 0}
    edge = replace(CLOSED, at=Head(1, 1, HEAD), entries=0, totals=totals)
    assert kept_day_closed(sign_day_closed(core, edge)) == edge
    far = replace(CLOSED, at=Head(NUMBER_MAX, NUMBER_MAX, HEAD), entries=NUMBER_MAX)
    assert kept_day_closed(sign_day_closed(core, far)) == far


def test_another_devices_day_is_refused(core: FileIdentity) -> None:
    statement = sign_day_closed(core, CLOSED)
    verify = verifier(core.public_bytes)
    with pytest.raises(PeerError, match="closed for kiosk-1, not for kiosk-2") as refused:
        open_day_closed(statement, verify, "kiosk-2")
    assert refused.value.code == "day-closed-device"


def test_nobody_else_closes_a_day(core: FileIdentity, tmp_path: Path) -> None:
    verify = verifier(core.public_bytes)
    thief = FileIdentity.create(tmp_path / "thief.pem", "core")
    forged = sign_day_closed(thief, CLOSED)
    assert refusal(lambda: open_day_closed(forged, verify, "kiosk-1")) == "seal-signature"
    other = sign_evidence(core, RECORD, LEASE_TOPIC)
    assert refusal(lambda: open_day_closed(other, verify, "kiosk-1")) == "seal-signature"
    kiosk = FileIdentity.create(tmp_path / "kiosk.pem", "kiosk-1")
    own = sign_day_closed(kiosk, CLOSED)
    opens = verifier(kiosk.public_bytes)
    assert refusal(lambda: open_day_closed(own, opens, "kiosk-1")) == "evidence-signer"


@pytest.mark.parametrize("claim", MALFORMED)
def test_a_statement_is_refused_with(claim: str, core: FileIdentity) -> None:
    verify = verifier(core.public_bytes)
    statement = sign_evidence(core, {**RECORD, **MALFORMED[claim]}, DAY_CLOSED)
    assert refusal(lambda: open_day_closed(statement, verify, "kiosk-1")) == "day-closed-form"
    assert refusal(lambda: kept_day_closed(statement)) == "day-closed-form"


@pytest.mark.parametrize("name", RECORD)
def test_a_statement_is_refused_without(name: str, core: FileIdentity) -> None:
    record = {key: value for key, value in RECORD.items() if key != name}
    statement = sign_evidence(core, record, DAY_CLOSED)
    assert refusal(lambda: kept_day_closed(statement)) == "day-closed-form"


def test_a_statement_longer_than_any_is_refused_unread(core: FileIdentity) -> None:
    kinds = {f"kind-{number}": 1 for number in range(1_500)}
    longest = sign_day_closed(core, replace(CLOSED, totals=kinds))
    assert len(longest) < STATEMENT_BYTES_MAX
    assert kept_day_closed(longest).totals == kinds
    assert refusal(lambda: kept_day_closed(bytes(65_536))) != "day-closed-form"
    verify, long = verifier(core.public_bytes), bytes(65_537)
    assert refusal(lambda: kept_day_closed(long)) == "day-closed-form"
    assert refusal(lambda: open_day_closed(long, verify, "kiosk-1")) == "day-closed-form"


@given(st.binary(max_size=300))
def test_hostile_statements_raise_only_peer_errors(data: bytes) -> None:
    with pytest.raises(PeerError):
        kept_day_closed(data)


def test_every_changed_byte_of_a_statement_is_noticed(core: FileIdentity) -> None:
    statement = sign_day_closed(core, CLOSED)
    verify = verifier(core.public_bytes)
    for place in range(len(statement)):
        changed = bytearray(statement)
        changed[place] ^= 1
        with pytest.raises(PeerError):
            open_day_closed(bytes(changed), verify, "kiosk-1")


# ---------------------------------------------------------------- pruning
@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as opened:
        yield opened


@pytest.fixture
def journal(store: Store) -> Journal:
    return Journal(store, KIOSK, StillClock())


def fill(journal: Journal, count: int) -> None:
    for number in range(1, count + 1):
        journal.append("FACT", KIND, {"lease": "ab", "receipt": f"{number:06}"})


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
    assert (journal.hash_at(1, 0), journal.hash_at(2, 0)) == (None, genesis(KIOSK, 2))
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
    assert [later.hash_at(epoch, 0) for epoch in (1, 2, 3)] == [None, None, genesis(KIOSK, 3)]
    assert verify_journal(store, KIOSK) == 1


def test_an_anchor_may_have_the_number_of_its_statement_in_another_epoch(
    store: Store, journal: Journal, core: FileIdentity
) -> None:
    fill(journal, 5)
    later = Journal(store, KIOSK, StillClock(), recovery=Recovery(2, "test"))
    fill(later, 4)
    assert prune(later, core, 5, keep=5, epoch=2) == 5
    assert later.anchor() == Head(1, 5, later.hash_at(1, 5) or b"")
    assert verify_journal(store, KIOSK) == 5


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
    path, counter = tmp_path / "journal.db", SimCounter()
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
    for other in ("kiosk-2", "kiosk-0"):
        with pytest.raises(DeviceFault, match="belongs to device kiosk-1") as fault:
            Journal(store, other, StillClock())
        assert fault.value.code == "journal-foreign"


def test_an_anchor_that_the_statement_names_must_have_its_hash(
    store: Store, journal: Journal, core: FileIdentity
) -> None:
    fill(journal, 2)
    statement = close_day(core, at(journal, 2))
    with open_store(store.path.with_name("new.db"), [MIGRATIONS]) as fresh:
        fresh.execute("INSERT INTO journal_anchors VALUES (1, 2, ?, ?)", (bytes(32), statement))
        with pytest.raises(DeviceFault, match="1/2"):
            JournalReader(fresh, KIOSK).head()
    for number, place in enumerate(((1, 3), (2, 1), (2, 2))):
        with open_store(store.path.with_name(f"past-{number}.db"), [MIGRATIONS]) as fresh:
            row = (*place, journal.hash_at(1, 2), statement)
            fresh.execute("INSERT INTO journal_anchors VALUES (?, ?, ?, ?)", row)
            with pytest.raises(DeviceFault, match="{}/{}".format(*place)):
                JournalReader(fresh, KIOSK).anchor()
    with open_store(store.path.with_name("newer.db"), [MIGRATIONS]) as fresh:
        good = journal.hash_at(1, 2)
        fresh.execute("INSERT INTO journal_anchors VALUES (1, 2, ?, ?)", (good, statement))
        reader = JournalReader(fresh, KIOSK)
        assert reader.head() == reader.anchor() == journal.head()
        assert verify_journal(fresh, KIOSK) == 0
