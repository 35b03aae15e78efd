"""Three lights and a buzzer as the driver's panel: the LED class and one file of Linux.

Place in the flow: cabin → `edge.ports.DriverPanel` → **panel_leds** → /sys/class/leds, a buzzer.

    state              green    amber            red              buzzer
    nobody signed in   dark     dark             dark             silent
    signed in          on       dark             dark             silent
    warn               on       blinks 1 Hz      dark             0.1 s every 2 s
    alarm              on       dark             blinks 4 Hz      0.25 s of every 0.5 s

* The kernel blinks by itself (trigger `timer`); a light is written only when it changes.
* The buzzer is a file that takes 1 and 0: `value` of a GPIO, `enable` of a PWM channel, or
  `brightness` of an LED that is one. It sounds only while the gateway runs: `close` silences it.
* Whatever is not configured is left out; a file that cannot be written is a `DeviceFault`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.errors import DeviceFault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ON, OFF = "on", "off"
BLINKS: Final = {"warn": 500, "alarm": 125}
"""Half a period in milliseconds."""
SOUNDS: Final = {"warn": (2_000_000, 100_000), "alarm": (500_000, 250_000)}
"""Period, and how much of it is loud, in microseconds."""


@dataclass(frozen=True, slots=True)
class Lights:
    """Which files are what; None where there is none.

    Attributes:
        green: Folder of an LED, such as `/sys/class/leds/driver:green`; as the other two.
        buzzer: File that takes 1 and 0.
    """

    green: Path | None = None
    amber: Path | None = None
    red: Path | None = None
    buzzer: Path | None = None


class LedPanel:
    """Fulfils `edge.ports.DriverPanel`; it cannot be touched."""

    def __init__(self, lights: Lights) -> None:
        self._lights = lights
        self._shown: dict[Path, str] = {}

    def show(self, state: Mapping[str, Any]) -> None:
        """Sets lights and buzzer."""
        lights, level = self._lights, str(state.get("level", ""))
        self._light(lights.green, ON if state.get("driver") else OFF)
        self._light(lights.amber, level if level == "warn" else OFF)
        self._light(lights.red, level if level == "alarm" else OFF)
        self._sound(str(state.get("sound", "")), int(state.get("mono_us", 0)))

    def touches(self) -> Sequence[Mapping[str, Any]]:
        """Returns nothing."""
        return ()

    def close(self) -> None:
        """Goes dark and silent."""
        self.show({})

    def _light(self, folder: Path | None, wanted: str) -> None:
        if folder is None or self._shown.get(folder) == wanted:
            return
        half = BLINKS.get(wanted)
        if half is not None:
            self._write(folder / "trigger", "timer")
            self._write(folder / "delay_on", str(half))
            self._write(folder / "delay_off", str(half))
        else:
            self._write(folder / "trigger", "none")
            self._write(folder / "brightness", "1" if wanted == ON else "0")
        self._shown[folder] = wanted

    def _sound(self, sound: str, now_us: int) -> None:
        file = self._lights.buzzer
        period, loud = SOUNDS.get(sound, (1, 0))
        wanted = "1" if now_us % period < loud else "0"
        if file is not None and self._shown.get(file) != wanted:
            self._write(file, wanted)
            self._shown[file] = wanted

    def _write(self, file: Path, text: str) -> None:
        try:
            # Not created: what is not there is no light, and must not become a plain file.
            with file.open("r+", encoding="ascii") as opened:
                opened.write(text)
        except OSError as error:
            self._shown.clear()
            raise DeviceFault(
                f"{file} of the driver's panel cannot be written ({error.strerror}); correct "
                "[panel] or its permissions.",
                "panel-light",
            ) from error
