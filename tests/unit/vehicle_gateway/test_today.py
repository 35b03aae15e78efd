"""Tests of today's features at the box: the same figures as the core's, and nobody else's."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import ibis
import pytest

from backend_sync.telemetry.batch import Origin, concatenate, read_batch, rows_of
from backend_sync.telemetry.features import (
    FEATURES,
    SpeedSignal,
    driving_features,
    features_of,
)
from edge.codec import deflate, encode
from edge.points import score_of, shipped_table
from tests.unit.vehicle_gateway.yard import (
    DEVICE,
    SECOND_US,
    SPEED,
    START_US,
    Box,
    Core,
    feed,
    series,
    speeds,
    windows_of,
)
from vehicle_gateway.driver import make_statement
from vehicle_gateway.today import DAY_US, DRIVERS_MAX, Today

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.columns import Group

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
TAG = "a" * 16


def as_the_core_sees_it(records: Sequence[dict[str, Any]], subject: str) -> dict[str, float | None]:
    rows = [
        rows_of(read_batch(deflate(encode(record))), Origin(DEVICE, 1, seq, START_US))
        for seq, record in enumerate(records)
    ]
    samples, events = (
        ibis.memtable(concatenate(kind, [each[kind] for each in rows])) for kind in TABLES
    )
    speed = SpeedSignal(SPEED.id, SPEED.numerator, SPEED.denominator)
    return features_of(driving_features(samples, events, speed, START_US + DAY_US), subject)


TABLES = ("samples", "events")


def hour(value: int, start_us: int = START_US, seconds: int = 3_600) -> list[list[Group]]:
    return windows_of(
        [series("Vehicle.Speed", speeds((value, value, seconds), hz=1), SECOND_US, start_us)]
    )


def drive(
    today: Today, windows: Sequence[Sequence[Group]], tag: str | None = TAG, trip: str = "t"
) -> None:
    for window in windows:
        today.feed(window, [], trip, tag)


def test_box_and_core_agree_to_the_last_bit_on_a_drive(box: Box, core: Core) -> None:
    batcher = box.open()
    for _ in feed(batcher, 400.0):
        pass
    batcher.finish()
    official = as_the_core_sees_it(core.records(box.messages()), "driver-0")
    own = batcher.today.features(box.sink.drivers.tag_of("driver-0"), START_US)
    assert {name: own[name] for name in FEATURES} == official
    assert official["km"] is not None
    assert official["km"] > 1
    assert official["harsh_brakes_per_100km"]
    table = shipped_table()
    assert score_of(table, own) == score_of(table, official)


def test_box_and_core_agree_where_the_power_was_cut_and_the_driver_changed(
    box: Box, core: Core
) -> None:
    for _ in range(2):
        progress = feed(box.open(), 300.0)
        for _ in range(7):
            next(progress)
    batcher = box.open()
    batcher.finish()
    box.sink.drivers.take_in(
        make_statement("driver-1", "zh", START_US, 365, withdrawn=False), box.sink.stream
    )
    for _ in feed(batcher, 300.0):
        pass
    batcher.finish()
    records = core.records(box.messages())
    for subject in ("driver-0", "driver-1"):
        own = batcher.today.features(box.sink.drivers.tag_of(subject), START_US)
        assert {name: own[name] for name in FEATURES} == as_the_core_sees_it(records, subject)


def test_an_hour_at_60_is_60_km() -> None:
    today = Today()
    drive(today, hour(60, seconds=3_601))
    found = today.features(TAG, START_US)
    assert (found["km"], found["hours"], found["idle_share"]) == (60.0, 1.0, 0.0)


def test_without_a_consent_nothing_is_counted_and_nothing_is_bridged() -> None:
    today = Today()
    windows = hour(60, seconds=40)
    drive(today, windows[:1])
    drive(today, windows[1:3], tag=None)
    drive(today, windows[3:])
    assert today.features(TAG, START_US)["hours"] == pytest.approx(18 / 3_600)


def test_each_driver_of_a_shift_has_their_own_figures_and_one_may_be_forgotten() -> None:
    today = Today()
    drive(today, hour(60, seconds=600))
    drive(today, hour(30, START_US + 600 * SECOND_US, 600), tag="b" * 16)
    assert today.features(TAG, START_US)["km"] == pytest.approx(9.98, abs=0.01)
    assert today.features("b" * 16, START_US)["km"] == pytest.approx(4.99, abs=0.01)
    today.forget(TAG)
    assert today.features(TAG, START_US) == {}
    assert today.features("b" * 16, START_US) != {}


def test_a_new_day_in_china_begins_at_nothing() -> None:
    today = Today()
    midnight = dt.datetime(2026, 3, 2, 16, tzinfo=dt.UTC)
    midnight_us = round(midnight.timestamp()) * SECOND_US
    drive(today, hour(60, midnight_us - 600 * SECOND_US, 600))
    assert today.features(TAG, midnight_us - 1)["night_share"] == 1.0
    assert today.features(TAG, midnight_us) == {}
    drive(today, hour(60, midnight_us, 600))
    assert today.features(TAG, midnight_us)["hours"] == pytest.approx(599 / 3_600)


def test_under_a_kilometre_rates_are_unknown() -> None:
    today = Today()
    drive(today, hour(10, seconds=60))
    assert today.features(TAG, START_US)["harsh_brakes_per_100km"] is None


def test_only_so_many_drivers_are_kept() -> None:
    today = Today()
    for number in range(DRIVERS_MAX + 1):
        drive(today, hour(60, START_US + number * 60 * SECOND_US, 60), tag=f"{number:016}")
    assert len(today.state()["sums"]) == DRIVERS_MAX
    assert today.features(f"{0:016}", START_US) == {}


def test_the_state_of_an_earlier_release_is_none() -> None:
    today = Today()
    today.restore({})
    assert today.features(TAG, START_US) == {}
    drive(today, hour(60, seconds=60))
    other = Today()
    other.restore(today.state())
    assert other.state() == today.state()
