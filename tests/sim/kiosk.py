"""A village kiosk: two processes over one disk, a wrong clock, and people who want cash.

Place in the flow: nature → **kiosk** (counter writes the journal, agent carries it) → wire → core.

* Journal, till, teller, contact and mirror are the real ones; the pad signs without fingers.
* Either process dies at any statement, or both when the power fails; what they said is on the disk.
* After each commit of one process the other may act: no order is taken for granted.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from backend_sync.agent.contact import Contact, Ends
from edge import journal as edge_journal
from edge import mirror as edge_mirror
from edge.journal import Journal, JournalReader, decode_entry
from edge.keys import FileIdentity, sign_evidence, verifier
from edge.mirror import MirrorReader
from edge.purposes import PIN_ANSWER_TOPIC
from hardware.sim.counter import SimCounter
from kiosk_app import till as kiosk_till
from kiosk_app.mirror import MirrorFile
from kiosk_app.teller import Site, Teller
from kiosk_app.till import Till
from tests.sim.core import LOOKUP_KEY, draw_key
from tests.sim.flaws import DeafTeller, HastyContact, LooseTeller, LooseTill
from tests.sim.mortal import Death, Fuse, MortalStore, open_mortal
from tests.sim.nature import DAY_US, HOUR_US, MINUTE_US, START_US, Dice, Nature, WrongClock, require
from tests.unit.kiosk_app.village import service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from backend_sync.agent.contact import Outcome
    from tests.sim.core import Core
    from tests.sim.wire import Network

SERVICE: Final = service("cash_withdrawal")
DAY_MAX_FEN: Final = 10_000_000
NOTE_FEN: Final = 1_000
KILL_SHARE: Final = 0.15
KILL_STATEMENTS_MAX: Final = {"counter": 14, "agent": 60}
FLAT_BATTERY_SHARE: Final = 0.3
MEANWHILE_SHARE: Final = 0.08
GREEDY_SHARE: Final = 0.05
FORGED_SHARE: Final = 0.08
PAUSE_US_MAX: Final = 3 * HOUR_US
SHOWN_BY_A_DEAD_BATTERY_US: Final = 1_000_000
SINCE_1970_US: Final = START_US - SHOWN_BY_A_DEAD_BATTERY_US
CLOCKS_OFF_US: Final = (
    *(0, 40 * MINUTE_US, -40 * MINUTE_US, -9 * HOUR_US, -2 * DAY_US, 6 * HOUR_US, -SINCE_1970_US),
)
DRIFT_MAX: Final = 0.002
TEN_YEARS_US: Final = 3_653 * DAY_US


@dataclass(frozen=True, slots=True)
class Bank:
    """What a kiosk of the simulated town is joined to."""

    nature: Nature
    core: Core
    network: Network
    flaw: str


class Counter:
    """The kiosk's program while it runs: journal, till, teller, and the open mirror."""

    def __init__(self, store: MortalStore, kiosk: Kiosk) -> None:
        bank = kiosk.bank
        self.store = store
        self.mirror = MirrorFile(kiosk.mirror_path)
        self.journal = Journal(store, kiosk.name, kiosk.clock, kiosk.paper)
        loose = bank.flaw == "spend-outside"
        self.till = LooseTill(store) if loose else Till(store)
        kinds = {"spend-outside": LooseTeller, "deaf-teller": DeafTeller}
        site = Site(
            kiosk.name, "新立村", LOOKUP_KEY, bank.core.signer.public_bytes, kiosk.pad.kid,
            b"" if kiosk.trusts_pad else kiosk.pad.public_bytes,
        )  # fmt: skip
        self.teller = kinds.get(bank.flaw, Teller)(
            site, self.journal, self.till, lambda: self.mirror.reader, kiosk.clock
        )


class Kiosk:
    """One kiosk.

    Args:
        bank: Whom it belongs to.
        name: Its device id.
        folder: Its disk.
        trusts_pad: Whether it leaves the pad's signature to the core; then some are forged.
    """

    def __init__(self, bank: Bank, name: str, folder: Path, *, trusts_pad: bool) -> None:
        nature = bank.nature
        self.bank, self.name, self.trusts_pad = bank, name, trusts_pad
        self.journal_path, self.mirror_path = folder / "journal.db", folder / "mirror.db"
        self.identity = FileIdentity(name, draw_key(nature))
        self.pad = FileIdentity(f"pad-{name}", draw_key(nature))
        self._thief = FileIdentity(self.pad.kid, draw_key(nature))
        drift = nature.chance.uniform(-DRIFT_MAX, DRIFT_MAX)
        self.clock = WrongClock(nature, nature.chance.choice(CLOCKS_OFF_US), drift)
        self.paper = SimCounter()
        self.customers: list[str] = []
        self.forged: set[bytes] = set()
        self._answers = 0
        self._fuses = {"counter": Fuse(), "agent": Fuse()}
        self._counter: Counter | None = None
        self._agent: tuple[MortalStore, Contact] | None = None
        self._inside = False

    # ------------------------------------------------------------ power
    def counter(self) -> Counter:
        """Returns the running program; starts it when it does not run."""
        if self._counter is None:
            migrations = [edge_journal.MIGRATIONS, kiosk_till.MIGRATIONS]
            fuse = self._fuses["counter"]
            store = open_mortal(self.journal_path, migrations, fuse, self._let_agent_act)
            self._counter = Counter(store, self)
            self.check_till()
        self._counter.mirror.poll()
        return self._counter

    def agent(self) -> Contact:
        """Returns the running agent; starts it when it does not run."""
        if self._agent is None:
            fuse = self._fuses["agent"]
            path = self.mirror_path
            store = open_mortal(path, [edge_mirror.MIGRATIONS], fuse, self._let_people_act)
            ends = Ends(
                self.name, self.identity, verifier(self.bank.core.signer.public_bytes),
                self, self.clock, Dice(self.bank.nature), self.paper,
            )  # fmt: skip
            hasty = self.bank.flaw == "mark-before-answer"
            self._agent = store, (HastyContact if hasty else Contact)(ends, store)
        return self._agent[1]

    def kill(self, who: str) -> None:
        """Kills the `counter`, the `agent`, or both at once: `power`."""
        self.bank.nature.tell("kill", who=who, kiosk=self.name)
        if who in {"counter", "power"} and self._counter is not None:
            self._counter.mirror.close()
            self._counter.store.kill()
            self._counter = None
        if who in {"agent", "power"} and self._agent is not None:
            shared = self._counter is not None
            (self._agent[0].close if shared else self._agent[0].kill)()
            self._agent = None
        if who == "power":
            self.clock.boot()
            if self.bank.nature.happens(FLAT_BATTERY_SHARE):
                self.turn_clock()

    def close(self) -> None:
        """Switches off in good order."""
        if self._counter is not None:
            self._counter.mirror.close()
            self._counter.store.close()
        if self._agent is not None:
            self._agent[0].close()
        self._counter = self._agent = None

    def throw_mirror_away(self) -> None:
        """Deletes the mirror, as a person at the roadside may."""
        self.bank.nature.tell("mirror-lost", kiosk=self.name)
        if self._agent is not None:
            self._agent[0].close()
            self._agent = None
        for end in ("", "-wal", "-shm"):
            self.mirror_path.with_name(self.mirror_path.name + end).unlink(missing_ok=True)

    def copy_disk(self, *, mirror_too: bool) -> dict[Path, bytes]:
        """Switches off and returns what is on the disk, as a backup would."""
        self.close()
        kept = self.journal_path, *([self.mirror_path] if mirror_too else [])
        return {path: path.read_bytes() for path in kept}

    def restore_disk(self, kept: Mapping[Path, bytes]) -> None:
        """Puts an old copy back."""
        self.bank.nature.tell("restore", kiosk=self.name, files=len(kept))
        self.close()
        for path, content in kept.items():
            path.write_bytes(content)

    def is_stopped(self) -> bool:
        """Makes a contact with whatever is on the disk; tells whether uploads ended over it."""
        outcome = self.agent().run(self.journal_path)
        require(not outcome.downlink_error, "A good network gives good contacts.")
        return bool(outcome.halt_code)

    def turn_clock(self) -> None:
        """The clock jumps: a little, by days, to 1970, ten years ahead, or to the right time."""
        now_us, chance = self.bank.nature.now_us, self.bank.nature.chance
        shown_us = chance.choice([
            *[now_us] * 4, *[now_us - chance.randint(0, 3 * DAY_US)] * 3,
            *[now_us + chance.randint(-HOUR_US, HOUR_US)] * 2,
            now_us + chance.randint(0, 2 * DAY_US), SHOWN_BY_A_DEAD_BATTERY_US,
            now_us + TEN_YEARS_US,
        ])  # fmt: skip
        self.bank.nature.tell("clock", kiosk=self.name, off_s=(shown_us - now_us) // 1_000_000)
        self.clock.set_to(shown_us)

    def set_clock_back(self) -> None:
        """The battery is flat: the clock is right no more, and shows what was long ago."""
        now_us, chance = self.bank.nature.now_us, self.bank.nature.chance
        back_us = chance.choice([DAY_US, 3 * DAY_US, now_us - SHOWN_BY_A_DEAD_BATTERY_US])
        self.bank.nature.tell("clock", kiosk=self.name, off_s=-back_us // 1_000_000)
        self.clock.set_to(now_us - back_us)

    # ------------------------------------------------------------ the agent
    def meet(self) -> Outcome | None:
        """Makes one contact; None when the agent died over it."""
        contact = self.agent()
        try:
            with self._danger("agent"):
                outcome = contact.run(self.journal_path)
        except Death:
            self.kill("agent")
            return None
        errors = (outcome.uplink_error, outcome.downlink_error)
        codes = [error.code if error else "" for error in errors]
        self.bank.nature.tell(
            "contact", kiosk=self.name, sent=outcome.sent, pages=outcome.pages, codes=codes
        )
        invariant = "No journal was rolled back or copied, so no uplink stops for good."
        require(not outcome.halt_code, invariant, f"{self.name} stopped: {outcome.halt_code}.")
        return outcome

    def post(self, path: str, body: bytes, answer_bytes_max: int) -> bytes:
        """Fulfils `agent.contact.Carrier`; people do not wait while bytes travel."""
        self._let_people_act()
        answer = self.bank.network.carry(path, body)
        require(len(answer) <= answer_bytes_max, "No answer is longer than a device takes.")
        self._let_people_act()
        return answer

    # ------------------------------------------------------------ people
    def withdraw(self) -> None:
        """A customer comes for cash; the counter may die over it."""
        try:
            with self._danger("counter"):
                self._serve()
        except Death:
            self.kill("counter")

    def copy_receipt(self) -> None:
        """The last receipt is printed once more: a FACT that moves nothing."""
        try:
            with self._danger("counter"):
                counter = self.counter()
                receipt = counter.till.last_receipt()
                if receipt is not None:
                    counter.teller.note_copy(receipt)
                    self.bank.nature.tell("copy", of=receipt.number)
        except Death:
            self.kill("counter")

    def _serve(self) -> None:
        nature = self.bank.nature
        teller = self.counter().teller
        who = teller.ask("customer", {"id_number": nature.chance.choice(self.customers)})
        offer = teller.ask("lease", {**who.facts, "day_max_fen": DAY_MAX_FEN}) if who.facts else who
        if offer.outcome != "ok":
            nature.tell("refusal", kiosk=self.name, why=offer.outcome)
            return
        facts = {**who.facts, **offer.facts, "day_max_fen": DAY_MAX_FEN}
        facts["amount_fen"] = self._amount(facts["max_fen"])
        facts["pin_answer"] = self._ask_pad(facts)
        facts["service"], facts["service_sha256"] = SERVICE.id, SERVICE.sha256
        if nature.happens(MEANWHILE_SHARE):
            nature.pass_time(nature.chance.randint(0, PAUSE_US_MAX))
        self._let_agent_act()
        self._book(facts)

    def _book(self, facts: Mapping[str, Any]) -> None:
        ledger = SERVICE.step("post").ledger
        assert ledger is not None
        counter = self.counter()
        released = self.bank.core.watcher.execute(
            "SELECT released_us FROM leases WHERE lease = %s", [facts["lease"]]
        ).fetchone()
        answer = counter.teller.book(ledger, facts)
        self.bank.nature.tell(
            "withdrawal" if answer.outcome == "ok" else "refusal", kiosk=self.name,
            fen=facts["amount_fen"], lease=int(facts["lease"], 16), why=answer.outcome,
        )  # fmt: skip
        require(
            answer.outcome != "ok" or not (released and released[0]),
            "No teller pays out under a lease that the core has released.",
            f"{self.name} paid {facts['amount_fen']} fen under lease {int(facts['lease'], 16)}.",
        )

    def _amount(self, max_fen: int) -> int:
        """Mostly what may be had, now and then a note too much."""
        if self.bank.nature.happens(GREEDY_SHARE):
            return max_fen + NOTE_FEN
        notes = max(1, max_fen // NOTE_FEN)
        return min(max_fen, self.bank.nature.chance.randint(1, notes) * NOTE_FEN)

    def _ask_pad(self, facts: Mapping[str, Any]) -> bytes:
        forged = self.trusts_pad and self.bank.nature.happens(FORGED_SHARE)
        self._answers += 1
        record = {
            "type": "pin-answer", "ok": True, "lease": facts["lease"], "pad": self.pad.kid,
            "counter": self._answers, "amount_fen": facts["amount_fen"],
            "verifier": sha256(facts["pin_verifier"]).digest(),
        }  # fmt: skip
        answer = sign_evidence(self._thief if forged else self.pad, record, PIN_ANSWER_TOPIC)
        if forged:
            self.forged.add(answer)
        return answer

    # ------------------------------------------------------------ both at once
    def _let_agent_act(self) -> None:
        self._meanwhile([*[self.meet] * 4, self.turn_clock])

    def _let_people_act(self) -> None:
        self._meanwhile([*[self.withdraw] * 4, self.turn_clock])

    def _meanwhile(self, deeds: Sequence[Callable[[], object]]) -> None:
        """Lets the other process, or nature, act in between; never deeper than once."""
        if self._inside or not self.bank.nature.happens(MEANWHILE_SHARE):
            return
        self._inside = True
        try:
            self.bank.nature.chance.choice(deeds)()
        finally:
            self._inside = False

    def _danger(self, who: str) -> _Danger:
        return _Danger(self.bank.nature, self._fuses[who], KILL_STATEMENTS_MAX[who])

    # ------------------------------------------------------------ looking
    def entries(self) -> list[dict[str, Any]]:
        """Returns the whole journal, decoded."""
        journal: JournalReader = self.counter().journal
        return [decode_entry(entry) for entry, _ in journal.read(0, 1_000_000, 1 << 40)]

    def withdrawals(self) -> list[dict[str, Any]]:
        """Returns the withdrawals of the journal."""
        return [each for each in self.entries() if each["kind"] == "cash-withdrawal"]

    def check_till(self) -> None:
        """Compares what the till says was spent with what the journal says was paid.

        Raises:
            Violation: They differ.
        """
        paid = [(w["body"]["lease"], w["body"]["amount_fen"]) for w in self.withdrawals()]
        assert self._counter is not None
        spent = [(each.lease, each.amount_fen) for each in self._counter.till.spends()]
        invariant = "An entry of the journal and what it spends are one: both or neither."
        require(paid == spent, invariant, f"{self.name}: {len(paid)} paid, {len(spent)} spent.")

    def known(self) -> dict[str, dict[str, Any]]:
        """Returns what the mirror holds, by scope."""
        self.agent()
        assert self._agent is not None
        store = self._agent[0]
        scopes = store.rows("SELECT scope FROM mirror_scopes")
        return {row["scope"]: MirrorReader(store).items(row["scope"]) for row in scopes}


class _Danger:
    """Inside of it a process may die."""

    def __init__(self, nature: Nature, fuse: Fuse, statements_max: int) -> None:
        self._nature, self._fuse, self._max = nature, fuse, statements_max

    def __enter__(self) -> None:
        if self._nature.happens(KILL_SHARE):
            self._fuse.set(self._nature.chance.randint(1, self._max))

    def __exit__(self, *_: object) -> None:
        self._fuse.clear()
