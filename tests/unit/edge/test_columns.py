"""Claims about columns: exact for every 64-bit integer, bounded for every hostile byte."""

from __future__ import annotations

import contextlib
import time
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.codec import deflate
from edge.columns import (
    GROUPS_MAX,
    INT_MAX,
    INT_MIN,
    ColumnsError,
    Group,
    decode_columns,
    encode_columns,
)
from edge.errors import LocalError

BASE = 1_800_000_000_000_000
INT64 = st.integers(INT_MIN, INT_MAX)
NARROW = st.integers(-3, 3)
EXTREMES = st.sampled_from([INT_MIN, INT_MIN + 1, -1, 0, 1, INT_MAX - 1, INT_MAX])
VALUES = st.one_of(INT64, NARROW, EXTREMES)


def times() -> st.SearchStrategy[int]:
    return st.integers(BASE - 10_000_000_000, BASE + 10_000_000_000)


@st.composite
def groups(draw: st.DrawFn) -> list[Group]:
    made = []
    for _ in range(draw(st.integers(0, 3))):
        count = draw(st.integers(0, 12))
        column = st.lists(st.none() | VALUES, min_size=count, max_size=count)
        series = draw(st.dictionaries(st.integers(0, 2**64 - 1), column, max_size=3))
        made.append(Group(draw(st.lists(times(), min_size=count, max_size=count)), series))
    return made


def plain(found: list[Group]) -> list[tuple[list[int], dict[int, list[int | None]]]]:
    return [
        (list(group.times_us), {key: list(column) for key, column in group.series.items()})
        for group in found
    ]


def round_trip(column: list[Any], base_us: int = 0) -> list[Any]:
    spelled = encode_columns([Group(list(range(len(column))), {1: column})], base_us)
    return list(decode_columns(spelled)[0].series[1])


@given(groups())
def test_groups_come_back_as_they_went(made: list[Group]) -> None:
    assert plain(decode_columns(encode_columns(made, BASE))) == plain(made)


@given(st.lists(VALUES, max_size=40))
def test_any_integers_come_back(column: list[int]) -> None:
    assert round_trip(column) == column


@given(st.lists(INT64, min_size=1, max_size=20), INT64)
def test_times_come_back_from_any_base(instants: list[int], base_us: int) -> None:
    if not all(INT_MIN <= each - base_us <= INT_MAX for each in instants):
        with pytest.raises(LocalError, match="64 bits"):
            encode_columns([Group(instants, {})], base_us)
        return
    spelled = encode_columns([Group(instants, {})], base_us)
    assert list(decode_columns(spelled)[0].times_us) == instants


COLUMNS = {
    "no value": [],
    "absence alone": [None] * 9,
    "one value": [7],
    "one value among gaps": [None, None, 5, None],
    "a gap at each end": [None, 1, 2, None],
    "a constant": [42] * 100,
    "a clock": [BASE + 10_000 * n for n in range(100)],
    "a clock that steps back": [BASE + n * 1_000 - (n > 50) * 3_600_000_000 for n in range(99)],
    "a clock that wraps at 16 bits": [(n * 7_000) % 65_536 for n in range(100)],
    "a coarse sensor on a fine scale": [250 * (n % 5) for n in range(50)],
    "both ends of the range": [INT_MIN, INT_MAX] * 5,
    "the lower end alone": [INT_MIN],
    "the lower end as a step": [0, INT_MIN, 0, INT_MIN],
    "steps of 2**63": [-(2**62), 2**62, -(2**62)],
    "steps that overflow by one": [INT_MAX, -1],
    "a first step of more than 64 bits": [INT_MIN, INT_MAX, INT_MAX],
    "widths of 1": [0, 100, -100, 127],
    "widths of 2": [0, 30_000, -30_000],
    "widths of 4": [0, 2**30, -(2**30)],
    "widths of 8": [0, 2**62, -(2**62)],
    "an outlier": [5, 5, 5, 2**40, 5, 5],
}  # fmt: skip


@pytest.mark.parametrize("claim", COLUMNS)
def test_a_column_comes_back_that_is(claim: str) -> None:
    column: list[Any] = COLUMNS[claim]  # type: ignore[assignment]
    assert round_trip(column) == column


def test_signals_come_back_in_order_of_id() -> None:
    spelled = encode_columns([Group([1], {9: [1], 2: [2], 300: [3]})], 0)
    assert list(decode_columns(spelled)[0].series) == [2, 9, 300]


def test_an_empty_batch_is_three_bytes() -> None:
    assert encode_columns([], 0) == b"\x01\x00\x00"
    assert decode_columns(b"\x01\x00\x00") == []


def test_regular_samples_cost_next_to_nothing() -> None:
    count = 1_000
    steady = Group([BASE + 10_000 * n for n in range(count)], {1: [36 * 256] * count})
    assert len(encode_columns([steady], BASE)) < 40


def test_a_common_factor_costs_nothing() -> None:
    fine = [n * n % 100 for n in range(500)]
    coarse = [n * 1_000 for n in fine]
    assert abs(len(deflated(coarse)) - len(deflated(fine))) < 16


def deflated(column: list[int]) -> bytes:
    return deflate(encode_columns([Group(list(range(len(column))), {1: column})], 0))


REFUSED_LOCALLY: dict[str, tuple[Any, int, str]] = {
    "a series shorter than its times": ([Group([1, 2], {1: [1]})], 0, "columns-length"),
    "a series longer than its times": ([Group([1], {1: [1, 2]})], 0, "columns-length"),
    "a value of 2**63": ([Group([1], {1: [2**63]})], 0, "columns-range"),
    "a value below -2**63": ([Group([1], {1: [-(2**63) - 1]})], 0, "columns-range"),
    "a time of 2**63": ([Group([2**63], {})], 0, "columns-range"),
    "a base of 2**63": ([], 2**63, "columns-range"),
    "a base below -2**63": ([], -(2**63) - 1, "columns-range"),
    "a signal of less than 0": ([Group([1], {-1: [1]})], 0, "columns-signal"),
    "a signal of 2**64": ([Group([1], {2**64: [1]})], 0, "columns-signal"),
    "too many groups": ([Group([], {})] * (GROUPS_MAX + 1), 0, "columns-groups"),
}


@pytest.mark.parametrize("claim", REFUSED_LOCALLY)
def test_the_encoder_refuses(claim: str) -> None:
    made, base_us, code = REFUSED_LOCALLY[claim]
    with pytest.raises(LocalError) as refusal:
        encode_columns(made, base_us)
    assert refusal.value.code == code


REFUSED = {
    "nothing": ("", "columns-truncated"),
    "another version": ("020000", "columns-version"),
    "bytes after the end": ("01000000", "columns-trailing"),
    "a number without end": ("01" + "80" * 11, "columns-varint"),
    "a number of 65 bits": ("0100" + "ff" * 9 + "02", "columns-varint"),
    "too many groups": ("01818020 00", "columns-groups"),
    "more samples than the limit": ("010100" + "8080808001" + "1000", "columns-expansion"),
    "an unknown order": ("0101 00 01 4000", "columns-form"),
    "an unknown width": ("0101 00 01 1300", "columns-form"),
    "plain values of less than 64 bits": ("0101 00 01 3400", "columns-form"),
    "a clock of one value": ("0101 00 01 20 00 00", "columns-form"),
    "planes cut short": ("0101 00 05 11 00 01 0102", "columns-truncated"),
    "an unknown flag": ("0101 00 01 0000 01 01 02 0000", "columns-flag"),
    "a bitmap past the end": ("0101 00 01 0000 01 01 01 03 0000", "columns-bitmap"),
    "a signal twice": ("0101 00 01 0000 02 01 00 0000 01 00 0000", "columns-order"),
    "signals out of order": ("0101 00 01 0000 02 02 00 0000 01 00 0000", "columns-order"),
    "a time past 64 bits": ("0101 02 01 00 feffffffffffffffff01 00", "columns-range"),
    "steps past 64 bits": ("0101 00 02 11 feffffffffffffffff01 01 02", "columns-range"),
    "a factor past 64 bits": ("0101 00 02 11 00 ffffffffffffffffff01 ff", "columns-range"),
}


@pytest.mark.parametrize("claim", REFUSED)
def test_the_decoder_refuses(claim: str) -> None:
    data, code = REFUSED[claim]
    with pytest.raises(ColumnsError) as refusal:
        decode_columns(bytes.fromhex(data))
    assert refusal.value.code == code


@given(st.binary(max_size=120))
@settings(max_examples=300)
def test_hostile_bytes_raise_only_columns_errors(data: bytes) -> None:
    for hostile in (data, b"\x01" + data, b"\x01\x01\x00" + data):
        with contextlib.suppress(ColumnsError):
            decode_columns(hostile, samples_max=10_000)


SEED_GROUPS = [
    Group(
        [BASE + 10_000 * n for n in range(30)],
        {1: [n * n for n in range(30)], 2: [None if n % 3 else n for n in range(30)], 3: [5] * 30},
    ),
    Group([BASE, BASE - 5, BASE + 2**40], {7: [INT_MIN, INT_MAX, 0]}),
]
SEED = encode_columns(SEED_GROUPS, BASE)


@given(st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), max_size=4))
@settings(max_examples=400)
def test_mutated_columns_are_read_in_range_or_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SEED)
    for place, octet in changes:
        data[place] = octet
    try:
        found = decode_columns(bytes(data), samples_max=10_000)
    except ColumnsError:
        return
    for group in found:
        for column in (group.times_us, *group.series.values()):
            assert len(column) == len(group.times_us)
            assert all(each is None or INT_MIN <= each <= INT_MAX for each in column)
    assert plain(decode_columns(encode_columns(found, BASE))) == plain(found)


def test_a_bitmap_of_nothing_marks_nothing() -> None:
    assert plain(decode_columns(bytes.fromhex("0101 00 00 01 01 01"))) == [([], {1: []})]


def test_columns_that_are_cut_short_are_refused() -> None:
    for end in range(len(SEED)):
        with pytest.raises(ColumnsError):
            decode_columns(SEED[:end])


def test_the_limit_counts_times_and_values() -> None:
    spelled = encode_columns([Group([1, 2], {1: [1, 2], 2: [1, 2]})], 0)
    assert decode_columns(spelled, samples_max=6)
    with pytest.raises(ColumnsError) as refusal:
        decode_columns(spelled, samples_max=5)
    assert refusal.value.code == "columns-expansion"


def peak_of(hostile: bytes, samples_max: int) -> int:
    tracemalloc.start()
    with contextlib.suppress(ColumnsError):
        decode_columns(hostile, samples_max=samples_max)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


SAMPLES = 100_000
BYTES_PER_SAMPLE_MAX = 250
HUGE = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
BOMBS = {
    "a constant column": bytes.fromhex("0101 00 a08d06 1000 00"),
    "a count of 2**64": b"\x01\x01\x00" + HUGE + b"\x10\x00",
    "a count of series of 2**64": b"\x01\x01\x00\x01\x10\x00" + HUGE,
    "groups without end": b"\x01\x80\x20\x00" + b"\x64\x10\x00\x00" * 4_096,
    "series in a group of nothing": b"\x01\x01\x00\x00\x80\x80\x80\x01"
    + b"".join(bytes([0x80 | n & 127, 0x80 | n >> 7 & 127, n >> 14, 0]) for n in range(1 << 20)),
}


@pytest.mark.parametrize("claim", BOMBS)
def test_memory_is_bounded_by_the_limit_for(claim: str) -> None:
    hostile = BOMBS[claim]
    assert peak_of(hostile, SAMPLES) < SAMPLES * BYTES_PER_SAMPLE_MAX + 2 * len(hostile)


def test_a_long_bitmap_takes_time_in_proportion_to_its_length() -> None:
    count = 400_000
    column: list[int | None] = [None if n % 2 else 1 for n in range(count)]
    made = Group([BASE] * count, {1: column})
    began = time.perf_counter()
    spelled = encode_columns([made], BASE)
    found = decode_columns(spelled)
    assert time.perf_counter() - began < 3
    assert list(found[0].series[1]) == column


def test_columns_deflate_to_a_fraction_of_their_json() -> None:
    count = 500
    column = [9_000 + (n * 37) % 50 for n in range(count)]
    made = Group([BASE + 100_000 * n for n in range(count)], {1: column})
    assert len(zlib.compress(encode_columns([made], BASE))) < 2 * count
