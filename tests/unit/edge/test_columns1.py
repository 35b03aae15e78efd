"""Claims about columns of version 1: what older boxes still send is read exactly, or refused."""

from __future__ import annotations

import contextlib
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.columns import ColumnsError, Group, decode_columns
from edge.planes import INT_MAX, INT_MIN, split_planes, write_varint, zigzag

SMALL = st.integers(-(2**61), 2**61)


def spell_ints(values: list[int], order: int) -> bytes:
    """What version 1 wrote for values whose residuals are of 64 bits, in a given order."""
    if not values:
        return b""
    if order == 3:
        flat = b"".join(split_planes([value & 2**64 - 1 for value in values], 8))
        return b"\x38" + flat
    steps = [after - before for before, after in pairwise(values)]
    bends = [after - before for before, after in pairwise(steps)]
    residuals = ([value - values[0] for value in values[1:]], steps, bends)[order]
    out = bytearray([order << 4 | (8 if any(residuals) else 0)])
    for number in (values[0], *steps[: order == 2]):
        write_varint(out, zigzag(number))
    if any(residuals):
        out += b"\x01" + b"".join(split_planes([zigzag(each) for each in residuals], 8))
    return bytes(out)


def spell_group(times: list[int], column: list[int | None], order: int) -> bytes:
    present = [value for value in column if value is not None]
    bits = sum(1 << place for place, value in enumerate(column) if value is not None)
    out = bytearray(b"\x01\x01\x00")
    write_varint(out, len(times))
    out += spell_ints(times, 0) + b"\x01\x07\x01" + bits.to_bytes((len(column) + 7) // 8, "little")
    return bytes(out + spell_ints(present, order if len(present) > 1 else 0))


@given(st.lists(SMALL, min_size=2, max_size=20), st.integers(0, 3))
def test_columns_of_every_order_are_read(column: list[int], order: int) -> None:
    data = spell_group(list(range(len(column))), [*column], order)
    assert decode_columns(data) == [Group(list(range(len(column))), {7: column})]


@given(st.lists(st.none() | st.integers(-9, 9), max_size=20))
def test_gaps_are_read(column: list[int | None]) -> None:
    data = spell_group(list(range(len(column))), column, 1)
    assert decode_columns(data) == [Group(list(range(len(column))), {7: column})]


def test_plain_values_are_read_to_both_ends() -> None:
    data = spell_group([0, 1, 2], [INT_MIN, INT_MAX, 0], 3)
    assert decode_columns(data)[0].series[7] == [INT_MIN, INT_MAX, 0]


def test_a_factor_and_a_series_without_a_bitmap_are_read() -> None:
    data = bytes.fromhex("0101 00 03 1000 01 09 00 11 00 fa01 0204")
    assert decode_columns(data) == [Group([0, 0, 0], {9: [0, 250, 750]})]


REFUSED = {
    "bytes after the end": ("01000000", "columns-trailing"),
    "a number without end": ("01" + "80" * 11, "columns-varint"),
    "a number of 65 bits": ("0100" + "ff" * 9 + "02", "columns-varint"),
    "a number that is longer than it need be": ("01 8000 00", "columns-shortest"),
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
def test_the_reader_refuses(claim: str) -> None:
    data, code = REFUSED[claim]
    with pytest.raises(ColumnsError) as refusal:
        decode_columns(bytes.fromhex(data))
    assert refusal.value.code == code


def test_a_bitmap_of_nothing_marks_nothing() -> None:
    assert decode_columns(bytes.fromhex("0101 00 00 01 01 01")) == [Group([], {1: []})]


@given(st.binary(max_size=120))
@settings(max_examples=300)
def test_hostile_bytes_raise_only_columns_errors(data: bytes) -> None:
    for hostile in (b"\x01" + data, b"\x01\x01\x00" + data):
        with contextlib.suppress(ColumnsError):
            decode_columns(hostile, samples_max=10_000)


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
