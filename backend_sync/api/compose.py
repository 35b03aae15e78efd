"""One process of the core: which parts it runs, how they start, and how they end.

Place in the flow: `lastmile-core run` → **compose** → API, poster, ingest, each in its own thread.

* A database or broker that is away is waited for: that is the normal path, not an error.
* `ready` is logged once everything asked for is up; before it, no device is answered.
* A part that ends by itself ends the process: nothing goes on half alive behind a good face.
* Stopping goes with the flow: no new work is let in, what was taken in is posted, then the
  database is let go.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backend_sync.api.app import build_app
from backend_sync.api.devices import DeviceKeys
from backend_sync.api.gate import Gate
from backend_sync.api.serve import ApiServer
from backend_sync.core.database import connect, open_pool, prepare, used_server
from backend_sync.core.poster import keep_posting
from backend_sync.telemetry.consumer import TelemetrySettings
from backend_sync.telemetry.consumer import run as keep_ingesting
from backend_sync.telemetry.ratchets import PURPOSE
from edge.errors import DeviceFault, LocalError
from edge.keys import LocalSecret

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend_sync.core.config import CoreConfig
    from backend_sync.core.database import Pool, Server
    from backend_sync.core.site import Keys
    from edge.ports import Clock, Randomness

PARTS: Final = ("all", "api", "post", "ingest")
RETRY_S: Final = 1.0
WATCH_S: Final = 0.5
DATABASE_WATCHES: Final = 4
STOP_S_MAX: Final = 20.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Core:
    """What every part needs."""

    config: CoreConfig
    keys: Keys
    clock: Clock
    randomness: Randomness

    def runs(self, wanted: str, part: str) -> bool:
        """Says whether a part is asked for; with `all`, ingest runs only where a broker is."""
        if part == "ingest" and wanted == "all":
            return self.config.broker is not None
        return wanted in {"all", part}


class Part:
    """A thread that is expected to live until it is told to stop.

    Args:
        name: For logs.
        work: Returns once `stop` is set.
    """

    def __init__(self, name: str, work: Callable[[threading.Event], None]) -> None:
        self.name = name
        self._work = work
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begins to work."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still works."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Tells it to stop, and waits for it."""
        self._stop.set()
        self._thread.join(STOP_S_MAX)
        if self.alive:
            log.error("%s does not stop; it is left behind", self.name)

    def _run(self) -> None:
        try:
            self._work(self._stop)
        except Exception:
            log.exception("%s failed", self.name)


def run(core: Core, wanted: str, stop: threading.Event) -> int:
    """Runs the parts asked for until `stop` is set.

    Args:
        core: What every part needs.
        wanted: One of `PARTS`.
        stop: Set by a signal.

    Returns:
        0 after `stop`; 1 when a part ended by itself.

    Raises:
        LocalError: Ingest is asked for without a broker; the database is unsafe or newer.
        DeviceFault: The embedded database does not start, or the port is taken.
    """
    if wanted == "ingest" and core.config.broker is None:
        raise LocalError("core.toml has no [broker]; ingest has nowhere to listen.", "no-broker")
    with contextlib.ExitStack() as cleanup:
        data_dir, dsn = core.config.core.data_dir, core.config.database.dsn
        server = cleanup.enter_context(used_server(data_dir, dsn))
        if not _wait_prepared(server, stop):
            return 0
        pool = open_pool(server.dsn)
        cleanup.callback(pool.close)
        parts: list[Part | ApiServer] = []
        for part in _parts(core, wanted, server, pool):
            cleanup.callback(part.stop)
            part.start()
            parts.append(part)
        address = "without an API"
        if core.runs(wanted, "api"):
            api = _api(core, pool)
            address = api.start()
            cleanup.callback(api.stop)
            parts.append(api)
        log.info("ready %s", address)
        return _watch(server, parts, stop)


def _wait_prepared(server: Server, stop: threading.Event) -> bool:
    """Waits until the database answers and has our schema; False when told to stop first."""
    while not stop.is_set():
        try:
            applied = prepare(server.dsn)
        except DeviceFault as fault:
            log.warning("waiting for the database: %s", fault)
            stop.wait(RETRY_S)
        else:
            log.info("database ready, %d migrations applied", len(applied))
            return True
    return False


def _parts(core: Core, wanted: str, server: Server, pool: Pool) -> list[Part]:
    parts = []
    if core.runs(wanted, "post"):
        parts.append(Part("post", lambda stop: keep_posting(server.dsn, core.clock, stop)))
    if core.runs(wanted, "ingest"):
        settings = _telemetry(core, server, pool)
        parts.append(Part("ingest", lambda stop: keep_ingesting(settings, stop)))
    return parts


def _api(core: Core, pool: Pool) -> ApiServer:
    gate = Gate(pool, core.keys.core, core.clock, core.config.api.next_contact_s)
    return ApiServer(build_app(gate), core.config.api)


def _telemetry(core: Core, server: Server, pool: Pool) -> TelemetrySettings:
    broker = core.config.broker
    assert broker is not None
    return TelemetrySettings(
        org=core.config.core.org,
        host=broker.host,
        port=broker.port,
        ca=broker.ca,
        certificate=broker.certificate,
        key=broker.key,
        lake=core.config.lake.dir,
        connect=lambda: connect(server.dsn),
        device_key=DeviceKeys(pool, core.clock),
        hpke=core.keys.hpke,
        secret=LocalSecret(core.keys.core, PURPOSE, core.randomness),
        signer=core.keys.core,
        clock=core.clock,
        randomness=core.randomness,
        shared=broker.shared,
    )


def _watch(server: Server, parts: list[Part | ApiServer], stop: threading.Event) -> int:
    """Waits for the end, whoever brings it, and keeps the embedded database up meanwhile."""
    rounds = 0
    while not stop.wait(WATCH_S):
        ended = [part.name for part in parts if not part.alive]
        if ended:
            log.error("%s ended by itself; the process ends with it", ", ".join(ended))
            return 1
        rounds += 1
        if rounds % DATABASE_WATCHES == 0:
            _keep_database(server)
    log.info("stopping")
    return 0


def _keep_database(server: Server) -> None:
    try:
        server.keep_running()
    except DeviceFault as fault:
        log.warning("the database does not start, trying again: %s", fault)
