"""What the core signs about a message that it can never take: so that a box gets it out of the way.

Place in the flow: ingest (verdicts) → **refusal** → store → consumer → broker → the box's outbox.

    refused because of                                  told where
    an epoch start: any reason but `unknown-device`     always: the box keeps it, holds the epoch
                                                        back and tries again later
    a message that is in the chain: `FINAL`             once the epoch has begun here; the box sets
                                                        it aside and tells of a gap

* Whoever may publish in a device's name can make the core say this, though only of their own bytes:
  a refusal carries the digest of what was refused, and the box knows its messages.
* Before the epoch has begun nothing of it is called hopeless: a wrong key in the register is the
  register's fault, and shows at the start first.
* A device is told so many a minute; what is left out is told when it is sent again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backend_sync.telemetry.stream import digest_of

if TYPE_CHECKING:
    from backend_sync.telemetry.claim import Claim
    from backend_sync.telemetry.ingest import Verdict
    from backend_sync.telemetry.stream import Stream

FINAL: Final = frozenset(
    {"malformed", "algorithm", "bad-signature", "epoch-gone", "tampered", "conflict"}
)
PER_MINUTE: Final = 64
DEVICES_MAX: Final = 4_096
MINUTE_US: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that can never be taken, by its digest; `code` is one of ingest's reasons."""

    device: str
    epoch: int
    seq: int
    sha256: bytes
    code: str


def refusal_of(stream: Stream, claim: Claim, verdict: Verdict) -> Refusal | None:
    """Returns what the device is to be told of a verdict, if anything.

    Args:
        stream: The epoch as it is now.
        claim: Of a device that is registered, unless the verdict says otherwise.
        verdict: What became of it.
    """
    if verdict.outcome != "refused" or claim.seq is None or not claim.epoch:
        return None
    is_start = claim.kind == "epoch-start" and verdict.reason != "unknown-device"
    is_final = stream.start is not None and verdict.reason in FINAL
    if not is_start and not is_final:
        return None
    digest = digest_of(claim.message)
    return Refusal(claim.device, claim.epoch, claim.seq, digest, verdict.reason)


def refusal_record(refusal: Refusal) -> dict[str, object]:
    """Returns the record that the core signs."""
    return {
        "type": "refused",
        "device": refusal.device,
        "epoch": refusal.epoch,
        "seq": refusal.seq,
        "sha256": refusal.sha256,
        "code": refusal.code,
    }


class RefusalLimit:
    """Says how much a device is told: `PER_MINUTE` at once, and as many again in each minute."""

    def __init__(self) -> None:
        self._spent: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def allows(self, device: str, now_us: int) -> bool:
        """Takes one of the device's refusals, if there is one left.

        Args:
            device: A registered one.
            now_us: Monotonic time.
        """
        spent, since_us = self._spent.pop(device, (0.0, now_us))
        spent = max(0.0, spent - (now_us - since_us) * PER_MINUTE / MINUTE_US)
        is_allowed = spent <= PER_MINUTE - 1
        self._spent[device] = (spent + is_allowed, now_us)
        if len(self._spent) > DEVICES_MAX:
            self._spent.popitem(last=False)
        return is_allowed
