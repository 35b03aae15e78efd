"""What both windows show: a state becomes two views, each filled from what its side may know.

Place in the flow: flow, teller → **view** → worker → shell (QML).

* A private value never enters the operator's view (invariant 8): the operator's texts are filled
  from `public_facts`, private lines are left out, and bounds that are private are not told.
* It decides nothing: what is enabled follows from the state.
* The same state in another language is the same view in other words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from kiosk_app.flow import IDLE, State, bound
from kiosk_app.money import describe
from kiosk_app.privacy import FACTS, public_facts
from kiosk_app.words import Sentence, Text, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kiosk_app.service import ButtonPart, InputPart, Panel, Service


class Button(msgspec.Struct, frozen=True):
    """What ends or steers a step.

    Attributes:
        id: Comes back as `press`.
        role: `primary`, `plain` or `danger`; QML draws by it.
    """

    id: str
    text: str
    enabled: bool
    role: str


class Choice(msgspec.Struct, frozen=True):
    """One of at most five things to choose from; `id` comes back as `choose`."""

    id: str
    text: str
    detail: str


class Input(msgspec.Struct, frozen=True):
    """What is to be typed.

    Attributes:
        name: Comes back with the value as `enter`.
        kind: `amount` (fen) or `digits` (text).
        unit: Shown behind the figures, such as 元.
        step_fen: An amount must be a multiple of it.
    """

    name: str
    kind: str
    unit: str
    min_fen: int
    max_fen: int
    step_fen: int
    hint: str


class Line(msgspec.Struct, frozen=True):
    """A label with its value.

    Attributes:
        emphasis: `normal`, `large` or `money`.
        private: For the customer's eyes only; never in an operator's view.
    """

    label: str
    value: str
    emphasis: str
    private: bool


class ScreenView(msgspec.Struct, frozen=True):
    """One window.

    Attributes:
        side: `operator` or `customer`.
        busy: What is waited for, or an empty text.
        notice: A sentence of `notice_kind` `info`, `success`, `warning` or `error`.
        voice: What is to be spoken.
        money: {"fen", "digits", "capitals", "banknotes": [[fen, count], ...]} or None.
    """

    side: str
    step: str
    title: str
    lines: list[Line]
    choices: list[Choice]
    input: Input | None
    buttons: list[Button]
    busy: str
    notice: str
    notice_kind: str
    voice: str
    money: dict[str, object] | None


class StatusView(msgspec.Struct, frozen=True):
    """The head of both windows.

    Attributes:
        online: The agent reached the core a short while ago.
        as_of: Age of the figures, `MM-DD hh:mm`, or an empty text where there are none.
        unsent: Journal entries that the core has not acknowledged yet.
        paper_ok: The printer has paper, as far as is known.
        lease_left_fen: What the customer at the counter may still take offline, or None.
        clock: `hh:mm`.
        language: `zh` or `en`.
    """

    online: bool
    as_of: str
    unsent: int
    paper_ok: bool
    lease_left_fen: int | None
    clock: str
    language: str


class Views(msgspec.Struct, frozen=True):
    """Everything that is on the screens.

    Attributes:
        receipt: The last receipt as the printer has it, lines joined; for the operator's side.
        session_open: A customer is being served.
    """

    operator: ScreenView
    customer: ScreenView
    status: StatusView
    receipt: str | None
    session_open: bool


CHOICES_MAX: Final = 5
MORE: Final = "more"
CHOOSE: Final = Text("请选择业务", "Choose a service")
WELCOME: Final = Text("您好，请问您要办什么业务？", "Welcome. Please tell the agent what you need")
BRING_CARD: Final = Text("请带好身份证", "Please have your ID card ready")
MORE_TEXT: Final = Text("更多业务", "More services")


@dataclass(frozen=True, slots=True)
class Board:
    """What is on the counter beside the session.

    Attributes:
        status: Head of both windows.
        services: On offer, in order.
        page: Which five of them are shown.
        remark: What the operator must know while nobody is served; the customer is not told.
        receipt: Text of the last receipt, or None.
    """

    status: StatusView
    services: Sequence[Service] = ()
    page: int = 0
    remark: Sentence | None = None
    receipt: str | None = None


def draw(state: State, board: Board) -> Views:
    """Returns the views of a state."""
    language = board.status.language
    if state.open:
        operator = _session_view(state, "operator", language)
        customer = _session_view(state, "customer", language)
    else:
        operator, customer = _idle_operator(state, board), _idle_customer(state, language)
    receipt = board.receipt if not state.open or state.booked else None
    return Views(operator, customer, board.status, receipt, state.open)


# ------------------------------------------------------------------ nobody is served
def _idle_operator(state: State, board: Board) -> ScreenView:
    language = board.status.language
    choices = [
        Choice(
            each.id, say(each.document.title, language, {}), say(each.document.detail, language, {})
        )
        for each in page_of(board.services, board.page)
    ]
    if len(board.services) > CHOICES_MAX:
        choices.append(Choice(MORE, say(MORE_TEXT, language, {}), ""))
    notice, kind = _told(state.notice or board.remark, "operator", language, {})
    return _screen(
        "operator",
        IDLE,
        say(CHOOSE, language, {}),
        choices=choices,
        notice=notice,
        notice_kind=kind,
    )


def page_of(services: Sequence[Service], page: int) -> Sequence[Service]:
    """Returns the services of a page: five, or four and a way on."""
    if len(services) <= CHOICES_MAX:
        return services
    size = CHOICES_MAX - 1
    pages = -(-len(services) // size)
    first = page % pages * size
    return services[first : first + size]


def _idle_customer(state: State, language: str) -> ScreenView:
    lines = [Line("", say(BRING_CARD, language, {}), "normal", private=False)]
    notice, kind = _told(state.notice, "customer", language, {})
    title = say(WELCOME, language, {})
    return _screen("customer", IDLE, title, lines=lines, notice=notice, notice_kind=kind)


# ------------------------------------------------------------------ a session
def _session_view(state: State, side: str, language: str) -> ScreenView:
    assert state.service is not None
    panel = state.part.panel(side)
    facts: Mapping[str, Any] = state.facts
    if side == "operator":
        facts = public_facts(facts, state.service.facts)
    notice, kind = _told(state.notice, side, language, facts)
    if not notice and panel.notice is not None:
        notice, kind = say(panel.notice, language, facts), panel.notice_kind
    spoken = notice if state.notice else say(panel.voice, language, facts) if panel.voice else ""
    return _screen(
        side, state.step, say(panel.title, language, facts),
        lines=_lines(panel, side, language, facts),
        choices=[
            Choice(each.id, say(each.text, language, facts), _maybe(each.detail, language, facts))
            for each in panel.choices
        ],
        input=_input(panel.input, language, facts) if panel.input else None,
        buttons=[_button(state, side, each, language, facts) for each in panel.buttons],
        busy=_maybe(panel.busy, language, facts),
        notice=notice, notice_kind=kind, voice=spoken,
        money=describe(int(facts[panel.money])) if panel.money in facts else None,
    )  # fmt: skip


def _lines(panel: Panel, side: str, language: str, facts: Mapping[str, Any]) -> list[Line]:
    return [
        Line(
            _maybe(each.label, language, facts),
            say(each.value, language, facts),
            each.emphasis,
            each.private,
        )
        for each in panel.lines
        if side == "customer" or not each.private
    ]


def _input(entry: InputPart, language: str, facts: Mapping[str, Any]) -> Input:
    return Input(
        entry.name,
        entry.kind,
        _maybe(entry.unit, language, facts),
        bound(entry.minimum, facts),
        bound(entry.maximum, facts),
        entry.step_fen,
        _maybe(entry.hint, language, facts),
    )


def _button(
    state: State, side: str, button: ButtonPart, language: str, facts: Mapping[str, Any]
) -> Button:
    return Button(
        button.id, say(button.text, language, facts), _enabled(state, side, button.id), button.role
    )


def _enabled(state: State, side: str, button: str) -> bool:
    """An acknowledgement waits for its turn; what would do nothing now is not offered."""
    turns: list[tuple[str, str]] = [(each.side, each.button) for each in state.part.acknowledge]
    if (side, button) in turns:
        return not state.suspended and turns.index((side, button)) == state.acknowledged
    if state.suspended:
        return side == "operator" and state.part.next.get(button) == "end"
    return state.deed not in ("teller", "ledger")


def _told(
    sentence: Sentence | None, side: str, language: str, facts: Mapping[str, Any]
) -> tuple[str, str]:
    if sentence is None:
        return "", ""
    text = sentence.operator if side == "operator" else sentence.customer
    return say(text, language, facts), sentence.kind


def _maybe(text: Text | None, language: str, facts: Mapping[str, Any]) -> str:
    return say(text, language, facts) if text is not None else ""


def _screen(
    side: str,
    step: str,
    title: str,
    **parts: Any,  # noqa: ANN401 - fields of a ScreenView
) -> ScreenView:
    blank: dict[str, Any] = {
        "lines": [], "choices": [], "input": None, "buttons": [], "busy": "", "notice": "",
        "notice_kind": "", "voice": "", "money": None,
    }  # fmt: skip
    return ScreenView(side=side, step=step, title=title, **{**blank, **parts})


def private_values(state: State) -> set[str]:
    """Returns every private text of a session, for whoever wants to see that none has leaked."""
    known = state.service.facts if state.service else FACTS
    public = public_facts(state.facts, known)
    secret = {name: value for name, value in state.facts.items() if name not in public}
    return {value for value in secret.values() if isinstance(value, str) and value}
