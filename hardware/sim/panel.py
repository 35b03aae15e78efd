"""The driver's place without hardware: a card reader and a panel that a program holds and touches.

Place in the flow: tests, demonstrations → **panel** → `edge.ports.DriverReader`, `DriverPanel`.

* What was held or touched is handed on once, as by the real ones.
* A broken reader is a `DeviceFault`, until it is mended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.errors import DeviceFault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class SimulatedReader:
    """Fulfils `DriverReader`.

    Attributes:
        held: Numbers of the cards that were held before it and not read yet.
        broken: Whether it is unplugged.
    """

    def __init__(self) -> None:
        self.held: list[bytes] = []
        self.broken = False

    def cards(self) -> Sequence[bytes]:
        """Returns the cards that were held before it since the last call."""
        if self.broken:
            raise DeviceFault("The simulated card reader is unplugged.", "line")
        held, self.held = self.held, []
        return held

    def close(self) -> None:
        """Forgets what was held."""
        self.held = []


class SimulatedPanel:
    """Fulfils `DriverPanel`.

    Attributes:
        state: What it shows.
        touched: What was done there and not read yet.
    """

    def __init__(self) -> None:
        self.state: Mapping[str, Any] = {}
        self.touched: list[Mapping[str, Any]] = []

    def show(self, state: Mapping[str, Any]) -> None:
        """Shows a state."""
        self.state = state

    def touches(self) -> Sequence[Mapping[str, Any]]:
        """Returns what was done there since the last call."""
        touched, self.touched = self.touched, []
        return touched

    def close(self) -> None:
        """Goes dark."""
        self.state = {}
