"""A TCP server for terminals: connections in, pieces of bytes out, all in one thread.

Place in the flow: terminals → **tcp_lines** → `edge.ports.LineListener` (the door).

* TLS where a certificate is given; else plain, as most terminals speak, and then only on loopback
  unless the settings say that the network is trusted.
* Bounded: connections, bytes that a peer has not read yet, and time for a TLS handshake.
* An error of the listener ends the server: whoever started it starts it again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from edge.errors import DeviceFault, LocalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.ports import LineListener

UNREAD_BYTES_MAX: Final = 65_536
HANDSHAKE_S: Final = 15.0
BACKLOG: Final = 512
TICK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class TcpSettings:
    """Where to listen.

    Attributes:
        host: Address; one that others can reach needs a certificate or `trusted`.
        port: 0 for any that is free.
        certificate: PEM chain of the server; None for plain TCP.
        key: Its private key.
        trusted: The network is a closed one (an APN of its own), so plain TCP may leave loopback.
        connections_max: More are closed at once.
    """

    host: str = "127.0.0.1"
    port: int = 0
    certificate: Path | None = None
    key: Path | None = None
    trusted: bool = False
    connections_max: int = 2_048


class TcpLine(asyncio.Protocol):
    """One connection; fulfils `edge.ports.Line`."""

    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._is_let_in = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: it has begun."""
        self._transport = cast("asyncio.Transport", transport)
        self._is_let_in = self._server.let_in(self)
        if self._is_let_in:
            self._server.listener.opened(self)
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes have come."""
        if self._is_let_in and self._transport and not self._transport.is_closing():
            self._server.listener.heard(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: it has ended."""
        del exc
        self._transport = None
        if self._is_let_in:
            self._server.lines.discard(self)
            self._server.listener.closed(self)

    def send(self, content: bytes) -> None:
        """Sends; a peer that reads nothing is left."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(content)
        if self._transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
            self._transport.abort()

    def hold(self, *, held: bool) -> None:
        """Stops or goes on reading."""
        if self._transport is None or self._transport.is_closing():
            return
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def close(self) -> None:
        """Ends it after what was sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Ends it at once."""
        if self._transport is not None:
            self._transport.abort()


class TcpServer:
    """Listens until it is told to stop.

    Args:
        settings: Where.
        listener: Who is told what happens.

    Attributes:
        lines: Connections now.
        turned_away: Connections that were one too many.
        address: Host and port, once it listens.
    """

    def __init__(self, settings: TcpSettings, listener: LineListener) -> None:
        if settings.certificate is None and not settings.trusted and not _is_loopback(settings):
            raise LocalError(
                f"{settings.host} can be reached from outside and no certificate is given. Give "
                "[listen] certificate and key, or say with trusted = true that the network is a "
                "closed one.",
                "tcp-plain",
            )
        self._settings = settings
        self._context = _context(settings)
        self.listener = listener
        self.lines: set[TcpLine] = set()
        self.turned_away = 0
        self.address = ("", 0)

    def let_in(self, line: TcpLine) -> bool:
        """Counts a connection in, or away."""
        if len(self.lines) >= self._settings.connections_max:
            self.turned_away += 1
            return False
        self.lines.add(line)
        return True

    def run(self, is_over: Callable[[], bool], ready: Callable[[], None] | None = None) -> None:
        """Serves until `is_over`.

        Args:
            is_over: Asked with every tick.
            ready: Called once the address is known.

        Raises:
            DeviceFault: The address cannot be listened on; and whatever the listener raises.
        """
        asyncio.run(self._run(is_over, ready))

    async def _run(self, is_over: Callable[[], bool], ready: Callable[[], None] | None) -> None:
        loop = asyncio.get_running_loop()
        failed: list[BaseException] = []
        loop.set_exception_handler(lambda _, context: failed.append(_error_of(context)))
        server = await self._listen(loop)
        self.address = server.sockets[0].getsockname()[:2]
        if ready is not None:
            ready()
        try:
            while not is_over() and not failed:
                self.listener.tick()
                await asyncio.sleep(TICK_S)
        finally:
            server.close()
            await self._end_all()
        if failed:
            raise failed[0]

    async def _end_all(self) -> None:
        """Ends every line while there is still a loop to end it: what was sent goes out first."""
        for line in list(self.lines):
            line.close()
        await asyncio.sleep(TICK_S)
        for line in list(self.lines):
            line.abort()
        await asyncio.sleep(0)

    async def _listen(self, loop: asyncio.AbstractEventLoop) -> asyncio.Server:
        try:
            return await loop.create_server(
                lambda: TcpLine(self),
                self._settings.host,
                self._settings.port,
                ssl=self._context,
                backlog=BACKLOG,
                ssl_handshake_timeout=HANDSHAKE_S if self._context else None,
            )
        except OSError as error:
            raise DeviceFault(
                f"{self._settings.host}:{self._settings.port} cannot be listened on "
                f"({error.strerror}). Choose another [listen] port, or stop who uses it.",
                "tcp-listen",
            ) from error


def _error_of(context: dict[str, object]) -> BaseException:
    error = context.get("exception")
    return error if isinstance(error, BaseException) else RuntimeError(str(context.get("message")))


def _is_loopback(settings: TcpSettings) -> bool:
    try:
        return ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        return settings.host == "localhost"


def _context(settings: TcpSettings) -> ssl.SSLContext | None:
    if settings.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # terminals in the field know no 1.3
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except OSError as error:
        raise LocalError(
            f"The certificate {settings.certificate} or its key cannot be used ({error}). Correct "
            "[listen].",
            "tcp-certificate",
        ) from error
    return context
