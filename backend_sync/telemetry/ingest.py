"""Decides about every message of the uplink topic: stored, known already, held, or refused.

Place in the flow: broker → consumer → **ingest** → store → acknowledgement. Sans-IO: bytes and
state in, a verdict out; the consumer moves bytes, the store makes them durable.

Theory of operation. `read_claim` looks at a message without believing it: topic, shape, what it
says of its device, epoch and number. `Ingest.admit` then believes nothing that does not verify:
an epoch start or other evidence by the device's signature, a batch by the epoch key that the
verified start brought. Nothing is trusted from the broker, which may lose, repeat, reorder and
read everything.

    admit    new            authentic, goes into the store and the chain
             duplicate      the very bytes that are stored already (resent, replayed by the broker)
             held           a batch before its epoch start: kept in memory, bounded, tried again
             refused        with one of `REASONS`; counted, and never an exception

* topic's device = kid of the envelope = device in the signed payload.
* The algorithm comes from the allow-list, never from the message alone.
* Two authentic messages of one number are a rollback or a clone: the second is refused, counted.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from backend_sync.telemetry.stream import Close, Gap, Stream, digest_of
from edge.codec import decode
from edge.errors import PeerError
from edge.keys import HpkeKeypair, hpke_open, open_evidence, ratchet, unwrap_chain_key, verifier
from edge.purposes import PRIVATE_INFO
from edge.seal import open_encrypt0, read_encrypt0, read_sign1
from edge.suites import AEADS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MESSAGE_BYTES_MAX: Final = 262_144
AHEAD_MAX: Final = 8_192
HELD_PER_DEVICE_MAX: Final = 512
HELD_BYTES_MAX: Final = 64 * 1024 * 1024
KEYS_CACHED_MAX: Final = 4_096
EPOCH_MAX: Final = 2**48
SEQ_MAX: Final = 2**48
ALGORITHMS: Final = frozenset({3, 30})

ENCRYPT0_ARRAY: Final = 0x83
SIGN1_ARRAY: Final = 0x84
TOPIC_LEVELS: Final = 5

REASONS: Final = (
    "too-large",
    "malformed",
    "wrong-address",
    "unknown-device",
    "algorithm",
    "bad-signature",
    "bad-wrap",
    "tampered",
    "too-far",
    "conflict",
    "epoch-restart",
    "hold-full",
)


class Refused(PeerError):  # noqa: N818 - a verdict, spoken of as such everywhere
    """A message that the core does not take; `code` is one of `REASONS`."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a message says of itself, not yet believed.

    Attributes:
        kind: `batch`, or the evidence's type: `epoch-start`, `epoch-close`, `gap`, `consent`, ...
        seq: Its number in the epoch, or None for evidence outside the chain.
        record: Payload of evidence, empty for a batch.
    """

    topic: str
    device: str
    kind: str
    epoch: int
    seq: int | None
    message: bytes
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a claim: `new`, `duplicate`, `held` or `refused` with a reason."""

    outcome: str
    reason: str = ""


NEW = Verdict("new")
DUPLICATE = Verdict("duplicate")
HELD = Verdict("held")


def down_topic(org: str, device: str) -> str:
    """Returns the topic on which a device hears from the core."""
    return f"lastmile/v1/{org}/{device}/down"


def read_claim(org: str, topic: str, message: bytes) -> Claim:
    """Reads what a message says of itself.

    Args:
        org: The organisation that this core serves.
        topic: Topic it arrived on.
        message: An untagged COSE_Encrypt0 (batch) or COSE_Sign1 (evidence).

    Raises:
        Refused: It is too large, malformed, or not what its topic says.
    """
    device = _device_of(org, topic)
    if len(message) > MESSAGE_BYTES_MAX:
        raise Refused("The message is larger than the limit.", "too-large")
    try:
        if message[:1] == bytes([ENCRYPT0_ARRAY]):
            return _batch_claim(topic, device, message)
        if message[:1] == bytes([SIGN1_ARRAY]):
            return _evidence_claim(topic, device, message)
    except Refused:
        raise
    except PeerError as error:
        raise Refused(str(error), "malformed") from error
    raise Refused("The message is neither a batch nor evidence.", "malformed")


def _device_of(org: str, topic: str) -> str:
    levels = topic.split("/")
    fixed = [*levels[:3], *levels[4:]]
    if len(levels) != TOPIC_LEVELS or fixed != ["lastmile", "v1", org, "up"] or not levels[3]:
        raise Refused("The topic is not an uplink of this organisation.", "wrong-address")
    return levels[3]


def _batch_claim(topic: str, device: str, message: bytes) -> Claim:
    algorithm, kid, seq = read_encrypt0(message)
    name, separator, number = kid.partition(b"/")
    if name != device.encode() or not separator:
        raise Refused("The batch names another device than its topic.", "wrong-address")
    if algorithm not in ALGORITHMS:
        raise Refused("The batch uses an algorithm that is not allowed.", "algorithm")
    epoch = int.from_bytes(number, "big")
    if not (number and number[0] and 1 <= epoch <= EPOCH_MAX and 1 <= seq <= SEQ_MAX):
        raise Refused("The batch has no valid epoch and number.", "malformed")
    return Claim(topic, device, "batch", epoch, seq, message, {})


def _evidence_claim(topic: str, device: str, message: bytes) -> Claim:
    kid, payload = read_sign1(message)
    record = decode(payload)
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise Refused("The evidence has no type.", "malformed")
    if kid != device or record.get("device") != device:
        raise Refused("The evidence names another device than its topic.", "wrong-address")
    kind = record["type"]
    epoch = _number(record, "epoch", 1, EPOCH_MAX) if "epoch" in record else 0
    return Claim(topic, device, kind, epoch, _evidence_seq(kind, record), message, record)


def _evidence_seq(kind: str, record: Mapping[str, Any]) -> int | None:
    """Evidence stands in the chain where it says; start and close have their natural places."""
    if kind == "epoch-start":
        return 0
    if kind == "gap":
        return None
    if "seq" in record:
        return _number(record, "seq", 1, SEQ_MAX)
    if kind == "epoch-close":
        return _number(record, "count", 0, SEQ_MAX) + 1
    return None


def _number(record: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = record.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Refused(f"{name} must be an integer from {low} to {high}.", "malformed")
    return value


def _head(record: Mapping[str, Any]) -> bytes:
    value = record.get("head")
    if not isinstance(value, bytes) or len(value) != 32:
        raise Refused("head must be 32 bytes.", "malformed")
    return value


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


class Holding:
    """Batches that came before their epoch start, bounded by device and in all."""

    def __init__(self) -> None:
        self._claims: dict[tuple[str, int], dict[bytes, Claim]] = {}
        self._of_device: Counter[str] = Counter()
        self._bytes = 0

    def put(self, claim: Claim) -> Verdict:
        """Keeps a batch.

        Raises:
            Refused: A limit is reached; the device sends again what is not acknowledged.
        """
        held = self._claims.setdefault((claim.device, claim.epoch), {})
        digest = digest_of(claim.message)
        if digest in held:
            return DUPLICATE
        size = len(claim.message)
        full = self._of_device[claim.device] >= HELD_PER_DEVICE_MAX
        if full or self._bytes + size > HELD_BYTES_MAX:
            raise Refused("Too much waits for an epoch start already.", "hold-full")
        held[digest] = claim
        self._of_device[claim.device] += 1
        self._bytes += size
        return HELD

    def take(self, device: str, epoch: int) -> list[Claim]:
        """Returns, and forgets, what was held for an epoch."""
        claims = list(self._claims.pop((device, epoch), {}).values())
        self._of_device[device] -= len(claims)
        self._bytes -= sum(len(claim.message) for claim in claims)
        return claims


class Ingest:
    """The rules. Holds no state of a stream but the messages that came before their epoch start.

    Args:
        keys: Opens batches.
        device_key: Returns a device's public key (SEC1, 65 bytes), or None for a device that is
            unknown, retired or quarantined.
    """

    def __init__(self, keys: KeyRing, device_key: Callable[[str], bytes | None]) -> None:
        self._keys = keys
        self._device_key = device_key
        self._holding = Holding()

    def admit(self, stream: Stream, claim: Claim) -> Verdict:
        """Decides about one message and takes it into its stream when it is new and authentic.

        Args:
            stream: State of (claim.device, claim.epoch); `digests` holds what is stored under
                the claim's number, if anything.
            claim: What `read_claim` returned.
        """
        try:
            return self._admit(stream, claim)
        except Refused as refusal:
            return Verdict("refused", refusal.code)

    def disclose(self, claim: Claim) -> Claim:
        """Returns an admitted claim with what only we can read; see `KeyRing.disclose`."""
        return self._keys.disclose(claim)

    def release(self, device: str, epoch: int) -> list[Claim]:
        """Returns, and forgets, what was held for an epoch that has begun now."""
        return self._holding.take(device, epoch)

    def _admit(self, stream: Stream, claim: Claim) -> Verdict:
        key = self._device_key(claim.device)
        if key is None:
            raise Refused("The device is not registered, or may not send now.", "unknown-device")
        if claim.kind == "batch":
            return self._admit_batch(stream, claim)
        return self._admit_evidence(stream, claim, key)

    def _admit_batch(self, stream: Stream, claim: Claim) -> Verdict:
        seq = claim.seq
        if seq is None:
            raise Refused("A batch without a number cannot be placed.", "malformed")
        if stream.start is None:
            return self._holding.put(claim)
        if stream.digests.get(seq) == digest_of(claim.message):
            return DUPLICATE
        if seq > stream.seq + AHEAD_MAX:
            raise Refused("The batch is too far ahead of what is stored.", "too-far")
        self._authenticate(stream.start, claim)
        return _place(stream, seq, claim.message)

    def _authenticate(self, start: bytes, claim: Claim) -> None:
        try:
            self._keys.open(claim.device, claim.epoch, start, claim.topic, claim.message)
        except Refused:
            raise
        except PeerError as error:
            raise Refused("The batch does not open with its epoch's key.", "tampered") from error

    def _admit_evidence(self, stream: Stream, claim: Claim, key: bytes) -> Verdict:
        try:
            open_evidence(claim.message, verifier(key), claim.topic, claim.device)
        except PeerError as error:
            raise Refused("The signature is not the device's.", "bad-signature") from error
        if claim.kind == "epoch-start":
            return self._begin(stream, claim)
        if claim.kind == "gap":
            return _pass_gap(stream, claim)
        if claim.kind == "epoch-close":
            _note_close(stream, claim)
        if claim.seq is None:
            return NEW
        if claim.seq > max(stream.seq, 0) + AHEAD_MAX:
            raise Refused("The evidence is too far ahead of what is stored.", "too-far")
        return _place(stream, claim.seq, claim.message)

    def _begin(self, stream: Stream, claim: Claim) -> Verdict:
        if stream.start is not None:
            if stream.start == claim.message:
                return DUPLICATE
            raise Refused("The epoch began differently before: a copied device?", "epoch-restart")
        self._keys.learn(claim.device, claim.epoch, claim.message)
        stream.begin(claim.message)
        stream.advance()
        return NEW


def _place(stream: Stream, seq: int, message: bytes) -> Verdict:
    stored = stream.digests.get(seq)
    if stored is not None:
        if stored == digest_of(message):
            return DUPLICATE
        raise Refused("Another message of this number is stored already.", "conflict")
    stream.add(seq, message)
    return NEW


def _pass_gap(stream: Stream, claim: Claim) -> Verdict:
    first = _number(claim.record, "first", 1, SEQ_MAX)
    last = _number(claim.record, "last", first, SEQ_MAX)
    gap = Gap(first, last, _head(claim.record))
    if last <= stream.seq or gap in stream.gaps:
        return DUPLICATE
    stream.gaps.append(gap)
    if stream.start is not None:
        stream.advance()
    return NEW


def _note_close(stream: Stream, claim: Claim) -> None:
    if stream.close is None:
        stream.close = Close(_number(claim.record, "count", 0, SEQ_MAX), _head(claim.record))
        stream.judge()
