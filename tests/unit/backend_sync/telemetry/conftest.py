"""Fixtures of the telemetry tests: a core and the boxes it knows. The database is that of above."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backend_sync.core.keypairs import KeyFolder
from edge.keys import FileIdentity
from tests.unit.backend_sync.telemetry.box import Box, Core

if TYPE_CHECKING:
    from pathlib import Path

    from backend_sync.core.database import Connection


@pytest.fixture
def core(tmp_path: Path) -> Core:
    """A core that knows no device yet."""
    pairs = KeyFolder(tmp_path / "keys")
    pairs.create()
    return Core(FileIdentity.create(tmp_path / "keys" / "core.pem", "core"), pairs)


@pytest.fixture
def box(connection: Connection, core: Core, tmp_path: Path) -> Box:
    """A registered device."""
    return core.register(connection, FileIdentity.create(tmp_path / "box-1.pem", "box-1"))


@pytest.fixture
def other_box(connection: Connection, core: Core, tmp_path: Path) -> Box:
    """A second registered device."""
    identity = FileIdentity.create(tmp_path / "box-2.pem", "box-2")
    return replace(core.register(connection, identity), seed=b"\x08" * 32)
