"""Claims about leases: reserved once, sealed to one pad, released when nothing is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend_sync.core.accounts import read_holdings
from backend_sync.core.leases import (
    RELEASE_AFTER_US,
    make_pin_verifier,
    release_expired,
)
from backend_sync.core.post import post_queued
from backend_sync.core.registry import Customer, add_customer, add_device
from backend_sync.messages import Position, Request
from edge.codec import decode
from edge.errors import LocalError
from edge.keys import hpke_open, open_evidence, verifier
from edge.purposes import LEASE_TOPIC, PIN_INFO, id_key
from tests.unit.backend_sync.core.village import (
    DAY_US,
    LOOKUP,
    NOW_US,
    Village,
    found_village,
    lease_id,
    make_kiosk,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backend_sync.core.database import Connection

EXPIRES_US = NOW_US + 7 * DAY_US
LATER_US = EXPIRES_US + RELEASE_AFTER_US + 1


def available(village: Village) -> int:
    return read_holdings(village.connection, ["customer:c-1"])[0].available_fen


def release(
    village: Village, now_us: int, journal: Position | None = None, stated_us: int | None = None
) -> list[str]:
    at = journal or village.kiosk.head()
    wall_us = now_us if stated_us is None else stated_us
    request = Request("kiosk-1", {}, b"\x09" * 16, at, wall_us)
    return release_expired(village.connection, request, now_us)


def test_a_lease_reserves_its_amount_and_leaves_the_balance(village: Village) -> None:
    village.lease(100_000)
    assert (village.balance("customer:c-1"), available(village)) == (300_000, 200_000)


def test_the_same_lease_again_is_the_same_document_and_reserves_once(village: Village) -> None:
    name = village.lease(100_000)
    first = village.connection.execute("SELECT document FROM leases").fetchone()
    village.lease(100_000, name=name)
    assert village.connection.execute("SELECT document FROM leases").fetchone() == first
    assert available(village) == 200_000


def test_the_document_says_what_was_promised_and_is_signed_for_leases(village: Village) -> None:
    name = village.lease(100_000, 50_000, 3)
    row = village.connection.execute("SELECT document FROM leases").fetchone()
    assert row is not None
    verify = verifier(village.core.public_bytes)
    said = open_evidence(bytes(row[0]), verify, LEASE_TOPIC, "core")
    promised = ("lease", "customer", "kiosk", "amount_fen", "per_op_fen", "count", "pad")
    assert [said[key] for key in promised] == [
        name, "c-1", "kiosk-1", 100_000, 50_000, 3, "pad-kiosk-1",
    ]  # fmt: skip
    assert said["expires_us"] == EXPIRES_US


def test_the_pin_verifier_opens_at_the_pad_alone_and_checks_the_pin(village: Village) -> None:
    name = village.lease()
    row = village.connection.execute("SELECT document FROM leases").fetchone()
    assert row is not None
    said = open_evidence(bytes(row[0]), verifier(village.core.public_bytes), LEASE_TOPIC, "core")
    opened = decode(hpke_open(village.pad_hpke, said["pin_verifier"], PIN_INFO))
    assert (opened["lease"], opened["customer"]) == (name, "c-1")
    assert make_pin_verifier("123456", opened["salt"])["hash"] == opened["hash"]
    assert make_pin_verifier("123457", opened["salt"])["hash"] != opened["hash"]


def test_more_than_is_available_is_not_leased_and_leaves_no_trace(village: Village) -> None:
    village.lease(200_000)
    with pytest.raises(LocalError, match="insufficient"):
        village.lease(100_001)
    assert village.number("SELECT count(*) FROM leases") == 1
    assert available(village) == 100_000


def test_a_quarantined_kiosk_gets_no_lease(village: Village) -> None:
    village.connection.execute("UPDATE devices SET state = 'quarantined', state_reason = 'x'")
    with pytest.raises(LocalError, match="no active kiosk"):
        village.lease()


def test_a_kiosk_without_a_pad_gets_no_lease(village: Village) -> None:
    village.connection.execute("DELETE FROM pads")
    with pytest.raises(LocalError, match="PIN pad"):
        village.lease()


def test_a_customer_without_a_pin_gets_no_lease(village: Village) -> None:
    village.connection.execute("UPDATE customers SET sealed_pin = NULL")
    with pytest.raises(LocalError, match="no customer with a PIN"):
        village.lease()


@pytest.mark.parametrize("pin", ["", "12345", "1234567", "12345a", "１２３４５６"])
def test_a_pin_is_six_ascii_digits(pin: str) -> None:
    with pytest.raises(LocalError, match="6 digits"):
        make_pin_verifier(pin, b"\0" * 16)


# ------------------------------------------------------------------ release
def test_a_lease_is_released_once_its_journal_has_arrived_whole(village: Village) -> None:
    name = village.lease(100_000, 50_000)
    village.kiosk.withdraw(name, 30_000)
    village.send()
    village.post()
    assert release(village, LATER_US) == [name]
    assert (village.balance("customer:c-1"), available(village)) == (270_000, 270_000)
    assert release(village, LATER_US) == []


def test_nothing_is_released_before_the_expiry_and_its_margin(village: Village) -> None:
    village.lease()
    for now_us in (EXPIRES_US - 1, EXPIRES_US + 1, EXPIRES_US + RELEASE_AFTER_US):
        assert release(village, now_us) == []
    assert available(village) == 200_000


@pytest.mark.parametrize(
    "stated_us", [NOW_US, EXPIRES_US + RELEASE_AFTER_US, LATER_US + 2 * DAY_US]
)
def test_nothing_is_released_by_a_slow_clock_an_old_request_or_a_clock_far_ahead(
    village: Village, stated_us: int
) -> None:
    village.lease()
    assert release(village, LATER_US, stated_us=stated_us) == []
    assert available(village) == 200_000


def test_nothing_is_released_while_entries_are_missing_or_unposted(village: Village) -> None:
    name = village.lease()
    village.kiosk.withdraw(name, 30_000)
    assert release(village, LATER_US) == [], "the core has seen no entry yet"
    village.send()
    assert release(village, LATER_US) == [], "the entry is not posted yet"
    village.post()
    village.kiosk.withdraw(name, 30_000)
    assert release(village, LATER_US) == [], "the kiosk has written one more"
    village.send(village.kiosk.frame(2))
    village.post()
    assert release(village, LATER_US) == [name]
    assert available(village) == 240_000


def test_a_device_whose_head_differs_releases_nothing(village: Village) -> None:
    name = village.lease()
    village.kiosk.withdraw(name, 30_000)
    village.send()
    village.post()
    assert release(village, LATER_US, Position(1, 1, b"\0" * 32)) == []


def test_a_lease_that_was_spent_wholly_is_closed_without_giving_back(village: Village) -> None:
    name = village.lease(50_000, 50_000)
    village.kiosk.withdraw(name, 50_000)
    village.send()
    village.post()
    assert release(village, LATER_US) == [name]
    assert available(village) == 250_000


def test_a_withdrawal_after_the_release_goes_to_suspense(village: Village) -> None:
    name = village.lease()
    assert release(village, LATER_US) == [name]
    op = village.kiosk.withdraw(name, 30_000)
    village.send()
    village.post()
    assert village.outcome(op) == ("suspense", "lease-released")
    assert village.balance("customer:c-1") == 300_000


def test_a_released_lease_is_taken_back_from_the_kiosk(village: Village) -> None:
    name = village.lease()
    release(village, LATER_US)
    row = village.connection.execute(
        "SELECT value FROM downlink_items WHERE scope = 'leases' AND key = %s", [name]
    ).fetchone()
    assert row == (None,)


# ------------------------------------------------------------------ no overdraft, ever
steps = st.one_of(
    st.tuples(st.just("lease"), st.integers(1, 150_000)),
    st.tuples(st.just("withdraw"), st.integers(1, 120_000)),
    st.tuples(st.just("send"), st.just(0)),
    st.tuples(st.just("post"), st.just(0)),
    st.tuples(st.just("release"), st.just(0)),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(steps, max_size=25))
def test_no_interleaving_overdraws_a_customer_or_loses_cash(
    connection: Connection,
    tmp_path_factory: pytest.TempPathFactory,
    steps: Sequence[tuple[str, int]],
) -> None:
    with connection.transaction(force_rollback=True):
        village = found_village(connection, tmp_path_factory.mktemp("village"))
        paid, sent = 0, 0
        for number, (act, fen) in enumerate(steps):
            if act == "lease":
                try_lease(village, fen)
            elif act == "withdraw":
                village.kiosk.withdraw(lease_id(1 + number % (village.leases + 1)), fen)
                paid += fen
            elif act == "send" and len(village.kiosk.entries) > sent:
                village.send(village.kiosk.frame(sent + 1))
                sent = len(village.kiosk.entries)
            elif act == "post":
                post_queued(connection, NOW_US)
            elif act == "release":
                release(village, LATER_US)
            holding = read_holdings(connection, ["customer:c-1"])[0]
            assert 0 <= holding.available_fen <= holding.balance_fen
            assert village.number("SELECT sum(balance_fen) FROM accounts") == 0
        if len(village.kiosk.entries) > sent:
            village.send(village.kiosk.frame(sent + 1))
        village.post()
        assert village.balance("drawer:kiosk-1") == -2_000_000 + paid


def try_lease(village: Village, fen: int) -> None:
    if fen > available(village):
        with pytest.raises(LocalError, match="insufficient"):
            village.lease(fen, min(fen, 60_000), 3)
    else:
        village.lease(fen, min(fen, 60_000), 3)


def test_two_kiosks_cannot_be_leased_the_same_money(village: Village, tmp_path: Path) -> None:
    other = make_kiosk(tmp_path, "kiosk-2")
    add_device(village.connection, "kiosk-2", "kiosk", other.identity.public_bytes, "", NOW_US)
    poor = Customer("c-3", "李四", id_key(LOOKUP, "c-3"), False, None)
    add_customer(village.connection, poor, ["kiosk-1", "kiosk-2"], 0, NOW_US)
    village.lease(300_000)
    with pytest.raises(LocalError, match="insufficient"):
        village.lease(1)
