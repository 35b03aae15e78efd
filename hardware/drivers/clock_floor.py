"""The last known time on disk: two files that are written in turn, so that one is always whole.

Place in the flow: timekeeping_feed → **clock_floor** → two files; read at the next start.

    {"at_us":1772411400000000,"until_us":1772411700000000,...} 9ab01f4c     JSON, blank, CRC-32

* A file is replaced wholly and synced. One that is torn, empty or damaged all the same is passed
  over, and the other one holds; which is newer stands in them, never in a date of the disk.
* None at all is a box that starts for the first time.
"""

from __future__ import annotations

import json
import os
import zlib
from typing import TYPE_CHECKING, Any, Final

from edge.errors import DeviceFault
from edge.keys import sync_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAMES: Final = ("clock-0.json", "clock-1.json")
BYTES_MAX: Final = 4_096


class ClockFloor:
    """Two files in a folder.

    Args:
        folder: Where the box keeps its data; it must be there when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self._paths = [folder / name for name in NAMES]
        self._newest: int | None = None

    def read(self) -> dict[str, Any] | None:
        """Returns what was written last, None where nothing whole is."""
        found = [_read(path) for path in self._paths]
        whole = [place for place, each in enumerate(found) if each is not None]
        if not whole:
            return None
        self._newest = max(whole, key=lambda place: (found[place] or {})["at_us"])
        return found[self._newest]

    def write(self, known: Mapping[str, Any]) -> None:
        """Keeps it durably in the older of the two files.

        Args:
            known: `at_us` and `until_us`, and texts and integers for people.

        Raises:
            DeviceFault: The disk is full, failing or not there.
        """
        if self._newest is None:
            self.read()
        place = 0 if self._newest is None else 1 - self._newest
        path = self._paths[place]
        text = json.dumps(dict(known), separators=(",", ":")).encode("ascii")
        draft = path.with_name(f".{path.name}.new")
        try:
            with draft.open("wb") as file:
                file.write(b"%s %08x\n" % (text, zlib.crc32(text)))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            raise DeviceFault(
                f"The last known time cannot be written to {path} ({error.strerror}). Check that "
                "the disk is not full and not write-protected.",
                "clock-write",
            ) from error
        self._newest = place


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            line = file.read(BYTES_MAX)
        text, _, checksum = line.rstrip(b"\n").rpartition(b" ")
        if int(checksum, 16) != zlib.crc32(text):
            return None
        known = json.loads(text)
    except (OSError, ValueError):
        return None
    times = [known.get(name) for name in ("at_us", "until_us")] if isinstance(known, dict) else []
    return known if times and all(type(value) is int for value in times) else None
