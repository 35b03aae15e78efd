"""What a person at the bank must look at: opened by the machine, never closed by it.

Place in the flow: accept, post, leases → **exceptions** → report (clearing with four eyes follows
with the day close).

* The pair (kind, subject) is unique: raising the same exception again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend_sync.core.database import Connection


@dataclass(frozen=True, slots=True)
class Raised:
    """One thing to look at.

    Attributes:
        kind: `suspense`, `poison`, `fork`, `rollback`, `new-epoch`, ...
        subject: What it is about, such as an operation id.
        device: The device concerned, or None.
        reason: Stable word or sentence.
        amount_fen: Money in question, 0 when none.
    """

    kind: str
    subject: str
    device: str | None
    reason: str
    amount_fen: int = 0


def raise_exceptions(connection: Connection, raised: Sequence[Raised], now_us: int) -> None:
    """Opens exceptions inside the caller's transaction."""
    if not raised:
        return
    connection.execute(
        "INSERT INTO exceptions (kind, subject, device, reason, amount_fen, opened_us) "
        "SELECT kind, subject, device, reason, amount_fen, %s FROM unnest(%s::text[], %s::text[], "
        "%s::text[], %s::text[], %s::bigint[]) AS n (kind, subject, device, reason, amount_fen) "
        "ON CONFLICT (kind, subject) DO NOTHING",
        [
            now_us,
            [each.kind for each in raised],
            [each.subject for each in raised],
            [each.device for each in raised],
            [each.reason for each in raised],
            [each.amount_fen for each in raised],
        ],
    )
