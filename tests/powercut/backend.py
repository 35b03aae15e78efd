"""The other end: a core that keeps what it acknowledges, and a listener who hears all that leaves.

Place in the flow: box → **backend** → signed acknowledgements → box.

* The thief reads what is written and never committed, too: no nonce may repeat for him either.
* The core's own disk does not fail here; the network between may lose, repeat and delay.
* It acknowledges through n only when it has every message up to n, or a signed gap in its place.
* The listener hears what the network loses, too. No (key, base_iv, number) may ever carry two
  plaintexts, and no number of an epoch two messages; what left opens to what was sealed.
* Signatures of the device are not verified here: `dev.py sim` and the unit tests do.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from edge.chain import next_head, start_head
from edge.codec import decode
from edge.keys import FileIdentity, HpkeKeypair, sign_evidence, verifier
from edge.seal import nonce_of, open_encrypt0, read_encrypt0, read_sign1
from edge.suites import suite_of
from tests.powercut.machine import DEVICE, require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from edge.suites import Aead

    Keys = tuple[bytes, bytes]
    KeysOf = Callable[[Mapping[str, Any], Aead], Keys]

UP: Final = f"lastmile/v1/bank/{DEVICE}/up"
DOWN: Final = f"lastmile/v1/bank/{DEVICE}/down"
SEALED_ARRAY: Final = 0x83
ANSWERED: Final = 4
CORE: Final = FileIdentity("core", ec.generate_private_key(ec.SECP256R1()))
HPKE: Final = HpkeKeypair(ec.generate_private_key(ec.SECP256R1()))
"""Keys of all cores here; they decide nothing that a seed should."""
CORE_VERIFY: Final = verifier(CORE.public_bytes)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stands; a gap covers `first` to `seq`."""

    epoch: int
    seq: int
    first: int | None = None


def place_of(message: bytes) -> tuple[Place, dict[str, Any]]:
    """Returns where a message stands, and the record of a signed one."""
    if message[0] == SEALED_ARRAY:
        _, kid, seq = read_encrypt0(message)
        return Place(int.from_bytes(kid.split(b"/", 1)[1], "big"), seq), {}
    record = decode(read_sign1(message)[1])
    kind, epoch = record["type"], record["epoch"]
    if kind == "epoch-start":
        return Place(epoch, 0), record
    if kind == "gap":
        return Place(epoch, record["last"], record["first"]), record
    return Place(epoch, record["count"] + 1 if kind == "epoch-close" else record["seq"]), record


@dataclass(slots=True)
class Epoch:
    """What the core has of one epoch."""

    messages: dict[int, bytes] = field(default_factory=dict)
    gaps: dict[int, dict[str, Any]] = field(default_factory=dict)

    def stored(self) -> tuple[int, bytes] | None:
        """Returns through which number nothing is missing, and the head there."""
        if 0 not in self.messages:
            return None
        seq, head = 0, start_head(self.messages[0])
        while True:
            following = self.messages.get(seq + 1)
            if following is not None:
                seq, head = seq + 1, next_head(head, following)
                continue
            gap = next((g for g in self.gaps.values() if g["first"] <= seq + 1 <= g["last"]), None)
            if gap is None:
                return seq, head
            seq, head = gap["last"], gap["head"]


class Core:
    """Keeps messages and signs for them."""

    def __init__(self) -> None:
        self.epochs: dict[int, Epoch] = {}
        self._refused: set[bytes] = set()

    def refuse(self, message: bytes) -> bytes | None:
        """Says that a message can never be taken, and keeps to it; None when it is here already."""
        place, _ = place_of(message)
        if place.first is not None or place.seq == 0 or self.has(place.epoch, place.seq):
            return None
        digest = hashlib.sha256(message).digest()
        self._refused.add(digest)
        record = {"type": "refused", "device": DEVICE, "epoch": place.epoch, "seq": place.seq,
                  "sha256": digest, "code": "tampered"}  # fmt: skip
        return sign_evidence(CORE, record, DOWN)

    def receive(self, message: bytes) -> None:
        """Takes a message; the same one twice is one."""
        if hashlib.sha256(message).digest() in self._refused:
            return
        place, record = place_of(message)
        epoch = self.epochs.setdefault(place.epoch, Epoch())
        if place.first is not None:
            epoch.gaps[place.seq] = record
        else:
            epoch.messages.setdefault(place.seq, message)

    def has(self, epoch: int, seq: int) -> bool:
        """Whether a message is here, or a gap in its place."""
        held = self.epochs.get(epoch)
        return held is not None and (
            seq in held.messages
            or any(gap["first"] <= seq <= gap["last"] for gap in held.gaps.values())
        )

    def answers(self, chance: Random) -> list[bytes]:
        """Returns acknowledgements: of a few epochs, as only resending would ask for the others."""
        few = chance.sample(sorted(self.epochs), min(ANSWERED, len(self.epochs)))
        stored = ((epoch, self.epochs[epoch].stored()) for epoch in few)
        return [_stored(epoch, *through) for epoch, through in stored if through]


class Listener:
    """Hears everything that leaves the device, and has the core's key.

    Args:
        keys_of: Returns key and base_iv of an epoch from its start record.
    """

    def __init__(self, keys_of: KeysOf) -> None:
        self._keys_of = keys_of
        self._keys: dict[int, tuple[Aead, Keys]] = {}
        self._heard: dict[tuple[int, int], bytes] = {}
        self._nonces: dict[tuple[bytes, bytes], bytes] = {}

    def hear(self, message: bytes, said: Mapping[tuple[int, int], set[bytes]]) -> None:
        """Takes a message down.

        Args:
            message: That leaves the device.
            said: What was sealed, by (epoch, number).

        Raises:
            Violation: A nonce or a number has another message already.
        """
        place, record = place_of(message)
        if place.first is not None:
            return
        before = self._heard.setdefault((place.epoch, place.seq), message)
        if place.seq == 0:
            suite = suite_of(record["alg"])
            self._keys[place.epoch] = (suite, self._keys_of(record, suite))
        if not record:
            self._hear_sealed(place, message, said)
        promise = "No number of an epoch has two messages."
        require(before == message, "nonce_repeats", promise, f"{place.epoch}/{place.seq} has.")

    def _hear_sealed(
        self, place: Place, message: bytes, said: Mapping[tuple[int, int], set[bytes]]
    ) -> None:
        known = self._keys.get(place.epoch)
        told = f"{place.epoch}/{place.seq}."
        require(known, "lost", "The start of an epoch leaves before its messages.", told)
        assert known is not None
        suite, keys = known
        plaintext = open_encrypt0(message, suite, keys, UP.encode())
        nonce = (keys[0], nonce_of(keys[1], place.seq))
        before = self._nonces.setdefault(nonce, plaintext)
        promise = "No key and nonce ever seal two plaintexts."
        require(before == plaintext, "nonce_repeats", promise, told)
        sealed = plaintext in said.get((place.epoch, place.seq), set())
        require(sealed, "corrupt", "A message opens to what was sealed.", told)


class Thief:
    """Reads along as messages are written: some of them lie on the disk and are never committed.

    Args:
        keys_of: As for `Listener`.
    """

    def __init__(self, keys_of: KeysOf) -> None:
        self._keys_of = keys_of
        self._begun: tuple[Aead, Keys] | None = None
        self._nonces: dict[tuple[bytes, bytes], bytes] = {}

    def see(self, message: bytes) -> None:
        """Takes a message down that is about to be written.

        Raises:
            Violation: Its key and nonce have sealed something else before.
        """
        place, record = place_of(message)
        if place.seq == 0:
            suite = suite_of(record["alg"])
            self._begun = (suite, self._keys_of(record, suite))
        if record or self._begun is None:
            return
        suite, keys = self._begun
        plaintext = open_encrypt0(message, suite, keys, UP.encode())
        before = self._nonces.setdefault((keys[0], nonce_of(keys[1], place.seq)), plaintext)
        promise = "No key and nonce ever seal two plaintexts, not even on the disk."
        told = f"{place.epoch}/{place.seq}."
        require(before == plaintext, "nonce_repeats", promise, told)


def _stored(epoch: int, seq: int, head: bytes) -> bytes:
    record = {"type": "stored", "device": DEVICE, "epoch": epoch, "seq": seq, "head": head}
    return sign_evidence(CORE, record, DOWN)
