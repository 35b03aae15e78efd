"""What is claimed of the counter as people and power use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.ports import Completion
from hardware.sim.cards import remove_card
from hardware.sim.printer import load_paper
from kiosk_app.desk import read_completion
from kiosk_app.view import private_values
from tests.unit.kiosk_app.village import ACCOUNT, LEASE, document, opened_village

if TYPE_CHECKING:
    from tests.unit.kiosk_app.village import Village


def operator_text(village: Village) -> str:
    return repr(village.desk.views().operator)


def test_a_whole_withdrawal_with_card_pin_paper_and_both_people(fingers: Village) -> None:
    fingers.begin()
    assert fingers.step == "amount"
    fingers.ask_for(50_000)
    fingers.type_pin("0" * 6 if fingers.villager.pin != "0" * 6 else "1" * 6)
    assert fingers.step == "pin"
    assert "还可以输入 4 次" in fingers.desk.views().customer.notice
    assert "4" not in fingers.desk.views().operator.notice
    fingers.type_pin(fingers.villager.pin)
    assert fingers.step == "confirm"
    fingers.confirm()
    assert len(fingers.facts()) == 1
    fingers.run()
    assert fingers.step == "done"
    (slip,) = fingers.slips()
    assert "人民币伍佰元整" in slip
    assert "待上传" in slip
    assert "[QR LM1*kiosk-0001*1*1*" in slip
    assert fingers.villager.card.name not in slip
    assert ACCOUNT not in slip


def test_five_wrong_pins_block_and_the_customer_is_sent_to_a_branch(fingers: Village) -> None:
    fingers.begin()
    fingers.ask_for(50_000)
    wrong = "0" * 6 if fingers.villager.pin != "0" * 6 else "1" * 6
    for _ in range(5):
        fingers.type_pin(wrong)
    assert fingers.step == "sorry"
    assert "网点" in fingers.desk.views().operator.notice
    assert fingers.facts() == []


def test_a_lease_sealed_to_another_pad_is_told_to_the_agent(fingers: Village) -> None:
    fingers.bank.lend(pin_verifier=b"\0" * 120)
    fingers.mirror.poll()
    fingers.begin()
    fingers.ask_for(50_000)
    fingers.run()
    assert fingers.step == "pin_again"
    assert "授权与本机密码键盘不符" in fingers.desk.views().operator.notice


def test_the_balance_is_on_the_customers_screen_only(village: Village) -> None:
    village.begin("balance")
    views = village.desk.views()
    assert "¥3,286.50" in repr(views.customer)
    assert "2026-11-24 14:00" in repr(views.customer)
    assert "3,286" not in operator_text(village)
    assert village.villager.card.name not in operator_text(village)
    assert village.villager.card.name in repr(views.customer)


def test_a_customer_without_lease_is_told_to_wait_for_the_network(village: Village) -> None:
    village.bank.say("leases", LEASE, None)
    village.begin()
    views = village.desk.views()
    assert village.step == "sorry"
    assert "联网" in views.operator.notice
    assert "联网" in views.customer.notice


def test_no_paper_loses_nothing_and_can_be_mended(village: Village) -> None:
    load_paper(village.folder / "sim", 0)
    village.withdraw(50_000)
    assert (village.step, len(village.facts())) == ("no_print", 1)
    assert not village.desk.views().status.paper_ok
    assert "缺纸" in village.desk.views().operator.notice
    village.press("operator", "retry")
    village.run()
    assert village.step == "no_print"
    load_paper(village.folder / "sim", 5)
    village.press("operator", "retry")
    village.run()
    assert (village.step, len(village.facts()), len(village.slips())) == ("done", 1, 1)
    assert village.desk.views().status.paper_ok


def test_a_skipped_receipt_is_remembered_and_printed_later_as_the_original(
    village: Village,
) -> None:
    load_paper(village.folder / "sim", 0)
    village.withdraw(50_000)
    village.press("operator", "skip")
    village.press("operator", "finish")
    assert "上一张凭条未打印" in village.desk.views().operator.notice
    load_paper(village.folder / "sim", 5)
    village.intend("reprint")
    village.run()
    assert "COPY" not in village.slips()[0]
    assert village.facts("receipt-copy") == []
    village.intend("reprint")
    village.run()
    assert "COPY" in village.slips()[1]
    assert village.facts("receipt-copy") == [
        {"of": village.teller.till.spends()[0].op_id, "receipt": "kiosk-0001/1-1"}
    ]


def test_a_copy_without_paper_is_no_copy(village: Village) -> None:
    village.withdraw(50_000)
    village.press("customer", "finish")
    load_paper(village.folder / "sim", 0)
    village.intend("reprint")
    village.run()
    assert village.facts("receipt-copy") == []
    assert "缺纸" in village.desk.views().operator.notice


def test_the_customer_cannot_print_copies(village: Village) -> None:
    village.withdraw(50_000)
    village.intend("reprint", "customer")
    village.run()
    assert len(village.slips()) == 1


def test_a_power_cut_between_commit_and_print_loses_no_receipt(village: Village) -> None:
    village.begin()
    village.ask_for(50_000)
    village.run()
    village.confirm()
    village.cut()
    village.open()
    assert not village.desk.views().session_open
    assert (len(village.facts()), village.slips()) == (1, [])
    views = village.desk.views()
    assert "未打印" in views.operator.notice
    assert "kiosk-0001/1-1" in str(views.receipt)
    village.intend("reprint")
    village.run()
    assert "￥500.00" in village.slips()[0]
    assert village.desk.views().operator.notice == ""


@pytest.mark.parametrize("until", ["amount", "pin", "confirm"])
def test_a_power_cut_before_the_fact_leaves_nothing(village: Village, until: str) -> None:
    village.begin()
    if until != "amount":
        village.ask_for(50_000)
    if until == "confirm":
        village.run()
        village.press("customer", "confirm")
    assert village.step == until
    village.cut()
    village.open()
    assert village.entries() == []
    assert village.teller.till.spends() == []
    assert not village.desk.views().session_open
    village.withdraw(50_000)
    assert len(village.facts()) == 1


def test_a_receipt_changes_its_word_when_the_core_has_posted(village: Village) -> None:
    village.withdraw(50_000)
    op_id = str(village.desk.state.facts["op_id"])
    assert "待上传" in repr(village.desk.views().customer)
    village.bank.tell(op_id, "posted")
    village.desk.tick()
    views = village.desk.views()
    assert "已入账" in repr(views.customer)
    assert "已入账" in str(views.receipt)
    village.press("customer", "finish")
    village.intend("reprint")
    village.run()
    assert "已入账" in village.slips()[-1]


def test_the_agent_is_told_when_the_core_put_a_withdrawal_in_suspense(village: Village) -> None:
    village.withdraw(50_000)
    op_id = str(village.desk.state.facts["op_id"])
    village.press("customer", "finish")
    village.bank.tell(op_id, "suspense")
    village.desk.tick()
    views = village.desk.views()
    assert "需银行处理" in views.operator.notice
    assert "kiosk-0001/1-1" in views.operator.notice
    assert views.customer.notice == ""


def test_taking_the_card_away_wipes_the_session(village: Village) -> None:
    village.begin()
    assert village.step == "amount"
    remove_card(village.folder / "sim")
    for _ in range(6):
        village.turn(1)
        village.run()
    assert not village.desk.state.open
    assert village.desk.state.facts == {}
    assert "证件已取走" in village.desk.views().customer.notice


def test_a_card_that_stays_keeps_the_session(village: Village) -> None:
    village.begin()
    for _ in range(10):
        village.turn(1)
        village.run()
    assert village.step == "amount"


def test_the_warning_is_spoken_and_the_wipe_forgets(village: Village) -> None:
    village.begin()
    village.turn(46)
    views = village.desk.views()
    assert "20 秒" in views.customer.voice
    assert views.session_open
    village.turn(20)
    assert not village.desk.views().session_open
    assert private_values(village.desk.state) == set()


def test_the_language_changes_words_and_nothing_else(village: Village) -> None:
    village.begin("balance")
    village.intend("language", "customer", language="en")
    views = village.desk.views()
    assert views.customer.title == "Your balance"
    assert views.status.language == "en"
    village.intend("language", "customer", language="xx")
    assert village.desk.views().status.language == "en"


def test_a_lost_customer_screen_suspends_and_its_return_goes_on(village: Village) -> None:
    village.begin()
    village.ask_for(50_000)
    village.intend("screen-lost", "customer")
    views = village.desk.views()
    assert "客户屏断开" in views.operator.notice
    assert [button.enabled for button in views.operator.buttons] == [True]
    village.intend("screen-back", "customer")
    village.run()
    assert village.step == "confirm"


@pytest.mark.parametrize(
    "event", [("lock", "operator"), ("screen-lost", "operator"), ("card-removed", "operator")]
)
def test_a_lock_a_lost_counter_screen_and_a_taken_card_wipe(
    village: Village, event: tuple[str, str]
) -> None:
    village.begin()
    village.intend(*event)
    assert not village.desk.state.open
    assert village.desk.state.facts == {}


def test_a_service_whose_device_is_missing_is_not_offered(village: Village) -> None:
    village.devices.pop("pin_pad")
    object.__setattr__(village.desk._parts, "kinds", frozenset(village.devices))
    assert [choice.id for choice in village.desk.views().operator.choices] == ["balance"]


def test_more_than_five_services_come_in_pages(village: Village) -> None:
    import json

    documents = {}
    for number in range(7):
        tree = json.loads(document("balance"))
        tree["id"] = f"service_{number}"
        documents[tree["id"]] = json.dumps(tree).encode()
    village.bank.publish(documents)
    village.desk.tick()
    first = [choice.id for choice in village.desk.views().operator.choices]
    assert first == ["service_0", "service_1", "service_2", "service_3", "more"]
    village.intend("choose", choice="more")
    assert next(choice.id for choice in village.desk.views().operator.choices) == "service_4"
    village.intend("choose", choice="more")
    assert [choice.id for choice in village.desk.views().operator.choices] == first


def test_a_mirror_of_damaged_values_counts_as_absent_and_the_counter_stands(
    village: Village,
) -> None:
    statement = "UPDATE mirror_items SET value = x'ff' WHERE scope = 'customers'"
    village.bank.store.execute(statement)
    village.begin()
    assert village.step in ("idle", "sorry")
    village.bank.store.execute("UPDATE mirror_items SET value = x'ff'")
    village.desk.tick()
    village.cut()
    village.open()
    assert len(village.desk.views().operator.choices) == 2
    village.withdraw(50_000)
    assert village.facts() == []


def test_intents_that_make_no_sense_change_nothing(village: Village) -> None:
    before = village.desk.views()
    intents: list[dict[str, object]] = [
        {},
        {"type": "dance"},
        {"type": "press"},
        {"type": "choose", "side": "customer", "choice": "balance"},
        {"type": "choose", "side": "operator", "choice": None},
        {"type": "enter", "value": {}},
    ]
    for intent in intents:
        village.desk.handle(intent)
    assert village.desk.views() == before


@pytest.mark.parametrize(
    ("completion", "outcome"),
    [
        (Completion("1", "ok", {"number": "5"}), "ok"),
        (Completion("1", "ok", {}), "fault"),
        (Completion("1", "ok", {"number": "5", "ok": False}), "fault"),
        (Completion("1", "timeout", code="timeout"), "timeout"),
        (Completion("1", "fault", code="paper-out"), "paper-out"),
        (Completion("1", "refused", code="gibberish"), "refused"),
        (Completion("1", "gibberish"), "fault"),
    ],
)
def test_an_answer_of_a_device_is_read_as(completion: Completion, outcome: str) -> None:
    assert read_completion(completion, {"id_number": "number"})[0] == outcome


def test_a_device_that_answers_with_other_kinds_is_a_fault(village: Village) -> None:
    village.intend("choose", choice="balance")
    command = village.orders.popleft()
    village.desk.complete(Completion(command.request_id, "ok", {"number": 5, "name": b"x"}))
    assert village.step == "card_again"


# ------------------------------------------------------------------ anything at all
ACTS = st.one_of(
    st.tuples(st.just("choose"), st.sampled_from(("balance", "cash_withdrawal"))),
    st.tuples(st.just("press"), st.sampled_from(("operator", "customer")),
              st.sampled_from(("confirm", "cancel", "finish", "retry", "skip"))),
    st.tuples(st.just("enter"), st.sampled_from((50_000, 1_000, 333, 10**15))),
    st.tuples(st.sampled_from(("reprint", "lock", "card-removed", "run", "run", "cut", "tick"))),
    st.tuples(st.sampled_from(("screen-lost", "screen-back")),
              st.sampled_from(("operator", "customer"))),
    st.tuples(st.just("paper"), st.integers(0, 2)),
    st.tuples(st.just("pad"), st.sampled_from(("", "", "wrong-pin", "pin-blocked", "wrong-block"))),
)  # fmt: skip


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(ACTS, max_size=40))
def test_whatever_people_do_no_secret_shows_and_every_fact_has_its_spend(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[Any, ...]]
) -> None:
    with opened_village(tmp_path_factory.mktemp("village")) as village:
        for act in acts:
            do(village, act)
            secrets = private_values(village.desk.state)
            shown = operator_text(village)
            assert not any(secret in shown for secret in secrets)
        paid = [body["amount_fen"] for body in village.facts()]
        assert [each.amount_fen for each in village.teller.till.spends()] == paid
        assert sum(paid) <= 150_000


def do(village: Village, act: tuple[Any, ...]) -> None:
    match act:
        case ("choose", name):
            village.begin(name)
        case ("press", side, button):
            village.press(side, button)
        case ("enter", value):
            village.ask_for(value)
        case ("paper", count):
            load_paper(village.folder / "sim", count)
        case ("pad", code):
            village.pad_device.code = code
        case ("run",):
            village.run()
        case ("tick",):
            village.turn(30)
        case ("cut",):
            village.cut()
            village.open()
        case (kind, *rest):
            village.intend(kind, *rest)
