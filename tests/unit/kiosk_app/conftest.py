"""A village for each test of kiosk_app.

Place in the flow: pytest reads it before the tests of this folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.kiosk_app.village import opened_village

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.kiosk_app.village import Village


@pytest.fixture
def village(tmp_path: Path) -> Iterator[Village]:
    """A kiosk that is switched on, with a pad that needs no fingers."""
    with opened_village(tmp_path) as made:
        yield made


@pytest.fixture
def fingers(tmp_path: Path) -> Iterator[Village]:
    """A kiosk that is switched on, with the simulated pad of hardware/sim."""
    with opened_village(tmp_path, quick=False) as made:
        yield made
