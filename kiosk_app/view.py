"""What both windows show.

Place in the flow: flow, teller → **view** → worker → shell (QML).
"""

from __future__ import annotations

import msgspec


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
        unsent: Journal entries without an outcome from the core.
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
