"""A counter in a file on a second medium: a card or stick that is not on the journal's disk.

Place in the flow: second medium → **counter_file** → `edge.ports.Counter` → journal, agent.

* It witnesses a restored disk only while it lies on another one; who copies both back is not seen.
* Provisioning makes the file. One that is gone later is a fault, never a counter at 0.
* It is replaced wholly and synced before `advance_to` returns; it refuses to go down.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault
from edge.keys import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

LINE_BYTES_MAX: Final = 32
VALUE_MAX: Final = 2**63 - 1


class FileCounter:
    """Fulfils `edge.ports.Counter`.

    Args:
        path: One decimal number and the end of its line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self) -> None:
        """Makes the counter at 0; changes nothing when it is there.

        Raises:
            DeviceFault: The medium is not there or cannot be written, or what is there is damaged.
        """
        if self._path.exists():
            self.read()
        else:
            self._write(0)

    def read(self) -> int:
        """Returns the present value.

        Raises:
            DeviceFault: The file or its medium is missing, or damaged.
        """
        try:
            with self._path.open("rb") as file:
                content = file.read(LINE_BYTES_MAX)
        except OSError as error:
            raise DeviceFault(
                f"The counter {self._path} cannot be read ({error.strerror}). Put back the card or "
                "stick that it is on; if it is lost, keep this device as it is and call the bank.",
                "counter-missing",
            ) from error
        digits = content.removesuffix(b"\n")
        if content == digits or not digits.isdigit() or int(digits) > VALUE_MAX:
            raise DeviceFault(
                f"The counter {self._path} is damaged. Keep this device as it is, with the card or "
                "stick in it, and call the bank.",
                "counter-damaged",
            )
        return int(digits)

    def advance_to(self, value: int) -> None:
        """Raises the counter to `value`.

        Raises:
            DeviceFault: The file or its medium is missing, damaged, full or not writable.
        """
        if value > self.read():
            self._write(value)

    def _write(self, value: int) -> None:
        draft = self._path.with_name(f".{self._path.name}.new")
        try:
            with draft.open("wb") as file:
                file.write(b"%d\n" % value)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise DeviceFault(
                f"The counter {self._path} cannot be written ({error.strerror}). Check that the "
                "card or stick is in, is not full and is not write-protected.",
                "counter-write",
            ) from error
