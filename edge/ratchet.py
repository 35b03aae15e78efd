"""Where the chain key of an epoch comes from: drawn at random, or ratcheted from a seed.

Place in the flow: store → **ratchet** → epochs.

    RandomKeys     CK_e random, wrapped to the backend by HPKE; never on a disk     Linux
    RatchetKeys    CK_1 = seed; CK_{e+1} from CK_e; the store holds {e, CK_e}       a device with a
                   where e is the next epoch that may begin                         seed, ADR 0009

* `draw` first makes {e+1, CK_{e+1}} durable in the place of {e, CK_e}, and only then gives CK_e
  away: whatever a power cut leaves, nothing on the disk begins an epoch again that has sealed.
* Therefore the seed has a store of its own. In the outbox's, inside a transaction of the caller,
  it would be durable only with the first message; and a cut in the middle of that commit leaves
  sealed bytes in the log, and the key that sealed them to be used again.
* What is overwritten is gone from the files at once: secure_delete, and the log is emptied behind
  every draw. What a flash chip keeps in spare blocks, nobody can promise.
* A chain key that was drawn and has sealed nothing is given again, so a full outbox burns none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from edge.errors import LocalError
from edge.keys import CHAIN_KEY_BYTES, ratchet, wrap_chain_key
from edge.sqlite import Migrations
from edge.store import create_tables

if TYPE_CHECKING:
    from edge.policy import Policy
    from edge.ports import Randomness
    from edge.sqlite import Database
    from edge.store import Store
    from edge.suites import Aead

EPOCH_MAX: Final = (1 << 63) - 1
SKIP_MAX: Final = 1_024
"""As many epochs as the backend steps over at once."""

MIGRATIONS = Migrations("ratchet")


@MIGRATIONS()
def ratchet_001(database: Database) -> None:
    """The next epoch and its chain key: one row."""
    create_tables(
        database,
        """CREATE TABLE device_seed (
            id        INTEGER PRIMARY KEY CHECK (id = 1),
            epoch     INTEGER NOT NULL CHECK (epoch >= 1),
            chain_key BLOB    NOT NULL CHECK (length(chain_key) = 32),
            hash      TEXT    NOT NULL
        )""",
    )


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chain key, and the one epoch that it is for."""

    epoch: int
    chain_key: bytes


class KeySource(Protocol):
    """Gives every epoch a chain key that no other ever had."""

    def fits(self, suite: Aead) -> bool:
        """Returns whether chain keys from here can serve a cipher."""
        ...

    def draw(self, lowest: int, suite: Aead) -> Drawn:
        """Returns the chain key of the next epoch; it is durable that this never happens again.

        Args:
            lowest: The epoch's number, at least.
            suite: Its cipher.

        Raises:
            LocalError: There is no further epoch.
            DeviceFault: The disk is full or failing; nothing was drawn.
        """
        ...

    def spend(self) -> None:
        """Forgets what was drawn last: it is about to seal."""
        ...

    def tell(self, drawn: Drawn, policy: Policy) -> dict[str, Any]:
        """Returns the fields of the epoch's start by which the backend has the chain key."""
        ...


class RandomKeys:
    """Draws every chain key anew and wraps it to the backend; fulfils `KeySource`."""

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness

    def fits(self, suite: Aead) -> bool:  # noqa: ARG002 - the port's shape
        """Returns True: each chain key stands alone."""
        return True

    def draw(self, lowest: int, suite: Aead) -> Drawn:  # noqa: ARG002 - the port's shape
        """Returns a random chain key for the epoch `lowest`.

        Raises:
            LocalError: There is no further epoch.
        """
        return Drawn(_require_epoch(lowest), self._randomness.token(CHAIN_KEY_BYTES))

    def spend(self) -> None:
        """Has nothing to forget."""

    def tell(self, drawn: Drawn, policy: Policy) -> dict[str, Any]:
        """Returns the chain key, wrapped to the key that the policy names."""
        wrap = wrap_chain_key(policy.hpke, drawn.chain_key, policy.device, drawn.epoch)
        return {"wrap": wrap, "hpke": policy.hpke_id, "policy": policy.seq}


class RatchetKeys:
    """Ratchets from a seed that the backend has too; fulfils `KeySource`.

    Args:
        store: Of its own, opened with `MIGRATIONS`, in which `plant_seed` put the seed.

    Raises:
        LocalError: It holds no seed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._drawn: Drawn | None = None
        store.row("PRAGMA secure_delete = ON")
        self._hash = str(self._row()["hash"])
        self._empty_log()

    def fits(self, suite: Aead) -> bool:
        """Returns whether a cipher has the hash that the seed has stepped by; a new seed has none.

        The backend steps over missing epochs, whose ciphers nobody has told it.
        """
        return self._hash in {"", suite.ratchet_hash.name}

    def draw(self, lowest: int, suite: Aead) -> Drawn:
        """Steps the chain on disk past the next epoch, and returns its chain key.

        Raises:
            LocalError: Inside a transaction; or the seed is far behind `lowest`, as one that came
                out of a backup; or there is no further epoch.
            DeviceFault: The disk is full or failing; nothing was drawn.
        """
        assert self.fits(suite), "a policy is asked for a cipher that fits"
        if self._drawn is not None and self._drawn.epoch >= lowest:
            return self._drawn
        self._drawn = None
        if self._store.inside:
            raise LocalError(
                "A chain key is drawn outside of transactions of its store, or it could be drawn "
                "twice. Give the seed a store of its own.",
                "seed-transaction",
            )
        with self._store.transaction():
            drawn, following = self._step(lowest, suite)
            self._store.execute(
                "UPDATE device_seed SET epoch = ?, chain_key = ?, hash = ?",
                (drawn.epoch + 1, following, suite.ratchet_hash.name),
            )
        self._hash = suite.ratchet_hash.name
        self._empty_log()
        self._drawn = drawn
        return drawn

    def spend(self) -> None:
        """Forgets what was drawn last: it is about to seal."""
        self._drawn = None

    def tell(self, drawn: Drawn, policy: Policy) -> dict[str, Any]:  # noqa: ARG002 - the port
        """Returns no key at all: the backend steps its own copy of the chain."""
        return {"policy": policy.seq}

    def _step(self, lowest: int, suite: Aead) -> tuple[Drawn, bytes]:
        row = self._row()
        epoch, chain_key = int(row["epoch"]), bytes(row["chain_key"])
        if lowest - epoch > SKIP_MAX:
            raise LocalError(
                f"The seed of this device stands at epoch {epoch} and its outbox at {lowest}: it "
                "was put back from a copy. Give the device a new seed.",
                "seed-behind",
            )
        while epoch < lowest:
            epoch, chain_key = epoch + 1, ratchet(chain_key, suite)[0]
        following = ratchet(chain_key, suite)[0]
        return Drawn(_require_epoch(epoch), chain_key), following

    def _row(self) -> dict[str, Any]:
        row = self._store.row("SELECT epoch, chain_key, hash FROM device_seed")
        if row is None:
            raise LocalError(
                f"{self._store.path} holds no seed. Provision this device again.", "seed-missing"
            )
        return row

    def _empty_log(self) -> None:
        """Writes the log into the file and cuts it to nothing: it holds the key of before."""
        self._store.row("PRAGMA wal_checkpoint(TRUNCATE)")


def plant_seed(store: Store, seed: bytes, epoch: int = 1) -> None:
    """Puts the seed of a device into its store, once.

    Args:
        store: As for `RatchetKeys`.
        seed: 32 bytes that only the backend has too: the chain key of `epoch`.
        epoch: The first that may begin.

    Raises:
        LocalError: There is one already, or it is no seed.
    """
    if len(seed) != CHAIN_KEY_BYTES:
        raise LocalError(f"A seed is {CHAIN_KEY_BYTES} bytes.", "seed-length")
    _require_epoch(epoch)
    with store.transaction():
        if store.row("SELECT epoch FROM device_seed") is not None:
            raise LocalError(
                f"{store.path} has a seed already. A new one needs a new store.", "seed-exists"
            )
        store.execute(
            "INSERT INTO device_seed (id, epoch, chain_key, hash) VALUES (1, ?, ?, '')",
            (epoch, seed),
        )


def _require_epoch(epoch: int) -> int:
    if not 1 <= epoch < EPOCH_MAX:
        raise LocalError("There is no epoch of this number. Provision this device again.", "epoch")
    return epoch
