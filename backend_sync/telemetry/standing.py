"""What a device may do when it begins an epoch: its policies, and where its ratchet stands.

Place in the flow: store (loads it in the transaction) → **standing** → ingest → store (saves it).

    the start names       refused as
    a policy              `policy`      that was never issued to this device
    an algorithm          `algorithm`   that this policy does not allow, or this core has not
    (its epoch)           `downgrade`   an earlier epoch began under a newer policy already
    a key of the core     `bad-wrap`    that is not this policy's, or is retired

* Order of arrival changes nothing: what counts is the order of the device's own epochs, so a start
  that comes late is no downgrade.
* A device that begins under an old policy, or is refused, is told the newest one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backend_sync.telemetry.claim import Refused
from backend_sync.telemetry.ratchets import RatchetState
from edge.suites import AEADS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend_sync.telemetry.claim import Claim


@dataclass(slots=True)
class Issued:
    """A policy that was issued.

    Attributes:
        seq: Its number.
        message: As signed.
        algs: What it allows.
        hpke_id: The key that it names.
        retired: That key is deleted.
        first_epoch: The lowest epoch that began under it, or None.
    """

    seq: int
    message: bytes
    algs: tuple[int, ...]
    hpke_id: bytes
    retired: bool = False
    first_epoch: int | None = None


@dataclass(slots=True)
class Standing:
    """One device within one transaction.

    Attributes:
        policies: What was issued to it, by number.
        ratchet: Of a device that was given a seed.
        begun: Numbers of policies whose `first_epoch` changed.
        behind: It named another policy than the newest.
    """

    policies: dict[int, Issued] = field(default_factory=dict)
    ratchet: RatchetState = field(default_factory=RatchetState)
    begun: set[int] = field(default_factory=set)
    behind: bool = False

    @property
    def due(self) -> bytes | None:
        """The policy that the device is to be told, or None."""
        return self.policies[max(self.policies)].message if self.behind and self.policies else None

    def hear(self, record: Mapping[str, Any]) -> None:
        """Notes which policy an authentic start names."""
        self.behind |= bool(self.policies) and record.get("policy") != max(self.policies)

    def judge(self, claim: Claim) -> Issued:
        """Returns the policy that an authentic start rightly names.

        Raises:
            Refused: See the table above.
        """
        named = claim.record.get("policy")
        issued = self.policies.get(named) if isinstance(named, int) else None
        if issued is None or isinstance(named, bool):
            raise Refused("The epoch names a policy that was never issued.", "policy")
        alg = claim.record.get("alg")
        if alg not in issued.algs or alg not in AEADS:
            raise Refused("The policy does not allow the epoch's algorithm.", "algorithm")
        if any(self._began_before(each, claim.epoch) for each in self._newer(issued.seq)):
            raise Refused("An earlier epoch began under a newer policy.", "downgrade")
        if "wrap" in claim.record:
            _check_key(issued, claim.record.get("hpke"))
        return issued

    def begin(self, issued: Issued, epoch: int) -> None:
        """Notes that an epoch has begun under a policy."""
        if issued.first_epoch is None or epoch < issued.first_epoch:
            issued.first_epoch = epoch
            self.begun.add(issued.seq)

    def _newer(self, seq: int) -> list[Issued]:
        return [issued for number, issued in self.policies.items() if number > seq]

    @staticmethod
    def _began_before(issued: Issued, epoch: int) -> bool:
        return issued.first_epoch is not None and issued.first_epoch < epoch


def _check_key(issued: Issued, key_id: object) -> None:
    if key_id != issued.hpke_id:
        raise Refused("The epoch's key is wrapped to another key than its policy's.", "bad-wrap")
    if issued.retired:
        raise Refused("The key that the epoch's is wrapped to is retired.", "bad-wrap")
