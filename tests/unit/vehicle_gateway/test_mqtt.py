"""Tests of the connection over a real broker: sessions, other brokers, certificates, data plan."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from edge.codec import decode
from edge.keys import verifier
from edge.policy import TYPE as POLICY
from edge.seal import read_sign1
from edge.store import open_store
from hardware.drivers.broker import BrokerFiles, start_broker
from hardware.drivers.clock import SystemClock
from tests.unit.hardware.mqtt_peer import Peer
from tests.unit.hardware.pki import Pki
from tests.unit.vehicle_gateway.yard import ADDRESS, DEVICE, feed
from vehicle_gateway.answers import Answers
from vehicle_gateway.data_plan import MIGRATIONS, DataPlan, PlanRule
from vehicle_gateway.handover import HandOver
from vehicle_gateway.mqtt import BrokerPlace, Publisher
from vehicle_gateway.publish import SendPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from hardware.drivers.broker import RunningBroker
    from tests.unit.vehicle_gateway.yard import Box, Core

ENOUGH_S = 30.0


class Shore:
    """Brokers with one issuer, and the box's publisher."""

    def __init__(self, folder: Path, box: Box, core: Core) -> None:
        self.pki = Pki(folder)
        self._folder = folder
        self._box = box
        self._core = core
        self._stack = ExitStack()
        self.certificate, self.key = self.pki.issue(DEVICE)
        self._peer = self.pki.issue("core")
        self.heard: list[bytes] = []

    def close(self) -> None:
        self._stack.close()

    def broker(self, name: str, port: int = 0) -> RunningBroker:
        server = self.pki.issue(name)
        files = BrokerFiles(self._folder / name, self.pki.ca, *server)
        return self._stack.enter_context(start_broker(files, port=port))

    def place(self, broker: RunningBroker) -> BrokerPlace:
        return BrokerPlace(broker.host, broker.port, self.pki.ca, self.certificate, self.key)

    def publisher(self, places: Sequence[BrokerPlace], patience_us: int = 60_000_000) -> Publisher:
        sink = self._box.sink
        listeners = {POLICY: self._hear}
        verify = verifier(self._core.signer.public_bytes)
        answers = Answers(sink, verify, ADDRESS.down, listeners)
        plan = SendPlan(self._box.randomness)
        publisher = Publisher(places, ADDRESS, sink, answers, plan, self._box.randomness)
        publisher.hand_over = HandOver(len(places), SystemClock().now().monotonic_us, patience_us)
        return publisher

    def _hear(self, message: bytes) -> bool:
        self.heard.append(message)
        return False

    @contextmanager
    def core(self, broker: RunningBroker) -> Iterator[Peer]:
        with Peer((broker.host, broker.port), self.pki.ca, self._peer, "core") as peer:
            assert peer.subscribe(ADDRESS.up)
            yield peer


@pytest.fixture
def shore(tmp_path: Path, box: Box, core: Core) -> Iterator[Shore]:
    batcher = box.open()
    for _ in feed(batcher, 30.0):
        pass
    box.clock = SystemClock()  # type: ignore[assignment] # the connection lives in the present
    batcher = box.open()
    shore = Shore(tmp_path, box, core)
    yield shore
    shore.close()


def pump_until(publisher: Publisher, is_done: Callable[[], bool]) -> None:
    end = time.monotonic() + ENOUGH_S
    while not is_done():
        assert time.monotonic() < end, "it did not come to that"
        publisher.pump(wait_s=0.02)


@contextmanager
def opened(publisher: Publisher) -> Iterator[Publisher]:
    publisher.open()
    try:
        yield publisher
    finally:
        publisher.close()


def test_what_the_core_says_to_a_box_in_a_tunnel_waits_at_the_broker(
    shore: Shore, core: Core
) -> None:
    broker = shore.broker("one")
    if broker.kind != "mosquitto":
        pytest.skip("amqtt keeps no session")
    first = shore.publisher([shore.place(broker)])
    with shore.core(broker) as peer:
        with opened(first):
            pump_until(first, lambda: first.is_connected)
            while not shore.heard:  # heard once, it is subscribed
                peer.publish(ADDRESS.down, core.issue(2, 30))
                first.pump(wait_s=0.1)
        shore.heard.clear()
        peer.publish(ADDRESS.down, core.issue(3, 30))
    second = shore.publisher([shore.place(broker)])
    with opened(second):
        pump_until(second, lambda: bool(shore.heard))
    assert decode(read_sign1(shore.heard[-1])[1])["seq"] == 3


def test_a_broker_that_is_gone_is_left_for_the_next_and_nothing_is_missing(
    shore: Shore, box: Box
) -> None:
    gone, other = shore.broker("gone"), shore.broker("other")
    gone.close()
    publisher = shore.publisher([shore.place(gone), shore.place(other)], 300_000)
    waiting = {each.payload for each in box.messages()}
    arrived: set[bytes] = set()
    with shore.core(other) as peer, opened(publisher):

        def all_arrived() -> bool:
            while peer.messages.qsize():
                arrived.add(peer.messages.get()[1])
            return arrived >= waiting

        pump_until(publisher, all_arrived)
    assert publisher.hand_over.current == 1
    assert arrived == waiting


def test_a_certificate_that_was_renewed_on_the_road_is_taken_up(shore: Shore, box: Box) -> None:
    broker = shore.broker("one")
    stranger = Pki(shore.certificate.parent, "stranger").issue(DEVICE)
    good = shore.certificate.read_bytes(), shore.key.read_bytes()
    for path, bad in zip((shore.certificate, shore.key), stranger, strict=True):
        path.write_bytes(bad.read_bytes())
    publisher = shore.publisher([shore.place(broker)], 300_000)
    with opened(publisher):
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            publisher.pump(wait_s=0.02)
        assert not publisher.is_connected
        shore.certificate.write_bytes(good[0])
        shore.key.write_bytes(good[1])
        pump_until(publisher, lambda: publisher.is_connected)
    assert box.messages()  # nothing was lost over it


def test_a_broker_that_confirms_and_forgets_is_sent_everything_again(
    shore: Shore, box: Box
) -> None:
    forgetful = shore.broker("forgetful")
    publisher = shore.publisher([shore.place(forgetful)])
    waiting = {each.payload for each in box.messages()}
    arrived: set[bytes] = set()
    with opened(publisher):
        # Nobody listens at this broker: it confirms each message and drops it.
        pump_until(publisher, lambda: len(publisher._plan._confirmed) == len(waiting))
        assert {each.payload for each in box.messages()} == waiting
        forgetful.process.kill()
        forgetful.process.wait()
        again = shore.broker("again", forgetful.port)
        with shore.core(again) as peer:

            def all_arrived() -> bool:
                while peer.messages.qsize():
                    arrived.add(peer.messages.get()[1])
                return arrived >= waiting

            pump_until(publisher, all_arrived)
    assert {each.payload for each in box.messages()} == waiting  # the core has not signed


def test_a_certificate_that_expires_on_the_road_keeps_all_until_it_is_renewed(
    shore: Shore, box: Box
) -> None:
    broker = shore.broker("one")
    if broker.kind != "mosquitto":
        pytest.skip("amqtt does not tell why it refuses somebody")
    good = shore.certificate.read_bytes()
    publisher = shore.publisher([shore.place(broker)], 300_000)
    with opened(publisher):
        pump_until(publisher, lambda: publisher.is_connected)
        shore.pki.expire(shore.certificate)
        broker.close()
        old = publisher._client
        pump_until(publisher, lambda: publisher._client is not old)
        again = shore.broker("again", broker.port)
        pump_until(publisher, lambda: "verify failed" in again.log_path.read_text())
        assert not publisher.is_connected
        waiting = {each.payload for each in box.messages()}
        assert waiting
        shore.certificate.write_bytes(good)
        pump_until(publisher, lambda: publisher.is_connected)
    assert {each.payload for each in box.messages()} == waiting


def test_a_spent_data_plan_sends_nothing_and_a_new_one_everything(
    shore: Shore, box: Box, tmp_path: Path
) -> None:
    broker = shore.broker("one")
    publisher = shore.publisher([shore.place(broker)])
    with open_store(tmp_path / "plan.db", [MIGRATIONS]) as store, shore.core(broker) as peer:
        spent = DataPlan(store, PlanRule(1_000_000))
        spent.room(SystemClock().now().wall_us, is_urgent=True)
        spent.spend(1_000_000)
        publisher.data_plan = spent
        with opened(publisher):
            pump_until(publisher, lambda: publisher.is_connected)
            for _ in range(20):
                publisher.pump(wait_s=0.02)
            assert peer.messages.qsize() == 0
            publisher.data_plan = DataPlan(store, PlanRule(100_000_000))
            waiting = len(box.messages())
            pump_until(publisher, lambda: peer.messages.qsize() >= waiting)
            assert publisher.data_plan.told()["plan_month_bytes"] > 0
