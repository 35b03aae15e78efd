"""Claims about columns: exact for every 64-bit integer, bounded for every hostile byte."""

from __future__ import annotations

import contextlib
import re
import tracemalloc
from pathlib import Path
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
from edge.columns2 import OWNERS_MAX
from edge.errors import LocalError

BASE = 1_800_000_000_000_000
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "reference" / "columns.md"
INT64 = st.integers(INT_MIN, INT_MAX)
NARROW = st.integers(-3, 3)
EXTREMES = st.sampled_from([INT_MIN, INT_MIN + 1, -1, 0, 1, INT_MAX - 1, INT_MAX])
VALUES = st.one_of(INT64, NARROW, EXTREMES, st.integers(-70_000, 70_000))


@st.composite
def clocks(draw: st.DrawFn, count: int) -> list[int]:
    """Times with jitter, of a metronome, or that step back and forth."""
    start = draw(st.integers(BASE - 10_000_000_000, BASE + 10_000_000_000))
    step = draw(st.sampled_from([0, 1, 10_000, 2**40]))
    jitter = draw(st.sampled_from([0, 1, 900]))
    late = draw(st.lists(st.integers(-jitter, jitter), min_size=count, max_size=count))
    jump_at, jump = draw(st.integers(0, 12)), draw(st.sampled_from([0, 0, -3_600_000_000, 2**41]))
    return [start + step * n + late[n] + jump * (n >= jump_at) for n in range(count)]


@st.composite
def groups(draw: st.DrawFn) -> list[Group]:
    made = []
    for _ in range(draw(st.integers(0, 4))):
        count = draw(st.integers(0, 12))
        column = st.lists(st.none() | VALUES, min_size=count, max_size=count)
        series = draw(st.dictionaries(st.integers(0, 2**64 - 1), column, max_size=3))
        made.append(Group(draw(clocks(count)), series))
    return made


def plain(found: list[Group]) -> list[tuple[list[int], dict[int, list[int | None]]]]:
    return [
        (list(group.times_us), {key: list(column) for key, column in group.series.items()})
        for group in found
    ]


def round_trip(column: list[Any], base_us: int = 0) -> list[Any]:
    spelled = encode_columns([Group(list(range(len(column))), {1: column})], base_us)
    return list(decode_columns(spelled)[0].series[1])


# ------------------------------------------------------------------ round trip
@given(groups())
@settings(max_examples=300)
def test_groups_come_back_as_they_went(made: list[Group]) -> None:
    assert plain(decode_columns(encode_columns(made, BASE))) == plain(made)


@given(st.lists(VALUES, max_size=40))
def test_any_integers_come_back(column: list[int]) -> None:
    assert round_trip(column) == column


@given(st.lists(st.none() | VALUES, max_size=40))
def test_absence_comes_back_and_no_number_stands_for_it(column: list[int | None]) -> None:
    assert round_trip(column) == column


@given(st.lists(INT64, min_size=1, max_size=20), INT64)
def test_times_come_back_from_any_base(instants: list[int], base_us: int) -> None:
    if not all(INT_MIN <= each - base_us <= INT_MAX for each in instants):
        with pytest.raises(LocalError, match="64 bits"):
            encode_columns([Group(instants, {})], base_us)
        return
    spelled = encode_columns([Group(instants, {})], base_us)
    assert list(decode_columns(spelled)[0].times_us) == instants


@given(st.lists(st.lists(st.integers(-(2**40), 2**40), max_size=9), max_size=5))
def test_times_of_several_groups_come_back_to_their_own(instants: list[list[int]]) -> None:
    made = [Group(BASE_TIMES, {}) for BASE_TIMES in instants]
    assert plain(decode_columns(encode_columns(made, 5))) == plain(made)


def test_more_groups_than_owners_come_back() -> None:
    made = [Group([BASE + n, BASE + 2 * n + 7], {n: [n, -n]}) for n in range(OWNERS_MAX + 9)]
    assert plain(decode_columns(encode_columns(made, BASE))) == plain(made)


COLUMNS = {
    "no value": [],
    "absence alone": [None] * 9,
    "one value": [7],
    "one value among gaps": [None, None, 5, None],
    "a gap at each end": [None, 1, 2, None],
    "a constant": [42] * 100,
    "a constant with a gap": [42] * 50 + [None] + [42] * 50,
    "a clock": [BASE + 10_000 * n for n in range(100)],
    "a clock that runs backwards": [BASE - 10_000 * n for n in range(100)],
    "a clock that steps back": [BASE + n * 1_000 - (n > 50) * 3_600_000_000 for n in range(99)],
    "a clock that steps forth": [BASE + n * 1_000 + (n > 50) * 3_600_000_000 for n in range(99)],
    "a counter that wraps at 4 bits": [n % 16 for n in range(100)],
    "a counter that wraps at 16 bits": [(n * 7_000) % 65_536 for n in range(100)],
    "a counter that wraps at 32 bits": [(n * 2**30 + 5) % 2**32 for n in range(100)],
    "a coarse sensor on a fine scale": [250 * (n % 5) for n in range(50)],
    "both ends of the range": [INT_MIN, INT_MAX] * 5,
    "the lower end alone": [INT_MIN],
    "the lower end as a step": [0, INT_MIN, 0, INT_MIN],
    "steps of 2**63": [-(2**62), 2**62, -(2**62)],
    "steps that overflow by one": [INT_MAX, -1],
    "steps of one sign that overflow": [INT_MIN, -1, INT_MAX],
    "a first step of more than 64 bits": [INT_MIN, INT_MAX, INT_MAX],
    "32-bit limits": [0, 2**31 - 1, -(2**31), 2**32 - 1, -(2**32), 0],
    "numbers of 1 byte": [0, 100, -100, 127],
    "numbers of 2 bytes": [0, 30_000, -30_000],
    "numbers of 3 bytes": [0, 2**22, -(2**22)],
    "numbers of 4 bytes": [0, 2**30, -(2**30)],
    "numbers of 8 bytes": [0, 2**62, -(2**62)],
    "an outlier": [5, 5, 5, 2**40, 5, 5],
    "an outlier of 64 bits": [n % 3 for n in range(300)] + [INT_MAX, INT_MIN],
    "an outlier of exactly the escape": [n % 2 for n in range(99)] + [255, 0, 254, 0, 256],
    "steps of exactly the escape": [n % 2 for n in range(99)] + [-127, 1, 400, 0],
}  # fmt: skip


@pytest.mark.parametrize("claim", COLUMNS)
def test_a_column_comes_back_that_is(claim: str) -> None:
    column: list[Any] = COLUMNS[claim]  # type: ignore[assignment]
    assert round_trip(column) == column


def test_signals_come_back_in_order_of_id() -> None:
    spelled = encode_columns([Group([1], {9: [1], 2: [2], 300: [3]})], 0)
    assert list(decode_columns(spelled)[0].series) == [2, 9, 300]


def test_ids_up_to_the_last_come_back() -> None:
    made = [Group([1], {0: [1], 1: [2], 2**64 - 2: [4], 2**64 - 1: [3]})]
    assert plain(decode_columns(encode_columns(made, 0))) == plain(made)


# ------------------------------------------------------------------ size
def test_an_empty_batch_is_six_bytes() -> None:
    assert encode_columns([], 0).hex(" ") == "02 03 00 00 00 00"
    assert decode_columns(encode_columns([], 0)) == []


def test_regular_samples_cost_next_to_nothing() -> None:
    count = 1_000
    steady = Group([BASE + 10_000 * n for n in range(count)], {1: [36 * 256] * count})
    assert len(encode_columns([steady, steady], BASE)) < 40


def test_a_common_factor_costs_nothing() -> None:
    fine = [n * n % 100 for n in range(500)]
    coarse = [n * 1_000 for n in fine]
    assert abs(len(deflated(coarse)) - len(deflated(fine))) < 16


def test_an_outlier_costs_itself_alone() -> None:
    calm = [n * n % 100 for n in range(500)]
    assert len(deflated([*calm, 2**40])) < len(deflated(calm)) + 24


def test_groups_that_arrive_in_bursts_share_their_times() -> None:
    bursts = [BASE + n * 10_000 + pow(7, n, 4_001) for n in range(500)]
    together = [Group([time + 5 * place for time in bursts], {}) for place in range(10)]
    alone = sum(len(encode_columns([each], BASE)) for each in together)
    assert len(encode_columns(together, BASE)) < alone / 3


def deflated(column: list[int]) -> bytes:
    return deflate(encode_columns([Group(list(range(len(column))), {1: column})], 0))


REFUSED_LOCALLY: dict[str, tuple[Any, int, str]] = {
    "a series shorter than its times": ([Group([1, 2], {1: [1]})], 0, "columns-length"),
    "a series longer than its times": ([Group([1], {1: [1, 2]})], 0, "columns-length"),
    "a value of 2**63": ([Group([1], {1: [2**63]})], 0, "columns-range"),
    "a value below -2**63": ([Group([1], {1: [-(2**63) - 1]})], 0, "columns-range"),
    "a time of 2**63": ([Group([2**63], {})], 0, "columns-range"),
    "a shared time of 2**63": ([Group([2**63], {}), Group([1], {})], 0, "columns-range"),
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


# ------------------------------------------------------------------ hostile bytes
@pytest.mark.parametrize("version", [0, 3, 255])
def test_another_version_is_refused(version: int) -> None:
    with pytest.raises(ColumnsError, match="update this side") as refusal:
        decode_columns(bytes([version, 0, 0]))
    assert refusal.value.code == "columns-version"


def test_nothing_is_no_columns() -> None:
    with pytest.raises(ColumnsError) as refusal:
        decode_columns(b"")
    assert refusal.value.code == "columns-truncated"


SEED_GROUPS = [
    Group(
        [BASE + 10_000 * n for n in range(30)],
        {1: [n * n for n in range(30)], 2: [None if n % 3 else n for n in range(30)], 3: [5] * 30},
    ),
    Group([BASE, BASE - 5, BASE + 2**40], {7: [INT_MIN, INT_MAX, 0]}),
    Group([BASE, BASE + 7, BASE + 8], {7: [1, 2, 900]}),
    Group([BASE + 3, BASE + 5], {8: [None, 4]}),
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


@given(groups())
def test_what_is_within_the_limit_of_samples_is_never_refused_for_its_heads(
    made: list[Group],
) -> None:
    claimed = sum(
        len(each.times_us) + sum(max(1, len(values)) for values in each.series.values())
        for each in made
    )
    assert plain(decode_columns(encode_columns(made, BASE), samples_max=claimed)) == plain(made)


def test_a_long_bitmap_comes_back_without_growing_with_the_square_of_its_length() -> None:
    count = 400_000
    column: list[int | None] = [None if n % 2 else 1 for n in range(count)]
    tracemalloc.start()
    spelled = encode_columns([Group([BASE] * count, {1: column})], BASE)
    found = decode_columns(spelled)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(found[0].series[1]) == column
    assert peak < 100 * count


def test_hostile_bytes_of_any_version_raise_only_columns_errors() -> None:
    for version in range(4):
        for octet in range(256):
            for tail in (b"", bytes([octet]) * 9, bytes([0, octet, 1, octet, octet])):
                with contextlib.suppress(ColumnsError):
                    decode_columns(bytes([version, octet, *tail]), samples_max=1_000)


# ------------------------------------------------------------------ the page
def test_the_worked_example_of_the_page_is_what_the_code_makes() -> None:
    example = DOCUMENT.read_text(encoding="utf-8").split("<!-- worked example -->")[1]
    digits = re.findall(r"^((?:[0-9a-f]{2} )*[0-9a-f]{2})\b", example, re.MULTILINE)
    spelled = bytes.fromhex(" ".join(digits))
    made = [
        Group([0, 10_000, 20_012], {1: [9_216, 9_217, None], 5: [0, 0, 0]}),
        Group([10_005], {2: [800]}),
    ]
    assert encode_columns(made, 0) == spelled
    assert plain(decode_columns(spelled)) == plain(made)
