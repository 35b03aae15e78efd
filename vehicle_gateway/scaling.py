"""From the bits of a signal to the integers of the data catalogue, exactly.

Place in the flow: dbc and obd compile with it; decode runs what they compiled.

* Factor, offset and unit are rationals; what is left of them at run time is three integers.
* Halves round up. No float touches a sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Scaling:
    """raw = (bits * multiply + add) // divide, which rounds physical / unit half up."""

    multiply: int
    add: int
    divide: int

    @classmethod
    def between(cls, factor: Fraction, offset: Fraction, unit: Fraction) -> Scaling:
        """Makes the scaling from `bits * factor + offset` to multiples of `unit`."""
        slope, level = factor / unit, offset / unit
        divide = math.lcm(slope.denominator, level.denominator)
        multiply, add = int(slope * divide), int(level * divide)
        return (
            cls(multiply, add, 1)
            if divide == 1
            else cls(2 * multiply, 2 * add + divide, 2 * divide)
        )

    def apply(self, bits: int) -> int:
        """Scales one value."""
        return (bits * self.multiply + self.add) // self.divide
