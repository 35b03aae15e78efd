"""A counter in memory that can be lost, stuck or behind: for tests and simulated towns.

Place in the flow: **counter** → `edge.ports.Counter` → journal, agent.

* It outlives the store as a TPM outlives a disk: keep the object, restore the file.
"""

from __future__ import annotations

from edge.errors import DeviceFault


class SimCounter:
    """Fulfils `edge.ports.Counter`.

    Args:
        value: Where it begins.

    Attributes:
        value: Where it stands.
        fault: What every reading fails with; empty while it works.
        stuck: What every raising fails with; empty while it works.
        raised: How often it was raised.
    """

    def __init__(self, value: int = 0) -> None:
        self.value = value
        self.fault = ""
        self.stuck = ""
        self.raised = 0

    def create(self) -> None:
        """Brings a counter that was lost back, where it was."""
        self.fault = ""

    def read(self) -> int:
        """Returns the present value.

        Raises:
            DeviceFault: `fault`.
        """
        if self.fault:
            raise DeviceFault("The simulated counter cannot be read.", self.fault)
        return self.value

    def advance_to(self, value: int) -> None:
        """Raises the counter to `value`.

        Raises:
            DeviceFault: `fault` or `stuck`.
        """
        if value <= self.read():
            return
        if self.stuck:
            raise DeviceFault("The simulated counter cannot be raised.", self.stuck)
        self.value = value
        self.raised += 1
