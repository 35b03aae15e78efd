"""Yuan as people write them, fen as we count them; exact in both directions.

Place in the flow: command line → **amounts** → registry, leases.

* No float is ever made: "500", "500.5" and "500.50" are read digit by digit.
* An amount that is not exact to the fen, negative or absurdly large is refused.
"""

from __future__ import annotations

import re
from typing import Final

from edge.errors import LocalError

YUAN: Final = re.compile(r"(\d{1,11})(?:\.(\d{1,2}))?", re.ASCII)
FEN_PER_YUAN: Final = 100


def parse_yuan(text: str) -> int:
    """Returns the fen of an amount in yuan, such as "500" or "500.00".

    Raises:
        LocalError: Not an amount, or not exact to the fen.
    """
    match = YUAN.fullmatch(text)
    if match is None:
        raise LocalError(
            f"{text!r} is no amount; write yuan with at most two decimals, such as 500.00.",
            "amount",
        )
    return int(match[1]) * FEN_PER_YUAN + int((match[2] or "0").ljust(2, "0"))


def format_yuan(fen: int) -> str:
    """Returns fen as yuan with two decimals."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // FEN_PER_YUAN}.{abs(fen) % FEN_PER_YUAN:02d}"
