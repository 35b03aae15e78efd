"""Opens what devices sealed: the keys of every epoch, got from its verified start.

Place in the flow: ingest and lake → **keyring** → plaintext of a batch.

* The algorithm is that of the epoch's signed start, never of the message alone.
* Keys are in memory only, the latest few thousand epochs' of them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from backend_sync.telemetry.claim import ALGORITHMS, Refused
from backend_sync.telemetry.stream import digest_of
from edge.codec import decode
from edge.errors import PeerError
from edge.keys import hpke_open, ratchet, unwrap_chain_key
from edge.purposes import PRIVATE_INFO
from edge.seal import open_encrypt0, read_encrypt0, read_sign1
from edge.suites import AEADS

if TYPE_CHECKING:
    from backend_sync.telemetry.claim import Claim
    from edge.keys import HpkeKeypair

KEYS_CACHED_MAX: Final = 4_096

EpochKeys = tuple[int, tuple[bytes, bytes]]


class KeyRing:
    """Opens batches: unwraps the chain key of an epoch once and keeps the latest few thousand.

    Args:
        hpke: The core's key pair that devices wrap their chain keys to.
    """

    def __init__(self, hpke: HpkeKeypair) -> None:
        self._hpke = hpke
        self._cache: OrderedDict[bytes, EpochKeys] = OrderedDict()

    def learn(self, device: str, epoch: int, start: bytes) -> EpochKeys:
        """Returns algorithm and keys of an epoch from its *verified* start message.

        Raises:
            Refused: The wrapped key does not open, or the algorithm is not allowed.
        """
        identity = digest_of(start)
        known = self._cache.get(identity)
        if known is not None:
            self._cache.move_to_end(identity)
            return known
        keys = self._unwrap(device, epoch, start)
        self._cache[identity] = keys
        if len(self._cache) > KEYS_CACHED_MAX:
            self._cache.popitem(last=False)
        return keys

    def open(self, device: str, epoch: int, start: bytes, topic: str, message: bytes) -> bytes:
        """Returns the plaintext of a sealed batch.

        Raises:
            PeerError: It was not sealed by this device, in this epoch, for this topic.
        """
        algorithm, keys = self.learn(device, epoch, start)
        if read_encrypt0(message)[0] != algorithm:
            raise Refused("The batch does not use the algorithm of its epoch.", "algorithm")
        return open_encrypt0(message, AEADS[algorithm], keys, topic.encode())

    def disclose(self, claim: Claim) -> Claim:
        """Returns a claim with the body that its device sealed to us, unchanged when there is none.

        What names the message itself (type, device, epoch, seq) is never taken from the inside.
        """
        sealed = claim.record.get("sealed")
        if not isinstance(sealed, bytes):
            return claim
        try:
            body = decode(hpke_open(self._hpke, sealed, PRIVATE_INFO))
        except PeerError:
            return claim
        return replace(claim, record={**body, **claim.record}) if isinstance(body, dict) else claim

    def _unwrap(self, device: str, epoch: int, start: bytes) -> EpochKeys:
        record = decode(read_sign1(start)[1])
        algorithm, wrapped = record.get("alg"), record.get("wrap")
        if algorithm not in ALGORITHMS:
            raise Refused("The epoch uses an algorithm that is not allowed.", "algorithm")
        if not isinstance(wrapped, bytes):
            raise Refused("The epoch start carries no wrapped key.", "bad-wrap")
        try:
            chain_key = unwrap_chain_key(self._hpke, wrapped, device, epoch)
        except PeerError as error:
            raise Refused(
                "The wrapped key does not open with the core's key.", "bad-wrap"
            ) from error
        return algorithm, ratchet(chain_key, AEADS[algorithm])[1]
