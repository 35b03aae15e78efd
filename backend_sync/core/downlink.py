"""What every device should know, kept by scope, and the pages that bring it up to date.

Place in the flow: registry, leases, post, catalogue → `publish` → **downlink** → `read_pages` →
api → agent → mirror.

* A scope is a map from key to value. Each publication raises the scope's version by one under a
  row lock, so versions commit in order and a cursor never passes over a change.
* A page carries everything after the cursor, so its checksum is that of the whole scope now.
* A cursor of 0, or one from a future that this core does not know, gets a snapshot.
* Blobs go before the catalogue that names them, customers before their balances and leases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg import IsolationLevel
from psycopg.rows import class_row

from edge.codec import decode, encode
from edge.errors import LocalError
from edge.mirror import checksum

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from backend_sync.core.database import Connection

SCOPES: Final = (
    "customers", "balances", "leases", "drawer", "results", "blobs", "catalogue", "closed",
    "hotlist",
)  # fmt: skip
ANSWER_VALUE_BYTES_MAX: Final = 4 * 1_048_576
SCOPE_BYTES_MAX: Final = 7 * 1_048_576
"""A scope is never split, and what does not deflate must still fit in `ANSWER_BYTES_MAX`."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing a device should know. A `value` of None takes it back."""

    device: str
    scope: str
    key: str
    value: object | None


@dataclass(frozen=True, slots=True)
class _Stored:
    key: str
    value: bytes | None
    version: int


PUBLISH: Final = """
    WITH scopes AS (
        INSERT INTO downlink_scopes (device, scope, version)
        SELECT device, scope, 1 FROM (
            SELECT DISTINCT device, scope FROM unnest(%(devices)s::text[], %(scopes)s::text[])
                AS n (device, scope)
        ) AS named ORDER BY device, scope
        ON CONFLICT (device, scope) DO UPDATE SET version = downlink_scopes.version + 1
        RETURNING device, scope, version
    )
    INSERT INTO downlink_items (device, scope, key, value, version)
    SELECT n.device, n.scope, n.key, n.value, scopes.version
    FROM unnest(%(devices)s::text[], %(scopes)s::text[], %(keys)s::text[], %(values)s::bytea[])
        AS n (device, scope, key, value)
    JOIN scopes USING (device, scope)
    ON CONFLICT (device, scope, key) DO UPDATE
        SET value = excluded.value, version = excluded.version"""


def publish(connection: Connection, items: Iterable[Item]) -> None:
    """Makes items known to their devices, inside the caller's transaction.

    Of two items with the same key the later one counts.

    Raises:
        LocalError: A scope that no device knows.
    """
    latest = {(each.device, each.scope, each.key): each for each in items}
    if not latest:
        return
    rows = [latest[key] for key in sorted(latest)]
    unknown = sorted({each.scope for each in rows} - set(SCOPES))
    if unknown:
        raise LocalError(f"No such downlink scope: {', '.join(unknown)}.", "scope-unknown")
    connection.execute(
        PUBLISH,
        {
            "devices": [each.device for each in rows],
            "scopes": [each.scope for each in rows],
            "keys": [each.key for each in rows],
            "values": [None if each.value is None else encode(each.value) for each in rows],
        },
    )


def read_pages(
    connection: Connection, device: str, cursors: Mapping[str, int], now_us: int
) -> tuple[list[dict[str, Any]], bool]:
    """Reads what a device does not know yet, all scopes as of one instant.

    Args:
        connection: Outside of a transaction.
        device: Whose pages.
        cursors: Scope → last cursor the device has applied; absent means none.
        now_us: The present, microseconds UTC.

    Returns:
        The pages, and whether more scopes wait for another request.

    Raises:
        LocalError: A scope has outgrown one answer.
    """
    pages: list[dict[str, Any]] = []
    weight = 0
    connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    try:
        with connection.transaction():
            for scope in _scopes_of(connection, device):
                page, size = _page(connection, device, scope, cursors.get(scope, 0), now_us)
                if weight and weight + size > ANSWER_VALUE_BYTES_MAX:
                    return pages, True
                pages.append(page)
                weight += size
    finally:
        connection.set_isolation_level(None)
    return pages, False


def _scopes_of(connection: Connection, device: str) -> list[str]:
    rows = connection.execute("SELECT scope FROM downlink_scopes WHERE device = %s", [device])
    known = {str(scope) for (scope,) in rows.fetchall()}
    return [scope for scope in SCOPES if scope in known]


def _page(
    connection: Connection, device: str, scope: str, cursor: int, now_us: int
) -> tuple[dict[str, Any], int]:
    version, items = _read_scope(connection, device, scope)
    snapshot = cursor == 0 or cursor > version
    new = [each for each in items if snapshot or each.version > cursor]
    live = [(each.key, each.value) for each in items if each.value is not None]
    page = {
        "scope": scope,
        "cursor": version,
        "upserts": [[each.key, decode(each.value)] for each in new if each.value is not None],
        "tombstones": [each.key for each in new if each.value is None and not snapshot],
        "checksum": checksum(live),
        "as_of_us": now_us,
        "snapshot": snapshot,
    }
    return page, sum(len(each.key) + len(each.value or b"") for each in new)


def _read_scope(connection: Connection, device: str, scope: str) -> tuple[int, Sequence[_Stored]]:
    row = connection.execute(
        "SELECT version FROM downlink_scopes WHERE device = %s AND scope = %s", [device, scope]
    ).fetchone()
    with connection.cursor(row_factory=class_row(_Stored)) as cursor:
        items = cursor.execute(
            "SELECT key, value, version FROM downlink_items "
            "WHERE device = %s AND scope = %s ORDER BY version, key",
            [device, scope],
        ).fetchall()
    if sum(len(each.key) + len(each.value or b"") for each in items) > SCOPE_BYTES_MAX:
        raise LocalError(
            f"Scope {scope} of {device} is larger than one answer; assign fewer customers to it.",
            "scope-size",
        )
    return int(row[0]) if row else 0, items
