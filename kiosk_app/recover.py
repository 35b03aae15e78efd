"""`lastmile-kiosk recover`: a technician saves what is legible of a damaged journal and goes on.

Place in the flow: damaged journal.db → **recover** → fresh journal.db, the old one set aside.

    copy      the file and its log are copied; only the copy is opened, and only to look
    build     what chains goes into a fresh file, a new epoch begins, the till is made from it
    swap      the old file is renamed, never deleted; then the fresh one takes its name

* Cut off at any step, the verb is simply given again; until then the counter does not start.
* A journal that is whole is left alone.
* Entries that were lost may have spent any lease of that time. So no lease pays any more but those
  that the core granted after it had taken note of the recovery: by its own clock, not by ours.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.entry import Head, decode_entry, op_id
from edge.errors import DeviceFault, LastmileError, LocalError, PeerError
from edge.journal import MIGRATIONS, Journal, Recovery
from edge.purposes import answer_id
from edge.recovery import Salvage, nothing_saved, refill_journal, salvage_journal
from edge.store import open_reader, open_store, take_lock
from kiosk_app import catalogue, till
from kiosk_app.privacy import mask_account
from kiosk_app.receipt import Receipt, receipt_number
from kiosk_app.till import Spend, Till

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.mirror import MirrorReader
    from edge.ports import Clock, Counter
    from edge.store import Store

TABLES: Final = (MIGRATIONS, till.MIGRATIONS, catalogue.MIGRATIONS)
DAMAGE: Final = frozenset(
    {"journal-damaged", "journal-epoch", "journal-rollback", "store-damaged", "store-key"}
)
MISSING: Final = "journal-missing"
UNKNOWN_NAME: Final = "*"


@dataclass(frozen=True, slots=True)
class Patient:
    """The kiosk whose journal is recovered.

    Attributes:
        path: Of the journal.
        key: What it is encrypted with, or None.
        device: Its id.
        village: For receipts.
        clock: Stamps the new epoch.
        counter: Rollback witness, or None.
        verify: Checks signatures of the core.
        mirror: What the agent last noted, or None while there is no mirror.
    """

    path: Path
    key: bytes | None
    device: str
    village: str
    clock: Clock
    counter: Counter | None
    verify: Callable[[bytes, bytes], None]
    mirror: MirrorReader | None


def refuse_half_recovered(path: Path) -> None:
    """Keeps a counter from starting between the two halves of a swap.

    Raises:
        LocalError: A recovery was interrupted.
    """
    if _beside(path, "fresh").exists():
        raise LocalError(
            "A recovery of the journal was interrupted. Give `lastmile-kiosk recover` once more.",
            "recovery-unfinished",
        )


def recover(patient: Patient, last_epoch: int | None = None) -> str:
    """Saves what is legible and begins a new epoch.

    Args:
        patient: Which kiosk.
        last_epoch: The last epoch that the bank knows of; where neither file nor mirror can tell,
            and to go on though the file does not open with this device's key.

    Returns:
        What was done, for the technician.

    Raises:
        LocalError: The journal is whole, another program has it open, or it belongs elsewhere.
        DeviceFault: Its key does not fit, or the disk is full or failing; all is as it was.
    """
    lock = take_lock(patient.path)
    try:
        if not patient.path.exists() and _beside(patient.path, "fresh").exists():
            kept = _swap(patient.path, interrupted=True)
            return f"The recovery that was interrupted is finished. {kept} Start the counter."
        _remove(_beside(patient.path, "fresh"))
        reason, salvage = _examine(patient, last_epoch)
        epoch = _next_epoch(patient, salvage, last_epoch)
        _build(patient, salvage, Recovery(epoch, reason))
        kept = _swap(patient.path)
    finally:
        lock.close()
    return (
        f"Saved up to entry {salvage.head.epoch}/{salvage.head.seq} ({reason}); goes on as epoch "
        f"{epoch}. {kept} Start the counter; it pays out again when the bank has looked, and "
        "has granted new leases."
    )


# ------------------------------------------------------------------ looking
def _examine(patient: Patient, last_epoch: int | None) -> tuple[str, Salvage]:
    """Returns what is wrong with the file, and what can be saved of it."""
    if not patient.path.exists():
        return MISSING, nothing_saved(patient.device)
    copy = _beside(patient.path, "copy")
    try:
        _remove(copy)
        for end in ("", "-wal"):
            part = patient.path.with_name(patient.path.name + end)
            if part.exists():
                shutil.copyfile(part, copy.with_name(copy.name + end))
        reason = _diagnose(patient, copy, last_epoch)
        return reason, _salvage(patient, copy)
    except OSError as error:
        raise DeviceFault(
            f"{patient.path} cannot be copied ({error.strerror}). Free some space, or bring the "
            "disk to the bank.",
            "recovery-copy",
        ) from error
    finally:
        _remove(copy)


def _diagnose(patient: Patient, copy: Path, last_epoch: int | None) -> str:
    try:
        with open_store(copy, TABLES, patient.key) as store:
            journal = Journal(store, patient.device, patient.clock, patient.counter)
            if _knows_mark(patient, journal):
                raise LocalError(
                    f"{patient.path} is whole; nothing is recovered. Start the counter.",
                    "recovery-needless",
                )
    except DeviceFault as fault:
        if fault.code not in DAMAGE or (fault.code == "store-key" and last_epoch is None):
            raise
        return fault.code
    return "rollback"


def _knows_mark(patient: Patient, journal: Journal) -> bool:
    """Tells whether the journal has the last entry that the core is known to hold."""
    mark, anchor = _mark(patient), journal.anchor()
    if mark is None or (anchor and (mark.epoch, mark.seq) <= (anchor.epoch, anchor.seq)):
        return True
    lost = journal.goes_on_at(mark.epoch, mark.seq) is not None
    return lost or journal.hash_at(mark.epoch, mark.seq) == mark.hash


def _mark(patient: Patient) -> Head | None:
    noted: Any = patient.mirror.noted("mark") if patient.mirror else None
    return Head(noted["epoch"], noted["seq"], noted["head"]) if isinstance(noted, dict) else None


def _salvage(patient: Patient, copy: Path) -> Salvage:
    try:
        with open_reader(copy, patient.key) as store:
            return salvage_journal(store, patient.device, patient.verify)
    except LastmileError:
        return nothing_saved(patient.device)


def _next_epoch(patient: Patient, salvage: Salvage, last_epoch: int | None) -> int:
    mark = _mark(patient)
    return 1 + max(salvage.epoch, mark.epoch if mark else 1, last_epoch or 1)


# ------------------------------------------------------------------ building
def _build(patient: Patient, salvage: Salvage, recovery: Recovery) -> None:
    """Writes the fresh file; it has its name only once it is whole and on the disk."""
    building = _beside(patient.path, "building")
    _remove(building)
    with open_store(building, TABLES, patient.key) as store, store.transaction():
        refill_journal(store, salvage)
        journal = Journal(store, patient.device, patient.clock, patient.counter, recovery=recovery)
        _rebuild_till(patient, store, salvage)
        head = journal.head()
        Till(store).note_recovery(op_id(patient.device, head.epoch, head.seq))
    building.replace(_beside(patient.path, "fresh"))
    _remove(building)


def _rebuild_till(patient: Patient, store: Store, salvage: Salvage) -> None:
    """Makes spends, receipts and the floor of time from the entries that were saved."""
    kept = Till(store)
    customers = patient.mirror.items("customers") if patient.mirror else {}
    for place, raw in salvage.entries:
        with contextlib.suppress(PeerError, KeyError, TypeError, ValueError):
            entry = decode_entry(raw)
            kept.raise_floor(entry["wall_us"])
            if entry["kind"] == "cash-withdrawal":
                _keep_withdrawal(patient, kept, place, entry, customers)


def _keep_withdrawal(
    patient: Patient, kept: Till, place: Head, entry: dict[str, Any], customers: dict[str, Any]
) -> None:
    body, number = entry["body"], op_id(patient.device, place.epoch, place.seq)
    spent, amount_fen = answer_id(body["pin_answer"]), int(body["amount_fen"])
    if amount_fen <= 0 or kept.answer_is_spent(spent):
        return
    account = str(body["account"])
    customer = customers.get(body["customer"])
    name = customer["name_masked"] if isinstance(customer, dict) else UNKNOWN_NAME
    receipt = Receipt(
        number, receipt_number(patient.device, place.epoch, place.seq), patient.device,
        patient.village, str(name), mask_account(account), amount_fen, entry["wall_us"],
        place.epoch, place.seq, place.hash,
    )  # fmt: skip
    spend = Spend(number, str(body["lease"]), account, amount_fen, entry["wall_us"])
    kept.keep_spend(spend, spent)
    kept.keep_receipt(receipt)


# ------------------------------------------------------------------ files
def _swap(path: Path, *, interrupted: bool = False) -> str:
    """Sets the old file aside, if there is one, and gives the fresh one its name."""
    number = 1
    while _beside(path, f"damaged-{number}").exists():
        number += 1
    aside = _beside(path, f"damaged-{number - 1 if interrupted else number}")
    for end in ("", "-wal"):
        part = path.with_name(path.name + end)
        if part.exists():
            part.replace(aside.with_name(aside.name + end))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    _beside(path, "fresh").replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return f"The old file is kept as {aside.name}." if aside.exists() else "There was no old file."


def _beside(path: Path, end: str) -> Path:
    return path.with_name(f"{path.name}.{end}")


def _remove(path: Path) -> None:
    for end in ("", "-wal", "-shm", ".lock"):
        path.with_name(path.name + end).unlink(missing_ok=True)
