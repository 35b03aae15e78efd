"""Claims about the chain of an epoch: a head covers every byte before it, in order."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.chain import close_record, next_head, start_head, start_record

WRAP = {"wrap": b"w" * 113, "hpke": b"h" * 8, "policy": 3}


def head_of(messages: list[bytes]) -> bytes:
    head = start_head(messages[0])
    for message in messages[1:]:
        head = next_head(head, message)
    return head


def test_a_head_is_the_hash_of_the_head_before_and_the_message() -> None:
    start = sha256(b"start").digest()
    assert start_head(b"start") == start
    assert next_head(start, b"one") == sha256(start + b"one").digest()


@given(
    st.lists(st.binary(max_size=8), min_size=1, max_size=5),
    st.lists(st.binary(max_size=8), min_size=1, max_size=5),
)
def test_other_messages_or_another_order_have_another_head(
    one: list[bytes], other: list[bytes]
) -> None:
    assert (head_of(one) == head_of(other)) == (one == other)


@pytest.mark.parametrize("key", [WRAP, {"policy": 3}], ids=["wrapped", "from a seed"])
def test_a_start_says_who_when_with_what_and_how_its_key_is_had(key: dict[str, Any]) -> None:
    assert start_record("box-1", 7, 30, key, (1_700_000_000_000_000, "boot", 42)) == {
        "type": "epoch-start",
        "device": "box-1",
        "epoch": 7,
        "alg": 30,
        "start_us": 1_700_000_000_000_000,
        "boot": "boot",
        "mono_us": 42,
        **key,
    }


def test_making_a_start_leaves_the_key_as_it_was() -> None:
    key = {"policy": 3}
    start_record("box-1", 7, 30, key, (1, "boot", 42))
    assert key == {"policy": 3}


def test_a_close_says_how_many_messages_and_their_head() -> None:
    assert close_record("box-1", 7, 2, b"h" * 32) == {
        "type": "epoch-close",
        "device": "box-1",
        "epoch": 7,
        "count": 2,
        "head": b"h" * 32,
    }
