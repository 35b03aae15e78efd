"""Which policy stands on this device, and that it never goes back to an older one.

Place in the flow: gateway.toml, down topic → policy → **policies** → epochs.

* The highest `seq` that the device ever took is in its store, with the policy itself: it outlives
  restarts, and an old file put back does not bring an old policy back.
* A file is believed before what is kept where both have the same `seq`: somebody came and put it
  there.
* What stands is read from the store each time: a transaction that is undone undoes it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.codec import decode, encode
from edge.errors import LocalError, PeerError
from edge.policy import open_policy, policy_of, record_of
from edge.sqlite import Migrations
from edge.store import create_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.policy import Policy
    from edge.sqlite import Database
    from edge.store import Store
    from edge.suites import Aead

MIGRATIONS = Migrations("policies")


@MIGRATIONS()
def policies_001(database: Database) -> None:
    """The policy that stands: one row."""
    create_tables(
        database,
        """CREATE TABLE device_policy (
            id     INTEGER PRIMARY KEY CHECK (id = 1),
            seq    INTEGER NOT NULL CHECK (seq >= 1),
            record BLOB    NOT NULL
        )""",
    )


class PolicyBook:
    """The policies of one device in one store.

    Args:
        store: Opened with `MIGRATIONS`.
        given: The policy of the device's file; kept unless a newer one is.
        fits: Says whether the device can use a cipher.

    Raises:
        PeerError: The policy that stands allows no cipher that fits.
    """

    def __init__(self, store: Store, given: Policy, fits: Callable[[Aead], bool]) -> None:
        self._store = store
        self._device = given.device
        self._fits = fits
        with store.transaction():
            kept = read_standing(store, given.device)
            if kept is None or given.seq >= kept.seq:
                self._keep(given)
        self.standing()

    def standing(self) -> tuple[Policy, Aead]:
        """Returns the policy that stands, and the cipher that it makes this device use.

        Raises:
            PeerError: It allows no cipher that fits.
        """
        policy = read_standing(self._store, self._device)
        assert policy is not None, "one was kept before anything else"
        return policy, policy.choose(self._fits)

    def take(self, message: bytes, verify: Callable[[bytes, bytes], None]) -> bool:
        """Keeps a newer policy; returns False for the one that stands already.

        Args:
            message: Hostile bytes.
            verify: Checks against the core's signing key.

        Raises:
            PeerError: Not the core's, not for this device, without a cipher that fits, or older
                than what stands.
            DeviceFault: The disk is full or failing; the old one stands.
        """
        policy = open_policy(message, verify, self._device)
        with self._store.transaction():
            standing, _ = self.standing()
            if policy == standing:
                return False
            if policy.seq <= standing.seq:
                raise PeerError(
                    f"Policy {policy.seq} is not newer than policy {standing.seq}, which this "
                    "device has taken; the older one is not taken back.",
                    "policy-downgrade",
                )
            policy.choose(self._fits)
            self._keep(policy)
        return True

    def _keep(self, policy: Policy) -> None:
        self._store.execute(
            "INSERT INTO device_policy (id, seq, record) VALUES (1, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, record = excluded.record",
            (policy.seq, encode(record_of(policy))),
        )


def read_standing(store: Store, device: str) -> Policy | None:
    """Returns the policy that stands, or None on a device that has none yet.

    Raises:
        LocalError: The store is that of another device, or of another release.
    """
    row = store.row("SELECT record FROM device_policy")
    if row is None:
        return None
    try:
        record: Any = decode(bytes(row["record"]))
        return policy_of(record if isinstance(record, dict) else {}, device)
    except PeerError as error:
        raise LocalError(
            f"What {store.path} keeps as policy is not {device}'s ({error}). Use the store of this "
            "device, or provision it anew.",
            "policy-kept",
        ) from error
