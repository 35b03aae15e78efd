"""Claims about the broker: who gets in, who hears whom, and that it comes and goes cleanly."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.errors import DeviceFault, LocalError
from hardware.drivers.broker import (
    BrokerFiles,
    RunningBroker,
    answers,
    choose_kind,
    find_mosquitto,
    main,
    start_broker,
)
from tests.unit.hardware.mqtt_peer import Peer
from tests.unit.hardware.pki import Pki

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
UP, DOWN = "lastmile/v1/org/bus-1/up", "lastmile/v1/org/bus-1/down"
KINDS = [
    pytest.param(
        "mosquitto",
        marks=pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
    ),
    "amqtt",
]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def files(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> BrokerFiles:
    certificate, key = pki.issue("broker")
    return BrokerFiles(tmp_path_factory.mktemp("broker"), pki.ca, certificate, key)


@pytest.fixture(scope="module", params=KINDS)
def broker(files: BrokerFiles, request: pytest.FixtureRequest) -> Iterator[RunningBroker]:
    with start_broker(files, request.param) as running:
        yield running


def peer(broker: RunningBroker, pki: Pki, name: str, client_id: str = "") -> Peer:
    return Peer((broker.host, broker.port), pki.ca, pki.issue(name), client_id or name)


def test_a_device_and_the_core_hear_each_other(broker: RunningBroker, pki: Pki) -> None:
    with peer(broker, pki, "core") as core, peer(broker, pki, "bus-1") as bus:
        assert core.subscribe("lastmile/v1/org/+/up")
        assert bus.subscribe(DOWN)
        bus.publish(UP, b"sealed")
        assert core.next() == (UP, b"sealed")
        core.publish(DOWN, b"signed")
        assert bus.next() == (DOWN, b"signed")


def test_a_device_cannot_hear_the_downlink_or_uplink_of_another(
    broker: RunningBroker, pki: Pki
) -> None:
    own = "lastmile/v1/org/bus-2/down"
    with peer(broker, pki, "core") as core, peer(broker, pki, "bus-2") as bus:
        for forbidden in (DOWN, UP, "lastmile/v1/org/+/down", "#", "lastmile/v1/+/+/up"):
            bus.subscribe(forbidden)
        assert bus.subscribe(own)
        core.publish(DOWN, b"not for bus-2")
        core.publish(own, b"for bus-2")
        assert bus.next() == (own, b"for bus-2")
        with peer(broker, pki, "bus-1") as talker:
            talker.publish(UP, b"not for bus-2 either")
        core.publish(own, b"again")
        assert bus.next() == (own, b"again")


def test_a_device_cannot_speak_for_another_or_for_the_core(broker: RunningBroker, pki: Pki) -> None:
    own = "lastmile/v1/org/bus-2/up"
    with (
        peer(broker, pki, "core") as core,
        peer(broker, pki, "bus-1") as victim,
        peer(broker, pki, "bus-2") as bus,
    ):
        assert core.subscribe("lastmile/v1/org/+/up")
        assert victim.subscribe(DOWN)
        bus.publish(UP, b"forged uplink")
        bus.publish(DOWN, b"forged acknowledgement")
        bus.publish(own, b"true")
        assert core.next() == (own, b"true")
        core.publish(DOWN, b"true acknowledgement")
        assert victim.next() == (DOWN, b"true acknowledgement")


def test_a_session_cannot_be_used_with_another_certificate_on_amqtt(
    broker: RunningBroker, pki: Pki
) -> None:
    with peer(broker, pki, "bus-1", "bus-1"):
        pass
    if broker.kind == "amqtt":
        with pytest.raises(ConnectionRefusedError), peer(broker, pki, "bus-2", "bus-1"):
            pass


def test_shared_groups_work_where_the_broker_says_so(broker: RunningBroker, pki: Pki) -> None:
    with peer(broker, pki, "core") as core, peer(broker, pki, "bus-1") as bus:
        group = "$share/core/" if broker.shared else ""
        assert core.subscribe(f"{group}lastmile/v1/org/+/up")
        bus.publish(UP, b"shared")
        assert core.next() == (UP, b"shared")


def test_a_client_without_a_certificate_does_not_get_in(broker: RunningBroker, pki: Pki) -> None:
    client = Peer((broker.host, broker.port), pki.ca, None, "nobody")
    with pytest.raises(ConnectionRefusedError), client:
        pass


def test_a_certificate_of_another_issuer_does_not_get_in(
    broker: RunningBroker, pki: Pki, tmp_path: Path
) -> None:
    stranger = Pki(tmp_path, "stranger").issue("bus-1")
    client = Peer((broker.host, broker.port), pki.ca, stranger, "bus-1")
    with pytest.raises(ConnectionRefusedError), client:
        pass


def test_nothing_older_than_tls_1_3_is_spoken(broker: RunningBroker, pki: Pki) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(pki.ca)
    context.load_cert_chain(*pki.issue("bus-1"))
    with (
        socket.create_connection((broker.host, broker.port), timeout=5) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_it_listens_on_loopback_only(broker: RunningBroker) -> None:
    listening = subprocess.run(
        ["ss", "-Hltn", f"sport = :{broker.port}"], capture_output=True, text=True, check=False
    )
    if listening.returncode != 0:
        pytest.skip("ss is not installed")
    assert [line.split()[3] for line in listening.stdout.splitlines()] == [
        f"127.0.0.1:{broker.port}"
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_sigterm_ends_it_cleanly_and_frees_the_port(files: BrokerFiles, kind: str) -> None:
    with start_broker(files, kind) as running:
        assert answers(running.host, running.port, files.ca)
        port = running.port
    assert running.process.returncode == 0
    assert not answers("127.0.0.1", port, files.ca)
    with start_broker(files, kind, port) as again:
        assert again.port == port


@pytest.mark.parametrize("kind", KINDS)
def test_the_foreground_command_says_where_it_listens_and_is_the_broker_itself(
    files: BrokerFiles, kind: str
) -> None:
    command = [sys.executable, "-m", "hardware.drivers.broker", "--kind", kind]
    options = {
        "--dir": files.directory,
        "--ca": files.ca,
        "--certificate": files.certificate,
        "--key": files.key,
    }
    command += [str(part) for option in options.items() for part in option]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        place = json.loads(process.stdout.readline())
        assert (place["broker"], place["host"]) == (kind, "127.0.0.1")
        while not answers(place["host"], place["port"], files.ca):
            assert process.poll() is None
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("kind", KINDS)
def test_a_port_that_is_taken_is_a_clear_fault(files: BrokerFiles, kind: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(DeviceFault, match="in use"):
            start_broker(files, kind, taken.getsockname()[1])


def test_a_missing_file_is_named(files: BrokerFiles, tmp_path: Path) -> None:
    wrong = BrokerFiles(files.directory, tmp_path / "nowhere.pem", files.certificate, files.key)
    with pytest.raises(LocalError, match=r"nowhere\.pem"):
        start_broker(wrong, "amqtt")


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(LocalError, match="unknown"):
        choose_kind("emqx")


def test_a_wrong_configuration_ends_the_command_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "missing.pem")
    code = main(
        ["--dir", str(tmp_path), "--ca", missing, "--certificate", missing, "--key", missing]
    )
    assert code == 2
    assert "missing.pem" in capsys.readouterr().err
