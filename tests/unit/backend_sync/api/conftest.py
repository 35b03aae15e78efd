"""Fixtures of the API's tests: a village whose core listens on loopback with real certificates."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from backend_sync.api.app import build_app
from backend_sync.api.gate import Gate
from backend_sync.api.serve import ApiServer
from backend_sync.core.config import ApiSection
from backend_sync.core.database import open_pool
from backend_sync.core.pki import Pki
from edge.certificates import make_csr
from edge.keys import write_private
from hardware.drivers.clock import SystemClock, SystemRandomness
from tests.unit.backend_sync.core.village import Village, found_village

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend_sync.core.database import Connection, Pool
    from edge.keys import FileIdentity


@dataclass
class Address:
    """A core that listens, and what a device needs to reach it."""

    url: str
    village: Village
    pool: Pool
    pki: Pki
    folder: Path

    def client(self, identity: FileIdentity | None) -> httpx.Client:
        """An HTTPS client with a certificate of ours for an identity, or with none."""
        context = ssl.create_default_context(cafile=str(self.pki.ca))
        if identity is not None:
            chain = self.folder / f"{identity.kid}-chain.pem"
            write_private(chain, self.pki.issue_device(make_csr(identity), identity.kid).encode())
            context.load_cert_chain(chain, self.folder / f"{identity.kid}.pem")
        return httpx.Client(base_url=self.url, verify=context, timeout=10)


@pytest.fixture
def address(connection: Connection, dsn: str, tmp_path: Path) -> Iterator[Address]:
    """A core that listens."""
    village = found_village(connection, tmp_path)
    pki = Pki(tmp_path / "pki", "demo", SystemClock(), SystemRandomness())
    pki.establish(village.core, ["localhost", "127.0.0.1"])
    pool = open_pool(dsn, 4)
    folder = tmp_path / "pki"
    section = ApiSection(folder / "server.pem", folder / "server.key", folder / "ca.pem", port=0)
    server = ApiServer(build_app(Gate(pool, village.core, SystemClock(), 60)), section)
    url = server.start()
    yield Address(url, village, pool, pki, tmp_path)
    server.stop()
    pool.close()
