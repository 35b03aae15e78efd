"""What is claimed of views: each side gets what it may know, in the language that was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from kiosk_app.flow import State
from kiosk_app.view import Board, StatusView, draw, page_of
from tests.unit.kiosk_app.village import service

if TYPE_CHECKING:
    from tests.unit.kiosk_app.village import Village

STATUS = StatusView(
    online=False,
    as_of="",
    unsent=0,
    paper_ok=True,
    lease_left_fen=None,
    clock="10:00",
    language="en",
)


def test_the_idle_screens_offer_services_to_the_operator_only() -> None:
    views = draw(State(), Board(STATUS, [service("balance")]))
    assert [choice.text for choice in views.operator.choices] == ["Balance"]
    assert views.customer.choices == []
    assert (views.operator.step, views.customer.step) == ("idle", "idle")
    assert not views.session_open


def test_money_is_shown_three_ways_on_both_sides(village: Village) -> None:
    village.begin()
    village.ask_for(50_000)
    village.run()
    views = village.desk.views()
    for side in (views.operator, views.customer):
        assert side.money is not None
        assert side.money["capitals"] == "人民币伍佰元整"
        assert side.money["banknotes"] == [[10_000, 5]]


def test_a_confirmation_is_offered_only_to_whose_turn_it_is(village: Village) -> None:
    village.begin()
    village.ask_for(50_000)
    village.run()

    def confirmable() -> tuple[bool, bool]:
        views = village.desk.views()
        sides = (views.operator, views.customer)
        first, second = (next(b.enabled for b in s.buttons if b.id == "confirm") for s in sides)
        return first, second

    assert confirmable() == (False, True)
    village.press("customer", "confirm")
    assert confirmable() == (True, False)


def test_private_lines_are_on_the_customers_side_and_say_so(village: Village) -> None:
    village.begin()
    views = village.desk.views()
    assert any(line.private for line in views.customer.lines)
    assert not any(line.private for line in views.operator.lines)
    assert "黄**" in repr(views.operator.lines)
    assert village.villager.card.number not in repr(views)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_step_of_a_withdrawal_has_words_in_both_languages(
    village: Village, language: str
) -> None:
    village.intend("language", language=language)
    village.begin()
    village.ask_for(50_000)
    village.run()
    village.confirm()
    village.run()
    views = village.desk.views()
    shown = msgspec.json.encode([views.operator, views.customer]).decode()
    assert "{" not in f"{views.operator.title} {views.customer.title} {views.customer.notice}"
    assert ("Please take your cash" in shown) == (language == "en")


def test_the_receipt_is_with_the_operator_only_when_it_concerns_what_is_on_the_screen(
    village: Village,
) -> None:
    village.withdraw(50_000)
    assert village.desk.views().receipt
    village.press("operator", "finish")
    assert village.desk.views().receipt
    village.begin()
    assert village.desk.views().receipt is None


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (5, 5), (6, 4), (9, 4)])
def test_no_page_has_more_than_five_choices(count: int, shown: int) -> None:
    services = [service("balance")] * count
    assert len(page_of(services, 0)) == shown
    assert sum(len(page_of(services, page)) for page in range(-(-count // 4))) >= count


def test_the_limit_in_the_status_is_that_of_the_customer_at_the_counter(village: Village) -> None:
    assert village.desk.views().status.lease_left_fen is None
    village.begin()
    assert village.desk.views().status.lease_left_fen == 150_000
    village.ask_for(50_000)
    village.run()
    village.confirm()
    assert village.desk.views().status.lease_left_fen == 100_000
