"""A counter without windows: withdrawals straight through the teller, as many as a test wants.

Place in the flow: kiosk files, PIN pad → teller → journal, for stories in which the screens play no
part; the demonstration touches the real ones (counter).

* It writes the kiosk's own journal file, so it runs only while no kiosk does.
* Every withdrawal has a PIN answer of the real pad and spends a real lease.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from edge.journal import MIGRATIONS as JOURNAL
from edge.journal import Journal
from edge.mirror import MirrorReader
from edge.ports import Command
from edge.purposes import JOURNAL_KEY, MIRROR_KEY
from edge.store import open_reader, open_store
from hardware.drivers.clock import SystemClock
from hardware.drivers.counter_file import FileCounter
from hardware.sim.cards import type_pin
from hardware.sim.pin_pad import TYPED_NAME, PinPad
from kiosk_app.service_checks import read_service
from kiosk_app.teller import Site, Teller
from kiosk_app.till import MIGRATIONS as TILL
from kiosk_app.till import Till
from tests.story.figures import expect
from tests.story.town import KIOSK, SERVICES, VILLAGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from edge.ports import Completion
    from tests.story.town import Town

SERVICE = "cash_withdrawal"
PIN_MS_MAX = 10_000
HESITATION_S, PATIENCE_S = 0.03, 1.0


class Clerk:
    """Serves the town's villager."""

    def __init__(self, town: Town, teller: Teller, pad: PinPad) -> None:
        self._town = town
        self._teller = teller
        self._pad = pad
        self._service = read_service((SERVICES / f"{SERVICE}.json").read_bytes())
        self._served = 0

    def withdraw(self, amount_fen: int) -> str:
        """Pays an amount out and returns its operation id."""
        facts: dict[str, Any] = {
            **self._service.limits(),
            "id_number": self._town.villager.card.number,
            "amount_fen": amount_fen,
            "service": self._service.id,
            "service_sha256": self._service.sha256,
        }
        for act in ("customer", "lease", "balance"):
            answer = self._teller.ask(act, facts)
            expect(f"the teller answers {act}", "ok", answer.outcome)
            facts.update(answer.facts)
        facts["pin_answer"] = self._ask_pin(facts)
        ledger = self._service.step("post").ledger
        assert ledger is not None
        booked = self._teller.book(ledger, facts)
        expect("the teller books", "ok", booked.outcome)
        return str(booked.facts["op_id"])

    def copy_receipts(self, count: int) -> None:
        """Prints copies of the last receipt: `count` further entries of the journal."""
        receipt = self._teller.till.last_receipt()
        assert receipt is not None, "there is nothing to copy before the first withdrawal"
        for _ in range(count):
            self._teller.note_copy(receipt)

    def _ask_pin(self, facts: dict[str, Any]) -> object:
        self._served += 1
        names = {"verifier": "pin_verifier", "lease": "lease", "amount_fen": "amount_fen"}
        parameters = {name: facts[fact] for name, fact in names.items()}
        command = Command(str(self._served), "pin_pad", "verify", parameters, PIN_MS_MAX)
        with ThreadPoolExecutor(1) as hands:
            answered = hands.submit(self._pad.execute, command)
            self._type_until(answered)
        done = answered.result()
        expect("the pad says yes", "ok", done.status)
        return done.result["answer"]

    def _type_until(self, answered: Future[Completion]) -> None:
        """What is typed before the pad asks is lost, so a person types again after a while."""
        folder = self._town.kiosk_dir / "pad"
        wait([answered], HESITATION_S)
        while not answered.done():
            type_pin(folder, self._town.villager.pin)
            wait([answered], PATIENCE_S)
        (folder / TYPED_NAME).unlink(missing_ok=True)


@contextlib.contextmanager
def clerk_of(town: Town) -> Iterator[Clerk]:
    """Opens the kiosk's files, serves, and closes them again."""
    folder, clock = town.kiosk_dir, SystemClock()
    with (
        open_store(
            folder / "data" / "journal.db", [JOURNAL, TILL], town.kiosk_key(JOURNAL_KEY)
        ) as store,
        open_reader(folder / "mirror.db", town.kiosk_key(MIRROR_KEY)) as mirrored,
    ):
        lookup_key = bytes.fromhex((folder / "keys" / "lookup.key").read_text(encoding="ascii"))
        site = Site(KIOSK, VILLAGE, lookup_key, town.core_public)
        mirror = MirrorReader(mirrored)
        journal = Journal(store, KIOSK, clock, FileCounter(folder / "keys" / "counter"))
        teller = Teller(site, journal, Till(store), lambda: mirror, clock)
        yield Clerk(town, teller, PinPad(folder / "pad", clock))
