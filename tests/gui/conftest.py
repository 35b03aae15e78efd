"""One Qt application with named screens, and a shell over a scripted worker.

Place in the flow: tests/gui only.

* The screens are arranged before anything of Qt is made; without that the suite refuses to run.
* Qt stays for the process, a shell lives for one test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PySide6.QtCore import QCoreApplication

from tests.gui import pages
from tests.gui.pilot import Pilot, use_offscreen_screens
from tests.gui.script import ScriptedWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

if QCoreApplication.instance() is None:
    use_offscreen_screens()

from kiosk_app.screens import ScreenNames
from kiosk_app.shell import Shell, ShellSetup, make_application

Counter = tuple[Pilot, ScriptedWorker]


@pytest.fixture(scope="session", autouse=True)
def application() -> object:
    """The one application of the process."""
    return make_application()


@pytest.fixture
def open_counter() -> Iterator[Callable[..., Counter]]:
    """Opens a counter at a page: (page, language, operator screen, customer screen)."""
    shells: list[Shell] = []

    def make(
        name: str = "idle",
        language: str = "zh",
        operator: str = "operator",
        customer: str = "customer",
        settle_ms: int = 0,
    ) -> Counter:
        worker = ScriptedWorker(pages.page(name, language))
        names = ScreenNames(operator, customer)
        shell = Shell(ShellSetup(worker, names, settle_ms=settle_ms))
        shells.append(shell)
        shell.start()
        pilot = Pilot(shell)
        pilot.wait(lambda _views: True)
        pilot.settle()
        return pilot, worker

    yield make
    for shell in shells:
        shell.stop()


@pytest.fixture
def counter(open_counter: Callable[..., Counter]) -> Counter:
    """A counter at rest, in Chinese, on the screens `operator` and `customer`."""
    return open_counter()
