"""The tables behind a `Standing`: policies that were issued, ratchets, and keys that were kept.

Place in the flow: store → **devices** (load) → ingest → **devices** (save), in one transaction.

* Only devices that begin an epoch are loaded: a batch costs no query here.
* A key of the core that is named by a loaded policy cannot be retired before the commit.
* A chain is saved with the messages that stepped it, so nothing is acknowledged before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from backend_sync.telemetry.standing import Issued, Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

    from backend_sync.telemetry.claim import Claim

READ_POLICIES: Final = """
    SELECT p.device, p.seq, p.message, p.algs, p.hpke_id, k.retired_us IS NOT NULL, p.first_epoch
    FROM policies p JOIN hpke_keys k USING (hpke_id) WHERE p.device = ANY (%s)
    FOR SHARE OF k"""

READ_KEYS: Final = """
    SELECT k.device, k.epoch, k.sealed FROM telemetry_epoch_keys k
    JOIN unnest(%s::text[], %s::bigint[]) AS w (device, epoch) USING (device, epoch)"""


def lock_devices(connection: psycopg.Connection[Any], devices: list[str]) -> None:
    """Keeps others from these devices' telemetry until the commit; in one order, whoever asks."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(name, 7)) FROM"
        " (SELECT unnest(%s::text[]) AS name ORDER BY 1) AS names",
        (sorted(set(devices)),),
    )


def load_standings(
    connection: psycopg.Connection[Any], claims: Sequence[Claim]
) -> dict[str, Standing]:
    """Returns the standing of every device that claims something, filled where an epoch begins."""
    standings = {claim.device: Standing() for claim in claims}
    starts = {(c.device, c.epoch) for c in claims if c.kind == "epoch-start"}
    if not starts:
        return standings
    devices, epochs = (list(column) for column in zip(*sorted(starts), strict=True))
    for device, seq, message, algs, *rest in connection.execute(READ_POLICIES, (devices,)):
        standings[device].policies[seq] = Issued(seq, message, tuple(algs), *rest)
    for device, sealed in connection.execute(
        "SELECT device, sealed FROM telemetry_ratchets WHERE device = ANY (%s)", (devices,)
    ):
        standings[device].ratchet.chain = sealed
    for device, epoch, sealed in connection.execute(READ_KEYS, (devices, epochs)):
        standings[device].ratchet.kept[epoch] = sealed
    return standings


def save_standings(
    cursor: psycopg.Cursor[Any], standings: Mapping[str, Standing], known_us: int
) -> None:
    """Saves what ingest changed."""
    cursor.executemany(
        "UPDATE policies SET first_epoch = %s WHERE device = %s AND seq = %s",
        [
            (standing.policies[seq].first_epoch, device, seq)
            for device, standing in sorted(standings.items())
            for seq in sorted(standing.begun)
        ],
    )
    ratchets = [(device, each.ratchet) for device, each in sorted(standings.items())]
    cursor.executemany(
        "UPDATE telemetry_ratchets SET sealed = %s WHERE device = %s",
        [(state.chain, device) for device, state in ratchets if state.stepped],
    )
    cursor.executemany(
        "INSERT INTO telemetry_epoch_keys (device, epoch, sealed, begun, since_us)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (device, epoch)"
        " DO UPDATE SET sealed = EXCLUDED.sealed, begun = EXCLUDED.begun",
        [
            (device, epoch, sealed, epoch in state.begun, known_us)
            for device, state in ratchets
            for epoch, sealed in sorted(state.fresh.items())
        ],
    )
