"""Frames of JT/T 808: where a message begins and ends in a stream of bytes.

Place in the flow: TCP → **jtt808_frames** → jtt808_messages → jtt808_session → door.

    0x7e | header, body | check | 0x7e        check = XOR of all bytes of header and body
           0x7e is sent as 0x7d 0x02, 0x7d as 0x7d 0x01      JT/T 808-2013 §4.4.2 and §4.4.4

* However a stream is cut into pieces, the same messages come out of it.
* Bytes are hostile: what is no frame is counted and passed over, and the next 0x7e begins anew.
* What is held of an unfinished frame is bounded; a longer one is passed over to its end.
"""

from __future__ import annotations

from collections import Counter
from functools import reduce
from operator import xor
from typing import Final

FLAG: Final = b"\x7e"
ESCAPE: Final = 0x7D
CONTENT_BYTES_MIN: Final = 12
"""The shortest header: that of 2013 without sub-packages."""
CONTENT_BYTES_MAX: Final = 21 + 1_023
"""The longest header, that of 2019 with sub-packages, and the longest body (10 bits)."""
FRAME_BYTES_MAX: Final = 2 * (CONTENT_BYTES_MAX + 1)
"""Between two flags, if every byte were escaped."""


class Frames:
    """Cuts a stream into the contents of its frames.

    Attributes:
        counts: What was passed over: frames by reason, and bytes before the first flag.
        nonsense: Frames that were passed over since the last good one.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.nonsense = 0
        self._held = bytearray()
        self._begun = False
        self._too_long = False

    def feed(self, piece: bytes) -> list[bytes]:
        """Takes a piece of the stream and returns header and body of each frame it completes."""
        contents = []
        *whole, rest = piece.split(FLAG)
        for part in whole:
            self._hold(part)
            content = self._finish()
            if content is not None:
                contents.append(content)
        self._hold(rest)
        return contents

    def _hold(self, part: bytes) -> None:
        if not self._begun:
            self.counts["jtt808-garbage"] += len(part)
        elif self._too_long or len(self._held) + len(part) > FRAME_BYTES_MAX:
            self._too_long = True
            self._held.clear()
        else:
            self._held += part

    def _finish(self) -> bytes | None:
        """Ends the frame under way at a flag, which begins the next one too."""
        held, too_long = bytes(self._held), self._too_long
        self._held.clear()
        self._begun, self._too_long = True, False
        if not held and not too_long:
            return None
        content = unescape(held)
        reason = "jtt808-overlong" if too_long else _fault(content)
        if reason or content is None:
            self.counts[reason] += 1
            self.nonsense += 1
            return None
        self.nonsense = 0
        return content[:-1]


def _fault(content: bytes | None) -> str:
    """Says what is wrong with an unescaped frame, or nothing."""
    if content is None:
        return "jtt808-escape"
    if not CONTENT_BYTES_MIN < len(content) <= CONTENT_BYTES_MAX + 1:
        return "jtt808-length"
    return "jtt808-check" if reduce(xor, content) else ""


def frame(content: bytes) -> bytes:
    """Returns a frame as it is sent.

    Args:
        content: Header and body.
    """
    checked = content + bytes([reduce(xor, content, 0)])
    escaped = checked.replace(b"\x7d", b"\x7d\x01").replace(FLAG, b"\x7d\x02")
    return FLAG + escaped + FLAG


def unescape(escaped: bytes) -> bytes | None:
    """Returns what stood between two flags before it was escaped; None where an escape is none."""
    if ESCAPE not in escaped:
        return escaped
    first, *others = escaped.split(b"\x7d")
    if any(part[:1] not in {b"\x01", b"\x02"} for part in others):
        return None
    spelled = {1: b"\x7d", 2: FLAG}
    return first + b"".join(spelled[part[0]] + part[1:] for part in others)
