"""Tests of places: what a campaign may say of geography, and what is refused with a reason."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.errors import LocalError
from vehicle_gateway.places import POINTS_MAX, Places, check

SOURCE = "Survey of the county's road bureau, 2026"
LINE = [(26_578_300, 106_713_500), (26_588_300, 106_713_500)]
AREA = [*LINE, (26_588_300, 106_723_500)]


def one(sort: str, **fields: Any) -> Places:
    """Places with one place, as a campaign would spell it."""
    text = msgspec.json.encode({sort: [{"name": "one", "source": SOURCE, **fields}]})
    return msgspec.json.decode(text, type=Places)


GOOD = {
    "a road with a limit": one("limits", line=LINE, width_m=20, kmh=60, night_kmh=40),
    "an area without marks": one("limits", area=AREA),
    "a corridor": one("corridors", line=LINE, leave_m=100, return_m=60),
    "a ban along a road": one("bans", line=LINE, width_m=30, road_class="grade 3"),
    "a ban in an area": one("bans", area=AREA, road_class="grade 4"),
    "a circle": one("fences", centre=LINE[0], radius_m=150),
    "an area across the 180th meridian": one(
        "fences", area=[(0, 179_999_000), (0, -179_999_000), (1_000, 179_999_500)]
    ),
    "nothing at all": Places(),
}
BAD = {
    "a road of no width": (one("limits", line=LINE, kmh=60), "width_m"),
    "an area with a width": (one("limits", area=AREA, width_m=20, kmh=60), "width_m"),
    "neither line nor area": (one("limits", kmh=60), "either a line or an area"),
    "both line and area": (one("limits", line=LINE, area=AREA, width_m=9, kmh=60), "either"),
    "a limit of 900 km/h": (one("limits", area=AREA, kmh=900), "km/h"),
    "a limit for the night alone": (one("limits", area=AREA, night_kmh=40), "night"),
    "a line of one point": (one("limits", line=LINE[:1], width_m=20, kmh=60), "points"),
    "degrees instead of millionths": (
        one("limits", line=[(126_578_300, 26), (126_578_300, 27)], width_m=20, kmh=60),
        "off the map",
    ),
    "a place as wide as a continent": (
        one("fences", area=[(0, 0), (0, 60_000_000), (9, 30_000_000)]),
        "ten degrees",
    ),
    "a corridor that is too narrow": (
        one("corridors", line=LINE, leave_m=40, return_m=30),
        "leave_m",
    ),
    "a corridor without hysteresis": (
        one("corridors", line=LINE, leave_m=100, return_m=100),
        "return_m",
    ),
    "a ban without a class": (one("bans", area=AREA, road_class=" "), "road class"),
    "a circle without a radius": (one("fences", centre=LINE[0]), "radius_m"),
    "a fence of no shape": (one("fences"), "either an area or a centre"),
    "a place without a name": (one("fences", centre=LINE[0], radius_m=50, name=" "), "name"),
    "a place without a source": (
        one("fences", centre=LINE[0], radius_m=50, source="said so"),
        "source",
    ),
    "two places of one name": (
        Places(limits=one("limits", area=AREA, kmh=60).limits * 2),
        "same name",
    ),
    "too many points": (
        Places(
            limits=[
                msgspec.structs.replace(
                    one("limits", line=LINE, width_m=20, kmh=60).limits[0],
                    name=f"road {number}",
                    line=LINE * 2_000,
                )
                for number in range(POINTS_MAX // 4_000 + 1)
            ]
        ),
        "points in all",
    ),
}


@pytest.mark.parametrize("places", GOOD.values(), ids=GOOD.keys())
def test_a_campaign_may_have(places: Places) -> None:
    check(places)


@pytest.mark.parametrize(("places", "why"), BAD.values(), ids=BAD.keys())
def test_a_campaign_is_refused_for(places: Places, why: str) -> None:
    with pytest.raises(LocalError, match=why) as refused:
        check(places)
    assert refused.value.code == "places-refused"


def test_a_field_that_nobody_knows_is_no_place() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"roads": []}', type=Places)


def test_a_fraction_of_a_degree_is_no_point() -> None:
    text = (
        b'{"fences": [{"name": "a", "source": "a map", "centre": [26.5783, 106.7], "radius_m": 9}]}'
    )
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Places)
