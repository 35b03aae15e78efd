"""Fixtures of the gateway's tests: a box and its core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.keys import FileIdentity, HpkeKeypair
from tests.unit.vehicle_gateway.yard import Box, Core

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def core(tmp_path: Path) -> Core:
    """A core with its keys."""
    return Core(
        HpkeKeypair.create(tmp_path / "hpke.pem"),
        FileIdentity.create(tmp_path / "core.pem", "core"),
    )


@pytest.fixture
def box(core: Core, tmp_path: Path) -> Iterator[Box]:
    """A box that is not open yet."""
    with Box(tmp_path, core.policy) as box:
        yield box
