"""A vault that is a file: it closes a copy of the stores only while the file is not copied too.

Place in the flow: `vault.key` → **vault_file** → `edge.ports.KeyVault` → stores.

    master   32 random bytes, made once
    key      HKDF-SHA256(master, info = CBOR ["lastmile vault", name])

* Who takes the whole machine has file and stores: status and self-test say that the key lies in a
  file, and a kiosk with a TPM uses that instead.
* Two programs that start at the same time get the same master: a file appears whole, and only once.
* The file is the owner's alone, 0600; one that others can read is refused.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.codec import encode
from edge.errors import DeviceFault, LocalError
from edge.keys import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

    from edge.ports import Randomness

MASTER_BYTES: Final = 32
DRAFT_TOKEN_BYTES: Final = 8
OTHERS: Final = 0o077


class FileVault:
    """Fulfils `edge.ports.KeyVault`.

    Args:
        path: The file with the master, outside of the folder that holds the stores.
        randomness: Makes the master.
    """

    where = "file"

    def __init__(self, path: Path, randomness: Randomness) -> None:
        self._path = path
        self._randomness = randomness

    def key(self, name: str) -> bytes:
        """Returns the 32 bytes of a name.

        Raises:
            LocalError: The file is not the owner's alone.
            DeviceFault: It cannot be read or written, or is damaged.
        """
        return derive_key(self._master(), name)

    def _master(self) -> bytes:
        master = read_once(self._path)
        if master is None:
            master = write_once(self._path, self._randomness.token(MASTER_BYTES), self._randomness)
        if len(master) != MASTER_BYTES:
            raise vault_damaged(self._path)
        return master


def derive_key(master: bytes, name: str) -> bytes:
    """Returns the key of a name, from which neither master nor another key can be told."""
    info = encode(["lastmile vault", name])
    return HKDF(hashes.SHA256(), MASTER_BYTES, salt=None, info=info).derive(master)


def read_once(path: Path) -> bytes | None:
    """Reads a file of the owner's, or returns None when there is none yet.

    Raises:
        LocalError: Others can read or write it.
        DeviceFault: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
        # The program that made it may not have come so far, and may never.
        sync_folder(path.parent)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DeviceFault(
            f"The vault {path} cannot be read ({error.strerror}). Start the program as the user "
            "that the file belongs to.",
            "vault-read",
        ) from error
    if mode & OTHERS:
        raise LocalError(
            f"The vault {path} can be read by others. If nobody else had access, run chmod 600 on "
            "it; else provision this device anew.",
            "vault-mode",
        )
    return content


def write_once(path: Path, content: bytes, randomness: Randomness) -> bytes:
    """Writes a file that is not there, durably; returns what is there afterwards.

    Another program may have been faster; then its content counts, and ours is forgotten.

    Raises:
        DeviceFault: It cannot be written.
    """
    draft = path.with_name(f".{path.name}.{randomness.token(DRAFT_TOKEN_BYTES).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            content = path.read_bytes()
        finally:
            draft.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise DeviceFault(
            f"The vault {path} cannot be written ({error.strerror}); free some space, then repeat.",
            "vault-write",
        ) from error
    return content


def vault_damaged(path: Path) -> DeviceFault:
    """Returns the fault of a vault that holds something else."""
    return DeviceFault(
        f"The vault {path} is damaged. Put a copy of it back if there is one; else keep this "
        "machine for the bank and provision anew.",
        "vault-damaged",
    )
