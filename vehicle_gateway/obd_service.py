"""What a technician does at the box: read the fault codes of a vehicle, and clear them.

Place in the flow: `lastmile-gateway dtc` → **obd_service** → obd_schedule ⇄ source.

    find the computers → read stored, pending, permanent → say in the chain who asks why → clear

* Clearing is the only thing that this box ever changes in a vehicle. What was stored, and why it
  was cleared, is signed before anything is sent: a power cut between leaves a word and no deed.
* It takes a reason and a yes; standing still with the ignition on is the technician's part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import check_body
from edge.errors import DeviceFault, LocalError
from edge.ports import EXTENDED_ID
from vehicle_gateway.dtc import code_text, describe
from vehicle_gateway.obd_computer import CLEAR, PENDING, PERMANENT, STORED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from edge.ports import Clock, FrameChunk, FrameSource
    from vehicle_gateway.obd_schedule import ObdSchedule
    from vehicle_gateway.uds_client import UdsClient

Faults = dict[str, dict[str, list[str]]]
"""Computer → stored, pending, permanent → codes."""

KIND: Final = "dtc-clear"
PATIENCE_US: Final = 30_000_000
REASON_CHARACTERS: Final = range(5, 201)
STATUSES: Final[Mapping[int, str]] = {
    STORED: "stored",
    PENDING: "pending",
    PERMANENT: "permanent",
}
NO_CODE: Final = b"\0\0"


class Service:
    """One visit of a technician.

    Args:
        source: A live source that drives `schedule`, and nothing else.
        schedule: With no parameters of its own; it may clear where that is the purpose.
        clock: Ends what nobody answers.
        units: Asks the control units of the profile's `[uds]`, where it has one.
    """

    def __init__(
        self,
        source: FrameSource,
        schedule: ObdSchedule,
        clock: Clock,
        units: UdsClient | None = None,
    ) -> None:
        self._source = source
        self._units = units
        self._schedule = schedule
        self._clock = clock
        self._chunks: Iterator[FrameChunk] = source.chunks()

    def read(self) -> Faults:
        """Returns the fault codes of every computer.

        Raises:
            DeviceFault: Nobody answers, or the bus or adapter is lost.
        """
        self._wait()
        self._schedule.ask_for_codes()
        if self._units is not None:
            self._units.ask_for_codes()
        self._wait()
        units = self._units.codes if self._units is not None else {}
        return units | {
            f"{each.response_id & ~EXTENDED_ID:X}": {
                status: [code_text(code) for code in sorted(each.codes[service] - {NO_CODE})]
                for service, status in STATUSES.items()
                if service in each.codes
            }
            for each in self._schedule.computers.values()
        }

    def clear(self, reason: str, state: Callable[[dict[str, Any]], object]) -> tuple[Faults, bool]:
        """Clears the fault codes of every computer.

        Args:
            reason: Of the technician, for whoever asks later.
            state: Signs a record into the chain; called before anything is sent.

        Returns:
            What was stored before, and whether every computer said that it is cleared.

        Raises:
            LocalError: The reason says nothing.
            DeviceFault: As `read`, or nothing could be signed.
        """
        if len(reason.strip()) not in REASON_CHARACTERS:
            raise LocalError(
                "Say in 5 to 200 characters why the codes are cleared, such as --reason "
                '"injector 3 replaced".',
                "dtc-reason",
            )
        faults = self.read()
        now_us = self._clock.now().wall_us
        codes = {ecu: each.get(STATUSES[STORED], []) for ecu, each in faults.items()}
        body = {"at_us": now_us, "reason": reason.strip(), "codes": codes}
        check_body(KIND, body)
        state({"type": KIND, **body})
        self._schedule.ask(bytes([CLEAR]))
        if self._units is not None:
            self._units.clear_codes()
        self._wait()
        return faults, self._is_clear()

    def close(self) -> None:
        """Leaves the vehicle."""
        self._source.close()

    def _is_clear(self) -> bool:
        """Says whether everybody who told fault codes said that they are cleared."""
        units = self._units is None or self._units.codes.keys() <= self._units.cleared
        return units and all(each.cleared for each in self._schedule.computers.values())

    def _wait(self) -> None:
        """Waits until everything is answered that was asked."""
        end_us = self._clock.now().monotonic_us + PATIENCE_US
        for _ in self._chunks:
            if self._schedule.is_ready and (self._units is None or self._units.is_idle):
                return
            if self._clock.now().monotonic_us >= end_us:
                break
        raise DeviceFault(
            f"No engine computer answers on {self._source.name}. Switch the ignition on, check the "
            "plug, and stop the gateway's service if it holds the adapter.",
            "obd-silent",
        )


def faults_text(faults: Faults) -> str:
    """Writes fault codes for people, one a line."""
    lines = []
    for ecu, by_status in faults.items():
        for status, codes in by_status.items():
            lines += [f"{ecu}  {status:9}  {code}  {describe(code)}" for code in codes]
    return "\n".join(lines) or f"no fault codes in {len(faults)} computers"
