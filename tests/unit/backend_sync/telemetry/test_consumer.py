"""Claims about the whole chain from a device's MQTT session to the lake, with a real broker."""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from backend_sync.core.keypairs import KeyFolder
from backend_sync.core.policies import rotate_key
from backend_sync.telemetry.consumer import TelemetrySettings, run
from backend_sync.telemetry.orders import Draft, issue, list_orders
from backend_sync.telemetry.report import count_lake, totals
from backend_sync.telemetry.words import Word, due_words, keep_word
from edge.errors import PeerError
from edge.keys import open_evidence, verifier
from edge.policy import Policy, open_policy
from edge.ports import Instant
from edge.purposes import COMMAND
from hardware.drivers.broker import BrokerFiles, RunningBroker, find_mosquitto, start_broker
from tests.unit.backend_sync.telemetry.box import ORG, START_US, Box, Core
from tests.unit.edge.desk import Dice
from tests.unit.hardware.mqtt_peer import Peer
from tests.unit.hardware.pki import Pki

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DOWN = f"lastmile/v1/{ORG}/box-1/down"
RESEND_S = 0.3
KINDS = [
    pytest.param(
        "mosquitto",
        marks=pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
    ),
    "amqtt",
]


class StoppedClock:
    """A clock that always shows the same instant."""

    def now(self) -> Instant:
        return Instant(START_US, "00" * 8, 0)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module", params=KINDS)
def broker(
    pki: Pki, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[RunningBroker]:
    files = BrokerFiles(tmp_path_factory.mktemp("broker"), pki.ca, *pki.issue("broker"))
    with start_broker(files, request.param) as running:
        yield running


@pytest.fixture
def settings(
    broker: RunningBroker,
    pki: Pki,
    core: Core,
    dsn: str,
    tmp_path: Path,
) -> TelemetrySettings:
    certificate, key = pki.issue("core")
    return TelemetrySettings(
        org=ORG,
        host=broker.host,
        port=broker.port,
        ca=pki.ca,
        certificate=certificate,
        key=key,
        lake=tmp_path / "lake",
        connect=lambda: psycopg.connect(dsn),
        device_key=core.devices.get,
        hpke=core.pairs,
        secret=core.secret,
        signer=core.signer,
        clock=StoppedClock(),
        randomness=Dice(),
        shared=broker.shared,
        flush_interval_s=0.05,
    )


@contextmanager
def running(settings: TelemetrySettings) -> Iterator[None]:
    """Runs the consumer in a thread, as the core does, and ends it in good order."""
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(settings, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def session(broker: RunningBroker, pki: Pki) -> Iterator[Peer]:
    """The MQTT session of box-1, subscribed to its downlink."""
    with Peer((broker.host, broker.port), pki.ca, pki.issue("box-1"), "box-1") as peer:
        assert peer.subscribe(DOWN)
        yield peer


def acknowledged(
    session: Peer,
    settings: TelemetrySettings,
    resend: Callable[[], None],
    seq: int,
    kind: str = "stored",
) -> dict[str, Any]:
    """Reads signed answers until one covers `seq`, sending again as a box would."""
    verify = verifier(settings.signer.public_bytes)  # type: ignore[attr-defined]
    while True:
        try:
            topic, message = session.next(RESEND_S)
        except TimeoutError:
            resend()
            continue
        record = open_evidence(message, verify, topic, "core")
        if record["type"] == kind and record["seq"] >= seq:
            return record


def test_what_a_box_sends_is_acknowledged_with_a_signature_and_reaches_the_lake(
    settings: TelemetrySettings,
    session: Peer,
    box: Box,
    connection: psycopg.Connection[Any],
) -> None:
    messages = box.drive(20)

    def send() -> None:
        for topic, message in messages:
            session.publish(topic, message)

    with running(settings):
        send()
        record = acknowledged(session, settings, send, 21)
    assert record == {
        "type": "stored",
        "device": "box-1",
        "epoch": 1,
        "seq": 21,
        "head": box.heads[21],
    }
    counted = count_lake(settings.lake)
    assert (counted["samples"], counted["events"], counted["double"]) == (180, 20, 0)
    report = totals(connection)
    assert (report["batches"], report["lost"], report["unflushed"]) == (20, 0, 0)


def test_what_the_core_has_to_tell_reaches_the_box_as_it_was_signed(
    settings: TelemetrySettings, session: Peer, box: Box, connection: psycopg.Connection[Any]
) -> None:
    keep_word(connection, Word(box.device, "roster", "", 1, b"signed elsewhere"))
    with running(settings):
        assert session.next(30.0) == (DOWN, b"signed elsewhere")
    assert due_words(connection, START_US) == []


def test_an_order_goes_down_and_the_boxs_answer_ends_it(
    settings: TelemetrySettings, session: Peer, box: Box, connection: psycopg.Connection[Any]
) -> None:
    record = {"type": "command", "verb": "read-dtc", "arguments": {}, "expiry_us": START_US + 1}
    issue(connection, settings.signer, Draft("read-dtc", record), [box.device], START_US)
    told = {"type": "command-done", "order": 1, "verb": "read-dtc", "outcome": "done", "code": ""}
    place = {"device": box.device, "epoch": box.epoch, "seq": 1}
    answer = [box.start(), box.evidence({**told, **place})]
    with running(settings):
        topic, message = session.next(30.0)
        verify = verifier(settings.signer.public_bytes)  # type: ignore[attr-defined]
        assert topic == DOWN
        assert open_evidence(message, verify, COMMAND, "core")["verb"] == "read-dtc"
        acknowledged(session, settings, lambda: send(session, answer), 1)
    (line,) = list_orders(connection, "command", box.device)
    assert (line.sent, line.outcome) == (1, "done")


def test_a_core_that_was_away_stores_what_is_sent_again_and_nothing_twice(
    settings: TelemetrySettings,
    session: Peer,
    box: Box,
    connection: psycopg.Connection[Any],
) -> None:
    messages = box.drive(6)

    def send() -> None:
        for topic, message in messages:
            session.publish(topic, message)

    for topic, message in messages[:3]:
        session.publish(topic, message)
    for _ in range(2):
        with running(settings):
            send()
            acknowledged(session, settings, send, 7)
    assert count_lake(settings.lake)["samples"] == 54
    assert totals(connection)["messages"] == 8


def test_a_refused_message_is_counted_and_does_not_stop_the_next(
    settings: TelemetrySettings,
    session: Peer,
    box: Box,
    connection: psycopg.Connection[Any],
) -> None:
    start, batch, _ = box.drive(1)
    poison = batch[1][:-1] + bytes([batch[1][-1] ^ 1])

    def send() -> None:
        session.publish(*start)
        session.publish(box.topic, b"\xff nonsense")
        session.publish(box.topic, poison)
        session.publish(*batch)

    with running(settings):
        send()
        acknowledged(session, settings, send, 1)
        refusal = acknowledged(session, settings, send, 1, "refused")
    assert (refusal["epoch"], refusal["code"]) == (1, "tampered")
    assert refusal["sha256"] == hashlib.sha256(poison).digest()
    reasons = totals(connection)["rejected"]
    assert set(reasons) == {"malformed", "tampered"}


def test_a_core_that_runs_sends_who_is_behind_the_policy_of_a_key_that_was_rotated_meanwhile(
    settings: TelemetrySettings,
    session: Peer,
    core: Core,
    box: Box,
    connection: psycopg.Connection[Any],
    tmp_path: Path,
) -> None:
    apart = replace(settings, hpke=KeyFolder(tmp_path / "keys"))
    with running(apart):
        first = box.drive(1)
        send(session, first)
        acknowledged(session, settings, lambda: send(session, first), 2)
        rotate_key(connection, core.issuer, core.pairs.create, START_US)
        box.epoch = 2
        behind = box.drive(1)
        policy = None
        while policy is None:
            send(session, behind)
            policy = heard_policy(session, core)
        assert (policy.seq, policy.hpke_id) == (2, next(iter(core.pairs)))
        box.epoch, box.policy, box.backend_public = 3, policy.seq, policy.hpke
        ahead = box.drive(1)
        while totals(connection)["epochs_verified"] < 3:
            send(session, ahead)
            heard_policy(session, core)
    report = totals(connection)
    assert (report["unflushed"], report["quarantined"], report["rejected"]) == (0, 0, {})


def send(session: Peer, messages: list[tuple[str, bytes]]) -> None:
    for topic, message in messages:
        session.publish(topic, message)


def heard_policy(session: Peer, core: Core) -> Policy | None:
    """Returns a policy that came down, or None when what came is something else."""
    try:
        _, message = session.next(RESEND_S)
        return open_policy(message, verifier(core.signer.public_bytes), "box-1")
    except (TimeoutError, PeerError):
        return None
