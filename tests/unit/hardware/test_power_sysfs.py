"""Tests of ignition and supply files: levels, scales, and what is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.ports import PowerReading
from hardware.drivers.power_sysfs import PowerFiles, SysfsPower

if TYPE_CHECKING:
    from pathlib import Path


def test_levels_and_scales(tmp_path: Path) -> None:
    key, adc = tmp_path / "value", tmp_path / "in_voltage0_raw"
    key.write_text("1\n")
    adc.write_text("1234\n")
    # 12 bits over 1.8 V behind a divider of 1:20 are 8,789 microvolts a step.
    sense = SysfsPower(PowerFiles(key, False, adc, 8_789))
    assert sense.read() == PowerReading(ignition=True, supply_mv=10_845)
    assert SysfsPower(PowerFiles(key, True)).read() == PowerReading(ignition=False)
    key.write_text("0\n")
    assert sense.read().ignition is False


@pytest.mark.parametrize("content", [b"", b"on\n", b"\xff\xfe", b"-5\n", b"99999999999\n"])
def test_what_is_no_reading_is_none_and_counted(tmp_path: Path, content: bytes) -> None:
    adc = tmp_path / "in_voltage0_raw"
    adc.write_bytes(content)
    sense = SysfsPower(PowerFiles(supply=adc))
    assert sense.read() == PowerReading()
    assert sense.failed == {"supply": 1}


def test_a_box_without_wires_knows_nothing(tmp_path: Path) -> None:
    assert SysfsPower(PowerFiles()).read() == PowerReading()
    gone = SysfsPower(PowerFiles(ignition=tmp_path / "gone"))
    assert (gone.read(), gone.failed) == (PowerReading(), {"ignition": 1})
