"""The shell: touches become intents, views become pictures, and the two windows stay apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from PySide6.QtGui import QImage

from kiosk_app.screens import SIDES, ScreenNames
from kiosk_app.shell import Shell, ShellSetup
from tests.gui import pages
from tests.gui.pilot import Pilot, PilotError
from tests.gui.script import ScriptedWorker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Counter = tuple[Pilot, ScriptedWorker]


def test_a_touch_on_a_choice_is_sent_to_the_worker(counter: Counter) -> None:
    pilot, worker = counter
    pilot.press("operator", "choice_cash_withdrawal")
    assert worker.intents == [{"type": "choose", "choice": "cash_withdrawal", "side": "operator"}]


def test_figures_are_typed_by_touch_and_entered_as_fen(counter: Counter) -> None:
    pilot, worker = counter
    pilot.show(pages.page("amount", "zh"))
    pilot.key("customer", "1500")
    assert "1,500" in pilot.texts("customer")
    pilot.press("customer", "key_enter")
    assert worker.intents == [
        {"type": "enter", "name": "amount", "value": 150_000, "side": "customer"}
    ]


def test_figures_can_be_taken_back_and_cleared(counter: Counter) -> None:
    pilot, worker = counter
    pilot.show(pages.page("phone", "zh"))
    pilot.key("customer", "123")
    pilot.press("customer", "key_back")
    pilot.press("customer", "key_clear")
    pilot.enter("customer", "13900000000")
    assert worker.intents[-1]["value"] == "13900000000"


def test_an_amount_in_cents_keeps_two_figures_after_the_point(counter: Counter) -> None:
    pilot, worker = counter
    pilot.show(pages.page("cents", "zh"))
    pilot.enter("operator", "36.259")
    assert worker.intents[-1]["value"] == 3_625


def test_what_was_typed_is_gone_with_its_step(counter: Counter) -> None:
    pilot, _ = counter
    pilot.show(pages.page("amount", "zh"))
    pilot.key("customer", "777")
    pilot.show(pages.page("confirm", "zh"))
    pilot.show(pages.page("amount", "zh"))
    assert "777" not in pilot.texts("customer")


def test_a_disabled_button_cannot_be_pressed(counter: Counter) -> None:
    pilot, worker = counter
    pilot.show(pages.page("confirm", "zh"))
    with pytest.raises(PilotError, match="button_confirm"):
        pilot.press("operator", "button_confirm", timeout_s=0.2)
    assert worker.intents == []


def test_a_private_line_is_drawn_for_the_customer_and_never_for_the_operator(
    counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    pilot, _ = counter
    amount = pages.page("amount", "zh")
    leaked = msgspec.structs.replace(amount.customer, side="operator")
    pilot.show(msgspec.structs.replace(amount, operator=leaked))
    assert "¥3,286.50" in pilot.texts("customer")
    assert "¥3,286.50" not in pilot.texts("operator")
    assert "王秀英" not in pilot.texts("operator")
    assert caplog.text.count("private line") == 1


def test_the_receipt_is_shown_and_reprinted_on_the_operators_side_only(counter: Counter) -> None:
    pilot, worker = counter
    pilot.show(pages.page("done", "zh"))
    assert pages.RECEIPT in pilot.texts("operator")
    assert pages.RECEIPT not in pilot.texts("customer")
    assert "button_reprint" not in pilot.names("customer")
    pilot.press("operator", "button_reprint")
    assert worker.intents == [{"type": "reprint", "side": "operator"}]


def test_a_tap_that_comes_with_the_new_step_does_not_decide_it(
    open_counter: Callable[..., Counter],
) -> None:
    pilot, worker = open_counter("confirm", settle_ms=200)
    button = pilot.find("customer", "button_confirm")
    assert button is not None
    middle = button.mapToScene(button.boundingRect().center()).toPoint()
    pilot.show(pages.page("many_notes", "zh"))
    pilot.touch("customer", middle)
    pilot.settle()
    assert worker.intents == []
    pilot.press("customer", "button_confirm")
    assert len(worker.intents) == 1


def test_only_the_newest_of_queued_views_is_drawn(counter: Counter) -> None:
    pilot, worker = counter
    drawn: list[str] = []

    def note() -> None:
        views = pilot.views()
        assert views is not None
        drawn.append(views.customer.step)

    pilot.shell.changed.connect(note)
    for name in ("read_card", "amount", "confirm"):
        worker.show(pages.page(name, "zh"))
    pilot.wait_step("confirm")
    assert drawn == ["confirm"]


def test_the_status_bar_tells_offline_unsent_and_missing_paper(counter: Counter) -> None:
    pilot, _ = counter
    views = pages.page("idle", "zh")
    pilot.show(msgspec.structs.replace(views, status=pages.status("zh", paper_ok=False, unsent=7)))
    texts = pilot.texts("operator")
    assert {"离线", "7 笔", "缺纸", "11-24 10:32", "¥1,500.00"} <= set(texts)
    pilot.show(msgspec.structs.replace(views, status=pages.status("zh", online=True)))
    assert "在线" in pilot.texts("operator")


def test_each_step_is_saved_once_as_two_pictures(tmp_path: Path) -> None:
    worker = ScriptedWorker(pages.page("idle", "zh"))
    shell = Shell(ShellSetup(worker, ScreenNames("operator", "customer"), tmp_path, 0))
    shell.start()
    pilot = Pilot(shell)
    pilot.until(lambda: len(list(tmp_path.iterdir())) == len(SIDES), "picture of the first step")
    pilot.show(pages.page("confirm", "zh"))
    clock = msgspec.structs.replace(pages.status("zh"), clock="10:36")
    pilot.show(msgspec.structs.replace(pages.page("confirm", "zh"), status=clock))
    shell.stop()
    saved = sorted(path.name for path in tmp_path.iterdir())
    assert [name for name in saved if "confirm" in name] == saved[-2:]
    assert QImage(str(tmp_path / saved[-1])).width() == 1366


def test_a_shell_can_be_stopped_twice_and_another_one_started(
    open_counter: Callable[..., Counter],
) -> None:
    pilot, worker = open_counter()
    pilot.shell.stop()
    pilot.shell.stop()
    assert not worker.running
    again, _ = open_counter("confirm")
    assert "确认取款" in again.texts("customer")
