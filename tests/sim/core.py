"""The bank: the real core on a real database, in a process that may be killed at any statement.

Place in the flow: kiosks and boxes → wire → **core** → PostgreSQL.

* Gate, post, leases, downlink and telemetry ingest are the real ones; time is the true one.
* A killed process loses its memory: what telemetry held back is gone, and is sent again.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, cast

import psycopg
from cryptography.hazmat.primitives.asymmetric import ec

from backend_sync.api.gate import Gate
from backend_sync.core.database import connect
from backend_sync.core.leases import Terms, grant_lease
from backend_sync.core.policies import DEFAULT_ALGORITHMS, Issuer, ensure_policy
from backend_sync.core.post import post_queued
from backend_sync.core.registry import (
    Customer,
    Pad,
    add_customer,
    add_device,
    add_pad,
    derived_id,
    find_device,
    fund_drawer,
)
from backend_sync.messages import journal_path
from backend_sync.telemetry.claim import down_topic
from backend_sync.telemetry.consumer import acknowledgement
from backend_sync.telemetry.ingest import Ingest
from backend_sync.telemetry.keyring import KeyRing
from backend_sync.telemetry.ratchets import PURPOSE
from backend_sync.telemetry.store import take_in
from edge.codec import encode
from edge.errors import LocalError
from edge.keys import FileIdentity, HpkeKeypair, LocalSecret, hpke_seal, sign_evidence
from edge.policy import hpke_id
from edge.purposes import STORED_PIN_INFO, id_key
from tests.sim import flaws
from tests.sim.mortal import Death, Fuse, MortalConnection
from tests.sim.nature import HOUR_US, Dice, TrueClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend_sync.core.database import Connection, Pool
    from backend_sync.telemetry.store import Stored
    from tests.sim.nature import Nature

ORG: Final = "org"
LOOKUP_KEY: Final = bytes(range(32))
KILL_SHARE: Final = 0.05
KILL_STATEMENTS_MAX: Final = 40
FORGET_SHARE: Final = 0.05
CURVE_ORDER_BYTES: Final = 31
"""One fewer than the order of P-256 has, so every draw is a key."""


def draw_key(nature: Nature) -> ec.EllipticCurvePrivateKey:
    """Draws a private key out of the seed."""
    secret = int.from_bytes(nature.chance.randbytes(CURVE_ORDER_BYTES), "big") or 1
    return ec.derive_private_key(secret, ec.SECP256R1())


class OnePool:
    """As much of a pool as the gate uses: the core's one connection."""

    def __init__(self, core: Core) -> None:
        self._core = core

    @contextlib.contextmanager
    def connection(self, timeout: float) -> Iterator[Connection]:
        """Gives the connection."""
        del timeout
        yield self._core.connection


class Core:
    """The bank's process.

    Args:
        nature: Kills it.
        dsn: Of an empty database with the present schema.
        flaw: A planted bug, or none.
    """

    def __init__(self, nature: Nature, dsn: str, flaw: str) -> None:
        self._nature, self._dsn, self._flaw = nature, dsn, flaw
        self.signer = FileIdentity("core", draw_key(nature))
        self.hpke = HpkeKeypair(draw_key(nature))
        self.pairs = {hpke_id(self.hpke.public_bytes): self.hpke}
        self.watcher = connect(dsn)
        self._fuse = Fuse()
        self._leases = 0
        self.start()

    def start(self) -> None:
        """Starts the process."""
        self.connection = MortalConnection.open(self._dsn, self._fuse, self.watcher)
        pool = cast("Pool", OnePool(self))
        self._gate = Gate(pool, self.signer, TrueClock(self._nature), 0)
        secret = LocalSecret(self.signer, PURPOSE, Dice(self._nature))
        self._ingest = Ingest(KeyRing(self.pairs, secret), self._key_of)

    def close(self) -> None:
        """Ends it in good order."""
        self.connection.close()
        self.watcher.close()

    @contextlib.contextmanager
    def danger(self) -> Iterator[None]:
        """The process may die inside; a dead one starts anew, and the work is not done.

        Raises:
            Death: It died.
        """
        if self._nature.happens(KILL_SHARE):
            self._fuse.set(self._nature.chance.randint(1, KILL_STATEMENTS_MAX))
        try:
            yield
        except psycopg.OperationalError:
            # Raised by what tidies up behind a death, and so in the place of it.
            if not self.connection.closed:
                raise
        except Death:
            pass
        finally:
            self._fuse.clear()
        if self.connection.closed:
            self._nature.tell("kill", who="core")
            self.start()
            raise Death

    # ------------------------------------------------------------ kiosks
    def answer(self, path: str, body: bytes) -> bytes:
        """Answers a request of a kiosk.

        Raises:
            Death: The core was killed while it did.
        """
        device = path.split("/")[3]
        with self.danger():
            if path == journal_path(device):
                reply = self._gate.take_journal(device, body)
                self._forget_maybe(device)
                return reply.body
            if self._flaw == "release-by-the-core's-clock":
                key = self._key_of(device) or b""
                now_us = self._nature.now_us
                flaws.release_by_core_clock(self.connection, device, key, body, now_us)
            trusting = self._flaw == "counter-unchecked"
            with flaws.trusting_counters() if trusting else contextlib.nullcontext():
                return self._gate.give_downlink(device, body).body

    def post(self, limit: int) -> int:
        """Posts a batch of the queue.

        Raises:
            Death: The core was killed while it did.
        """
        with self.danger():
            return post_queued(self.connection, self._nature.now_us, limit)

    def grant(self, customer: str, kiosk: str, fen: int, hours: int) -> bool:
        """Grants a lease; False when the customer has too little left.

        Raises:
            Death: The core was killed while it did.
        """
        self._leases += 1
        now_us = self._nature.now_us
        terms = Terms(
            f"{self._leases:032x}", customer, kiosk, fen, max(1, fen // 2), 4,
            now_us, now_us + hours * HOUR_US,
        )  # fmt: skip
        with self.danger():
            try:
                grant_lease(self.connection, self.signer, self.hpke, terms)
            except LocalError as error:
                if error.code != "insufficient":
                    raise
                return False
        return True

    def fund(self, kiosk: str, fen: int, number: int) -> None:
        """Hands float to a kiosk's agent; outside of any danger, so that its sum is known."""
        transfer = derived_id("float", kiosk, str(number))
        fund_drawer(self.watcher, kiosk, fen, transfer, self._nature.now_us)

    # ------------------------------------------------------------ boxes
    def take_in(self, arrivals: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """Stores what the broker brought; returns (topic, signed acknowledgement).

        Raises:
            Death: The core was killed while it did.
        """
        with self.danger():
            now_us = self._nature.now_us
            taken = take_in(self.connection, self._ingest, ORG, arrivals, now_us)
        told = [(down_topic(ORG, device), policy) for device, policy in taken.policies]
        return [self._acknowledge(each) for each in taken.stored] + told

    def _acknowledge(self, stored: Stored) -> tuple[str, bytes]:
        topic = down_topic(ORG, stored.device)
        return topic, sign_evidence(self.signer, acknowledgement(stored), topic)

    # ------------------------------------------------------------ registry
    def add_kiosk(self, identity: FileIdentity, pad: FileIdentity) -> None:
        """Registers a kiosk and its PIN pad."""
        self.add_device(identity, "kiosk")
        hpke = HpkeKeypair(draw_key(self._nature)).public_bytes
        add_pad(self.watcher, Pad(pad.kid, identity.kid, pad.public_bytes, hpke))

    def add_device(self, identity: FileIdentity, kind: str) -> None:
        """Registers a device."""
        key, now_us = identity.public_bytes, self._nature.now_us
        add_device(self.watcher, identity.kid, kind, key, "", now_us)
        if kind == "gateway":
            issuer = Issuer(self.signer, self.pairs)
            ensure_policy(self.watcher, issuer, identity.kid, DEFAULT_ALGORITHMS, now_us)

    def add_customer(self, name: str, kiosks: Sequence[str], opening_fen: int) -> None:
        """Registers a customer; the simulated pads try no PIN, so the verifier holds none."""
        record: dict[str, Any] = {"alg": "none", "customer": name}
        sealed = hpke_seal(self.hpke.public_bytes, encode(record), STORED_PIN_INFO)
        customer = Customer(name, "王小明", id_key(LOOKUP_KEY, name), False, sealed)
        add_customer(self.watcher, customer, kiosks, opening_fen, self._nature.now_us)

    def _key_of(self, device: str) -> bytes | None:
        found = find_device(self.connection, device)
        return found.public_key if found is not None and found.state == "active" else None

    def _forget_maybe(self, device: str) -> None:
        if self._flaw == "queue-outside" and self._nature.happens(FORGET_SHARE):
            flaws.forget_queue(self.connection, device)
