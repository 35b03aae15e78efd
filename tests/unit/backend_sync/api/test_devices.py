"""Claims about who may send telemetry: active devices only, and a change is noticed in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from backend_sync.api.devices import FRESH_US, DeviceKeys
from backend_sync.core.database import open_pool
from edge.ports import Instant
from tests.unit.backend_sync.core.village import Village, found_village

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend_sync.core.database import Connection


@dataclass
class HandClock:
    """A clock that is moved by hand; fulfils `edge.ports.Clock`."""

    monotonic_us: int = 0

    def now(self) -> Instant:
        return Instant(1, "00" * 8, self.monotonic_us)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def village(connection: Connection, tmp_path: Path) -> Village:
    return found_village(connection, tmp_path)


@pytest.fixture
def keys(village: Village, dsn: str, clock: HandClock) -> Iterator[DeviceKeys]:
    """The look-up, over the village's database."""
    assert village.kiosk.device == "kiosk-1"
    pool = open_pool(dsn, 1)
    yield DeviceKeys(pool, clock)
    pool.close()


def test_an_active_device_is_known_by_its_key(keys: DeviceKeys, village: Village) -> None:
    assert keys("kiosk-1") == village.kiosk.identity.public_bytes


@pytest.mark.parametrize("name", ["kiosk-2", "", "kiosk\0", "../kiosk-1"])
def test_nobody_else_is_known(keys: DeviceKeys, name: str) -> None:
    assert keys(name) is None


@pytest.mark.parametrize("state", ["quarantined", "retired"])
def test_a_device_that_is_stopped_is_heard_for_seconds_at_most(
    keys: DeviceKeys, village: Village, clock: HandClock, state: str
) -> None:
    keys("kiosk-1")
    village.connection.execute("UPDATE devices SET state = %s, state_reason = 'x'", [state])
    clock.monotonic_us = FRESH_US - 1
    assert keys("kiosk-1") is not None
    clock.monotonic_us = FRESH_US
    assert keys("kiosk-1") is None
