"""Claims about driving features, each on a drive whose figures can be done by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa
import pytest

from backend_sync.telemetry.batch import EVENTS, SAMPLES
from backend_sync.telemetry.features import (
    FEATURES,
    HOUR_US,
    SpeedSignal,
    Subject,
    driving_features,
    features_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
NOON_US = 1_700_020_800_000_000  # 2023-11-15 12:00 in China
LATER_US = NOON_US + 1_000 * HOUR_US
SPEED = SpeedSignal(signal=7, numerator=1, denominator=10)
WHO = {"device": "box-1", "vehicle": "bus-1", "driver": "driver-1", "trip": "t1"}
FROM = {"epoch": 1, "seq": 1, "known_us": NOON_US}


def drive(raws: Sequence[int], start_us: int = NOON_US, **other: Any) -> list[dict[str, Any]]:
    """One speed sample a second, in tenths of km/h."""
    return [
        {
            **WHO,
            "signal": 7,
            "path": "Vehicle.Speed",
            "time_us": start_us + i * 1_000_000,
            "raw": raw,
            "value": raw / 10,
            **FROM,
            **other,
        }
        for i, raw in enumerate(raws)
    ]


def event(kind: str, seconds: int = 0, **other: Any) -> dict[str, Any]:
    return {
        **WHO,
        "kind": kind,
        "start_us": NOON_US,
        "end_us": NOON_US + seconds * 1_000_000,
        "peak": 0,
        "unit": "",
        "severity": "",
        "rule": "",
        **FROM,
        **other,
    }


def figures(
    samples: list[dict[str, Any]],
    events: list[dict[str, Any]] | None = None,
    subject: str = "driver-1",
    by: Subject = "driver",
    as_of_us: int = LATER_US,
) -> dict[str, float | None]:
    table = driving_features(
        ibis.memtable(pa.Table.from_pylist(samples, SAMPLES)),
        ibis.memtable(pa.Table.from_pylist(events or [], EVENTS)),
        SPEED,
        as_of_us,
        by,
    )
    return features_of(table, subject, by)


def test_an_hour_at_60_is_60_km() -> None:
    found = figures(drive([600] * 3601))
    assert found["km"] == 60.0
    assert found["hours"] == 1.0
    assert found["idle_share"] == found["night_share"] == found["overspeed_share"] == 0.0


def test_speed_between_two_samples_is_their_mean() -> None:
    found = figures(drive([0, 1200] * 1800 + [0]))
    assert found["km"] == 60.0


def test_events_count_per_100_km_and_overspeed_by_time() -> None:
    events = [event("harsh-brake")] * 3 + [event("harsh-acceleration"), event("overspeed", 36)]
    found = figures(drive([600] * 3601), events)
    assert found["harsh_brakes_per_100km"] == pytest.approx(5.0, abs=1e-12)
    assert found["harsh_accelerations_per_100km"] == pytest.approx(5 / 3, abs=1e-12)
    assert found["overspeed_share"] == 0.01


def test_standing_with_the_vehicle_on_is_idle() -> None:
    assert figures(drive([0] * 900 + [600] * 2701))["idle_share"] == pytest.approx(0.25, abs=1e-3)


def test_a_gap_is_not_driven() -> None:
    before, after = drive([600] * 101), drive([600] * 101, NOON_US + HOUR_US)
    assert figures(before + after)["hours"] == 200 / 3600


def test_two_trips_are_not_joined() -> None:
    second = drive([600] * 101, NOON_US + 101_000_000, trip="t2")
    assert figures(drive([600] * 101) + second)["hours"] == 200 / 3600


def test_night_is_22_to_6_in_china() -> None:
    evening = NOON_US + 9 * HOUR_US + HOUR_US // 2
    assert figures(drive([600] * 3601, evening))["night_share"] == 0.5
    morning = NOON_US - 6 * HOUR_US - HOUR_US // 2
    assert figures(drive([600] * 3601, morning))["night_share"] == 0.5


def test_a_rate_over_a_few_metres_is_unknown_and_not_infinite() -> None:
    found = figures(drive([100] * 60), [event("harsh-brake")])
    assert found["harsh_brakes_per_100km"] is None
    assert found["km"] is not None
    assert 0 < found["km"] < 1


def test_a_fact_that_the_core_did_not_know_yet_does_not_exist() -> None:
    late = drive([600] * 3601, known_us=LATER_US + 1)
    assert figures(late) == dict.fromkeys(FEATURES)
    assert figures(late, as_of_us=LATER_US + 1)["km"] == 60.0
    late_event = [event("harsh-brake", known_us=LATER_US + 1)]
    assert figures(drive([600] * 3601), late_event)["harsh_brakes_per_100km"] == 0.0


def test_a_fact_of_the_future_does_not_exist() -> None:
    assert figures(drive([600] * 3601), as_of_us=NOON_US + HOUR_US // 2)["km"] == 30.0


def test_without_consent_there_is_no_driver_but_there_is_a_vehicle() -> None:
    anonymous = drive([600] * 3601, driver=None)
    assert figures(anonymous) == dict.fromkeys(FEATURES)
    assert figures(anonymous, subject="bus-1", by="vehicle")["km"] == 60.0


def test_drivers_of_one_vehicle_are_kept_apart() -> None:
    both = drive([600] * 3601) + drive([300] * 3601, NOON_US + 2 * HOUR_US, driver="driver-2")
    assert figures(both)["km"] == 60.0
    assert figures(both, subject="driver-2")["km"] == 30.0
    assert figures(both, subject="bus-1", by="vehicle")["km"] == 90.0


def test_other_signals_are_not_speed() -> None:
    noise = drive([9999] * 3601, signal=8)
    assert figures(drive([600] * 3601) + noise)["km"] == 60.0
