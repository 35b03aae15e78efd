"""TLS and threads around the app: a server that starts, says where it is, and stops when told.

Place in the flow: socket → **serve** → app.

* TLS 1.3 only, and only for clients with a certificate of our own issuing (the outer gate).
* It runs in a thread of its own, so that signals stay with `__main__`.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from typing import TYPE_CHECKING, Final

import uvicorn

from edge.errors import DeviceFault

if TYPE_CHECKING:
    from litestar import Litestar

    from backend_sync.core.config import ApiSection

START_S_MAX: Final = 15.0
STOP_S_MAX: Final = 5
POLL_S: Final = 0.02


class ApiServer:
    """One HTTPS listener.

    Args:
        app: What to serve.
        settings: Address and certificates.

    Raises:
        DeviceFault: A certificate or key cannot be read.
    """

    name: Final = "api"

    def __init__(self, app: Litestar, settings: ApiSection) -> None:
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            ssl_certfile=str(settings.certificate),
            ssl_keyfile=str(settings.key),
            ssl_ca_certs=str(settings.ca),
            ssl_cert_reqs=ssl.CERT_REQUIRED,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=STOP_S_MAX,
        )
        try:
            config.load()
        except OSError as error:
            raise DeviceFault(
                f"The certificates in [api] cannot be read ({error}). Run lastmile-core init.",
                "api-certificates",
            ) from error
        if config.ssl is not None:
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
        self._host = settings.host
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name=self.name, daemon=True)

    def start(self) -> str:
        """Begins to listen and returns the address.

        Raises:
            DeviceFault: The port is taken.
        """
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(START_S_MAX / POLL_S)):
            if self._server.started or not self._thread.is_alive():
                break
            waited.wait(POLL_S)
        if not self._server.started:
            raise DeviceFault(
                "The API cannot listen; is the port in [api] taken by another program?",
                "api-start",
            )
        return f"https://{self._host}:{self.port}"

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    @property
    def alive(self) -> bool:
        """Whether it still serves."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Lets requests under way finish, then closes."""
        self._server.should_exit = True
        self._thread.join()

    def _serve(self) -> None:
        """Uvicorn ends its thread with an exit code when it cannot listen; `start` says so."""
        with contextlib.suppress(SystemExit):
            self._server.run()
