"""Claims about the core's word that a day is closed: it is believed exactly, or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.closing import (
    STATEMENT_BYTES_MAX,
    DayClosed,
    kept_day_closed,
    open_day_closed,
    sign_day_closed,
)
from edge.entry import NUMBER_MAX, Head
from edge.errors import PeerError
from edge.keys import FileIdentity, sign_evidence, verifier
from edge.purposes import DAY_CLOSED, LEASE_TOPIC

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD = b"\x01" * 32
CLOSED = DayClosed("kiosk-1", "2026-07-01", Head(2, 17, HEAD), 40, {"cash-withdrawal": -120_000})
RECORD: dict[str, Any] = {
    "type": "day-closed", "device": "kiosk-1", "day": "2026-07-01", "epoch": 2, "seq": 17,
    "head": HEAD, "entries": 40, "totals": {"cash-withdrawal": -120_000},
}  # fmt: skip
MALFORMED: dict[str, dict[str, Any]] = {
    "another type": {"type": "day-open"},
    "a device that is a number": {"device": 1},
    "a day that is none": {"day": "2026-02-30"},
    "a day in another spelling": {"day": "20260701"},
    "a day that is a number": {"day": 20_260_701},
    "epoch 0": {"epoch": 0},
    "seq 0": {"seq": 0},
    "a seq that is true": {"seq": True},
    "a seq past all": {"seq": NUMBER_MAX + 1},
    "fewer than no entries": {"entries": -1},
    "a head in words": {"head": "01" * 32},
    "a head too long": {"head": HEAD + b"\0"},
    "totals in a list": {"totals": []},
    "a total of no kind": {"totals": {1: 1}},
    "a total in words": {"totals": {"cash-withdrawal": "1"}},
    "a total past all": {"totals": {"cash-withdrawal": -NUMBER_MAX - 1}},
    "a field too many": {"more": 1},
}


@pytest.fixture
def core(tmp_path: Path) -> FileIdentity:
    return FileIdentity.create(tmp_path / "core.pem", "core")


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(PeerError) as refused:
        act()
    return refused.value.code


def test_what_the_core_signed_is_read_as_it_was(core: FileIdentity) -> None:
    statement = sign_day_closed(core, CLOSED)
    assert open_day_closed(statement, verifier(core.public_bytes), "kiosk-1") == CLOSED
    assert kept_day_closed(statement) == CLOSED


def test_the_outermost_numbers_are_read(core: FileIdentity) -> None:
    totals = {"a": NUMBER_MAX, "b": -NUMBER_MAX, "c": 0}
    edge = replace(CLOSED, at=Head(1, 1, HEAD), entries=0, totals=totals)
    assert kept_day_closed(sign_day_closed(core, edge)) == edge
    far = replace(CLOSED, at=Head(NUMBER_MAX, NUMBER_MAX, HEAD), entries=NUMBER_MAX)
    assert kept_day_closed(sign_day_closed(core, far)) == far


def test_another_devices_day_is_refused(core: FileIdentity) -> None:
    statement = sign_day_closed(core, CLOSED)
    verify = verifier(core.public_bytes)
    with pytest.raises(PeerError, match="closed for kiosk-1, not for kiosk-2") as refused:
        open_day_closed(statement, verify, "kiosk-2")
    assert refused.value.code == "day-closed-device"


def test_nobody_else_closes_a_day(core: FileIdentity, tmp_path: Path) -> None:
    verify = verifier(core.public_bytes)
    thief = FileIdentity.create(tmp_path / "thief.pem", "core")
    forged = sign_day_closed(thief, CLOSED)
    assert refusal(lambda: open_day_closed(forged, verify, "kiosk-1")) == "seal-signature"
    other = sign_evidence(core, RECORD, LEASE_TOPIC)
    assert refusal(lambda: open_day_closed(other, verify, "kiosk-1")) == "seal-signature"
    kiosk = FileIdentity.create(tmp_path / "kiosk.pem", "kiosk-1")
    own = sign_day_closed(kiosk, CLOSED)
    opens = verifier(kiosk.public_bytes)
    assert refusal(lambda: open_day_closed(own, opens, "kiosk-1")) == "evidence-signer"


@pytest.mark.parametrize("claim", MALFORMED)
def test_a_statement_is_refused_with(claim: str, core: FileIdentity) -> None:
    verify = verifier(core.public_bytes)
    statement = sign_evidence(core, {**RECORD, **MALFORMED[claim]}, DAY_CLOSED)
    assert refusal(lambda: open_day_closed(statement, verify, "kiosk-1")) == "day-closed-form"
    assert refusal(lambda: kept_day_closed(statement)) == "day-closed-form"


@pytest.mark.parametrize("name", RECORD)
def test_a_statement_is_refused_without(name: str, core: FileIdentity) -> None:
    record = {key: value for key, value in RECORD.items() if key != name}
    statement = sign_evidence(core, record, DAY_CLOSED)
    assert refusal(lambda: kept_day_closed(statement)) == "day-closed-form"


def test_a_statement_longer_than_any_is_refused_unread(core: FileIdentity) -> None:
    kinds = {f"kind-{number}": 1 for number in range(1_500)}
    longest = sign_day_closed(core, replace(CLOSED, totals=kinds))
    assert len(longest) < STATEMENT_BYTES_MAX
    assert kept_day_closed(longest).totals == kinds
    assert refusal(lambda: kept_day_closed(bytes(STATEMENT_BYTES_MAX))) != "day-closed-form"
    verify, long = verifier(core.public_bytes), bytes(STATEMENT_BYTES_MAX + 1)
    assert refusal(lambda: kept_day_closed(long)) == "day-closed-form"
    assert refusal(lambda: open_day_closed(long, verify, "kiosk-1")) == "day-closed-form"


@given(st.binary(max_size=300))
def test_hostile_statements_raise_only_peer_errors(data: bytes) -> None:
    with pytest.raises(PeerError):
        kept_day_closed(data)


def test_every_changed_byte_of_a_statement_is_noticed(core: FileIdentity) -> None:
    statement = sign_day_closed(core, CLOSED)
    verify = verifier(core.public_bytes)
    for place in range(len(statement)):
        changed = bytearray(statement)
        changed[place] ^= 1
        with pytest.raises(PeerError):
            open_day_closed(bytes(changed), verify, "kiosk-1")
