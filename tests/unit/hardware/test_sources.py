"""Tests of what the words of the configuration open."""

from __future__ import annotations

import pytest

from edge.errors import LocalError
from hardware.drivers.can_bus import BusSource
from hardware.drivers.clock import SystemClock
from hardware.drivers.elm327 import ElmSource
from hardware.drivers.gnss_line import GnssSource
from hardware.drivers.imu_line import ImuSource
from hardware.drivers.slcan import SlcanSource
from hardware.drivers.sources import LiveSettings, live_source


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (LiveSettings("can", "can0", 0, "socketcan"), BusSource),
        (LiveSettings("can", "/dev/ttyACM0", 0, "slcan", {"bitrate": 250_000}), SlcanSource),
        (LiveSettings("elm327", "/dev/ttyUSB0", 38_400), ElmSource),
        (LiveSettings("gnss", "/dev/ttyS1", 9_600), GnssSource),
        (LiveSettings("imu", "/dev/ttyS2", 115_200), ImuSource),
    ],
)
def test_each_kind_has_its_driver_and_nothing_is_opened_yet(
    settings: LiveSettings, kind: type
) -> None:
    assert isinstance(live_source(settings, [], SystemClock()), kind)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (LiveSettings("log", "drive.log", 0), "beside others"),
        (LiveSettings("can", "/dev/ttyACM0", 0, "slcan", {"bitrat": 1}), "bitrate and baud"),
        (LiveSettings("can", "/dev/ttyACM0", 0, "slcan", {"bitrate": 7}), "No slcan adapter"),
    ],
)
def test_a_slip_is_named(settings: LiveSettings, said: str) -> None:
    with pytest.raises(LocalError, match=said):
        live_source(settings, [], SystemClock())
