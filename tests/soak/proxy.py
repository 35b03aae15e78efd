"""The network between box and broker, as bad as it is told to be.

Place in the flow: box → **proxy** → broker, and back; life calls its verbs.

* Moves bytes and understands none: what it cuts is cut in the middle of TLS.
* What passes, passes whole and in order, until the connection ends: that is what TCP promises.
* A reset is a reset (RST), not a farewell: neither side learns how much the other has.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Final

from hardware.drivers.broker import LOOPBACK

PIECE_BYTES: Final = 65_536
SLOW_BYTES: Final = 700
SLOW_S: Final = 0.02
PATIENCE_S: Final = 5.0
RESET: Final = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Rules:
    """What the network does now.

    Attributes:
        refuses: Nobody gets through, and who was through is gone.
        swallows: Bytes vanish.
        is_slow: Every piece comes late and in small parts.
        left: Bytes of the next piece that still pass before the connection is reset; None for no
            such reset.
    """

    refuses: bool = False
    swallows: bool = False
    is_slow: bool = False
    left: int | None = None


class ChaosProxy:
    """Listens on a port of its own and connects every caller with the broker.

    Args:
        target: TCP port of the broker, on loopback.

    Attributes:
        port: Its own port.
        rules: Change them at any time.
        resets: Connections that were reset so far.
        vanished: Bytes that were swallowed so far.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = int(self._listener.getsockname()[1])
        self.rules = Rules()
        self.resets = self.vanished = 0
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._accept, name="chaos", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------ verbs
    def cut(self) -> int:
        """Resets every connection there is; returns how many."""
        with self._lock:
            pairs = list(self._pairs)
        return sum(self._reset(pair) for pair in pairs)

    def refuse(self, *, begins: bool) -> None:
        """Takes the network away, or gives it back."""
        self.rules.refuses = begins
        if begins:
            self.cut()

    def swallow(self, *, begins: bool) -> None:
        """Lets bytes vanish; at the end the connection is reset, for it cannot go on."""
        self.rules.swallows = begins
        if not begins:
            self.cut()

    def heal(self) -> None:
        """Is a good network from here on; what was broken stays broken until it is made anew."""
        was_swallowing = self.rules.swallows
        self.rules = Rules()
        if was_swallowing:
            self.cut()

    def close(self) -> None:
        """Resets what is left and listens no more."""
        self._over.set()
        self._listener.close()
        self.cut()
        self._thread.join(PATIENCE_S)

    # ------------------------------------------------------------ inside
    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                ready, _, _ = select.select([self._listener], [], [], 0.2)
                if not ready:
                    continue
                caller, _ = self._listener.accept()
            except (OSError, ValueError):  # it was closed meanwhile
                return
            self._connect(caller)

    def _connect(self, caller: socket.socket) -> None:
        try:
            if self.rules.refuses:
                raise ConnectionRefusedError
            broker = socket.create_connection((LOOPBACK, self._target), PATIENCE_S)
        except OSError:
            _close_hard(caller)
            return
        broker.settimeout(None)
        pair = caller, broker
        with self._lock:
            self._pairs.add(pair)
        for source, sink in (pair, pair[::-1]):
            threading.Thread(target=self._pump, args=(pair, source, sink), daemon=True).start()

    def _pump(
        self, pair: tuple[socket.socket, socket.socket], source: socket.socket, sink: socket.socket
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                if not self._hand_on(pair, piece, sink):
                    return
        self._forget(pair)

    def _hand_on(
        self, pair: tuple[socket.socket, socket.socket], piece: bytes, sink: socket.socket
    ) -> bool:
        """Hands a piece on as the rules say; returns whether the connection goes on."""
        with self._lock:
            left, self.rules.left = self.rules.left, None
        if left is not None:
            sink.sendall(piece[: min(left, len(piece) - 1)])
            self._reset(pair)
            return False
        if self.rules.swallows:
            self.vanished += len(piece)
            return True
        step = SLOW_BYTES if self.rules.is_slow else len(piece)
        for start in range(0, len(piece), step):
            if self.rules.is_slow:
                self._over.wait(SLOW_S)
            sink.sendall(piece[start : start + step])
        return True

    def _reset(self, pair: tuple[socket.socket, socket.socket]) -> int:
        if not self._drop(pair):
            return 0
        self.resets += 1
        for each in pair:
            _close_hard(each)
        return 1

    def _forget(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """One side said good-bye, or is gone: the other one hears of it."""
        if self._drop(pair):
            for each in pair:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def _drop(self, pair: tuple[socket.socket, socket.socket]) -> bool:
        with self._lock:
            known = pair in self._pairs
            self._pairs.discard(pair)
        return known


def _close_hard(connection: socket.socket) -> None:
    """Closes with RST; a thread that reads from it is woken first."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RD)
    connection.close()
