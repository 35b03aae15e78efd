"""The policies of devices, and the key pair that they name: issued, rotated, never taken back.

Place in the flow: `lastmile-core device add`, `keys rotate` → **policies** → bundle and down topic;
telemetry judges every epoch start by them.

* A policy with the same content is not issued again; another one gets the next number.
* Rotation: the file of the new pair first, then one transaction that makes it the present one and
  issues its policies. A pair without a row was left by a crash between the two, and is used next.
* One lock keeps who issues and who rotates apart: no device gets a policy for the key before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault, LocalError
from edge.policy import Policy, hpke_id, sign_policy
from edge.suites import AEADS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from backend_sync.core.database import Connection
    from edge.keys import HpkeKeypair
    from edge.ports import Signer

    Pairs = Mapping[bytes, HpkeKeypair]

LOCK: Final = 7_201_002
DEFAULT_ALGORITHMS: Final = (3, 30)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who issues policies.

    Attributes:
        signer: The core, kid "core".
        pairs: Its HPKE key pairs by id, latest first.
        algs: What a device may use whose policy says nothing else yet.
    """

    signer: Signer
    pairs: Pairs
    algs: Sequence[int] = DEFAULT_ALGORITHMS


def read_algorithms(words: Sequence[str | int]) -> tuple[int, ...]:
    """Returns algorithm ids, preferred first, from names or ids.

    Raises:
        LocalError: One is not in the suite table, one is named twice, or there is none.
    """
    spelled = {str(alg): alg for alg in AEADS}
    spelled |= {suite.name.lower(): alg for alg, suite in AEADS.items()}
    found = tuple(_algorithm(str(word), spelled) for word in words)
    if not found or len(set(found)) < len(found):
        raise LocalError("Name at least one algorithm, and none of them twice.", "algorithms")
    return found


def _algorithm(word: str, spelled: Mapping[str, int]) -> int:
    alg = spelled.get(word.strip().lower())
    if alg is None:
        known = ", ".join(f"{suite.name} ({alg})" for alg, suite in AEADS.items())
        raise LocalError(f"{word} is no algorithm of this core. It has {known}.", "algorithms")
    return alg


def ensure_policy(
    connection: Connection, issuer: Issuer, device: str, algs: Sequence[int], now_us: int
) -> bytes:
    """Issues a policy for the present key, unless the device's newest one says the same.

    Returns:
        The signed policy.

    Raises:
        LocalError: The algorithms are none.
        DeviceFault: The private half of the present key is not there.
    """
    with connection.transaction():
        _lock(connection)
        present = _present_pair(connection, issuer.pairs, now_us)
        return _issue(connection, issuer, (device, tuple(algs), present.public_bytes), now_us)


def rotate_key(
    connection: Connection, issuer: Issuer, create: Callable[[], HpkeKeypair], now_us: int
) -> tuple[bytes, list[str]]:
    """Makes a new key pair the present one, and issues every gateway its policy.

    Args:
        connection: Outside of a transaction.
        issuer: Who issues.
        create: Makes a pair that `issuer.pairs` has from then on, its file synced.
        now_us: The present, microseconds UTC.

    Returns:
        Id of the new key, and who got a policy.

    Raises:
        DeviceFault: The disk is full, or the present key's file is not there.
    """
    with connection.transaction():
        _lock(connection)
        _present_pair(connection, issuer.pairs, now_us)
        pair = _spare_pair(connection, issuer.pairs) or create()
        _enter_key(connection, pair, now_us)
        rows = connection.execute(
            "SELECT d.device, (SELECT p.algs FROM policies p WHERE p.device = d.device"
            "  ORDER BY p.seq DESC LIMIT 1) FROM devices d"
            " WHERE d.kind = 'gateway' AND d.state <> 'retired' ORDER BY d.device"
        ).fetchall()
        for device, algs in rows:
            terms = (str(device), tuple(algs or issuer.algs), pair.public_bytes)
            _issue(connection, issuer, terms, now_us)
    return hpke_id(pair.public_bytes), [str(device) for device, _ in rows]


def ensure_present(connection: Connection, pairs: Pairs, now_us: int) -> bytes:
    """Returns the id of the present key; the first time, that of the pair that `init` made.

    Raises:
        DeviceFault: Its private half is not there.
    """
    with connection.transaction():
        _lock(connection)
        return hpke_id(_present_pair(connection, pairs, now_us).public_bytes)


def find_present(connection: Connection) -> bytes | None:
    """Returns the id of the present key, or None in a core that never issued a policy."""
    row = connection.execute(
        "SELECT hpke_id FROM hpke_keys WHERE retired_us IS NULL ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return bytes(row[0]) if row else None


def _lock(connection: Connection) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def _present_pair(connection: Connection, pairs: Pairs, now_us: int) -> HpkeKeypair:
    """Returns the present pair; the first time, the one that `init` made."""
    present = find_present(connection)
    if present is None:
        pair = pairs[list(pairs)[-1]]
        _enter_key(connection, pair, now_us)
        return pair
    if present not in pairs:
        raise DeviceFault(
            f"The core's present key {present.hex()} is not in its keys folder. Restore hpke*.pem "
            "from a backup: what devices sealed to it opens with nothing else.",
            "hpke-missing",
        )
    return pairs[present]


def _spare_pair(connection: Connection, pairs: Pairs) -> HpkeKeypair | None:
    """Returns the pair that a rotation left without a row when it was cut short."""
    rows = connection.execute("SELECT hpke_id FROM hpke_keys").fetchall()
    known = {bytes(key_id) for (key_id,) in rows}
    return next((pairs[key_id] for key_id in pairs if key_id not in known), None)


def _enter_key(connection: Connection, pair: HpkeKeypair, now_us: int) -> None:
    connection.execute(
        "INSERT INTO hpke_keys (hpke_id, number, since_us)"
        " SELECT %s, coalesce(max(number), 0) + 1, %s FROM hpke_keys",
        [hpke_id(pair.public_bytes), now_us],
    )


def _issue(
    connection: Connection, issuer: Issuer, terms: tuple[str, tuple[int, ...], bytes], now_us: int
) -> bytes:
    """Issues (device, algorithms, public key) under the next number, or returns what says it."""
    device, algs, public = terms
    row = connection.execute(
        "SELECT seq, message, algs, hpke_id FROM policies WHERE device = %s"
        " ORDER BY seq DESC LIMIT 1",
        [device],
    ).fetchone()
    seq, message, *content = row or (0, b"", None, None)
    if content == [list(algs), hpke_id(public)]:
        return bytes(message)
    policy = Policy(device, int(seq) + 1, algs, public)
    signed = sign_policy(issuer.signer, policy)
    connection.execute(
        "INSERT INTO policies (device, seq, message, algs, hpke_id, issued_us)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        [device, policy.seq, signed, list(algs), policy.hpke_id, now_us],
    )
    return signed
