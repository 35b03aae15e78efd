"""Which of three axes follows a known movement, and in which direction: found by correlation.

Place in the flow: ticks → **fit** → mounting → motion.

* Sums are integers and halve when they grow old, so a box that is mounted anew is found anew.
* An axis is taken only when the movement was varied enough to tell, and the axis follows it well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

AXES_COUNT: Final = 3
PAIRS_MAX: Final = 1_200
# A pair that no vehicle can have made (a knock against the box) would outweigh a minute of driving.
MMPS2_MAX: Final = 12_000


class AxisFit:
    """Pairs a movement with what each axis says of it.

    Attributes:
        axis: Place of the axis that follows; -1 so far.
        sign: 1 where it counts as the movement does, else -1.
    """

    def __init__(self, figures: Mapping[str, int]) -> None:
        self._pairs_min = figures["axis_pairs_min"]
        self._spread_min = figures["axis_spread_mmps2_min"]
        self._fit_min = figures["axis_fit_percent_min"]
        self.axis, self.sign = -1, 0
        self._pairs = [0, 0, 0]  # number, sum and sum of squares of the movement
        # Sum, sum of squares and sum of products of each axis.
        self._moments = [[0, 0, 0] for _ in range(AXES_COUNT)]

    def pair(self, movement: int, means: Sequence[int | None]) -> bool:
        """Takes a pair in, in mm/s2; says whether another axis or direction was found by it."""
        if abs(movement) > MMPS2_MAX or all(mean is None for mean in means):
            return False
        if self._pairs[0] >= PAIRS_MAX:
            self._pairs = [value // 2 for value in self._pairs]
            self._moments = [[value // 2 for value in each] for each in self._moments]
        _add(self._pairs, (1, movement, movement * movement))
        for moments, mean in zip(self._moments, means, strict=True):
            # An absent axis follows nothing.
            bounded = max(-MMPS2_MAX, min(MMPS2_MAX, mean or 0))
            _add(moments, (bounded, bounded * bounded, bounded * movement))
        return self._choose()

    def state(self) -> dict[str, Any]:
        """Returns all that the next pair depends on."""
        return {
            "axis": [self.axis, self.sign],
            "pairs": list(self._pairs),
            "moments": [list(each) for each in self._moments],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self.axis, self.sign = state["axis"]
        self._pairs = list(state["pairs"])
        self._moments = [list(each) for each in state["moments"]]

    def _choose(self) -> bool:
        """Takes the axis that follows the movement best, if any does."""
        number, total, squares = self._pairs
        spread = number * squares - total * total  # number² x variance
        if number < self._pairs_min or spread < (number * self._spread_min) ** 2:
            return False
        best, fit, sign = -1, 0, 0
        for axis, (own, own_squares, products) in enumerate(self._moments):
            along = number * products - own * total
            own_spread = number * own_squares - own * own
            percent = along * along * 100 * 100 // (spread * own_spread) if own_spread else 0
            if percent > fit:
                best, fit, sign = axis, percent, 1 if along > 0 else -1
        if fit < self._fit_min * self._fit_min or (best, sign) == (self.axis, self.sign):
            return False
        self.axis, self.sign = best, sign
        return True


def _add(sums: list[int], more: Iterable[int]) -> None:
    for place, value in enumerate(more):
        sums[place] += value
