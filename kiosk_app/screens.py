"""Which window stands on which screen, by name, and what happens when a screen goes.

Place in the flow: shell gives its two windows to `Placement`; it reports `lost` and `back`.

* A screen is known by its name, never by its index: the order differs by platform and by boot.
* A window whose screen goes is covered first, hidden next, reported last, and is never shown on
  another screen, whatever Qt or a window manager would do.
* One screen for both windows exists only where the configuration says `single_screen = true`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec
from PySide6.QtCore import QObject, QRect, Qt, Signal
from PySide6.QtGui import QGuiApplication, QScreen

from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PySide6.QtQuick import QQuickWindow

log = logging.getLogger(__name__)

SIDES = ("operator", "customer")
MILLIMETRES_PER_INCH = 25.4
# Monitors that report no size, or that of a television test picture, fall outside these.
DPI_MIN, DPI_MAX, DPI_DEFAULT = 50.0, 400.0, 96.0


class ScreenNames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `[screens]` table of kiosk.toml.

    Attributes:
        operator: Name of the agent's screen as the platform calls it, such as `HDMI-1`.
        customer: Name of the villager's screen.
        single_screen: Both windows side by side on one desk; for technicians only.
    """

    operator: str = ""
    customer: str = ""
    single_screen: bool = False


def present_screens() -> dict[str, QScreen]:
    """Returns the connected screens by name."""
    return {screen.name(): screen for screen in QGuiApplication.screens()}


def _application() -> QGuiApplication:
    application = QGuiApplication.instance()
    assert isinstance(application, QGuiApplication)
    return application


def pixels_per_millimetre(screen: QScreen) -> float:
    """Returns the real density of a screen, or that of 96 dpi where it reports nonsense."""
    dpi = screen.physicalDotsPerInch()
    if not DPI_MIN <= dpi <= DPI_MAX:
        log.warning("screen %s reports %.0f dpi; 96 is assumed", screen.name(), dpi)
        dpi = DPI_DEFAULT
    return dpi / MILLIMETRES_PER_INCH


def check_names(names: ScreenNames) -> None:
    """Refuses a configuration that cannot be carried out.

    Raises:
        LocalError: A name is missing, both are the same, or the operator's screen is not there.
    """
    if names.single_screen:
        return
    connected = ", ".join(sorted(present_screens())) or "none"
    if not names.operator or not names.customer:
        raise LocalError(
            "kiosk.toml names no screen for both sides: set [screens] operator and customer to "
            f"names of connected screens ({connected}), or single_screen = true on one desk.",
            "screens-unnamed",
        )
    if names.operator == names.customer:
        raise LocalError(
            f"Both sides are given the screen {names.operator!r}; the customer would see the "
            f"agent's work. Name two of: {connected}; or set single_screen = true on one desk.",
            "screens-same",
        )
    if names.operator not in present_screens():
        raise LocalError(
            f"The operator's screen {names.operator!r} is not connected (connected: {connected}). "
            "Check its power and cable, or correct [screens] operator.",
            "screen-missing",
        )


class Placement(QObject):
    """Keeps each window on its own screen.

    Args:
        names: What the configuration says.
        windows: The window of each side, still hidden.
    """

    covered = Signal(str)  # the side must be covered at once
    lost = Signal(str)  # the screen of that side is gone, its window is hidden
    back = Signal(str)  # the screen of that side came, its window is shown

    def __init__(self, names: ScreenNames, windows: Mapping[str, QQuickWindow]) -> None:
        super().__init__()
        self._names = names
        self._windows = dict(windows)
        self._present: dict[str, bool] = {}
        self._watching = False

    @property
    def missing(self) -> list[str]:
        """The sides that have no screen now."""
        return [side for side in SIDES if not self._present.get(side)]

    def screen_name(self, side: str) -> str:
        """Returns the name of the screen that the configuration gives to a side."""
        return self._names.operator if side == "operator" else self._names.customer

    def place(self) -> None:
        """Shows the windows on their screens and begins to watch for losses."""
        if self._names.single_screen:
            self._place_on_desk()
            return
        application = _application()
        application.screenRemoved.connect(self._screen_removed)
        application.screenAdded.connect(self._screen_added)
        self._watching = True
        for side in SIDES:
            self._windows[side].screenChanged.connect(
                lambda screen, at=side: self._strayed(at, screen)
            )
            screen = present_screens().get(self.screen_name(side))
            if screen is None:
                self._lose(side)
            else:
                self._show(side, screen)

    def release(self) -> None:
        """Forgets windows and screens, so that nothing acts on a window that is gone."""
        if self._watching:
            application = _application()
            application.screenRemoved.disconnect(self._screen_removed)
            application.screenAdded.disconnect(self._screen_added)
        self._watching = False
        self._windows.clear()
        self._present.clear()

    def _place_on_desk(self) -> None:
        screen = QGuiApplication.primaryScreen()
        area = screen.availableGeometry()
        half = area.width() // 2
        for position, side in enumerate(SIDES):
            window = self._windows[side]
            window.setProperty("millimetre", pixels_per_millimetre(screen))
            window.setScreen(screen)
            window.setGeometry(QRect(area.x() + position * half, area.y(), half, area.height()))
            window.show()
            self._present[side] = True

    def _show(self, side: str, screen: QScreen) -> None:
        window = self._windows[side]
        # Before the window moves, so that its move is not taken for a stray.
        self._present[side] = True
        window.setProperty("millimetre", pixels_per_millimetre(screen))
        window.setFlag(Qt.WindowType.FramelessWindowHint, True)
        window.setScreen(screen)
        window.setGeometry(screen.geometry())
        window.showFullScreen()
        log.info(
            "%s window on screen %s %s", side, screen.name(), screen.geometry().size().toTuple()
        )

    def _lose(self, side: str) -> None:
        self._present[side] = False
        self.covered.emit(side)
        self._windows[side].hide()
        log.warning("%s screen %s is not connected", side, self.screen_name(side))
        self.lost.emit(side)

    def _strayed(self, side: str, screen: QScreen | None) -> None:
        """Hides a window that something moved to a screen that is not its own."""
        # Never `window.screen()`: PySide takes what it returns for a child of the window and
        # deletes Qt's own screen with it.
        if not self._present.get(side) or screen is None:
            return
        if screen.name() != self.screen_name(side):
            self._lose(side)

    def _screen_removed(self, screen: QScreen) -> None:
        for side in SIDES:
            if self._present.get(side) and screen.name() == self.screen_name(side):
                self._lose(side)

    def _screen_added(self, screen: QScreen) -> None:
        for side in SIDES:
            if not self._present.get(side) and screen.name() == self.screen_name(side):
                self._show(side, screen)
                self.back.emit(side)
