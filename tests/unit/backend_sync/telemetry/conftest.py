"""Fixtures of the telemetry tests: a core and the boxes it knows. The database is that of above."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend_sync.telemetry.keyring import KeyRing
from edge.keys import FileIdentity, HpkeKeypair
from tests.unit.backend_sync.telemetry.box import Box, Core

if TYPE_CHECKING:
    from pathlib import Path


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
