"""Tests of what is sent next: nothing is lost, whatever the broker and the core do."""

from __future__ import annotations

import hashlib
import random  # noqa: TID251 - seeded: a failure can be repeated
from typing import TYPE_CHECKING

import pytest

from edge.errors import PeerError
from edge.keys import FileIdentity, sign_evidence
from tests.unit.edge.desk import Dice
from tests.unit.vehicle_gateway.yard import ADDRESS, DEVICE, Box, Core, feed
from vehicle_gateway.publish import SendPlan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.outbox import Message

SECOND_US = 1_000_000


class Drawn:
    """Randomness that draws the longest pause there is, or the shortest."""

    def __init__(self, byte: int) -> None:
        self.byte = byte

    def token(self, count: int) -> bytes:
        return bytes([self.byte]) * count


SHORT, LONG = Drawn(0), Drawn(255)


@pytest.fixture
def full(box: Box) -> Box:
    """A box that has driven: an epoch of some dozen messages, closed."""
    batcher = box.open()
    for _ in feed(batcher, 400.0):
        pass
    batcher.finish()
    box.sink.stream.close()
    return box


def heads_of(messages: Sequence[Message]) -> list[bytes]:
    """The chain of one epoch, as the core computes it."""
    heads = [hashlib.sha256(messages[0].payload).digest()]
    for message in messages[1:]:
        heads.append(hashlib.sha256(heads[-1] + message.payload).digest())
    return heads


# ------------------------------------------------------------------ the plan
def test_the_window_limits_what_is_under_way(full: Box) -> None:
    plan = SendPlan(LONG, window=5)
    assert [each.seq for each in plan.next(full.messages(), 0)] == [0, 1, 2, 3, 4]
    assert not plan.next(full.messages(), 1)


def test_what_is_settled_makes_room(full: Box, core: Core) -> None:
    plan = SendPlan(LONG, window=5)
    messages = full.messages()
    plan.next(full.sink.outbox.due(5), 0)
    full.sink.outbox.settle(
        core.stored(messages[2], heads_of(messages)[2]), core.verify, ADDRESS.down
    )
    assert [each.seq for each in plan.next(full.sink.outbox.due(5), 1)] == [5, 6, 7]


def test_a_message_without_an_answer_goes_again_after_a_while(full: Box) -> None:
    plan = SendPlan(LONG, window=2)
    plan.next(full.messages(), 0)
    plan.confirm((1, 0))
    assert not plan.next(full.messages(), 19 * SECOND_US)
    assert [each.seq for each in plan.next(full.messages(), 20 * SECOND_US)] == [0, 1]


def gaps_between_sends(full: Box, plan: SendPlan, sends: int) -> list[int]:
    found, last_s, now_s = list[int](), 0, 0
    plan.next(full.messages(), 0)
    while len(found) < sends:
        now_s += 1
        if plan.next(full.messages(), now_s * SECOND_US):
            found.append(now_s - last_s)
            last_s = now_s
    return found


def test_a_core_that_stays_silent_is_asked_ever_more_rarely(full: Box) -> None:
    assert gaps_between_sends(full, SendPlan(LONG, window=1), 5) == [20, 40, 80, 120, 120]
    assert gaps_between_sends(full, SendPlan(SHORT, window=1), 5) == [10] * 5


def test_the_first_answer_after_a_long_silence_makes_the_rest_go_soon(
    full: Box, core: Core
) -> None:
    plan, outbox = SendPlan(LONG, window=3), full.sink.outbox
    gaps_between_sends(full, plan, 4)
    now_us = 261 * SECOND_US
    outbox.settle(
        core.stored(full.messages()[0], heads_of(full.messages())[0]), core.verify, ADDRESS.down
    )
    assert [each.seq for each in plan.next(outbox.due(3), now_us)] == [3]
    assert [each.seq for each in plan.next(outbox.due(3), now_us + 20 * SECOND_US)] == [1, 2, 3]


def test_what_the_broker_confirmed_goes_again_on_a_new_connection(full: Box) -> None:
    plan = SendPlan(LONG, window=3)
    plan.next(full.messages(), 0)
    plan.confirm((1, 1))
    plan.reconnect()
    assert [each.seq for each in plan.next(full.messages(), 1)] == [1]


def test_what_could_not_be_handed_over_is_due_at_once(full: Box) -> None:
    plan = SendPlan(LONG, window=2)
    plan.next(full.messages(), 0)
    plan.forget((1, 1))
    assert [each.seq for each in plan.next(full.messages(), 1)] == [1]


# ------------------------------------------------------------------ acknowledgements
def test_wrong_acknowledgements_settle_nothing(full: Box, core: Core, tmp_path: Path) -> None:
    messages = full.messages()
    last, head = messages[-1], heads_of(messages)[-1]
    stranger = FileIdentity.create(tmp_path / "stranger.pem", "core")
    right = {"type": "stored", "device": DEVICE, "epoch": 1, "seq": last.seq, "head": head}
    wrong = {
        "forged": sign_evidence(stranger, right, ADDRESS.down),
        "signed by the box itself": sign_evidence(full.identity, right, ADDRESS.down),
        "for another device": core.stored(last, head, device="box-2"),
        "for another topic": sign_evidence(core.signer, right, ADDRESS.up),
        "of another chain": core.stored(last, b"\0" * 32),
        "of what was never sent": core.stored(last, head, seq=last.seq + 1),
        "of an epoch that never was": core.stored(last, head, epoch=9),
        "of another type": core.stored(last, head, type="day-closed"),
        "with a short head": core.stored(last, head[:31]),
        "with a number in words": core.stored(last, head, seq="1"),
        "nothing": b"",
        "a changed bit": bytes([*core.stored(last, head)[:-1], 0]),
    }
    for case, message in wrong.items():
        with pytest.raises(PeerError):
            full.sink.outbox.settle(message, core.verify, ADDRESS.down)
        assert full.messages() == messages, case


def test_repeated_and_reordered_acknowledgements_end_in_the_same(full: Box, core: Core) -> None:
    messages = full.messages()
    heads = heads_of(messages)
    answers = [core.stored(each, heads[place]) for place, each in enumerate(messages)] * 2
    random.Random(7).shuffle(answers)
    settled = sum(full.sink.outbox.settle(answer, core.verify, ADDRESS.down) for answer in answers)
    assert settled == len(messages)
    assert full.sink.outbox.empty


@pytest.mark.parametrize("seed", range(5))
def test_a_broker_that_loses_repeats_and_reorders_loses_nothing(
    full: Box, core: Core, seed: int
) -> None:
    chance = random.Random(seed)
    plan = SendPlan(Dice(bytes([seed])), window=8)
    sent, arrived, now_us = full.messages(), dict[int, "Message"](), 0
    heads = heads_of(sent)
    for _ in range(2_000):
        if full.sink.outbox.empty:
            break
        now_us += 5 * SECOND_US
        if chance.random() < 0.1:
            plan.reconnect()
        going = plan.next(full.sink.outbox.due(plan.window), now_us)
        chance.shuffle(going)
        for message in going * chance.choice([1, 2]):
            plan.confirm((message.epoch, message.seq))
            if chance.random() < 0.6:
                arrived[message.seq] = message
        covered = next(seq for seq in range(len(sent) + 1) if seq not in arrived) - 1
        if covered >= 0 and chance.random() < 0.6:
            answer = core.stored(sent[covered], heads[covered])
            full.sink.outbox.settle(answer, core.verify, ADDRESS.down)
    assert full.sink.outbox.empty
    assert [arrived[seq] for seq in range(len(sent))] == sent
