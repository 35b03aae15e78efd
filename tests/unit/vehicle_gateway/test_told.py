"""A snapshot is told once, again when it changes and after ten minutes."""

from __future__ import annotations

from typing import Any

import pytest

from edge.codec import decode, encode
from edge.errors import LocalError
from vehicle_gateway.told import AGAIN_US, KEYS_MAX, Told


def dtc(at_us: int, *codes: str, ecu: str = "7EC") -> dict[str, Any]:
    return {"kind": "dtc", "at_us": at_us, "ecu": ecu, "status": "stored", "codes": list(codes)}


def test_what_is_unchanged_is_told_again_after_ten_minutes_only() -> None:
    told = Told()
    times = [1, 2, AGAIN_US, AGAIN_US + 1, AGAIN_US + 2]
    assert [told.is_news(dtc(at)) for at in times] == [True, False, False, True, False]


def test_a_change_is_news_at_once_and_each_computer_has_its_own() -> None:
    told = Told()
    assert told.is_news(dtc(1, "P0300"))
    assert told.is_news(dtc(2, "P0300", "P0301"))
    assert told.is_news(dtc(3, "P0300"))
    assert told.is_news(dtc(4, "P0300", ecu="7BB"))
    assert not told.is_news(dtc(5, "P0300"))


def test_parts_of_one_computer_are_told_apart() -> None:
    told = Told()
    for part in ("F188", "F195", "F188", "F195"):
        last = told.is_news(dtc(1, part), part)
    assert not last


def test_a_clock_that_went_back_is_news() -> None:
    told = Told()
    assert told.is_news(dtc(AGAIN_US))
    assert told.is_news(dtc(1))


def test_what_was_told_survives_a_restart() -> None:
    told, after = Told(), Told()
    assert told.is_news(dtc(1))
    after.restore(decode(encode(told.state())))
    assert not after.is_news(dtc(2))


def test_a_flood_of_computers_keeps_a_bounded_number() -> None:
    told = Told()
    for number in range(KEYS_MAX + 10):
        told.is_news(dtc(1, ecu=str(number)))
    assert len(told.state()) == KEYS_MAX
    assert not told.is_news(dtc(2, ecu=str(KEYS_MAX)))
    assert told.is_news(dtc(2, ecu="0"))


@pytest.mark.parametrize("state", [{"a": 1}, {"a": ["x", b""]}, {"a": [1, "x"]}, []])
def test_a_damaged_state_is_refused(state: Any) -> None:
    with pytest.raises(LocalError):
        Told().restore(state)
