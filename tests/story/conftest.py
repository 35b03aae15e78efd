"""What the stories of this folder share: a town that is founded once, and towns of one's own.

Place in the flow: pytest → **conftest** → stage, town → test_*.py.

* Every town ends with its test or session, with nothing left behind.
* A test that breaks a town gets one of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.story.stage import Stage
from tests.story.town import Town

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def town() -> Iterator[Town]:
    """A town with a running core and broker, a provisioned box and kiosk, and a villager's lease."""
    with Stage() as stage:
        town = Town(stage.world)
        town.settle("--single-screen")
        yield town
