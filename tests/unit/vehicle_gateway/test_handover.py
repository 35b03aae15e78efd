"""Tests of moving between brokers: patience, the way back, and one broker alone."""

from __future__ import annotations

from vehicle_gateway.handover import PATIENCE_US, RETURN_US, HandOver

SECOND = 1_000_000


def moves(over: HandOver, seconds: int, alive: set[int], start_s: int = 0) -> list[tuple[int, int]]:
    """(second, broker) of every move, where the brokers of `alive` take the box in at once."""
    found = []
    for second in range(start_s, start_s + seconds):
        place = over.due(is_connected=over.current in alive, now_us=second * SECOND)
        if place is not None:
            found.append((second, place))
    return found


def test_a_broker_that_is_there_is_kept_for_ever() -> None:
    assert moves(HandOver(3, 0), 100_000, alive={0, 1, 2}) == []


def test_after_a_minute_without_a_connection_the_next_is_tried_and_so_on_round() -> None:
    assert moves(HandOver(3, 0), 200, alive=set()) == [(60, 1), (120, 2), (180, 0)]


def test_the_first_is_tried_again_after_half_an_hour_and_then_ever_more_rarely() -> None:
    found = moves(HandOver(2, 0), 16_000, alive={1})
    away = [second for second, place in found if place == 1]
    back = [second for second, place in found if place == 0]
    assert away[0] == PATIENCE_US // SECOND
    gaps = [b - a for a, b in zip(away, back, strict=False)]
    assert gaps[:3] == [RETURN_US // SECOND, 2 * RETURN_US // SECOND, 4 * RETURN_US // SECOND]


def test_back_at_the_first_the_next_absence_is_short_again() -> None:
    over = HandOver(2, 0)
    moves(over, 6_000, alive={1})
    found = moves(over, 7_000, alive={0, 1}, start_s=6_000)
    assert over.current == 0
    later = moves(over, 3_000, alive={1}, start_s=13_000)
    assert [place for _, place in later][:2] == [1, 0]
    assert later[1][0] - later[0][0] == RETURN_US // SECOND
    assert len(found) <= 1


def test_a_single_broker_is_approached_anew() -> None:
    assert moves(HandOver(1, 0), 125, alive=set()) == [(60, 0), (120, 0)]
