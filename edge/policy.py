"""The policy of one device, signed by the core: which ciphers it may use, and whom it seals to.

Place in the flow: suites, keys → **policy** → epochs; issued by the core, carried in the bundle of
provisioning and on the down topic.

    {type: "policy", device, seq, algs: [COSE ids, preferred first], hpke: 65 bytes}
    evidence of "core" for the purpose `edge.purposes.POLICY`: the same bytes in a file and on air

* `seq` counts up from 1. A device that has taken one never takes a lower one: that is how a
  downgrade is refused. Its epochs name the policy that they began under.
* A device uses the first algorithm that it has; a policy may name some that it has not.
* `hpke_id` names the backend's key in an epoch's start, so that the backend can have several.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.errors import LocalError, PeerError
from edge.keys import load_public, open_evidence, sign_evidence
from edge.purposes import POLICY
from edge.suites import AEADS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeGuard

    from edge.ports import Signer
    from edge.suites import Aead

CORE: Final = "core"
TYPE: Final = "policy"
FIELDS: Final = frozenset({"type", "device", "seq", "algs", "hpke"})
SEQ_MAX: Final = (1 << 63) - 1
ALGS_MAX: Final = 16
ALG_BITS: Final = 31
HPKE_ID_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Policy:
    """What the core allows one device.

    Attributes:
        device: Whom it is for.
        seq: From 1; a higher one replaces a lower one.
        algs: COSE algorithm ids, preferred first; at least one, none twice.
        hpke: The backend's public key that chain keys are wrapped to, SEC1 uncompressed.
    """

    device: str
    seq: int
    algs: tuple[int, ...]
    hpke: bytes

    @property
    def hpke_id(self) -> bytes:
        """Names `hpke` in an epoch's start."""
        return hpke_id(self.hpke)

    def choose(self, fits: Callable[[Aead], bool] | None = None) -> Aead:
        """Returns the first cipher of `algs` that this machine has and that fits.

        Args:
            fits: Says whether the device can use a cipher that its machine has; None for any.

        Raises:
            PeerError: There is none.
        """
        usable = {alg: suite for alg, suite in AEADS.items() if fits is None or fits(suite)}
        for alg in self.algs:
            if alg in usable:
                return usable[alg]
        had = ", ".join(map(str, usable))
        raise PeerError(
            f"Policy {self.seq} allows {self.device} only ciphers that it has not. Have the bank "
            f"issue a policy with one of {had}.",
            "policy-algorithm",
        )


def hpke_id(public: bytes) -> bytes:
    """Returns what names a public key: the first 8 bytes of its SHA-256."""
    return hashlib.sha256(public).digest()[:HPKE_ID_BYTES]


def sign_policy(signer: Signer, policy: Policy) -> bytes:
    """Returns the policy as evidence of the core.

    Raises:
        LocalError: No device would take it: the text says what is wrong.
    """
    record = record_of(policy)
    try:
        policy_of(record, policy.device)
    except PeerError as error:
        raise LocalError(str(error), error.code) from error
    return sign_evidence(signer, record, POLICY)


def open_policy(message: bytes, verify: Callable[[bytes, bytes], None], device: str) -> Policy:
    """Returns a policy once its signature holds.

    Args:
        message: Hostile bytes.
        verify: What `edge.keys.verifier` returned for the core's signing key.
        device: Whom it must be for.

    Raises:
        PeerError: Malformed, not signed by the core, or for another device.
    """
    return policy_of(open_evidence(message, verify, POLICY, CORE), device)


def record_of(policy: Policy) -> dict[str, Any]:
    """Returns what is signed, and what a device keeps of it."""
    return {
        "type": TYPE,
        "device": policy.device,
        "seq": policy.seq,
        "algs": list(policy.algs),
        "hpke": policy.hpke,
    }


def policy_of(record: Mapping[Any, Any], device: str) -> Policy:
    """Returns the policy of a record.

    Args:
        record: Verified, or kept by this device itself.
        device: Whom it must be for.

    Raises:
        PeerError: Of another shape, or for another device.
    """
    if set(record) != FIELDS or record["type"] != TYPE:
        raise PeerError("The message is no policy of this release.", "policy-shape")
    if not device or record["device"] != device:
        raise PeerError(f"The policy is not for {device}.", "policy-device")
    if not _is_number(record["seq"]) or not 1 <= record["seq"] <= SEQ_MAX:
        raise PeerError("A policy's seq is a number from 1.", "policy-shape")
    hpke = record["hpke"]
    if not isinstance(hpke, bytes):
        raise PeerError("A policy carries the backend's public key.", "policy-shape")
    load_public(hpke)
    return Policy(device, record["seq"], _algs(record["algs"]), hpke)


def _algs(algs: object) -> tuple[int, ...]:
    good = isinstance(algs, list) and 0 < len(algs) <= ALGS_MAX and all(map(_is_alg, algs))
    if not isinstance(algs, list) or not good or len(set(algs)) != len(algs):
        raise PeerError(
            f"A policy names from 1 to {ALGS_MAX} algorithm ids, none of them twice.",
            "policy-shape",
        )
    return tuple(algs)


def _is_alg(value: object) -> bool:
    return _is_number(value) and abs(value) >> ALG_BITS == 0


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
