"""A vehicle box: a small outbox, a program that dies, and a broker that keeps no promise.

Place in the flow: nature → **box** (seal, chain, outbox) → wire → core → signed word → **box**.

* Stream, outbox and send plan are the real ones; the outbox is so small that it must drop.
* What was committed is written down here, so that it can be compared with what the core has.
* Now and then a word comes that the real core never gave: signed with its key, about a chain that
  is not this box's (a standby core, set up wrongly). It must delete nothing.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from backend_sync.telemetry.claim import down_topic
from edge import outbox, policies
from edge.epochs import SealedStream, StreamPorts
from edge.errors import DeviceFault, PeerError
from edge.keys import FileIdentity, sign_evidence, verifier
from edge.outbox import Outbox, OutboxLimits
from edge.policy import Policy
from tests.sim.core import ORG, draw_key
from tests.sim.flaws import CarelessOutbox, SilentStream
from tests.sim.mortal import Death, Fuse, MortalStore, open_mortal
from tests.sim.nature import Dice, WrongClock, require
from vehicle_gateway.publish import SendPlan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sim.kiosk import Bank
    from tests.sim.wire import Broker

ALGORITHMS: Final = (3, 30)
LIMITS: Final = OutboxLimits(bytes_max=24_000, messages_max=40)
BATCH_BYTES_MAX: Final = 900
BATCHES_MAX: Final = 6
EVIDENCE_SHARE: Final = 0.15
ALIEN_SHARE: Final = 0.05
KILL_SHARE: Final = 0.07
KILL_STATEMENTS_MAX: Final = 80
WINDOW: Final = 16


class Box:
    """One vehicle box.

    Args:
        bank: Whom it belongs to.
        name: Its device id.
        folder: Its disk.
    """

    def __init__(self, bank: Bank, name: str, folder: Path) -> None:
        self.bank, self.name, self.path = bank, name, folder / f"{name}.db"
        self.identity = FileIdentity(name, draw_key(bank.nature))
        self.up, self.down = f"lastmile/v1/{ORG}/{name}/up", down_topic(ORG, name)
        self.sealed: dict[tuple[int, int], bytes] = {}
        self._clock = WrongClock(bank.nature, 0, 0.0)
        self._fuse = Fuse()
        self._store: MortalStore | None = None
        self._start()

    # ------------------------------------------------------------ power
    def _start(self) -> None:
        bank = self.bank
        self._store = open_mortal(
            self.path, [outbox.MIGRATIONS, policies.MIGRATIONS], self._fuse, lambda: None
        )
        waiting = CarelessOutbox if bank.flaw == "settle-any-head" else Outbox
        stream = SilentStream if bank.flaw == "drop-in-silence" else SealedStream
        self.outbox = waiting(self._store, self.name, LIMITS)
        policy = Policy(self.name, 1, ALGORITHMS, bank.core.hpke.public_bytes)
        ports = StreamPorts(self.identity, policy, self._clock, Dice(bank.nature), self.up)
        self.stream = stream(self._store, self.outbox, ports)
        self._plan = SendPlan(Dice(bank.nature), WINDOW)

    def kill(self) -> None:
        """Kills the program and starts it anew."""
        self.bank.nature.tell("kill", who="box", box=self.name)
        assert self._store is not None
        self._store.kill()
        self._clock.boot()
        self._start()

    def close(self) -> None:
        """Switches off in good order."""
        assert self._store is not None
        self._store.close()

    # ------------------------------------------------------------ driving
    def drive(self) -> None:
        """Seals some batches and signs some evidence; the program may die over it."""
        for _ in range(self.bank.nature.chance.randint(1, BATCHES_MAX)):
            self._live(self._make_message)

    def finish(self) -> None:
        """Signs the end of the epoch."""
        self._live(self.stream.close)

    def publish(self, broker: Broker) -> None:
        """Hands what is due to the broker."""
        waiting = self.outbox.due(WINDOW)
        for message in self._plan.next(waiting, self._clock.now().monotonic_us):
            broker.publish(self.up, message.payload)

    def hear(self, message: bytes) -> None:
        """Takes a signed acknowledgement, or what is left of one."""
        if self.bank.nature.happens(ALIEN_SHARE):
            self._settle(self._alien_word())
        self._settle(message)

    def _make_message(self) -> None:
        chance = self.bank.nature.chance
        if chance.random() < EVIDENCE_SHARE:
            self.stream.state({"type": "notice", "number": chance.randint(0, 1 << 30)})
        else:
            plaintext = chance.randbytes(chance.randint(50, BATCH_BYTES_MAX))
            self.stream.seal(plaintext, chance.choice([0, 0, 0, 1, 2]))

    def _settle(self, message: bytes) -> None:
        core = verifier(self.bank.core.signer.public_bytes)

        def settle() -> None:
            try:
                count = self.outbox.settle(message, core, self.down)
            except PeerError as error:
                self.bank.nature.tell("unbelieved", box=self.name, code=error.code)
            else:
                self.bank.nature.tell("settled", box=self.name, count=count)

        self._live(settle)

    def _alien_word(self) -> bytes:
        """Names a message that waits, and a chain that is not ours."""
        waiting = self.outbox.due(WINDOW)
        at = waiting[-1] if waiting else None
        record = {
            "type": "stored", "device": self.name, "epoch": at.epoch if at else 1,
            "seq": at.seq if at else 1, "head": self.bank.nature.chance.randbytes(32),
        }  # fmt: skip
        return sign_evidence(self.bank.core.signer, record, self.down)

    def _live(self, deed: Callable[[], object]) -> None:
        """Does something in danger of death, and writes down what was committed."""
        nature = self.bank.nature
        if nature.happens(KILL_SHARE):
            self._fuse.set(nature.chance.randint(1, KILL_STATEMENTS_MAX))
        try:
            deed()
        except Death:
            self.kill()
        except DeviceFault as error:
            require(error.code == "outbox-full", "The disk of a box never fails here.", error)
            nature.tell("full", box=self.name)
        finally:
            self._fuse.clear()
        self._write_down()

    def _write_down(self) -> None:
        assert self._store is not None
        rows = self._store.rows(
            "SELECT epoch, seq, message FROM outbox_messages WHERE message IS NOT NULL"
        )
        for row in rows:
            place, digest = (row["epoch"], row["seq"]), sha256(row["message"]).digest()
            same = self.sealed.setdefault(place, digest) == digest
            require(same, "No number of an epoch ever has two messages.", f"{self.name} {place}")
