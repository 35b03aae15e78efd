"""Ratchets: epoch keys of a device that was given a seed and wraps nothing. Sans-IO.

Place in the flow: epoch start without `wrap` → ingest → **ratchets** → keyring; `seeds` keeps.

    seed = CK of its first epoch; ratchet(CK_e) → CK_{e+1} and (key, iv) of e     edge.keys.ratchet

    epoch = next      its keys, one step
    epoch > next      steps over the missing ones, SKIP_MAX at most, and keeps their keys
    epoch < next      only from what was kept; else its keys are gone for ever

* A chain key is forgotten as soon as it is stepped: what was not kept cannot be derived again.
* The epochs stepped over are kept for every cipher of the same hash, for nobody knows yet which one
  they used. A chain never changes its hash: another one needs another seed.
* Nothing leaves this module but sealed under a key of the core, bound to device and epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from backend_sync.telemetry.claim import Refused
from edge.codec import decode, encode
from edge.errors import LocalError, PeerError
from edge.keys import CHAIN_KEY_BYTES, ratchet
from edge.ratchet import SKIP_MAX
from edge.suites import AEADS

if TYPE_CHECKING:
    from edge.keys import LocalSecret

PURPOSE: Final = "telemetry ratchets"

Keys = tuple[bytes, bytes]
KeysByAlg = dict[int, Keys]


@dataclass(frozen=True, slots=True)
class Chain:
    """Where the ratchet of a device stands.

    Attributes:
        epoch: The next one.
        key: Its chain key.
        alg: A cipher of the chain's hash; 0 before the first step.
    """

    epoch: int
    key: bytes
    alg: int = 0


@dataclass(slots=True)
class RatchetState:
    """What is stored of one device, sealed, and what a transaction changes of it.

    Attributes:
        chain: The sealed chain; None for a device that was given no seed.
        kept: Sealed keys of epochs that were looked up.
        fresh: Sealed keys that are to be stored, by epoch.
        begun: Which of `fresh` have begun; the others were stepped over.
        stepped: The chain is to be stored.
    """

    chain: bytes | None = None
    kept: dict[int, bytes] = field(default_factory=dict)
    fresh: dict[int, bytes] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)
    stepped: bool = False


class Ratchets:
    """Takes sealed states a step on.

    Args:
        secret: Seals what is kept, for the purpose `PURPOSE`.
    """

    def __init__(self, secret: LocalSecret) -> None:
        self._secret = secret

    def seal_seed(self, device: str, seed: bytes, epoch: int) -> bytes:
        """Returns the sealed chain of a device whose next epoch is `epoch`.

        Raises:
            LocalError: The seed is no chain key.
        """
        if len(seed) != CHAIN_KEY_BYTES:
            raise LocalError(f"A seed is {CHAIN_KEY_BYTES} bytes.", "seed-length")
        return self._seal_chain(device, Chain(epoch, seed))

    def keys_for(self, device: str, epoch: int, alg: int, state: RatchetState) -> Keys:
        """Returns the keys of an epoch and notes in `state` what is to be stored.

        Raises:
            Refused: No seed, too far ahead, gone, or a cipher of another hash than the chain's.
        """
        if state.chain is None:
            raise Refused("The start wraps no key, and the device has no seed.", "bad-wrap")
        chain = self._open_chain(device, state.chain)
        if epoch < chain.epoch:
            return self._keep(device, epoch, alg, self._kept_of(device, epoch, state), state)
        following, passed = step_over(chain, epoch, alg)
        state.chain, state.stepped = self._seal_chain(device, following), True
        for each, keys in passed.items():
            state.fresh[each] = self._seal_keys(device, each, keys)
        return self._keep(device, epoch, alg, passed[epoch], state)

    def open_keys(self, device: str, epoch: int, sealed: bytes) -> KeysByAlg:
        """Opens the keys of an epoch that were kept.

        Raises:
            Refused: They were sealed by another core, or for another epoch.
        """
        body = self._open(sealed, ["keys", device, epoch])
        return {alg: (bytes(key), bytes(iv)) for alg, (key, iv) in body.items()}

    def _kept_of(self, device: str, epoch: int, state: RatchetState) -> KeysByAlg:
        sealed = state.fresh.get(epoch) or state.kept.get(epoch)
        if sealed is None:
            raise Refused("The keys of this epoch are gone.", "epoch-gone")
        return self.open_keys(device, epoch, sealed)

    def _keep(
        self, device: str, epoch: int, alg: int, keys: KeysByAlg, state: RatchetState
    ) -> Keys:
        """Keeps of an epoch that begins the keys of its one cipher alone."""
        if alg not in keys:
            raise Refused("The epoch uses a cipher of another hash than its seed.", "algorithm")
        state.fresh[epoch] = self._seal_keys(device, epoch, {alg: keys[alg]})
        state.begun.add(epoch)
        return keys[alg]

    def _seal_chain(self, device: str, chain: Chain) -> bytes:
        return self._seal(["chain", device, 0], [chain.epoch, chain.key, chain.alg])

    def _open_chain(self, device: str, sealed: bytes) -> Chain:
        return Chain(*self._open(sealed, ["chain", device, 0]))

    def _seal_keys(self, device: str, epoch: int, keys: KeysByAlg) -> bytes:
        return self._seal(["keys", device, epoch], {alg: list(each) for alg, each in keys.items()})

    def _seal(self, place: list[Any], body: object) -> bytes:
        return self._secret.seal(encode([place, body]))

    def _open(self, sealed: bytes, place: list[Any]) -> Any:  # noqa: ANN401 - what was sealed
        try:
            found, body = decode(self._secret.open(sealed))
        except PeerError as error:
            raise Refused("What is kept of the ratchet is not this core's.", "no-key") from error
        if found != place:
            raise Refused("What is kept of the ratchet is of another epoch.", "no-key")
        return body


def step_over(chain: Chain, epoch: int, alg: int) -> tuple[Chain, dict[int, KeysByAlg]]:
    """Steps a chain past an epoch.

    Args:
        chain: At `epoch` or before it.
        epoch: The one that begins.
        alg: Its cipher.

    Returns:
        The chain at epoch + 1, and the keys of all that were passed, `epoch` the last.

    Raises:
        Refused: More than `SKIP_MAX` epochs are missing, or another hash than the chain's.
    """
    if epoch - chain.epoch > SKIP_MAX:
        raise Refused("More epochs are missing than are skipped at once.", "too-far")
    if chain.alg and _hash_of(chain.alg) != _hash_of(alg):
        raise Refused("The epoch uses a cipher of another hash than its seed.", "algorithm")
    suites = [suite for suite in AEADS.values() if _hash_of(suite.alg) == _hash_of(alg)]
    key, passed = chain.key, {}
    for each in range(chain.epoch, epoch + 1):
        stepped = {suite.alg: ratchet(key, suite) for suite in suites}
        passed[each] = {of: keys for of, (_, keys) in stepped.items()}
        key = stepped[alg][0]
    return Chain(epoch + 1, key, alg), passed


def _hash_of(alg: int) -> str:
    return AEADS[alg].ratchet_hash.name
