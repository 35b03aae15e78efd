"""Chooses what keeps the keys and what counts, as the configuration says.

Place in the flow: `[vault]` and `[counter]` → **vault** → KeyVault, Counter → stores, journal.

* Nothing is touched before it is used: a TPM that comes late is found then.
* Only provisioning creates a counter; a vault makes its master when it is first asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import LocalError
from hardware.drivers.counter_file import FileCounter
from hardware.drivers.counter_tpm import TpmCounter
from hardware.drivers.tpm import Tpm
from hardware.drivers.vault_file import FileVault
from hardware.drivers.vault_tpm import TpmVault

if TYPE_CHECKING:
    from edge.config import CounterSection, VaultSection
    from edge.ports import KeyVault, Randomness


def choose_vault(settings: VaultSection, randomness: Randomness) -> KeyVault:
    """Returns the vault that the settings name."""
    if settings.kind == "tpm":
        return TpmVault(Tpm(settings.tcti), settings.path, randomness)
    return FileVault(settings.path, randomness)


def choose_counter(settings: CounterSection) -> FileCounter | TpmCounter | None:
    """Returns the counter that the settings name, or None where the device has none.

    Raises:
        LocalError: A file is asked for and not named.
    """
    if settings.kind == "tpm":
        return TpmCounter(Tpm(settings.tcti), settings.index)
    if settings.kind == "none":
        return None
    if settings.path is None:
        raise LocalError(
            "A counter in a file needs its place on the second medium: set [counter] path.",
            "config-key",
        )
    return FileCounter(settings.path)
