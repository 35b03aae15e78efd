"""The ID reader's own end of the line: it answers the frames that a real one answers.

Place in the flow: `hardware.drivers.id_reader.IdReader` ↔ **this** ↔ `card.json` in a folder.

* The card is whatever lies in `sim_dir/card.json` at that instant; no file is no card.
* A card that cannot be made into bytes is one that a reader cannot read, not an error here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from edge.errors import PeerError
from hardware.drivers.id_reader import (
    FIELDS,
    FIND,
    FOUND,
    NO_CARD,
    OK,
    READ,
    READ_FAILED,
    SELECT,
    FrameDecoder,
    IdCard,
    IdReader,
    encode_card,
    encode_frame,
)

if TYPE_CHECKING:
    from pathlib import Path

    from edge.ports import Clock

CARD_NAME: Final = "card.json"
CHIP_ID: Final = bytes(8)
UNKNOWN_COMMAND: Final = b"\0\0\x21"


class ReaderEnd:
    """A reader on a desk; fulfils `hardware.drivers.serial_line.ByteStream` for its driver.

    Args:
        sim_dir: Where a person puts the card.
    """

    def __init__(self, sim_dir: Path) -> None:
        self._card = sim_dir / CARD_NAME
        self._decoder = FrameDecoder()
        self._answers = bytearray()
        self._selected: bytes | None = None

    def write(self, data: bytes) -> None:
        """Takes what the driver sends; a damaged frame gets no answer, as from a real one."""
        try:
            bodies = self._decoder.feed(data)
        except PeerError:
            return
        for body in bodies:
            self._answers += encode_frame(self._answer(body[:2]))

    def read(self, timeout_ms: int) -> bytes:
        """Returns the answers that wait; a simulated reader needs no time."""
        del timeout_ms
        data = bytes(self._answers)
        self._answers.clear()
        return data

    def close(self) -> None:
        """Takes nothing away: the card stays on the desk."""

    def _answer(self, command: bytes) -> bytes:
        lying = self._lying()
        if lying is None or lying != self._selected:
            # What was selected is gone, or another card lies there.
            self._selected = None
        if command == FIND:
            fresh = lying is not None and self._selected is None
            return FOUND + bytes(4) if fresh else NO_CARD
        if command == SELECT:
            self._selected = lying
            return NO_CARD if lying is None else OK + CHIP_ID
        if command == READ:
            return NO_CARD if self._selected is None else _read_answer(self._selected)
        return UNKNOWN_COMMAND

    def _lying(self) -> bytes | None:
        try:
            return self._card.read_bytes()
        except OSError:
            return None


def _read_answer(content: bytes) -> bytes:
    try:
        told = json.loads(content)
        card = IdCard(**{name: str(told[name]) for name, _ in FIELDS})
        return OK + encode_card(card)
    except (ValueError, KeyError, TypeError, StopIteration):
        return READ_FAILED


def simulated_id_reader(sim_dir: Path, clock: Clock) -> IdReader:
    """Returns the real driver with a simulated reader at the other end of its line."""
    return IdReader(ReaderEnd(sim_dir), clock)
