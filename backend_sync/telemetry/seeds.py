"""Seeds of devices that ratchet: enrolled once, and the sweep of keys that nobody needs any more.

Place in the flow: `lastmile-core keys seed` → **seeds** → telemetry_ratchets; the flusher sweeps.

* A second seed for a device is refused unless it is to replace the first: then what the first one
  was kept for is deleted, except the keys of epochs that have begun.
* Keys go when their epoch has ended and all of it is in the lake, or after the retention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from backend_sync.telemetry.devices import lock_devices
from edge.errors import LocalError

if TYPE_CHECKING:
    import psycopg

    from backend_sync.telemetry.ratchets import Ratchets

KEYS_RETENTION_DAYS: Final = 400
DAY_US: Final = 86_400_000_000


class Seed(NamedTuple):
    """What a device was given.

    Attributes:
        device: Whom.
        key: Chain key of its epoch `epoch`, 32 bytes.
        epoch: The first that ratchets from it.
        replaces: An earlier seed may be there, and is forgotten.
    """

    device: str
    key: bytes
    epoch: int = 1
    replaces: bool = False


class Swept(NamedTuple):
    """How many keys of epochs a sweep deleted: of those that ended, and of those too old."""

    ended: int
    expired: int


def enrol_seed(
    connection: psycopg.Connection[Any], ratchets: Ratchets, seed: Seed, now_us: int
) -> None:
    """Keeps a device's seed, sealed.

    Raises:
        LocalError: The device is not registered, or retired; it has a seed already; the seed is
            not 32 bytes; or the epoch began already.
    """
    if seed.epoch < 1:
        raise LocalError("Epochs count from 1; so does --first-epoch.", "seed-epoch")
    sealed = ratchets.seal_seed(seed.device, seed.key, seed.epoch)
    with connection.transaction():
        lock_devices(connection, [seed.device])
        _require_place(connection, seed)
        if seed.replaces:
            connection.execute(
                "DELETE FROM telemetry_epoch_keys WHERE device = %s AND NOT begun", (seed.device,)
            )
        row = connection.execute(
            "INSERT INTO telemetry_ratchets AS r (device, sealed, enrolled_us) VALUES (%s, %s, %s)"
            " ON CONFLICT (device) DO UPDATE SET sealed = EXCLUDED.sealed,"
            " enrolled_us = EXCLUDED.enrolled_us WHERE %s RETURNING 1",
            (seed.device, sealed, now_us, seed.replaces),
        ).fetchone()
        if row is None:
            raise LocalError(
                f"{seed.device} has a seed. Say --replace if the device really was given another.",
                "seed-taken",
            )


def sweep_keys(connection: psycopg.Connection[Any], now_us: int) -> Swept:
    """Deletes the kept keys of epochs that have ended, and those past `KEYS_RETENTION_DAYS`.

    An epoch has ended when its close was compared with its chain and no batch of it waits for the
    lake; a copy of the database then holds nothing that opens it.
    """
    with connection.transaction():
        ended = connection.execute(
            "DELETE FROM telemetry_epoch_keys k USING telemetry_streams s"
            " WHERE (s.device, s.epoch) = (k.device, k.epoch) AND k.begun AND s.verdict <> 'open'"
            " AND NOT EXISTS (SELECT FROM telemetry_messages m"
            "  LEFT JOIN telemetry_flushes f ON f.flush = m.flush"
            "  WHERE (m.device, m.epoch) = (k.device, k.epoch) AND m.kind = 'batch'"
            "  AND m.quarantine IS NULL AND NOT coalesce(f.done, false))"
        ).rowcount
        expired = connection.execute(
            "DELETE FROM telemetry_epoch_keys WHERE since_us < %s",
            (now_us - KEYS_RETENTION_DAYS * DAY_US,),
        ).rowcount
    return Swept(ended, expired)


def _require_place(connection: psycopg.Connection[Any], seed: Seed) -> None:
    known = connection.execute(
        "SELECT FROM devices WHERE device = %s AND state <> 'retired'", (seed.device,)
    ).fetchone()
    if known is None:
        raise LocalError(f"{seed.device} is not registered; add it first.", "device-unknown")
    row = connection.execute(
        "SELECT max(epoch) FROM telemetry_streams WHERE device = %s AND seq >= 0", (seed.device,)
    ).fetchone()
    last = row[0] if row and row[0] is not None else 0
    if seed.epoch <= last:
        raise LocalError(
            f"Epoch {last} of {seed.device} has begun already; a seed begins with a later one."
            f" Say --first-epoch {last + 1}, or what the device says.",
            "seed-epoch",
        )
