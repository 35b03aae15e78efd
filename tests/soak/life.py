"""One soak: a box, a bad network, a broker and a core that do not live long, and two drives.

Place in the flow: weather says what happens → **life** → town, proxy, box → oracle.

    first drive    paced, `factor` times as fast as real; every fault of the weather
    judge          everything is there, once, and nothing waits
    second drive   at full speed, the network away throughout, an outbox that is far too small,
                   kill -9 in the middle; then the network comes back
    judge          what is not there is what the box has counted and signed to be lost

* The box ends by itself once everything is settled; it is never helped.
* The core and its ingest are the real ones, with PostgreSQL, and the broker too.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from backend_sync.core.database import DATABASE, connect
from backend_sync.core.postgres import EmbeddedServer
from edge.config import read_toml, write_config
from edge.errors import DeviceFault
from edge.keys import FileIdentity, verifier
from edge.store import open_reader
from hardware.drivers.clock import SystemClock
from tests.soak.clock import write_since
from tests.soak.drive import record
from tests.soak.flaws import BOX as BOX_FLAWS
from tests.soak.flaws import CORE as CORE_FLAWS
from tests.soak.oracle import Finding, Oracle
from tests.soak.proxy import ChaosProxy
from tests.soak.weather import CLIMATES, acts, kill_places
from tests.story import drive as story
from tests.story.town import BOX, CORE, GATEWAY, ORG, START_S_MAX, Town
from tests.story.wreck import kill_core

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.ports import Instant
    from tests.soak.drive import Drive
    from tests.soak.weather import Act
    from tests.story.world import World

CHILD: Final = "tests.soak.child"
SETTLE_S_MAX: Final = 120.0
KEEPS: Final = 3
"""An outbox of the second drive holds one in so many of its bytes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is to be done.

    Attributes:
        seed: Of drives and weather.
        drive_s: Length of the first drive, in its own time.
        overflow_s: Length of the second.
        factor: How many times as fast as real the first drive and the box's clocks run.
        overflow_kills: How often the box is killed during the second.
        kinds: Which faults there are.
        flaw: A name of `flaws.FLAWS`, or none.
    """

    seed: int = 1
    drive_s: int = 7_200
    overflow_s: int = 1_800
    factor: int = 30
    overflow_kills: int = 5
    kinds: tuple[str, ...] = tuple(CLIMATES)
    flaw: str = ""


@dataclass(slots=True)
class Result:
    """What came of it.

    Attributes:
        finding: The oracle's last word.
        status: The box's last word.
        done: What happened, by the names of the weather.
        hours: Simulated driving.
        resets: Connections that the network broke.
    """

    finding: Finding
    status: dict[str, Any]
    done: Counter[str]
    hours: float
    resets: int
    seconds: float = 0.0


class Soak:
    """Plays a plan in a world.

    Args:
        world: Where processes and files are; its owner clears it away.
        plan: How much is to be done.
        say: Takes a line for people.

    Attributes:
        town: The parts of it.
    """

    def __init__(self, world: World, plan: Plan, say: Callable[[str], None]) -> None:
        self._world = world
        self._plan = plan
        self._say = say
        self.town = SoakTown(world, flaw=plan.flaw if plan.flaw in CORE_FLAWS else "")
        self._proxy = ChaosProxy(self.town.broker_port)
        self._since: Instant = SystemClock().now()
        self._source: list[str] = []
        self._done: Counter[str] = Counter()
        self._drives: list[Drive] = []

    def run(self) -> Result:
        """Plays it; ends early when the first drive breaks a promise already."""
        started = time.monotonic()
        try:
            self._set_up()
            finding = self._first_drive()
            if not finding.violations:
                finding = self._second_drive()
        except DeviceFault as fault:
            finding = Finding(violations=[str(fault)])
        finally:
            self._proxy.close()
        hours = (
            sum(each.frames for each in self._drives)
            and (self._plan.drive_s + self._plan.overflow_s) / 3_600
        )
        result = Result(finding, self._status(), self._done, hours, self._proxy.resets)
        result.seconds = time.monotonic() - started
        return result

    # ------------------------------------------------------------ the two drives
    def _set_up(self) -> None:
        kind = self.town.found()
        self.town.provision_box()
        settings = read_toml(self.town.gateway_config)
        broker = {**settings["broker"], "port": self._proxy.port}
        write_config(self.town.gateway_config, {**settings, "broker": broker})
        story.give_consent(self.town)
        self._say(f"a core, its PostgreSQL, {kind}, a box; the network between is ours")

    def _first_drive(self) -> Finding:
        plan = self._plan
        path = self._world.directory / "first.log"
        self._drives.append(record(path, plan.drive_s, plan.seed))
        self._say(f"{plan.drive_s / 3_600:g} h recorded: {self._drives[0].frames:,} frames")
        self._since = SystemClock().now()
        self._source = ["--log", str(path), "--speed", "real"]
        self._boot()
        began = time.monotonic()
        for act in acts(plan.seed, plan.drive_s / plan.factor, plan.kinds):
            if not self._idle_until(began + act.at_s):
                self._done["not played"] += act.begins
                continue
            self._play(act)
        self._heal()
        self._settle()
        return self.judge(overflown=False)

    def _second_drive(self) -> Finding:
        plan = self._plan
        path = self._world.directory / "second.log"
        self._drives.append(record(path, plan.overflow_s, plan.seed + 1, day=1))
        self._limit(self._second_bytes() // KEEPS)
        self._proxy.refuse(begins=True)
        self._source = ["--log", str(path), "--speed", "full"]
        frames = self._drives[1].frames
        self._boot()
        for place in kill_places(plan.seed, plan.overflow_kills):
            self._await_frames(int(place * frames))
            self._play_kill()
            self._boot()
        self._world.wait_until("the drive is sealed", lambda: self._is_sealed(frames), SETTLE_S_MAX)
        before = self._status()
        self._say(f"overflow: the box tells {before['dropped_by']} dropped")
        self._proxy.refuse(begins=False)
        self._settle()
        finding = self.judge(overflown=True)
        self._judge_counts(self._status(), finding)
        return finding

    def _judge_counts(self, status: dict[str, Any], finding: Finding) -> None:
        finding.require(finding.dropped > 0, "Nothing was dropped: the overflow was none.")
        finding.require(
            status["dropped"] == finding.dropped and status["dropped_by"] == finding.dropped_by,
            f"The box counts {status['dropped']} dropped ({status['dropped_by']}), and of what was"
            f" made the core lacks {finding.dropped} ({dict(finding.dropped_by)}).",
        )

    def judge(self, *, overflown: bool) -> Finding:
        """Asks the oracle, once the core has written its lake.

        Args:
            overflown: Whether the second drive is over, too.
        """
        late = ""
        try:
            story.await_lake(self.town)
        except DeviceFault as fault:  # the oracle says what it waits for
            late = str(fault).partition("\n")[0]
        identity = FileIdentity.load(self.town.box_dir / "keys" / "identity.pem")
        box = BOX, verifier(identity.public_bytes)
        topic = f"lastmile/v1/{ORG}/{BOX}/up"
        data = self.town.core_dir
        with connect(EmbeddedServer(data / "postgres").dsn(DATABASE)) as connection:
            oracle = Oracle(connection, data / "lake", box, topic)
            oracle.splits = self._done["term"]
            finding = oracle.judge(self._drives[:1], self._drives[1:] if overflown else ())
        finding.require(not late, late)
        status = self._status()
        finding.require(status["waiting"] == 0, f"{status['waiting']} messages wait for ever.")
        return finding

    # ------------------------------------------------------------ acts
    def _play(self, act: Act) -> None:
        moves: dict[str, Callable[[Act], None]] = {
            "kill": lambda a: self._play_kill() if a.begins else self._boot(),
            "term": lambda a: self._play_term() if a.begins else self._boot(),
            "broker-kill": lambda a: self._play_broker(a, self._world.kill),
            "broker-term": lambda a: self._play_broker(a, self._world.stop),
            "core-kill": self._play_core,
            "cut": lambda _: self._count("cut", self._proxy.cut()),
            "cut-within": self._play_cut_within,
            "half-open": self._play_half_open,
            "refuse": self._play_refusal,
            "slow": self._play_slow,
        }
        moves[act.kind](act)

    def _count(self, name: str, by: int = 1) -> None:
        self._done[name] += by

    def _play_kill(self) -> None:
        if self._world.alive("gateway"):
            self._world.kill("gateway")
            self._count("kill")

    def _play_term(self) -> None:
        if self._world.alive("gateway"):
            self._world.stop("gateway")
            self._count("term")

    def _boot(self) -> None:
        """Starts the box, where it does not run and was not done."""
        if self._world.alive("gateway") or self._has_ended():
            return
        flaw = ["--flaw", self._plan.flaw] if self._plan.flaw in BOX_FLAWS else []
        since = write_since(self._since)
        self._world.start(
            "gateway", CHILD, "--factor", str(self._plan.factor), "--since", since, *flaw,
            GATEWAY, "run", "--config", str(self.town.gateway_config), "--exit-when-settled",
            *self._source,
        )  # fmt: skip

    def _play_broker(self, act: Act, end: Callable[[str], None]) -> None:
        if act.begins and self._world.alive("broker"):
            end("broker")
            self._count(act.kind)
        elif not act.begins and not self._world.alive("broker"):
            self.town.start_broker()

    def _play_core(self, act: Act) -> None:
        if act.begins and self._world.alive("core"):
            kill_core(self.town)
            self._count(act.kind)
        elif not act.begins and not self._world.alive("core"):
            self.town.start_core()

    def _play_cut_within(self, act: Act) -> None:
        self._proxy.rules.left = act.bytes_left
        self._count(act.kind)

    def _play_half_open(self, act: Act) -> None:
        self._proxy.swallow(begins=act.begins)
        self._count(act.kind, act.begins)

    def _play_refusal(self, act: Act) -> None:
        self._proxy.refuse(begins=act.begins)
        self._count(act.kind, act.begins)

    def _play_slow(self, act: Act) -> None:
        self._proxy.rules.is_slow = act.begins
        self._count(act.kind, act.begins)

    def _heal(self) -> None:
        """Ends what still lasts."""
        self._proxy.heal()
        if not self._world.alive("broker"):
            self.town.start_broker()
        if not self._world.alive("core"):
            self.town.start_core()
        self._boot()

    # ------------------------------------------------------------ looking on
    def _idle_until(self, deadline: float) -> bool:
        """Waits; says whether the box still has something to do."""
        while time.monotonic() < deadline:
            self._world.raise_if_failed()
            if self._has_ended():
                return False
            self._world.idle()
        return not self._has_ended()

    def _has_ended(self) -> bool:
        """Whether the box has ended by itself, all of this drive done."""
        running = self._world._running.get("gateway")
        return running is not None and running.poll() == 0

    def _settle(self) -> None:
        self._say("healed; waiting until the box has nothing left")
        code = self._world.finish("gateway", SETTLE_S_MAX + self._plan.drive_s / self._plan.factor)
        if code != 0:
            raise DeviceFault(f"the box ended with {code}:\n{self._world.tail('gateway')}", "soak")
        self._world.stop("gateway")

    def _look(self, query: str, *values: object) -> dict[str, Any]:
        try:
            with open_reader(self.town.box_dir / "data" / "outbox.db") as store:
                return store.row(query, tuple(values)) or {}
        except DeviceFault:
            return {}

    def _read_frames(self) -> int:
        query = "SELECT position AS n FROM gateway_checkpoint WHERE source = ?"
        return int(self._look(query, self._drives[-1].path.name).get("n", 0))

    def _await_frames(self, frames: int) -> None:
        claim = f"frame {frames} is sealed"
        self._world.wait_until(claim, lambda: self._read_frames() >= frames, SETTLE_S_MAX)

    def _is_sealed(self, frames: int) -> bool:
        open_ones = self._look("SELECT count(*) AS n FROM outbox_epochs WHERE closed = 0")
        return self._read_frames() == frames and open_ones.get("n") == 0

    def _second_bytes(self) -> int:
        """Returns what the second drive will need, by what the first one did."""
        first = self._status()
        samples = sum(each.count for each in self._drives[1].samples.values())
        return int(first["sealed_bytes"] * samples / first["samples"])

    def _limit(self, bytes_max: int) -> None:
        settings = read_toml(self.town.gateway_config)
        write_config(self.town.gateway_config, {**settings, "outbox": {"bytes_max": bytes_max}})

    def _status(self) -> dict[str, Any]:
        """Asks the box as a technician does."""
        config = str(self.town.gateway_config)
        found = json.loads(self._world.call(GATEWAY, "status", "--config", config, "--json"))
        assert isinstance(found, dict)
        return found


@dataclass(slots=True)
class SoakTown(Town):
    """A town whose core may have a bug on purpose.

    Attributes:
        flaw: A name of `flaws.CORE`, or none.
    """

    flaw: str = field(default="", kw_only=True)

    def start_core(self) -> None:
        """Starts the core, with its bug."""
        if not self.flaw:
            Town.start_core(self)
            return
        self.world.start(
            "core",
            CHILD,
            "--flaw",
            self.flaw,
            CORE,
            "run",
            "all",
            "--config",
            str(self.core_config),
        )
        ready = lambda: f"ready {self.url}" in self.world.said("core")  # noqa: E731
        self.world.wait_until("the core says that it is ready", ready, START_S_MAX)
