"""Claims about the core's signed words: nothing half right is read as one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.errors import PeerError
from edge.keys import sign_evidence
from edge.verdicts import Ear, Refusal, Stored, read_refusal, read_stored
from tests.unit.edge.desk import DEVICE, DOWN, UP, Desk

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, Any] = {
    "type": "refused",
    "device": DEVICE,
    "epoch": 3,
    "seq": 7,
    "sha256": b"d" * 32,
    "code": "tampered",
}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def ear(desk: Desk) -> Ear:
    return Ear(desk.verify_core, DOWN, DEVICE)


def test_a_refusal_names_a_message_its_digest_and_why(desk: Desk, ear: Ear) -> None:
    refusal = read_refusal(sign_evidence(desk.core, GOOD, DOWN), ear)
    assert refusal == Refusal(3, 7, b"d" * 32, "tampered")


def test_an_acknowledgement_names_a_message_and_the_chain_through_it(desk: Desk, ear: Ear) -> None:
    assert read_stored(desk.stored(3, 7, b"h" * 32), ear) == Stored(3, 7, b"h" * 32)


def test_the_one_is_never_read_as_the_other(desk: Desk, ear: Ear) -> None:
    both = {**GOOD, "head": b"d" * 32}
    with pytest.raises(PeerError):
        read_stored(sign_evidence(desk.core, both, DOWN), ear)
    with pytest.raises(PeerError):
        read_refusal(desk.stored(3, 7, b"h" * 32, sha256=b"d" * 32, code="tampered"), ear)


@pytest.mark.parametrize(
    "changed",
    [
        {"device": "box-2"},
        {"device": None},
        {"type": "refuse"},
        {"epoch": True},
        {"epoch": -1},
        {"seq": 2**63},
        {"seq": "7"},
        {"sha256": b"d" * 31},
        {"sha256": "d" * 32},
        {"code": ""},
        {"code": "Tampered"},
        {"code": "x" * 33},
        {"code": "two words"},
        {"code": "line\n"},
        {"code": 4},
    ],
)
def test_a_refusal_is_not_read_with(desk: Desk, ear: Ear, changed: dict[str, Any]) -> None:
    with pytest.raises(PeerError) as refusal:
        read_refusal(sign_evidence(desk.core, {**GOOD, **changed}, DOWN), ear)
    assert refusal.value.code == "outbox-answer"


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_refusal_is_not_read_without(desk: Desk, ear: Ear, name: str) -> None:
    partial = {key: value for key, value in GOOD.items() if key != name}
    with pytest.raises(PeerError):
        read_refusal(sign_evidence(desk.core, partial, DOWN), ear)


def test_nobody_else_can_refuse_and_nowhere_else(desk: Desk, ear: Ear) -> None:
    for signer, topic in ((desk.identity, DOWN), (desk.core, UP)):
        with pytest.raises(PeerError):
            read_refusal(sign_evidence(signer, GOOD, topic), ear)
