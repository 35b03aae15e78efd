"""Claims about recovered and pruned journals: the core takes what is left, and says what is not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge.closing import DayClosed, sign_day_closed
from edge.entry import Head, genesis
from edge.journal import Journal
from edge.keys import verifier
from edge.mirror import Mirror
from hardware.sim.counter import SimCounter
from tests.unit.backend_sync.agent.village import (
    DEVICE,
    Core,
    Kiosk,
    Wire,
    copy_disk,
    is_trusted,
    make_core,
    make_kiosk,
    reasons,
    recover,
    restore_disk,
    state,
    stored,
)

if TYPE_CHECKING:
    from pathlib import Path

    from backend_sync.core.database import Connection


@pytest.fixture
def core(connection: Connection, tmp_path: Path) -> Core:
    return make_core(connection, tmp_path)


@pytest.fixture
def kiosk(core: Core, tmp_path: Path) -> Kiosk:
    """A kiosk with a counter that has counted before."""
    return replace(make_kiosk(core, tmp_path / "kiosk"), counter=SimCounter(40))


@pytest.fixture
def wire(core: Core) -> Wire:
    return Wire(core)


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
    with kiosk.open_journal() as store:
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
    with kiosk.open_journal() as store:
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
    with kiosk.open_journal() as store:
        journal = Journal(store, DEVICE, kiosk.clock, kiosk.counter)
        closed = DayClosed(DEVICE, "2026-07-01", Head(1, 5, head), 5, {})
        journal.prune(sign_day_closed(core.signer, closed), verifier(core.signer.public_bytes))
    core.connection.execute("SET session_replication_role = replica")  # an older backup is back
    core.connection.execute("DELETE FROM journal_entries")
    core.connection.execute("DELETE FROM journal_heads")
    core.connection.execute("SET session_replication_role = DEFAULT")
    assert kiosk.meet(wire).halt_code == "rollback"
    assert core.entries() == []
