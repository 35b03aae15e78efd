"""Tests of drivers at the box: no consent, no name; and every word of theirs is evidence."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from backend_sync.credit.consent import DRIVING_GRADE
from edge.errors import DeviceFault, LocalError, PeerError
from edge.keys import FileIdentity, LocalSecret
from tests.unit.vehicle_gateway.yard import START_US, Box, Core, CountingRandomness, feed
from vehicle_gateway.driver import (
    DAY_US,
    SEALED_FOR,
    Statement,
    consent_text,
    leave_statement,
    make_statement,
    sign_in_state,
    waiting_statements,
)

if TYPE_CHECKING:
    from pathlib import Path


def given(subject: str = "driver-1", now_us: int = START_US, days: int = 365) -> Statement:
    return make_statement(subject, "zh", now_us, days, withdrawn=False)


def withdrawn(subject: str = "driver-1", now_us: int = START_US + 1) -> Statement:
    return make_statement(subject, "zh", now_us, 365, withdrawn=True)


def test_the_text_is_there_in_both_languages_and_hashed_exactly() -> None:
    text = consent_text()
    assert text.purpose == DRIVING_GRADE
    assert set(text.texts) == {"zh", "en"}
    assert given().text_sha256 == hashlib.sha256(text.texts["zh"].encode()).hexdigest()
    assert text.sha256("zh") != text.sha256("en")


@pytest.mark.parametrize(
    "subject", ["", "王师傅", "13812345678", "d-510302199001011234", "a b", "x" * 65, "../a", "-a"]
)
def test_what_is_no_pseudonym_is_refused(subject: str) -> None:
    with pytest.raises(LocalError) as refused:
        given(subject)
    assert refused.value.code == "driver-subject"


def test_a_text_in_another_language_is_refused() -> None:
    with pytest.raises(LocalError, match="en, zh"):
        make_statement("driver-1", "fr", START_US, 365, withdrawn=False)


def test_nobody_is_signed_in_at_first(box: Box) -> None:
    box.consented = None
    box.open()
    assert box.sink.drivers.live(START_US) is None


def test_consent_lives_from_its_instant_to_its_expiry(box: Box) -> None:
    box.open()
    box.sink.drivers.take_in(given(days=2), box.sink.stream)
    live = box.sink.drivers.live
    assert live(START_US - 1) is None
    assert live(START_US) == "driver-1"
    assert live(START_US + 2 * DAY_US - 1) == "driver-1"
    assert live(START_US + 2 * DAY_US) is None


def test_every_statement_stands_signed_in_the_chain(box: Box, core: Core) -> None:
    box.open()
    box.sink.drivers.take_in(given(), box.sink.stream)
    box.sink.drivers.take_in(withdrawn(), box.sink.stream)
    consents = core.consents(box.messages())
    assert [each["withdrawn"] for each in consents] == [False, True]
    assert [(each["device"], each["epoch"], each["seq"]) for each in consents] == [
        ("box-1", 1, 1),
        ("box-1", 1, 2),
    ]
    assert consents[0]["expires_us"] == START_US + 365 * DAY_US


def test_the_broker_cannot_read_who_consented(box: Box) -> None:
    box.open()
    box.sink.drivers.take_in(given(), box.sink.stream)
    assert not any(b"driver-1" in each.payload for each in box.messages())


def test_the_last_driver_to_consent_is_the_driver(box: Box) -> None:
    box.open()
    box.sink.drivers.take_in(given("driver-1"), box.sink.stream)
    box.sink.drivers.take_in(given("driver-2", START_US + 5), box.sink.stream)
    assert box.sink.drivers.live(START_US + 10) == "driver-2"


def test_another_drivers_withdrawal_does_not_sign_the_present_one_out(box: Box) -> None:
    box.open()
    box.sink.drivers.take_in(given("driver-2"), box.sink.stream)
    box.sink.drivers.take_in(withdrawn("driver-1"), box.sink.stream)
    assert box.sink.drivers.live(START_US + 10) == "driver-2"


def test_who_is_signed_in_survives_a_power_cut(box: Box) -> None:
    box.open()
    box.sink.drivers.take_in(given(), box.sink.stream)
    box.open()
    assert box.sink.drivers.live(START_US) == "driver-1"


def test_batches_after_a_withdrawal_have_no_driver(box: Box, core: Core) -> None:
    batcher = box.open()
    box.sink.drivers.take_in(given(), box.sink.stream)
    progress = feed(batcher, 400.0)
    next(progress)
    box.sink.drivers.take_in(withdrawn(), box.sink.stream)
    for _ in progress:
        pass
    batcher.finish()
    drivers = [record["driver"] for record in core.records(box.messages())]
    assert drivers[0] == "driver-1"
    assert set(drivers[1:]) == {None}


@pytest.fixture
def secret(tmp_path: Path) -> LocalSecret:
    identity = FileIdentity.create(tmp_path / "keys" / "box.pem", "box-1")
    return LocalSecret(identity, SEALED_FOR, CountingRandomness())


def test_no_file_of_the_box_names_the_driver(box: Box) -> None:
    leave_statement(box.folder, given(), box.secret)
    box.open()
    for path, statement in waiting_statements(box.folder, box.secret):
        box.sink.drivers.take_in(statement, box.sink.stream)
        assert path.exists()
    assert box.sink.drivers.live(START_US) == "driver-1"
    files = [path for path in box.folder.rglob("*") if path.is_file()]
    assert len(files) >= 3, "identity, store and statement"
    assert [path.name for path in files if b"driver-1" in path.read_bytes()] == []


def test_a_driver_sealed_by_another_box_is_not_believed(box: Box, tmp_path: Path) -> None:
    box.open()
    box.sink.drivers.take_in(given(), box.sink.stream)
    other = FileIdentity.create(tmp_path / "keys" / "other.pem", "box-1")
    box.sink.drivers.secret = LocalSecret(other, SEALED_FOR, CountingRandomness())
    with pytest.raises(PeerError):
        box.sink.drivers.live(START_US)


def test_statements_wait_on_disk_in_the_order_they_were_made(
    tmp_path: Path, secret: LocalSecret
) -> None:
    leave_statement(tmp_path, withdrawn(), secret)
    path = leave_statement(tmp_path, given(), secret)
    assert [each.withdrawn for _, each in waiting_statements(tmp_path, secret)] == [False, True]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_damaged_statement_is_named(tmp_path: Path, secret: LocalSecret) -> None:
    path = leave_statement(tmp_path, given(), secret)
    path.write_bytes(b"{")
    with pytest.raises(DeviceFault, match=path.name):
        list(waiting_statements(tmp_path, secret))


# ------------------------------------------------------------------ two drivers of a shift
def test_two_drivers_of_a_shift_agree_once_each(box: Box) -> None:
    box.consented = None
    box.open()
    drivers = box.sink.drivers
    drivers.take_in(given("driver-1"), box.sink.stream)
    drivers.take_in(given("driver-2"), box.sink.stream)
    drivers.sign_in("driver-1", START_US)
    assert drivers.live(START_US) == "driver-1"
    drivers.sign_out()
    assert (drivers.present(), drivers.live(START_US)) == (None, None)
    drivers.sign_in("driver-2", START_US)
    assert drivers.live(START_US) == "driver-2"


def test_signing_in_is_no_consent(box: Box) -> None:
    box.consented = None
    box.open()
    drivers = box.sink.drivers
    assert sign_in_state(box.sink.store, START_US) == "none"
    drivers.sign_in("driver-3", START_US)
    assert sign_in_state(box.sink.store, START_US) == "not recorded"
    assert drivers.present() == "driver-3"
    assert (drivers.live(START_US), drivers.tag(START_US)) == (None, None)
    assert drivers.consent_until() == 0


def test_a_withdrawal_is_for_good_whoever_signs_in_again(box: Box) -> None:
    box.open()
    drivers = box.sink.drivers
    drivers.take_in(given("driver-1"), box.sink.stream)
    drivers.take_in(withdrawn("driver-1"), box.sink.stream)
    drivers.sign_in("driver-1", START_US)
    assert drivers.live(START_US + 2) is None


def test_a_renewed_consent_replaces_the_one_in_force(box: Box) -> None:
    box.open()
    drivers = box.sink.drivers
    drivers.take_in(given("driver-1", days=1), box.sink.stream)
    drivers.take_in(given("driver-1", days=30), box.sink.stream)
    assert drivers.live(START_US + 20 * DAY_US) == "driver-1"
    drivers.sign_in("driver-1", START_US)
    assert drivers.live(START_US + 20 * DAY_US) == "driver-1"


def test_a_consent_to_an_earlier_release_outlives_the_shift_too(box: Box) -> None:
    box.open()
    box.sink.store.execute("DELETE FROM gateway_consents")  # which that release had not
    drivers = box.sink.drivers
    drivers.sign_in("driver-2", START_US)
    drivers.sign_in("driver-0", START_US)
    assert drivers.live(START_US) == "driver-0"


def test_who_was_last_seen_driving_is_noted(box: Box) -> None:
    box.consented = None
    box.open()
    drivers = box.sink.drivers
    assert drivers.seen_us() == 0
    drivers.sign_in("driver-1", START_US)
    drivers.see(START_US + 5)
    assert drivers.seen_us() == START_US + 5
