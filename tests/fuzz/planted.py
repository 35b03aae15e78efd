"""A decoder with a bug on purpose: what both engines must find, or they prove nothing.

Place in the flow: **planted** → targets → engines.
"""

from __future__ import annotations

from typing import Final

from edge.errors import PeerError
from tests.fuzz.judge import MIB, Target

HEAD: Final = 10


def trusting(data: bytes) -> None:
    """Takes [bytes] by a head of eight bytes, and trusts the length in it."""
    if data[:1] != b"\x81":
        raise PeerError("This is no array of one.", "planted")
    if data[1:2] == b"\x5b" and len(data) >= HEAD:
        end = HEAD + int.from_bytes(data[2:HEAD], "big")
        _ = data[end - 1]


def hoarding(data: bytes) -> None:
    """Keeps far more than it was given."""
    _ = [data * (MIB // 16) for _ in range(64) if len(data) == 3]


BUGS: Final = (
    Target("trusting", "trusts a length", trusting, lambda: [b"\x81\x41\x00"]),
    Target("hoarding", "takes memory without a bound", hoarding, lambda: [b"\x81\x41"]),
)
