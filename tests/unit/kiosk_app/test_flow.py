"""What is claimed of the engine: time, screens, acknowledgements, and any chain of events."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk_app.flow import (
    IDLE_US,
    SECOND_US,
    Answered,
    Ask,
    Book,
    Cancel,
    Effect,
    Entered,
    Event,
    Opened,
    Order,
    Pressed,
    PrintReceipt,
    ScreenBack,
    ScreenLost,
    State,
    Tick,
    Wiped,
    advance,
)
from kiosk_app.service_checks import read_service
from kiosk_app.view import Board, StatusView, draw, private_values
from kiosk_app.words import CODES
from tests.unit.kiosk_app.village import service

if TYPE_CHECKING:
    from kiosk_app.service import Service

WITHDRAWAL, BALANCE = service("cash_withdrawal"), service("balance")
COUNTER = {"village": "新立村", "kiosk": "kiosk-0001", "tries_left": None}
ANSWERS: dict[str, dict[str, Any]] = {
    "card": {"id_number": "SECRET-ID-NUMBER", "id_name": "SECRET-CARD-NAME"},
    "customer": {
        "customer": "SECRET-CUSTOMER", "customer_name": "SECRET-NAME", "customer_masked": "王**",
        "account": "SECRET-ACCOUNT", "account_masked": "SECRET-MASKED-ACCOUNT",
    },
    "balance": {
        "balance_fen": 7_777_777, "available_fen": 7_777_777, "pending_fen": 0, "as_of_us": 1,
    },
    "lease": {
        "lease": "SECRET-LEASE", "lease_left_fen": 150_000, "per_op_fen": 100_000,
        "day_left_fen": 200_000, "max_fen": 100_000, "pin_verifier": b"SECRET",
    },
    "pin": {"pin_answer": b"SECRET-ANSWER", "tries_left": 5},
    "book": {
        "op_id": "ab" * 16,
        "receipt": "kiosk-0001/1-1",
        "receipt_status": "",
        "receipt_note": "",
    },
}  # fmt: skip


def good(effect: Effect) -> Answered | None:
    """What the world answers when all goes well."""
    match effect:
        case Order() if effect.command.device == "id_reader":
            return Answered(effect.command.request_id, "ok", ANSWERS["card"])
        case Order():
            return Answered(effect.command.request_id, "ok", ANSWERS["pin"])
        case Ask():
            return Answered(effect.request, "ok", ANSWERS[effect.act])
        case Book():
            return Answered(effect.request, "ok", ANSWERS["book"])
        case PrintReceipt():
            return Answered(effect.request, "ok")
    return None


class Run:
    """A session played by hand."""

    def __init__(self, *, service: Any = WITHDRAWAL) -> None:
        self.state = State()
        self.now_us = 0
        self.effects: list[Effect] = []
        self.service = service

    def feed(self, event: Event) -> None:
        self.state, effects = advance(self.state, event, self.now_us)
        self.effects = list(effects)

    def open(self) -> bool:
        return self.state.open

    def warned(self) -> bool:
        return self.state.warned

    def serve(self) -> None:
        """Answers everything until people are needed."""
        while self.effects:
            answers = [answer for answer in map(good, self.effects) if answer]
            if not answers:
                return
            for answer in answers:
                self.feed(answer)

    def to(self, step: str) -> Run:
        """Plays a withdrawal until a step is entered and its deed begun."""
        acts: list[Any] = [
            lambda: self.feed(Opened(self.service, COUNTER)),
            lambda: self.feed(Entered("customer", "amount_fen", 50_000)),
            lambda: self.feed(Pressed("customer", "confirm")),
            lambda: self.feed(Pressed("operator", "confirm")),
        ]
        for act in acts:
            act()
            while self.state.step != step and self.effects:
                answers = [answer for answer in map(good, self.effects) if answer]
                self.feed(answers[0])
            if self.state.step == step and (act is not acts[2] or step == "confirm"):
                return self
        return self


def test_a_withdrawal_goes_its_way() -> None:
    run = Run()
    seen = []
    run.feed(Opened(WITHDRAWAL, COUNTER))
    for event in (None, Entered("customer", "amount_fen", 50_000), Pressed("customer", "confirm"),
                  Pressed("operator", "confirm"), Pressed("customer", "finish")):  # fmt: skip
        if event is not None:
            run.feed(event)
        run.serve()
        seen.append(run.state.step)
    assert seen == ["amount", "confirm", "confirm", "done", "idle"]
    assert run.state.facts == {}


@pytest.mark.parametrize(
    "value", [True, -1_000, 0, 999, 1_005, 100_001, 10**18, "50000", None, 500.0, b"5"]
)
def test_an_amount_that_breaks_a_rule_keeps_the_step_and_says_so(value: object) -> None:
    run = Run().to("amount")
    run.feed(Entered("customer", "amount_fen", value))
    assert run.state.step == "amount"
    assert run.state.notice is not None
    assert run.state.notice.kind == "error"
    assert "amount_fen" not in run.state.facts


def test_the_side_that_does_not_type_cannot_enter() -> None:
    run = Run().to("amount")
    run.feed(Entered("operator", "amount_fen", 50_000))
    run.feed(Entered("customer", "max_fen", 50_000))
    assert run.state.step == "amount"


def test_the_agent_cannot_confirm_before_the_customer() -> None:
    run = Run().to("confirm")
    run.feed(Pressed("operator", "confirm"))
    assert (run.state.step, run.state.acknowledged) == ("confirm", 0)
    run.feed(Pressed("customer", "confirm"))
    run.feed(Pressed("customer", "confirm"))
    assert (run.state.step, run.state.acknowledged) == ("confirm", 1)
    run.feed(Pressed("operator", "confirm"))
    assert [type(effect) for effect in run.effects] == [Book]


def test_a_wrong_pin_is_asked_again_and_a_blocked_one_ends_the_business() -> None:
    run = Run().to("pin")
    first = run.state.request
    run.feed(Answered(first, "wrong-pin", {"tries_left": 4}))
    assert run.state.step == "pin"
    assert run.state.request != first
    assert run.state.notice is CODES["wrong-pin"]
    run.feed(Answered(run.state.request, "pin-blocked", {"tries_left": 0}))
    assert run.state.step == "sorry"


def test_a_late_answer_means_nothing() -> None:
    run = Run().to("pin")
    request = run.state.request
    run.feed(Pressed("customer", "cancel"))
    assert run.effects == [Cancel(request)]
    run.feed(Opened(WITHDRAWAL, COUNTER))
    before = run.state
    run.feed(Answered(request, "ok", ANSWERS["pin"]))
    assert run.state == before


def test_quiet_is_warned_of_after_45_seconds_and_wiped_20_later() -> None:
    run = Run().to("amount")
    run.now_us = IDLE_US - 1
    run.feed(Tick())
    assert not run.warned()
    run.now_us = IDLE_US
    run.feed(Tick())
    assert run.warned()
    assert run.state.notice is CODES["idle-warning"]
    run.now_us = 65 * SECOND_US
    run.feed(Tick())
    assert not run.open()
    assert run.state.facts == {}


def test_a_touch_stops_the_warning() -> None:
    run = Run().to("amount")
    run.now_us = 50 * SECOND_US
    run.feed(Tick())
    run.feed(Pressed("customer", "nothing-there"))
    assert not run.warned()
    assert run.state.notice is None
    run.now_us = 70 * SECOND_US
    run.feed(Tick())
    assert run.open()


def test_a_device_that_works_is_no_quiet() -> None:
    run = Run().to("pin")
    run.now_us = 120 * SECOND_US
    run.feed(Tick())
    assert run.state.step == "pin"


@pytest.mark.parametrize("reason", ["card", "lock", "screen", "document"])
def test_a_wipe_forgets_everything_and_ends_the_device(reason: str) -> None:
    run = Run().to("pin")
    request = run.state.request
    run.feed(Wiped(reason))
    assert run.effects == [Cancel(request)]
    assert run.state.facts == {}
    assert not run.open()


def test_a_lost_customer_screen_suspends_the_private_step_and_its_return_begins_it_again() -> None:
    run = Run().to("pin")
    request = run.state.request
    run.feed(ScreenLost())
    assert run.effects == [Cancel(request)]
    assert run.state.suspended
    run.feed(Answered(request, "ok", ANSWERS["pin"]))
    assert run.state.step == "pin"
    run.feed(ScreenBack())
    assert [type(effect) for effect in run.effects] == [Order]
    assert not run.state.suspended


def test_nobody_confirms_money_on_a_screen_that_is_not_there() -> None:
    run = Run().to("confirm")
    run.feed(Pressed("customer", "confirm"))
    run.feed(ScreenLost())
    run.feed(Pressed("operator", "confirm"))
    assert run.state.step == "confirm"
    assert not run.state.booked
    run.feed(ScreenBack())
    run.feed(Pressed("operator", "confirm"))
    assert run.state.step == "confirm", "the customer confirms anew after the screen was away"


def test_the_agent_may_cancel_while_the_screen_is_away_and_quiet_wipes() -> None:
    run = Run().to("amount")
    run.feed(ScreenLost())
    run.feed(Pressed("customer", "cancel"))
    assert run.open()
    run.feed(Pressed("operator", "cancel"))
    assert not run.open()
    assert run.state.suspended
    run.feed(Opened(WITHDRAWAL, COUNTER))
    assert not run.open()


def test_a_session_stays_with_the_document_it_began_with() -> None:
    run = Run().to("amount")
    run.feed(Opened(BALANCE, COUNTER))
    assert run.state.service is WITHDRAWAL


def test_a_step_of_limited_time_goes_on_by_itself() -> None:
    run = Run().to("done")
    run.now_us = 60 * SECOND_US
    run.feed(Tick())
    assert not run.open()


# ------------------------------------------------------------------ a document of our own
def own_service() -> Service:
    """The agent types a telephone number, then chooses; no code knows of it."""
    text = {"zh": "一", "en": "one"}
    panel = {"title": text}
    field = {"name": "phone", "kind": "digits", "minimum": 3, "maximum": 11}
    tree = {
        "id": "phone", "version": 1, "title": text, "detail": text, "devices": [],
        "offline": "mirror", "first": "type",
        "facts": {"phone": {"kind": "text", "private": False}},
        "steps": {
            "type": {
                "operator": {**panel, "input": field}, "customer": panel,
                "rules": [
                    {"must": "len(phone) == 11", "say": {"zh": "十一位", "en": "Eleven"}},
                    {"must": "phone > 1", "say": {"zh": "不可比", "en": "Unlike"}},
                ],
                "next": {"entered": "pick"},
            },
            "pick": {
                "operator": {**panel, "choices": [{"id": "yes", "text": text}]},
                "customer": panel, "next": {"yes": "end"},
            },
        },
    }  # fmt: skip
    return read_service(json.dumps(tree).encode())


@pytest.mark.parametrize("value", ["12", "1" * 12, "१२३४५६७८९०१", "12a", 12345678901, None, ""])
def test_what_is_no_number_of_figures_is_refused(value: object) -> None:
    run = Run(service=own_service())
    run.feed(Opened(run.service, COUNTER))
    run.feed(Entered("operator", "phone", value))
    assert run.state.notice is CODES["input"]


@pytest.mark.parametrize(("figures", "said"), [("123", "Eleven"), ("13800000000", "Unlike")])
def test_a_rule_that_is_broken_or_cannot_be_judged_is_told_to_who_typed(
    figures: str, said: str
) -> None:
    run = Run(service=own_service())
    run.feed(Opened(run.service, COUNTER))
    run.feed(Entered("operator", "phone", figures))
    assert run.state.step == "type"
    assert run.state.notice is not None
    assert run.state.notice.operator.en == said
    assert run.state.notice.customer.en != said


# ------------------------------------------------------------------ any chain of events
SIDES = st.sampled_from(("operator", "customer", "nobody"))
CONTROLS = st.sampled_from(("confirm", "cancel", "finish", "retry", "skip", "nothing"))
CODE = st.sampled_from((*CODES, "ok", "ok", "ok", "gibberish"))
PEOPLE = st.one_of(
    st.builds(Pressed, SIDES, CONTROLS),
    st.builds(Entered, SIDES, st.sampled_from(("amount_fen", "max_fen")),
              st.sampled_from((50_000, 1_000, 7, -1, True, "x", None, 10**20))),
    st.just(Opened(WITHDRAWAL, COUNTER)), st.just(Opened(BALANCE, COUNTER)),
    st.just(Tick()), st.just(ScreenLost()), st.just(ScreenBack()),
    st.builds(Wiped, st.sampled_from(("card", "lock", "screen"))),
    st.builds(Answered, st.sampled_from(("1", "2", "3", "99")), CODE),
)  # fmt: skip
MOVES = st.one_of(PEOPLE, PEOPLE, st.integers(0, 70), CODE, st.just("answer"), st.just("answer"))
STATUS = StatusView(False, "", 0, True, None, "10:00", "zh")


@settings(max_examples=300, deadline=None)
@given(st.lists(MOVES, max_size=60))
def test_no_chain_of_events_books_twice_or_shows_the_operator_a_secret(moves: list[Any]) -> None:
    run = Run()
    open_deeds: list[Effect] = []
    booked_in_session = 0
    for move in moves:
        event: Event | None = move if not isinstance(move, (int, str)) else None
        if isinstance(move, int):
            run.now_us += move * SECOND_US
            event = Tick()
        elif isinstance(move, str) and open_deeds:
            answer = good(open_deeds.pop(0))
            event = answer and (answer if move == "answer" else replace(answer, outcome=move))
        if event is None:
            continue
        was_open = run.state.open
        run.feed(event)
        booked_in_session = 0 if not was_open else booked_in_session
        booked_in_session += sum(isinstance(effect, Book) for effect in run.effects)
        assert booked_in_session <= 1
        open_deeds += [effect for effect in run.effects if not isinstance(effect, Cancel)]
        look(run.state)


def look(state: State) -> None:
    for language in ("zh", "en"):
        views = draw(state, Board(replace_language(language), [WITHDRAWAL, BALANCE]))
        shown = repr(views.operator)
        assert "SECRET" not in shown
        assert "77,777.77" not in shown
        assert not any(secret in shown for secret in private_values(state))
        assert not any(line.private for line in views.operator.lines)


def replace_language(language: str) -> StatusView:
    return StatusView(
        *(*(getattr(STATUS, name) for name in STATUS.__struct_fields__[:-1]), language)
    )
