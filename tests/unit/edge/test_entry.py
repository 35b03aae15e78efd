"""Claims about entries: hostile ones are refused, and a recovery is one or is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.codec import encode
from edge.entry import ENTRY_BYTES_MAX, RECOVERED, Head, decode_entry, recovered_from
from edge.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Callable

KIOSK = "kiosk-1"
KIND = "cash-withdrawal"


# ---------------------------------------------------------------- hostile entries
GOOD = {
    "device": KIOSK, "epoch": 1, "seq": 1, "class": "FACT", "kind": KIND, "body": {}, "wall_us": 1,
    "boot": "00", "mono_us": 1, "counter": 0, "policy": 0,
}  # fmt: skip
MISSHAPEN: dict[str, tuple[Any, str]] = {
    "a field too many": ({**GOOD, "extra": 1}, "entry-fields"),
    "a field too few": ({key: GOOD[key] for key in GOOD if key != "boot"}, "entry-fields"),
    "a list": ([GOOD], "entry-fields"),
    "a number": (5, "entry-fields"),
    "a number in words": ({**GOOD, "seq": "1"}, "entry-type"),
    "a number that is true": ({**GOOD, "seq": True}, "entry-type"),
    "a device in bytes": ({**GOOD, "device": b"kiosk"}, "entry-type"),
    "a body that is a list": ({**GOOD, "body": []}, "entry-type"),
    "nothing for a time": ({**GOOD, "wall_us": None}, "entry-type"),
    "an unknown class": ({**GOOD, "class": "RUMOUR"}, "entry-class"),
    "too many bytes": ({**GOOD, "body": {"a": bytes(ENTRY_BYTES_MAX)}}, "entry-size"),
    "too many items": ({**GOOD, "body": {"a": [0] * 600}}, "codec-items"),
}


@pytest.mark.parametrize("claim", MISSHAPEN)
def test_an_entry_may_not_have(claim: str) -> None:
    record, code = MISSHAPEN[claim]
    with pytest.raises(PeerError) as refusal:
        decode_entry(encode(record))
    assert refusal.value.code == code


def test_an_entry_may_have_512_values_and_no_more() -> None:
    # 11 keys and values, their map, the key "a" and its list stand around what is counted here.
    others = 11 + 11 + 1 + 2
    decode_entry(encode({**GOOD, "body": {"a": [0] * (512 - others)}}))
    with pytest.raises(PeerError) as refusal:
        decode_entry(encode({**GOOD, "body": {"a": [0] * (513 - others)}}))
    assert refusal.value.code == "codec-items"


@given(st.binary(max_size=200))
def test_hostile_entries_raise_only_peer_errors(data: bytes) -> None:
    with pytest.raises(PeerError):
        decode_entry(data)


SPELLED = encode(GOOD)


@given(st.integers(0, len(SPELLED) - 1), st.integers(0, 255))
def test_mutated_entries_are_refused_or_well_typed(place: int, octet: int) -> None:
    changed = bytearray(SPELLED)
    changed[place] = octet
    act: Callable[[], dict[str, Any]] = lambda: decode_entry(bytes(changed))  # noqa: E731
    try:
        entry = act()
    except PeerError:
        return
    assert set(entry) == set(GOOD)


# ---------------------------------------------------------------- recoveries
RECORD = {
    "device": KIOSK, "epoch": 2, "seq": 1, "class": "FACT", "kind": RECOVERED, "wall_us": 1,
    "boot": "", "mono_us": 1, "counter": 0, "policy": 0,
    "body": {"epoch": 1, "seq": 0, "hash": bytes(32), "reason": "x"},
}  # fmt: skip
NO_RECOVERY: dict[str, dict[str, Any]] = {
    "another kind": {"kind": KIND},
    "a request": {"class": "REQUEST"},
    "a later place": {"seq": 2},
    "an epoch in words": {"body": {"epoch": "1", "seq": 0, "hash": bytes(32)}},
    "an epoch that is true": {"body": {"epoch": True, "seq": 0, "hash": bytes(32)}},
    "no seq": {"body": {"epoch": 1, "hash": bytes(32)}},
    "a hash in words": {"body": {"epoch": 1, "seq": 0, "hash": "0" * 32}},
    "a hash too long": {"body": {"epoch": 1, "seq": 0, "hash": bytes(33)}},
    "a later epoch": {"body": {"epoch": 3, "seq": 0, "hash": bytes(32)}},
    "a hash too short": {"body": {"epoch": 1, "seq": 0, "hash": bytes(31)}},
    "epoch 0": {"body": {"epoch": 0, "seq": 0, "hash": bytes(32)}},
    "its own epoch": {"body": {"epoch": 2, "seq": 0, "hash": bytes(32)}},
    "a negative seq": {"body": {"epoch": 1, "seq": -1, "hash": bytes(32)}},
    "a seq past all": {"body": {"epoch": 1, "seq": 2**53 + 1, "hash": bytes(32)}},
    "an epoch past all": {"epoch": 2**53 + 1},
}


@pytest.mark.parametrize("claim", NO_RECOVERY)
def test_no_recovery_is_an_entry_with(claim: str) -> None:
    assert recovered_from(encode(RECORD)) == Head(1, 0, bytes(32))
    assert recovered_from(encode({**RECORD, **NO_RECOVERY[claim]})) is None
    assert recovered_from(b"no entry") is None


def test_the_highest_numbers_are_numbers() -> None:
    top = 2**53
    body = {"epoch": top - 1, "seq": top, "hash": bytes(32), "reason": "x"}
    assert recovered_from(encode({**RECORD, "epoch": top, "body": body})) is not None
