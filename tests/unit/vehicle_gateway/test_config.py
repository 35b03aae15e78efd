"""Tests of gateway.toml: what provisioning writes is read, and a slip is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.config import load_config
from edge.errors import LocalError
from vehicle_gateway.config import GatewayConfig

if TYPE_CHECKING:
    from pathlib import Path

MINIMAL = """
[gateway]
device = "box-1"
org = "bank"
vehicle = "bus-1"
data_dir = "data"
identity = "keys/identity.pem"

[core]
signing_public = "core/signing.pub"
policy = "core/policy.cose"
"""
BROKER = """
[broker]
host = "broker.bank.example"
port = 8883
ca = "core/ca.pem"
certificate = "core/certificate.pem"
"""


def read(tmp_path: Path, text: str) -> GatewayConfig:
    path = tmp_path / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, GatewayConfig)


def test_the_least_file_listens_to_the_bus_and_keeps_everything(tmp_path: Path) -> None:
    config = read(tmp_path, MINIMAL)
    assert [each.kind for each in config.sources] == ["can"]
    assert config.broker is None
    assert config.campaign.file == ""


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = read(tmp_path, MINIMAL + BROKER + '\n[source]\nkind = "log"\ndbc = ["a.dbc"]\n')
    assert config.gateway.data_dir == tmp_path / "data"
    assert config.sources[0].dbc == [tmp_path / "a.dbc"]
    assert config.broker is not None
    assert config.broker.certificate == tmp_path / "core" / "certificate.pem"


@pytest.mark.parametrize(
    "wrong",
    [
        '[source]\nkind = "usb"',
        '[source]\nspeed = "fast"',
        "[source]\nspede = 1",
        "[outbox]\nbytes_max = '1 GB'",
        "[outbox]\nage_days_max = 0",
        "[outbox]\nage_days_max = 99999999999",
        "[camapign]\nfile = ''",
    ],
)
def test_a_slip_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(LocalError, match="Correct that key"):
        read(tmp_path, MINIMAL + wrong)


def test_several_sources_have_profiles_of_their_own(tmp_path: Path) -> None:
    two = (
        MINIMAL
        + """
[[source]]
interface = "slcan"
channel = "/dev/ttyACM0"
options = {bitrate = 250000}

[[source]]
profile = "toyota_tnga"
"""
    )
    first, second = read(tmp_path, two).sources
    assert (first.interface, first.options) == ("slcan", {"bitrate": 250_000})
    assert (second.channel, second.profile) == ("can0", "toyota_tnga")
    assert [each.kind for each in read(tmp_path, MINIMAL).sources] == ["can"]
    with pytest.raises(LocalError, match="source"):
        read(tmp_path, MINIMAL.replace("[gateway]", "source = []\n[gateway]"))


def test_receivers_and_sensors_on_serial_lines_are_sources(tmp_path: Path) -> None:
    text = """
[clock]
ahead_days_max = 90

[[source]]
kind = "gnss"
channel = "/dev/ttyUSB0"
profile = "gnss"

[[source]]
kind = "imu"
channel = "/dev/ttyUSB1"
baud = 9600
profile = "imu"
"""
    config = read(tmp_path, MINIMAL + text)
    assert [(each.kind, each.baud) for each in config.sources] == [("gnss", 0), ("imu", 9_600)]
    assert (config.clock.ahead_days_max, read(tmp_path, MINIMAL).clock.ahead_days_max) == (90, 730)
