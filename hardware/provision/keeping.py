"""A kiosk's vault and counter: made once, checked at each installation, never made anew unasked.

Place in the flow: install → **keeping** → [vault] and [counter] of `kiosk.toml` and `agent.toml`.

    --tpm TCTI             keys sealed to the TPM, and a counter in it
    --counter-file FILE    the counter on a second medium, a card or stick
    neither                files in the device's folder: for a desk, and said so

* What the settings name and is not there any more is a fault: a vault or counter that was made anew
  would lock the stores, or forget what it witnessed.
* The vault of a kiosk that has stores is never changed: they would not open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.config import CounterSection, VaultSection, convert, read_toml
from edge.errors import DeviceFault, LocalError
from edge.purposes import JOURNAL_KEY
from edge.sqlite import HAS_CIPHER
from hardware.drivers.vault import choose_counter, choose_vault

if TYPE_CHECKING:
    from pathlib import Path

    from edge.ports import Randomness

    Section = dict[str, Any]

VAULT_FILE: Final = {"kind": "file", "path": "keys/vault.key"}
COUNTER_FILE: Final = {"kind": "file", "path": "keys/counter"}
SEALED: Final = "keys/vault.sealed"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the technician names; empty keeps what was set before.

    Attributes:
        tpm: TCTI of a TPM, such as `device:/dev/tpmrm0`.
        counter_file: Absolute path on a second medium.
    """

    tpm: str = ""
    counter_file: str = ""


NOTHING: Final = Wishes()


def keep(folder: Path, wishes: Wishes, randomness: Randomness) -> dict[str, Section]:
    """Returns the sections [vault] and [counter] to write, once both are there and work.

    Args:
        folder: Of the device.
        wishes: What the technician names now.
        randomness: Makes the vault's master.

    Raises:
        LocalError: No SQLCipher here, or another vault is asked for than the stores were made with.
        DeviceFault: TPM, card or file cannot be used, or is gone.
    """
    require_cipher()
    before = _settings(folder)
    vault = _vault(before.get("vault"), wishes)
    counter = _counter(before.get("counter"), wishes)
    kept = convert(vault, VaultSection, folder / "kiosk.toml")
    _refuse_other_vault(folder, before.get("vault"), kept)
    choose_vault(kept, randomness).key(JOURNAL_KEY)
    counts = choose_counter(convert(counter, CounterSection, folder / "kiosk.toml"))
    if counts is not None:
        if counter != before.get("counter") or wishes.counter_file:
            counts.create()
        counts.read()
    return {"vault": vault, "counter": counter}


def require_cipher() -> None:
    """Refuses to make a kiosk where its stores could not be encrypted.

    Raises:
        LocalError: There is no SQLCipher.
    """
    if not HAS_CIPHER:
        raise LocalError(
            "A kiosk's stores are encrypted, and this installation has no SQLCipher. Install "
            "lastmile[kiosk] here, with sqlcipher3.",
            "kiosk-cipher",
        )


def judge_keys(folder: Path, randomness: Randomness) -> tuple[bool, str]:
    """Says where a kiosk's keys lie, once they could be had."""
    section = _settings(folder).get("vault")
    if section is None:
        return True, "none yet; a kiosk gets them at install"
    vault = choose_vault(convert(section, VaultSection, folder / "kiosk.toml"), randomness)
    vault.key(JOURNAL_KEY)
    if vault.where == "file":
        return True, "in a file: who takes the whole machine can read its stores; use a TPM"
    return True, "sealed to the TPM of this machine"


def judge_counter(folder: Path) -> tuple[bool, str]:
    """Says what would notice an old copy of a kiosk's disk, once it could be read."""
    section = _settings(folder).get("counter")
    if section is None:
        return True, "none yet; a kiosk gets one at install"
    settings = convert(section, CounterSection, folder / "kiosk.toml")
    counter = choose_counter(settings)
    if counter is None:
        return True, "none: an old copy of the disk is noticed by the core alone"
    value = counter.read()
    if settings.path is None:
        return True, f"at {value} in the TPM of this machine"
    if settings.path.stat().st_dev == folder.stat().st_dev:
        return True, f"at {value} on the disk of the stores: witnesses nothing, for a desk only"
    return True, f"at {value} on a second medium"


def _settings(folder: Path) -> dict[str, Section]:
    path = folder / "kiosk.toml"
    return read_toml(path) if path.exists() else {}


def _vault(before: Section | None, wishes: Wishes) -> Section:
    if wishes.tpm:
        return {"kind": "tpm", "path": SEALED, "tcti": wishes.tpm}
    return before or dict(VAULT_FILE)


def _counter(before: Section | None, wishes: Wishes) -> Section:
    if wishes.counter_file:
        return {"kind": "file", "path": wishes.counter_file}
    if wishes.tpm:
        return {"kind": "tpm", "tcti": wishes.tpm}
    return before or dict(COUNTER_FILE)


def _refuse_other_vault(folder: Path, before: Section | None, vault: VaultSection) -> None:
    if before is None:
        return
    if before.get("kind") == vault.kind and not vault.path.exists():
        raise DeviceFault(
            f"{vault.path}, which holds the keys of this kiosk, is gone. Put it back; if that "
            "cannot be, keep this device for the bank and provision another.",
            "vault-missing",
        )
    has_stores = (folder / "data" / "journal.db").exists() or (folder / "mirror.db").exists()
    if before.get("kind") != vault.kind and has_stores:
        raise LocalError(
            f"The stores in {folder} are encrypted with the keys of its {before.get('kind')} vault "
            "and would not open with others. Have everything uploaded, then provision in a new "
            "folder.",
            "vault-change",
        )
