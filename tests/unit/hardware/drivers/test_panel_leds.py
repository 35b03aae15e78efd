"""Tests of lights and buzzer: what each state writes into which file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.errors import DeviceFault
from hardware.drivers.panel_leds import LedPanel, Lights

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("trigger", "brightness", "delay_on", "delay_off")


def lights(folder: Path) -> Lights:
    for colour in ("green", "amber", "red"):
        (folder / colour).mkdir()
        for name in FILES:
            (folder / colour / name).write_text("")
    (folder / "buzzer").write_text("")
    return Lights(folder / "green", folder / "amber", folder / "red", folder / "buzzer")


def read(folder: Path, name: str) -> str:
    return (folder / name).read_text().strip()


def test_nobody_is_dark_and_a_driver_is_green(tmp_path: Path) -> None:
    panel = LedPanel(lights(tmp_path))
    panel.show({"driver": None})
    assert read(tmp_path, "green/brightness") == "0"
    panel.show({"driver": {"name": ""}})
    assert read(tmp_path, "green/brightness") == "1"
    assert read(tmp_path, "red/trigger") == "none"


def test_a_warning_blinks_slowly_in_amber_and_an_alarm_fast_in_red(tmp_path: Path) -> None:
    panel = LedPanel(lights(tmp_path))
    panel.show({"level": "warn"})
    assert (read(tmp_path, "amber/trigger"), read(tmp_path, "amber/delay_on")) == ("timer", "500")
    panel.show({"level": "alarm"})
    assert read(tmp_path, "amber/trigger").startswith("none")
    assert (read(tmp_path, "red/trigger"), read(tmp_path, "red/delay_off")) == ("timer", "125")


@pytest.mark.parametrize(
    ("sound", "at_us", "loud"),
    [
        ("warn", 0, "1"),
        ("warn", 100_000, "0"),
        ("alarm", 249_999, "1"),
        ("alarm", 250_000, "0"),
        ("", 0, "0"),
    ],
)
def test_the_buzzer_keeps_its_rhythm(tmp_path: Path, sound: str, at_us: int, loud: str) -> None:
    panel = LedPanel(lights(tmp_path))
    panel.show({"sound": sound, "mono_us": at_us})
    assert read(tmp_path, "buzzer") == loud


def test_a_light_is_written_only_when_it_changes(tmp_path: Path) -> None:
    panel = LedPanel(lights(tmp_path))
    panel.show({"level": "alarm"})
    (tmp_path / "red" / "trigger").write_text("untouched")
    panel.show({"level": "alarm"})
    assert read(tmp_path, "red/trigger") == "untouched"


def test_closed_it_is_dark_and_silent(tmp_path: Path) -> None:
    panel = LedPanel(lights(tmp_path))
    panel.show({"driver": {}, "level": "alarm", "sound": "alarm", "mono_us": 0})
    panel.close()
    assert read(tmp_path, "buzzer") == "0"
    assert read(tmp_path, "red/brightness") == "0"


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    panel = LedPanel(Lights(green=tmp_path / "absent"))
    with pytest.raises(DeviceFault, match="absent"):
        panel.show({})
    assert not (tmp_path / "absent").exists()
    LedPanel(Lights()).show({"level": "alarm"})
