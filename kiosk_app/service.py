"""A service document: what one atom of business is, and the checks that let it in.

Place in the flow: blob of the mirror → **service** → catalogue → flow; `docs/reference/services.md`
has every field.

* A document is data: adding a service needs no code, and no document can reach past the vocabulary.
* Checked before it is offered: fields, facts, privacy, balance, and that every path ends.
* No private field in an operator view; a device's reading is private whatever the document says.
* A fact is used only where every path before has provided it, so that a session never stumbles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from edge.catalogue import require_kind
from edge.errors import LastmileError, PeerError
from kiosk_app.guards import Guard, read_guard
from kiosk_app.privacy import FACTS, Fact
from kiosk_app.words import CODES, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

END: Final = "end"
DOCUMENT_BYTES_MAX: Final = 262_144
STEPS_MAX: Final = 40
CHOICES_MAX: Final = 5
FEN_MAX: Final = 10**13
NAME: Final = r"[a-z][a-z0-9_]{0,39}"

Side = Literal["operator", "customer"]


class LinePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A label with its value."""

    value: Text
    label: Text | None = None
    emphasis: Literal["normal", "large", "money"] = "normal"
    private: bool = False


class ButtonPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A button; its id is an outcome."""

    id: str
    text: Text
    role: Literal["primary", "plain", "danger"] = "plain"


class ChoicePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A choice; its id is an outcome."""

    id: str
    text: Text
    detail: Text | None = None


class InputPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is typed. Bounds are fen, or the name of a fact of kind fen; of figures, how many."""

    name: str
    kind: Literal["amount", "digits"]
    unit: Text | None = None
    hint: Text | None = None
    minimum: int | str = 1
    maximum: int | str = FEN_MAX
    step_fen: int = 1


class Panel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one side sees of a step. `money` names the fact that is shown in three ways."""

    title: Text
    lines: tuple[LinePart, ...] = ()
    choices: tuple[ChoicePart, ...] = ()
    input: InputPart | None = None
    buttons: tuple[ButtonPart, ...] = ()
    busy: Text | None = None
    notice: Text | None = None
    notice_kind: Literal["info", "success", "warning", "error"] = "info"
    voice: Text | None = None
    money: str = ""


class CommandPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to a device. A parameter text that starts with `$` is a fact."""

    device: Literal["id_reader", "pin_pad", "printer"]
    verb: str
    parameters: dict[str, int | str | bool] = {}
    timeout_ms: int = 30_000
    keep: dict[str, str] = {}


class PostingPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the ledger template; the amount is fen or the name of a fact of kind fen."""

    account: Literal["customer", "drawer"]
    side: Literal["debit", "credit"]
    amount: int | str


class LedgerPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written to the journal: `body` takes each field from a fact."""

    kind: str
    body: dict[str, str]
    postings: tuple[PostingPart, ...]


class RulePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must be true of an entry, and what is said when it is not."""

    must: str
    say: Text


class AcknowledgementPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A press that is waited for, in order."""

    side: Side
    button: str


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step: both views, and at most one thing that is done on entering it."""

    operator: Panel
    customer: Panel
    next: dict[str, str]
    command: CommandPart | None = None
    teller: Literal["customer", "balance", "lease"] | None = None
    ledger: LedgerPart | None = None
    print: bool = False
    rules: tuple[RulePart, ...] = ()
    acknowledge: tuple[AcknowledgementPart, ...] = ()
    timeout_s: int = 0

    @property
    def does(self) -> bool:
        """Whether something is carried out, so that its outcome leads on."""
        return bool(self.command or self.teller or self.ledger or self.print)

    def panel(self, side: str) -> Panel:
        """Returns the panel of a side."""
        return self.operator if side == "operator" else self.customer


class LimitPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit and where it comes from."""

    name: str
    fen: int
    source: str
    date: str


class OwnFact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name that the document adds to the vocabulary."""

    kind: Literal["fen", "text"]
    private: bool = True


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole service document."""

    id: str
    version: int
    title: Text
    detail: Text
    devices: tuple[Literal["id_reader", "pin_pad", "printer"], ...]
    offline: Literal["lease", "mirror"]
    first: str
    steps: dict[str, Step]
    limits: tuple[LimitPart, ...] = ()
    facts: dict[str, OwnFact] = {}


class Service(msgspec.Struct, frozen=True):
    """A document that passed every check.

    Attributes:
        sha256: Of its exact bytes; a running session is pinned to it.
        facts: Vocabulary of this service.
        guards: Rule text → compiled rule.
    """

    document: Document
    sha256: str
    facts: dict[str, Fact]
    guards: dict[str, Guard]

    @property
    def id(self) -> str:
        """Its name."""
        return self.document.id

    def step(self, name: str) -> Step:
        """Returns a step; it exists."""
        return self.document.steps[name]

    def limits(self) -> dict[str, int]:
        """Returns its limits as facts of guards and bounds."""
        return {limit.name: limit.fen for limit in self.document.limits}


class ServiceError(PeerError):
    """A document that may not be offered."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "service")


PROVIDES: Final[Mapping[str, tuple[str, ...]]] = {
    "customer": ("customer", "customer_name", "customer_masked", "account", "account_masked"),
    "balance": ("balance_fen", "available_fen", "pending_fen", "as_of_us"),
    "lease": (
        "lease", "lease_left_fen", "per_op_fen", "day_left_fen", "max_fen", "pin_verifier",
    ),
    "ledger": ("op_id", "receipt", "receipt_status", "receipt_note"),
}  # fmt: skip
"""What an answer of the teller adds to a session when it is `ok`."""

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "customer": ("id_number",),
    "balance": ("account",),
    "lease": ("customer", "account", "day_max_fen"),
    "ledger": ("lease", "account", "customer", "amount_fen", "pin_answer", "day_max_fen"),
    "print": ("op_id",),
}
"""What each needs to be there before."""

SESSION_FACTS: Final = ("village", "kiosk", "tries_left")
"""There from the first step on, for every service."""


def outcomes_of(step: Step) -> tuple[set[str], set[str]]:
    """Returns (outcomes that must lead on, further outcomes that may)."""
    pressed = {(each.side, each.button) for each in step.acknowledge}
    must, may = set(), set()
    for side in ("operator", "customer"):
        panel = step.panel(side)
        must |= {each.id for each in panel.buttons if (side, each.id) not in pressed}
        must |= {each.id for each in panel.choices}
        must |= {"entered"} if panel.input else set()
    must |= {"acknowledged"} if step.acknowledge else set()
    must |= {"timeout"} if step.timeout_s else set()
    if step.does:
        must |= {"ok", "failed"}
        may |= set(CODES)
    return must, may


def known_kind(kind: str) -> frozenset[str]:
    """Returns the fields of a kind of journal entry.

    Raises:
        ServiceError: It is not in the data catalogue.
    """
    try:
        return frozenset(require_kind(kind).fields)
    except LastmileError as error:
        raise ServiceError(str(error)) from error


def read_rule(text: str) -> Guard:
    """Compiles a rule.

    Raises:
        ServiceError: It is not of the language.
    """
    try:
        return read_guard(text)
    except LastmileError as error:
        raise ServiceError(str(error)) from error


def vocabulary(document: Document) -> dict[str, Fact]:
    """Returns every fact of a service.

    Raises:
        ServiceError: It declares a name of ours anew, or a limit that is a fact.
    """
    own = {name: Fact(fact.kind, fact.private) for name, fact in document.facts.items()}
    limits = {limit.name: Fact("fen", private=False) for limit in document.limits}
    twice = sorted((set(own) | set(limits)) & set(FACTS) | set(own) & set(limits))
    if twice:
        raise ServiceError(
            f"{document.id} declares {', '.join(twice)}, which has its meaning already."
        )
    return {**FACTS, **own, **limits}
