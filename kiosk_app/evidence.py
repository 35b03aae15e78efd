"""`lastmile-kiosk evidence`: a run of the journal as one signed file, for the bank or a court.

Place in the flow: journal → **evidence** → a file → `lastmile-core evidence`.

* The journal is only read: the counter may be open meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import DeviceFault, LocalError
from edge.evidence import export_evidence
from edge.journal import JournalReader
from edge.store import open_reader

if TYPE_CHECKING:
    from pathlib import Path

    from edge.ports import Signer


def write_evidence(
    journal: Path, key: bytes | None, signer: Signer, entries: tuple[int, int, int], out: Path
) -> str:
    """Writes a bundle.

    Args:
        journal: The file.
        key: What it is encrypted with, or None.
        signer: The kiosk's own key.
        entries: Epoch, or 0 for the present one; first and last entry.
        out: A file that does not exist yet.

    Returns:
        What was written, for the technician.

    Raises:
        LocalError: The journal does not hold them all, or they are too many, or the file exists.
        DeviceFault: The journal cannot be read, or the file not written.
    """
    epoch, first, last = entries
    with open_reader(journal, key) as store:
        reader = JournalReader(store, signer.kid)
        present = epoch or reader.head().epoch
        bundle = export_evidence(reader, signer, present, first, last)
    try:
        with out.open("xb") as file:
            file.write(bundle)
    except FileExistsError as error:
        raise LocalError(f"{out} exists already; name another file.", "evidence-exists") from error
    except OSError as error:
        raise DeviceFault(
            f"{out} cannot be written ({error.strerror}). Name a folder that has room.",
            "evidence-out",
        ) from error
    return f"{out} proves entries {present}/{first} to {present}/{last} of {signer.kid}."
