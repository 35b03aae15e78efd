"""Ignition and supply as Linux shows them: a file of a GPIO line and one of an ADC.

Place in the flow: /sys/class/gpio, /sys/bus/iio → **power_sysfs** → vehicle_gateway.power.

* An ignition file holds 1 or 0 (`inverted` where the input is active low).
* A supply file holds an integer; `scale_uv` microvolts of the battery stand for one of it, which
  has in it both the converter's step and the voltage divider before it.
* A file that is absent or holds something else is None for this reading and counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.ports import PowerReading

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TEXT_BYTES_MAX: Final = 32
SUPPLY_MV_MAX: Final = 60_000


@dataclass(frozen=True, slots=True)
class PowerFiles:
    """Where to read; None where the box has no such wire."""

    ignition: Path | None = None
    inverted: bool = False
    supply: Path | None = None
    scale_uv: int = 1_000


class SysfsPower:
    """Fulfils `edge.ports.PowerSense`."""

    def __init__(self, files: PowerFiles) -> None:
        self._files = files
        self._failed: Counter[str] = Counter()

    @property
    def failed(self) -> Mapping[str, int]:
        """Readings that gave nothing: `ignition`, `supply`."""
        return dict(self._failed)

    def read(self) -> PowerReading:
        """Returns the present state."""
        files = self._files
        level = self._integer("ignition", files.ignition)
        ignition = None if level is None else (level != 0) is not files.inverted
        raw = self._integer("supply", files.supply)
        supply_mv = None if raw is None else raw * files.scale_uv // 1_000
        if supply_mv is not None and not 0 <= supply_mv <= SUPPLY_MV_MAX:
            self._failed["supply"] += 1
            supply_mv = None
        return PowerReading(ignition, supply_mv)

    def _integer(self, name: str, path: Path | None) -> int | None:
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                return int(file.read(TEXT_BYTES_MAX))
        except (OSError, ValueError):
            self._failed[name] += 1
            return None
