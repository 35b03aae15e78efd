"""Tests of the panel's socket: nobody waits, nobody else may listen, nothing odd gets through."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from edge.errors import DeviceFault
from hardware.drivers.panel_socket import LINE_BYTES_MAX, REPEAT_US, PanelClient, PanelServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PanelServer]:
    server = PanelServer(tmp_path)
    yield server
    server.close()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[PanelClient]:
    client = PanelClient(tmp_path)
    yield client
    client.close()


def show(server: PanelServer, mono_us: int = 0, **state: Any) -> None:
    server.show({"v": 1, **state, "mono_us": mono_us})


def test_a_state_goes_out_and_a_touch_comes_back(server: PanelServer, client: PanelClient) -> None:
    assert client.states() == []
    show(server, driver="王")
    assert client.states() == [{"v": 1, "driver": "王"}]
    assert client.touch({"touch": "agree"})
    assert server.touches() == [{"touch": "agree"}]
    assert server.touches() == []


def test_the_same_is_said_once_a_second_and_a_change_at_once(
    server: PanelServer, client: PanelClient
) -> None:
    client.states()
    for mono_us in (0, 1, REPEAT_US - 1):
        show(server, mono_us)
    show(server, REPEAT_US)
    show(server, REPEAT_US + 1, level="warn")
    assert [each.get("level") for each in client.states()] == [None, None, "warn"]


def test_a_panel_that_comes_late_is_told_at_once(
    server: PanelServer, client: PanelClient, tmp_path: Path
) -> None:
    client.states()
    show(server)
    late = PanelClient(tmp_path)
    late.states()
    show(server, 1)
    assert late.states() == [{"v": 1}]
    late.close()


def test_only_the_boxs_own_user_may_connect_and_the_socket_goes_with_the_gateway(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:  # by a gateway that was killed
        left_behind.bind(str(tmp_path / "panel.sock"))
    server = PanelServer(tmp_path)
    assert server.path.stat().st_mode & 0o777 == 0o600
    server.close()
    assert not server.path.exists()


@pytest.mark.parametrize(
    "line", [b"{\n", b"[1]\n", b"\xff\n", b"x" * (LINE_BYTES_MAX + 1), b"[" * 60_000 + b"\n"]
)
def test_what_is_no_map_ends_that_connection_alone(
    server: PanelServer, client: PanelClient, line: bytes
) -> None:
    client.states()
    with socket.socket(socket.AF_UNIX) as odd:
        odd.connect(str(server.path))
        show(server)
        odd.setblocking(False)
        assert odd.send(line) > 0
        assert client.touch({"touch": "agree"})
        assert server.touches() == [{"touch": "agree"}]
    show(server, 1, level="warn")
    assert client.states()[-1]["level"] == "warn"


def test_a_panel_that_does_not_read_loses_its_connection_and_holds_up_nobody(
    server: PanelServer, client: PanelClient
) -> None:
    client.states()
    for number in range(2_000):
        show(server, number, text="x" * 1_000, number=number)
    seen = 0
    while states := client.states():
        seen += len(states)
    assert seen < 2_000
    client.states()
    show(server, 5_000, number=-1)
    assert client.states()[-1]["number"] == -1


def test_a_gateway_that_ended_is_silence_and_its_successor_is_found(
    server: PanelServer, client: PanelClient, tmp_path: Path
) -> None:
    client.states()
    show(server)
    server.close()
    client.states()
    assert client.states() == []
    assert not client.touch({"touch": "agree"})
    successor = PanelServer(tmp_path)
    client.states()
    show(successor)
    assert client.states() == [{"v": 1}]
    successor.close()


def test_a_path_that_is_too_long_says_so(tmp_path: Path) -> None:
    with pytest.raises(DeviceFault, match="data_dir"):
        PanelServer(tmp_path / ("x" * 100))
