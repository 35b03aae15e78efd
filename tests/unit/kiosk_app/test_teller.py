"""What is claimed of the money rules, with real leases, a real journal and a real mirror."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.keys import FileIdentity
from edge.mirror import Mirror
from kiosk_app.till import Till
from tests.unit.kiosk_app.village import (
    ACCOUNT,
    CUSTOMER,
    DAY_US,
    KIOSK,
    LEASE,
    build_village,
    opened_village,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.kiosk_app.village import Village

WHO = {"customer": CUSTOMER, "account": ACCOUNT, "day_max_fen": 200_000}


def lease_outcome(village: Village) -> str:
    village.mirror.poll()
    return village.teller.ask("lease", WHO).outcome


def withdraw_facts(village: Village) -> list[int]:
    return [body["amount_fen"] for body in village.facts()]


def test_a_customer_is_found_by_what_stands_for_the_id_number(village: Village) -> None:
    number = village.villager.card.number
    answer = village.teller.ask("customer", {"id_number": number.lower()})
    assert answer.outcome == "ok"
    assert answer.facts["customer_name"] == village.villager.card.name
    other = ("1" if number[0] != "1" else "2") + number[1:]
    assert village.teller.ask("customer", {"id_number": other}).outcome == "customer-unknown"


def test_what_a_lease_allows_is_the_least_of_four(village: Village) -> None:
    facts = village.teller.ask("lease", WHO).facts
    assert (facts["lease_left_fen"], facts["per_op_fen"], facts["day_left_fen"]) == (
        150_000,
        100_000,
        200_000,
    )
    assert facts["max_fen"] == 100_000


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"kiosk": "kiosk-0002"}, "lease-other-kiosk"),
        ({"account": "customer:somebody-else"}, "lease-other-customer"),
        ({"customer": "somebody-else"}, "lease-other-customer"),
        ({"customer": "else", "account": "customer:else"}, "no-lease"),
        ({"pad": "pad-0002"}, "wrong-block"),
        ({"expires_us": 1}, "lease-expired"),
        ({"amount_fen": 0}, "lease-spent"),
        ({"count": 0}, "lease-spent"),
        ({"accepts": ["face"]}, "lease-spent"),
        ({"amount_fen": "1"}, "lease-forged"),
        ({"pin_verifier": None}, "lease-forged"),
    ],
)
def test_a_lease_is_refused_for(village: Village, changes: dict[str, Any], outcome: str) -> None:
    village.bank.lend(**changes)
    assert lease_outcome(village) == outcome


def test_a_forged_lease_is_refused(village: Village, tmp_path: Path) -> None:
    village.bank.lend(signer=FileIdentity.create(tmp_path / "thief.pem", "core"))
    assert lease_outcome(village) == "lease-forged"
    village.bank.lend(signer=village.bank.signer)
    assert lease_outcome(village) == "lease-forged"
    village.bank.say("leases", LEASE, {"lease": b"\x00"})
    assert lease_outcome(village) == "lease-forged"


def test_a_good_lease_serves_beside_a_bad_one(village: Village) -> None:
    village.bank.lend(lease="2f" * 16, expires_us=1)
    assert lease_outcome(village) == "ok"


def test_a_lease_ends_once_a_time_past_its_end_was_stated_to_the_core(village: Village) -> None:
    """The core may have given the money back on that word, so the clock may not take it back."""
    village.bank.lend(expires_us=village.clock.wall_us + DAY_US)
    Mirror(village.bank.store).note("stated_us", village.clock.wall_us + DAY_US + 1)
    assert lease_outcome(village) == "lease-expired"


def test_an_expired_lease_does_not_revive_when_the_clock_is_set_back(village: Village) -> None:
    village.bank.lend(expires_us=village.clock.wall_us + DAY_US)
    assert lease_outcome(village) == "ok"
    village.clock.turn(2 * DAY_US / 1_000_000)
    village.bank.say("drawer", KIOSK, {"balance_fen": 500_000, "as_of_us": village.clock.wall_us})
    village.desk.tick()
    village.clock.wall_us = 0
    assert lease_outcome(village) == "lease-expired"
    village.cut()
    village.open()
    assert lease_outcome(village) == "lease-expired"


def test_a_withdrawal_is_one_fact_with_its_spend_and_receipt(village: Village) -> None:
    village.withdraw(50_000)
    assert village.step == "done"
    (body,) = village.facts()
    assert (body["lease"], body["account"], body["customer"], body["amount_fen"]) == (
        LEASE, ACCOUNT, CUSTOMER, 50_000,
    )  # fmt: skip
    assert body["service"] == "cash_withdrawal"
    assert len(body["service_sha256"]) == 64
    assert isinstance(body["pin_answer"], bytes)
    assert body["receipt"] == f"{KIOSK}/1-1"
    assert [each.amount_fen for each in village.teller.till.spends()] == [50_000]
    assert len(village.slips()) == 1


def test_withdrawals_together_never_exceed_the_lease(village: Village) -> None:
    village.withdraw(100_000)
    village.press("customer", "finish")
    village.begin()
    assert village.desk.state.facts["max_fen"] == 50_000
    village.ask_for(60_000)
    assert village.step == "amount"
    village.ask_for(50_000)
    village.run()
    village.confirm()
    village.run()
    village.press("customer", "finish")
    village.begin()
    assert village.step == "sorry"
    assert sum(withdraw_facts(village)) == 150_000


def test_what_is_left_is_judged_again_at_booking(village: Village) -> None:
    village.begin()
    village.ask_for(50_000)
    village.run()
    assert village.step == "confirm"
    village.bank.lend(amount_fen=40_000)
    village.confirm()
    village.run()
    assert (village.step, village.facts()) == ("sorry", [])
    assert "离线额度" in village.desk.views().operator.notice


def test_a_lease_that_was_taken_back_meanwhile_pays_nothing(village: Village) -> None:
    village.begin()
    village.ask_for(50_000)
    village.run()
    village.bank.say("leases", LEASE, None)
    village.confirm()
    assert (village.step, village.facts()) == ("sorry", [])


def test_the_limit_of_a_day_holds_over_leases_and_ends_at_midnight(village: Village) -> None:
    village.bank.lend(amount_fen=500_000, per_op_fen=500_000, count=9)
    village.withdraw(150_000)
    village.press("customer", "finish")
    village.begin()
    village.ask_for(60_000)
    assert village.step == "amount"
    village.ask_for(50_000)
    village.run()
    village.confirm()
    village.run()
    village.press("customer", "finish")
    village.begin()
    assert village.step == "sorry"
    assert "每卡每日" in village.desk.views().customer.notice
    village.press("operator", "finish")
    village.clock.turn(DAY_US / 1_000_000)
    village.begin()
    assert village.step == "amount"


def test_no_more_is_paid_than_the_drawer_holds(village: Village) -> None:
    village.bank.say("drawer", KIOSK, {"balance_fen": 60_000, "as_of_us": village.clock.wall_us})
    village.withdraw(50_000)
    assert village.teller.drawer_fen() == 10_000
    village.press("customer", "finish")
    village.withdraw(20_000)
    assert village.step == "sorry"
    assert "钱箱" in village.desk.views().operator.notice
    assert withdraw_facts(village) == [50_000]


def test_the_drawer_follows_the_core_once_it_has_posted(village: Village) -> None:
    village.withdraw(50_000)
    assert village.teller.drawer_fen() == 450_000
    village.bank.say("drawer", KIOSK, {"balance_fen": 450_000, "as_of_us": village.clock.wall_us})
    village.bank.tell(str(village.desk.state.facts["op_id"]), "posted")
    village.desk.tick()
    assert village.teller.drawer_fen() == 450_000


@pytest.mark.parametrize(
    "changes",
    [
        {"ok": False},
        {"amount_fen": 10_000},
        {"lease": "2f" * 16},
        {"pad": "pad-0002"},
        {"verifier": b"\7" * 32},
    ],
)
def test_an_answer_of_the_pad_for_something_else_pays_nothing(
    village: Village, changes: dict[str, Any]
) -> None:
    village.pad_device.changes = changes
    village.withdraw(50_000)
    assert (village.step, village.facts()) == ("sorry", [])


def test_an_answer_that_the_pad_did_not_sign_pays_nothing(village: Village, tmp_path: Path) -> None:
    village.pad_device.identity = FileIdentity.create(tmp_path / "thief.pem", "pad-0001")
    village.withdraw(50_000)
    assert (village.step, village.facts()) == ("sorry", [])


def test_the_same_answer_of_the_pad_never_pays_twice(village: Village) -> None:
    village.withdraw(50_000)
    village.press("customer", "finish")
    village.pad_device.counter = 0
    village.withdraw(50_000)
    assert (village.step, len(village.facts())) == ("sorry", 1)


def test_a_full_disk_at_booking_pays_nothing_and_says_so(village: Village) -> None:
    village.begin()
    village.ask_for(50_000)
    village.run()
    village.store.execute("PRAGMA query_only = ON")
    village.confirm()
    village.store.execute("PRAGMA query_only = OFF")
    assert (village.step, village.facts()) == ("sorry", [])
    assert "请勿付款" in village.desk.views().operator.notice


def test_the_balance_leaves_out_what_was_paid_here_until_the_core_has_posted_it(
    village: Village,
) -> None:
    village.withdraw(50_000)
    facts = village.teller.ask("balance", WHO).facts
    assert (facts["balance_fen"], facts["pending_fen"], facts["available_fen"]) == (
        328_650,
        50_000,
        278_650,
    )
    village.bank.say(
        "balances", ACCOUNT, {"balance_fen": 278_650, "available_fen": 178_650, "as_of_us": 1}
    )
    village.bank.tell(str(village.desk.state.facts["op_id"]), "posted")
    village.mirror.poll()
    assert village.teller.ask("balance", WHO).facts["available_fen"] == 278_650


def test_without_a_mirror_nobody_is_served(village: Village) -> None:
    (village.folder / "mirror.db").unlink()
    village.mirror.poll()
    assert village.teller.ask("customer", {"id_number": "1"}).outcome == "customer-unknown"
    assert village.teller.ask("balance", WHO).outcome == "balance-unknown"
    assert village.teller.ask("lease", WHO).outcome == "no-lease"
    assert village.teller.drawer_fen() is None


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.integers(1, 120).map(lambda tens: tens * 1_000), min_size=1, max_size=6), st.data()
)
def test_no_chain_of_withdrawals_and_power_cuts_exceeds_lease_day_or_drawer(
    tmp_path_factory: pytest.TempPathFactory, amounts: list[int], data: st.DataObject
) -> None:
    with opened_village(tmp_path_factory.mktemp("village")) as village:
        for amount in amounts:
            village.begin()
            village.ask_for(amount)
            village.run()
            if data.draw(st.booleans()):
                village.confirm()
            if data.draw(st.booleans()):
                village.cut()
                village.open()
            village.run()
            for button in ("finish", "cancel", "skip"):
                village.press("operator", button)
        paid = withdraw_facts(village)
        spends = Till(village.store).spends()
        assert sum(paid) <= 150_000
        assert len(paid) <= 5
        assert all(each <= 100_000 for each in paid)
        assert [each.amount_fen for each in spends] == paid
        assert len({each.op_id for each in spends}) == len(paid)


def test_a_kiosk_that_first_woke_up_in_1970_ends_a_lease_once_it_has_stated_its_end(
    tmp_path: Path,
) -> None:
    """A floor of 1970 must not make the core's own time, and with it any later one, a leap."""
    village = build_village(tmp_path)
    ends_us = village.clock.wall_us + DAY_US
    village.bank.lend(expires_us=ends_us)
    village.clock.wall_us = 1_000_000
    mirror = Mirror(village.bank.store)
    mirror.note("stated_us", 1_000_000)
    village.open()
    try:
        assert lease_outcome(village) == "ok"
        mirror.note("stated_us", ends_us + 1)
        assert lease_outcome(village) == "lease-expired"
    finally:
        village.cut()
        village.bank.store.close()


def test_a_time_that_was_stated_before_the_cores_first_word_is_no_floor(tmp_path: Path) -> None:
    """A clock ten years ahead at the first start would else end every lease to come."""
    village = build_village(tmp_path)
    try:
        Mirror(village.bank.store).note("stated_us", village.clock.wall_us + 3_650 * DAY_US)
        for scope in Mirror(village.bank.store).cursors():
            Mirror(village.bank.store).drop(scope)
        village.open()
        village.mirror.poll()
        assert village.teller.now_us() == village.clock.wall_us
    finally:
        village.cut()
        village.bank.store.close()
