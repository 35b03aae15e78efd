"""Claims about the points table: what it accepts, and where each value falls."""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import LocalError
from edge.points import UNRATED, read_table, score_of, shipped_table


def document() -> dict[str, Any]:
    place = resources.files("edge").joinpath("driver_points.json")
    loaded: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return loaded


def refusal(changed: dict[str, Any]) -> str:
    with pytest.raises(LocalError) as caught:
        read_table(json.dumps(changed).encode())
    return caught.value.code


def test_the_shipped_table_is_valid_and_names_source_and_date() -> None:
    table = shipped_table()
    assert table.source
    assert table.date
    assert [cut.grade for cut in table.grades] == ["A", "B", "C", "D", "E"]


def test_the_hash_is_that_of_the_exact_bytes() -> None:
    raw = json.dumps(document()).encode()
    assert read_table(raw).sha256 != read_table(raw + b"\n").sha256


@given(st.one_of(st.none(), st.floats()))
def test_every_value_falls_into_exactly_one_bin(value: float | None) -> None:
    for feature in shipped_table().features:
        placed = feature.place(value)
        if value is None or not math.isfinite(value):
            assert placed is feature.missing
        else:
            assert placed in feature.bins


def test_an_edge_belongs_to_the_bin_above_it() -> None:
    feature = shipped_table().features[0]
    edge = feature.bins[0].below
    assert edge is not None
    assert feature.place(edge) is feature.bins[1]
    assert feature.place(math.nextafter(edge, -math.inf)) is feature.bins[0]


def test_no_more_harm_ever_gives_more_points() -> None:
    for feature in shipped_table().features:
        points = [each.points for each in feature.bins]
        rises = feature.name == "km"
        assert points == sorted(points, reverse=not rises)


def test_few_known_features_are_unrated_and_not_the_worst_grade() -> None:
    table = shipped_table()
    assert table.grade_of(table.base, table.known_features_min - 1) == UNRATED
    assert table.grade_of(-10_000, table.known_features_min) == "E"


def test_a_cut_off_belongs_to_the_better_grade() -> None:
    table = shipped_table()
    assert table.grade_of(760, 6) == "A"
    assert table.grade_of(759, 6) == "B"


def test_an_unknown_key_is_refused() -> None:
    changed = document()
    changed["bonus"] = 1
    assert refusal(changed) == "points-shape"


def test_a_fractional_point_is_refused() -> None:
    changed = document()
    changed["features"][0]["bins"][0]["points"] = 1.5
    assert refusal(changed) == "points-shape"


def test_falling_edges_are_refused() -> None:
    changed = document()
    changed["features"][0]["bins"][1]["below"] = 0.5
    assert refusal(changed) == "points-edges"


def test_a_closed_last_bin_is_refused() -> None:
    changed = document()
    changed["features"][0]["bins"][-1]["below"] = 99.0
    assert refusal(changed) == "points-open"


def test_an_open_middle_bin_is_refused() -> None:
    changed = document()
    changed["features"][0]["bins"][1]["below"] = None
    assert refusal(changed) == "points-edges"


def test_a_missing_translation_is_refused() -> None:
    changed = document()
    changed["features"][1]["missing"]["zh"] = ""
    assert refusal(changed) == "points-text"


def test_a_repeated_feature_is_refused() -> None:
    changed = document()
    changed["features"].append(changed["features"][0])
    assert refusal(changed) == "points-names"


def test_grades_out_of_order_are_refused() -> None:
    changed = document()
    changed["grades"][0]["score_min"] = 1
    assert refusal(changed) == "points-cuts"


def test_two_open_grades_are_refused() -> None:
    changed = document()
    changed["grades"][1]["score_min"] = None
    assert refusal(changed) == "points-open"


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(LocalError, match="cannot be read"):
        read_table(b"{")
    with pytest.raises(LocalError, match="1 MB"):
        read_table(b" " * 1_000_001)


# ------------------------------------------------------------------ reasons and advice
GENTLE: dict[str, float | None] = {
    "harsh_brakes_per_100km": 4.0, "harsh_accelerations_per_100km": 0.0, "overspeed_share": 0.06,
    "idle_share": 0.05, "night_share": 0.0, "km": 40.0,
}  # fmt: skip


def test_base_and_the_points_of_all_reasons_are_the_score() -> None:
    table = shipped_table()
    scored = score_of(table, GENTLE)
    assert scored.score == table.base + sum(each.placed.points for each in scored.reasons)
    assert scored.grade == table.grade_of(scored.score, 6)


def test_what_costs_most_comes_first_and_says_what_would_raise_it() -> None:
    first, second = score_of(shipped_table(), GENTLE).costly(2)
    assert (first.feature, first.cost, first.raise_points, first.raise_below) == (
        *("overspeed_share", 160),
        *(60, 0.05),
    )
    assert (second.feature, second.cost, second.raise_points, second.raise_below) == (
        *("harsh_brakes_per_100km", 70),
        *(40, 3.0),
    )


def test_nobody_is_told_to_drive_farther_and_nothing_unknown_is_advice() -> None:
    missing = score_of(shipped_table(), {"km": 1.0})
    assert missing.costly(6) == []
    assert missing.grade == UNRATED


def test_the_best_there_is_needs_no_advice() -> None:
    best = {**GENTLE, "harsh_brakes_per_100km": 0.0, "overspeed_share": 0.0, "km": 5_000.0}
    assert score_of(shipped_table(), best).costly(6) == []


def test_a_table_that_ends_within_a_character_is_refused() -> None:
    with pytest.raises(LocalError) as caught:
        read_table(b'{"id": "\xec')
    assert caught.value.code == "points-shape"
