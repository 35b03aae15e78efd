"""A town in virtual time: kiosks, boxes, their people, one core, and all that goes wrong.

Place in the flow: seed → nature → **world** → oracle.

    chaos    `steps` times: time passes, one thing happens somewhere, the oracle looks
    healing  the network carries, nobody dies any more; contacts go on hour by hour
    quiet    nothing waits anywhere, within `SETTLE_HOURS_MAX`; the oracle looks at everything

* One process, one thread, one generator of chance: the same seed gives the same world.
* No device is repaired by hand for the healing: clocks stay as wrong as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.errors import LastmileError
from tests.sim import oracle
from tests.sim.box import Box
from tests.sim.core import Core
from tests.sim.kiosk import Bank, Kiosk
from tests.sim.mortal import Death
from tests.sim.nature import HOUR_US, MINUTE_US, SECOND_US, Nature, Violation, require
from tests.sim.wire import Broker, Network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KIOSKS: Final = 3
BOXES: Final = 2
CUSTOMERS: Final = 5
OPENING_FEN: Final = 3_000_000
FLOAT_FEN: Final = 2_000_000
SETTLE_HOURS_MAX: Final = 12
ROUNDS_OF_AN_HOUR: Final = 4
NIGHT_HOURS_MAX: Final = 30
CONTACTS_MAX: Final = 20
OLD_BY_ENTRIES: Final = 3
"""One entry less is what a power cut looks like."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one seed gave.

    Attributes:
        violation: The invariant that did not hold, and what was seen; empty when all held.
        step: Where it was.
        trace: What stands for everything that happened.
        last: The last lines of it.
    """

    seed: int
    steps: int
    step: int
    violation: str
    trace: str
    counts: dict[str, int]
    last: tuple[str, ...]
    hours: int


class World:
    """One town.

    Args:
        seed: Decides everything.
        dsn: Of an empty database with the present schema.
        folder: An empty folder for the devices' disks.
        flaw: A planted bug of `flaws.FLAWS`, to see that it is found.
    """

    def __init__(self, seed: int, dsn: str, folder: Path, flaw: str = "") -> None:
        self.seed = seed
        self.nature = nature = Nature(seed)
        self.core = Core(nature, dsn, flaw)
        self.network = Network(nature, self.core)
        bank = Bank(nature, self.core, self.network, flaw)
        self.kiosks = [
            Kiosk(bank, f"kiosk-{n}", self._disk(folder, f"kiosk-{n}"), trusts_pad=n == 1)
            for n in range(1, KIOSKS + 1)
        ]
        self.boxes = [Box(bank, f"box-{n}", folder) for n in range(1, BOXES + 1)]
        self.broker = Broker(nature, self.core, self._hear)
        self._floats = 0
        self._found()
        self._deeds: list[tuple[int, Callable[[], object]]] = [
            (28, lambda: self._kiosk().withdraw()),
            (24, lambda: self._kiosk().meet()),
            (2, lambda: self._kiosk().copy_receipt()),
            (1, lambda: self._kiosk().turn_clock()),
            (1, lambda: self._kiosk().throw_mirror_away()),
            (4, lambda: self._kiosk().kill(nature.chance.choice(["counter", "agent", "power"]))),
            (2, self._bad_night),
            (8, self._post),
            (12, self._grant),
            (1, self._fund),
            (9, lambda: self._box().drive()),
            (1, lambda: self._box().finish()),
            (1, lambda: self._box().kill()),
            (8, lambda: self._box().publish(self.broker)),
            (6, lambda: self.broker.deliver_up(nature.chance.randint(1, 30))),
            (5, lambda: self.broker.deliver_down(nature.chance.randint(1, 10))),
        ]

    def run(self, steps: int) -> Result:
        """Plays the whole life of the town."""
        step, violation, hours = 0, "", 0
        try:
            for step in range(1, steps + 1):  # noqa: B007 - a violation names it
                self._step()
            self._break_down()
            hours = self._settle()
            oracle.check_end(self.core.watcher, self.kiosks, self.boxes, self.nature.now_us)
            self._count_outcomes()
            self._restore_an_old_copy()
        except Violation as found:
            violation = str(found)
        except LastmileError as error:
            violation = f"Every error is handled where it belongs. But: {error} ({error.code})"
        nature = self.nature
        last, counts = tuple(nature.last), dict(nature.counts)
        return Result(self.seed, steps, step, violation, nature.trace, counts, last, hours)

    def close(self) -> None:
        """Switches everything off."""
        for kiosk in self.kiosks:
            kiosk.close()
        for box in self.boxes:
            box.close()
        self.core.close()

    # ------------------------------------------------------------ chaos
    def _step(self) -> None:
        nature = self.nature
        nature.pass_time(self._pause_us())
        self.network.deliver_late()
        weights = [weight for weight, _ in self._deeds]
        nature.chance.choices([deed for _, deed in self._deeds], weights)[0]()
        oracle.check_step(self.core.watcher)

    def _pause_us(self) -> int:
        """Mostly minutes, sometimes an hour, now and then a night."""
        chance = self.nature.chance
        longest_us = chance.choices([6 * MINUTE_US, 60 * MINUTE_US, 10 * HOUR_US], [75, 20, 5])[0]
        return chance.randint(SECOND_US, longest_us)

    def _kiosk(self) -> Kiosk:
        return self.nature.chance.choice(self.kiosks)

    def _box(self) -> Box:
        return self.nature.chance.choice(self.boxes)

    def _bad_night(self) -> None:
        """What chance alone brings together too seldom: the wrong trouble after the wrong one.

        Leases end, the core hears of it, its answers are lost, the clock falls back, people come.
        """
        kiosk, chance = self._kiosk(), self.nature.chance
        kiosk.clock.set_to(self.nature.now_us)
        kiosk.meet()
        self.network.deafen(kiosk.name, NIGHT_HOURS_MAX + 1)
        self.nature.pass_time(chance.randint(HOUR_US, NIGHT_HOURS_MAX * HOUR_US))
        for _ in range(2):
            kiosk.meet()
            self._post()
        kiosk.set_clock_back()
        for _ in range(4):
            kiosk.withdraw()

    def _post(self) -> None:
        try:
            count = self.core.post(self.nature.chance.choice([1, 3, 1_000]))
        except Death:
            return
        self.nature.tell("post", count=count)

    def _grant(self) -> None:
        chance = self.nature.chance
        kiosk = self._kiosk()
        customer, fen = chance.choice(kiosk.customers), chance.randint(1, 60) * 5_000
        try:
            granted = self.core.grant(customer, kiosk.name, fen, chance.randint(2, 40))
        except Death:
            return
        self.nature.tell("lease", customer=customer, kiosk=kiosk.name, fen=fen, granted=granted)

    def _fund(self) -> None:
        self._floats += 1
        self.core.fund(self._kiosk().name, FLOAT_FEN, self._floats)

    def _hear(self, topic: str, message: bytes) -> None:
        next(box for box in self.boxes if box.down == topic).hear(message)

    # ------------------------------------------------------------ the end
    def _restore_an_old_copy(self) -> None:
        """Somebody puts an old disk back: journal or all; before or after the rest was sent."""
        kiosk, nature = self._kiosk(), self.nature
        kept = kiosk.copy_disk(mirror_too=nature.happens(0.5))
        before = kiosk.counter().journal.head().seq
        for _ in range(OLD_BY_ENTRIES):
            kiosk.copy_receipt()
        if kiosk.counter().journal.head().seq < before + OLD_BY_ENTRIES:
            return  # Nobody ever got a receipt here.
        if nature.happens(0.5):
            kiosk.meet()
        kiosk.restore_disk(kept)
        stopped = kiosk.is_stopped()
        invariant = "An old copy of a disk is noticed at the next contact, by kiosk and core."
        row = self.core.watcher.execute(
            "SELECT state FROM devices WHERE device = %s", [kiosk.name]
        ).fetchone()
        require(stopped and row == ("quarantined",), invariant, f"{kiosk.name}: {stopped}, {row}.")

    # ------------------------------------------------------------ founding and healing
    def _found(self) -> None:
        """Registers everybody; each customer is served by two kiosks."""
        for kiosk in self.kiosks:
            self.core.add_kiosk(kiosk.identity, kiosk.pad)
            self._floats += 1
            self.core.fund(kiosk.name, FLOAT_FEN, self._floats)
        for box in self.boxes:
            self.core.add_device(box.identity, "gateway")
        for number in range(1, CUSTOMERS + 1):
            served = [self.kiosks[(number + n) % KIOSKS] for n in range(2)]
            name = f"customer-{number}"
            self.core.add_customer(name, [each.name for each in served], OPENING_FEN)
            for kiosk in served:
                kiosk.customers.append(name)

    def _break_down(self) -> None:
        """At the end of the chaos nothing passes at all, and everybody tries in vain."""
        self.network.is_down = True
        for kiosk in self.kiosks:
            kiosk.withdraw()
            kiosk.copy_receipt()
            kiosk.meet()
        self.network.is_down = False

    def _settle(self) -> int:
        """Heals the world and lets it come to rest; returns the hours that took."""
        self.nature.calm = True
        for box in self.boxes:
            box.finish()
        for hour in range(1, SETTLE_HOURS_MAX + 1):
            waiting = [self._settle_a_while() for _ in range(ROUNDS_OF_AN_HOUR)][-1]
            if not waiting:
                return hour
        invariant = f"Everything settles within {SETTLE_HOURS_MAX} hours of a good network."
        raise Violation(f"{invariant} But: {', '.join(waiting)}.")

    def _settle_a_while(self) -> list[str]:
        """A quarter of an hour in which everybody does what they can; names who waits still."""
        self.nature.pass_time(HOUR_US // ROUNDS_OF_AN_HOUR)
        self.network.deliver_late()
        for box in self.boxes:
            box.publish(self.broker)
        self.broker.deliver_up(500)
        self.broker.deliver_down(1_000)
        for kiosk in self.kiosks:
            self._meet_until_quiet(kiosk)
        waiting = []
        while self.core.post(1_000):
            waiting.append("the queue")
        for kiosk in self.kiosks:
            wrong = oracle.stale_scopes(self.core.watcher, kiosk, self.nature.now_us)
            waiting += [f"{scope} of {kiosk.name}" for scope in wrong]
        return [*waiting, *(box.name for box in self.boxes if not box.outbox.empty)]

    def _meet_until_quiet(self, kiosk: Kiosk) -> None:
        """Contacts as the agent makes them, while there is more."""
        kiosk.counter()
        outcome = None
        for _ in range(CONTACTS_MAX):
            outcome = kiosk.meet()
            if outcome is None or not (outcome.good and outcome.more):
                break
        require(outcome is not None and outcome.good, "A good network gives good contacts.",
                outcome and (outcome.uplink_error or outcome.downlink_error))  # fmt: skip

    def _count_outcomes(self) -> None:
        connection, counts = self.core.watcher, self.nature.counts
        for status, count in connection.execute(
            "SELECT status, count(*) FROM outcomes GROUP BY status"
        ).fetchall():
            counts[str(status)] = int(count)
        for name, table in (("batches", "telemetry_messages"), ("gaps", "telemetry_gaps")):
            row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
            counts[name] = int(row[0]) if row else 0

    @staticmethod
    def _disk(folder: Path, name: str) -> Path:
        disk = folder / name
        disk.mkdir()
        return disk
