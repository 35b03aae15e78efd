"""Claims about exceptions: raised once, whatever repeats, and never forgotten."""

from __future__ import annotations

from backend_sync.core.exceptions import Raised, raise_exceptions
from tests.unit.backend_sync.core.village import NOW_US, Village


def test_the_same_exception_again_changes_nothing(village: Village) -> None:
    raised = Raised("suspense", "op", "kiosk-1", "first", 100)
    raise_exceptions(village.connection, [raised], NOW_US)
    again = Raised("suspense", "op", "kiosk-1", "second", 200)
    raise_exceptions(village.connection, [again, again], NOW_US + 1)
    rows = village.connection.execute("SELECT reason, amount_fen, opened_us FROM exceptions")
    assert rows.fetchall() == [("first", 100, NOW_US)]


def test_another_kind_or_subject_is_another_exception(village: Village) -> None:
    each = [Raised("fork", "a", None, "x"), Raised("fork", "b", None, "x")]
    raise_exceptions(village.connection, [*each, Raised("rollback", "a", None, "x")], NOW_US)
    assert village.number("SELECT count(*) FROM exceptions") == 3


def test_nothing_raised_is_nothing_done(village: Village) -> None:
    raise_exceptions(village.connection, [], NOW_US)
    assert village.number("SELECT count(*) FROM exceptions") == 0
