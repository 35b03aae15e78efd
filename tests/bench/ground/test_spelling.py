"""Claims about what the benchmark compares with: sizes and entropies are those of the standards."""

from __future__ import annotations

from collections import Counter

import pytest

from edge.columns import Group
from tests.bench.ground.samples import Batch, Recording
from tests.bench.ground.spelling import (
    entropy_bits,
    entropy_of,
    json_bytes,
    payload_class,
    publish_bytes,
    sealed_bytes,
    sparkplug_bytes,
    time_entropy_bits,
)

GROUP = Group([1_000_000, 1_500_000], {3: [7, -1], 4: [None, 1 << 33]})
BATCH = Batch(1_000_000, [GROUP])


def test_a_publish_is_as_long_as_mqtt_says() -> None:
    # One byte of type, the remaining length (§2.2.3: 1 byte to 127, 2 bytes to 16,383), topic with
    # its length, packet id, payload.
    assert publish_bytes(127 - 7, b"abc") == 1 + 1 + 127
    assert publish_bytes(128 - 7, b"abc") == 1 + 2 + 128
    assert publish_bytes(16_383 - 7, b"abc") == 1 + 2 + 16_383
    assert publish_bytes(16_384 - 7, b"abc") == 1 + 3 + 16_384


def test_a_sealed_batch_is_counted_with_its_headers() -> None:
    assert sealed_bytes(BATCH, 1, b"topic") > publish_bytes(16 + 12, b"topic")


def test_a_json_line_is_a_frame_and_absence_is_left_out() -> None:
    lines = json_bytes(BATCH, {3: "a", 4: "b"}).decode().splitlines()
    assert lines == ['{"t":1000000,"s":{"a":7}}', '{"t":1500000,"s":{"a":-1,"b":8589934592}}']


def test_sparkplug_metrics_are_alias_milliseconds_and_integer() -> None:
    make = payload_class()
    spelled = sparkplug_bytes(BATCH, 300, make)
    payload = make.FromString(spelled)
    assert (payload.timestamp, payload.seq) == (1_000, 300 & 0xFF)
    assert [(each.alias, each.timestamp) for each in payload.metrics] == [
        (3, 1_000), (3, 1_500), (4, 1_500),
    ]  # fmt: skip
    assert [each.int_value for each in payload.metrics[:2]] == [7, (1 << 32) - 1]
    assert payload.metrics[2].long_value == 1 << 33
    # Field 2 of Payload holds field 2 (alias), 3 (timestamp) and 10 (int_value) of Metric.
    assert spelled.startswith(bytes.fromhex("08e807 12 07 1003 18e807 5007".replace(" ", "")))


@pytest.mark.parametrize(
    ("counts", "bits"), [([4], 0), ([1, 1], 1), ([1, 1, 1, 1], 2), ([2, 1, 1], 1.5)]
)
def test_the_entropy_is_shannons(counts: list[int], bits: float) -> None:
    assert entropy_of(Counter(dict(enumerate(counts)))) == bits


def test_signals_are_weighted_by_their_samples_and_told_over_the_whole_recording() -> None:
    steady, noisy = [5] * 4, [0, 1, 1]  # deltas 0 0 0, and 1 0
    batches = [Batch(0, [Group([1, 2], {1: steady[:2]}), Group([1, 4, 5], {2: noisy})])]
    batches.append(Batch(0, [Group([3, 4], {1: steady[2:]})]))
    recording = Recording("r", frames=7, decoded=7, samples=7, names={}, batches=batches)
    assert entropy_bits(recording) == pytest.approx(3 / 7)
    assert time_entropy_bits(recording) == pytest.approx(3 / 7)
