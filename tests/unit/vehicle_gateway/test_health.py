"""Tests of what a box tells of itself: sealed, as a textfile, and as a pulse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ports import PowerReading
from tests.unit.hardware.pki import Pki
from tests.unit.vehicle_gateway.test_gateway import parts
from tests.unit.vehicle_gateway.yard import DEVICE, Hasty, Script
from vehicle_gateway.config import HealthSection
from vehicle_gateway.gateway import Feed, Gateway
from vehicle_gateway.health import VITALS_MAX, Health, Organs, metrics, read_signal
from vehicle_gateway.power import Power, PowerRule

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.vehicle_gateway.yard import Box, Core

PERIOD_S = 900


class Pulse:
    """A supervisor that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def ready(self) -> None:
        self.said.append("ready")

    def alive(self, status: str) -> None:
        self.said.append(status)

    def stopping(self) -> None:
        self.said.append("stopping")


class Wires:
    def read(self) -> PowerReading:
        return PowerReading(ignition=True, supply_mv=13_800)


def run(box: Box, folder: Path, minutes: int, textfile: Path | None = None) -> Pulse:
    """A run of so many minutes in which the clock moves a minute after each chunk."""
    batcher = box.open()
    steps: list[Any] = [
        step for part in parts(4.0 * minutes)[:minutes] for step in (part, later(box))
    ]
    source = Script(steps)
    power = Power(Wires(), PowerRule(), box.clock.monotonic_us)
    organs = Organs(
        DEVICE, folder, batcher, source, None, None, power, lambda: {"source": "gnss"},
        lambda: -71,
    )  # fmt: skip
    pulse = Pulse()
    gateway = Gateway(Feed(source, is_live=True), batcher, box.sink, None, box.folder, power)
    gateway.report(Health(organs, pulse, HealthSection(PERIOD_S, textfile)))
    gateway.run(Hasty())
    return pulse


def later(box: Box) -> Callable[[], None]:
    return lambda: box.clock.advance(60)


def test_health_is_sealed_at_the_start_every_quarter_of_an_hour_and_at_the_end(
    box: Box, core: Core, tmp_path: Path
) -> None:
    run(box, tmp_path, 35)
    told = [each["health"] for each in core.records(box.messages()) if "health" in each]
    assert [each["uptime_s"] // 60 for each in told] == [0, 15, 30, 35]
    last = told[-1]
    assert (last["ignition"], last["supply_mv"], last["signal_dbm"]) == (1, 13_800, -71)
    assert last["clock_source"] == "gnss"
    assert last["frames"] > 0
    assert len(last) <= VITALS_MAX
    assert all(isinstance(value, int | str) for value in last.values())


def test_health_names_nobody_and_counts_as_no_batch(box: Box, core: Core, tmp_path: Path) -> None:
    run(box, tmp_path, 2)
    records = core.records(box.messages())
    told = [each for each in records if "health" in each]
    assert all(each["driver"] is None or each["driver"] == records[0]["driver"] for each in told)
    assert "driver" not in told[-1]["health"]
    counted = told[-1]["health"]["batches"]
    assert counted == len([each for each in records if "health" not in each])


def test_the_supervisor_hears_the_loop_go_round(box: Box, tmp_path: Path) -> None:
    said = run(box, tmp_path, 10).said
    assert (said[0], said[-1]) == ("ready", "stopping")
    assert len(said) > 10
    assert re.fullmatch(r"offline, \d+ waiting, \d+ frames", said[5])


def test_a_textfile_is_replaced_whole_and_is_what_prometheus_reads(
    box: Box, tmp_path: Path
) -> None:
    path = tmp_path / "lastmile.prom"
    run(box, tmp_path, 3, path)
    lines = path.read_text().splitlines()
    assert [entry.name for entry in tmp_path.glob("*.prom*")] == ["lastmile.prom"]
    shape = re.compile(r'(# TYPE \w+ gauge|\w+\{\w+="[^"]*"(,\w+="[^"]*")*\} -?\d+)')
    assert all(shape.fullmatch(line) for line in lines)
    assert any(line.startswith('lastmile_gateway_frames{device="box-1"} ') for line in lines)


def test_a_folder_that_is_not_there_stops_nothing(
    box: Box, core: Core, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(box, tmp_path, 5, tmp_path / "gone" / "lastmile.prom")
    assert any("health" in each for each in core.records(box.messages()))
    assert caplog.text.count("cannot be written") == 1


@given(st.dictionaries(st.text("abc-.", min_size=1), st.integers() | st.text()))
def test_no_text_breaks_the_format(vitals: dict[str, int | str]) -> None:
    for line in metrics('box"\n', vitals).splitlines():
        assert line.startswith(("# TYPE lastmile_gateway_", "lastmile_gateway_"))


@pytest.mark.parametrize(
    ("content", "dbm"), [(b"-71\n", -71), (b"", None), (b"\xff", None), (b"9", None)]
)
def test_a_signal_is_read_where_a_daemon_writes_it(
    tmp_path: Path, content: bytes, dbm: int | None
) -> None:
    path = tmp_path / "signal"
    path.write_bytes(content)
    assert read_signal(path)() == dbm
    assert read_signal(None)() is None
    assert read_signal(tmp_path / "gone")() is None


def test_it_says_until_when_the_certificate_holds(tmp_path: Path) -> None:
    from edge.certificates import ends_us

    certificate, key = Pki(tmp_path).issue(DEVICE)
    assert ends_us(certificate) == 4_733_510_400_000_000  # 2120-01-01
    assert ends_us(key) is None
    assert ends_us(tmp_path / "gone") is None
