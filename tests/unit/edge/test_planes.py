"""Claims about integers as bytes: what is split joins again, and a number has one spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.planes import (
    FOLD,
    UNFOLD,
    ColumnsError,
    Reader,
    bitmap_of,
    join_planes,
    split_planes,
    spread,
    unzigzag,
    write_varint,
    zigzag,
)


def varint(value: int) -> bytes:
    out = bytearray()
    write_varint(out, value)
    return bytes(out)


@given(st.integers(0, 2**64 - 1))
def test_a_varint_comes_back(value: int) -> None:
    reader = Reader(varint(value), 0)
    assert reader.varint() == value
    reader.require_end()


@given(st.binary(min_size=1, max_size=10))
def test_a_varint_that_is_read_is_spelled_so_and_not_otherwise(data: bytes) -> None:
    reader = Reader(data, 0)
    try:
        value = reader.varint()
    except ColumnsError:
        return
    assert varint(value) == data[: reader.at]


@given(st.integers(-(2**63), 2**63 - 1))
def test_zigzag_comes_back_and_folds_into_64_bits(value: int) -> None:
    assert unzigzag(zigzag(value)) == value
    assert 0 <= zigzag(value) < 2**64


def test_the_tables_fold_bytes_as_zigzag_does() -> None:
    for value in range(-128, 128):
        assert FOLD[value & 0xFF] == zigzag(value)
        assert UNFOLD[zigzag(value)] == value & 0xFF


@given(st.integers(1, 8).flatmap(
    lambda planes: st.tuples(st.just(planes), st.lists(st.integers(0, 256**planes - 1)))
))  # fmt: skip
def test_planes_join_to_what_was_split(case: tuple[int, list[int]]) -> None:
    planes, numbers = case
    assert list(join_planes(split_planes(numbers, planes))) == numbers


def test_planes_are_as_the_page_draws_them() -> None:
    assert split_planes([0x0102, 0x0304, 0x0506], 2) == [b"\x02\x04\x06", b"\x01\x03\x05"]


@given(st.lists(st.none() | st.integers(-3, 3), max_size=70))
def test_gaps_come_back_from_their_bitmap(values: list[int | None]) -> None:
    bits = Reader(bitmap_of(values), 0).bitmap(len(values)) if values else 0
    assert spread(bits, len(values), [each for each in values if each is not None]) == values


def test_a_reader_claims_no_more_than_its_limit() -> None:
    reader = Reader(b"", 5)
    assert reader.claim(5) == 5
    with pytest.raises(ColumnsError, match="past the limit"):
        reader.claim(1)


def test_a_reader_takes_nothing_past_the_end() -> None:
    for take in (Reader.octet, Reader.varint, lambda reader: reader.take(1)):
        with pytest.raises(ColumnsError, match="cut short"):
            take(Reader(b"", 0))
