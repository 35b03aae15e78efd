"""The mirror file as the kiosk sees it: may be absent, may come later, may be thrown away.

Place in the flow: agent writes the file, **this** opens it, teller, catalogue and desk read.

* The kiosk never writes it. A file that was replaced is opened anew; one that is damaged, or that
  this device's key does not open, counts as absent until the agent has made another.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault, LastmileError
from edge.mirror import MirrorReader
from edge.store import open_reader

if TYPE_CHECKING:
    from pathlib import Path

    from edge.store import Store

FOREIGN: Final = frozenset({"store-key", "store-plain", "store-sealed"})

log = logging.getLogger(__name__)


class MirrorFile:
    """The one mirror of this kiosk.

    Args:
        path: Where the agent writes it.
        key: What it is encrypted with; None for a plain one.

    Attributes:
        reader: The open mirror, or None.
    """

    def __init__(self, path: Path, key: bytes | None = None) -> None:
        self._path = path
        self._key = key
        self._store: Store | None = None
        self._inode = 0
        self._version = -1
        self._trouble = ""
        self.reader: MirrorReader | None = None

    def poll(self) -> bool:
        """Opens what has come, lets go of what is gone; tells whether anything may have changed."""
        try:
            inode = self._path.stat().st_ino
        except OSError:
            inode = 0
        if inode != self._inode:
            self.close()
            return self._open(inode)
        try:
            version = self.reader.version() if self.reader else -1
        except DeviceFault as error:
            log.warning("the mirror cannot be read: %s", error)
            self.close()
            return True
        changed = version != self._version
        self._version = version
        return changed

    def close(self) -> None:
        """Lets go of the file; safe to call twice."""
        if self._store is not None:
            self._store.close()
        self._store, self.reader, self._inode, self._version = None, None, 0, -1

    def _open(self, inode: int) -> bool:
        if not inode:
            return True
        try:
            self._store = open_reader(self._path, self._key)
            reader = MirrorReader(self._store)
            # The agent makes the tables a moment after the file.
            reader.noted("contact_us")
            self._version = reader.version()
        except LastmileError as error:
            self.close()
            self._tell(error)
            return True
        self.reader, self._inode, self._trouble = reader, inode, ""
        return True

    def _tell(self, error: LastmileError) -> None:
        """Logs once that the file is another's; one that is not whole yet is nothing to tell."""
        if error.code in FOREIGN and error.code != self._trouble:
            log.warning("the mirror cannot be used: %s (%s)", error, error.code)
        self._trouble = error.code
