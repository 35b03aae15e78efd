"""Tests of the TCP server: bounded connections, TLS, and plain TCP on loopback alone."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.errors import DeviceFault, LocalError
from hardware.drivers.tcp_lines import TcpServer, TcpSettings
from tests.unit.hardware.pki import Pki

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.ports import Line

WAIT_S = 10.0


class Echo:
    """Says what it hears."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.failure: Exception | None = None

    def opened(self, line: Line) -> None:
        del line
        self.seen.append("opened")

    def heard(self, line: Line, piece: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        line.send(piece)
        if piece.endswith(b"bye"):
            line.close()

    def closed(self, line: Line) -> None:
        del line
        self.seen.append("closed")

    def tick(self) -> None:
        pass


class Running:
    """A server in a thread."""

    def __init__(self, listener: Echo, **settings: object) -> None:
        self.server = TcpServer(TcpSettings(**settings), listener)  # type: ignore[arg-type]
        self.failed: list[BaseException] = []
        self._stop, self._ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Callable[[], socket.socket]:
        self._thread.start()
        assert self._ready.wait(WAIT_S)
        return lambda: socket.create_connection(self.server.address, WAIT_S)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(WAIT_S)

    def _run(self) -> None:
        try:
            self.server.run(self._stop.is_set, self._ready.set)
        except DeviceFault as error:
            self.failed.append(error)
            self._ready.set()


def test_what_a_listener_says_reaches_the_peer_before_the_end() -> None:
    listener = Echo()
    with Running(listener) as connect, connect() as peer:
        peer.sendall(b"good bye")
        assert peer.recv(100) == b"good bye"
        assert peer.recv(100) == b""
    assert listener.seen == ["opened", "closed"]


def test_a_server_that_ends_ends_its_lines_first() -> None:
    listener = Echo()
    with Running(listener) as connect:
        peer = connect()
        peer.sendall(b"a")
        assert peer.recv(1) == b"a"
    with peer:
        assert peer.recv(1) == b""
    assert listener.seen == ["opened", "closed"]


def test_one_connection_too_many_is_turned_away() -> None:
    running = Running(Echo(), connections_max=1)
    with running as connect, connect() as first:
        first.sendall(b"a")
        assert first.recv(1) == b"a"
        with connect() as second, pytest.raises(ConnectionError):
            ended(second)
        assert running.server.turned_away == 1
        first.sendall(b"b")
        assert first.recv(1) == b"b"


def ended(peer: socket.socket) -> None:
    """Raises once the other side has ended the connection, as an end or as a reset."""
    if peer.recv(1) == b"":
        raise ConnectionError


def test_a_fault_of_the_listener_ends_the_server() -> None:
    listener = Echo()
    listener.failure = DeviceFault("The disk is full.", "disk-full")
    running = Running(listener)
    with running as connect, connect() as peer:
        peer.sendall(b"a")
        with pytest.raises(ConnectionError):
            ended(peer)
        running._thread.join(WAIT_S)
    assert [str(each) for each in running.failed] == ["The disk is full."]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "door.example"])
def test_plain_tcp_does_not_leave_loopback_unasked(host: str) -> None:
    with pytest.raises(LocalError) as refused:
        TcpServer(TcpSettings(host), Echo())
    assert refused.value.code == "tcp-plain"
    TcpServer(TcpSettings(host, trusted=True), Echo())


def test_tls_is_spoken_where_a_certificate_is_given(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    certificate, key = pki.issue("door")
    context = ssl.create_default_context(cafile=str(pki.ca))
    with (
        Running(Echo(), certificate=certificate, key=key) as connect,
        connect() as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as peer,
    ):
        peer.sendall(b"a")
        assert peer.recv(1) == b"a"


def test_a_missing_certificate_and_a_taken_port_are_told() -> None:
    with pytest.raises(LocalError) as refused:
        TcpServer(TcpSettings(certificate=Path("none.pem")), Echo())
    assert refused.value.code == "tcp-certificate"
    with Running(Echo()) as connect, connect() as peer:
        taken = Running(Echo(), port=peer.getpeername()[1])
        with taken:
            pass
    assert [getattr(each, "code", "") for each in taken.failed] == ["tcp-listen"]
