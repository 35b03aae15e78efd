"""The socket between the gateway and the panel's own process: states out, touches in.

Place in the flow: cabin → `PanelServer` ⇄ Unix socket in the data folder ⇄ `PanelClient` → panel.

    gateway → panel    {"v": 1, ...state}      one line of JSON, at each change and once a second
    panel → gateway    {"touch": "...", ...}  one line of JSON

* Only the box's own user can connect: the socket is made with mode 0600, and nothing of what goes
  over it is ever a file.
* Neither side waits for the other. A panel that does not read loses its connection, never the bus.
* A line is at most 64 KiB; what is longer, no JSON or no map ends that connection.
* A panel that has heard nothing for `SILENCE_US` must say so instead of showing what was.
"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any, Final

from edge.errors import DeviceFault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME: Final = "panel.sock"
LINE_BYTES_MAX: Final = 65_536
CLIENTS_MAX: Final = 4
TOUCHES_MAX: Final = 64
REPEAT_US: Final = 1_000_000
SILENCE_US: Final = 3_000_000
PATH_BYTES_MAX: Final = 107


class _Closed(Exception):  # noqa: N818 - an end, not an error
    """The other side went, or says what nobody can read."""


class _Lines:
    """One connection that carries JSON maps, one a line, and never waits."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._waiting = b""

    def read(self) -> list[dict[str, Any]]:
        """Returns the maps that became whole; raises `_Closed` where there will be no more."""
        try:
            while data := self._connection.recv(LINE_BYTES_MAX):
                self._waiting += data
                if len(self._waiting) > 2 * LINE_BYTES_MAX:
                    break
        except BlockingIOError:
            pass
        except OSError as error:
            raise _Closed from error
        else:
            raise _Closed
        *lines, self._waiting = self._waiting.split(b"\n")
        if len(self._waiting) > LINE_BYTES_MAX:
            raise _Closed
        return [_map_of(line) for line in lines]

    def write(self, content: Mapping[str, Any]) -> None:
        """Sends a map whole, or raises `_Closed`: half a line must not stay in the way."""
        line = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            if self._connection.send(line) != len(line):
                raise _Closed
        except OSError as error:
            raise _Closed from error

    def close(self) -> None:
        self._connection.close()


def _map_of(line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _Closed from error
    if not isinstance(content, dict):
        raise _Closed
    return content


class PanelServer:
    """The gateway's end; fulfils `edge.ports.DriverPanel`.

    Args:
        folder: Data folder of the box.

    Raises:
        DeviceFault: The socket cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._listener = _listen(self.path)
        self._panels: list[_Lines] = []
        self._told: dict[str, Any] = {}
        self._told_us = -REPEAT_US

    def show(self, state: Mapping[str, Any]) -> None:
        """Sends a state that changed, or the same once a second."""
        fresh = self._accept()
        now_us = int(state.get("mono_us", 0))
        content = {name: value for name, value in state.items() if name != "mono_us"}
        if fresh or content != self._told or not 0 <= now_us - self._told_us < REPEAT_US:
            self._told, self._told_us = content, now_us
            for panel in list(self._panels):
                try:
                    panel.write(content)
                except _Closed:
                    self._drop(panel)

    def touches(self) -> list[dict[str, Any]]:
        """Returns what came from the panels."""
        found: list[dict[str, Any]] = []
        for panel in list(self._panels):
            try:
                found += panel.read()
            except _Closed:
                self._drop(panel)
        return found[:TOUCHES_MAX]

    def close(self) -> None:
        """Ends all connections and removes the socket."""
        for panel in list(self._panels):
            self._drop(panel)
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def _accept(self) -> bool:
        fresh = False
        while len(self._panels) < CLIENTS_MAX:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # nobody is there, or whoever was has gone again
                break
            self._panels.append(_Lines(connection))
            fresh = True
        return fresh

    def _drop(self, panel: _Lines) -> None:
        self._panels.remove(panel)
        panel.close()


class PanelClient:
    """The panel's end.

    Args:
        folder: Data folder of the box.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._lines: _Lines | None = None

    def states(self) -> list[dict[str, Any]]:
        """Returns the states that came since the last call, none without a gateway."""
        if self._lines is None and not self._connect():
            return []
        assert self._lines is not None
        try:
            return self._lines.read()
        except _Closed:
            self.close()
            return []

    def touch(self, content: Mapping[str, Any]) -> bool:
        """Says what the driver did; False where nobody hears it."""
        if self._lines is None:
            return False
        try:
            self._lines.write(content)
        except _Closed:
            self.close()
            return False
        return True

    def close(self) -> None:
        """Ends the connection."""
        if self._lines is not None:
            self._lines.close()
            self._lines = None

    def _connect(self) -> bool:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(self._path))
        except OSError:  # the gateway is not there yet; the next call tries again
            connection.close()
            return False
        self._lines = _Lines(connection)
        return True


def _listen(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise DeviceFault(
            f"The path {path} is too long for a socket; choose a shorter [gateway] data_dir.",
            "panel-socket",
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)  # one that a killed gateway left
        listener.bind(str(path))
        listener.listen(CLIENTS_MAX)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise DeviceFault(
            f"The panel's socket {path} cannot be made ({error.strerror}).", "panel-socket"
        ) from error
    finally:
        os.umask(mask)
    return listener
