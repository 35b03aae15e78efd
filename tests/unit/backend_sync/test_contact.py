"""Claims about disks that are not what they were: an old copy, another counter, a recovery."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backend_sync.core.registry import fund_drawer
from backend_sync.messages import downlink_path, journal_path
from edge.closing import DayClosed, sign_day_closed
from edge.entry import Head, genesis
from edge.errors import DeviceFault, LocalError
from edge.journal import MIGRATIONS, Journal, Recovery
from edge.keys import verifier
from edge.mirror import Mirror
from edge.store import open_store
from tests.unit.backend_sync.agent.village import (
    DEVICE,
    START_US,
    Core,
    Kiosk,
    Wire,
    make_core,
    make_kiosk,
)
from tests.unit.edge.desk import PaperCounter

if TYPE_CHECKING:
    from pathlib import Path

    from backend_sync.core.database import Connection

UP, DOWN = journal_path(DEVICE), downlink_path(DEVICE)


@pytest.fixture
def core(connection: Connection, tmp_path: Path) -> Core:
    return make_core(connection, tmp_path)


@pytest.fixture
def kiosk(core: Core, tmp_path: Path) -> Kiosk:
    """A kiosk with a counter that has counted before."""
    return replace(make_kiosk(core, tmp_path / "kiosk"), counter=PaperCounter(40))


@pytest.fixture
def wire(core: Core) -> Wire:
    return Wire(core)


def copy_disk(kiosk: Kiosk, pattern: str = "journal.db*") -> Path:
    kept = kiosk.folder.parent / "kept"
    kept.mkdir()
    for path in kiosk.folder.glob(pattern):
        shutil.copy(path, kept)
    return kept


def restore_disk(kiosk: Kiosk, kept: Path) -> None:
    for path in kept.iterdir():
        shutil.copy(path, kiosk.folder)


def reasons(core: Core, kind: str) -> list[str]:
    rows = core.connection.execute(
        "SELECT reason FROM exceptions WHERE kind = %s ORDER BY exception", [kind]
    )
    return [str(reason) for (reason,) in rows.fetchall()]


def state(core: Core) -> tuple[str, str]:
    row = core.connection.execute("SELECT state, state_reason FROM devices").fetchone()
    assert row is not None
    return str(row[0]), str(row[1])


def is_noticed(core: Core, kiosk: Kiosk, words: str) -> None:
    """The core knows and has quarantined; the agent, and by its notes the kiosk, knows too."""
    assert state(core) == ("quarantined", "rollback")
    found = reasons(core, "rollback")
    assert len(found) == 1
    assert words in found[0]
    assert (kiosk.noted("uplink"), kiosk.noted("halt_code")) == ("halted", "rollback")


# ------------------------------------------------------------------ old copies
@pytest.mark.parametrize("lost", [2, 3, 7])
def test_an_old_copy_restored_before_its_entries_were_sent_is_noticed(
    lost: int, core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    kept = copy_disk(kiosk)
    kiosk.write(lost)
    restore_disk(kiosk, kept)
    outcome = kiosk.meet(wire)
    assert outcome.downlink_error is None
    is_noticed(core, kiosk, f"it counts 43, its counter is at {43 + lost}")


def test_the_loss_of_one_entry_looks_like_a_power_cut_until_the_next_is_written(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    kept = copy_disk(kiosk)
    kiosk.write(1)
    kiosk.meet(wire)
    restore_disk(kiosk, kept)
    (kiosk.folder / "mirror.db").unlink()
    assert kiosk.meet(wire).halt_code == "rollback", "but what was sent is missed all the same"
    assert state(core)[0] == "active"


@pytest.mark.parametrize("copied", ["journal.db*", "*.db*"])
@pytest.mark.parametrize("sent", [True, False])
def test_an_old_copy_is_noticed_at_the_next_contact(
    copied: str, sent: bool, core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    kiosk.meet(wire)
    kept = copy_disk(kiosk, copied)
    kiosk.write(4)
    if sent:
        kiosk.meet(wire)
    restore_disk(kiosk, kept)
    kiosk.meet(wire)
    is_noticed(core, kiosk, "it counts 43, its counter is at 47")


def test_an_empty_disk_in_the_place_of_one_that_was_written_is_noticed(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(5)
    kiosk.meet(wire)
    for leftover in kiosk.folder.glob("*.db*"):
        leftover.unlink()
    kiosk.meet(wire)
    is_noticed(core, kiosk, "it counts 40, its counter is at 45")


def test_an_old_copy_of_which_uploads_ended_is_noticed_too(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    kiosk.meet(wire)
    kiosk.write(2)
    kept = copy_disk(kiosk)
    kiosk.write(4)
    restore_disk(kiosk, kept)
    wire.before = lambda path, body: b"" if path == UP else body
    kiosk.meet(wire)
    is_noticed(core, kiosk, "it counts 45, its counter is at 49")


# ------------------------------------------------------------------ another counter
@pytest.mark.parametrize("value", [0, 1, 42])
def test_a_counter_that_was_replaced_is_noticed(
    value: int, core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    kiosk.meet(wire)
    kiosk.counter = PaperCounter(value)
    kiosk.meet(wire)
    is_noticed(core, kiosk, f"it is at {value}, the journal counts 43")


def test_a_counter_that_is_gone_is_noticed(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    kiosk.write(3)
    kiosk.meet(wire)
    kiosk.counter = None
    kiosk.meet(wire)
    is_noticed(core, kiosk, "it is at 0, the journal counts 43")


def test_a_counter_that_fell_with_a_new_epoch_is_noticed(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    kiosk.meet(wire)
    kiosk.counter = PaperCounter(3)
    recover(kiosk, 2)
    wire.before = lambda path, body: b"" if path == UP else body
    kiosk.meet(wire)
    is_noticed(core, kiosk, "it is at 4, the journal counts 43")


def test_a_kiosk_that_is_quarantined_for_its_counter_gets_no_float_but_hears(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    kiosk.meet(wire)
    kiosk.counter = PaperCounter()
    kiosk.meet(wire)
    with pytest.raises(LocalError, match="no float"):
        fund_drawer(core.connection, DEVICE, 100, core.connection.info.backend_pid, START_US)  # type: ignore[arg-type]
    wire.carried.clear()
    outcome = kiosk.meet(wire)
    assert (outcome.downlink_error, outcome.halt_code) == (None, "rollback")
    assert [path for path, _ in wire.carried] == [DOWN]
    assert len(reasons(core, "rollback")) == 1, "the same thing again is nothing new"


def test_a_kiosk_that_is_quarantined_for_a_fork_is_told_so(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.meet(wire)
    core.connection.execute("UPDATE devices SET state = 'quarantined', state_reason = 'x'")
    assert kiosk.meet(wire).halt_code == "fork"


# ------------------------------------------------------------------ what is innocent
def is_trusted(core: Core) -> None:
    assert state(core)[0] == "active"
    assert reasons(core, "rollback") == []


def test_a_power_cut_between_counter_and_entry_is_innocent(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    assert kiosk.counter is not None
    kiosk.meet(wire)
    for number in range(1, 4):
        kiosk.counter.advance_to(40 + number)
        assert kiosk.meet(wire).good
        kiosk.write(1)
        assert kiosk.meet(wire).good
    is_trusted(core)
    assert core.entries() == kiosk.chain()


def test_a_request_that_comes_late_is_innocent(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    for _ in range(4):
        kiosk.meet(wire)
        kiosk.write(2)
    recover(kiosk, 7)
    kiosk.meet(wire)
    asked = [body for path, body in wire.carried if path == DOWN]
    for body in asked:
        core.answer(DOWN, body)
    is_trusted(core)


def test_entries_that_wait_still_are_innocent(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    kiosk.write(3)
    kiosk.meet(wire)
    kiosk.write(5)
    wire.before = lambda path, body: b"" if path == UP else body
    kiosk.meet(wire)
    is_trusted(core)


def test_a_counter_that_is_fitted_later_is_innocent(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    counter, kiosk.counter = kiosk.counter, None
    kiosk.write(3)
    kiosk.meet(wire)
    kiosk.counter = counter
    kiosk.meet(wire)
    kiosk.write(2)
    kiosk.meet(wire)
    is_trusted(core)
    assert core.entries() == kiosk.chain()


def test_a_journal_that_cannot_be_read_says_nothing_of_its_counter(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    kiosk.meet(wire)
    kiosk.journal.write_bytes(b"this is no database, it was one once" * 100)
    kiosk.meet(wire)
    is_trusted(core)


def test_an_entry_that_nobody_understands_says_nothing_of_the_counter(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    kiosk.meet(wire)
    core.connection.execute("SET session_replication_role = replica")
    core.connection.execute("UPDATE journal_entries SET entry = 'x' WHERE seq = 3")
    core.connection.execute("SET session_replication_role = DEFAULT")
    kiosk.counter = PaperCounter()
    kiosk.meet(wire)
    is_trusted(core)


def test_another_branch_is_a_fork_and_no_matter_of_counters(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    kiosk.meet(wire)
    core.connection.execute("SET session_replication_role = replica")
    core.connection.execute("UPDATE journal_entries SET hash = %s WHERE seq = 3", [bytes(32)])
    core.connection.execute("SET session_replication_role = DEFAULT")
    kiosk.counter = PaperCounter()
    wire.before = lambda path, body: b"" if path == UP else body
    kiosk.meet(wire)
    is_trusted(core)


class RestlessCounter(PaperCounter):
    """A counter that somebody raises between any two looks, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__(40)
        self.times = times

    def read(self) -> int:
        self.times -= 1
        self.value += self.times >= 0
        return self.value


def test_counter_and_place_are_read_together_while_the_kiosk_writes(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.counter = RestlessCounter(9)
    assert kiosk.meet(wire).downlink_error is None
    kiosk.counter = RestlessCounter(99)
    fault = kiosk.meet(wire).downlink_error
    assert isinstance(fault, DeviceFault)
    assert fault.code == "counter-busy"
    is_trusted(core)


# ------------------------------------------------------------------ recoveries
def recover(kiosk: Kiosk, saved: int, epoch: int = 2) -> None:
    """What a technician's program does: a fresh file with the first entries, and a new epoch."""
    with open_store(kiosk.journal, [MIGRATIONS]) as store:
        rows = store.rows("SELECT * FROM journal WHERE epoch > 1 OR seq <= ?", (saved,))
    for leftover in kiosk.folder.glob("journal.db*"):
        leftover.unlink()
    with open_store(kiosk.journal, [MIGRATIONS]) as store:
        values = [(row["epoch"], row["seq"], row["entry"], row["hash"]) for row in rows]
        store.execute_many("INSERT INTO journal VALUES (?, ?, ?, ?)", values)
        recovery = Recovery(epoch, "journal-damaged")
        Journal(store, DEVICE, kiosk.clock, kiosk.counter, recovery=recovery)


def stored(core: Core) -> list[tuple[int, int]]:
    rows = core.connection.execute("SELECT epoch, seq FROM journal_heads ORDER BY epoch")
    return [(int(epoch), int(seq)) for epoch, seq in rows.fetchall()]


@pytest.mark.parametrize("mirror_too", [False, True])
def test_a_recovery_that_lost_what_the_core_holds_goes_on(
    mirror_too: bool, core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(5)
    kiosk.meet(wire)
    recover(kiosk, 3)
    if mirror_too:
        kiosk.mirror.unlink()
    outcome = kiosk.meet(wire)
    assert (outcome.good, outcome.halt_code) == (True, "")
    kiosk.write(2)
    assert kiosk.meet(wire).good
    assert stored(core) == [(1, 5), (2, 3)]
    assert reasons(core, "journal-recovered") == [
        "It was saved up to 1/3. At most 0 entries never reached the core."
    ]
    assert reasons(core, "new-epoch") == []
    is_trusted(core)
    core.post_all()
    assert reasons(core, "suspense") == []


@pytest.mark.parametrize(("saved", "unsent"), [(6, 4), (4, 4), (2, 4), (0, 4), (7, 4)])
def test_a_recovery_that_lost_what_the_core_never_saw_says_how_much_at_most(
    saved: int, unsent: int, core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(4)
    kiosk.meet(wire)
    kiosk.write(unsent)
    recover(kiosk, saved)
    assert kiosk.meet(wire).good
    lost = 4 + unsent - max(4, saved)
    assert reasons(core, "journal-recovered") == [
        f"It was saved up to 1/{saved}. At most {lost} entries never reached the core."
    ]
    assert stored(core) == [(1, max(4, saved)), (2, 1)]
    is_trusted(core)


def test_without_a_counter_nobody_knows_what_a_recovery_lost(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.counter = None
    kiosk.write(4)
    kiosk.meet(wire)
    recover(kiosk, 2)
    assert kiosk.meet(wire).good
    assert reasons(core, "journal-recovered") == [
        "It was saved up to 1/2. Without a counter nobody knows what was lost."
    ]


def test_epochs_that_were_lost_whole_are_passed_over(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    kiosk.write(4)
    kiosk.meet(wire)
    recover(kiosk, 2, 5)
    assert kiosk.meet(wire).good
    recover(kiosk, 2, 7)
    assert kiosk.meet(wire).good
    assert stored(core) == [(1, 4), (5, 1), (7, 1)]


def test_a_recovery_over_another_branch_says_so(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    kiosk.write(2)
    kept = copy_disk(kiosk)
    kiosk.write(2)
    kiosk.meet(wire)
    restore_disk(kiosk, kept)
    counter, kiosk.counter = kiosk.counter, None
    kiosk.write(1, lambda _: "another")
    kiosk.counter = counter
    recover(kiosk, 3)
    assert kiosk.meet(wire).halt_code == "fork"
    assert state(core) == ("quarantined", "fork")
    assert reasons(core, "fork") == [
        "Two journals: another entry 1/3 was saved than the one stored here."
    ]


def test_a_recovery_that_names_an_entry_the_core_has_not_says_so(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    recover(kiosk, 3)
    with kiosk.open_mirror() as store:
        mark = {"epoch": 2, "seq": 0, "head": genesis(DEVICE, 2)}
        Mirror(store).note("mark", mark)
    assert kiosk.meet(wire).halt_code == ""
    assert stored(core) == [(2, 1)]
    assert reasons(core, "journal-recovered") == [
        "It was saved up to 1/3, an entry that never reached the core."
    ]


def test_uploads_that_ended_go_on_once_the_journal_was_recovered(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(5)
    with open_store(kiosk.journal, []) as store:
        store.execute("DROP TRIGGER journal_unchanged")
        store.execute("UPDATE journal SET entry = x'00' WHERE seq = 4")
    assert kiosk.meet(wire).halt_code == "journal-damaged"
    recover(kiosk, 3)
    outcome = kiosk.meet(wire)
    assert (outcome.good, outcome.halt_code, kiosk.noted("uplink")) == (True, "", "ready")
    assert stored(core) == [(1, 3), (2, 1)]


def test_a_fork_is_not_mended_by_a_recovery(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    kiosk.write(3)
    kiosk.meet(wire)
    core.connection.execute("UPDATE devices SET state = 'quarantined', state_reason = 'fork'")
    kiosk.meet(wire)
    recover(kiosk, 3)
    assert kiosk.meet(wire).halt_code == "fork"
    assert stored(core) == [(1, 3)]


def test_what_was_quarantined_for_its_counter_goes_on_when_recovered_and_looked_at(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    kept = copy_disk(kiosk)
    kiosk.write(4)
    restore_disk(kiosk, kept)
    kiosk.meet(wire)
    recover(kiosk, 3)
    assert kiosk.meet(wire).halt_code, "nobody has looked"
    core.connection.execute("UPDATE devices SET state = 'active'")
    kiosk.mirror.unlink()
    assert kiosk.meet(wire).good
    assert state(core)[0] == "active"
    assert stored(core) == [(1, 3), (2, 1)]


# ------------------------------------------------------------------ pruned journals
def test_a_pruned_journal_goes_on_even_with_a_new_mirror(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(6)
    kiosk.meet(wire)
    whole = kiosk.chain()
    with open_store(kiosk.journal, [MIGRATIONS]) as store:
        journal = Journal(store, DEVICE, kiosk.clock, kiosk.counter)
        closed = DayClosed(DEVICE, "2026-07-01", Head(1, 5, whole[4][1]), 5, {})
        statement = sign_day_closed(core.signer, closed)
        assert journal.prune(statement, verifier(core.signer.public_bytes)) == 4
    assert kiosk.meet(wire).good
    kiosk.mirror.unlink()
    kiosk.write(1)
    assert kiosk.meet(wire).good
    assert kiosk.noted("mark_seq") == 7
    assert core.entries() == whole + kiosk.chain()[-1:]
    is_trusted(core)


def test_a_core_that_is_behind_what_it_closed_gets_no_more(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(6)
    kiosk.meet(wire)
    head = kiosk.chain()[4][1]
    with open_store(kiosk.journal, [MIGRATIONS]) as store:
        journal = Journal(store, DEVICE, kiosk.clock, kiosk.counter)
        closed = DayClosed(DEVICE, "2026-07-01", Head(1, 5, head), 5, {})
        journal.prune(sign_day_closed(core.signer, closed), verifier(core.signer.public_bytes))
    core.connection.execute("SET session_replication_role = replica")  # an older backup is back
    core.connection.execute("DELETE FROM journal_entries")
    core.connection.execute("DELETE FROM journal_heads")
    core.connection.execute("SET session_replication_role = DEFAULT")
    assert kiosk.meet(wire).halt_code == "rollback"
    assert core.entries() == []
