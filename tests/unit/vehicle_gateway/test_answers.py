"""Claims about the down topic: each answer finds its listener, and hostile bytes find none."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.codec import encode
from edge.keys import FileIdentity, HpkeKeypair, open_evidence, sign_evidence
from edge.outbox import PRIORITY_RAW
from edge.seal import sign1
from tests.unit.vehicle_gateway.yard import ADDRESS, DEVICE, Box, Core
from vehicle_gateway.answers import Answers
from vehicle_gateway.status import read_status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.outbox import Message


@pytest.fixture
def sealing(box: Box) -> Iterator[Box]:
    """A box with an epoch's start and one batch in its outbox."""
    with box:
        box.open()
        box.sink.stream.seal(b"batch", PRIORITY_RAW)
        yield box


def test_what_the_core_stored_is_settled_and_makes_room(sealing: Box, core: Core) -> None:
    answers = Answers(sealing.sink, core.verify, ADDRESS.down)
    start = sealing.messages()[0]
    stored = core.stored(start, hashlib.sha256(start.payload).digest())
    assert answers.hear(stored)
    assert not answers.hear(stored)
    assert (answers.settled, answers.refused) == (1, 0)


def test_an_answer_of_another_type_reaches_the_one_who_listens_for_it(
    sealing: Box, core: Core
) -> None:
    heard: list[int] = []

    def listen(message: bytes) -> bool:
        record = open_evidence(message, core.verify, "lastmile weather", "core")
        heard.append(record["wind"])
        return True

    answers = Answers(sealing.sink, core.verify, ADDRESS.down, {"weather": listen})
    assert answers.hear(
        sign_evidence(core.signer, {"type": "weather", "wind": 3}, "lastmile weather")
    )
    assert not answers.hear(sign_evidence(core.signer, {"type": "weather", "wind": 9}, "other"))
    assert heard == [3]
    assert (answers.settled, answers.refused) == (0, 1)


def refusal(core: Core, message: Message, code: str) -> bytes:
    digest = hashlib.sha256(message.payload).digest()
    place = {"epoch": message.epoch, "seq": message.seq, "sha256": digest}
    record = {"type": "refused", "device": DEVICE, **place, "code": code}
    return sign_evidence(core.signer, record, ADDRESS.down)


def test_what_the_core_can_never_take_leaves_the_queue_and_shows_in_the_status(
    sealing: Box, core: Core
) -> None:
    answers = Answers(sealing.sink, core.verify, ADDRESS.down)
    start, batch = sealing.messages()
    assert answers.hear(refusal(core, batch, "tampered"))
    assert not answers.hear(refusal(core, batch, "tampered"))
    assert answers.hear(refusal(core, start, "bad-wrap"))
    assert sealing.messages() == []
    status = read_status(sealing.sink.store, DEVICE, 0)
    assert (status["waiting"], status["dropped"], status["aside"]) == (1, 0, 1)
    assert (status["dropped_by"], status["aside_by"]) == ({}, {"raw": 1})
    assert status["aside_last"] == {"epoch": 1, "seq": 1, "code": "tampered"}
    assert status["refused_epochs"] == [{"epoch": 1, "code": "bad-wrap"}]
    assert answers.refused == 0


def test_an_answer_for_which_nobody_listens_is_counted(sealing: Box, core: Core) -> None:
    answers = Answers(sealing.sink, core.verify, ADDRESS.down)
    waiting = sealing.messages()
    wrong = [
        sign_evidence(core.signer, {"type": "weather", "device": DEVICE}, ADDRESS.down),
        sign_evidence(core.signer, {"device": DEVICE}, ADDRESS.down),
        sign_evidence(core.signer, {"type": [1]}, ADDRESS.down),
        sign1(encode([1, 2]), core.signer.sign, "core", ADDRESS.down.encode()),
        sign_evidence(sealing.identity, {"type": "stored", "device": DEVICE}, ADDRESS.down),
    ]
    assert not any(answers.hear(message) for message in wrong)
    assert (answers.settled, answers.refused) == (0, len(wrong))
    assert sealing.messages() == waiting


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """One box for all hostile bytes: what is refused changes nothing of it."""
    folder = tmp_path_factory.mktemp("box")
    core = Core(
        HpkeKeypair.create(folder / "hpke.pem"), FileIdentity.create(folder / "core.pem", "core")
    )
    with Box(folder, core.policy) as box:
        box.open()
        yield Answers(box.sink, core.verify, ADDRESS.down)


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_hostile_bytes_are_counted_and_raise_nothing(lasting: Answers, data: bytes) -> None:
    before = lasting.refused
    assert not lasting.hear(data)
    assert lasting.refused == before + 1
