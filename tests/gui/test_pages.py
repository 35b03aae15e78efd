"""Every page, in both languages, on every kind of screen: readable, touchable, nothing cut."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor

from tests.gui import measure, pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.gui.pilot import Pilot
    from tests.gui.script import ScriptedWorker

    Counter = tuple[Pilot, ScriptedWorker]

KEY_MM, GAP_MM, TEXT_PT, CONTRAST, CHOICES = 20.0, 3.0, 18.0, 7.0, 5
SCREENS = {"two monitors": ("operator", "customer"), "small and wide": ("small", "wide"),
           "upright": ("portrait", "wide")}  # fmt: skip
SIDES = ("operator", "customer")


@pytest.fixture(params=list(SCREENS.values()), ids=list(SCREENS))
def every_page(
    request: pytest.FixtureRequest, open_counter: Callable[..., Counter]
) -> Iterator[tuple[str, Pilot, str]]:
    """Draws each page in each language; yields (where, pilot, side)."""
    pilot, _ = open_counter("idle", "zh", *request.param)

    def turn() -> Iterator[tuple[str, Pilot, str]]:
        for language, name in itertools.product(("zh", "en"), pages.PAGES):
            pilot.show(pages.page(name, language))
            for side in SIDES:
                yield f"{name}, {language}, {side}", pilot, side

    return turn()


def test_every_control_is_20_mm_and_3_mm_from_the_next(
    every_page: Iterator[tuple[str, Pilot, str]],
) -> None:
    seen = 0
    for where, pilot, side in every_page:
        unit = measure.unit(pilot.shell, side)
        found = measure.controls(pilot.shell, side)
        seen += len(found)
        for control in found:
            assert min(control.area.width(), control.area.height()) >= KEY_MM * unit - 0.01, (
                where, control,
            )  # fmt: skip
        for one, other in itertools.combinations(found, 2):
            assert measure.gap(one.area, other.area) >= GAP_MM * unit - 0.01, (where, one, other)
    assert seen > 100


def test_every_text_has_18_points_and_is_whole(
    every_page: Iterator[tuple[str, Pilot, str]],
) -> None:
    for where, pilot, side in every_page:
        unit = measure.unit(pilot.shell, side)
        window = pilot.shell.windows[side]
        whole = QRectF(0, 0, window.width(), window.height())
        for label in measure.labels(pilot.shell, side):
            text = label.property("text")
            assert measure.points(label, unit) >= TEXT_PT - 0.01, (where, text)
            assert not measure.clipped(label, whole), (where, text, measure.clipped(label, whole))


def test_no_text_runs_into_another(every_page: Iterator[tuple[str, Pilot, str]]) -> None:
    for where, pilot, side in every_page:
        found = list(measure.labels(pilot.shell, side))
        for one, other in itertools.combinations(found, 2):
            texts = one.property("text"), other.property("text")
            if "▼" not in "".join(texts):
                assert not measure.overlaps(one, other), (where, *texts)


def test_every_text_stands_out_seven_to_one(open_counter: Callable[..., Counter]) -> None:
    pilot, _ = open_counter()
    for language, name in itertools.product(("zh", "en"), pages.PAGES):
        pilot.show(pages.page(name, language))
        for side in SIDES:
            picture = pilot.shell.windows[side].grabWindow()
            for label in measure.labels(pilot.shell, side):
                ratio = measure.contrast(label.property("color"), measure.ground(label, picture))
                assert ratio >= CONTRAST, (name, language, side, label.property("text"), ratio)


def test_no_page_asks_to_choose_among_more_than_five(counter: Counter) -> None:
    pilot, _ = counter
    pilot.show(pages.page("idle", "zh"))
    drawn = [name for name in pilot.names("operator") if name.startswith("choice_")]
    assert len(drawn) == len(pages.page("idle", "zh").operator.choices) <= CHOICES


def test_every_page_is_drawn_with_the_words_of_its_view(counter: Counter) -> None:
    pilot, _ = counter
    for language, name in itertools.product(("zh", "en"), pages.PAGES):
        views = pages.page(name, language)
        pilot.show(views)
        for side in SIDES:
            view, texts = getattr(views, side), pilot.texts(side)
            words = [view.title, *(b.text for b in view.buttons), *(c.text for c in view.choices)]
            if not (side == "customer" and name == "idle"):
                words += [line.value for line in view.lines]
            assert set(words) <= set(texts), (name, language, side)


def test_the_measure_of_contrast_is_that_of_wcag() -> None:
    assert measure.contrast(QColor("white"), QColor("black")) == pytest.approx(21)
    assert measure.contrast(QColor("#777777"), QColor("white")) == pytest.approx(4.48, abs=0.01)


def test_the_measure_of_clipping_finds_a_text_that_is_too_wide(counter: Counter) -> None:
    pilot, _ = counter
    label = pilot.find("operator", "title")
    assert label is not None
    whole = QRectF(0, 0, 1366, 768)
    assert measure.clipped(label, whole) == ""
    label.setProperty("wrapMode", 0)
    label.setProperty("width", 10)
    pilot.settle()
    assert "needs" in measure.clipped(label, whole)
