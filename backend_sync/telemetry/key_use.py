"""Who still needs which of the core's HPKE keys, and the end of one that nobody needs.

Place in the flow: `lastmile-core keys list | retire` → **key_use** → policies, keypairs.

    in use    devices     whose newest epoch is under it, or who have it and have begun none yet
              open        epochs under it that have not ended: messages of them may still come
              unflushed   stored batches under it that are not in the lake yet

* Deleting a private key is for ever. The row says so before the file goes: a crash between the two
  leaves a file that the next `retire` of the same key deletes.
* No start can be taken under a key while it is being retired: both ask for its row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from backend_sync.core.policies import ensure_present
from edge.errors import LocalError

if TYPE_CHECKING:
    import psycopg

    from backend_sync.core.keypairs import KeyFolder

ID_DIGITS: Final = 16

DEVICES: Final = """
    SELECT count(*) FROM devices d LEFT JOIN LATERAL (
        SELECT s.hpke_id FROM telemetry_streams s WHERE s.device = d.device AND s.seq >= 0
        ORDER BY s.epoch DESC LIMIT 1) AS newest ON true
    WHERE d.state <> 'retired' AND coalesce(newest.hpke_id = %(key)s, EXISTS (
        SELECT FROM policies p WHERE p.device = d.device AND p.hpke_id = %(key)s))"""

OPEN: Final = """
    SELECT count(*) FROM telemetry_streams s JOIN devices d USING (device)
    WHERE s.hpke_id = %(key)s AND s.verdict = 'open' AND d.state <> 'retired'"""

UNFLUSHED: Final = """
    SELECT count(*) FROM telemetry_streams s JOIN telemetry_messages m USING (device, epoch)
    LEFT JOIN telemetry_flushes f ON f.flush = m.flush
    WHERE s.hpke_id = %(key)s AND m.kind = 'batch' AND m.quarantine IS NULL
    AND NOT coalesce(f.done, false)"""


class Use(NamedTuple):
    """How much still needs a key; see the module."""

    devices: int
    open: int
    unflushed: int


class KeyLine(NamedTuple):
    """One key of the core, as `keys list` shows it."""

    key_id: bytes
    since_us: int
    state: str
    use: Use


def list_keys(connection: psycopg.Connection[Any], pairs: KeyFolder, now_us: int) -> list[KeyLine]:
    """Returns every key that was ever present, latest first.

    Its `state` is `present`, `earlier`, `missing` (its file is not there) or `retired`.

    Raises:
        DeviceFault: The present key's file is not there.
    """
    present = ensure_present(connection, pairs, now_us)
    rows = connection.execute(
        "SELECT hpke_id, since_us, retired_us FROM hpke_keys ORDER BY number DESC"
    ).fetchall()
    there, lines = set(pairs), []
    for key_id, since_us, retired_us in rows:
        state = "present" if key_id == present else "earlier" if key_id in there else "missing"
        state = state if retired_us is None else "retired"
        lines.append(KeyLine(key_id, since_us, state, use_of(connection, key_id)))
    return lines


def use_of(connection: psycopg.Connection[Any], key_id: bytes) -> Use:
    """Counts what needs a key."""
    counts = []
    for query in (DEVICES, OPEN, UNFLUSHED):
        row = connection.execute(query, {"key": key_id}).fetchone()
        assert row is not None
        counts.append(int(row[0]))
    return Use(*counts)


def retire_key(
    connection: psycopg.Connection[Any],
    pairs: KeyFolder,
    key_id: bytes,
    now_us: int,
    *,
    force: bool = False,
) -> Use:
    """Deletes a private key for ever.

    Args:
        connection: Outside of a transaction.
        pairs: Where its file is.
        key_id: Which; one that is retired already only loses its file, if a crash left it.
        now_us: The present, microseconds UTC.
        force: Even if it is needed.

    Returns:
        What needed it.

    Raises:
        LocalError: There is no such key, it is the present one, or it is needed.
        DeviceFault: Its file cannot be deleted; it is retired, and repeating deletes it.
    """
    with connection.transaction():
        present = ensure_present(connection, pairs, now_us)
        row = connection.execute(
            "SELECT retired_us FROM hpke_keys WHERE hpke_id = %s FOR UPDATE", (key_id,)
        ).fetchone()
        _require_retirable(row, key_id, present)
        use = use_of(connection, key_id)
        if row is not None and row[0] is None:
            _require_idle_key(use, force=force)
            connection.execute(
                "UPDATE hpke_keys SET retired_us = %s WHERE hpke_id = %s", (now_us, key_id)
            )
    pairs.delete(key_id)
    return use


def _require_retirable(row: tuple[Any, ...] | None, key_id: bytes, present: bytes) -> None:
    if row is None:
        raise LocalError(
            f"The core has no key {key_id.hex()}; `lastmile-core keys list` shows them.",
            "key-unknown",
        )
    if key_id == present:
        raise LocalError(
            f"{key_id.hex()} is the present key. Rotate first; retire it when nobody uses it.",
            "key-present",
        )


def _require_idle_key(use: Use, *, force: bool) -> None:
    if any(use) and not force:
        raise LocalError(
            f"The key is needed: {use.devices} devices are under it, {use.open} epochs are open "
            f"and {use.unflushed} batches wait for the lake. Wait, or say --force: then what is "
            "sealed under it and not in the lake can never be read, and is refused when it comes.",
            "key-needed",
        )
