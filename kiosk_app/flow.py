"""The engine of a session: (service, state, event, time) → (state, effects). No world in it.

Place in the flow: worker feeds events → **flow** → effects, which teller and devices carry out.

Theory of operation. A session stands in one step of one service. Entering a step may start one
deed (device command, question to the teller, ledger entry, print); its answer is an outcome, and so
is a button, a choice, an entry, or the last acknowledgement. `next` of the step says where an
outcome leads. One deed runs at a time; an answer to any other request id is late and means nothing.

    idle ──Opened──▶ step ──outcome──▶ step ... ──end──▶ idle
                      │  45 s without a touch: warned ──20 s──▶ idle (wiped)
                      │  card gone, counter locked, operator's screen lost ──▶ idle (wiped)
                      └─ customer's screen lost: suspended; back: the step is entered again

* Sans-IO: time is an argument, and the same events give the same states.
* A session is pinned to the service it began with, whatever catalogue comes meanwhile.
* Money is acknowledged in the order that the document names; one session books at most once.
* What is wiped is gone: the state after it holds no fact of the session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from edge.errors import LastmileError
from edge.ports import Command
from kiosk_app.service import END, FEN_MAX, InputPart, LedgerPart, Service, Step
from kiosk_app.words import CODES, Sentence, Text

if TYPE_CHECKING:
    from kiosk_app.service import CommandPart

SECOND_US: Final = 1_000_000
IDLE_US: Final = 45 * SECOND_US
WARNING_US: Final = 20 * SECOND_US
DIGITS_MAX: Final = 20
IDLE: Final = "idle"

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class State:
    """Where the counter stands.

    Attributes:
        service: What the session is pinned to; None while nobody is served.
        step: Name of the step, `idle` without a session.
        facts: What the session knows; private unless the vocabulary says otherwise.
        acknowledged: How many acknowledgements of the step have come.
        request: Id of the deed under way, empty when none is.
        deed: `command`, `teller`, `ledger` or `print` while one is under way.
        serial: Number of deeds so far; ids never repeat within a process.
        touched_us: Last touch or answer, monotonic.
        entered_us: When the step was entered, monotonic.
        warned: The 20 s before the wipe run.
        suspended: The customer's screen is missing.
        notice: What both sides are told.
        booked: The session has written its FACT.
    """

    service: Service | None = None
    step: str = IDLE
    facts: Facts = field(default_factory=dict)
    acknowledged: int = 0
    request: str = ""
    deed: str = ""
    serial: int = 0
    touched_us: int = 0
    entered_us: int = 0
    warned: bool = False
    suspended: bool = False
    notice: Sentence | None = None
    booked: bool = False

    @property
    def open(self) -> bool:
        """Whether a customer is being served."""
        return self.service is not None

    @property
    def part(self) -> Step:
        """The step of the document; only while a session is open."""
        assert self.service is not None
        return self.service.step(self.step)


# ------------------------------------------------------------------ events
@dataclass(frozen=True, slots=True)
class Opened:
    """The agent chose a service; `facts` are those of the counter."""

    service: Service
    facts: Facts


@dataclass(frozen=True, slots=True)
class Pressed:
    """A button or a choice was touched; both have ids of their own."""

    side: str
    control: str


@dataclass(frozen=True, slots=True)
class Entered:
    """Something was typed: fen as int, or figures as text."""

    side: str
    name: str
    value: object


@dataclass(frozen=True, slots=True)
class Answered:
    """A deed is done."""

    request: str
    outcome: str
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Wiped:
    """The session must end: `card`, `lock`, `screen` or `document`."""

    reason: str


@dataclass(frozen=True, slots=True)
class ScreenLost:
    """The customer's screen is gone."""


@dataclass(frozen=True, slots=True)
class ScreenBack:
    """The customer's screen is there again."""


Event = Opened | Pressed | Entered | Answered | Tick | Wiped | ScreenLost | ScreenBack


# ------------------------------------------------------------------ effects
@dataclass(frozen=True, slots=True)
class Order:
    """Carry out a device command; `keep` says which results become facts."""

    command: Command
    keep: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the teller: `customer`, `balance` or `lease`."""

    request: str
    act: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class Book:
    """Write the ledger entry to the journal."""

    request: str
    ledger: LedgerPart
    facts: Facts


@dataclass(frozen=True, slots=True)
class PrintReceipt:
    """Print the receipt of an operation."""

    request: str
    op_id: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """End a device command; its answer no longer counts."""

    request: str


Effect = Order | Ask | Book | PrintReceipt | Cancel
Result = tuple[State, tuple[Effect, ...]]


# ------------------------------------------------------------------ the engine
def advance(state: State, event: Event, now_us: int) -> Result:
    """Returns the next state and what is to be done.

    Args:
        state: Where the counter stands.
        event: What happened.
        now_us: Monotonic microseconds.
    """
    match event:
        case Opened():
            return _open(state, event, now_us)
        case ScreenLost():
            return _suspend(state)
        case ScreenBack():
            return _resume(state, now_us)
    return _advance_session(state, event, now_us) if state.open else (state, ())


def _advance_session(
    state: State, event: Pressed | Entered | Answered | Tick | Wiped, now_us: int
) -> Result:
    match event:
        case Pressed():
            return _press(_touched(state, now_us), event, now_us)
        case Entered():
            return _take_entry(_touched(state, now_us), event, now_us)
        case Answered():
            return _take_answer(state, event, now_us)
        case Wiped():
            return _wipe(state, f"wiped-{event.reason}")
        case Tick():
            return _tick(state, now_us)


def _open(state: State, event: Opened, now_us: int) -> Result:
    if state.open:
        return state, ()
    if state.suspended:
        return replace(state, notice=CODES["suspended"]), ()
    facts = {**event.service.limits(), **event.facts}
    begun = State(service=event.service, facts=facts, serial=state.serial, touched_us=now_us)
    return _enter(begun, event.service.document.first, None, now_us)


def _touched(state: State, now_us: int) -> State:
    notice = None if state.warned else state.notice
    return replace(state, touched_us=now_us, warned=False, notice=notice)


def _enter(state: State, step: str, notice: Sentence | None, now_us: int) -> Result:
    """Enters a step of the session, or ends it."""
    if step == END:
        return _ended(state, notice), ()
    serial = state.serial + 1
    entered = replace(
        state, step=step, acknowledged=0, request="", deed="", serial=serial,
        notice=notice, touched_us=now_us, entered_us=now_us, warned=False,
    )  # fmt: skip
    effect = _deed(entered, str(serial))
    if effect is None:
        return entered, ()
    return replace(entered, request=str(serial), deed=_deed_name(entered.part)), (effect,)


def _ended(state: State, notice: Sentence | None) -> State:
    return State(serial=state.serial, suspended=state.suspended, notice=notice)


def _deed_name(step: Step) -> str:
    if step.command is not None:
        return "command"
    return "teller" if step.teller else "ledger" if step.ledger else "print"


def _deed(state: State, request: str) -> Effect | None:
    step, facts = state.part, state.facts
    if step.command is not None:
        command = Command(
            request, step.command.device, step.command.verb,
            _parameters(step.command, facts), step.command.timeout_ms,
        )  # fmt: skip
        return Order(command, step.command.keep)
    if step.teller is not None:
        return Ask(request, step.teller, facts)
    if step.ledger is not None:
        assert not state.booked, "loading refuses a document that books twice"
        assert state.service is not None
        pinned = {"service": state.service.id, "service_sha256": state.service.sha256}
        return Book(request, step.ledger, {**facts, **pinned})
    return PrintReceipt(request, str(facts["op_id"])) if step.print else None


def _parameters(command: CommandPart, facts: Facts) -> dict[str, object]:
    return {
        name: facts[value[1:]] if isinstance(value, str) and value.startswith("$") else value
        for name, value in command.parameters.items()
    }


def _follow(state: State, outcome: str, notice: Sentence | None, now_us: int) -> Result:
    """Goes where an outcome leads, ending a device command that still runs."""
    cancelled = _cancelled(state)
    after, effects = _enter(state, state.part.next[outcome], notice, now_us)
    return after, (*cancelled, *effects)


def _cancelled(state: State) -> tuple[Effect, ...]:
    return (Cancel(state.request),) if state.deed in ("command", "print") else ()


# ------------------------------------------------------------------ touches
def _press(state: State, event: Pressed, now_us: int) -> Result:
    step = state.part
    panel = step.panel(event.side)
    if event.control not in {
        *(each.id for each in panel.buttons),
        *(each.id for each in panel.choices),
    }:
        return state, ()
    expected = [(each.side, each.button) for each in step.acknowledge]
    if (event.side, event.control) in expected:
        return _acknowledge(state, event, expected, now_us)
    target = step.next.get(event.control)
    blocked = state.suspended and (target != END or event.side != "operator")
    if target is None or blocked or state.deed in ("teller", "ledger"):
        return state, ()
    return _follow(state, event.control, None, now_us)


def _acknowledge(
    state: State, event: Pressed, expected: Sequence[tuple[str, str]], now_us: int
) -> Result:
    """Takes the acknowledgement whose turn it is; any other changes nothing."""
    if state.suspended or expected[state.acknowledged] != (event.side, event.control):
        return state, ()
    taken = replace(state, acknowledged=state.acknowledged + 1, notice=None)
    if taken.acknowledged < len(expected):
        return taken, ()
    return _follow(taken, "acknowledged", None, now_us)


def _take_entry(state: State, event: Entered, now_us: int) -> Result:
    entry = state.part.panel(event.side).input
    if entry is None or entry.name != event.name or state.suspended:
        return state, ()
    value = event.value
    if not _within(entry, value, state.facts):
        return replace(state, notice=CODES["input"]), ()
    facts = {**state.facts, entry.name: value}
    wrong = _broken_rule(state, facts)
    if wrong is not None:
        return replace(state, notice=_said_to(event.side, wrong)), ()
    return _follow(replace(state, facts=facts), "entered", None, now_us)


def bound(value: int | str, facts: Facts) -> int:
    """Returns a bound of an input: itself, or the fact that it names."""
    return int(facts[value]) if isinstance(value, str) else value


def _within(entry: InputPart, value: object, facts: Facts) -> bool:
    low, high = bound(entry.minimum, facts), bound(entry.maximum, facts)
    if entry.kind == "digits":
        figures = isinstance(value, str) and value.isascii() and value.isdigit()
        return figures and low <= len(str(value)) <= min(high, DIGITS_MAX)
    whole = isinstance(value, int) and not isinstance(value, bool)
    # The rules of the document say more exactly what is wrong with a sum of money.
    return whole and low <= int(str(value)) <= FEN_MAX


def _broken_rule(state: State, facts: Facts) -> Text | None:
    assert state.service is not None
    for rule in state.part.rules:
        try:
            if not state.service.guards[rule.must].holds(facts):
                return rule.say
        except LastmileError:
            return rule.say
    entry = state.part.operator.input or state.part.customer.input
    if entry is not None and entry.kind == "amount":
        value = int(facts[entry.name])
        if value > bound(entry.maximum, facts) or value % entry.step_fen:
            return CODES["amount"].customer
    return None


def _said_to(side: str, text: Text) -> Sentence:
    """The side that typed is told the rule; the other only that there is one."""
    other = CODES["amount"]
    if side == "customer":
        return Sentence(other.operator, text)
    return Sentence(text, other.customer)


# ------------------------------------------------------------------ answers
def _take_answer(state: State, event: Answered, now_us: int) -> Result:
    if not state.request or event.request != state.request:
        return state, ()
    step = state.part
    booked = state.booked or (state.deed == "ledger" and event.outcome == "ok")
    facts = {**state.facts, **event.facts}
    done = replace(state, facts=facts, request="", deed="", booked=booked)
    if event.outcome == "ok":
        return _follow(done, "ok", None, now_us)
    outcome = event.outcome if event.outcome in step.next else "failed"
    return _follow(done, outcome, CODES.get(event.outcome, CODES["fault"]), now_us)


# ------------------------------------------------------------------ time, screens, wiping
def _tick(state: State, now_us: int) -> Result:
    if state.request:
        # A deed has its own time limit; quiet is counted from its answer.
        return state, ()
    limit_us = state.part.timeout_s * SECOND_US
    if limit_us and not state.suspended and now_us - state.entered_us >= limit_us:
        return _follow(state, "timeout", None, now_us)
    quiet_us = now_us - state.touched_us
    if quiet_us >= IDLE_US + WARNING_US:
        return _wipe(state, "wiped-idle")
    if quiet_us >= IDLE_US and not state.warned:
        return replace(state, warned=True, notice=CODES["idle-warning"]), ()
    return state, ()


def _wipe(state: State, code: str) -> Result:
    return _ended(state, CODES[code]), _cancelled(state)


def _suspend(state: State) -> Result:
    """Nothing private goes on without the screen that it is for; what is booked is printed."""
    if state.suspended:
        return state, ()
    suspended = replace(state, suspended=True, notice=CODES["suspended"])
    if state.deed != "command":
        return suspended, ()
    return replace(suspended, request="", deed=""), _cancelled(state)


def _resume(state: State, now_us: int) -> Result:
    if not state.suspended:
        return state, ()
    resumed = replace(state, suspended=False, notice=None)
    if not state.open or state.request or state.part.command is None:
        return replace(resumed, acknowledged=0, touched_us=now_us), ()
    return _enter(resumed, state.step, None, now_us)
