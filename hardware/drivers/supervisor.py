"""Tells systemd that a program is up, alive, or on its way out: sd_notify(3).

Place in the flow: health → **supervisor** → systemd, which starts a program anew that says nothing.

* Without a supervisor (`NOTIFY_SOCKET` is not set) nothing is said, and nothing fails.
* What is said is a datagram to a Unix socket; a socket that is gone is a supervisor that is gone.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET = "NOTIFY_SOCKET"


class SystemdSupervisor:
    """Fulfils `edge.ports.Supervisor`."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get(SOCKET, "")
        # A name that begins with @ is of the abstract namespace (unix(7)).
        self._address = "\0" + path[1:] if path.startswith("@") else path

    def ready(self) -> None:
        """Start-up is over."""
        self._say("READY=1")

    def alive(self, status: str) -> None:
        """The loop goes round; `status` is what `systemctl status` shows."""
        self._say(f"WATCHDOG=1\nSTATUS={status}")

    def stopping(self) -> None:
        """The end was asked for."""
        self._say("STOPPING=1")

    def _say(self, words: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line,
        ):
            line.sendto(words.encode(), self._address)
