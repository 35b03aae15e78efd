"""The eight steps of the demonstration, in order, each with its figures and its checks.

Place in the flow: demo → **play** → town, drive, counter → figures.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.config import read_toml, write_config
from edge.mirror import MirrorReader
from edge.purposes import MIRROR_KEY
from edge.store import open_reader
from kiosk_app.receipt import STATUSES
from tests.story import drive
from tests.story.counter import Counter, has_display, read_till, screen_options
from tests.story.figures import Surprise, expect, expect_at_least, sum_up
from tests.story.narrator import Narrator, yuan
from tests.story.privacy import check_privacy
from tests.story.town import AGENT, KIOSK, Town

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.story.drive import Preview, Source
    from tests.story.world import World

STEPS = 8
ENTRIES = 2
FLOAT_FEN, DEPOSIT_FEN, WITHDRAWN_FEN = 500_000, 300_000, 50_000
CONTACT = {"interval_s": 2, "poll_s": 1, "retry_s": 1, "retry_s_max": 1, "timeout_s": 5}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the demonstration was asked for.

    Attributes:
        language: Of screens, slips, reasons and narration; None for Chinese screens and an
            English narration.
        out: Folder for pictures when there is no display.
    """

    source: Source
    preview: Preview
    language: str | None
    out: Path
    broker: str


@dataclass(slots=True)
class Play:
    """One performance."""

    world: World
    wishes: Wishes
    _seen: dict[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def performed(self) -> Iterator[tuple[dict[str, Any], Callable[[], None]]]:
        """Plays all steps and yields the figures, and what keeps the windows alive until closed.

        Raises:
            Surprise: A figure is not as expected.
            LastmileError: A part of the world failed.
        """
        wishes = self.wishes
        screens = screen_options()
        tell = Narrator(wishes.language or "en", STEPS)
        town = Town(self.world, wishes.broker)
        self._found(town, tell)
        self._provision(town, tell, screens)
        self._fund(town, tell)
        with town.listen() as transcript:
            self._drive(town, tell)
            self._grade(town, tell)
            counter = Counter(town, None if has_display() else wishes.out, self._language)
            try:
                self._withdraw(town, tell, counter)
                self._post(town, tell, counter)
                figures = self._report(town, tell)
                counter.pilot.wait(lambda now: now.status.unsent == 0, 30)
                check_privacy(town, transcript, tell)
                yield figures, lambda: self._stay(town, counter)
            finally:
                counter.close()

    @property
    def _language(self) -> str:
        return self.wishes.language or "zh"

    # ------------------------------------------------------------ 1 to 3: the town
    def _found(self, town: Town, tell: Narrator) -> None:
        tell.step("核心系统与消息代理", "The core and a broker")
        kind = town.found()
        tell.say(
            f"证书、账簿已建立；{town.url}；{kind} 监听 127.0.0.1:{town.broker_port}",
            f"certificates and books are made; {town.url}; {kind} on 127.0.0.1:{town.broker_port}",
        )

    def _provision(self, town: Town, tell: Narrator, screens: list[str]) -> None:
        tell.step("技术员开通车载终端和村级终端", "A technician provisions a box and a kiosk")
        for told in town.provision_both(*screens):
            tell.say(*[" · ".join(told.splitlines()[:2])] * 2)

    def _fund(self, town: Town, tell: Narrator) -> None:
        tell.step("开户、备用金、离线额度、业务目录", "Account, float, lease, catalogue")
        town.open_account(yuan(DEPOSIT_FEN))
        town.fund_drawer(yuan(FLOAT_FEN))
        lease = town.grant_lease("1000", "500")
        services = ", ".join(town.publish_catalogue())
        name = town.villager.card.name
        tell.say(
            f"{name} 存入 {yuan(DEPOSIT_FEN)} 元；钱箱备用金 {yuan(FLOAT_FEN)} 元",
            f"{name} deposits {yuan(DEPOSIT_FEN)} yuan; the drawer holds {yuan(FLOAT_FEN)}",
        )
        tell.say(
            f"离线额度 {lease[:8]}…：1000.00 元，单笔 500.00 元；业务：{services}",
            f"lease {lease[:8]}…: 1000.00 yuan, 500.00 at once; services: {services}",
        )

    # ------------------------------------------------------------ 4 and 5: the drive
    def _drive(self, town: Town, tell: Narrator) -> None:
        source = self.wishes.source
        tell.step(f"驾驶员同意后上路：{source.name}", f"Consent, then the drive: {source.name}")
        drive.set_profile(town, self.wishes.preview.profile)
        drive.give_consent(town)
        drive.start_drive(town, source)
        gateway = drive.end_drive(town)
        telemetry = drive.await_lake(town)
        self._seen["gateway"] = gateway
        frames, samples, events = (gateway[name] for name in ("frames", "samples", "events"))
        tell.say(
            f"{frames:,} 帧 → {samples:,} 个采样，{events} 个事件，"
            f"{gateway['batches']} 个加密包，每采样 {gateway['bytes_per_sample']} 字节",
            f"{frames:,} frames → {samples:,} samples, {events} events, "
            f"{gateway['batches']} batches sealed, {gateway['bytes_per_sample']} B a sample",
        )
        for name in ("frames", "samples", "events", "batches"):
            expect(
                f"the core stored the {name} that the box sealed", gateway[name], telemetry[name]
            )
        for name, count in self.wishes.preview.figures.items():
            expect(f"{name} of the recording", count, gateway[name])
        expect("nothing waits or was dropped", (0, 0), (gateway["waiting"], gateway["dropped"]))
        expect_at_least("samples", 1, gateway["samples"])
        expect("the lake agrees with the store", True, telemetry["lake_agrees"])
        expect("every epoch verifies", telemetry["epochs"], telemetry["epochs_verified"])

    def _grade(self, town: Town, tell: Narrator) -> None:
        tell.step("驾驶评级及理由", "The driving grade and its reasons")
        grade = drive.grade_driver(town)
        total = drive.tell_reasons(grade, tell, self.wishes.language or "en")
        expect("base + points of the reasons = score", grade["score"], total)
        expect("the driver consented", True, grade["consent"] is not None)
        self._seen.update(grade=grade, reasons_sum=total)

    # ------------------------------------------------------------ 6 and 7: the withdrawal
    def _withdraw(self, town: Town, tell: Narrator, counter: Counter) -> None:
        tell.step("断网取款：核心系统停机", "A withdrawal with no network: the core is killed")
        settings = read_toml(town.agent_config)
        write_config(town.agent_config, {**settings, "contact": CONTACT})
        self.world.start("agent", AGENT, "run", "--config", str(town.agent_config))
        counter.open()
        self.world.kill("core")
        counter.pilot.wait(lambda now: not now.status.online, 30)
        done = counter.withdraw(str(WITHDRAWN_FEN // 100))
        slip = counter.slips()[-1]
        till = read_till(town)
        waiting = STATUSES[self._language]["waiting"]
        expect("the screen and the receipt wait for upload", True, counter.says("waiting"))
        expect("the paper waits for upload", True, waiting in slip)
        expect("entries of the journal", 1, till["entries"])
        expect("what was spent of the lease, fen", WITHDRAWN_FEN, till["spent_fen"])
        expect("the journal has entries that are not sent", 1, done.status.unsent)
        _show(slip, tell)
        tell.say(
            f"取款 {yuan(WITHDRAWN_FEN)} 元，凭条：{waiting}；账本 1 条，额度已用 "
            f"{yuan(till['spent_fen'])} 元",
            f"{yuan(WITHDRAWN_FEN)} yuan paid out; the receipt says {waiting}; 1 journal entry, "
            f"{yuan(till['spent_fen'])} of the lease spent",
        )

    def _post(self, town: Town, tell: Narrator, counter: Counter) -> None:
        tell.step("核心系统恢复：上传、入账、下发", "The core is back: upload, posting, mirror")
        town.start_core()
        posted = STATUSES[self._language]["posted"]
        counter.pilot.until(lambda: counter.says("posted"), f"{posted} on the screen", 60)
        counter.finish()
        copy = counter.reprint()
        expect("the reprinted receipt is posted", True, posted in copy)
        # The copy is in the journal only after it came out on paper.
        counter.pilot.until(lambda: read_till(town)["entries"] == ENTRIES, "the copy's entry", 10)
        _show(copy, tell)
        tell.say(f"屏幕和补打的凭条：{posted}", f"screen and reprinted receipt say {posted}")

    # ------------------------------------------------------------ 8: the books
    def _report(self, town: Town, tell: Narrator) -> dict[str, Any]:
        tell.step("对账", "The books")
        entries = read_till(town)["entries"]
        expect("entries of the journal: a withdrawal and a copy of its receipt", ENTRIES, entries)
        found: dict[str, Any] = {}

        def settled() -> bool:
            found.update(town.report())
            core = found["core"]
            return bool(core["entries"] == entries and not core["waiting"])

        self.world.wait_until(f"all {entries} entries have their outcome", settled, 30)
        core = found["core"]
        figures = sum_up(
            self._seen["gateway"], self._seen["grade"], self._seen["reasons_sum"], found
        )
        cash = FLOAT_FEN - WITHDRAWN_FEN
        expect("entries that are posted", entries, core["posted"])
        for name in ("lost", "double", "ledger_sum"):
            expect(name, 0, figures[name])
        expect("cash of the ledger, fen", {KIOSK: cash}, core["cash_fen"])
        claim = f"the kiosk knows of {cash} fen in its drawer"
        self.world.wait_until(claim, lambda: _drawer(town) == cash, 30)
        expect("the books are sound", True, core["sound"])
        tell.say(
            f"分录 {entries}，丢失 {figures['lost']}，重复 {figures['double']}，"
            f"总账合计 {figures['ledger_sum']}；钱箱 {yuan(cash)} 元 = 账面",
            f"entries {entries}, lost {figures['lost']}, double {figures['double']}, ledger sum "
            f"{figures['ledger_sum']}; cash in the drawer {yuan(cash)} = ledger",
        )
        return figures

    def _stay(self, town: Town, counter: Counter) -> None:
        """Says where everything is, on standard error: the last line of output was said."""
        for name, place in (
            ("core", f"{town.url}  {town.core_config}"),
            ("broker", f"127.0.0.1:{town.broker_port}"),
            ("box", town.gateway_config),
            ("kiosk", town.kiosk_config),
            ("logs", self.world.directory / "logs"),
        ):
            print(f"{name:<8}{place}", file=sys.stderr)
        print("It stays until Ctrl-C, or until both windows are closed.", file=sys.stderr)
        while counter.stands():
            self.world.raise_if_failed()


def _drawer(town: Town) -> int:
    with open_reader(town.kiosk_dir / "mirror.db", town.kiosk_key(MIRROR_KEY)) as store:
        value = MirrorReader(store).get("drawer", KIOSK)
    if not isinstance(value, dict):
        raise Surprise("the mirror holds the drawer", "a balance", value)
    return int(value["balance_fen"])


def _show(slip: str, tell: Narrator) -> None:
    for line in slip.splitlines():
        tell.say(f"| {line}", f"| {line}")
