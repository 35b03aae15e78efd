"""Claims about the whole process: every part together, with a real broker and real certificates."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from backend_sync.api import compose
from backend_sync.core.command_init import Wishes, init
from backend_sync.core.database import connect, prepare, used_server
from backend_sync.core.pki import Pki
from backend_sync.core.policies import Issuer, ensure_policy
from backend_sync.core.registry import add_device
from backend_sync.core.site import Site
from backend_sync.telemetry.report import totals
from edge.certificates import make_csr
from edge.errors import LocalError
from edge.keys import FileIdentity, open_evidence, verifier
from edge.policy import open_policy
from hardware.drivers.broker import BrokerFiles, free_port, start_broker
from hardware.drivers.clock import SystemClock, SystemRandomness
from tests.unit.backend_sync.telemetry.box import ORG, Box
from tests.unit.hardware.mqtt_peer import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend_sync.core.config import CoreConfig

RESEND_S = 0.5


@pytest.fixture
def site(place: Path) -> Site:
    """A core's folder."""
    return Site(place / "core")


@pytest.fixture
def config(site: Site) -> CoreConfig:
    """A core that is made, with a broker to come."""
    wishes = Wishes(ORG, free_port(), "127.0.0.1", free_port())
    return init(site, wishes, SystemClock(), SystemRandomness())


@pytest.fixture
def box(site: Site, config: CoreConfig, place: Path) -> Box:
    """A registered gateway, with its certificate beside its key."""
    identity = FileIdentity.create(place / "box-1.pem", "box-1")
    pki = Pki(site.pki, ORG, SystemClock(), SystemRandomness())
    chain = pki.issue_device(make_csr(identity), "box-1")
    (place / "box-1.crt").write_text(chain)
    with used_server(config.core.data_dir, "") as server, connect(server.dsn) as connection:
        prepare(server.dsn)
        add_device(connection, "box-1", "gateway", identity.public_bytes, chain, 1)
        keys = site.load_keys()
        issuer = Issuer(keys.core, keys.hpke)
        policy = ensure_policy(connection, issuer, "box-1", (3,), 1)
    verify = verifier(keys.core.public_bytes)
    return Box(identity, open_policy(policy, verify, "box-1").hpke)


@contextmanager
def running(site: Site, config: CoreConfig, part: str) -> Iterator[list[int]]:
    """Runs the process's work in a thread; its exit code is there afterwards."""
    stop, codes = threading.Event(), list[int]()
    core = compose.Core(config, site.load_keys(), SystemClock(), SystemRandomness())
    thread = threading.Thread(target=lambda: codes.append(compose.run(core, part, stop)))
    thread.start()
    try:
        yield codes
    finally:
        stop.set()
        thread.join()


def acknowledged(peer: Peer, site: Site, messages: list[tuple[str, bytes]]) -> dict[str, Any]:
    """Sends as a box does, again and again, until the core has all of it."""
    verify = verifier(site.load_keys().core.public_bytes)
    while True:
        for message in messages:
            peer.publish(*message)
        try:
            topic, answer = peer.next(RESEND_S)
        except TimeoutError:
            continue
        record = open_evidence(answer, verify, topic, "core")
        if record["seq"] >= len(messages) - 1:
            return record


def test_telemetry_reaches_the_store_through_a_broker_that_came_later(
    site: Site, config: CoreConfig, box: Box, place: Path
) -> None:
    assert config.broker is not None
    files = BrokerFiles(
        place / "broker", site.pki / "ca.pem", site.pki / "server.pem", site.pki / "server.key"
    )
    with (
        running(site, config, "all") as codes,
        start_broker(files, "amqtt", config.broker.port) as broker,
        Peer(
            (broker.host, broker.port),
            site.pki / "ca.pem",
            (place / "box-1.crt", place / "box-1.pem"),
            "box-1",
        ) as peer,
    ):
        assert peer.subscribe(f"lastmile/v1/{ORG}/box-1/down")
        record = acknowledged(peer, site, box.drive(3))
    assert record["head"] == box.heads[-1]
    assert codes == [0]
    with used_server(config.core.data_dir, "") as server, connect(server.dsn) as connection:
        stored = totals(connection)
    assert (stored["batches"], stored["unflushed"], stored["rejected"]) == (3, 0, {})


def test_a_part_that_ends_by_itself_ends_the_process(
    site: Site, config: CoreConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall_ill(*_: object) -> None:
        raise LocalError("This part is ill.", "ill")

    monkeypatch.setattr(compose, "keep_posting", fall_ill)
    core = compose.Core(config, site.load_keys(), SystemClock(), SystemRandomness())
    assert compose.run(core, "post", threading.Event()) == 1


def test_ingest_without_a_broker_is_refused_in_words(site: Site, config: CoreConfig) -> None:
    without = msgspec.structs.replace(config, broker=None)
    deaf = compose.Core(without, site.load_keys(), SystemClock(), SystemRandomness())
    assert not deaf.runs("all", "ingest")
    with pytest.raises(LocalError, match=r"no \[broker\]"):
        compose.run(deaf, "ingest", threading.Event())


def test_a_core_that_is_stopped_while_it_waits_for_its_database_ends_at_once(
    site: Site, config: CoreConfig, place: Path
) -> None:
    dsn = f"host={place} user=nobody dbname=none"
    database = msgspec.structs.replace(config.database, dsn=dsn)
    waiting = msgspec.structs.replace(config, database=database)
    with running(site, waiting, "all") as codes:
        pass
    assert codes == [0]
