"""Opens what devices sealed: the keys of every epoch, got from its verified start.

Place in the flow: ingest and lake → **keyring** → plaintext of a batch.

* The algorithm is that of the epoch's signed start, never of the message alone.
* A start either wraps its chain key to one of the core's key pairs, and names which, or it wraps
  nothing: then its keys come from the device's ratchet, and afterwards from what was kept of it.
* Keys are in memory only, the latest few thousand epochs' of them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from backend_sync.telemetry.claim import Refused
from backend_sync.telemetry.ratchets import Ratchets, RatchetState
from backend_sync.telemetry.stream import digest_of
from edge.codec import decode
from edge.errors import PeerError
from edge.keys import hpke_open, ratchet, unwrap_chain_key
from edge.purposes import PRIVATE_INFO
from edge.seal import open_encrypt0, read_encrypt0, read_sign1
from edge.suites import AEADS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend_sync.telemetry.claim import Claim
    from edge.keys import HpkeKeypair, LocalSecret

KEYS_CACHED_MAX: Final = 4_096

EpochKeys = tuple[int, tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Begun:
    """An epoch that has begun.

    Attributes:
        device: Whose.
        epoch: Its number.
        start: The *verified* start message.
        kept: Its sealed keys, where it wraps none; empty otherwise.
    """

    device: str
    epoch: int
    start: bytes
    kept: bytes = b""


class KeyRing:
    """Opens batches: gets the keys of an epoch once and keeps those of the latest few thousand.

    Args:
        pairs: The core's HPKE key pairs by id, latest first.
        secret: Under which ratchets are kept, for the purpose `ratchets.PURPOSE`.
    """

    def __init__(self, pairs: Mapping[bytes, HpkeKeypair], secret: LocalSecret) -> None:
        self._pairs = pairs
        self._ratchets = Ratchets(secret)
        self._cache: OrderedDict[bytes, EpochKeys] = OrderedDict()

    def begin(self, begun: Begun, state: RatchetState) -> bytes:
        """Gets the keys of an epoch that begins now, so that its batches can be opened.

        Args:
            begun: Without `kept`.
            state: Of the device's ratchet; takes what is to be stored.

        Returns:
            What the epoch's keys are to be kept as; empty when its start wraps them.

        Raises:
            Refused: The wrapped key does not open, or the ratchet does not give it.
        """
        record = _record_of(begun.start)
        if "wrap" in record:
            self.learn(begun)
            return b""
        alg = _algorithm(record)
        keys = self._ratchets.keys_for(begun.device, begun.epoch, alg, state)
        self._remember(digest_of(begun.start), (alg, keys))
        return state.fresh[begun.epoch]

    def learn(self, begun: Begun) -> EpochKeys:
        """Returns algorithm and keys of an epoch.

        Raises:
            Refused: The wrapped key does not open, or what was kept is gone.
        """
        identity = digest_of(begun.start)
        known = self._cache.get(identity)
        if known is not None:
            self._cache.move_to_end(identity)
            return known
        keys = self._derive(begun)
        self._remember(identity, keys)
        return keys

    def open(self, begun: Begun, topic: str, message: bytes) -> bytes:
        """Returns the plaintext of a sealed batch.

        Raises:
            PeerError: It was not sealed by this device, in this epoch, for this topic.
        """
        algorithm, keys = self.learn(begun)
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
        body = self._open_private(sealed)
        return replace(claim, record={**body, **claim.record}) if isinstance(body, dict) else claim

    def _open_private(self, sealed: bytes) -> object:
        """Tries every pair: such a body does not say to which it was sealed."""
        for pair in self._pairs.values():
            try:
                return decode(hpke_open(pair, sealed, PRIVATE_INFO))
            except PeerError:
                continue
        return None

    def _remember(self, identity: bytes, keys: EpochKeys) -> None:
        self._cache[identity] = keys
        if len(self._cache) > KEYS_CACHED_MAX:
            self._cache.popitem(last=False)

    def _derive(self, begun: Begun) -> EpochKeys:
        record = _record_of(begun.start)
        algorithm = _algorithm(record)
        if "wrap" in record:
            return algorithm, self._unwrap(begun, record, algorithm)
        if not begun.kept:
            raise Refused("The keys of this epoch are gone.", "epoch-gone")
        kept = self._ratchets.open_keys(begun.device, begun.epoch, begun.kept)
        return algorithm, kept[algorithm]

    def _unwrap(
        self, begun: Begun, record: Mapping[str, Any], algorithm: int
    ) -> tuple[bytes, bytes]:
        wrapped, key_id = record["wrap"], record.get("hpke")
        if not isinstance(wrapped, bytes) or not isinstance(key_id, bytes):
            raise Refused("The epoch start carries no wrapped key and its id.", "bad-wrap")
        pair = self._pairs.get(key_id)
        if pair is None:
            raise Refused("The core's key of this id is not there.", "no-key")
        try:
            chain_key = unwrap_chain_key(pair, wrapped, begun.device, begun.epoch)
        except PeerError as error:
            raise Refused(
                "The wrapped key does not open with the core's key.", "bad-wrap"
            ) from error
        return ratchet(chain_key, AEADS[algorithm])[1]


def _record_of(start: bytes) -> dict[str, Any]:
    record = decode(read_sign1(start)[1])
    assert isinstance(record, dict), "a verified start has been read as a claim"
    return record


def _algorithm(record: Mapping[str, Any]) -> int:
    algorithm = record.get("alg")
    if not isinstance(algorithm, int) or algorithm not in AEADS:
        raise Refused("The epoch uses an algorithm that this core has not.", "algorithm")
    return algorithm
