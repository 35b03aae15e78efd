"""Makes an encrypted file of a plain one, once, when a kiosk from before gets its vault.

Place in the flow: `lastmile-kiosk encrypt` → **encryption** → the file that store then opens.

    export    plain file, its log folded in → a draft that is encrypted, synced and read back
    swap      the draft takes the name; the plain file keeps a second one, `NAME.plain`
    wipe      `NAME.plain` is overwritten, synced and removed

* A cut at any instant leaves the plain file or the encrypted one whole under its name, and the next
  run finishes what was begun.
* It never runs by itself: a kiosk that converted whatever lies there would believe a file that
  somebody planted.
* Overwriting reaches the file's own blocks. Flash keeps old copies elsewhere: a medium that held
  customers' data in plain is to be destroyed, not sold.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault, LocalError
from edge.keys import sync_folder
from edge.sqlite import HAS_CIPHER, connect, looks_plain
from edge.store import disk_fault, take_lock, translated

if TYPE_CHECKING:
    from pathlib import Path

WIPE_BYTES: Final = 1 << 20
BESIDE: Final = ("-wal", "-shm")
"""Files of a plain database that nobody has open hold nothing once its log is folded in."""


def encrypt_store(path: Path, key: bytes) -> bool:
    """Encrypts a file that was plain; returns False where there was nothing to convert.

    Args:
        path: The SQLite file, which no other program may have open.
        key: 32 bytes.

    Raises:
        LocalError: Another process writes it, or this installation has no SQLCipher.
        DeviceFault: The disk is full or failing, or the file is damaged; the plain one stays.
    """
    if not HAS_CIPHER:
        raise LocalError(
            f"{path} cannot be encrypted: this installation has no SQLCipher. Install "
            "lastmile[kiosk] here, with sqlcipher3.",
            "store-sealed",
        )
    with take_lock(path):
        try:
            return _convert(path, key)
        except OSError as error:
            raise disk_fault(path, error.strerror or "unknown") from error


def _convert(path: Path, key: bytes) -> bool:
    draft, old = (path.with_name(path.name + suffix) for suffix in (".sealing", ".plain"))
    for leftover in path.parent.glob(draft.name + "*"):
        leftover.unlink()
    was_plain = looks_plain(path)
    if was_plain:
        _export(path, draft, key)
        _check(draft, key)
        for name in BESIDE:
            path.with_name(path.name + name).unlink(missing_ok=True)
        old.unlink(missing_ok=True)
        os.link(path, old)
        draft.replace(path)
        sync_folder(path.parent)
    if old.exists():
        _wipe(old)
        sync_folder(path.parent)
    return was_plain


def _export(path: Path, draft: Path, key: bytes) -> None:
    uri = f"{path.absolute().as_uri()}?mode=rw"
    with translated(path), contextlib.closing(connect(uri, None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("ATTACH DATABASE ? AS sealed KEY ?", (str(draft), f"x'{key.hex()}'"))
        connection.execute("SELECT sqlcipher_export('sealed')")
        connection.execute("DETACH DATABASE sealed")


def _check(draft: Path, key: bytes) -> None:
    uri = f"{draft.absolute().as_uri()}?mode=rw"
    with translated(draft), contextlib.closing(connect(uri, key)) as connection:
        bad = connection.execute("PRAGMA cipher_integrity_check").fetchall()
        said = bad or connection.execute("PRAGMA integrity_check").fetchall()
    if said != [("ok",)]:
        raise DeviceFault(
            f"{draft} was not written as it should be; replace this disk. Nothing was changed.",
            "store-damaged",
        )


def _wipe(path: Path) -> None:
    left = path.stat().st_size
    with path.open("r+b") as file:
        while left > 0:
            left -= file.write(bytes(min(left, WIPE_BYTES)))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
