"""The box's side: epochs, sealed messages, acknowledgements; and where each message must be.

Place in the flow: machine → **box** (sealed stream, outbox) ⇄ backend → life.

* Promised: a message whose transaction was left is in the outbox, at the core, or covered by a
  signed gap, after any cut.
* A message leaves the device only once it is committed.
* The network loses messages and answers, repeats old answers, and delivers them late.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from edge.epochs import SealedStream, StreamPorts
from edge.errors import DeviceFault, LocalError
from edge.keys import FileIdentity, ratchet, unwrap_chain_key
from edge.outbox import Outbox, OutboxLimits
from edge.policies import read_standing
from edge.policy import Policy, sign_policy
from edge.ratchet import MIGRATIONS as SEEDS
from edge.ratchet import RandomKeys, RatchetKeys, plant_seed
from edge.sqlite import Migrations
from edge.store import create_tables
from tests.powercut.backend import CORE, CORE_VERIFY, DOWN, HPKE, UP, Core, Listener, Thief
from tests.powercut.machine import DEVICE, HOUR_US, require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.outbox import Message
    from edge.ratchet import KeySource
    from edge.sqlite import Database
    from edge.store import Store
    from edge.suites import Aead
    from tests.powercut.machine import Machine

SIGNER: Final = FileIdentity(DEVICE, ec.generate_private_key(ec.SECP256R1()))
POLICY: Final = Policy(DEVICE, 1, (3, 30), HPKE.public_bytes)
SEED_PATH: Final = Path("/seed.db")
ALGS: Final = ((3, 30), (30,), (24, 3))
LIMITS: Final = (OutboxLimits(), OutboxLimits(messages_max=24), OutboxLimits(bytes_max=12_000))
PRIORITIES: Final = (0, 0, 0, 1, 2)
DUE: Final = 16
LOSS: Final = 0.25
OLD_ANSWERS: Final = 20
BATCHES = Migrations("powercut_batches")


@BATCHES()
def batches_001(database: Database) -> None:
    """What the box has batched so far; changes with every message."""
    create_tables(
        database,
        "CREATE TABLE powercut_batches (epoch INTEGER, seq INTEGER, PRIMARY KEY (epoch, seq))",
    )


class WatchedOutbox(Outbox):
    """The outbox, and a thief who sees what is written to the disk."""

    thief: Thief

    def put(self, message: Message, *rest: Any) -> Any:
        """Keeps a message, and shows it."""
        self.thief.see(message.payload)
        return super().put(message, *rest)


class Box:
    """Seals and publishes, and knows what must not be lost.

    Args:
        machine: The device; half of all have a seed, the others draw their keys at random.

    Attributes:
        core: What is stored on the other side.
        waiting: (epoch, number) of promised messages that the core is not known to have.
        said: Every plaintext that was ever sealed under a number, committed or not.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.limits = machine.chance.choice(LIMITS)
        self.core = Core()
        self.listener = Listener(self.keys_of)
        self.thief = Thief(self.keys_of)
        self.seed = machine.token(32) if machine.chance.random() < 0.5 else None
        self.policies = [1]
        self.waiting: set[tuple[int, int]] = set()
        self.counts: dict[int, int] = {}
        self.said: defaultdict[tuple[int, int], set[bytes]] = defaultdict(set)
        self._answers: list[bytes] = []
        self.store: Store
        self.outbox: Outbox
        self.stream: SealedStream
        self._acts: list[tuple[int, Callable[[], None]]] = [
            (10, self.seal), (2, self.state), (1, self.state_privately), (1, self.undo),
            (1, self.end_epoch), (1, self.next_hour), (6, self.publish), (5, self.settle),
            (1, self.take_policy), (1, self.heed),
        ]  # fmt: skip

    def boot(self, store: Store) -> None:
        """Opens outbox and stream and checks that nothing is missing.

        Raises:
            Violation: A promised message is nowhere.
        """
        self.store = store
        self.outbox = WatchedOutbox(store, DEVICE, self.limits)
        self.outbox.thief = self.thief
        self.stream = self._make_stream()
        self._check()
        self._check_policy()
        self._note()

    def keys_of(self, record: Mapping[str, Any], suite: Aead) -> tuple[bytes, bytes]:
        """Returns key and base_iv of an epoch, as the core has them."""
        if self.seed is None:
            chain_key = unwrap_chain_key(HPKE, record["wrap"], DEVICE, record["epoch"])
        else:
            chain_key = self.seed
            for _ in range(record["epoch"] - 1):
                chain_key = ratchet(chain_key, suite)[0]
        return ratchet(chain_key, suite)[1]

    def make_keys(self, store: Store) -> RatchetKeys:
        """Returns what draws chain keys out of the seed."""
        return RatchetKeys(store)

    def _make_stream(self) -> SealedStream:
        """Returns the stream of a process that has just started."""
        policy = Policy(DEVICE, 1, ALGS[0], HPKE.public_bytes)
        ports = StreamPorts(SIGNER, policy, self.machine, self.machine, UP)
        keys: KeySource = RandomKeys(self.machine)
        if self.seed is not None:
            store = self.machine.open(SEED_PATH, (SEEDS,))
            if store.row("SELECT epoch FROM device_seed") is None:
                plant_seed(store, self.seed)
            keys = self.make_keys(store)
        return SealedStream(self.store, self.outbox, ports, keys)

    def step(self) -> None:
        """Does one thing, drawn by weight."""
        weights, acts = zip(*self._acts, strict=True)
        act = self.machine.chance.choices(acts, weights)[0]
        try:
            act()
        except DeviceFault as fault:
            if fault.code != "outbox-full":
                raise
            self.publish()
            self.settle()
        self.machine.moment()
        self._note()

    # ------------------------------------------------------------ acts
    def seal(self) -> None:
        """Seals a message, with state that changes in the same transaction."""
        with self.store.transaction():
            self._seal_one()

    def undo(self) -> None:
        """Seals a message, and takes it back before it is committed."""
        with contextlib.suppress(LocalError), self.store.transaction():
            self._seal_one()
            raise LocalError("The trip is not one.", "undone")

    def state(self) -> None:
        """Signs a record into the chain."""
        self.stream.state({"type": "trip", "km": self.machine.chance.randrange(100)})

    def state_privately(self) -> None:
        """Signs a record that only the core can read."""
        self.stream.state_privately("driver", {"driver": "D-7"})

    def end_epoch(self) -> None:
        """Ends the epoch, or begins another."""
        if self.machine.chance.random() < 0.5:
            self.stream.close()
        else:
            self.stream.begin()

    def next_hour(self) -> None:
        """Lets an hour pass: the next message begins an epoch."""
        self.machine.pass_time(HOUR_US)

    def take_policy(self) -> None:
        """Takes a newer policy of the core."""
        seq = self.policies[-1] + 1
        policy = Policy(DEVICE, seq, self.machine.chance.choice(ALGS), HPKE.public_bytes)
        self.policies.append(seq)
        self.stream.take_policy(sign_policy(CORE, policy), CORE_VERIFY)
        self.machine.moment()
        self.policies = [seq]

    def heed(self) -> None:
        """Hears that the core can never take a message that waits."""
        waiting = self.outbox.due(DUE)
        message = self.machine.chance.choice(waiting).payload if waiting else b""
        refusal = self.core.refuse(message) if message else None
        if refusal is not None:
            self.stream.heed(refusal, CORE_VERIFY, DOWN)

    def publish(self) -> None:
        """Sends what is due; the network loses some."""
        for message in self.outbox.due(DUE):
            self.send(message.payload)

    def settle(self) -> None:
        """Hears answers of the core: new ones, and now and then old ones again."""
        chance = self.machine.chance
        fresh = [answer for answer in self.core.answers(chance) if chance.random() >= LOSS]
        old = chance.sample(self._answers, min(2, len(self._answers)))
        self._answers = [*self._answers, *fresh][-OLD_ANSWERS:]
        for answer in [*fresh, *old]:
            self.outbox.settle(answer, CORE_VERIFY, DOWN)
            self.machine.moment()

    def send(self, message: bytes) -> None:
        """Lets a message leave the device."""
        self.machine.moment()
        self.listener.hear(message, self.said)
        if self.machine.chance.random() >= LOSS:
            self.core.receive(message)

    # ------------------------------------------------------------ inside
    def _seal_one(self) -> None:
        chance = self.machine.chance
        plaintext = chance.randbytes(chance.choice((12, 200, 2_000)))
        seq = self.stream.seal(plaintext, chance.choice(PRIORITIES))
        self.said[self.stream.epoch, seq].add(plaintext)
        self.store.execute(
            "INSERT INTO powercut_batches (epoch, seq) VALUES (?, ?)", (self.stream.epoch, seq)
        )

    def _note(self) -> None:
        """Promises what is committed now."""
        for row in self.store.rows("SELECT epoch, count FROM outbox_epochs"):
            epoch, count = row["epoch"], row["count"]
            known = self.counts.get(epoch, -1)
            self.waiting.update((epoch, seq) for seq in range(known + 1, count + 1))
            self.counts[epoch] = max(known, count)

    def _check_policy(self) -> None:
        standing = read_standing(self.store, DEVICE)
        seq = standing.seq if standing else 0
        require(seq in self.policies, "lost", "A policy that was taken stands.", seq)
        self.policies = [seq]

    def _check(self) -> None:
        self.waiting = {place for place in self.waiting if not self.core.has(*place)}
        here = {
            (row["epoch"], row["seq"])
            for row in self.store.rows(
                "SELECT epoch, seq FROM outbox_messages WHERE message IS NOT NULL"
            )
        }
        for row in self.store.rows("SELECT epoch, first, last FROM outbox_gaps"):
            here.update((row["epoch"], seq) for seq in range(row["first"], row["last"] + 1))
        missing = sorted(self.waiting - here)
        promise = "A promised message is in the outbox, at the core, or told of as a gap."
        require(not missing, "lost", promise, f"{missing[:3]} of {len(self.waiting)}.")
