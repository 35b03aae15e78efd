"""Which snapshots are news: the same one is not told again and again.

Place in the flow: `uds`, `obd`, `j1939` → **told** → snapshots of a batch.

* What is unchanged is told again after `AGAIN_US` of data time, so that the core sees it holds.
* Sans-IO and bounded: of `KEYS_MAX` different ones the longest untold is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.codec import encode
from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vehicle_gateway.columns import Snapshot

AGAIN_US: Final = 600_000_000
KEYS_MAX: Final = 256
KEY_FIELDS: Final = ("kind", "standard", "ecu", "system", "status")


class Told:
    """Remembers the last snapshot of each kind, computer and status."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, bytes]] = {}

    def is_news(self, snapshot: Snapshot, part: str = "") -> bool:
        """Says whether a snapshot is to be told, and takes it as told then.

        Args:
            snapshot: At its time.
            part: Tells apart what is said of one computer piece by piece.
        """
        key = "|".join([*(str(snapshot.get(name, "")) for name in KEY_FIELDS), part])
        at_us = snapshot["at_us"]
        content = encode({name: each for name, each in snapshot.items() if name != "at_us"})
        told_us, before = self._last.get(key, (0, b""))
        if before == content and 0 <= at_us - told_us < AGAIN_US:
            return False
        self._last.pop(key, None)
        self._last[key] = at_us, content
        if len(self._last) > KEYS_MAX:
            del self._last[next(iter(self._last))]
        return True

    def state(self) -> dict[str, Any]:
        """Returns what must survive a restart."""
        return {key: [at_us, content] for key, (at_us, content) in self._last.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state before a restart.

        Raises:
            LocalError: It is no such state.
        """
        try:
            self._last = {
                str(key): (int(at_us), bytes(content)) for key, (at_us, content) in state.items()
            }
        except (AttributeError, TypeError, ValueError) as error:
            raise LocalError(
                f"The saved state of snapshots is damaged: {error}.", "decoder-state"
            ) from error
