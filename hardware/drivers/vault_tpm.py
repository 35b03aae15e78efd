"""A vault that only this machine's TPM can open: a stolen disk is noise.

Place in the flow: TPM, `vault.sealed` → **vault_tpm** → `edge.ports.KeyVault` → stores.

* The file holds the master as the TPM sealed it; it is no secret, and worth nothing elsewhere.
* Who takes the whole machine and can run programs on it can ask the TPM as we do: what protects
  then is the lock on the housing and on the operating system.
* A TPM that was cleared or exchanged leaves the stores closed for ever: what the core does not hold
  yet is lost, so the agent is to upload before a board is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import PeerError
from hardware.drivers.vault_file import (
    MASTER_BYTES,
    derive_key,
    read_once,
    vault_damaged,
    write_once,
)

if TYPE_CHECKING:
    from pathlib import Path

    from edge.ports import Randomness
    from hardware.drivers.tpm import Tpm


class TpmVault:
    """Fulfils `edge.ports.KeyVault`.

    Args:
        tpm: Whose.
        path: The file with the sealed master.
        randomness: Makes the master.
    """

    where = "tpm"

    def __init__(self, tpm: Tpm, path: Path, randomness: Randomness) -> None:
        self._tpm = tpm
        self._path = path
        self._randomness = randomness
        self._master = b""

    def key(self, name: str) -> bytes:
        """Returns the 32 bytes of a name.

        Raises:
            LocalError: The file is not the owner's alone.
            DeviceFault: File or TPM cannot be used, or another TPM sealed the master.
        """
        if not self._master:
            self._master = self._open()
        return derive_key(self._master, name)

    def _open(self) -> bytes:
        sealed = read_once(self._path)
        if sealed is None:
            made = self._tpm.seal(self._randomness.token(MASTER_BYTES))
            sealed = write_once(self._path, made, self._randomness)
        try:
            master = self._tpm.unseal(sealed)
        except PeerError as error:
            raise vault_damaged(self._path) from error
        if len(master) != MASTER_BYTES:
            raise vault_damaged(self._path)
        return master
