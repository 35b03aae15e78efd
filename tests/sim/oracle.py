"""What must be true: at every step, and once all is quiet. Each invariant is a sentence.

Place in the flow: kiosks, boxes, core → **oracle** → nothing, or a `Violation`.

* It looks at the disks of the devices and at the tables of the core, and compares; it trusts
  neither side's own counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from backend_sync.core.downlink import read_pages
from backend_sync.core.reconcile import Report, reconcile
from edge.journal import op_id
from tests.sim.nature import require

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from backend_sync.core.database import Connection
    from tests.sim.box import Box
    from tests.sim.kiosk import Kiosk

BELOW_FLOOR: Final = """
    SELECT account FROM accounts
    WHERE floor_fen IS NOT NULL AND balance_fen - pending_debit_fen < floor_fen"""

OVERSPENT: Final = """
    SELECT l.lease FROM leases l JOIN transfers t ON t.pending = l.reservation
    WHERE t.kind = 'post' GROUP BY l.lease, l.amount_fen, l.count_max
    HAVING sum(t.amount_fen) > l.amount_fen OR count(*) > l.count_max"""


def check_step(connection: Connection) -> None:
    """Checks what must be true at every instant.

    Raises:
        Violation: It is not.
    """
    row = connection.execute("SELECT coalesce(sum(balance_fen), 0) FROM accounts").fetchone()
    require(row is not None and row[0] == 0, "The ledger's sum is zero at every instant.", row)
    below = connection.execute(BELOW_FLOOR).fetchall()
    require(not below, "No account is ever below its floor.", below)
    over = connection.execute(OVERSPENT).fetchall()
    require(not over, "No lease ever pays more than was reserved for it.", over)


def check_end(
    connection: Connection, kiosks: Sequence[Kiosk], boxes: Sequence[Box], now_us: int
) -> Report:
    """Checks what must be true once everything has settled.

    Raises:
        Violation: It is not.
    """
    check_step(connection)
    report = reconcile(connection)
    require(report.sound, "Nothing is lost, double or out of balance.", report.as_dict())
    require(not report.waiting, "Nothing waits to be posted.", report.waiting)
    require(not report.quarantined, "No device is quarantined.", report.quarantined)
    for kiosk in kiosks:
        kiosk.counter()
        kiosk.check_till()
        _check_facts(connection, kiosk)
        _check_drawer(connection, kiosk)
        stale = stale_scopes(connection, kiosk, now_us)
        require(not stale, "Every mirror says what the core says.", f"{kiosk.name}: {stale}.")
    for box in boxes:
        _check_box(connection, box)
    return report


# ------------------------------------------------------------------ kiosks
def _check_facts(connection: Connection, kiosk: Kiosk) -> None:
    """Every FACT once, and in suspense only what the customer's pad did not sign."""
    rows = connection.execute(
        "SELECT e.op_id, o.status, o.reason FROM journal_entries e "
        "LEFT JOIN outcomes o USING (op_id) WHERE device = %s",
        [kiosk.name],
    ).fetchall()
    outcomes = {op: (status, reason) for op, status, reason in rows}
    entries = {
        UUID(op_id(kiosk.name, each["epoch"], each["seq"])): each for each in kiosk.entries()
    }
    invariant = "Every FACT of every kiosk is posted or in suspense, exactly once."
    missing = sorted(entries[op]["seq"] for op in set(entries) - set(outcomes))
    require(not missing, invariant, f"the core lacks entries {missing} of {kiosk.name}.")
    require(set(outcomes) == set(entries), invariant, f"the core made up some of {kiosk.name}.")
    for op, entry in entries.items():
        status, reason = outcomes[op]
        forged = entry["body"].get("pin_answer") in kiosk.forged
        wanted = ("suspense", "pin-answer") if forged else ("posted", "")
        require(
            (status, reason) == wanted,
            "What the pad has signed is posted, and only what it has not is in suspense.",
            f"entry {entry['seq']} of {kiosk.name} is {status} {reason}.",
        )


def _check_drawer(connection: Connection, kiosk: Kiosk) -> None:
    row = connection.execute(
        "SELECT -balance_fen FROM accounts WHERE account = %s", [f"drawer:{kiosk.name}"]
    ).fetchone()
    assert row is not None
    funded = connection.execute(
        "SELECT coalesce(sum(amount_fen), 0) FROM transfers t "
        "JOIN accounts a ON a.account_id = t.debit_id WHERE code = 'float' AND account = %s",
        [f"drawer:{kiosk.name}"],
    ).fetchone()
    assert funded is not None
    paid = sum(each["body"]["amount_fen"] for each in kiosk.withdrawals())
    invariant = "The cash that was paid out is the cash that left the drawer."
    require(funded[0] - paid == row[0], invariant, f"{kiosk.name}: {funded[0]} {paid} {row[0]}.")


def stale_scopes(connection: Connection, kiosk: Kiosk, now_us: int) -> list[str]:
    """Returns the scopes in which a kiosk's mirror is not what the core would say."""
    pages, _ = read_pages(connection, kiosk.name, {}, now_us)
    wanted: dict[str, dict[str, Any]] = {page["scope"]: dict(page["upserts"]) for page in pages}
    known = kiosk.known()
    return sorted(scope for scope in wanted if known.get(scope, {}) != wanted[scope])


# ------------------------------------------------------------------ boxes
def _check_box(connection: Connection, box: Box) -> None:
    name = [box.name]
    rows = connection.execute(
        "SELECT epoch, seq, digest FROM telemetry_messages WHERE device = %s", name
    ).fetchall()
    stored = {(int(epoch), int(seq)): bytes(digest) for epoch, seq, digest in rows}
    gaps = connection.execute(
        "SELECT epoch, first, last FROM telemetry_gaps WHERE device = %s", name
    ).fetchall()
    covered = {(e, seq) for e, first, last in gaps for seq in range(first, last + 1)}
    invariant = "Every message of every box is stored exactly, or covered by a signed gap."
    lost = sorted(p for p in box.sealed if p not in stored and p not in covered)
    require(not lost, invariant, f"the core lacks {lost[:5]} of {box.name}.")
    other = [p for p in stored if box.sealed.get(p, stored[p]) != stored[p]]
    require(not other, invariant, f"the core has something else as {other[:5]} of {box.name}.")
    streams = connection.execute(
        "SELECT epoch, seq, close_count, verdict FROM telemetry_streams WHERE device = %s", name
    ).fetchall()
    _check_epochs(box, streams, covered)


def _check_epochs(
    box: Box, streams: Iterable[tuple[Any, ...]], covered: set[tuple[int, int]]
) -> None:
    """Every epoch is whole: verified, or the device has signed that its end was dropped."""
    seen = {epoch: (seq, count, verdict) for epoch, seq, count, verdict in streams}
    invariant = "Every epoch of every box is verified, or its end is covered by a signed gap."
    for epoch in {place[0] for place in box.sealed}:
        require(epoch in seen, invariant, f"the core has not heard of {box.name}/{epoch}.")
        seq, count, verdict = seen[epoch]
        last = max(number for of, number in box.sealed if of == epoch)
        verified = verdict == "verified" and seq == count + 1
        ended = verdict == "open" and (epoch, seq) in covered
        whole = seq >= last and (verified or ended)
        require(whole, invariant, f"{box.name}/{epoch} is {verdict} at {seq} of {last}.")
