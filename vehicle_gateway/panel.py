"""The driver's screen: draws the states that the gateway sends, and says what was touched.

Place in the flow: gateway → socket → **panel**, a process of its own → QML; touch → cabin.

* It decides nothing: what may be touched now, and what it means, is the gateway's.
* A gateway that has been silent for three seconds is shown as silent, never as it was before.
* What is agreed to is the text that stood on this screen, by its hash.
* Day or night: as configured, else by the light sensor, else by the hour in the state.
* Nothing is kept: no file, no log of what is shown. Screenshots only where somebody asks for them.
* Without a GPU: `QT_QUICK_BACKEND=software` is the default.
"""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from PySide6.QtCore import Property, QCoreApplication, QEvent, QObject, QTimer, QUrl, Signal, Slot
from PySide6.QtGui import QFont, QFontDatabase, QGuiApplication
from PySide6.QtQml import QQmlApplicationEngine
from PySide6.QtQuick import QQuickWindow

from edge.errors import DeviceFault, LocalError
from vehicle_gateway.driver import consent_text

if TYPE_CHECKING:
    from collections.abc import Mapping

QML_FOLDER: Final = Path(__file__).parent / "qml"
FAMILY: Final = "Noto Sans CJK SC"
POLL_MS: Final = 100
SILENCE_POLLS: Final = 30
DAY_HOURS: Final = range(7, 19)

log = logging.getLogger(__name__)


class PanelLink(Protocol):
    """The way to the gateway: `hardware.drivers.panel_socket.PanelClient`."""

    def states(self) -> list[dict[str, Any]]:
        """Returns what came since the last call, never waits."""
        ...

    def touch(self, content: Mapping[str, Any]) -> bool:
        """Says what the driver did."""
        ...

    def close(self) -> None:
        """Ends the connection."""
        ...


@dataclass(frozen=True, slots=True)
class PanelSetup:
    """What a panel is made of.

    Attributes:
        client: The way to the gateway.
        language: What it begins with, `zh` or `en`.
        theme: `day`, `night` or `auto`.
        ambient: File of a light sensor, or None.
        ambient_dark: Night below this reading.
        is_windowed: In a window of 800 x 480 instead of the whole screen.
        screenshots: Each changed picture is saved here as PNG, or None. Never in a live vehicle.
    """

    client: PanelLink
    language: str = "zh"
    theme: str = "auto"
    ambient: Path | None = None
    ambient_dark: int = 40
    is_windowed: bool = False
    screenshots: Path | None = None


class Panel(QObject):
    """The window, bound to a gateway."""

    changed = Signal()

    def __init__(self, setup: PanelSetup) -> None:
        super().__init__()
        self._setup = setup
        self._state: dict[str, Any] = {}
        self._silent = SILENCE_POLLS
        self._shots = 0
        self._consent = consent_text()
        self._engine = self._load()
        window = self._engine.rootObjects()[0]
        assert isinstance(window, QQuickWindow)
        self.window = window
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.poll)

    # ------------------------------------------------------------ what QML reads and calls
    @Property("QVariantMap", notify=changed)  # type: ignore[arg-type] # Qt takes a type's name too
    def state(self) -> dict[str, Any]:
        """The last state of the gateway."""
        return self._state

    @Property(bool, notify=changed)
    def heard(self) -> bool:
        """Whether the gateway spoke within three seconds."""
        return self._silent < SILENCE_POLLS

    @Property("QVariantMap", constant=True)  # type: ignore[arg-type]
    def texts(self) -> dict[str, str]:
        """The consent, by language."""
        return dict(self._consent.texts)

    @Slot("QVariantMap")
    def act(self, touch: dict[str, Any]) -> None:
        """Says what was touched."""
        self._setup.client.touch(touch)

    @Slot(str)
    def agree(self, language: str) -> None:
        """Says that the driver agreed to the text that was shown in a language."""
        digest = self._consent.sha256(language)
        self.act({"touch": "agree", "language": language, "text_sha256": digest})

    # ------------------------------------------------------------ life
    def start(self) -> None:
        """Shows the window and begins to listen."""
        if self._setup.is_windowed:
            self.window.show()
        else:
            self.window.showFullScreen()
        self._timer.start(POLL_MS)

    def stop(self) -> None:
        """Closes the window and lets go of the gateway."""
        self._timer.stop()
        self._setup.client.close()
        self.window.close()
        self._engine.deleteLater()
        QCoreApplication.sendPostedEvents(self._engine, QEvent.Type.DeferredDelete.value)

    def poll(self) -> None:
        """Takes the newest state; counts silence where there is none."""
        before = (self._state, self._silent < SILENCE_POLLS)
        states = self._setup.client.states()
        self._silent = 0 if states else min(self._silent + 1, SILENCE_POLLS)
        if states:
            self._state = states[-1]
        elif self._silent == SILENCE_POLLS:
            self._state = {}
        self.theme_object().setProperty("night", self.is_night())
        if (self._state, self._silent < SILENCE_POLLS) != before:
            self.changed.emit()
            self._shoot()

    def is_night(self) -> bool:
        """Whether the dark theme is due."""
        if self._setup.theme != "auto":
            return self._setup.theme == "night"
        light = self._light()
        if light is not None:
            return light < self._setup.ambient_dark
        hour = str(self._state.get("clock", ""))[:2]
        return hour.isdecimal() and int(hour) not in DAY_HOURS

    def speak(self, language: str) -> None:
        """Takes up a language."""
        words = self._engine.singletonInstance("Cabin", "Words")
        assert isinstance(words, QObject)
        words.setProperty("language", language)

    def theme_object(self) -> QObject:
        """The colours and sizes that are in use."""
        theme = self._engine.singletonInstance("Cabin", "Theme")
        assert isinstance(theme, QObject)
        return theme

    # ------------------------------------------------------------ inside
    def _load(self) -> QQmlApplicationEngine:
        engine = QQmlApplicationEngine(self)
        engine.addImportPath(str(QML_FOLDER))
        errors: list[str] = []
        engine.warnings.connect(lambda found: errors.extend(error.toString() for error in found))
        engine.setInitialProperties({"panel": self})
        engine.load(QUrl.fromLocalFile(str(QML_FOLDER / "Cabin" / "PanelWindow.qml")))
        if not engine.rootObjects():
            raise LocalError(
                f"The panel cannot be drawn: {'; '.join(errors) or 'its QML is missing'}. Install "
                "lastmile[panel] again.",
                "panel-qml",
            )
        self._engine = engine
        self.theme_object().setProperty("family", _family())
        self.speak(self._setup.language)
        return engine

    def _light(self) -> float | None:
        if self._setup.ambient is None:
            return None
        try:
            return float(self._setup.ambient.read_text(encoding="ascii"))
        except (OSError, ValueError):  # a sensor that fails leaves the choice to the hour
            return None

    def _shoot(self) -> None:
        if self._setup.screenshots is not None:
            self._shots += 1
            self.save(
                self._setup.screenshots / f"{self._shots:03d}-{self.window.property('shown')}"
            )

    def save(self, path: Path) -> Path:
        """Saves what the window shows as PNG.

        Raises:
            DeviceFault: It cannot be written.
        """
        named = path.with_name(path.name + ".png")
        named.parent.mkdir(parents=True, exist_ok=True)
        if not self.window.grabWindow().save(str(named)):
            raise DeviceFault(f"{named} cannot be written; free some space.", "panel-picture")
        return named


def make_application() -> QGuiApplication:
    """Returns the one Qt application, with software rendering."""
    os.environ.setdefault("QT_QUICK_BACKEND", "software")
    existing = QCoreApplication.instance()
    if existing is not None and not isinstance(existing, QGuiApplication):
        raise LocalError("Qt runs without a display here; start the panel alone.", "no-display")
    return existing or QGuiApplication(["lastmile-panel"])


def run_panel(setup: PanelSetup) -> None:
    """Shows the panel until it is closed, SIGTERM or Ctrl-C.

    Raises:
        LocalError: The panel cannot be drawn.
    """
    application = make_application()
    panel = Panel(setup)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: application.quit())
    panel.start()
    try:
        application.exec()
    finally:
        panel.stop()


def _family() -> str:
    families = set(QFontDatabase.families())
    if FAMILY in families:
        return FAMILY
    chinese = QFontDatabase.families(QFontDatabase.WritingSystem.SimplifiedChinese)
    family = chinese[0] if chinese else QFont().defaultFamily()
    log.warning(
        "font %s is not installed, %s is used: apt-get install fonts-noto-cjk", FAMILY, family
    )
    return family
