"""Hostile bytes at both doors: refused with a reason, counted, and honest traffic goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend_sync.agent.link import Link, make_context
from backend_sync.messages import (
    FRAME_BYTES_MAX,
    Frame,
    journal_path,
    open_answer,
    sign_frame,
)
from edge.codec import encode
from edge.errors import DeviceFault
from edge.journal import chain, genesis
from edge.keys import FileIdentity, verifier
from tests.story.forger import Epoch, Forger
from tests.story.stage import Stage
from tests.story.town import BOX, KIOSK, ORG, Town

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from backend_sync.messages import Answer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    """One town for both doors: what comes through one of them does not concern the other."""
    with Stage() as stage:
        town = Town(stage.world)
        town.settle("--single-screen")
        yield town


# ------------------------------------------------------------------ telemetry
def settled(town: Town, fulfilled: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Waits until the report of telemetry says something; returns it."""
    found: dict[str, Any] = {}

    def look() -> bool:
        found.update(town.report()["telemetry"])
        return fulfilled(found)

    town.world.wait_until("telemetry is settled", look, 30)
    return found


def test_bad_batches_are_refused_by_reason_and_honest_ones_go_on(
    town: Town, tmp_path: Path
) -> None:
    stranger = FileIdentity.create(tmp_path / "stranger.pem", BOX)
    with Forger(town) as forger:
        honest = forger.epoch(1)
        start, batches = honest.start(), [honest.batch(seq) for seq in (1, 2, 3)]
        tampered = bytearray(honest.batch(4))
        tampered[-1] ^= 1
        unheard = Epoch(stranger, forger.policy, 2)
        other = Epoch(forger.signer, forger.policy, 1, device="box-0418")

        forger.send(start, batches[2], batches[0], batches[1])  # out of order
        forger.send(batches[0], batches[1])  # again
        forger.send(bytes(tampered))
        forger.send(unheard.start())  # signed by somebody else
        forger.send(other.batch(1))  # for another device
        forger.send(honest.batch(4, topic=f"lastmile/v1/{ORG}/box-0418/up"))  # for another topic
        forger.send(b"\x83\x00", b"hello", bytes(200))
        forger.send(honest.batch(4), honest.batch(5))  # and honest again

        found = settled(town, lambda now: bool(now["batches"] == 5 and not now["unflushed"]))

    assert found["rejected"] == {
        "tampered": 2,
        "bad-signature": 1,
        "wrong-address": 1,
        "malformed": 3,
    }
    assert found["duplicates"] == 2
    assert (found["samples"], found["frames"], found["double"]) == (50, 50, 0)
    assert (found["waiting"], found["lost"], found["epochs"]) == (0, 0, 1)


# ------------------------------------------------------------------ journal
class Caller:
    """Speaks to the API with the kiosk's own certificate."""

    def __init__(self, town: Town, link: Link) -> None:
        self._link = link
        self._verify = verifier(town.core_public)

    def post(self, body: bytes, device: str = KIOSK) -> Answer:
        path = journal_path(device)
        answer = self._link.post(path, body, FRAME_BYTES_MAX)
        return open_answer(answer, self._verify, path, device)


@pytest.fixture
def caller(town: Town) -> Iterator[Caller]:
    folder = town.kiosk_dir
    context = make_context(
        folder / "core" / "ca.pem",
        folder / "core" / "certificate.pem",
        folder / "keys" / "identity.pem",
    )
    with Link(town.url, context, 10.0) as link:
        yield Caller(town, link)


def entry(seq: int, device: str = KIOSK) -> bytes:
    """A well-formed entry of a journal: a receipt was printed once more."""
    return encode(
        {
            "device": device,
            "epoch": 1,
            "seq": seq,
            "class": "FACT",
            "kind": "receipt-copy",
            "body": {"of": "00" * 16, "receipt": "K1-1"},
            "wall_us": 1_790_000_000_000_000 + seq,
            "boot": "00" * 8,
            "mono_us": seq,
            "counter": 0,
            "policy": 0,
        }
    )


def frame(first: int, entries: list[bytes], before: bytes | None = None) -> Frame:
    head = before or genesis(KIOSK, 1)
    for each in entries:
        head = chain(head, each)
    return Frame(KIOSK, 1, first, first + len(entries) - 1, head, tuple(entries))


def test_bad_frames_are_answered_with_a_reason_and_honest_ones_go_on(
    town: Town, caller: Caller, tmp_path: Path
) -> None:
    kiosk = FileIdentity.load(town.kiosk_dir / "keys" / "identity.pem")
    stranger = FileIdentity.create(tmp_path / "stranger.pem", KIOSK)
    box = FileIdentity.load(town.box_dir / "keys" / "identity.pem")
    good = frame(1, [entry(1), entry(2)])
    torn = bytearray(sign_frame(kiosk, good))
    torn[len(torn) // 2] ^= 1

    forged = caller.post(sign_frame(stranger, good))
    tampered = caller.post(bytes(torn))
    as_another = caller.post(sign_frame(box, good))
    for answer in (forged, tampered, as_another):
        assert answer.type == "error"
        assert answer.code
        assert answer.message.endswith(".")
    assert caller.post(b"no COSE at all").type == "error"

    gapped = caller.post(sign_frame(kiosk, frame(3, [entry(3)], bytes(32))))
    assert gapped.type == "gap"
    assert gapped.at is not None
    assert gapped.at.seq == 0

    books = town.report()["core"]
    assert (books["entries"], books["posted"], books["quarantined"]) == (0, 0, [])

    taken = caller.post(sign_frame(kiosk, good))
    again = caller.post(sign_frame(kiosk, good))
    assert taken.type == again.type == "received"
    assert taken.at == again.at
    assert taken.at is not None
    assert (taken.at.seq, taken.at.head) == (2, good.head)

    def posted() -> bool:
        return bool(town.report()["core"]["waiting"] == 0)

    town.world.wait_until("both entries have their outcome", posted)
    books = town.report()["core"]
    assert (books["entries"], books["lost"], books["double"]) == (2, 0, 0)
    assert books["sound"]

    rewritten = frame(2, [entry(2).replace(b"K1-1", b"K1-9")], chain(genesis(KIOSK, 1), entry(1)))
    assert caller.post(sign_frame(kiosk, rewritten)).type == "fork"
    assert town.report()["core"]["quarantined"] == [KIOSK]
    with pytest.raises(DeviceFault, match="it gets no float"):
        town.fund_drawer("100", "float-2")
