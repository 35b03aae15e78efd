"""Tests of what the speed of a trip adds up to: it must not matter where windows end."""

from __future__ import annotations

import pytest

from tests.unit.vehicle_gateway.yard import START_US
from vehicle_gateway.meter import Meter

TIMES = [START_US + place * 250_000 for place in range(80)]
SPEEDS = [place * 150 for place in range(80)]


def summary_of(*ends: int) -> dict[str, int]:
    """What the drive adds up to in windows that end before these samples."""
    meter, start = Meter((22, 6)), 0
    for end in (*ends, len(TIMES)):
        meter.add(TIMES[start:end], SPEEDS[start:end])
        start = end
    return meter.summary()


@pytest.mark.parametrize("ends", [(40,), (41,), (42, 43), tuple(range(1, 80))])
def test_a_second_that_the_end_of_a_window_cuts_counts_once(ends: tuple[int, ...]) -> None:
    assert summary_of(*ends) == summary_of()
