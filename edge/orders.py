"""What the core may order a vehicle box to do, spelled alike at both ends.

Place in the flow: core (signs) → down topic → **orders** ← vehicle box (verifies, carries out).

    campaign   {type, device or group, seq, campaign, not_before_us, expiry_us, purpose, consent}
    command    {type, device, seq, verb, arguments, expiry_us}

* Each is evidence of the core; its purpose (`edge.purposes`) is authenticated with it.
* A verb reads or restarts. None moves a vehicle, and none clears a fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.keys import sign_evidence
from edge.purposes import CAMPAIGN, COMMAND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.ports import Signer

CAMPAIGN_TYPE: Final = "campaign"
COMMAND_TYPE: Final = "command"
CAMPAIGN_BYTES_MAX: Final = 1 << 17
"""Its message fits into what a box takes from a broker."""
PURPOSE_CHARACTERS: Final = (10, 300)
SEQ_MAX: Final = 2**48
# Verb → argument → lowest and highest; each argument must be given.
VERBS: Final[Mapping[str, Mapping[str, tuple[int, int]]]] = {
    "report-status": {},
    "resend-health": {},
    "read-dtc": {},
    "snapshot": {"seconds": (1, 60)},
    "reboot-program": {},
}
PURPOSES: Final[Mapping[str, str]] = {CAMPAIGN_TYPE: CAMPAIGN, COMMAND_TYPE: COMMAND}


def arguments_fit(verb: str, arguments: Mapping[Any, Any]) -> bool:
    """Says whether a verb takes exactly these arguments, and each is within its bounds."""
    bounds = VERBS[verb]
    return arguments.keys() == bounds.keys() and all(
        type(arguments[name]) is int and low <= arguments[name] <= high
        for name, (low, high) in bounds.items()
    )


def sign_order(signer: Signer, record: Mapping[str, Any]) -> bytes:
    """Signs an order for the purpose of its `type`."""
    return sign_evidence(signer, record, PURPOSES[record["type"]])
