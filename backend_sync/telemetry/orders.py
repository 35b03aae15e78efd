"""Orders to boxes: issued and numbered, sent until answered, and what was answered.

Place in the flow: `lastmile-core campaign|command send` → **orders** → consumer → down topic;
evidence of the box → store → **orders**.

    issued ──sent, and again ever more rarely──> answered: taken, done, failed, refused, unknown
       └── a newer campaign: superseded       └── its expiry: never sent again

* A box follows an order only if its number is higher than all before: of campaigns the newest
  alone is sent, of commands the oldest that is not answered, so that none overtakes another.
* An order is the same bytes each time it is sent; sending twice is harmless.
* What a box answers is evidence in its chain. The first answer counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.errors import LocalError
from edge.orders import CAMPAIGN_TYPE, COMMAND_TYPE, sign_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

    from backend_sync.telemetry.claim import Claim
    from edge.ports import Signer

LOCK: Final = 7_201_003
PAUSE_US: Final = 30_000_000
PAUSE_US_MAX: Final = 3_600_000_000
ROUND_MAX: Final = 200
DOUBLINGS_MAX: Final = 7
CODE_CHARACTERS_MAX: Final = 40
SUPERSEDED: Final = "superseded"
COMMAND_OUTCOMES: Final = frozenset({"done", "failed", "refused", "unknown"})


@dataclass(frozen=True, slots=True)
class Draft:
    """An order that has no number yet.

    Attributes:
        name: For people: the campaign's id and version, or the verb.
        record: Its fields but `device`, `group` and `seq`.
        group: Named instead of the device; then all devices get the same bytes.
    """

    name: str
    record: Mapping[str, Any]
    group: str = ""


@dataclass(frozen=True, slots=True)
class OrderLine:
    """An order as `list` shows it."""

    device: str
    kind: str
    seq: int
    name: str
    issued_us: int
    expires_us: int
    sent: int
    outcome: str | None
    code: str | None
    told_us: int | None


def issue(
    connection: psycopg.Connection[Any],
    signer: Signer,
    draft: Draft,
    devices: Sequence[str],
    now_us: int,
) -> dict[str, int]:
    """Signs an order for each device, or one for all of a group, and keeps it to be sent.

    Returns:
        The number by device.

    Raises:
        LocalError: A device is no gateway of this core, or the order is over already.
    """
    kind, expires_us = draft.record["type"], draft.record["expiry_us"]
    if expires_us <= now_us:
        raise LocalError("The order would be over before it is sent.", "order-over")
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        numbers = _next_numbers(connection, kind, devices)
        if draft.group:
            numbers = dict.fromkeys(numbers, max(numbers.values()))
        signed = _signed(signer, draft, numbers)
        for device, seq in numbers.items():
            if kind == CAMPAIGN_TYPE:
                _supersede(connection, device, now_us)
            connection.execute(
                "INSERT INTO telemetry_orders"
                " (device, kind, seq, name, message, issued_us, expires_us, next_us)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                [device, kind, seq, draft.name, signed[device], now_us, expires_us, now_us],
            )
    return numbers


def _signed(signer: Signer, draft: Draft, numbers: Mapping[str, int]) -> dict[str, bytes]:
    if draft.group:
        place = {"group": draft.group, "seq": max(numbers.values())}
        return dict.fromkeys(numbers, sign_order(signer, {**draft.record, **place}))
    return {
        device: sign_order(signer, {**draft.record, "device": device, "seq": seq})
        for device, seq in numbers.items()
    }


def _next_numbers(
    connection: psycopg.Connection[Any], kind: str, devices: Sequence[str]
) -> dict[str, int]:
    rows = connection.execute(
        "SELECT d.device, coalesce(max(o.seq), 0) + 1 FROM devices d"
        " LEFT JOIN telemetry_orders o ON o.device = d.device AND o.kind = %s"
        " WHERE d.device = ANY (%s) AND d.kind = 'gateway' AND d.state <> 'retired'"
        " GROUP BY d.device ORDER BY d.device",
        [kind, list(devices)],
    ).fetchall()
    numbers = {str(device): int(seq) for device, seq in rows}
    unknown = sorted(set(devices) - set(numbers))
    if unknown or not numbers:
        raise LocalError(
            f"{', '.join(unknown) or 'Nobody'} is no gateway of this core; see device add.",
            "order-device",
        )
    return numbers


def _supersede(connection: psycopg.Connection[Any], device: str, now_us: int) -> None:
    connection.execute(
        "UPDATE telemetry_orders SET outcome = %s, told_us = %s"
        " WHERE device = %s AND kind = %s AND outcome IS NULL",
        [SUPERSEDED, now_us, device, CAMPAIGN_TYPE],
    )


TAKE_DUE: Final = """
    UPDATE telemetry_orders o SET sent = sent + 1,
        next_us = %(now)s
            + least(%(pause)s::bigint * (1 << least(sent, %(doublings)s)::int), %(most)s)
    FROM (
        SELECT device, kind, seq FROM telemetry_orders p
        WHERE outcome IS NULL AND next_us <= %(now)s AND expires_us > %(now)s
          AND NOT EXISTS (
            SELECT 1 FROM telemetry_orders e
            WHERE e.device = p.device AND e.kind = p.kind AND e.seq < p.seq
              AND e.outcome IS NULL AND e.expires_us > %(now)s)
        ORDER BY next_us LIMIT %(round)s FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE (o.device, o.kind, o.seq) = (due.device, due.kind, due.seq)
    RETURNING o.device, o.message"""


def take_due(connection: psycopg.Connection[Any], now_us: int) -> list[tuple[str, bytes]]:
    """Returns (device, message) of what is to be sent now, and notes that it is.

    Args:
        connection: Outside of a transaction.
        now_us: The present, microseconds UTC.
    """
    terms = {
        "now": now_us,
        "pause": PAUSE_US,
        "most": PAUSE_US_MAX,
        "doublings": DOUBLINGS_MAX,
        "round": ROUND_MAX,
    }
    with connection.transaction():
        rows = connection.execute(TAKE_DUE, terms).fetchall()
    return [(str(device), bytes(message)) for device, message in sorted(rows)]


def save_outcomes(cursor: psycopg.Cursor[Any], fresh: Sequence[Claim], known_us: int) -> None:
    """Keeps what boxes answered, with the messages that say it."""
    answers = [answer for claim in fresh if (answer := _answer(claim)) is not None]
    cursor.executemany(
        "UPDATE telemetry_orders SET outcome = %s, code = %s, told_us = %s"
        " WHERE device = %s AND kind = %s AND seq = %s AND (outcome IS NULL OR outcome = %s)",
        [(out, code, known_us, *place, SUPERSEDED) for place, out, code in answers],
    )


def _answer(claim: Claim) -> tuple[tuple[str, str, int], str, str] | None:
    """Returns ((device, kind, number), outcome, code), None where it is no answer of this form."""
    record = claim.record
    number, code = record.get("order"), record.get("code", "")
    if type(number) is not int or not 0 < number < 2**48 or not isinstance(code, str):
        return None
    code = code[:CODE_CHARACTERS_MAX]
    if claim.kind == "campaign-taken":
        return (claim.device, CAMPAIGN_TYPE, number), "taken", ""
    if claim.kind == "campaign-refused":
        return (claim.device, CAMPAIGN_TYPE, number), "refused", code
    outcome = record.get("outcome")
    if claim.kind == "command-done" and outcome in COMMAND_OUTCOMES:
        return (claim.device, COMMAND_TYPE, number), str(outcome), code
    return None


def list_orders(
    connection: psycopg.Connection[Any], kind: str, device: str | None
) -> list[OrderLine]:
    """Returns orders of a kind, of one device or of all, the latest first."""
    rows = connection.execute(
        "SELECT device, kind, seq, name, issued_us, expires_us, sent, outcome, code, told_us"
        " FROM telemetry_orders WHERE kind = %s AND (%s::text IS NULL OR device = %s)"
        " ORDER BY issued_us DESC, device, seq DESC",
        [kind, device, device],
    ).fetchall()
    return [OrderLine(*row) for row in rows]
