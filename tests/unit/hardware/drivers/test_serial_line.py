"""The serial line: raw bytes both ways, and a line that is not there is a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.errors import DeviceFault, LocalError
from hardware.drivers.serial_line import SerialLine

EVERY_BYTE = bytes(range(256))


def test_every_byte_passes_unchanged_both_ways() -> None:
    device, cable = os.openpty()
    line = SerialLine(Path(os.ttyname(cable)))
    line.write(EVERY_BYTE)
    seen = b""
    while len(seen) < 256:
        seen += os.read(device, 256)
    os.write(device, EVERY_BYTE)
    back = b""
    while len(back) < 256:
        back += line.read(1_000)
    line.close()
    os.close(device)
    os.close(cable)
    assert (seen, back) == (EVERY_BYTE, EVERY_BYTE)


def test_a_silent_line_reads_empty() -> None:
    device, cable = os.openpty()
    line = SerialLine(Path(os.ttyname(cable)))
    assert line.read(5) == b""
    line.close()
    os.close(device)
    os.close(cable)


def test_a_line_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(DeviceFault, match="cable"):
        SerialLine(tmp_path / "ttyUSB0")


def test_an_unplugged_line_is_a_fault() -> None:
    device, cable = os.openpty()
    line = SerialLine(Path(os.ttyname(cable)))
    os.close(cable)
    os.close(device)
    with pytest.raises(DeviceFault):
        line.write(b"x")
    line.close()


def test_an_unknown_speed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalError):
        SerialLine(tmp_path, 300)
