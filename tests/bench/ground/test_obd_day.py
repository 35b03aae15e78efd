"""Tests that a day of OBD and GNSS fits the data plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bench.ground.obd_day import obd_day_mb

if TYPE_CHECKING:
    from pathlib import Path

MB_MAX = 1.6


@pytest.mark.slow
def test_eight_hours_cost_no_more_than_the_plan(real_data: Path) -> None:
    spent = obd_day_mb(real_data / "can" / "obd_car" / "obd2_gnss_imu_600s.log")
    assert 0.5 < spent <= MB_MAX
