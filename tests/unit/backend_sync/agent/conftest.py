"""Fixtures of the agent's tests: a core, a kiosk that it knows, and the wire between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.backend_sync.agent.village import Core, Kiosk, Wire, make_core, make_kiosk

if TYPE_CHECKING:
    from pathlib import Path

    from backend_sync.core.database import Connection


@pytest.fixture
def core(connection: Connection, tmp_path: Path) -> Core:
    """A core on a database of its own."""
    return make_core(connection, tmp_path)


@pytest.fixture
def kiosk(core: Core, tmp_path: Path) -> Kiosk:
    """A registered kiosk that was never started."""
    return make_kiosk(core, tmp_path / "kiosk")


@pytest.fixture
def wire(core: Core) -> Wire:
    """A wire on which nothing is lost."""
    return Wire(core)
