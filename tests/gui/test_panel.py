"""The driver's screen in every state, by day and night, in both languages: read and reached.

Set LASTMILE_PANEL_PICTURES to a folder and run this file: it saves what each state looks like.
"""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PySide6.QtCore import QObject, QPoint, QRectF, Qt
from PySide6.QtTest import QTest

from tests.gui.cabin_states import IN, OUT, SILENT_ONE, STATES, State, alert
from tests.gui.measure import Control, clipped, contrast, gap, ground, overlaps, scene_area
from tests.gui.pilot import drawn_items, is_text
from vehicle_gateway.driver import consent_text
from vehicle_gateway.panel import SILENCE_POLLS, Panel, PanelSetup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from PySide6.QtGui import QImage
    from PySide6.QtQuick import QQuickItem

WIDTH, HEIGHT = 800, 480
PIXELS_A_MM = 5.2
TARGET_MM, GAP_MM = 15.0, 2.0
TEXT_PIXELS = 24
CONTRAST_MIN = 7.0
SCROLLED = "full_text"
"""What may lie under the edge of its room: it is reached by scrolling."""
PICTURES = os.environ.get("LASTMILE_PANEL_PICTURES")


class Line:
    """The way to a gateway that a test plays."""

    def __init__(self) -> None:
        self.waiting: list[State] = []
        self.touches: list[Mapping[str, Any]] = []

    def states(self) -> list[State]:
        states, self.waiting = self.waiting, []
        return states

    def touch(self, content: Mapping[str, Any]) -> bool:
        self.touches.append(content)
        return True

    def close(self) -> None:
        self.waiting = []


class Driver:
    """Looks at the panel and touches it."""

    def __init__(self, theme: str = "day", language: str = "zh") -> None:
        self.line = Line()
        self.panel = Panel(PanelSetup(self.line, language, theme, is_windowed=True))
        self.panel.window.show()

    def see(self, state: State | None, wanted: str = "") -> None:
        if state is None:
            for _ in range(SILENCE_POLLS):
                self.panel.poll()
        else:
            self.line.waiting = [state]
            self.panel.poll()
        self.panel.window.setProperty("wanted", wanted)
        self.settle()

    def settle(self) -> None:
        self.panel.window.grabWindow()  # which polishes and draws all that is due
        QTest.qWait(1)

    @property
    def items(self) -> list[QQuickItem]:
        return list(drawn_items(self.panel.window.contentItem()))

    @property
    def controls(self) -> list[Control]:
        return [
            Control(item.objectName(), scene_area(item))
            for item in self.items
            if item.inherits("QQuickAbstractButton")
        ]

    @property
    def labels(self) -> list[QQuickItem]:
        return [item for item in self.items if is_text(item) and str(item.property("text"))]

    def text(self, name: str) -> str:
        found = [each for each in self.labels if each.objectName() == name]
        return str(found[0].property("text")) if found else ""

    def touch(self, name: str) -> None:
        (area,) = [control.area for control in self.controls if control.name == name]
        point = QPoint(round(area.center().x()), round(area.center().y()))
        QTest.mouseClick(self.panel.window, Qt.MouseButton.LeftButton, pos=point)
        self.settle()


@pytest.fixture
def driver() -> Iterator[Driver]:
    driver = Driver()
    yield driver
    driver.panel.stop()


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("theme", ["day", "night"])
def test_every_state_is_read_at_a_glance_and_reached_with_a_thumb(
    theme: str, language: str
) -> None:
    driver = Driver(theme, language)
    faults: list[str] = []
    for name, (state, wanted) in STATES.items():
        driver.see(state, wanted)
        faults += [f"{name}: {fault}" for fault in _faults(driver)]
        if PICTURES:
            driver.panel.save(Path(PICTURES) / f"{name}-{theme}-{language}")
    driver.panel.stop()
    assert not faults, "\n".join(faults)


def _faults(driver: Driver) -> Iterator[str]:
    window = scene_area(driver.panel.window.contentItem())
    assert (window.width(), window.height()) == (WIDTH, HEIGHT)
    picture = driver.panel.window.grabWindow()
    for item in driver.labels:
        yield from (f"{item.property('text')!r:.20} {fault}" for fault in _unread(item, picture))
    fixed = [each for each in driver.labels if each.objectName() != SCROLLED]
    for one, two in combinations(fixed, 2):
        if overlaps(one, two):
            yield f"{one.property('text')!r} runs into {two.property('text')!r}"
    for control in driver.controls:
        if min(control.area.width(), control.area.height()) < TARGET_MM * PIXELS_A_MM:
            yield f"{control.name} is too small to touch"
        if not window.contains(control.area):
            yield f"{control.name} leaves the window"
    for first, second in combinations(driver.controls, 2):
        if gap(first.area, second.area) < GAP_MM * PIXELS_A_MM:
            yield f"{first.name} and {second.name} are too close"


def _unread(item: QQuickItem, picture: QImage) -> Iterator[str]:
    if item.objectName() != SCROLLED:
        yield from filter(None, [clipped(item, QRectF(0, 0, WIDTH, HEIGHT))])
    if (pixels := item.property("font").pixelSize()) < TEXT_PIXELS:
        yield f"is {pixels} px"
    if (ratio := contrast(item.property("color"), ground(item, picture))) < CONTRAST_MIN:
        yield f"has a contrast of {ratio:.1f}"


def test_while_moving_nothing_can_be_touched_but_silence(driver: Driver) -> None:
    for state, _ in STATES.values():
        if state is not None and state["moving"]:
            driver.see(state, "consent")
            assert {control.name for control in driver.controls} <= {"mute"}


def test_silence_is_offered_only_while_it_may_be_had(driver: Driver) -> None:
    ringing = {**IN, "moving": True, **alert("overspeed", "alarm")}
    driver.see(ringing)
    driver.touch("mute")
    assert driver.line.touches == [{"touch": "mute"}]
    for quiet in ({**ringing, "mutes_left": 0}, {**ringing, "sound": ""}):
        driver.see(quiet)
        assert driver.controls == []


def test_the_whole_consent_is_read_before_it_can_be_given(driver: Driver) -> None:
    driver.see({**OUT, "driver": SILENT_ONE, "ask": True})
    assert driver.text("full_text") == consent_text().texts["zh"]
    driver.touch("agree")
    assert driver.line.touches == []
    flick = driver.panel.window.findChild(QObject, "consent_text")
    assert flick is not None
    flick.setProperty("contentY", flick.property("contentHeight") - flick.property("height"))
    driver.settle()
    driver.touch("agree")
    assert driver.line.touches == [
        {"touch": "agree", "language": "zh", "text_sha256": consent_text().sha256("zh")}
    ]


def test_a_consent_may_be_declined_unread_and_withdrawn_at_any_stop(driver: Driver) -> None:
    driver.see({**OUT, "driver": SILENT_ONE, "ask": True})
    driver.touch("decline")
    driver.see(IN)
    driver.touch("consent")
    driver.touch("withdraw")
    assert driver.line.touches == [{"touch": "decline"}, {"touch": "withdraw", "language": "zh"}]


def test_a_pin_goes_out_once_and_its_figures_are_never_drawn(driver: Driver) -> None:
    driver.see(OUT)
    driver.touch("pin")
    for key in ("key_1", "key_7", "key_enter"):
        driver.touch(key)
    for key in ("key_4", "key_7", "key_1", "key_2", "key_erase", "key_1"):
        driver.touch(key)
    assert driver.text("typed") == "●●●●"
    driver.touch("key_enter")
    assert driver.line.touches == [{"touch": "pin", "number": "17", "pin": "4711"}]
    assert driver.text("sign_in")


def test_a_pin_that_was_begun_is_forgotten_when_its_page_goes(driver: Driver) -> None:
    driver.see(OUT)
    driver.touch("pin")
    driver.touch("key_1")
    driver.see({**OUT, "moving": True})
    driver.see(OUT)
    driver.touch("pin")
    assert driver.text("typed") == ""


def test_a_gateway_that_is_silent_is_not_shown_as_it_was(driver: Driver) -> None:
    driver.see(IN)
    assert driver.text("grade") == "C"
    driver.see(None)
    assert driver.text("offline")
    assert "王师傅" not in str([each.property("text") for each in driver.labels])
    driver.see(OUT)
    assert driver.text("sign_in")


def test_who_has_not_agreed_has_no_grade_on_the_screen(driver: Driver) -> None:
    driver.see({**OUT, "driver": SILENT_ONE})
    assert driver.text("grade") == driver.text("score") == driver.text("official") == ""
    assert "没有同意" in driver.text("remark")


def test_the_other_language_is_one_touch_away(driver: Driver) -> None:
    driver.see(IN)
    assert "有时超速" in str([each.property("text") for each in driver.labels])
    driver.touch("language")
    assert "sometimes over the limit" in str([each.property("text") for each in driver.labels])


def test_night_comes_by_the_hour_or_by_the_light(tmp_path: Path) -> None:
    sensor = tmp_path / "light"
    driver = Driver("auto")
    driver.see({**OUT, "clock": "21:10"})
    assert driver.panel.is_night()
    driver.see({**OUT, "clock": "12:10"})
    assert not driver.panel.is_night()
    driver.panel.stop()
    lit = Panel(PanelSetup(Line(), theme="auto", ambient=sensor, ambient_dark=40))
    assert not lit.is_night()
    sensor.write_text("12\n")
    assert lit.is_night()
    sensor.write_text("400\n")
    assert not lit.is_night()
    lit.stop()
