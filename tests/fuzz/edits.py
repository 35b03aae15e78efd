"""How hypothesis makes hostile bytes: a seed, or any bytes, with a few edits.

Place in the flow: seeds → **edits** → child → judge.

* Edits are drawn, not random, so hypothesis can shrink what it finds.
* Some put in what decoders trip over: heads that promise 2**64, tags, the ends of integers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.fuzz.judge import Target

EDITS_MAX: Final = 5
NASTY: Final = (
    b"\x00", b"\xff", b"\x80", b"\x7f", b"\xd8\x23", b"\xf5", b"\xf6", b"\xa0", b"\x40", b"\x60",
    b"\x1b" + b"\xff" * 8, b"\x3b" + b"\xff" * 8, b"\x5b" + b"\xff" * 8, b"\x9b" + b"\xff" * 8,
    b"\xbb" + b"\xff" * 8, b"\x81" * 20, b"\x1b\x80" + bytes(7), b"\xff" * 9 + b"\x01",
)  # fmt: skip
Edit = tuple[str, int, bytes]


def edited(st: Any, target: Target) -> Any:
    """Returns the strategy of inputs for a target.

    Args:
        st: `hypothesis.strategies`, imported where it is used.
        target: Whose seeds are edited.
    """
    piece = st.one_of(st.sampled_from(NASTY), st.binary(min_size=1, max_size=8))
    edit = st.tuples(
        st.sampled_from(("put", "insert", "delete", "cut")),
        st.integers(0, target.bytes_max),
        piece,
    )
    start = st.one_of(st.sampled_from(target.seeds()), st.binary(max_size=64))
    return st.builds(apply_edits, start, st.lists(edit, max_size=EDITS_MAX)).map(
        lambda data: data[: target.bytes_max]
    )


def apply_edits(data: bytes, edits: list[Edit]) -> bytes:
    """Returns bytes after edits; a place past the end counts from the start again."""
    for name, place, piece in edits:
        at = place % (len(data) + 1)
        if name == "put":
            data = data[:at] + piece + data[at + len(piece) :]
        elif name == "insert":
            data = data[:at] + piece + data[at:]
        elif name == "delete":
            data = data[:at] + data[at + len(piece) :]
        else:
            data = data[:at]
    return data
