"""Tests of what the core tells a box of its drivers: for it alone, and of nobody readable."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.drivers import (
    Grade,
    Roster,
    RosterDriver,
    open_grade,
    open_roster,
    sign_grade,
    sign_roster,
    stretch,
)
from edge.errors import LocalError, PeerError
from edge.keys import FileIdentity, sign_evidence, verifier
from edge.purposes import ROSTER

FOLDER = Path(mkdtemp(prefix="lastmile-drivers-"))
CORE = FileIdentity.create(FOLDER / "core.pem", "core")
BOX = FileIdentity.create(FOLDER / "box.pem", "box-1")
OTHER = FileIdentity.create(FOLDER / "other.pem", "box-1")
VERIFY = verifier(CORE.public_bytes)
SALT, PIN_SALT, CARD = b"s" * 16, b"p" * 16, bytes.fromhex("04a1b2c3")
ANNA = RosterDriver(
    "driver-1", "17", "王师傅", stretch(CARD, SALT), PIN_SALT, stretch(b"4711", PIN_SALT)
)
NOBODY = RosterDriver("driver-2", "18", "", b"", b"", b"")
BOTH = Roster(SALT, [ANNA, NOBODY])
TO = (BOX.kid, BOX.public_bytes)
GRADED = Grade("driver-1", 5, "B", 700, {"km": 12.5, "idle_share": None}, "{}")


def test_a_box_reads_what_was_signed_for_it() -> None:
    assert open_roster(sign_roster(CORE, TO, BOTH, 7), VERIFY, BOX) == (7, BOTH)
    assert open_grade(sign_grade(CORE, TO, GRADED, 8), VERIFY, BOX) == (8, GRADED)


def test_the_broker_reads_no_name_and_no_pseudonym() -> None:
    message = sign_roster(CORE, TO, BOTH, 7) + sign_grade(CORE, TO, GRADED, 8)
    assert not any(word in message for word in (b"driver-1", "王师傅".encode(), CARD))


def test_a_card_is_found_among_all_and_a_pin_under_its_number() -> None:
    assert BOTH.by_card(CARD) is ANNA
    assert BOTH.by_card(CARD + b"\0") is None
    assert BOTH.by_pin("17", "4711") is ANNA
    assert BOTH.by_pin("17", "4712") is None
    assert BOTH.by_pin("99", "4711") is None
    assert BOTH.find("driver-2") is NOBODY


def test_who_has_neither_card_nor_pin_is_let_in_by_nothing() -> None:
    assert BOTH.by_card(b"") is None
    assert BOTH.by_pin("18", "") is None


@pytest.mark.parametrize(
    ("roster", "code"),
    [
        (Roster(b"short", [ANNA]), "roster-salt"),
        (Roster(SALT, [msgspec.structs.replace(ANNA, pin_salt=b"")]), "roster-salt"),
        (Roster(SALT, [msgspec.structs.replace(ANNA, card=b"1")]), "roster-hash"),
        (Roster(SALT, [ANNA, msgspec.structs.replace(NOBODY, number="17")]), "roster-twice"),
        (Roster(SALT, [ANNA, msgspec.structs.replace(NOBODY, subject="driver-1")]), "roster-twice"),
        (Roster(SALT, [ANNA, msgspec.structs.replace(NOBODY, card=ANNA.card)]), "roster-twice"),
    ],
)
def test_a_roster_that_would_let_the_wrong_one_in_is_not_signed(roster: Roster, code: str) -> None:
    with pytest.raises(LocalError) as refused:
        sign_roster(CORE, TO, roster, 1)
    assert refused.value.code == code


def test_what_is_for_another_box_or_by_another_hand_is_refused() -> None:
    good = sign_roster(CORE, TO, BOTH, 7)
    with pytest.raises(PeerError) as refused:
        open_roster(sign_roster(CORE, ("box-2", BOX.public_bytes), BOTH, 7), VERIFY, BOX)
    assert refused.value.code == "roster-device"
    for message, verify, identity in (
        (good, verifier(BOX.public_bytes), BOX),
        (good, VERIFY, OTHER),
        (sign_grade(CORE, TO, GRADED, 8), VERIFY, BOX),
    ):
        with pytest.raises(PeerError):
            open_roster(message, verify, identity)


@pytest.mark.parametrize(
    "changed", [{"seq": 0}, {"seq": True}, {"sealed": "text"}, {"more": 1}, {"type": "grade"}]
)
def test_a_signed_record_of_another_shape_is_refused(changed: dict[str, object]) -> None:
    record = {"type": "roster", "device": "box-1", "seq": 1, "sealed": b"", **changed}
    with pytest.raises(PeerError):
        open_roster(sign_evidence(CORE, record, ROSTER), VERIFY, BOX)


def test_a_seal_holds_for_one_number_alone() -> None:
    from edge.codec import decode
    from edge.seal import read_sign1

    record = decode(read_sign1(sign_roster(CORE, TO, BOTH, 7))[1])
    with pytest.raises(PeerError):
        open_roster(sign_evidence(CORE, {**record, "seq": 8}, ROSTER), VERIFY, BOX)


@given(st.binary(max_size=200))
def test_bytes_of_anybody_are_refused_by_name(message: bytes) -> None:
    with pytest.raises(PeerError):
        open_roster(message, VERIFY, BOX)
