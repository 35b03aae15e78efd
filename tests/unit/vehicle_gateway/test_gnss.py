"""The quality gate of positions: what no fix stands behind is absence."""

from __future__ import annotations

from collections import Counter

import pytest

from edge.catalogue import signal
from edge.errors import LocalError
from vehicle_gateway.columns import Columns
from vehicle_gateway.gnss import (
    ALTITUDE,
    FIX,
    HDOP,
    LATITUDE,
    LONGITUDE,
    SATELLITES,
    SPEED,
    Gate,
)

HEADING = "Vehicle.CurrentLocation.Heading"
GUIYANG = {LATITUDE: 26_578_300, LONGITUDE: 106_713_500}


def column(place: int, **values: int | None) -> Columns:
    """One frame of a message at a place of the chunk."""
    series = {signal(path).id: [value] for path, value in values.items()}
    return Columns([place], [place * 1_000], series)


def gated(
    *columns: Columns, gate: Gate | None = None
) -> tuple[list[dict[str, int | None]], dict[str, int]]:
    counts: Counter[str] = Counter()
    (gate or Gate(has_fix=True)).apply(columns, counts)
    paths = (FIX, SATELLITES, HDOP, LATITUDE, LONGITUDE, ALTITUDE, SPEED, HEADING)
    names = {signal(path).id: path for path in paths}
    found = [{names[key]: values[0] for key, values in each.series.items()} for each in columns]
    return found, dict(counts)


def test_a_real_receiver_without_a_fix_gives_no_place() -> None:
    # Measured: PositionValid = 1, fix 0, no satellites, altitude -5,400 m.
    status, position = column(0, **{FIX: 0}), column(1, **GUIYANG)
    altitude, speed = column(2, **{ALTITUDE: -54_000}), column(3, **{SPEED: 38})
    found, counts = gated(status, position, altitude, speed)
    assert found == [{FIX: 0}, {LATITUDE: None, LONGITUDE: None}, {ALTITUDE: None}, {SPEED: None}]
    assert counts == {"gnss-no-fix": 3}


@pytest.mark.parametrize(
    ("fix", "is_place"), [(0, False), (1, False), (2, True), (3, True), (4, True), (5, False)]
)
def test_only_fixes_of_position_give_a_place(fix: int, *, is_place: bool) -> None:
    found, counts = gated(column(0, **{FIX: fix}), column(1, **GUIYANG))
    assert found[1] == (GUIYANG if is_place else dict.fromkeys(GUIYANG))
    assert counts == ({} if is_place else {"gnss-no-fix": 1})


def test_before_the_first_status_there_is_no_place() -> None:
    found, counts = gated(column(0, **GUIYANG), column(1, **{FIX: 3}))
    assert found[0] == dict.fromkeys(GUIYANG)
    assert counts == {"gnss-no-fix": 1}


def test_the_current_fix_is_that_of_the_order_of_arrival() -> None:
    status = Columns([0, 2, 4], [9, 9, 9], {signal(FIX).id: [3, 0, 3]})
    place = Columns([1, 3, 5], [1, 1, 1], {signal(LATITUDE).id: [10, 20, 30]})
    gated(status, place)
    assert place.series == {signal(LATITUDE).id: [10, None, 30]}


def test_the_last_fix_holds_in_the_next_chunk_and_after_a_restart() -> None:
    gate = Gate(has_fix=True)
    gated(column(0, **{FIX: 3}), gate=gate)
    assert gated(column(0, **GUIYANG), gate=gate)[0] == [GUIYANG]
    later = Gate(has_fix=True)
    later.restore(gate.state())
    assert gated(column(0, **GUIYANG), gate=later)[0] == [GUIYANG]


@pytest.mark.parametrize("raw", [-5_001, 90_001, -54_000])
def test_an_altitude_that_is_nowhere_blanks_itself_and_the_places_after_it(raw: int) -> None:
    gate = Gate(has_fix=True)
    found, counts = gated(
        column(0, **{FIX: 3}), column(1, **{ALTITUDE: raw}), column(2, **GUIYANG), gate=gate
    )
    assert found[1:] == [{ALTITUDE: None}, dict.fromkeys(GUIYANG)]
    assert counts == {"gnss-implausible": 2}
    assert gated(column(0, **GUIYANG), gate=gate)[0] == [dict.fromkeys(GUIYANG)]
    found, _ = gated(column(0, **{ALTITUDE: 12_000}), column(1, **GUIYANG), gate=gate)
    assert found == [{ALTITUDE: 12_000}, GUIYANG]


@pytest.mark.parametrize("raw", [-5_000, 0, 90_000])
def test_an_altitude_on_earth_stays(raw: int) -> None:
    found, counts = gated(column(0, **{FIX: 3}), column(1, **{ALTITUDE: raw}))
    assert (found[1], counts) == ({ALTITUDE: raw}, {})


@pytest.mark.parametrize(
    ("latitude", "longitude"), [(90_000_001, 0), (-90_000_001, 0), (0, 180_000_001)]
)
def test_coordinates_off_the_earth_are_no_place(latitude: int, longitude: int) -> None:
    found, counts = gated(
        column(0, **{FIX: 3}), column(1, **{LATITUDE: latitude, LONGITUDE: longitude})
    )
    assert found[1] == {LATITUDE: None, LONGITUDE: None}
    assert counts == {"gnss-implausible": 1}


def test_without_a_fix_type_in_the_profile_flag_and_range_decide() -> None:
    found, counts = gated(column(0, **GUIYANG), gate=Gate(has_fix=False))
    assert (found, counts) == ([GUIYANG], {})


def test_what_the_flag_took_already_is_not_counted_again() -> None:
    status, position = column(0, **{FIX: 0}), column(1, **dict.fromkeys(GUIYANG))
    assert gated(status, position)[1] == {}


def test_the_heading_is_not_a_place() -> None:
    assert gated(column(0, **{FIX: 0}), column(1, **{HEADING: 900}))[0][1] == {HEADING: 900}


def row(second: int, latitude: int, **more: int | None) -> Columns:
    """All of a second in one message, as a receiver on a line gives it."""
    values = {FIX: 3, LATITUDE: latitude, LONGITUDE: 106_713_500, **more}
    series = {signal(path).id: [value] for path, value in values.items()}
    return Columns([second], [second * 1_000_000], series)


def latitudes(*rows: Columns, gate: Gate | None = None) -> tuple[list[int | None], dict[str, int]]:
    found, counts = gated(*rows, gate=gate or Gate(has_fix=True))
    return [each[LATITUDE] for each in found], counts


def test_a_fix_of_two_satellites_is_none_and_one_of_three_is_believed() -> None:
    found = latitudes(row(0, 26_578_300, **{SATELLITES: 2}), row(1, 26_578_310, **{SATELLITES: 3}))
    assert found == ([None, 26_578_310], {"gnss-weak": 1})


def test_a_fix_that_is_too_diluted_is_no_place() -> None:
    # The last fix of a real receiver before it lost the sky had 10.16.
    found = latitudes(row(0, 26_578_300, **{HDOP: 1_016}), row(1, 26_578_310, **{HDOP: 1_000}))
    assert found == ([None, 26_578_310], {"gnss-weak": 1})


def test_the_last_quality_holds_for_messages_without_one() -> None:
    gate = Gate(has_fix=True)
    latitudes(row(0, 26_578_300, **{SATELLITES: 2}), gate=gate)
    later = Gate(has_fix=True)
    later.restore(gate.state())
    assert latitudes(row(1, 26_578_310), gate=later) == ([None], {"gnss-weak": 1})


def test_a_status_that_is_no_longer_sent_does_not_vouch_for_ever() -> None:
    gate = Gate(has_fix=True)
    gated(column(0, **{FIX: 3}), gate=gate)
    position = Columns([0, 1], [10_000_000, 10_000_001], {signal(LATITUDE).id: [1, 2]})
    _, counts = gated(position, gate=gate)
    assert position.series == {signal(LATITUDE).id: [1, None]}
    assert counts == {"gnss-stale": 1}


def test_a_place_where_the_vehicle_cannot_be_is_no_place() -> None:
    # A hundredth of a degree is 1.1 km; a second allows 170 m.
    found = latitudes(row(0, 26_578_300), row(1, 26_588_300), row(2, 26_578_500))
    assert found == ([26_578_300, None, 26_578_500], {"gnss-jump": 1})


def test_a_receiver_that_names_a_fix_once_must_name_one_from_then_on() -> None:
    gate = Gate(has_fix=False)
    gated(column(0, **{FIX: 0}), gate=gate)
    later = Gate(has_fix=False)
    later.restore(gate.state())
    assert gated(column(1, **GUIYANG), gate=later)[0] == [dict.fromkeys(GUIYANG)]


@pytest.mark.parametrize(
    "state", [{"fix": "none"}, {"fix": None}, {"way": [1, 2]}, {"way": ["x"] * 5}, 3]
)
def test_a_damaged_state_is_refused(state: dict[str, int]) -> None:
    with pytest.raises(LocalError, match="GNSS state is damaged"):
        Gate(has_fix=True).restore(state)
