"""Claims about disks that are not what they were: an old copy, or another counter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backend_sync.core.registry import derived_id, fund_drawer
from backend_sync.messages import downlink_path, journal_path
from edge.errors import DeviceFault, LocalError
from hardware.sim.counter import SimCounter
from tests.unit.backend_sync.agent.village import (
    DEVICE,
    START_US,
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
)

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
    return replace(make_kiosk(core, tmp_path / "kiosk"), counter=SimCounter(40))


@pytest.fixture
def wire(core: Core) -> Wire:
    return Wire(core)


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
    kiosk.counter = SimCounter(value)
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
    kiosk.counter = SimCounter(3)
    recover(kiosk, 2)
    wire.before = lambda path, body: b"" if path == UP else body
    kiosk.meet(wire)
    is_noticed(core, kiosk, "it is at 4, the journal counts 43")


def test_a_kiosk_that_is_quarantined_for_its_counter_gets_no_float_but_hears(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    kiosk.meet(wire)
    kiosk.counter = SimCounter()
    kiosk.meet(wire)
    with pytest.raises(LocalError, match="no float"):
        fund_drawer(core.connection, DEVICE, 100, derived_id("float", "1"), START_US)
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
    kiosk.counter = SimCounter()
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
    kiosk.counter = SimCounter()
    wire.before = lambda path, body: b"" if path == UP else body
    kiosk.meet(wire)
    is_trusted(core)


class RestlessCounter(SimCounter):
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
