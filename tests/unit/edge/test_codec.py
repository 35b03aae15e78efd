"""Claims about the codec: one value, one spelling, and no way out but CodecError."""

from __future__ import annotations

import contextlib
import struct
import time
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import codec
from edge.codec import (
    DEPTH_MAX,
    ITEMS_MAX,
    CodecError,
    decode,
    deflate,
    encode,
    inflate,
)
from edge.errors import LocalError

INTEGERS = st.integers(-(2**64), 2**64 - 1)
SCALARS = st.none() | st.booleans() | INTEGERS | st.binary() | st.text()
KEYS = INTEGERS | st.text()
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=40
)


@given(VALUES)
def test_a_value_comes_back_as_it_went(value: Any) -> None:
    assert decode(encode(value)) == value


@given(st.dictionaries(KEYS, SCALARS, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_insertion_does_not_show(value: dict[Any, Any], shuffle: Any) -> None:
    pairs = list(value.items())
    shuffle.shuffle(pairs)
    assert encode(dict(pairs)) == encode(value)


@given(st.binary(max_size=64))
def test_any_bytes_are_one_value_spelt_once_or_refused(data: bytes) -> None:
    try:
        value = decode(data)
    except CodecError:
        return
    assert encode(value) == data


@given(VALUES, st.data())
def test_mutated_messages_are_refused_or_canonical(value: Any, data: st.DataObject) -> None:
    spelled = bytearray(encode(value))
    place = data.draw(st.integers(0, len(spelled) - 1))
    spelled[place] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(spelled))
    except CodecError:
        return
    assert encode(found) == spelled


@given(VALUES)
def test_a_value_that_is_cut_short_is_refused(value: Any) -> None:
    spelled = encode(value)
    for end in range(len(spelled)):
        with pytest.raises(CodecError):
            decode(spelled[:end])


REFUSED = {
    "nothing at all": ("", "codec-truncated"),
    "bytes after the value": ("0000", "codec-trailing"),
    "23 in two bytes": ("1817", "codec-shortest"),
    "255 in three bytes": ("1900ff", "codec-shortest"),
    "65535 in five bytes": ("1a0000ffff", "codec-shortest"),
    "2**32 - 1 in nine bytes": ("1b00000000ffffffff", "codec-shortest"),
    "a length in a long head": ("580161", "codec-shortest"),
    "a reserved head 28": ("1c", "codec-head"),
    "a reserved head 30": ("5e", "codec-head"),
    "an array of indefinite length": ("9fff", "codec-head"),
    "a map of indefinite length": ("bfff", "codec-head"),
    "bytes of indefinite length": ("5f4100ff", "codec-head"),
    "text of indefinite length": ("7f6161ff", "codec-head"),
    "a break alone": ("ff", "codec-head"),
    "keys out of order": ("a2020001 00", "codec-order"),
    "a longer key before a shorter": ("a2626161006162 00", "codec-order"),
    "a key twice": ("a201000100", "codec-order"),
    "a key of bytes": ("a1410000", "codec-key"),
    "a key that is true": ("a1f500", "codec-key"),
    "a key that is null": ("a1f600", "codec-key"),
    "a key that is an array": ("a18000", "codec-key"),
    "a tag": ("c11a514b67b0", "codec-type"),
    "tag 35, on which cbor2 fell over": ("d82361", "codec-shortest codec-type"),
    "a half float": ("f93c00", "codec-head"),
    "a single float": ("fa47c35000", "codec-head"),
    "a double float": ("fb3ff0000000000000", "codec-head"),
    "undefined": ("f7", "codec-type"),
    "simple value 16": ("f0", "codec-type"),
    "a simple value in two bytes": ("f820", "codec-head"),
    "text that is not UTF-8": ("61ff", "codec-text"),
    "text with a surrogate": ("63eda080", "codec-text"),
    "text in an overlong form": ("62c080", "codec-text"),
    "an array that claims 2**63 items": ("9b8000000000000000", "codec-truncated"),
    "a map that claims 2**63 pairs": ("bb8000000000000000", "codec-truncated"),
    "bytes that claim 2**63": ("5b8000000000000000", "codec-truncated"),
}


@pytest.mark.parametrize("claim", REFUSED)
def test_the_decoder_refuses(claim: str) -> None:
    data, codes = REFUSED[claim]
    with pytest.raises(CodecError) as refusal:
        decode(bytes.fromhex(data))
    assert refusal.value.code in codes.split()


def test_nesting_ends_at_the_limit_on_both_sides() -> None:
    value: Any = 0
    for _ in range(DEPTH_MAX):
        value = [value]
    assert decode(encode(value)) == value
    with pytest.raises(LocalError, match="nested too deep"):
        encode([value])
    with pytest.raises(CodecError) as refusal:
        decode(b"\x81" + encode(value))
    assert refusal.value.code == "codec-depth"


def test_maps_nest_to_the_same_limit_on_both_sides() -> None:
    value: Any = 0
    for _ in range(DEPTH_MAX):
        value = {1: value}
    assert decode(encode(value)) == value
    with pytest.raises(LocalError):
        encode({1: value})


def test_items_are_counted_with_keys_and_containers() -> None:
    assert decode(encode({1: [2, 3]}), items_max=5) == {1: [2, 3]}
    with pytest.raises(CodecError) as refusal:
        decode(encode({1: [2, 3]}), items_max=4)
    assert refusal.value.code == "codec-items"


def test_a_megabyte_of_empty_arrays_costs_no_more_than_its_limit() -> None:
    hostile = b"\x9a" + struct.pack(">I", 1 << 20) + b"\x80" * (1 << 20)
    tracemalloc.start()
    with pytest.raises(CodecError) as refusal:
        decode(hostile)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refusal.value.code == "codec-items"
    assert peak < 2 * len(hostile) + 200 * ITEMS_MAX


def test_a_million_opening_brackets_do_not_overflow_the_stack() -> None:
    with pytest.raises(CodecError) as refusal:
        decode(b"\x81" * 1_000_000)
    assert refusal.value.code == "codec-depth"


UNENCODABLE = {
    "a float": 1.5,
    "a set": {1},
    "an object": object(),
    "2**64": 2**64,
    "-2**64 - 1": -(2**64) - 1,
    "a lone surrogate": "\ud800",
    "a key of bytes": {b"a": 1},
    "a key that is false": {False: 1},
    "a key that is none": {None: 1},
    "a surrogate in a key": {"\udfff": 1},
    "a float deep inside": [{1: [2.0]}],
}


@pytest.mark.parametrize("claim", UNENCODABLE)
def test_the_encoder_refuses(claim: str) -> None:
    with pytest.raises(LocalError) as refusal:
        encode(UNENCODABLE[claim])
    assert refusal.value.code == "codec-encode"


def test_tuples_and_views_are_spelt_like_lists_and_bytes() -> None:
    assert encode((1, bytearray(b"a"), memoryview(b"b"))) == encode([1, b"a", b"b"])


# ---------------------------------------------------------------- deflate
@given(st.binary(max_size=4096))
def test_what_was_deflated_inflates(data: bytes) -> None:
    assert inflate(deflate(data), len(data)) == data


@given(st.binary(max_size=200), st.integers(0, 300))
def test_hostile_streams_raise_only_codec_errors(data: bytes, limit: int) -> None:
    with contextlib.suppress(CodecError):
        assert len(inflate(data, limit)) <= limit


def test_one_byte_past_the_limit_is_past_it() -> None:
    with pytest.raises(CodecError) as refusal:
        inflate(deflate(b"a" * 100), 99)
    assert refusal.value.code == "codec-expansion"


def test_a_bomb_costs_no_more_than_its_limit() -> None:
    worker = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(worker.compress(bytes(1 << 20)) for _ in range(256)) + worker.flush()
    assert len(bomb) < 300_000
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(CodecError) as refusal:
        inflate(bomb, 1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refusal.value.code == "codec-expansion"
    assert peak < 4 << 20
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("follows", [b"\0", b"\x03\x00"])
def test_bytes_behind_a_stream_are_refused(follows: bytes) -> None:
    with pytest.raises(CodecError) as refusal:
        inflate(deflate(b"payload") + follows, 100)
    assert refusal.value.code == "codec-deflate"


def test_a_stream_that_is_cut_short_is_refused() -> None:
    whole = deflate(bytes(range(256)) * 4)
    for end in range(len(whole)):
        with pytest.raises(CodecError):
            inflate(whole[:end], 4096)


def test_a_stream_of_zlib_is_not_raw_deflate() -> None:
    with pytest.raises(CodecError):
        inflate(zlib.compress(b"payload"), 100)


# ---------------------------------------------------------------- as MicroPython runs it
@given(st.binary(max_size=12) | st.text(max_size=6).map(str.encode))
def test_our_own_check_of_text_is_that_of_cpython(data: bytes) -> None:
    assert codec._is_utf8(data) == (data.decode("utf-8", "ignore").encode() == data)


def test_our_own_check_of_text_knows_every_pair_of_first_bytes() -> None:
    for first in range(256):
        for second in range(256):
            for tail in (b"", b"\x80", b"\x80\x80", b"\xbf\xbf"):
                data = bytes([first, second]) + tail
                assert codec._is_utf8(data) == (data.decode("utf-8", "ignore").encode() == data)


def test_where_the_interpreter_is_lenient_our_own_check_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not codec.LENIENT_TEXT
    monkeypatch.setattr(codec, "LENIENT_TEXT", True)
    assert codec.text_of("盒-1".encode()) == "盒-1"
    assert codec.octets_of("盒-1") == "盒-1".encode()
    monkeypatch.setattr(codec, "_is_utf8", lambda _: False)
    with pytest.raises(CodecError) as refusal:
        codec.text_of(b"box")
    assert refusal.value.code == "codec-text"
    with pytest.raises(LocalError) as mistake:
        codec.octets_of("box")
    assert mistake.value.code == "codec-encode"


@pytest.mark.parametrize("size", [0, 1, 65_534, 65_535, 65_536, 131_070, 200_000])
def test_what_was_stored_without_compression_inflates(size: int) -> None:
    data = bytes(i * 7 % 251 for i in range(size))
    stored = codec._store(data)
    assert inflate(stored, size) == data
    assert len(stored) == size + 5 * max(1, -(-size // 65_535))
