"""Questions on a bus: to whoever claims the answer, and none on a bus that sleeps."""

from __future__ import annotations

from hardware.drivers.asking import PROBE_US, SILENT_US, Asking

QUESTION = (0x7DF, b"\x02\x01\x00")


class Asker:
    """Asks each time and writes down what it hears."""

    def __init__(self, claimed: int) -> None:
        self.claimed = claimed
        self.heard_ids: list[int] = []
        self.counts = {"odd": 1}

    def due(self, now_us: int) -> list[tuple[int, bytes]]:
        del now_us
        return [QUESTION]

    def pause(self, *, paused: bool) -> None:
        del paused

    def claims(self, can_id: int) -> bool:
        return can_id == self.claimed

    def heard(self, can_id: int, payload: bytes, now_us: int) -> None:
        del payload, now_us
        self.heard_ids.append(can_id)


def test_each_hears_what_it_claims() -> None:
    engine, doors = Asker(0x7E8), Asker(0x758)
    asking = Asking([engine, doors])
    for can_id in (0x7E8, 0x123, 0x758):
        asking.heard(can_id, b"", 0)
    assert (engine.heard_ids, doors.heard_ids) == ([0x7E8], [0x758])
    assert asking.due(0) == [QUESTION, QUESTION]


def test_what_was_odd_is_added_up() -> None:
    assert Asking([Asker(1), Asker(2)]).counts == {"odd": 2}


def test_nobody_asks_where_there_is_no_requester() -> None:
    assert not Asking([])
    assert Asking([]).due(0) == []


def test_a_bus_that_sleeps_is_tried_every_five_minutes_only() -> None:
    asking = Asking([Asker(0x7E8)])
    asked = [now_us for now_us in range(0, 3 * PROBE_US, 1_000_000) if asking.due(now_us)]
    asleep = [now_us for now_us in asked if now_us >= SILENT_US]
    assert len(asked) - len(asleep) == SILENT_US // 1_000_000
    assert asleep == [SILENT_US, SILENT_US + PROBE_US, SILENT_US + 2 * PROBE_US]


def test_any_frame_wakes_it() -> None:
    asking = Asking([Asker(0x7E8)])
    for now_us in (0, SILENT_US):
        assert asking.due(now_us)
    assert not asking.due(SILENT_US + 1)
    asking.heard(0x123, b"", SILENT_US + 2)
    assert asking.due(SILENT_US + 3)
