"""Tests of what a box keeps of its drivers: the newest word of the core, sealed."""

from __future__ import annotations

import pytest

from edge.drivers import Grade, Roster, RosterDriver, sign_grade, sign_roster, stretch
from edge.errors import PeerError
from tests.unit.vehicle_gateway.yard import DEVICE, Box, Core
from vehicle_gateway.roster import GRADES_MAX, RosterBook

SALT = b"s" * 16
WANG = RosterDriver("driver-1", "17", "王师傅", stretch(b"\1\2", SALT), b"", b"")


def book_of(box: Box) -> RosterBook:
    box.open()
    assert box.store is not None
    return RosterBook(box.store, box.identity, box.secret)


def roster(core: Core, box: Box, seq: int, *drivers: RosterDriver) -> bytes:
    return sign_roster(
        core.signer, (DEVICE, box.identity.public_bytes), Roster(SALT, [*drivers]), seq
    )


def grade(core: Core, box: Box, seq: int, subject: str = "driver-1") -> bytes:
    told = Grade(subject, seq, "B", 700, {"km": 1.0}, "{}")
    return sign_grade(core.signer, (DEVICE, box.identity.public_bytes), told, seq)


def test_a_newer_roster_replaces_the_older_and_an_older_one_is_refused(
    box: Box, core: Core
) -> None:
    book = book_of(box)
    assert book.roster() is None
    assert book.take_roster(roster(core, box, 5, WANG), core.verify)
    assert not book.take_roster(roster(core, box, 5, WANG), core.verify)
    assert book.take_roster(roster(core, box, 6), core.verify)
    with pytest.raises(PeerError) as refused:
        book.take_roster(roster(core, box, 5, WANG), core.verify)
    assert refused.value.code == "roster-older"
    assert book_of(box).roster() == Roster(SALT, [])


def test_each_driver_has_one_official_grade(box: Box, core: Core) -> None:
    book = book_of(box)
    assert book.take_grade(grade(core, box, 5), core.verify)
    assert book.take_grade(grade(core, box, 6), core.verify)
    assert book.take_grade(grade(core, box, 2, "driver-2"), core.verify)
    stands = book.grade("driver-1")
    assert stands is not None
    assert stands.as_of_us == 6
    book.forget("driver-1")
    assert book.grade("driver-1") is None
    assert book.grade("driver-2") is not None


def test_only_so_many_grades_are_kept_the_newest(box: Box, core: Core) -> None:
    book = book_of(box)
    book.take_roster(roster(core, box, 1, WANG), core.verify)
    for seq in range(1, GRADES_MAX + 3):
        book.take_grade(grade(core, box, seq, f"d-{seq}"), core.verify)
    assert book.grade("d-2") is None
    assert book.grade("d-3") is not None
    assert book.roster() is not None


def test_no_file_of_the_box_names_who_may_sign_in(box: Box, core: Core) -> None:
    book = book_of(box)
    book.take_roster(roster(core, box, 5, WANG), core.verify)
    book.take_grade(grade(core, box, 5), core.verify)
    box.cut_power()
    content = b"".join(path.read_bytes() for path in box.folder.rglob("*") if path.is_file())
    assert b"driver-1" not in content
    assert "王师傅".encode() not in content
    assert WANG.card not in content
