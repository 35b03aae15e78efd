"""Presses real touch points on the real controls of both windows, and looks at the result.

Place in the flow: stands where the two people stand. Used by tests/gui, by the story that
`dev.py demo` plays, and by anything else that runs the shell in its own process::

    use_offscreen_screens()  # before the first Qt object, where there is no display
    shell = Shell(ShellSetup(worker, ScreenNames("operator", "customer")))
    shell.start()
    pilot = Pilot(shell)
    pilot.press("operator", "choice_cash_withdrawal")
    pilot.key("customer", "500")  # key_5, key_0, key_0
    pilot.press("customer", "key_enter")
    pilot.wait(lambda views: views.customer.step == "confirm", timeout_s=5)
    pilot.shoot(folder / "07-confirm")  # 07-confirm-operator.png, 07-confirm-customer.png
    shell.stop()

* A control is found by its objectName among the items that are drawn, never by position.
* `press` waits until the control is there, enabled and the window takes touches; it never sleeps,
  it runs Qt's event loop until the condition holds or the time limit passes.
* A failure says what was on the screen instead.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import (
    QCoreApplication,
    QDeadlineTimer,
    QEvent,
    QEventLoop,
    QPoint,
    QPointF,
    QTimer,
)
from PySide6.QtTest import QTest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PySide6.QtGui import QPointingDevice, QWindow
    from PySide6.QtQuick import QQuickItem

    from kiosk_app.shell import Shell
    from kiosk_app.view import Views

SCREENS = Path(__file__).with_name("screens.json")
TICK_MS = 10
TIMEOUT_S = 10.0

_touch_screens: list[QPointingDevice] = []


def use_offscreen_screens() -> None:
    """Arranges the named offscreen screens of screens.json; call before Qt's application is made.

    `operator` 1366×768, `customer` and `small` 1024×768, `portrait` 1080×1920, `wide` 1920×1080.
    """
    if QCoreApplication.instance() is not None:
        raise RuntimeError("Qt already runs; call use_offscreen_screens() before anything of Qt.")
    os.environ["QT_QPA_PLATFORM"] = f"offscreen:configfile={SCREENS}"
    os.environ["QT_QUICK_BACKEND"] = "software"


class PilotError(AssertionError):
    """What the pilot waited for did not come; the text says what was there instead."""


def drawn_items(item: QQuickItem) -> Iterator[QQuickItem]:
    """Yields an item and all below it that are visible, in the order in which they are painted."""
    if not item.isVisible():
        return
    yield item
    for child in sorted(item.childItems(), key=lambda below: below.z()):
        yield from drawn_items(child)


class Pilot:
    """Two fingers and two pairs of eyes.

    Args:
        shell: A started shell.
    """

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        if not _touch_screens:
            # One for the process: Qt forgets no device, and warns about doubles.
            _touch_screens.append(QTest.createTouchDevice())
        self._finger = 0

    # ------------------------------------------------------------ looking
    def names(self, side: str) -> list[str]:
        """Returns the objectName of everything that is drawn on a side."""
        root = self.shell.windows[side].contentItem()
        return [item.objectName() for item in drawn_items(root) if item.objectName()]

    def find(self, side: str, name: str) -> QQuickItem | None:
        """Returns the drawn item of that objectName, or None."""
        root = self.shell.windows[side].contentItem()
        return next((item for item in drawn_items(root) if item.objectName() == name), None)

    def texts(self, side: str) -> list[str]:
        """Returns every text that is drawn on a side, from back to front."""
        root = self.shell.windows[side].contentItem()
        texts = [str(item.property("text")) for item in drawn_items(root) if is_text(item)]
        return [text for text in texts if text]

    def views(self) -> Views | None:
        """Returns the views that are on the screens."""
        return self.shell.views

    # ------------------------------------------------------------ waiting
    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S) -> None:
        """Runs Qt's loop until a condition holds.

        Raises:
            PilotError: It did not within the time limit.
        """
        deadline = QDeadlineTimer(int(timeout_s * 1000))
        waker = QTimer()
        waker.start(TICK_MS)
        while not condition():
            if deadline.hasExpired():
                raise PilotError(f"no {what} within {timeout_s} s; {self._situation()}")
            self._turn(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)

    def settle(self) -> None:
        """Runs Qt's loop until nothing waits."""
        for _ in range(3):
            self._turn(QEventLoop.ProcessEventsFlag.AllEvents)

    @staticmethod
    def _turn(flag: QEventLoop.ProcessEventsFlag) -> None:
        QCoreApplication.processEvents(flag)
        # Outside a running loop Qt leaves these for later, and old controls would stay.
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)

    def wait(self, predicate: Callable[[Views], bool], timeout_s: float = TIMEOUT_S) -> Views:
        """Waits until the views on the screens fulfil `predicate`; returns them.

        Raises:
            PilotError: They did not within the time limit.
        """

        def fulfilled() -> bool:
            return self.shell.views is not None and predicate(self.shell.views)

        self.until(fulfilled, "expected view", timeout_s)
        assert self.shell.views is not None
        return self.shell.views

    def show(self, views: Views) -> None:
        """Hands views to the shell as a worker would, and waits until they are drawn."""
        self.shell.receive(views)
        self.wait(lambda drawn: drawn is views)
        self.settle()
        for side in self.shell.windows:
            self._draw(side)

    def wait_step(self, step: str, timeout_s: float = TIMEOUT_S) -> Views:
        """Waits until either side stands at `step`; returns the views."""
        return self.wait(lambda now: step in (now.operator.step, now.customer.step), timeout_s)

    # ------------------------------------------------------------ touching
    def press(self, side: str, name: str, timeout_s: float = TIMEOUT_S) -> None:
        """Touches the middle of a control and lifts the finger again.

        Args:
            side: `operator` or `customer`.
            name: objectName: `choice_<id>`, `button_<id>`, `key_<digit>`, `key_enter`, ...
            timeout_s: How long the control may take to appear and become enabled.

        Raises:
            PilotError: It did not, or something covers it.
        """

        def ready() -> bool:
            item = self.find(side, name)
            typing = name.startswith("key_") and name != "key_enter"
            settled = typing or self.shell.sides[side].settled
            return item is not None and item.isEnabled() and settled

        self.until(ready, f"control {name} on the {side}'s screen", timeout_s)
        self._draw(side)
        item = self.find(side, name)
        assert item is not None
        self.touch(side, item.mapToScene(QPointF(item.width() / 2, item.height() / 2)).toPoint())
        self.settle()

    def _draw(self, side: str) -> None:
        """Draws a frame: Qt puts rows and columns in order only then."""
        self.shell.windows[side].grabWindow()

    def touch(self, side: str, point: QPoint) -> None:
        """Puts a finger down at a point of a window and lifts it, whatever is there."""
        window: QWindow = self.shell.windows[side]
        self._finger += 1
        QTest.touchEvent(window, _touch_screens[0]).press(self._finger, point, window).commit()
        QTest.touchEvent(window, _touch_screens[0]).release(self._finger, point, window).commit()

    def key(self, side: str, figures: str) -> None:
        """Types figures on the keypad of a side, such as `500` or `12.50`; does not enter them."""
        names = {".": "key_dot"}
        for figure in figures:
            self.press(side, names.get(figure, f"key_{figure}"))

    def enter(self, side: str, figures: str) -> None:
        """Types figures and touches the enter key."""
        self.key(side, figures)
        self.press(side, "key_enter")

    # ------------------------------------------------------------ pictures
    def shoot(self, prefix: Path | str) -> list[Path]:
        """Saves `PREFIX-operator.png` and `PREFIX-customer.png`; returns the paths."""
        self.settle()
        return self.shell.shoot(Path(prefix))

    def _situation(self) -> str:
        return "; ".join(
            f"the {side}'s screen shows {self.texts(side)} with {self.names(side)}"
            for side in self.shell.windows
        )


def is_text(item: QQuickItem) -> bool:
    """Tells whether an item is a QML `Text`."""
    return bool(item.inherits("QQuickText"))
