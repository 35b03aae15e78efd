"""A counter in the TPM: what no copy of a disk can take back.

Place in the flow: TPM → **counter_tpm** → `edge.ports.Counter` → journal, agent.

* The TPM itself refuses to go down, and starts a new counter above every one that it ever had.
* An NV counter goes up by one at a time and wears out (some 10⁵ to 10⁶ writes): the journal needs
  one a booking, and a leap of more than `LEAP_MAX` is refused: it is another TPM, or another disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault

if TYPE_CHECKING:
    from hardware.drivers.tpm import Tpm

LEAP_MAX: Final = 64


class TpmCounter:
    """Fulfils `edge.ports.Counter`.

    Args:
        tpm: Whose.
        index: NV index, in the owner's range 0x0180_0000 to 0x01BF_FFFF.
    """

    def __init__(self, tpm: Tpm, index: int) -> None:
        self._tpm = tpm
        self._index = index

    def create(self) -> None:
        """Makes the counter; changes nothing when it is there.

        Raises:
            DeviceFault: The TPM cannot be reached, or has no room.
        """
        self._tpm.define_counter(self._index)

    def read(self) -> int:
        """Returns the present value.

        Raises:
            DeviceFault: There is no counter, or the TPM cannot be reached.
        """
        value = self._tpm.read_counter(self._index)
        if value is None:
            raise DeviceFault(
                f"The TPM has no counter {self._index:#010x}: it was cleared or exchanged. Keep "
                "this device as it is and call the bank.",
                "counter-missing",
            )
        return value

    def advance_to(self, value: int) -> None:
        """Raises the counter to `value`.

        Raises:
            DeviceFault: There is no counter, the leap is too wide, or the TPM cannot be reached.
        """
        leap = value - self.read()
        if leap > LEAP_MAX:
            raise DeviceFault(
                f"The counter in the TPM is {leap} behind this journal: the TPM or the disk is "
                "another one. Keep this device as it is and call the bank.",
                "counter-behind",
            )
        if leap > 0:
            self._tpm.increment_counter(self._index, leap)
