"""Windows stand on their own screens by name, and a lost screen blanks before all else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PySide6.QtGui import QGuiApplication

from edge.errors import LocalError
from kiosk_app.screens import ScreenNames, check_names, pixels_per_millimetre, present_screens
from kiosk_app.shell import Shell, ShellSetup
from tests.gui import pages
from tests.gui.pilot import Pilot
from tests.gui.script import ScriptedWorker

if TYPE_CHECKING:
    from collections.abc import Callable

    Counter = tuple[Pilot, ScriptedWorker]

REFUSED = {
    "no names at all": (ScreenNames(), "screens-unnamed"),
    "no name for the customer": (ScreenNames("operator"), "screens-unnamed"),
    "one screen for both": (ScreenNames("wide", "wide"), "screens-same"),
    "an operator's screen that is not there": (ScreenNames("HDMI-9", "wide"), "screen-missing"),
}


def application() -> QGuiApplication:
    running = QGuiApplication.instance()
    assert isinstance(running, QGuiApplication)
    return running


@pytest.mark.parametrize(("names", "code"), REFUSED.values(), ids=REFUSED)
def test_a_configuration_that_cannot_be_carried_out_is_refused(
    names: ScreenNames, code: str
) -> None:
    with pytest.raises(LocalError) as caught:
        check_names(names)
    assert caught.value.code == code


def test_one_desk_needs_no_names() -> None:
    check_names(ScreenNames(single_screen=True))


def test_each_window_fills_the_screen_of_its_name(counter: Counter) -> None:
    pilot, _ = counter
    for side in ("operator", "customer"):
        window = pilot.shell.windows[side]
        assert window.isVisible()
        assert window.geometry() == present_screens()[side].geometry()


def test_a_lost_customer_screen_is_covered_then_hidden_then_reported(counter: Counter) -> None:
    pilot, worker = counter
    pilot.show(pages.page("amount", "zh"))
    shell = pilot.shell
    seen: list[tuple[str, bool, bool]] = []

    def note(event: str) -> None:
        seen.append((event, shell.sides["customer"].covered, shell.windows["customer"].isVisible()))

    shell.placement.covered.connect(lambda _side: note("covered"))
    shell.placement.lost.connect(lambda _side: note("lost"))
    application().screenRemoved.emit(present_screens()["customer"])
    assert seen == [("covered", True, True), ("lost", True, False)]
    assert worker.intents == [{"type": "screen-lost", "side": "customer"}]
    pilot.settle()
    assert not shell.windows["customer"].isVisible()
    assert any("customer" in text and "遮盖" in text for text in pilot.texts("operator"))


def test_a_lost_customer_shows_nothing_until_its_screen_and_a_new_view_came(
    counter: Counter,
) -> None:
    pilot, worker = counter
    pilot.show(pages.page("amount", "zh"))
    application().screenRemoved.emit(present_screens()["customer"])
    pilot.show(pages.page("confirm", "zh"))
    assert "王秀英" not in str(pilot.shell.sides["customer"].values)
    application().screenAdded.emit(present_screens()["customer"])
    assert pilot.shell.windows["customer"].isVisible()
    assert worker.intents[-1] == {"type": "screen-back", "side": "customer"}
    assert pilot.find("customer", "privacy_blank") is not None
    pilot.show(pages.page("amount", "zh"))
    assert pilot.find("customer", "privacy_blank") is None
    assert pilot.find("operator", "alert") is None or pilot.texts("operator").count("") == 0


def test_a_window_that_is_moved_to_another_screen_is_hidden_and_not_shown_there(
    counter: Counter,
) -> None:
    pilot, worker = counter
    window = pilot.shell.windows["customer"]
    window.setScreen(present_screens()["operator"])
    pilot.settle()
    assert not window.isVisible()
    assert pilot.shell.sides["customer"].covered
    assert {"type": "screen-lost", "side": "customer"} in worker.intents


def test_another_screen_that_comes_or_goes_changes_nothing(counter: Counter) -> None:
    pilot, worker = counter
    for signal in (application().screenRemoved, application().screenAdded):
        signal.emit(present_screens()["wide"])
    assert worker.intents == []
    assert all(window.isVisible() for window in pilot.shell.windows.values())


def test_a_counter_without_its_customer_screen_starts_blank_and_says_so(
    open_counter: Callable[..., Counter],
) -> None:
    pilot, worker = open_counter("amount", "zh", "operator", "HDMI-9")
    assert not pilot.shell.windows["customer"].isVisible()
    assert {"type": "screen-lost", "side": "customer"} in worker.intents
    assert any("HDMI-9" in text for text in pilot.texts("operator"))


def test_on_one_desk_the_windows_stand_side_by_side() -> None:
    shell = Shell(
        ShellSetup(ScriptedWorker(pages.page("idle", "zh")), ScreenNames(single_screen=True))
    )
    shell.start()
    Pilot(shell).settle()
    left, right = (shell.windows[side].geometry() for side in ("operator", "customer"))
    shell.stop()
    assert left.intersected(right).isEmpty()


def test_a_screen_of_100_dpi_has_3_94_pixels_a_millimetre() -> None:
    screen = present_screens()["operator"]
    assert screen.physicalDotsPerInch() == pytest.approx(100)
    assert pixels_per_millimetre(screen) == pytest.approx(3.94, abs=0.01)
