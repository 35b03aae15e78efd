"""Claims about the figures: what devices say they lost is added up once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backend_sync.telemetry.report import totals
from backend_sync.telemetry.store import take_in
from tests.unit.backend_sync.telemetry.box import ORG, START_US, Box, Core, Message

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[Any]


def gap(box: Box, first: int, last: int, **more: Any) -> Message:
    record = {"type": "gap", "device": box.device, "epoch": 1, "first": first, "last": last}
    return box.evidence({**record, "head": box.heads[last], **more})


def test_a_gap_that_grew_is_counted_as_it_is_now(
    connection: Connection, core: Core, box: Box, other_box: Box
) -> None:
    start, *_ = box.drive(9)
    others, *_ = other_box.drive(4)
    arrivals = [
        start,
        gap(box, 1, 1, lost={"raw": 1}, reason="room"),
        gap(box, 1, 3, lost={"raw": 2, "trip": 1}, reason="room"),
        gap(box, 3, 3, lost={"trip": 1}, reason="room"),
        gap(box, 6, 7, lost={"event": 2}, reason="age"),
        others,
        gap(other_box, 1, 2, lost={"raw": 2}, reason="refused"),
    ]
    for arrival in arrivals:
        take_in(connection, core.ingest(), ORG, [arrival], START_US)
    assert totals(connection)["lost_by"] == {"raw": 4, "trip": 1, "event": 2}


def test_a_gap_that_says_nothing_or_nonsense_of_priorities_is_a_gap_all_the_same(
    connection: Connection, core: Core, box: Box
) -> None:
    start, *_ = box.drive(8)
    nonsense: list[Any] = [
        None,
        {"raw": -1},
        {"raw": "1"},
        {"gold": 1},
        {1: 1},
        [1],
        {"raw": 2**62},
    ]
    gaps = [gap(box, seq, seq, lost=lost) for seq, lost in enumerate(nonsense, start=1)]
    take_in(connection, core.ingest(), ORG, [start, *gaps, gap(box, 8, 8)], START_US)
    report = totals(connection)
    assert (report["lost"], report["lost_by"]) == (8, {})
