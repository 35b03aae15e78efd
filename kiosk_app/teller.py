"""The money rules of the counter: who it is, what may be paid out, and the one row that says so.

Place in the flow: flow asks, **teller** answers from mirror and journal, and writes the journal.

    what is left of a lease   amount of the lease  - withdrawals of this journal under it
    what is left of a day     limit of the service - withdrawals of this card since midnight, UTC+8
    cash in the drawer        drawer of the mirror - withdrawals that the core has not told of yet
    what a customer has       balance of the mirror - withdrawals that the core has not told of yet

* An offline debit is always spent from a lease that the core signed for this kiosk (invariant 6).
* The FACT, the spent lease and the receipt are one transaction; before it no money is named paid.
* Everything is checked again at booking: between reserve and book a minute has passed.
* A PIN answer is spent with the FACT: the same answer never pays twice.
* The clock may be wrong, but never runs back: the latest time that was ever seen is a floor.
* After a recovery of the journal only leases pay that the core granted once it knew of that.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.codec import decode
from edge.errors import LastmileError, PeerError
from edge.keys import open_evidence, verifier
from edge.purposes import LEASE_TOPIC, PIN_ANSWER_TOPIC, answer_id, id_key
from edge.seal import read_sign1
from kiosk_app.privacy import day_of, mask_account
from kiosk_app.receipt import Receipt, receipt_number
from kiosk_app.till import Spend

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.journal import Journal
    from edge.mirror import MirrorReader
    from edge.ports import Clock
    from kiosk_app.service import LedgerPart
    from kiosk_app.till import Till

LEASE_KID: Final = "core"
NO_LEASE: Final = "no-lease"
REASONS: Final = (
    NO_LEASE, "lease-forged", "lease-other-customer", "lease-other-kiosk", "wrong-block",
    "lease-expired", "lease-spent",
)  # fmt: skip
"""From the least to the most telling: with several leases, the agent is told the last of these."""

TIMED_SCOPES: Final = ("catalogue", "balances", "leases", "drawer", "results")

Facts = dict[str, Any]


class Lease(msgspec.Struct, frozen=True):
    """What the core promised, as it signed it; fields that we do not need are passed over."""

    type: str
    lease: str
    account: str
    customer: str
    kiosk: str
    amount_fen: int
    count: int
    per_op_fen: int
    issued_us: int
    expires_us: int
    accepts: list[str]
    pin_verifier: bytes
    pad: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the teller says: an outcome, and facts when it is `ok`."""

    outcome: str
    facts: Facts = field(default_factory=dict)


class RefusalError(PeerError):
    """A rule of money says no; the code is the outcome."""

    def __init__(self, code: str) -> None:
        super().__init__(f"The teller refuses: {code}.", code)


@dataclass(frozen=True, slots=True)
class Site:
    """Whom the teller works for.

    Attributes:
        kiosk: Our device id.
        village: Name of the place, for receipts.
        lookup_key: Key of the HMAC that stands for an ID number.
        core_public: Verifies leases.
        pad: Id of our PIN pad; a lease for another one cannot be used here.
        pad_public: Verifies the pad's answers here too; empty leaves that to the core.
    """

    kiosk: str
    village: str
    lookup_key: bytes
    core_public: bytes
    pad: str = ""
    pad_public: bytes = b""


class Teller:
    """Answers the questions of a session and books its money.

    Args:
        site: Whom it works for.
        journal: The only thing that a user's action writes.
        till: The kiosk's own tables, in the journal's store.
        mirror: Returns the present mirror, or None while there is none.
        clock: Reads time.
    """

    def __init__(
        self,
        site: Site,
        journal: Journal,
        till: Till,
        mirror: Callable[[], MirrorReader | None],
        clock: Clock,
    ) -> None:
        self.site = site
        self.till = till
        self._journal = journal
        self._mirror = mirror
        self._clock = clock
        self._acts: Mapping[str, Callable[[Mapping[str, Any]], Facts]] = {
            "customer": self._find_customer,
            "balance": self._read_balance,
            "lease": self._find_lease,
        }

    def now_us(self) -> int:
        """Returns the wall time, never before the latest time that was seen or stated."""
        self.observe()
        return max(self._clock.now().wall_us, self.till.time_floor_us())

    def observe(self) -> None:
        """Takes the core's own time, and what the agent stated to it, for the floor.

        The core gives a lease back once we have stated a time past its end, so from then on no
        clock that is set back may make it good again.
        """
        mirror = self._mirror()
        if mirror is None:
            return
        for scope in TIMED_SCOPES:
            self.till.raise_floor(mirror.as_of_us(scope) or 0, is_signed=True)
        if self.till.time_floor_us():
            # Before the core's first word there is no lease to end, and a mad clock would stay.
            self.till.raise_floor(mirror.noted("stated_us") or 0)

    def ask(self, act: str, facts: Mapping[str, Any]) -> Answer:
        """Answers a question of the flow: `customer`, `balance` or `lease`."""
        try:
            return Answer("ok", self._acts[act](facts))
        except RefusalError as refusal:
            return Answer(refusal.code)

    # ------------------------------------------------------------ who
    def _find_customer(self, facts: Mapping[str, Any]) -> Facts:
        mirror = self._mirror()
        key = id_key(self.site.lookup_key, str(facts["id_number"]))
        customers = mirror.items("customers") if mirror else {}
        for customer, value in customers.items():
            if isinstance(value, dict) and hmac.compare_digest(str(value.get("id_key")), key):
                return {
                    "customer": customer,
                    "customer_name": str(value["name"]),
                    "customer_masked": str(value["name_masked"]),
                    "account": str(value["account"]),
                    "account_masked": mask_account(str(value["account"])),
                }
        raise RefusalError("customer-unknown")

    def _read_balance(self, facts: Mapping[str, Any]) -> Facts:
        mirror = self._mirror()
        account = str(facts["account"])
        held = mirror.get("balances", account) if mirror else None
        if mirror is None or not isinstance(held, dict):
            raise RefusalError("balance-unknown")
        pending = self.pending_fen(account)
        return {
            "balance_fen": int(held["balance_fen"]),
            "pending_fen": pending,
            "available_fen": int(held["balance_fen"]) - pending,
            # A balance that did not change is as fresh as the last contact.
            "as_of_us": mirror.as_of_us("balances") or int(held["as_of_us"]),
        }

    def pending_fen(self, account: str = "") -> int:
        """Returns what was paid out here and the core has not told of; of one account or of all."""
        told = self.results()
        spends = self.till.spends(account=account)
        return sum(each.amount_fen for each in spends if each.op_id not in told)

    def drawer_fen(self) -> int | None:
        """Returns the cash that must be in the drawer, or None while the core has not said."""
        mirror = self._mirror()
        drawer = mirror.get("drawer", self.site.kiosk) if mirror else None
        if not isinstance(drawer, dict):
            return None
        return int(drawer["balance_fen"]) - self.pending_fen()

    def results(self) -> Mapping[str, Any]:
        """Returns what the core said of our operations, by op_id."""
        mirror = self._mirror()
        return mirror.items("results") if mirror else {}

    def status_of(self, op_id: str) -> str:
        """Returns `waiting`, `posted` or `suspense`."""
        mirror = self._mirror()
        result = mirror.get("results", op_id) if mirror else None
        status = result.get("status") if isinstance(result, dict) else None
        return "waiting" if status is None else "posted" if status == "posted" else "suspense"

    # ------------------------------------------------------------ lease
    def _find_lease(self, facts: Mapping[str, Any]) -> Facts:
        """Finds the lease with the most left; says why when none serves."""
        mirror = self._mirror()
        documents = mirror.items("leases") if mirror else {}
        best: tuple[int, Lease] | None = None
        reasons = {NO_LEASE}
        for value in documents.values():
            try:
                lease = self._open_lease(value)
                left = self._judge_lease(lease, facts)
            except RefusalError as refusal:
                reasons.add(refusal.code)
                continue
            if left is not None and (best is None or left > best[0]):
                best = (left, lease)
        if best is None:
            raise RefusalError(max(reasons, key=REASONS.index))
        return self._offer(*best, facts)

    def _open_lease(self, value: object) -> Lease:
        document = value.get("lease") if isinstance(value, dict) else None
        try:
            if not isinstance(document, bytes):
                raise RefusalError("lease-forged")
            record = open_evidence(
                document, verifier(self.site.core_public), LEASE_TOPIC, LEASE_KID
            )
            return msgspec.convert(record, Lease)
        except (PeerError, msgspec.ValidationError) as error:
            raise RefusalError("lease-forged") from error

    def _judge_lease(self, lease: Lease, facts: Mapping[str, Any]) -> int | None:
        """Returns what is left of a lease; None when it is simply another customer's."""
        if lease.customer != facts["customer"] and lease.account != facts["account"]:
            return None
        if (lease.customer, lease.account) != (facts["customer"], facts["account"]):
            raise RefusalError("lease-other-customer")
        if lease.kiosk != self.site.kiosk:
            raise RefusalError("lease-other-kiosk")
        if self.site.pad and lease.pad != self.site.pad:
            raise RefusalError("wrong-block")
        if self.now_us() > lease.expires_us:
            raise RefusalError("lease-expired")
        if not self._counts(lease):
            raise RefusalError(NO_LEASE)
        spends = self.till.spends(lease=lease.lease)
        left = lease.amount_fen - sum(each.amount_fen for each in spends)
        if left <= 0 or len(spends) >= lease.count or "pin" not in lease.accepts:
            raise RefusalError("lease-spent")
        return left

    def _counts(self, lease: Lease) -> bool:
        """Entries that were lost may have spent any lease; not one that the core granted later.

        Both instants are the core's: of the grant, and of the recovery's outcome in its books.
        """
        recovery = self.till.recovery()
        if recovery is None:
            return True
        op_id, from_us = recovery
        if from_us is None:
            result = self.results().get(op_id)
            from_us = result.get("posted_us") if isinstance(result, dict) else None
            if not isinstance(from_us, int):
                return False
            self.till.note_leases_from(from_us)
        return lease.issued_us > from_us

    def _offer(self, left_fen: int, lease: Lease, facts: Mapping[str, Any]) -> Facts:
        today = day_of(self.now_us())
        taken = sum(
            each.amount_fen
            for each in self.till.spends(account=lease.account)
            if day_of(each.wall_us) == today
        )
        day_left = int(facts["day_max_fen"]) - taken
        if day_left <= 0:
            raise RefusalError("day-limit")
        return {
            "lease": lease.lease,
            "lease_left_fen": left_fen,
            "per_op_fen": lease.per_op_fen,
            "day_left_fen": day_left,
            "max_fen": min(left_fen, lease.per_op_fen, day_left),
            "pin_verifier": lease.pin_verifier,
        }

    # ------------------------------------------------------------ booking
    def book(self, ledger: LedgerPart, facts: Mapping[str, Any]) -> Answer:
        """Writes the FACT of a withdrawal, what it spends and its receipt, or nothing.

        Args:
            ledger: The template of the service.
            facts: Those of the session, with `service` and `service_sha256`.

        Returns:
            `ok` with what a ledger step provides; else a reason, and nothing was written.
        """
        try:
            with self.till.store.transaction():
                self._judge_again(facts)
                receipt = self._write(ledger, facts)
        except RefusalError as refusal:
            return Answer(refusal.code)
        except LastmileError:
            return Answer("store")
        return Answer(
            "ok",
            {
                "op_id": receipt.op_id,
                "receipt": receipt.number,
                "receipt_status": "",
                "receipt_note": "",
            },
        )

    def _judge_again(self, facts: Mapping[str, Any]) -> None:
        mirror = self._mirror()
        value = mirror.get("leases", str(facts["lease"])) if mirror else None
        if value is None:
            raise RefusalError(NO_LEASE)
        lease = self._open_lease(value)
        left = self._judge_lease(lease, facts)
        if left is None or lease.lease != facts["lease"]:
            raise RefusalError("lease-other-customer")
        offer = self._offer(left, lease, facts)
        amount = facts["amount_fen"]
        if not isinstance(amount, int) or isinstance(amount, bool) or amount <= 0:
            raise RefusalError("amount")
        if amount > offer["max_fen"]:
            raise RefusalError("day-limit" if amount > offer["day_left_fen"] else "lease-spent")
        drawer = self.drawer_fen()
        if drawer is not None and amount > drawer:
            raise RefusalError("drawer-short")
        self._judge_pin(lease, amount, facts["pin_answer"])

    def _judge_pin(self, lease: Lease, amount_fen: int, answer: object) -> None:
        """The pad's yes must be for this lease, verifier and amount, and not have paid before."""
        try:
            if not isinstance(answer, bytes):
                raise RefusalError("pin-answer")
            said = self._open_pin_answer(lease, answer)
            spent = self.till.answer_is_spent(answer_id(answer))
        except PeerError as error:
            raise RefusalError("pin-answer") from error
        digest = hashlib.sha256(lease.pin_verifier).digest()
        expected = (True, lease.lease, amount_fen, lease.pad, digest)
        names = ("ok", "lease", "amount_fen", "pad", "verifier")
        given = tuple(said.get(name) for name in names)
        if given != expected or spent:
            raise RefusalError("pin-answer")

    def _open_pin_answer(self, lease: Lease, answer: bytes) -> dict[str, Any]:
        """Opens the answer; without the pad's key here, its signature is the core's to judge."""
        if self.site.pad_public:
            key = verifier(self.site.pad_public)
            return open_evidence(answer, key, PIN_ANSWER_TOPIC, lease.pad)
        kid, payload = read_sign1(answer)
        record = decode(payload)
        if kid != lease.pad or not isinstance(record, dict):
            raise RefusalError("pin-answer")
        return record

    def _write(self, ledger: LedgerPart, facts: Mapping[str, Any]) -> Receipt:
        """Appends the entry; inside the transaction of `book`."""
        head = self._journal.head()
        number = receipt_number(self.site.kiosk, head.epoch, head.seq + 1)
        known = {**facts, "receipt": number}
        body = {name: known[fact] for name, fact in ledger.body.items()}
        entry = self._journal.append("FACT", ledger.kind, body)
        receipt = Receipt(
            op_id=entry.op_id,
            number=number,
            device=self.site.kiosk,
            village=self.site.village,
            name_masked=str(facts["customer_masked"]),
            account_masked=str(facts["account_masked"]),
            amount_fen=int(facts["amount_fen"]),
            wall_us=entry.wall_us,
            epoch=entry.epoch,
            seq=entry.seq,
            head=entry.hash,
        )
        self.till.keep_spend(
            Spend(
                entry.op_id,
                str(facts["lease"]),
                str(facts["account"]),
                receipt.amount_fen,
                self.now_us(),
            ),
            answer_id(facts["pin_answer"]),
        )
        self.till.keep_receipt(receipt)
        self.till.raise_floor(entry.wall_us)
        return receipt

    def note_copy(self, receipt: Receipt) -> None:
        """Writes that a receipt was printed once more."""
        with self.till.store.transaction():
            self._journal.append(
                "FACT", "receipt-copy", {"of": receipt.op_id, "receipt": receipt.number}
            )
