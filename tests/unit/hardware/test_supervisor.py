"""Tests of the pulse to systemd: a real datagram socket, and none at all."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from hardware.drivers.supervisor import SOCKET, SystemdSupervisor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_hears_ready_alive_and_stopping(tmp_path: Path, is_abstract: bool) -> None:
    name = f"@{tmp_path}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name.replace("@", "\0", 1))
        supervisor = SystemdSupervisor({SOCKET: name})
        supervisor.ready()
        supervisor.alive("online, 3 waiting")
        supervisor.stopping()
        said = [systemd.recv(256) for _ in range(3)]
    assert said == [b"READY=1", b"WATCHDOG=1\nSTATUS=online, 3 waiting", b"STOPPING=1"]


def test_without_systemd_nothing_is_said_and_nothing_fails(tmp_path: Path) -> None:
    SystemdSupervisor({}).alive("alone")
    SystemdSupervisor({SOCKET: str(tmp_path / "gone")}).ready()
