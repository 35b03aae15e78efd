"""Sentences of one instant belong together, in whatever order a receiver sends them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.codec import decode, encode
from tests.unit.vehicle_gateway.test_nmea_sentences import framed
from vehicle_gateway.nmea_epochs import Epoch, Epochs

if TYPE_CHECKING:
    from collections.abc import Callable


def rmc(second: int, status: str = "A") -> str:
    return f"GNRMC,0000{second:02d}.00,{status},2634.70,N,10642.81,E,9.5,70.0,020326,,,A,V"


def gga(second: int, quality: int = 1) -> str:
    return f"GNGGA,0000{second:02d}.00,2634.70,N,10642.81,E,{quality},14,0.8,1240.1,M,,M,,"


GSA_GPS = "GNGSA,A,3,13,14,,,,,,,,,,,1.5,0.9,1.2,1"
GSA_BEIDOU = "GNGSA,A,3,06,,,,,,,,,,,,1.5,0.9,1.2,4"
VTG = "GNVTG,70.0,T,,M,9.5,N,17.6,K,A"


def run(
    bodies: list[str], epochs: Epochs | None = None
) -> tuple[list[tuple[int, Epoch]], dict[str, int]]:
    """(place of the line that ended it, epoch) of each epoch."""
    epochs, counts = epochs or Epochs(), Counter[str]()
    found = [
        (place, epoch)
        for place, body in enumerate(bodies)
        for epoch in epochs.add(framed(body), place, counts)
    ]
    return found, dict(counts)


@pytest.mark.parametrize(
    "cycle",
    [
        lambda n: [rmc(n), gga(n), GSA_GPS, GSA_BEIDOU],
        lambda n: [gga(n), GSA_GPS, GSA_BEIDOU, rmc(n), VTG],
        lambda n: [VTG, gga(n), rmc(n)],
        lambda n: [rmc(n)],
        lambda n: [gga(n), "GPGSV,1,1,01,14,79,041,29,1", VTG],
    ],
)
def test_the_sentences_of_a_second_become_one_epoch_in_any_order(
    cycle: Callable[[int], list[str]],
) -> None:
    bodies = [body for second in range(10) for body in cycle(second)]
    found, counts = run(bodies)
    times = [epoch.time_us for _, epoch in found]
    assert times == [second * 1_000_000 for second in range(10)]
    assert not counts
    length = len(cycle(0))
    # The first epoch ends with the next one; from then on the cycle is known.
    assert [place for place, _ in found[1:]] == [*range(2 * length - 1, 10 * length, length)]
    assert [epoch.at_us for _, epoch in found] == [*range(0, 10 * length, length)]


def test_the_view_of_the_sky_goes_with_the_epoch_that_ends_after_it() -> None:
    gsv = "GPGSV,1,1,01,14,79,041,29,1"
    found, _ = run([rmc(0), gsv, rmc(1), gsv, rmc(2)])
    assert [epoch.view for _, epoch in found] == [{("gps", 14): 29}, {}, {("gps", 14): 29}]


def test_a_receiver_without_time_still_has_epochs() -> None:
    nothing = ["GPGGA,,,,,,0,,,,M,,M,,", "GPGLL,,,,,,V,N", "GPRMC,,V,,,,,,,,,,N"]
    found, counts = run(nothing * 5)
    assert len(found) == 5
    assert {epoch.fix for _, epoch in found} == {0}
    assert not counts


def test_a_lost_sentence_costs_that_epoch_nothing_but_what_it_said() -> None:
    bodies = [body for n in range(6) for body in (rmc(n), gga(n)) if body != gga(3)]
    found, _ = run(bodies)
    assert [epoch.time_us for _, epoch in found] == [n * 1_000_000 for n in range(6)]
    assert [("hdop" in epoch.numbers) for _, epoch in found] == [True] * 3 + [False] + [True] * 2


def test_a_receiver_that_hangs_gives_one_epoch_and_a_count() -> None:
    found, counts = run([rmc(0), gga(0)] * 5 + [rmc(1)])
    assert [epoch.time_us for _, epoch in found] == [0]
    assert counts == {"nmea-repeated": 8}


def test_one_honest_sentence_is_enough() -> None:
    # The derived track of a real car: GGA says quality 1, RMC says V.
    found, _ = run([rmc(0, "V"), gga(0), rmc(1), gga(1), rmc(2)])
    assert [epoch.fix for _, epoch in found] == [0, 3]


@pytest.mark.parametrize(
    ("bodies", "fix"),
    [
        ([rmc(0)], 2),
        ([rmc(0), gga(0)], 3),
        ([rmc(0), gga(0), "GNGSA,A,2,13,14,06,,,,,,,,,,,,"], 2),
        ([rmc(0), "GNGSA,A,3,13,,,,,,,,,,,,,,", "GNGSA,A,1,,,,,,,,,,,,,,,"], 3),
        ([gga(0, 6)], 1),
        ([gga(0, 8)], 0),
        ([VTG.replace(",A", "")], None),
    ],
)
def test_the_fix_is_what_the_sentences_bear_out(bodies: list[str], fix: int | None) -> None:
    found, _ = run([*bodies, *(body.replace(",000000", ",000001") for body in bodies)])
    assert found[0][1].fix == fix


@given(st.integers(0, 19))
def test_a_restart_at_any_line_changes_nothing(cut: int) -> None:
    bodies = [body for n in range(4) for body in (rmc(n), gga(n), GSA_GPS, GSA_BEIDOU, VTG)]
    whole, _ = run(bodies)
    first = Epochs()
    before, _ = run(bodies[:cut], first)
    second = Epochs()
    second.restore(decode(encode(first.state())))
    after, _ = run(bodies[cut:], second)
    said = [(epoch.numbers, epoch.place, epoch.used) for _, epoch in before + after]
    assert said == [(epoch.numbers, epoch.place, epoch.used) for _, epoch in whole]


@given(st.lists(st.binary(max_size=80) | st.sampled_from([framed(rmc(1)), framed(gga(2))])))
def test_arbitrary_lines_never_raise(lines: list[bytes]) -> None:
    epochs, counts = Epochs(), Counter[str]()
    for place, line in enumerate(lines):
        epochs.add(line, place, counts)
    encode(epochs.state())
