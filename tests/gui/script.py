"""A worker that plays a script: the shell's side of the contract, without flow, store or devices.

Place in the flow: tests/gui only. It fulfils `kiosk_app.shell.CounterWorker`, so a test decides
which views the shell draws and reads which intents came back.

* Its views are made of the real structs of kiosk_app.view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiosk_app.side import Intent
    from kiosk_app.view import Views


class ScriptedWorker:
    """Publishes what it is told and remembers every intent."""

    def __init__(self, first: Views) -> None:
        self.views = first
        self.intents: list[Intent] = []
        self.running = False
        self._callbacks: list[Callable[[Views], None]] = []

    def start(self) -> None:
        self.running = True
        self.show(self.views)

    def stop(self) -> None:
        self.running = False

    def submit(self, intent: Intent) -> None:
        self.intents.append(intent)
        if intent["type"] == "language":
            status = msgspec.structs.replace(self.views.status, language=str(intent["language"]))
            self.show(msgspec.structs.replace(self.views, status=status))

    def subscribe(self, callback: Callable[[Views], None]) -> None:
        self._callbacks.append(callback)

    def show(self, views: Views) -> None:
        self.views = views
        for callback in self._callbacks:
            callback(views)
