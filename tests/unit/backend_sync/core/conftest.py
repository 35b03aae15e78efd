"""Fixtures of the core's tests: a village that is already registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.backend_sync.core.village import Village, found_village

if TYPE_CHECKING:
    from pathlib import Path

    from backend_sync.core.database import Connection


@pytest.fixture
def village(connection: Connection, tmp_path: Path) -> Village:
    """A core with a kiosk, a customer and money."""
    return found_village(connection, tmp_path)
