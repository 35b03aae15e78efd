"""Claims about DEFLATE in Python: it takes what zlib takes, refuses what zlib refuses."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import codec
from edge.codec import CodecError, inflate
from edge.errors import PeerError
from edge.inflate import expand

STRATEGIES = [zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_FIXED, zlib.Z_RLE]


def deflated(data: bytes, level: int = 6, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    worker = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    return worker.compress(data) + worker.flush()


def verdict(stream: bytes, limit: int) -> tuple[bytes | str, bytes | str]:
    """What zlib and we make of a stream: the bytes, or `refused`."""
    results: list[bytes | str] = []
    for act in (inflate, expand):
        try:
            results.append(act(stream, limit))
        except PeerError:
            results.append("refused")
    return results[0], results[1]


@given(
    st.binary(max_size=3000) | st.text("abcdé ", max_size=3000).map(str.encode),
    st.sampled_from([0, 1, 6, 9]),
    st.sampled_from(STRATEGIES),
)
def test_what_zlib_deflates_expands(data: bytes, level: int, strategy: int) -> None:
    assert expand(deflated(data, level, strategy), len(data)) == data


@given(st.binary(max_size=120), st.integers(0, 400))
def test_any_bytes_are_taken_or_refused_as_by_zlib(data: bytes, limit: int) -> None:
    found, ours = verdict(data, limit)
    assert ours == found


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_stream_with_any_bit_flipped_is_taken_or_refused_as_by_zlib(strategy: int) -> None:
    for data in (b"a" * 300, b"abcdefgh" * 12, bytes(range(40))):
        stream = deflated(data, strategy=strategy)
        for place in range(8 * len(stream)):
            changed = bytearray(stream)
            changed[place // 8] ^= 1 << place % 8
            found, ours = verdict(bytes(changed), 1000)
            assert ours == found


def bits(*fields: tuple[int, int]) -> bytes:
    """Packs (value, count) fields, lowest bit first."""
    number = place = 0
    for value, count in fields:
        number |= value << place
        place += count
    return number.to_bytes(place // 8 + 1, "little")


def fixed(*symbols: tuple[int, int]) -> bytes:
    """A last block of fixed codes, of (code as it is read, bits) after its head."""
    spelled = [(int(f"{code:0{count}b}"[::-1], 2), count) for code, count in symbols]
    return bits((1, 1), (1, 2), *spelled)


A = (0x30 + 97, 8)
THREE = (1, 7)  # symbol 257, a copy of three
END = (0, 7)
HEAD = (1, 1), (2, 2)  # a last block with codes of its own
NO_CODES = [(0, 3)] * 19

HOSTILE = {
    "a copy from before the first byte": fixed(A, THREE, (1, 5), END),
    "the unused symbol 286": fixed(A, (0b11000110, 8), (0, 5), END),
    "the unused distance 30": fixed(A, THREE, (30, 5), END),
    "the reserved kind of block": b"\x07\x00",
    "a stored length that is not confirmed": bytes.fromhex("0101000000ff"),
    "a stored block cut short": bytes.fromhex("010200fdff61"),
    "287 literals": bits(*HEAD, (30, 5), (0, 5), (15, 4), *NO_CODES),
    "31 distances": bits(*HEAD, (0, 5), (30, 5), (15, 4), *NO_CODES),
    "no code at all": bits(*HEAD, (0, 5), (0, 5), (15, 4), *NO_CODES) + bytes(9),
    "an over-subscribed code": bits(*HEAD, (0, 5), (0, 5), (0, 4), *[(1, 3)] * 4) + bytes(9),
    "an incomplete code": bits(*HEAD, (0, 5), (0, 5), (0, 4), (2, 3), *[(0, 3)] * 3) + bytes(9),
    "a repeat of nothing": bits(*HEAD, (0, 5), (0, 5), (0, 4), (1, 3), (1, 3), (0, 6)) + bytes(9),
    "zeros past the end": bits(
        *HEAD, (0, 5), (0, 5), (0, 4), (0, 3), (0, 3), (1, 3), (1, 3), *[(1, 1), (127, 7)] * 2
    ),
    "no end of a block": bits(
        *HEAD, (0, 5), (0, 5), (0, 4), (0, 3), (0, 3), (1, 3), (1, 3), (1, 1), (127, 7),
        (1, 1), (107, 7), (0, 1),
    ),
    "the unused half of a code": bits(
        *HEAD, (1, 5), (0, 5), (14, 4), *[(0, 3)] * 2, (1, 3), *[(0, 3)] * 14, (1, 3),
        (1, 1), (127, 7), (1, 1), (107, 7), (0, 3), (1, 1), (1, 1),
    ) + bytes(4),
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("claim", HOSTILE)
def test_a_stream_may_not_have(claim: str) -> None:
    assert verdict(HOSTILE[claim], 1 << 20) == ("refused", "refused")
    with pytest.raises(PeerError) as refusal:
        expand(HOSTILE[claim], 1 << 20)
    assert refusal.value.code == "codec-deflate"


def test_a_copy_may_be_longer_than_its_distance_and_reach_the_first_byte() -> None:
    assert expand(fixed(A, THREE, (0, 5), END), 4) == b"aaaa"


def test_one_distance_alone_may_leave_half_of_its_code_unused() -> None:
    stream = deflated(b"a" * 300, strategy=zlib.Z_RLE)
    assert expand(stream, 300) == b"a" * 300


def test_bytes_behind_the_end_and_a_missing_end_are_refused() -> None:
    stream = deflated(b"ten seconds " * 20)
    for end in range(len(stream)):
        with pytest.raises(PeerError):
            expand(stream[:end], 1000)
    with pytest.raises(PeerError) as refusal:
        expand(stream + b"\0", 1000)
    assert refusal.value.code == "codec-deflate"


@pytest.mark.parametrize("level", [0, 6])
def test_one_byte_past_the_limit_is_past_it(level: int) -> None:
    stream = deflated(b"abcabcabcd" * 10, level)
    assert expand(stream, 100) == b"abcabcabcd" * 10
    with pytest.raises(PeerError) as refusal:
        expand(stream, 99)
    assert refusal.value.code == "codec-expansion"


def test_a_bomb_costs_no_more_than_its_limit() -> None:
    bomb = deflated(bytes(8 << 20), 9)
    tracemalloc.start()
    with pytest.raises(PeerError) as refusal:
        expand(bomb, 1 << 16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refusal.value.code == "codec-expansion"
    assert peak < 1 << 18


def test_the_codec_expands_so_where_there_is_no_zlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "HAS_ZLIB", False)
    assert inflate(deflated(b"payload"), 7) == b"payload"
    with pytest.raises(CodecError) as refusal:
        inflate(deflated(b"payload"), 6)
    assert refusal.value.code == "codec-expansion"
