"""Tests of signing in: who gets in, who is locked out, and what a pulled plug does not give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge import drivers
from edge.drivers import Roster, RosterDriver, stretch
from edge.ports import Instant
from edge.store import open_store
from vehicle_gateway.signin import ATTEMPTS_MAX, LOCK_US, LOCK_US_MAX, MIGRATIONS, SignIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.store import Store

SALT, CARD, OTHER_CARD = b"s" * 16, b"\x04\xa1\xb2\xc3", b"\x04\xff\xff\xff"
WANG = RosterDriver("driver-1", "17", "王师傅", stretch(CARD, SALT), SALT, stretch(b"4711", SALT))
LI = RosterDriver("driver-2", "18", "李师傅", stretch(OTHER_CARD, SALT), b"", b"")
ROSTER = Roster(SALT, [WANG, LI])


def at(seconds: float, boot: str = "a" * 16) -> Instant:
    return Instant(0, boot, round(seconds * 1e6))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "box.db", [MIGRATIONS]) as store:
        yield store


@pytest.fixture
def signin(store: Store) -> SignIn:
    return SignIn(store, lambda: ROSTER)


def lock(signin: SignIn, second: float, boot: str = "a" * 16) -> int:
    for _ in range(ATTEMPTS_MAX - 1):
        assert signin.by_pin("17", "0000", at(second, boot)).code == "unknown"
    attempt = signin.by_pin("17", "0000", at(second, boot))
    assert attempt.code == "locked"
    return attempt.locked_s


def test_a_card_signs_in_the_same_again_out_and_another_changes_the_driver(signin: SignIn) -> None:
    assert signin.by_card(CARD, None, at(0)).driver == WANG
    again = signin.by_card(CARD, "driver-1", at(1))
    assert (again.code, again.driver) == ("goodbye", WANG)
    change = signin.by_card(OTHER_CARD, "driver-1", at(2))
    assert (change.code, change.driver) == ("welcome", LI)


def test_a_pin_signs_in_under_its_number_alone(signin: SignIn) -> None:
    assert signin.by_pin("17", "4711", at(0)).driver == WANG
    assert signin.by_pin("18", "4711", at(0)).code == "unknown"
    assert signin.by_pin("18", "", at(0)).code == "unknown"


def test_without_a_roster_nobody_is_known_and_nothing_is_counted(store: Store) -> None:
    signin = SignIn(store, lambda: None)
    assert signin.by_card(CARD, None, at(0)).code == "no-roster"
    assert store.row("SELECT 1 AS one FROM gateway_attempts") is None


def test_five_wrong_pins_lock_all_pins_and_each_lock_is_longer(signin: SignIn) -> None:
    assert lock(signin, 0) == LOCK_US // 1_000_000
    attempt = signin.by_pin("17", "4711", at(299))
    assert (attempt.code, attempt.locked_s) == ("locked", 1)
    assert lock(signin, 300) == 2 * LOCK_US // 1_000_000
    second, seconds = 1_000, 0
    for _ in range(6):
        seconds = lock(signin, second)
        second += seconds
    assert seconds == LOCK_US_MAX // 1_000_000


def test_a_right_pin_forgets_the_wrong_ones(signin: SignIn) -> None:
    for _ in range(3):
        for _ in range(ATTEMPTS_MAX - 1):
            signin.by_pin("17", "0000", at(0))
        assert signin.by_pin("17", "4711", at(0)).code == "welcome"


def test_pulling_the_plug_gives_no_free_attempt_and_begins_a_lock_anew(
    store: Store, signin: SignIn
) -> None:
    for number in range(ATTEMPTS_MAX - 1):
        SignIn(store, lambda: ROSTER).by_pin("17", "0000", at(0, f"{number:016}"))
    assert signin.by_pin("17", "0000", at(5_000)).code == "locked"
    fresh = "b" * 16
    assert signin.by_pin("17", "4711", at(1, fresh)).locked_s == LOCK_US // 1_000_000 - 1
    assert signin.by_pin("17", "4711", at(300, fresh)).code == "welcome"


def test_a_handful_of_bus_cards_locks_cards_and_leaves_pins_alone(signin: SignIn) -> None:
    for number in range(ATTEMPTS_MAX):
        signin.by_card(bytes([9, number]), None, at(0))
    assert signin.by_card(CARD, None, at(1)).code == "locked"
    assert signin.by_pin("17", "4711", at(1)).code == "welcome"


def test_the_attempt_is_on_the_disk_before_it_is_looked_at(
    store: Store, signin: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pull_the_plug(*_: bytes) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(drivers, "stretch", pull_the_plug)
    for _ in range(ATTEMPTS_MAX):
        with pytest.raises(KeyboardInterrupt):
            signin.by_pin("17", "4711", at(0))
    monkeypatch.undo()
    assert SignIn(store, lambda: ROSTER).by_pin("17", "4711", at(1)).code == "locked"


@pytest.mark.parametrize("uid", [b"", b"x" * 17])
def test_what_can_be_no_card_is_unknown(signin: SignIn, uid: bytes) -> None:
    assert signin.by_card(uid, None, at(0)).code == "unknown"


@pytest.mark.parametrize("pin", ["", "12", "abcd", "１２３４", "123456789"])
def test_what_can_be_no_pin_is_unknown_and_costs_no_attempt(
    store: Store, signin: SignIn, pin: str
) -> None:
    assert signin.by_pin("17", pin, at(0)).code == "unknown"
    assert store.row("SELECT 1 AS one FROM gateway_attempts") is None
