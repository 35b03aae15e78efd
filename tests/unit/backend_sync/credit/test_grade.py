"""Claims about a grade: reasons add up, and a decision can be repeated by anyone."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_sync.credit.consent import DRIVING_GRADE, Consent
from backend_sync.credit.grade import encode_record, grade_driver, record_id, replay_decision
from edge.errors import PeerError
from edge.points import UNRATED, shipped_table

CONSENT = Consent("driver-1", DRIVING_GRADE, "aa" * 32, "zh", 1, 10**16, withdrawn=False)
CAREFUL: dict[str, float | None] = {
    "km": 2_500.0,
    "hours": 60.0,
    "harsh_brakes_per_100km": 0.4,
    "harsh_accelerations_per_100km": 0.2,
    "overspeed_share": 0.0,
    "idle_share": 0.05,
    "night_share": 0.0,
}


def grade(features: dict[str, float | None], consent: Consent | None = CONSENT) -> dict[str, Any]:
    return grade_driver(
        shipped_table(),
        features,
        subject="driver-1",
        as_of_us=1_700_000_000_000_000,
        consent=consent,
    )


values = st.one_of(st.none(), st.floats())


@given(st.fixed_dictionaries(dict.fromkeys(CAREFUL, values)))
def test_base_and_reasons_add_up_to_the_score(features: dict[str, float | None]) -> None:
    record = grade(features)
    assert record["base"] + sum(r["points"] for r in record["reasons"]) == record["score"]
    assert len(record["reasons"]) == len(shipped_table().features)


def test_the_worked_example_of_the_documentation() -> None:
    record = grade(CAREFUL)
    assert [r["points"] for r in record["reasons"]] == [90, 60, 100, 30, 40, 60]
    assert (record["base"], record["score"], record["grade"]) == (500, 880, "A")


def test_a_careless_driver_gets_the_lowest_grade_with_reasons_in_both_languages() -> None:
    record = grade(
        {
            **CAREFUL,
            "harsh_brakes_per_100km": 40.0,
            "overspeed_share": 0.5,
            "km": 20.0,
            "harsh_accelerations_per_100km": 40.0,
            "night_share": 0.9,
            "idle_share": 0.9,
        }
    )
    assert record["grade"] == "E"
    assert all(r["zh"] and r["en"] for r in record["reasons"])


def test_without_consent_every_feature_is_missing_and_the_grade_is_none_of_the_five() -> None:
    record = grade(CAREFUL, consent=None)
    assert all(r["value"] is None for r in record["reasons"])
    assert record["inputs"] == dict.fromkeys(record["inputs"])
    assert record["grade"] == UNRATED
    assert record["consent"] is None


def test_a_decision_replays_after_a_journey_through_json() -> None:
    record = grade(CAREFUL)
    loaded = json.loads(encode_record(record))
    assert replay_decision(loaded, shipped_table()) == record
    assert record_id(loaded) == record_id(record)


@pytest.mark.parametrize("field", ["score", "grade", "base"])
def test_a_changed_decision_does_not_replay(field: str) -> None:
    record = {**grade(CAREFUL), field: "A+" if field == "grade" else 1}
    with pytest.raises(PeerError, match="does not follow"):
        replay_decision(record, shipped_table())


def test_a_changed_input_does_not_replay() -> None:
    record = grade(CAREFUL)
    record["inputs"] = {**record["inputs"], "overspeed_share": 0.9}
    with pytest.raises(PeerError, match="does not follow"):
        replay_decision(record, shipped_table())


def test_a_decision_of_another_table_says_so() -> None:
    other = msgspec.structs.replace(shipped_table(), sha256="00" * 32)
    with pytest.raises(PeerError, match="another points table"):
        replay_decision(grade(CAREFUL), other)
