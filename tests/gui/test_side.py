"""A `Side`: what a window may draw, and what a finger may send."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from kiosk_app.side import BLANK_VIEW, Side, fen_of
from tests.gui import pages

if TYPE_CHECKING:
    from kiosk_app.side import Intent

SECRET = "¥3,286.50"


def view(name: str, side: str) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(getattr(pages.page(name, "zh"), side))
    return built


def make_side(name: str = "customer", settle_ms: int = 0) -> tuple[Side, list[Intent]]:
    intents: list[Intent] = []
    return Side(name, intents.append, settle_ms), intents


TYPED = {
    "whole yuan": ("500", 50_000),
    "one figure after the point is jiao": ("12.5", 1_250),
    "two figures are jiao and fen": ("0.07", 7),
    "nothing before the point is zero yuan": (".30", 30),
    "an amount that floating point gets wrong": ("1048575.29", 104_857_529),
}


@pytest.mark.parametrize(("typed", "fen"), TYPED.values(), ids=TYPED)
def test_typed_yuan_become_exact_fen(typed: str, fen: int) -> None:
    assert fen_of(typed) == fen


def test_a_private_line_never_reaches_the_operators_side(caplog: pytest.LogCaptureFixture) -> None:
    side, _ = make_side("operator")
    with caplog.at_level(logging.ERROR):
        side.show_view(view("amount", "customer"), "", "zh")
    assert SECRET not in str(side.values)
    assert "private line" in caplog.text
    assert SECRET not in caplog.text


def test_the_customers_side_keeps_its_private_lines() -> None:
    side, _ = make_side("customer")
    side.show_view(view("amount", "customer"), "", "zh")
    assert SECRET in str(side.values)


def test_a_covered_side_holds_no_text_and_takes_none() -> None:
    side, _ = make_side()
    side.show_view(view("confirm", "customer"), "", "zh")
    side.cover()
    side.show_view(view("amount", "customer"), "", "zh")
    assert side.covered
    assert side.values == BLANK_VIEW


def test_a_released_side_stays_covered_until_the_next_view() -> None:
    side, _ = make_side()
    side.cover()
    side.release()
    assert side.covered
    side.show_view(view("confirm", "customer"), "", "zh")
    assert not side.covered


def test_an_alert_outlives_the_cover() -> None:
    side, _ = make_side("operator")
    side.set_alert("客户屏未连接")
    side.cover()
    assert side.values["alert"] == "客户屏未连接"


def test_touches_before_a_new_step_has_settled_are_ignored() -> None:
    side, intents = make_side(settle_ms=60_000)
    side.show_view(view("confirm", "customer"), "", "zh")
    side.press("confirm")
    assert not side.settled
    assert intents == []


def test_a_second_tap_before_the_answer_is_no_second_intent() -> None:
    side, intents = make_side()
    side.show_view(view("confirm", "customer"), "", "zh")
    side.press("confirm")
    side.press("confirm")
    assert intents == [{"type": "press", "button": "confirm", "side": "customer"}]


def test_the_answer_of_the_worker_opens_the_side_for_the_next_touch() -> None:
    side, intents = make_side()
    side.show_view(view("confirm", "customer"), "", "zh")
    side.press("confirm")
    side.show_view(view("confirm", "customer"), "", "zh")
    side.press("cancel")
    assert [intent["button"] for intent in intents] == ["confirm", "cancel"]


def test_figures_of_an_amount_are_sent_as_fen_and_others_as_text() -> None:
    side, intents = make_side()
    side.show_view(view("amount", "customer"), "", "zh")
    side.enter("500")
    side.show_view(view("phone", "customer"), "", "zh")
    side.enter("04321")
    assert [intent["value"] for intent in intents] == [50_000, "04321"]


def test_a_view_tells_qml_only_what_changed() -> None:
    side, _ = make_side()
    side.show_view(view("confirm", "customer"), "", "zh")
    told: list[str] = []
    for name in ("step", "title", "lines", "money", "notice"):
        getattr(side, f"{name}Changed").connect(lambda at=name: told.append(at))
    changed = view("confirm", "customer") | {"notice": "请稍候"}
    side.show_view(changed, "", "zh")
    assert told == ["notice"]


def test_the_toggle_asks_for_the_other_language() -> None:
    side, intents = make_side()
    for language in ("zh", "en"):
        side.show_view(view("idle", "customer"), "", language)
        side.toggleLanguage()
    assert [intent["language"] for intent in intents] == ["en", "zh"]
