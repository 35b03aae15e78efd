"""What one window is given to draw, and the only way it can speak back.

Place in the flow: shell writes views into a `Side`, QML reads them; a touch in QML calls a slot
here, which becomes an intent for the worker.

* A `Side` decides nothing: it forwards what was touched. Amounts are turned into fen exactly.
* A private line never reaches the operator's `Side`: view must not send one, and one that comes
  all the same is dropped and logged here.
* A covered side holds no text at all, so that nothing of it can be drawn, read out or grabbed.
* A second tap of the same finger is not a decision: after an intent, and just after a new step
  appeared, touches are ignored for a moment.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Property, QElapsedTimer, QObject, Signal, Slot

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

Intent = dict[str, object]
Values = dict[str, Any]

BLANK_FIELD: Values = {
    "name": "", "kind": "none", "unit": "", "min_fen": 0, "max_fen": 0, "step_fen": 100, "hint": "",
}  # fmt: skip
BLANK_VIEW: Values = {
    "step": "", "title": "", "lines": [], "choices": [], "buttons": [], "field": BLANK_FIELD,
    "busy": "", "notice": "", "notice_kind": "info", "money": {}, "receipt": "", "alert": "",
}  # fmt: skip
# How long an unanswered intent holds further touches back.
ANSWER_MS_MAX = 2_000


def fen_of(typed: str) -> int:
    """Turns typed yuan into fen, without floating point: `12.5` gives 1250.

    Args:
        typed: Figures with at most one point and two figures after it, as the keypad makes them.
    """
    yuan, _, rest = typed.partition(".")
    return int(yuan or "0") * 100 + int(rest.ljust(2, "0"))


def _exposed(kind: str, key: str, notify: Signal) -> Any:  # noqa: ANN401 - Qt's own
    def read(side: Side) -> Any:  # noqa: ANN401 - whatever QML is to draw
        return side.values[key]

    return Property(kind, read, notify=notify)  # type: ignore[arg-type] # Qt takes names


class Side(QObject):
    """The view of one window.

    Args:
        name: `operator` or `customer`.
        submit: Takes an intent for the worker.
        settle_ms: Touches are ignored this long after a new step appeared.
    """

    stepChanged = Signal()  # noqa: N815 - QML derives its handlers from these names
    titleChanged = Signal()  # noqa: N815
    linesChanged = Signal()  # noqa: N815
    choicesChanged = Signal()  # noqa: N815
    buttonsChanged = Signal()  # noqa: N815
    fieldChanged = Signal()  # noqa: N815
    busyChanged = Signal()  # noqa: N815
    noticeChanged = Signal()  # noqa: N815
    moneyChanged = Signal()  # noqa: N815
    receiptChanged = Signal()  # noqa: N815
    alertChanged = Signal()  # noqa: N815
    blankedChanged = Signal()  # noqa: N815

    step = _exposed("QString", "step", stepChanged)
    title = _exposed("QString", "title", titleChanged)
    lines = _exposed("QVariantList", "lines", linesChanged)
    choices = _exposed("QVariantList", "choices", choicesChanged)
    buttons = _exposed("QVariantList", "buttons", buttonsChanged)
    field = _exposed("QVariantMap", "field", fieldChanged)
    busy = _exposed("QString", "busy", busyChanged)
    notice = _exposed("QString", "notice", noticeChanged)
    noticeKind = _exposed("QString", "notice_kind", noticeChanged)  # noqa: N815 - a QML name
    money = _exposed("QVariantMap", "money", moneyChanged)
    receipt = _exposed("QString", "receipt", receiptChanged)
    alert = _exposed("QString", "alert", alertChanged)

    def __init__(self, name: str, submit: Callable[[Intent], None], settle_ms: int) -> None:
        super().__init__()
        self.name = name
        self.values: Values = dict(BLANK_VIEW)
        self._submit = submit
        self._settle_ms = settle_ms
        self._language = "zh"
        self._blanked = False
        self._held = False
        self._awaiting = False
        self._since_step = QElapsedTimer()
        self._since_intent = QElapsedTimer()
        self._since_step.start()
        self._since_intent.start()

    @Property(bool, notify=blankedChanged)
    def blanked(self) -> bool:
        """Whether the cover lies over the window."""
        return self._blanked

    @property
    def covered(self) -> bool:
        """The same, for Python."""
        return self._blanked

    # ------------------------------------------------------------ from the worker
    def show_view(self, view: Values, receipt: str, language: str) -> None:
        """Takes up a new view; a held side stays covered and takes nothing.

        Args:
            view: A `ScreenView` as built-in types.
            receipt: The last receipt; given to the operator's side only.
            language: What the toggle switches away from.
        """
        self._awaiting = False
        self._language = language
        if self._held:
            return
        step_is_new = view["step"] != self.values["step"]
        self._write(self._drawn(view, receipt))
        if step_is_new:
            self._since_step.restart()
        self._set_blanked(False)

    def _drawn(self, view: Values, receipt: str) -> Values:
        drawn = {
            key: view[key] for key in ("step", "title", "choices", "buttons", "busy", "notice")
        }
        drawn["notice_kind"] = view["notice_kind"] or "info"
        drawn["field"] = {**BLANK_FIELD, **(view["input"] or {})}
        drawn["money"] = view["money"] or {}
        drawn["receipt"] = receipt
        drawn["lines"] = self._permitted(view["lines"])
        return drawn

    def _permitted(self, lines: list[Values]) -> list[Values]:
        if self.name == "customer":
            return lines
        permitted = [line for line in lines if not line["private"]]
        if len(permitted) < len(lines):
            log.error("a private line was sent to the operator's view; it was not drawn")
        return permitted

    def _write(self, values: Values) -> None:
        """Stores what differs and tells QML, each signal once."""
        news = [key for key, value in values.items() if self.values[key] != value]
        self.values.update({key: values[key] for key in news})
        names = dict.fromkeys("notice" if key == "notice_kind" else key for key in news)
        for name in names:
            getattr(self, f"{name}Changed").emit()

    def _set_blanked(self, blanked: bool) -> None:
        if self._blanked != blanked:
            self._blanked = blanked
            self.blankedChanged.emit()

    def set_alert(self, text: str) -> None:
        """Shows a sentence of the shell itself, such as that the other screen is missing."""
        self._write({"alert": text})

    def cover(self) -> None:
        """Covers the window and forgets everything it showed, until `release` and a new view."""
        self._held = True
        self._set_blanked(True)
        self._write({**BLANK_VIEW, "alert": self.values["alert"]})

    def release(self) -> None:
        """Lets the next view lift the cover."""
        self._held = False

    # ------------------------------------------------------------ from the finger
    @property
    def settled(self) -> bool:
        """Whether a touch would be taken now."""
        if self._awaiting and self._since_intent.elapsed() < ANSWER_MS_MAX:
            return False
        return not self._held and self._since_step.elapsed() >= self._settle_ms

    def _send(self, intent: Intent) -> None:
        if not self.settled:
            log.debug("%s: a touch came too soon and was ignored", self.name)
            return
        self._awaiting = True
        self._since_intent.restart()
        self._submit({**intent, "side": self.name})

    @Slot(str)
    def press(self, button: str) -> None:
        """A button of the step was touched."""
        self._send({"type": "press", "button": button})

    @Slot(str)
    def choose(self, choice: str) -> None:
        """A choice was touched."""
        self._send({"type": "choose", "choice": choice})

    @Slot(str)
    def enter(self, typed: str) -> None:
        """The enter key was touched: yuan become integer fen, other figures stay text."""
        field = self.values["field"]
        value = fen_of(typed) if field["kind"] == "amount" else typed
        self._send({"type": "enter", "name": field["name"], "value": value})

    @Slot()
    def reprint(self) -> None:
        """The last receipt is wanted once more."""
        self._send({"type": "reprint"})

    @Slot()
    def toggleLanguage(self) -> None:  # noqa: N802 - a QML name
        """The other language is wanted; it shows when the worker's views come in it."""
        other = "zh" if self._language == "en" else "en"
        self._submit({"type": "language", "language": other, "side": self.name})
