"""Which facts of a session are private, and how what is shown of them is masked.

Place in the flow: words and service know from it which placeholder may stand where; view hands
the operator's side only what `public_facts` lets through (invariant 8).

* Private unless said otherwise: a fact that nobody declared is private.
* The operator's texts are filled from public facts alone, so a private value has no way in.
* Masking keeps what tells two people apart at one counter, never what identifies them elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNTER_ZONE: Final = timezone(timedelta(hours=8))
"""All of China keeps one time, UTC+8, without summer time."""

ACCOUNT_HEAD: Final = 4
ACCOUNT_TAIL: Final = 4


@dataclass(frozen=True, slots=True)
class Fact:
    """What a name of a session stands for.

    Attributes:
        kind: `fen`, `text`, `bytes`, `time` (microseconds UTC), `count` or `flag`.
        private: For the customer's eyes only.
    """

    kind: str
    private: bool = True


FACTS: Final[Mapping[str, Fact]] = {
    "village": Fact("text", private=False),
    "kiosk": Fact("text", private=False),
    "amount_fen": Fact("fen", private=False),
    # Read from the card.
    "id_number": Fact("text"),
    "id_name": Fact("text"),
    # Answers of the teller.
    "customer": Fact("text"),
    "customer_name": Fact("text"),
    "customer_masked": Fact("text", private=False),
    "account": Fact("text"),
    "account_masked": Fact("text"),
    "balance_fen": Fact("fen"),
    "available_fen": Fact("fen"),
    "pending_fen": Fact("fen"),
    "as_of_us": Fact("time", private=False),
    "lease": Fact("text"),
    "lease_left_fen": Fact("fen"),
    "per_op_fen": Fact("fen"),
    "day_left_fen": Fact("fen"),
    "max_fen": Fact("fen"),
    "pin_verifier": Fact("bytes"),
    "pin_answer": Fact("bytes"),
    "tries_left": Fact("count"),
    "op_id": Fact("text", private=False),
    "receipt": Fact("text", private=False),
    "receipt_status": Fact("text", private=False),
    "receipt_note": Fact("text", private=False),
}
"""The vocabulary of every service; a document may add names of its own, never change these."""


def public_facts(facts: Mapping[str, Any], known: Mapping[str, Fact]) -> dict[str, Any]:
    """Returns what the operator's side may be told."""
    return {name: value for name, value in facts.items() if not _private(name, known)}


def _private(name: str, known: Mapping[str, Fact]) -> bool:
    fact = known.get(name)
    return fact is None or fact.private


def mask_account(account: str) -> str:
    """Hides the middle of an account number: 6230 **** **** 0417; short ones show their end."""
    figures = account.rpartition(":")[2]
    if len(figures) < 2 * (ACCOUNT_HEAD + ACCOUNT_TAIL):
        tail = figures[-ACCOUNT_TAIL:] if len(figures) > ACCOUNT_TAIL else figures[-1:]
        return f"**** {tail}"
    return f"{figures[:ACCOUNT_HEAD]} **** **** {figures[-ACCOUNT_TAIL:]}"


def local(wall_us: int) -> datetime:
    """Returns an instant in the time of the counter; one outside of years 1 to 9999 is 1970."""
    try:
        return (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=wall_us)).astimezone(
            COUNTER_ZONE
        )
    except OverflowError:
        return datetime.fromtimestamp(0, COUNTER_ZONE)


def time_of(wall_us: int) -> str:
    """Returns `hh:mm` at the counter."""
    return f"{local(wall_us):%H:%M}"


def day_of(wall_us: int) -> str:
    """Returns `YYYY-MM-DD` at the counter."""
    return f"{local(wall_us):%Y-%m-%d}"


def moment_of(wall_us: int) -> str:
    """Returns `MM-DD hh:mm` at the counter."""
    return f"{local(wall_us):%m-%d %H:%M}"
