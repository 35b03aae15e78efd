"""Everything of the counter but its threads: events in, orders and views out.

Place in the flow: worker → **desk** → flow, teller, catalogue, view.

* One thread uses it. It never waits for a device: it orders, and is told of the completion.
* A power cut before the FACT leaves nothing of a session; after it, the receipt is in the till and
  can be printed.
* A catalogue is taken up only while nobody is served.
* Whatever goes wrong ends in a sentence on a screen; a session that cannot go on is wiped.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from edge.errors import LastmileError
from edge.ports import Command
from kiosk_app.catalogue import CatalogueError
from kiosk_app.flow import (
    Answered,
    Ask,
    Book,
    Cancel,
    Entered,
    Event,
    Opened,
    Order,
    Pressed,
    PrintReceipt,
    ScreenBack,
    ScreenLost,
    State,
    Tick,
    Wiped,
    advance,
)
from kiosk_app.privacy import moment_of, time_of
from kiosk_app.receipt import COLUMNS, NOTES, STATUSES, lay_out, qr_text
from kiosk_app.uplink import UplinkWatch
from kiosk_app.view import MORE, Board, StatusView, Views, draw
from kiosk_app.words import CODES, LANGUAGES, Sentence, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.journal import Journal
    from edge.ports import Clock, Completion
    from kiosk_app.catalogue import Shelf
    from kiosk_app.flow import Effect
    from kiosk_app.mirror import MirrorFile
    from kiosk_app.privacy import Fact
    from kiosk_app.receipt import Receipt
    from kiosk_app.service import Service
    from kiosk_app.teller import Teller

log = logging.getLogger(__name__)

Intent = dict[str, object]

SECOND_US: Final = 1_000_000
PAPER_POLL_US: Final = 30 * SECOND_US
CARD_POLL_US: Final = 2 * SECOND_US
CARD_ABSENCES: Final = 2
"""A contactless reader misses a card now and then; one absence is none."""

KINDS: Final[Mapping[str, type]] = {
    "fen": int, "time": int, "count": int, "flag": bool, "text": str, "bytes": bytes,
}  # fmt: skip
STATUS_MS: Final = 5_000
PRINT_MS: Final = 30_000
NO_CATALOGUE: Final = Text(
    "尚未收到业务目录，请联网。", "No services have come yet; connect to the network."
)
EXPIRED: Final = Text(
    "业务目录已过期，请联网更新。", "The services have expired; connect to update them."
)
UNPRINTED: Final = Text(
    "上一张凭条未打印，可以补打。", "The last receipt was not printed; print it again."
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a desk is made of; all of it belongs to its thread.

    Attributes:
        kinds: Devices that are there.
        columns: Of the printer's paper.
        watch_card: Whether taking the ID card away ends a session.
    """

    journal: Journal
    teller: Teller
    shelf: Shelf
    mirror: MirrorFile
    clock: Clock
    kinds: frozenset[str]
    columns: int = COLUMNS
    watch_card: bool = True


@dataclass(frozen=True, slots=True)
class Hands:
    """How a desk reaches devices.

    Attributes:
        order: Begins a command; its completion comes back through `Desk.complete`.
        cancel: Ends a command of a request id.
    """

    order: Callable[[Command], None]
    cancel: Callable[[str], None]


class Desk:
    """One counter.

    Args:
        parts: What it works with.
        hands: How it reaches devices.
    """

    def __init__(self, parts: Parts, hands: Hands) -> None:
        self._parts = parts
        self._hands = hands
        self.state = State()
        self.language = LANGUAGES[0]
        self._page = 0
        self._serial = 0
        self._keeps: dict[str, Mapping[str, str]] = {}
        self._copies: dict[str, Receipt] = {}
        self._chores: dict[str, str] = {}
        self._paper_ok = True
        self._next_paper_us = 0
        self._next_card_us = 0
        self._absences = 0
        self._uplink = UplinkWatch()
        self._catalogue_due = False
        self._refusal: Text | None = None
        self._troubled: list[str] = []
        self._trouble = ""
        self._poll_mirror()

    # ------------------------------------------------------------ in: people
    def handle(self, intent: Intent) -> None:
        """Takes what a person did, or what a screen said."""
        side = str(intent.get("side", ""))
        match intent.get("type"):
            case "press":
                self._advance(Pressed(side, str(intent.get("button"))))
            case "choose":
                self._choose(side, str(intent.get("choice")))
            case "enter":
                self._advance(Entered(side, str(intent.get("name")), intent.get("value")))
            case "reprint":
                self._reprint(side)
            case "language":
                language = str(intent.get("language"))
                self.language = language if language in LANGUAGES else self.language
            case other:
                self._notice(str(other), side)

    def _notice(self, kind: str, side: str) -> None:
        """Takes what nobody chose: a screen or card that is gone, a counter that was locked."""
        customer = side == "customer"
        match kind:
            case "screen-lost":
                self._advance(ScreenLost() if customer else Wiped("screen"))
            case "screen-back" if customer:
                self._advance(ScreenBack())
            case "card-removed":
                self._card_removed()
            case "lock":
                self._advance(Wiped("lock"))

    def _choose(self, side: str, choice: str) -> None:
        if self.state.open:
            self._advance(Pressed(side, choice))
        elif side == "operator" and choice == MORE:
            self._page += 1
        elif side == "operator":
            service = next((each for each in self._services() if each.id == choice), None)
            if service is not None:
                site = self._parts.teller.site
                facts = {"village": site.village, "kiosk": site.kiosk, "tries_left": None}
                self._page = self._absences = 0
                self._advance(Opened(service, facts))

    def _card_removed(self) -> None:
        """Ends the session, but lets a receipt that is being printed come out first."""
        if self.state.deed not in ("print", "ledger"):
            self._advance(Wiped("card"))

    def abandon(self) -> None:
        """Ends a session that cannot go on, because a rule or the disk broke under it."""
        self._advance(Wiped("document"))

    # ------------------------------------------------------------ in: devices and time
    def complete(self, completion: Completion) -> None:
        """Takes the answer of a device."""
        request = completion.request_id
        if request in self._copies:
            self._copied(self._copies.pop(request), completion)
        elif request in self._chores:
            self._chore_done(self._chores.pop(request), completion)
        elif request in self._keeps:
            self._answered(self._keeps.pop(request), completion)

    def _answered(self, keep: Mapping[str, str], completion: Completion) -> None:
        outcome, facts = read_completion(completion, keep)
        if self.state.service is not None and not fitting(facts, self.state.service.facts):
            outcome, facts = "fault", {}
        if self.state.deed == "print" and completion.request_id == self.state.request:
            self._paper_ok = outcome != "paper-out"
            if outcome == "ok":
                self._parts.teller.till.note_printed(str(self.state.facts["op_id"]))
        self._advance(Answered(completion.request_id, outcome, facts))

    def tick(self) -> None:
        """Lets time pass: idle warning, wipe, the mirror, paper and card."""
        self._poll_mirror()
        self._advance(Tick())
        now_us = self._parts.clock.now().monotonic_us
        if "printer" in self._parts.kinds and now_us >= self._next_paper_us:
            self._next_paper_us = now_us + PAPER_POLL_US
            self._order_chore("printer", "status")
        served = self.state.open and "id_number" in self.state.facts and self._parts.watch_card
        if served and now_us >= self._next_card_us and self.state.deed != "command":
            self._next_card_us = now_us + CARD_POLL_US
            self._order_chore("id_reader", "present")

    def _order_chore(self, device: str, verb: str) -> None:
        if verb not in self._chores.values():
            command = Command(self._next_request(verb), device, verb, {}, STATUS_MS)
            self._chores[command.request_id] = verb
            self._hands.order(command)

    def _chore_done(self, verb: str, completion: Completion) -> None:
        if completion.status != "ok":
            return
        if verb == "status":
            self._paper_ok = bool(completion.result.get("paper_ok", True))
            return
        self._absences = 0 if completion.result.get("present", True) else self._absences + 1
        if self._absences >= CARD_ABSENCES and "id_number" in self.state.facts:
            self._absences = 0
            self._card_removed()

    def _next_request(self, name: str) -> str:
        self._serial += 1
        return f"{name}-{self._serial}"

    # ------------------------------------------------------------ the flow and its effects
    def _advance(self, event: Event) -> None:
        waiting: deque[Event] = deque([event])
        while waiting:
            now_us = self._parts.clock.now().monotonic_us
            self.state, effects = advance(self.state, waiting.popleft(), now_us)
            answers = (self._carry_out(effect) for effect in effects)
            waiting.extend(answer for answer in answers if answer is not None)

    def _carry_out(self, effect: Effect) -> Answered | None:
        match effect:
            case Order():
                self._keeps[effect.command.request_id] = effect.keep
                self._hands.order(effect.command)
            case Cancel():
                self._keeps.pop(effect.request, None)
                self._hands.cancel(effect.request)
            case PrintReceipt():
                return self._print(effect)
            case Ask() | Book():
                return self._ask(effect)
        return None

    def _ask(self, effect: Ask | Book) -> Answered:
        teller = self._parts.teller
        try:
            if isinstance(effect, Book):
                answer = teller.book(effect.ledger, effect.facts)
            else:
                answer = teller.ask(effect.act, effect.facts)
        except LastmileError as error:
            log.warning("the teller cannot answer: %s", error)
            return Answered(effect.request, "store")
        if answer.outcome != "ok":
            log.info("the teller says %s", answer.outcome)
        return Answered(effect.request, answer.outcome, answer.facts)

    def _print(self, effect: PrintReceipt) -> Answered | None:
        receipt = self._parts.teller.till.receipt(effect.op_id)
        assert receipt is not None, "a receipt is written with its FACT"
        self._keeps[effect.request] = {}
        self._hands.order(self._print_command(effect.request, receipt))
        return None

    def _print_command(self, request: str, receipt: Receipt) -> Command:
        parameters = {
            "lines": self._lines(receipt),
            "qr": qr_text(receipt),
            "copy": self._parts.teller.till.is_printed(receipt.op_id),
        }
        return Command(request, "printer", "print", parameters, PRINT_MS)

    def _lines(self, receipt: Receipt) -> list[str]:
        status = self._parts.teller.status_of(receipt.op_id)
        return lay_out(receipt, status, self.language, self._parts.columns)

    def _reprint(self, side: str) -> None:
        receipt = self._parts.teller.till.last_receipt()
        printing = bool(self._copies) or self.state.deed == "print"
        if side != "operator" or receipt is None or printing or "printer" not in self._parts.kinds:
            return
        request = self._next_request("copy")
        self._copies[request] = receipt
        self._hands.order(self._print_command(request, receipt))

    def _copied(self, receipt: Receipt, completion: Completion) -> None:
        """A copy that came out is a document that was issued: the journal says so."""
        outcome, _ = read_completion(completion, {})
        self._paper_ok = outcome != "paper-out"
        till = self._parts.teller.till
        if outcome != "ok":
            self.state = replace(self.state, notice=CODES[outcome])
        elif till.is_printed(receipt.op_id):
            self._parts.teller.note_copy(receipt)
        else:
            till.note_printed(receipt.op_id)

    # ------------------------------------------------------------ the mirror
    def _poll_mirror(self) -> None:
        """Looks whether the agent has written; a mirror that cannot be read counts as absent."""
        try:
            if self._parts.mirror.poll():
                self._catalogue_due = True
                self._parts.teller.observe()
                self._troubled = self._find_troubled()
                self._uplink.read(self._parts.mirror.reader)
            if self._catalogue_due and not self.state.open:
                self._catalogue_due = False
                self._update_catalogue()
            self._trouble = ""
        except LastmileError as error:
            if error.code != self._trouble:
                log.warning("the mirror cannot be used: %s (%s)", error, error.code)
            self._trouble = error.code
            self._parts.mirror.close()
            self._uplink.read(None)

    def _update_catalogue(self) -> None:
        reader = self._parts.mirror.reader
        try:
            if reader is not None and self._parts.shelf.update(reader, self._parts.teller.now_us()):
                log.info("another catalogue is in force")
            self._refusal = None
        except CatalogueError as error:
            if self._refusal is not error.text:
                log.warning("%s (%s)", error, error.code)
            self._refusal = error.text

    def _find_troubled(self) -> list[str]:
        """Returns the receipts that a person at the bank must look at."""
        teller = self._parts.teller
        results = teller.results()
        stuck = {
            op_id
            for op_id, result in results.items()
            if isinstance(result, dict) and result.get("status") == "suspense"
        }
        receipts = [
            teller.till.receipt(each.op_id) for each in teller.till.spends() if each.op_id in stuck
        ]
        return [each.number for each in receipts if each is not None]

    def _services(self) -> list[Service]:
        current = self._parts.shelf.current
        if current is None or not current.offers(self._parts.teller.now_us()):
            return []
        return [
            each
            for each in current.services.values()
            if set(each.document.devices) <= self._parts.kinds
        ]

    # ------------------------------------------------------------ out: views
    def views(self) -> Views:
        """Returns what is on the screens now."""
        till = self._parts.teller.till
        receipt = till.last_receipt()
        state = self.state
        if state.booked:
            status = self._parts.teller.status_of(str(state.facts["op_id"]))
            said = {
                "receipt_status": STATUSES[self.language][status],
                "receipt_note": NOTES[self.language][status],
            }
            state = replace(state, facts={**state.facts, **said})
        board = Board(
            self._status(),
            self._services(),
            self._page,
            self._remark(receipt),
            "\n".join(self._lines(receipt)) if receipt else None,
        )
        return draw(state, board)

    def _status(self) -> StatusView:
        wall_us = self._parts.clock.now().wall_us
        reader = self._parts.mirror.reader
        as_of_us = self._uplink.as_of_us if reader else None
        return StatusView(
            online=self._uplink.is_online(wall_us),
            as_of=moment_of(as_of_us) if as_of_us else "",
            unsent=self._uplink.unsent(self._parts.journal.head()),
            paper_ok=self._paper_ok,
            lease_left_fen=self._lease_left(),
            clock=time_of(wall_us),
            language=self.language,
        )

    def _lease_left(self) -> int | None:
        facts: Mapping[str, Any] = self.state.facts
        if "lease_left_fen" not in facts:
            return None
        return int(facts["lease_left_fen"]) - (facts["amount_fen"] if self.state.booked else 0)

    def _remark(self, receipt: Receipt | None) -> Sentence | None:
        current = self._parts.shelf.current
        texts = [self._refusal] if self._refusal else []
        if self._troubled:
            numbers = ", ".join(self._troubled)
            texts.append(
                Text(
                    f"{len(self._troubled)} 笔业务需银行处理：{numbers}。请联系银行。",
                    f"{len(self._troubled)} need the bank: {numbers}. Call the bank.",
                )
            )
        if receipt is not None and not self._parts.teller.till.is_printed(receipt.op_id):
            texts.append(UNPRINTED)
        if current is None:
            texts.append(NO_CATALOGUE)
        elif not current.offers(self._parts.teller.now_us()):
            texts.append(EXPIRED)
        if not texts:
            return None
        both = Text("".join(each.zh for each in texts), " ".join(each.en for each in texts))
        return Sentence(both, both, "warning")


def read_completion(
    completion: Completion, keep: Mapping[str, str]
) -> tuple[str, dict[str, object]]:
    """Returns (outcome, facts) of a device's answer; a result that lacks what is kept is a fault.

    Args:
        completion: What the device said.
        keep: Fact → key of the result.
    """
    result = completion.result
    tries = {"tries_left": result["tries_left"]} if "tries_left" in result else {}
    if completion.status != "ok":
        named = completion.code if completion.code in CODES else completion.status
        return named if named in CODES else "fault", dict(tries)
    missing = [key for key in keep.values() if key not in result]
    if missing or result.get("ok") is False:
        return "fault", dict(tries)
    return "ok", {**tries, **{name: result[key] for name, key in keep.items()}}


def fitting(facts: Mapping[str, object], known: Mapping[str, Fact]) -> bool:
    """Tells whether what a device said is of the kinds that the vocabulary gives."""
    return all(isinstance(value, KINDS[known[name].kind]) for name, value in facts.items())
