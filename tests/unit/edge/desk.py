"""A device on the desk and a core beside it, with real keys, files and chains.

Place in the flow: the tests of edge/ build on it; time and entropy are its own, so they repeat.

* `StillClock` moves only when told; `Dice` is entropy from a counter. Each fulfils a port of
  `edge.ports`; nothing of ours is mocked.
* `CoreSide` is `backend_sync.telemetry.ingest`, as the core runs it.
* `Desk` opens the same folder as often as a test starts its program anew.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from backend_sync.telemetry.claim import read_claim
from backend_sync.telemetry.ingest import Ingest
from backend_sync.telemetry.keyring import KeyRing
from backend_sync.telemetry.ratchets import PURPOSE, Ratchets
from backend_sync.telemetry.refusal import refusal_of, refusal_record
from backend_sync.telemetry.standing import Issued, Standing
from backend_sync.telemetry.stream import Stream
from edge import outbox, policies, ratchet
from edge.epochs import SealedStream, StreamPorts
from edge.keys import FileIdentity, HpkeKeypair, LocalSecret, sign_evidence, verifier
from edge.outbox import Outbox, OutboxLimits
from edge.policy import Policy, hpke_id, sign_policy
from edge.ports import Instant
from edge.ratchet import RatchetKeys, plant_seed
from edge.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from edge.ports import Randomness
    from edge.store import Store

DEVICE = "box-1"
ORG = "org"
UP = f"lastmile/v1/{ORG}/{DEVICE}/up"
DOWN = f"lastmile/v1/{ORG}/{DEVICE}/down"
START_US = 1_800_000_000_000_000
SEED = bytes(range(32))


class StillClock:
    """A clock that stands until it is moved."""

    def __init__(self, wall_us: int = START_US, boot_id: str = "00" * 8) -> None:
        self.wall_us = wall_us
        self.monotonic_us = 0
        self.boot_id = boot_id

    def now(self) -> Instant:
        """Returns the instant at which it stands."""
        return Instant(self.wall_us, self.boot_id, self.monotonic_us)

    def advance(self, by_us: int) -> None:
        """Moves both clocks on."""
        self.wall_us += by_us
        self.monotonic_us += by_us


class Dice:
    """Entropy that never repeats within one test, and repeats from run to run."""

    def __init__(self, seed: bytes = b"dice") -> None:
        self._seed = seed
        self._thrown = 0

    def token(self, count: int) -> bytes:
        """Returns bytes that no throw gave before."""
        self._thrown += 1
        block = hashlib.sha256(self._seed + self._thrown.to_bytes(8, "big")).digest()
        return (block * (count // len(block) + 1))[:count]


class Desk:
    """A device's folder with its keys, and the core's keys.

    Args:
        folder: Empty, or the folder of a desk whose process has ended.
        dice: Entropy of this device; shared by its restarts.

    Attributes:
        policy: That of the device's file.
        issued: Every policy that the core issued, signed, by number.
        has_seed: The device ratchets from `SEED`.
    """

    def __init__(self, folder: Path, dice: Randomness | None = None) -> None:
        self.folder = folder
        self.path = folder / "outbox.db"
        self.clock = StillClock()
        self.dice = dice or Dice()
        self.identity = _identity(folder / "box.pem", DEVICE)
        self.core = _identity(folder / "core.pem", "core")
        hpke = folder / "hpke.pem"
        self.hpke = HpkeKeypair.load(hpke) if hpke.exists() else HpkeKeypair.create(hpke)
        self.verify_core = verifier(self.core.public_bytes)
        self.issued: dict[int, tuple[Policy, bytes]] = {}
        self.policy = self.issue(1, 3, 30)
        self.has_seed = False

    def issue(self, seq: int, *algs: int, hpke: HpkeKeypair | None = None) -> Policy:
        """Lets the core issue a policy."""
        policy = Policy(DEVICE, seq, algs, (hpke or self.hpke).public_bytes)
        self.issued[seq] = policy, sign_policy(self.core, policy)
        return policy

    def open(self, limits: OutboxLimits | None = None) -> Running:
        """Starts the device's program."""
        store = open_store(self.path, [outbox.MIGRATIONS, policies.MIGRATIONS])
        waiting = Outbox(store, DEVICE, limits)
        ports = StreamPorts(self.identity, self.policy, self.clock, self.dice, UP)
        seeds = self.open_seed() if self.has_seed else None
        keys = RatchetKeys(seeds) if seeds else None
        return Running([store, seeds], waiting, SealedStream(store, waiting, ports, keys))

    def open_seed(self) -> Store:
        """Opens the seed's own store; plants the seed the first time."""
        path = self.folder / "seed.db"
        is_new = not path.exists()
        store = open_store(path, [ratchet.MIGRATIONS])
        if is_new:
            plant_seed(store, SEED)
        return store

    def stored(self, epoch: int, seq: int, head: bytes, **changed: Any) -> bytes:
        """Returns the core's signed acknowledgement."""
        record = {"type": "stored", "device": DEVICE, "epoch": epoch, "seq": seq, "head": head}
        return sign_evidence(self.core, {**record, **changed}, DOWN)


class Running:
    """The device's program while it runs."""

    def __init__(self, stores: list[Store | None], waiting: Outbox, stream: SealedStream) -> None:
        self.stores = [store for store in stores if store]
        self.store = self.stores[0]
        self.outbox = waiting
        self.stream = stream

    def head_at(self, epoch: int, seq: int) -> bytes:
        """Returns the chain's value that the outbox keeps beside a message."""
        row = self.store.row(
            "SELECT head FROM outbox_messages WHERE epoch = ? AND seq = ?", (epoch, seq)
        )
        assert row is not None
        return bytes(row["head"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process without a word."""
        for store in self.stores:
            store.close()

    def send(self, core: CoreSide) -> None:
        """Lets the core hear all that waits."""
        for message in self.outbox.due(100_000):
            core.hear(message.payload)


def _identity(path: Path, kid: str) -> FileIdentity:
    return FileIdentity.load(path) if path.exists() else FileIdentity.create(path, kid)


class CoreSide:
    """What the core makes of the messages: its real rules, and its state in memory."""

    def __init__(self, desk: Desk, *more: HpkeKeypair) -> None:
        keys = {DEVICE: desk.identity.public_bytes}
        secret = LocalSecret(desk.core, PURPOSE, Dice(b"core"))
        pairs = {hpke_id(pair.public_bytes): pair for pair in (desk.hpke, *more)}
        self._desk = desk
        self._ingest = Ingest(KeyRing(pairs, secret), keys.get)
        self._standing = Standing()
        if desk.has_seed:
            self._standing.ratchet.chain = Ratchets(secret).seal_seed(DEVICE, SEED, 1)
        self.streams: dict[int, Stream] = {}
        self.verdicts: Counter[str] = Counter()
        self.refusals: list[bytes] = []

    def hear(self, message: bytes) -> None:
        """Takes one message, and those that it releases."""
        claim = read_claim(ORG, UP, message)
        stream = self.streams.setdefault(claim.epoch, Stream(DEVICE, claim.epoch))
        verdict = self._ingest.admit(stream, claim, self._present())
        self.verdicts[verdict.reason or verdict.outcome] += 1
        refusal = refusal_of(stream, claim, verdict)
        if refusal is not None:
            self.refusals.append(sign_evidence(self._desk.core, refusal_record(refusal), DOWN))
        if claim.kind == "epoch-start" and verdict.outcome == "new":
            for held in self._ingest.release(DEVICE, claim.epoch):
                self.hear(held.message)

    def _present(self) -> Standing:
        """Returns what is stored of the device, as of now."""
        for seq, (policy, message) in self._desk.issued.items():
            issued = Issued(seq, message, policy.algs, policy.hpke_id)
            self._standing.policies.setdefault(seq, issued)
        self._standing.ratchet.kept |= self._standing.ratchet.fresh
        return self._standing

    def stored(self, epoch: int) -> bytes:
        """Returns the signed acknowledgement of all that is covered of an epoch."""
        stream = self.streams[epoch]
        return self._desk.stored(epoch, stream.seq, stream.head)
