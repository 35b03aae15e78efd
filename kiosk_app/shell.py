"""The two windows: draws what the worker publishes and decides nothing.

Place in the flow: worker → `Shell.receive` (its thread) → Qt's thread → one `Side` a window → QML;
a touch → `Side` → intent → worker.

* Each window has an engine of its own: the operator's holds no reference to the customer's view,
  and each has its own sizes. A second engine was measured at 2 ms and 1 MB.
* Only the newest views are drawn; older ones that queue behind them are passed over.
* The language is that of the views, so that words of shell and flow never differ.
* Without a GPU: `QT_QUICK_BACKEND=software` is the default.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from PySide6.QtCore import (
    Property,
    QCoreApplication,
    QEvent,
    QObject,
    Qt,
    QTimer,
    QUrl,
    Signal,
)
from PySide6.QtGui import QFont, QFontDatabase, QGuiApplication
from PySide6.QtQml import QQmlApplicationEngine
from PySide6.QtQuick import QQuickWindow

from edge.errors import DeviceFault, LocalError
from kiosk_app.i18n import SOURCE_LANGUAGE, Translator
from kiosk_app.screens import SIDES, Placement, ScreenNames, check_names
from kiosk_app.side import Side, Values

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiosk_app.side import Intent
    from kiosk_app.view import Views

log = logging.getLogger(__name__)

QML_FOLDER = Path(__file__).parent / "qml"
FAMILY, MONOSPACE = "Noto Sans CJK SC", "Noto Sans Mono CJK SC"
SETTLE_MS = 350
FIRST_PICTURE_MS = 250
UNKNOWN_STATUS: Values = {
    "online": False, "as_of": "", "unsent": 0, "paper_ok": True, "lease_left_fen": None,
    "clock": "", "language": SOURCE_LANGUAGE,
}  # fmt: skip


class CounterWorker(Protocol):
    """What the shell needs of `kiosk_app.worker.Worker`."""

    def start(self) -> None:
        """Begins to work; views may come from now on."""
        ...

    def stop(self) -> None:
        """Ends the session safely and returns when everything is closed."""
        ...

    def submit(self, intent: Intent) -> None:
        """Takes an intent without waiting for its effect."""
        ...

    def subscribe(self, callback: Callable[[Views], None]) -> None:
        """Calls `callback` from the worker's thread at every change of the views."""
        ...


@dataclass(frozen=True)
class ShellSetup:
    """What a shell is made of.

    Attributes:
        worker: Publishes views and takes intents.
        screens: Which window stands on which screen.
        screenshots: Each changed step is saved here as PNG, or None. Never on a live counter: the
            pictures show what the customer sees.
        settle_ms: Touches are ignored this long after a new step appeared.
    """

    worker: CounterWorker
    screens: ScreenNames
    screenshots: Path | None = None
    settle_ms: int = SETTLE_MS


def make_application() -> QGuiApplication:
    """Returns the one Qt application, made with software rendering and a Chinese font."""
    os.environ.setdefault("QT_QUICK_BACKEND", "software")
    existing = QCoreApplication.instance()
    if existing is not None and not isinstance(existing, QGuiApplication):
        raise LocalError(
            "Qt runs without a display here; start the kiosk on its own.", "no-display"
        )
    application = existing or QGuiApplication(["lastmile-kiosk"])
    application.setApplicationName("lastmile-kiosk")
    # A lost screen hides the last window for a while; the counter goes on.
    application.setQuitOnLastWindowClosed(False)
    return application


def choose_fonts() -> tuple[str, str]:
    """Returns the family for text and that for receipts; warns when ours are not installed."""
    families = set(QFontDatabase.families())
    if FAMILY in families:
        return FAMILY, MONOSPACE if MONOSPACE in families else FAMILY
    chinese = QFontDatabase.families(QFontDatabase.WritingSystem.SimplifiedChinese)
    family = chinese[0] if chinese else QFont().defaultFamily()
    log.warning(
        "font %s is not installed, %s is used%s: apt-get install fonts-noto-cjk",
        FAMILY, family, "" if chinese else " and cannot show Chinese",
    )  # fmt: skip
    return family, family


class Status(QObject):
    """The status of the counter as both status bars read it."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._values = dict(UNKNOWN_STATUS)

    @Property("QVariantMap", notify=changed)  # type: ignore[arg-type] # Qt takes a type's name too
    def values(self) -> Values:
        """`StatusView` as built-in types."""
        return self._values

    def write(self, values: Values) -> None:
        """Takes up a new status."""
        if values != self._values:
            self._values = values
            self.changed.emit()


class Shell(QObject):
    """Both windows, bound to a worker. Make it, `start()` it, run Qt's loop, `stop()` it."""

    changed = Signal()  # new views are on the screens; read them from `views`
    _arrived = Signal()

    def __init__(self, setup: ShellSetup) -> None:
        super().__init__()
        self.setup = setup
        self.views: Views | None = None
        self._newest: Views | None = None
        self._shots = 0
        self._fingerprint: Values = {}
        self._application = make_application()
        check_names(setup.screens)
        self._translator = Translator()
        self._language = SOURCE_LANGUAGE
        QCoreApplication.installTranslator(self._translator)
        self.status = Status()
        self.sides = {name: Side(name, setup.worker.submit, setup.settle_ms) for name in SIDES}
        self._engines = {name: self._load(name) for name in SIDES}
        self.windows = {name: _root_window(self._engines[name]) for name in SIDES}
        self.placement = self._bind_screens()
        self._arrived.connect(self._draw, Qt.ConnectionType.QueuedConnection)

    # ------------------------------------------------------------ life
    def start(self) -> None:
        """Shows the windows and starts the worker."""
        self.setup.worker.subscribe(self.receive)
        self.placement.place()
        self.setup.worker.start()

    def stop(self) -> None:
        """Covers and closes the windows, stops the worker, releases Qt; safe to call twice."""
        for side in self.sides.values():
            side.cover()
        self.setup.worker.stop()
        self.placement.release()
        # At once, while what their bindings read still lives.
        self.windows.clear()
        while self._engines:
            engine = self._engines.popitem()[1]
            engine.deleteLater()
            QCoreApplication.sendPostedEvents(engine, QEvent.Type.DeferredDelete.value)
        QCoreApplication.removeTranslator(self._translator)

    def engine(self, side: str) -> QQmlApplicationEngine:
        """Returns the engine of a window, which no other window shares."""
        return self._engines[side]

    def _load(self, name: str) -> QQmlApplicationEngine:
        engine = QQmlApplicationEngine(self)
        engine.addImportPath(str(QML_FOLDER))
        errors: list[str] = []
        engine.warnings.connect(lambda found: errors.extend(error.toString() for error in found))
        engine.setInitialProperties(
            {"side": self.sides[name], "status": self.status, "millimetre": 4.0}
        )
        engine.load(QUrl.fromLocalFile(str(QML_FOLDER / "Lastmile" / f"{name.title()}Window.qml")))
        if not engine.rootObjects():
            raise LocalError(
                f"The {name} window cannot be drawn: {'; '.join(errors) or 'its QML is missing'}. "
                "Install lastmile[kiosk] again.",
                "qml-load",
            )
        family, monospace = choose_fonts()
        theme = engine.singletonInstance("Lastmile", "Theme")
        assert isinstance(theme, QObject)
        theme.setProperty("family", family)
        theme.setProperty("monospace", monospace)
        return engine

    # ------------------------------------------------------------ screens
    def _bind_screens(self) -> Placement:
        placement = Placement(self.setup.screens, self.windows)
        placement.covered.connect(self._screen_covered)
        placement.lost.connect(self._screen_lost)
        placement.back.connect(self._screen_back)
        return placement

    def _screen_covered(self, side: str) -> None:
        self.sides[side].cover()

    def _screen_lost(self, side: str) -> None:
        self.setup.worker.submit({"type": "screen-lost", "side": side})
        self._tell_missing()

    def _screen_back(self, side: str) -> None:
        self.sides[side].release()
        self.setup.worker.submit({"type": "screen-back", "side": side})
        self._tell_missing()

    def _tell_missing(self) -> None:
        text = ""
        if "customer" in self.placement.missing:
            text = QCoreApplication.translate(
                "Shell",
                "客户屏“%1”未连接，客户信息已遮盖。请检查它的电源和视频线，接好后自动恢复。",
            ).replace("%1", self.placement.screen_name("customer"))
        self.sides["operator"].set_alert(text)

    # ------------------------------------------------------------ views
    def receive(self, views: Views) -> None:
        """Takes new views from the worker's thread."""
        self._newest = views
        self._arrived.emit()

    def _draw(self) -> None:
        views = self._newest
        if views is None or views is self.views:
            return
        self.views = views
        shown: dict[str, Any] = msgspec.to_builtins(views)
        self._speak(shown["status"]["language"])
        self.status.write(shown["status"])
        for name, side in self.sides.items():
            receipt = (shown["receipt"] or "") if name == "operator" else ""
            side.show_view(shown[name], receipt, self._language)
        self.changed.emit()
        self._record(shown)

    def _speak(self, language: str) -> None:
        if language == self._language:
            return
        self._language = language
        self._translator.speak(language)
        for engine in self._engines.values():
            engine.retranslate()
        self._tell_missing()

    # ------------------------------------------------------------ pictures
    def _record(self, shown: Values) -> None:
        """Saves both windows when anything but the status changed."""
        fingerprint = {key: shown[key] for key in ("operator", "customer", "receipt")}
        if self.setup.screenshots is None or fingerprint == self._fingerprint:
            return
        self._fingerprint = fingerprint
        self._shots += 1
        step = shown["customer"]["step"] or "start"
        prefix = self.setup.screenshots / f"{self._shots:03d}-{step}"
        if self._shots == 1:
            # Before their first frame the windows have neither their size nor their layout.
            QTimer.singleShot(FIRST_PICTURE_MS, self, lambda: self.shoot(prefix))
        else:
            self.shoot(prefix)

    def shoot(self, prefix: Path) -> list[Path]:
        """Saves what each visible window shows as `PREFIX-operator.png` and `PREFIX-customer.png`.

        Raises:
            DeviceFault: A picture cannot be written.
        """
        prefix.parent.mkdir(parents=True, exist_ok=True)
        paths = []
        for name, window in self.windows.items():
            if not window.isVisible():
                continue
            path = prefix.with_name(f"{prefix.name}-{name}.png")
            if not window.grabWindow().save(str(path)):
                raise DeviceFault(f"{path} cannot be written; free some space.", "screenshot")
            paths.append(path)
        return paths


def _root_window(engine: QQmlApplicationEngine) -> QQuickWindow:
    window = engine.rootObjects()[0]
    assert isinstance(window, QQuickWindow)
    return window
