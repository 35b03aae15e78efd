"""What this box does on the core's word: campaigns taken up, commands carried out.

Place in the flow: answers → **duties** → batch, health, requesters, the end of the loop.

* Here alone verbs meet what they act on; which verbs there are stands in `edge.orders`.
* A restart is a clean end: the loop seals what it holds, and the supervisor starts it anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import LocalError
from edge.orders import CAMPAIGN_TYPE, COMMAND_TYPE
from vehicle_gateway.commands import Commands
from vehicle_gateway.obd_schedule import ObdSchedule
from vehicle_gateway.status import read_status
from vehicle_gateway.uds_client import UdsClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge.ports import Requester
    from vehicle_gateway.answers import Listener
    from vehicle_gateway.batch import Batcher, Sink
    from vehicle_gateway.commands import Action
    from vehicle_gateway.orders import Addressee, Verify


class Duties:
    """The duties of one running box.

    Args:
        sink: Where answers go.
        batcher: Takes up campaigns, captures and reports.
        stop: Ends the loop.
        requesters: By source, who asks the vehicle; those of OBD and UDS ask for its fault codes.

    Attributes:
        tell_health: Seals a health record; None where nobody keeps one.
    """

    def __init__(
        self,
        sink: Sink,
        batcher: Batcher,
        stop: Callable[[], None],
        requesters: Sequence[Sequence[Requester]] = (),
    ) -> None:
        self._sink = sink
        self._batcher = batcher
        self._stop = stop
        asking = [each for asked in requesters for each in asked]
        self._schedules = [each for each in asking if isinstance(each, ObdSchedule | UdsClient)]
        self.tell_health: Callable[[], None] | None = None

    def listeners(self, addressee: Addressee, verify: Verify) -> dict[str, Listener]:
        """Returns who listens for campaigns and for commands to this box."""
        actions: dict[str, Action] = {
            "report-status": lambda _: self._report(addressee.device),
            "resend-health": lambda _: self._resend_health(),
            "snapshot": lambda arguments: self._batcher.capture(arguments["seconds"]),
            "reboot-program": lambda _: self._stop(),
        }
        if self._schedules:
            actions["read-dtc"] = self._ask_codes
        return {
            CAMPAIGN_TYPE: lambda message: self._batcher.take_campaign(message, verify),
            COMMAND_TYPE: Commands(self._sink, addressee, verify, actions).hear,
        }

    def _report(self, device: str) -> None:
        now_us = self._sink.clock.now().wall_us
        status = {
            **read_status(self._sink.store, device, now_us),
            "campaign": self._batcher.standing.seq,
            "campaign_id": self._batcher.standing.campaign.id,
        }
        told = {name: value for name, value in status.items() if type(value) in (int, str)}
        self._batcher.seal_health(told)

    def _resend_health(self) -> None:
        if self.tell_health is None:
            raise LocalError("Nobody here keeps a health record.", "health-none")
        self.tell_health()

    def _ask_codes(self, arguments: Mapping[str, int]) -> None:
        del arguments
        for each in self._schedules:
            each.ask_for_codes()
