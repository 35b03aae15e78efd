"""Claims about the reader of version 2: it takes one spelling, and never more than its limit."""

from __future__ import annotations

import contextlib
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.codec import deflate
from edge.columns import ColumnsError, Group, decode_columns
from edge.planes import write_varint


def spell(heads: str | bytes, planes: str = "00", packing: int = 0) -> bytes:
    """Columns with given heads (what follows their packing) and planes."""
    packed = bytes([packing]) + (bytes.fromhex(heads) if isinstance(heads, str) else heads)
    out = bytearray([2])
    write_varint(out, len(packed))
    return bytes(out) + packed + bytes.fromhex(planes)


# base 0, one group of three values at times 0, 0, 0, one series of id 0
THREE = "00 01 03 00 00 00 01 00 "
# base 0, two groups of one value each that share a timeline, whose column follows
TWO = "00 02 01 01 00 01 01 00 "

TAKEN: dict[str, tuple[str, str, list[int | None]]] = {
    "a level": (THREE + "01 80 04 02 01", "00 00 01 02", [256, 257, 258]),
    "a drift with a factor": (THREE + "02 00 02 fa 01", "00 02 01", [0, 250, 0]),
    "a clock": (THREE + "03 00 02 00", "00", [0, 1, 2]),
    "a clock with numbers": (THREE + "03 00 02 02 01", "00 02", [0, 1, 3]),
    "an outlier": (THREE + "0a 00 01 01 01", "00 02 ff 01", [0, 1, 129]),
    "two gaps": (THREE + "04 02 0e", "00", [None, 7, None]),
    "absence alone": (THREE + "04 00", "00", [None, None, None]),
}


@pytest.mark.parametrize("claim", TAKEN)
def test_the_reader_takes(claim: str) -> None:
    heads, planes, column = TAKEN[claim]
    assert decode_columns(spell(heads, planes)) == [Group([0, 0, 0], {0: column})]


def test_the_reader_parts_a_timeline() -> None:
    found = decode_columns(spell(TWO + "03 0a 02 00", "00 01 00"))
    assert found == [Group([6], {}), Group([5], {})]


REFUSED = {
    "heads of no packing": (bytes.fromhex("02 00 00"), "columns-packing"),
    "heads of an unknown packing": (spell("00 00", packing=2), "columns-packing"),
    "heads cut short": (bytes.fromhex("02 09 00 00 00"), "columns-truncated"),
    "heads with more bytes": (spell("00 00 00"), "columns-trailing"),
    "heads that do not inflate": (spell("00 00", packing=1), "columns-deflate"),
    "no planes": (spell("00 00", ""), "columns-packing"),
    "planes that nothing asked for": (spell("00 00", "00 00"), "columns-trailing"),
    "planes of an unknown packing": (spell("00 00", "02"), "columns-packing"),
    "planes cut short": (spell(THREE + "02 00 02 01", "00 02"), "columns-truncated"),
    "a base longer than it need be": (spell("80 00 00"), "columns-shortest"),
    "a base of 65 bits": (spell("ff" * 9 + "02 00"), "columns-varint"),
    "too many groups": (spell("00 81 20"), "columns-groups"),
    "more times than the limit": (spell("00 01 c1 84 3d"), "columns-expansion"),
    "more values than the limit": (spell("00 01 a1 c2 1e 00 00 00 01 00"), "columns-expansion"),
    "a group of an unknown clock": (spell("00 01 01 02"), "columns-clock"),
    "a shared clock of no times": (spell("00 01 00 01 00"), "columns-clock"),
    "times with gaps": (spell("00 01 01 00 04 01 00"), "columns-form"),
    "times of an unknown form": (spell("00 01 01 00 10"), "columns-form"),
    "a timeline with gaps": (spell(TWO + "04"), "columns-form"),
    "a time of no group": (spell(TWO + "03 0a 02 00", "00 01 02"), "columns-clock"),
    "times of one group as of another": (spell(TWO + "03 0a 02 00", "00 00 00"), "columns-clock"),
    "a time past 64 bits": (spell("02 01 01 00 00 fe" + "ff" * 8 + "01 00"), "columns-range"),
    "a base that takes a time past 64 bits": (
        spell("fe" + "ff" * 8 + "01 01 01 00 00 02 00"), "columns-range"),
    "a signal of 2**64": (
        spell("00 01 00 00 02" + "ff" * 9 + "01 00"), "columns-varint"),
    "a series of an unknown form": (spell(THREE + "10"), "columns-form"),
    "a bitmap past the end": (spell(THREE + "04 09"), "columns-bitmap"),
    "a bitmap without a gap": (spell(THREE + "04 07 00"), "columns-bitmap"),
    "a form of no value": (spell(THREE + "05 00"), "columns-bitmap"),
    "a constant with outliers": (spell(THREE + "08 00 01"), "columns-form"),
    "a level without numbers": (spell(THREE + "01 00 00"), "columns-form"),
    "a drift without numbers": (spell(THREE + "02 00 00"), "columns-form"),
    "a clock that stands": (spell(THREE + "03 00 00 00"), "columns-form"),
    "a clock of one value": (spell(THREE + "07 01 00 02 00"), "columns-form"),
    "a clock of two values with numbers": (spell(THREE + "07 03 00 02 01 01"), "columns-form"),
    "numbers of 65 bits": (spell(THREE + "01 00 41 01"), "columns-form"),
    "a factor of 0": (spell(THREE + "01 00 01 00"), "columns-form"),
    "a factor past 64 bits": (
        spell(THREE + "01 00 08 " + "ff" * 9 + "01", "00 00 00 ff"), "columns-range"),
    "steps past 64 bits": (
        spell(THREE + "02 fe" + "ff" * 8 + "01 02 01", "00 02 02"), "columns-range"),
    "a clock past 64 bits": (spell(THREE + "03 fe" + "ff" * 8 + "01 02 00"), "columns-range"),
    "more outliers than numbers": (spell(THREE + "0a 00 01 01 03"), "columns-form"),
    "outliers of which there is none": (spell(THREE + "0a 00 01 01 00"), "columns-form"),
    "outliers of no bits": (spell(THREE + "0b 00 02 00 01"), "columns-form"),
    "fewer outliers than it says": (
        spell(THREE + "0a 00 01 01 01", "00 02 03 01"), "columns-outliers"),
    "more outliers than it says": (
        spell(THREE + "0a 00 01 01 01", "00 ff ff 01"), "columns-outliers"),
}  # fmt: skip


@pytest.mark.parametrize("claim", REFUSED)
def test_the_reader_refuses(claim: str) -> None:
    data, code = REFUSED[claim]
    with pytest.raises(ColumnsError) as refusal:
        decode_columns(data)
    assert refusal.value.code == code


def test_more_than_256_groups_of_one_timeline_are_refused() -> None:
    heads = bytes.fromhex("00 81 02") + b"\x01\x01\x00" * 257
    with pytest.raises(ColumnsError) as refusal:
        decode_columns(spell(heads))
    assert refusal.value.code == "columns-clock"


def test_planes_that_inflate_past_what_the_heads_say_are_refused() -> None:
    more = bytes([1]) + deflate(bytes(1_000_000))
    with pytest.raises(ColumnsError) as refusal:
        decode_columns(spell(THREE + "02 00 02 01", more.hex()))
    assert refusal.value.code == "columns-deflate"


@given(st.binary(max_size=60), st.binary(max_size=20))
@settings(max_examples=400)
def test_hostile_heads_and_planes_raise_only_columns_errors(heads: bytes, planes: bytes) -> None:
    for hostile in (heads, bytes.fromhex(THREE) + heads, bytes.fromhex(TWO) + heads):
        with contextlib.suppress(ColumnsError):
            decode_columns(spell(hostile, "00" + planes.hex()), samples_max=10_000)


# ------------------------------------------------------------------ bounds
SAMPLES = 40_000
BYTES_PER_SAMPLE_MAX = 250


def packed(heads: bytes) -> bytes:
    return spell(deflate(heads), packing=1)


def zeros(count: int) -> str:
    worker = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (b"\1" + worker.compress(bytes(count)) + worker.flush()).hex()


COUNT = bytes.fromhex("a0 9c 01")  # 20,000
HUGE = b"\xff" * 9 + b"\x01"
BOMBS = {
    "constants": spell(b"\x00\x01" + COUNT + b"\x00\x00\x00\x01\x00\x00\x00"),
    "a regular clock": spell(b"\x00\x01" + COUNT + b"\x00\x03\x00\x02\x00\x00"),
    "a count of 2**64": spell(b"\x00\x01" + HUGE + b"\x00\x00"),
    "a count of series of 2**64": spell(b"\x00\x01\x01\x00\x00\x00" + HUGE),
    "a level of 64 bits": spell(
        b"\x00\x01" + COUNT + b"\x00\x00\x00\x01\x00\x01\x00\x40\x01", zeros(160_000)
    ),
    "heads that deflate well": packed(b"\x00\x01\x01\x00\x00\x00" + HUGE[:3] + bytes(4_000_000)),
    "heads that inflate past their limit": packed(bytes(8_000_000)),
    "series in a group of nothing": packed(b"\x00\x01\x00\x00\xff\xff\x7f" + bytes(1 << 21)),
    "series of one value": packed(b"\x00\x01\x01\x00\x00\x00\xff\xff\x7f" + bytes(1 << 21)),
    "series of two values that drift": packed(
        b"\x00\x01\x02\x00\x00\x00\xff\xff\x7f" + bytes.fromhex("00 02 00 01 01") * 100_000
    ),
    "series of two values that tick": packed(
        b"\x00\x01\x02\x00\x00\x00\xff\xff\x7f" + bytes.fromhex("00 03 00 02 00") * 100_000
    ),
}


@pytest.mark.parametrize("claim", BOMBS)
def test_memory_is_bounded_by_the_limit_for(claim: str) -> None:
    hostile = BOMBS[claim]
    assert len(hostile) < 20_000
    tracemalloc.start()
    with contextlib.suppress(ColumnsError):
        decode_columns(hostile, samples_max=SAMPLES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < SAMPLES * BYTES_PER_SAMPLE_MAX
