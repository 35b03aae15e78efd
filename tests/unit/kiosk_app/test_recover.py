"""Claims about a recovery: what chains is kept, nothing is deleted, and no old lease pays again."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from edge.closing import DayClosed, sign_day_closed
from edge.entry import Head, genesis
from edge.errors import DeviceFault, LocalError
from edge.journal import Journal, verify_journal
from edge.keys import verifier
from edge.mirror import Mirror, MirrorReader
from edge.purposes import JOURNAL_KEY
from edge.store import open_store
from hardware.sim.counter import SimCounter
from kiosk_app.receipt import qr_text
from kiosk_app.recover import TABLES, Patient, recover, refuse_half_recovered
from kiosk_app.till import Till
from tests.unit.kiosk_app.village import KIOSK, village_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.store import Store
    from tests.unit.kiosk_app.village import Village

PAGE = 4_096


def path_of(village: Village) -> Path:
    return village.folder / "data" / "journal.db"


def patient(village: Village, **changes: Any) -> Patient:
    parts: dict[str, Any] = {
        "path": path_of(village), "key": village_key(village.folder, JOURNAL_KEY),
        "device": KIOSK, "village": "新立村", "clock": village.clock, "counter": None,
        "verify": verifier(village.bank.core.public_bytes),
        "mirror": MirrorReader(village.bank.store),
    }  # fmt: skip
    return Patient(**{**parts, **changes})


def pay(village: Village, *amounts: int) -> None:
    for fen in amounts:
        village.withdraw(fen)
        village.press("operator", "finish")
        village.turn(200)
    assert len(village.facts()) >= len(amounts)


def change(village: Village, act: Callable[[Store], object]) -> None:
    """Does what a failing disk does, without asking triggers."""
    with open_store(path_of(village), TABLES, village_key(village.folder, JOURNAL_KEY)) as store:
        for name in ("journal_unchanged", "journal_permanent"):
            store.execute(f"DROP TRIGGER {name}")
        act(store)


def lose(village: Village, seq: int) -> None:
    village.cut()
    change(village, lambda store: store.execute(f"DELETE FROM journal WHERE seq = {seq}"))


def offer(village: Village) -> str:
    """What the teller says to a customer who asks for a lease."""
    village.mirror.poll()
    teller = village.teller
    who = teller.ask("customer", {"id_number": village.villager.card.number})
    assert who.outcome == "ok"
    return teller.ask("lease", {**who.facts, "day_max_fen": 2_000_000}).outcome


def files(village: Village) -> set[str]:
    return {path.name for path in path_of(village).parent.iterdir() if path.suffix != ".lock"}


# ---------------------------------------------------------------- what is kept
def test_a_kiosk_goes_on_from_the_last_entry_that_chains(village: Village) -> None:
    pay(village, 20_000, 10_000, 30_000)
    seqs = [entry["seq"] for entry in village.entries()]
    receipts = [village.teller.till.receipt(each.op_id) for each in village.teller.till.spends()]
    lose(village, seqs[-1] - 1)
    before = path_of(village).read_bytes()
    said = recover(patient(village))
    assert f"Saved up to entry 1/{seqs[-1] - 2} (journal-damaged); goes on as epoch 2." in said
    assert files(village) == {"journal.db", "journal.db.damaged-1"}
    assert (path_of(village).parent / "journal.db.damaged-1").read_bytes() == before
    village.open()
    assert village.journal.head() == Head(2, 1, village.journal.hash_at(2, 1) or b"")
    kept = village.teller.till.spends()
    assert [each.amount_fen for each in kept] == [
        each["body"]["amount_fen"] for each in village.entries() if "amount_fen" in each["body"]
    ]
    for spend, receipt in zip(kept, receipts, strict=False):
        again = village.teller.till.receipt(spend.op_id)
        assert receipt is not None
        assert again is not None
        assert qr_text(again) == qr_text(receipt)
        assert (again.number, again.name_masked, again.account_masked, again.amount_fen) == (
            receipt.number, receipt.name_masked, receipt.account_masked, receipt.amount_fen,
        )  # fmt: skip
    assert village.teller.till.time_floor_us() > 0


def test_a_pin_answer_that_was_saved_pays_no_second_time(village: Village) -> None:
    pay(village, 20_000, 10_000, 30_000)
    answers = village.store.rows("SELECT answer FROM lease_spends ORDER BY rowid")
    lose(village, village.journal.head().seq)
    note_mark(village, Head(1, 99, bytes(32)))
    recover(patient(village))
    village.open()
    spent = [village.teller.till.answer_is_spent(bytes(row["answer"])) for row in answers]
    assert spent == [True, True, False]


def test_a_journal_that_is_whole_is_left_alone(village: Village) -> None:
    pay(village, 20_000)
    village.cut()
    before = path_of(village).read_bytes()
    with pytest.raises(LocalError) as refusal:
        recover(patient(village))
    assert refusal.value.code == "recovery-needless"
    assert path_of(village).read_bytes() == before
    assert files(village) == {"journal.db"}


def test_a_counter_that_is_open_is_not_recovered(village: Village) -> None:
    with pytest.raises(LocalError) as refusal:
        recover(patient(village))
    assert refusal.value.code == "store-locked"


def test_another_devices_disk_is_not_recovered(village: Village) -> None:
    pay(village, 20_000)
    village.cut()
    with pytest.raises(DeviceFault) as refusal:
        recover(patient(village, device="kiosk-2", mirror=None))
    assert refusal.value.code == "journal-foreign"
    assert files(village) == {"journal.db"}


# ---------------------------------------------------------------- old copies and nothing at all
def note_mark(village: Village, at: Head) -> None:
    mirror = Mirror(village.bank.store)
    mirror.note("mark", {"epoch": at.epoch, "seq": at.seq, "head": at.hash})


def test_an_old_copy_is_recovered_when_the_core_is_known_to_hold_more(village: Village) -> None:
    pay(village, 20_000)
    note_mark(village, village.journal.head())
    village.cut()
    with pytest.raises(LocalError):
        recover(patient(village))
    note_mark(village, Head(3, 9, bytes(32)))
    assert "(rollback); goes on as epoch 4." in recover(patient(village))
    with pytest.raises(LocalError, match="whole"):
        recover(patient(village))
    village.open()
    assert village.journal.head().epoch == 4


def test_an_old_copy_is_recovered_when_the_counter_says_so(village: Village) -> None:
    counter = SimCounter()
    key = village_key(village.folder, JOURNAL_KEY)
    village.cut()
    with open_store(path_of(village), TABLES, key) as store:
        Journal(store, KIOSK, village.clock, counter).append(
            "FACT", "receipt-copy", {"of": "x", "receipt": "x"}
        )
    counter.advance_to(counter.read() + 5)
    assert "(journal-rollback)" in recover(patient(village, counter=counter))
    with open_store(path_of(village), TABLES, key) as store:
        assert Journal(store, KIOSK, village.clock, counter).find(2, 1) is not None


def test_a_file_that_is_gone_begins_after_what_the_core_knew(village: Village) -> None:
    village.cut()
    path_of(village).unlink()
    note_mark(village, Head(2, 7, bytes(32)))
    said = recover(patient(village))
    assert "Saved up to entry 1/0 (journal-missing); goes on as epoch 3." in said
    assert "There was no old file." in said
    village.open()
    entry = village.journal.find(3, 1)
    assert entry is not None
    assert entry["body"]["hash"] == genesis(KIOSK, 1)


def test_a_file_of_which_nothing_is_legible_needs_the_banks_word(village: Village) -> None:
    pay(village, 20_000)
    village.cut()
    path_of(village).write_bytes(bytes(range(1, 255)) * 100)
    with pytest.raises(DeviceFault) as fault:
        recover(patient(village))
    assert fault.value.code == "store-key", "the vault may be the wrong one"
    assert files(village) == {"journal.db"}
    assert "(store-key); goes on as epoch 8." in recover(patient(village), 7)
    assert files(village) == {"journal.db", "journal.db.damaged-1"}


def test_without_a_mirror_what_was_saved_has_no_names_but_is_saved(village: Village) -> None:
    pay(village, 20_000, 10_000, 30_000)
    lose(village, village.journal.head().seq - 1)
    recover(patient(village, mirror=None))
    village.open()
    receipt = village.teller.till.last_receipt()
    assert receipt is not None
    assert receipt.name_masked == "*"


def test_a_pruned_journal_is_recovered_from_its_anchor(village: Village) -> None:
    pay(village, 20_000, 10_000, 30_000)
    head = village.journal.head()
    at = Head(1, 2, village.journal.hash_at(1, 2) or b"")
    core = village.bank.core
    statement = sign_day_closed(core, DayClosed(KIOSK, "2026-07-01", at, 2, {}))
    assert village.journal.prune(statement, verifier(core.public_bytes)) == 1
    lose(village, head.seq)
    note_mark(village, Head(1, head.seq, head.hash))
    recover(patient(village))
    village.open()
    assert village.journal.anchor() == Head(1, 1, village.journal.hash_at(1, 1) or b"")
    assert verify_journal(village.store, KIOSK) == head.seq - 1


# ---------------------------------------------------------------- money
def test_no_lease_of_before_pays_until_the_bank_has_looked(village: Village) -> None:
    pay(village, 20_000, 10_000)
    lose(village, village.journal.head().seq - 1)
    recover(patient(village))
    village.open()
    assert offer(village) == "no-lease"
    village.clock.turn(60)
    recovery = village.teller.till.recovery()
    assert recovery is not None
    assert recovery[1] is None
    village.bank.lend(lease="0" * 31 + "5")
    assert offer(village) == "no-lease", "the core has not said that it knows"
    village.clock.turn(60)
    village.bank.tell(recovery[0], "posted")
    assert offer(village) == "no-lease", "it was granted before the core knew"
    village.clock.turn(60)
    village.bank.lend(lease="0" * 31 + "6")
    assert offer(village) == "ok"
    village.bank.say("results", recovery[0], None)
    assert offer(village) == "ok", "what was known once stays known"


def test_a_later_recovery_closes_the_counter_again(village: Village) -> None:
    till = Till(village.store)
    assert till.recovery() is None
    till.note_recovery("a")
    till.note_leases_from(7)
    assert till.recovery() == ("a", 7)
    till.note_recovery("b")
    assert till.recovery() == ("b", None)


@pytest.mark.parametrize("told", [3, {"status": "posted"}, {"posted_us": "soon"}])
def test_what_the_core_says_in_no_known_form_opens_nothing(village: Village, told: object) -> None:
    Till(village.store).note_recovery("a")
    village.bank.say("results", "a", told)
    assert offer(village) == "no-lease"


# ---------------------------------------------------------------- cut off anywhere
class PowerCutError(BaseException):
    """The plug was pulled."""


def test_power_may_fail_at_any_step_of_a_swap(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(village, 20_000, 10_000, 30_000)
    lose(village, village.journal.head().seq - 1)
    kept = village.folder / "kept"
    shutil.copytree(path_of(village).parent, kept)
    path_type = type(path_of(village))
    plain = {name: getattr(path_type, name) for name in ("replace", "unlink")}
    steps, cut = 0, True
    while cut:
        shutil.rmtree(path_of(village).parent)
        shutil.copytree(kept, path_of(village).parent)
        left = iter(range(steps))

        def dying(name: str) -> Callable[..., object]:
            def act(self: Path, *arguments: Any, **options: Any) -> object:
                if next(left, None) is None:  # noqa: B023
                    raise PowerCutError
                return plain[name](self, *arguments, **options)

            return act

        with monkeypatch.context() as patched:
            for name in plain:
                patched.setattr(path_type, name, dying(name))
            try:
                recover(patient(village))
                cut = False
            except PowerCutError:
                pass
        if cut:
            finish(village)
        village.open()
        assert village.journal.head().epoch == 2
        assert len(village.teller.till.spends()) == 1
        village.cut()
        assert (
            len([name for name in files(village) if "damaged" in name and "wal" not in name]) == 1
        )
        assert files(village) <= {"journal.db", "journal.db.damaged-1", "journal.db.damaged-1-wal"}
        steps += 1
    assert steps > 10


def finish(village: Village) -> None:
    """What the technician does: starts the counter, which refuses, and gives the verb again."""
    path = path_of(village)
    if path.with_name("journal.db.fresh").exists():
        with pytest.raises(LocalError) as refusal:
            refuse_half_recovered(path)
        assert refusal.value.code == "recovery-unfinished"
    else:
        refuse_half_recovered(path)
    with contextlib.suppress(LocalError):
        recover(patient(village))


def test_a_disk_that_cannot_be_copied_is_left_as_it_is(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(village, 20_000)
    village.cut()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(DeviceFault) as fault:
        recover(patient(village))
    assert fault.value.code == "recovery-copy"
    assert files(village) == {"journal.db"}
