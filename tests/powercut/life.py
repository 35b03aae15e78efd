"""One device whose power fails again and again, and what it must be like each time it comes back.

Place in the flow: seed → **life** → a result, or a violation.

    start     the store is opened as ever: recovery, migrations, the journal's verification
    check     PRAGMA integrity_check; books, box and pages look for what they promised
    work      random acts of all three, until the power fails at a random moment
    cut       the disk keeps, drops and tears; the next start has what is left

* Power also fails while the store is made, migrated, recovered or closed.
* One file holds journal, outbox and mirror, so that each cut strikes all of them in one log; the
  seed of a device that has one is in a file of its own.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge import journal, mirror, outbox, policies
from edge.errors import LastmileError
from edge.sqlite import engine as sqlite3
from tests.powercut.books import TILL
from tests.powercut.box import BATCHES
from tests.powercut.connection import open_on_disk
from tests.powercut.disk import SECTORS, Disk, DiskVfs, PowerCut
from tests.powercut.flaws import FLAWS, SOUND
from tests.powercut.machine import Machine, Violation, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.sqlite import Migrations
    from edge.store import Store
    from tests.powercut.flaws import Parts
    from tests.powercut.machine import Worker

PATH: Final = Path("/device.db")
MIGRATIONS: Final = (
    journal.MIGRATIONS, TILL, outbox.MIGRATIONS, policies.MIGRATIONS, BATCHES, mirror.MIGRATIONS,
)  # fmt: skip
WORKS: Final = ("journal", "outbox", "mirror")
CHECKPOINT_PAGES: Final = (5, 30, 200, 1_000)
MOMENTS: Final = (10, 50, 200, 600)
"""How many moments of work a cut may wait at most; drawn anew each time."""
ACTS: Final = (1, 10)
"""The same, where only one kind of act is counted."""
WAIT_ACTS: Final = 60
"""After so many acts the power fails at the next moment: some kinds of acts are rare."""
EARLY: Final = 0.2
"""How often the power fails while the device starts."""
RESTART: Final = 0.02


@dataclass(slots=True)
class Result:
    """What a life came to.

    Attributes:
        acts: How many things it did.
        before: How often the power failed before what.
    """

    seed: int
    cuts: int = 0
    acts: int = 0
    flaw: str = ""
    works: tuple[str, ...] = WORKS
    violation: Violation | None = None
    before: Counter[str] = field(default_factory=Counter)


class Life:
    """One device and its cuts.

    Args:
        seed: Decides everything.
        works: Which of `WORKS` it does.
        flaw: One of `FLAWS`, or "" for the product as it is.
    """

    def __init__(self, seed: int, works: tuple[str, ...] = WORKS, flaw: str = "") -> None:
        parts: Parts = FLAWS[flaw] if flaw else SOUND
        self.result = Result(seed, flaw=flaw, works=works)
        self._machine = machine = Machine(seed)
        chance = machine.chance
        machine.disk = Disk(chance, chance.choice(SECTORS), parts.lazy_disk)
        self._name = f"powercut-{id(self)}"
        self._vfs = DiskVfs(self._name, machine.disk)
        self._checkpoint_pages = chance.choice(CHECKPOINT_PAGES)
        self._prepare = parts.prepare
        made: dict[str, Worker] = {
            "journal": parts.books(machine), "outbox": parts.box(machine),
            "mirror": parts.pages(machine),
        }  # fmt: skip
        self._workers = [made[work] for work in works]
        self._open: list[Store] = []
        machine.open = self._open_file

    def run(self, cuts: int) -> Result:
        """Lives through so many cuts, or until a promise is broken."""
        try:
            while self.result.cuts < cuts:
                self._until_cut()
                self.result.cuts += 1
        except Violation as violation:
            self.result.violation = violation
        finally:
            self._vfs.unregister()
        return self.result

    def _until_cut(self) -> None:
        disk, chance = self._machine.disk, self._machine.chance
        if chance.random() < EARLY:
            disk.arm(chance.randint(1, 20))
        try:
            self._start()
            self._arm()
            for _ in range(WAIT_ACTS):
                self._work()
            disk.arm(1)
            while True:
                self._work()
        except PowerCut:
            assert disk.left is not None
        finally:
            self._bury()
        self.result.before[disk.failed_before] += 1
        self._machine.disk = self._vfs.disk = disk.left

    def _arm(self) -> None:
        """Sets the moment of the next cut: any, or one before a certain act."""
        chance, disk = self._machine.chance, self._machine.disk
        act = chance.choices(("", "sync", "truncate", "create", "delete"), (70, 22, 4, 2, 2))[0]
        disk.arm(chance.randint(1, chance.choice(ACTS if act else MOMENTS)), act)

    def _work(self) -> None:
        chance = self._machine.chance
        self.result.acts += 1
        if chance.random() < RESTART:
            self._restart()
            return
        try:
            chance.choice(self._workers).step()
        except (LastmileError, sqlite3.Error) as error:
            # With power on, there is no reason for anything to fail.
            self._machine.moment()
            raise Violation("corrupt", f"The store cannot be worked with: {error!r}") from error

    def _start(self) -> None:
        self._machine.boot()
        try:
            store = self._open_file(PATH, MIGRATIONS)
            for worker in self._workers:
                worker.boot(store)
        except (LastmileError, sqlite3.Error) as error:
            self._machine.moment()
            raise Violation("corrupt", f"The store does not open: {error!r}") from error

    def _open_file(self, path: Path, migrations: Sequence[Migrations]) -> Store:
        """Opens a file of the disk and asks SQLite whether it is whole."""
        store = open_on_disk(self._name, path, migrations, self._checkpoint_pages)
        self._open.append(store)
        self._prepare(store)
        found = [row["integrity_check"] for row in store.rows("PRAGMA integrity_check")]
        require(found == ["ok"], "corrupt", "The file is sound after a cut.", found[:3])
        return store

    def _restart(self) -> None:
        """Ends the process in good order, and starts it again; the power may fail on the way."""
        self._bury()
        self._machine.moment()
        self._start()

    def _bury(self) -> None:
        """Closes all files. A cut then is no exception: SQLite would swallow it on its way out."""
        while self._open:
            with self._machine.disk.silent(), contextlib.suppress(sqlite3.Error):
                self._open.pop().close()
