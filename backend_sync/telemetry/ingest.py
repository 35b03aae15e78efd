"""Decides about every message of the uplink topic: stored, known already, held, or refused.

Place in the flow: broker → consumer → claim → **ingest** → store → acknowledgement. Sans-IO:
bytes and state in, a verdict out; the consumer moves bytes, the store makes them durable.

Theory of operation. `Ingest.admit` believes nothing of a claim that does not verify: an epoch
start or other evidence by the device's signature, a batch by the epoch key that the verified start
brought. Nothing is trusted from the broker, which may lose, repeat, reorder and read everything.

    admit    new            authentic, goes into the store and the chain
             duplicate      the very bytes that are stored already (resent, replayed by the broker)
             held           a batch before its epoch start: kept in memory, bounded, tried again
             refused        with one of `REASONS`; counted, and never an exception

* The algorithm comes from the device's policy and the epoch's start, never from a message alone.
* Two authentic messages of one number are a rollback or a clone: the second is refused, counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backend_sync.telemetry.claim import SEQ_MAX, Refused, require_head, require_number
from backend_sync.telemetry.keyring import Begun
from backend_sync.telemetry.stream import Close, Gap, Stream, digest_of
from edge.errors import PeerError
from edge.keys import open_evidence, verifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend_sync.telemetry.claim import Claim
    from backend_sync.telemetry.keyring import KeyRing
    from backend_sync.telemetry.standing import Standing

AHEAD_MAX: Final = 8_192
HELD_PER_DEVICE_MAX: Final = 512
HELD_BYTES_MAX: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a claim: `new`, `duplicate`, `held` or `refused` with a reason."""

    outcome: str
    reason: str = ""


NEW = Verdict("new")
DUPLICATE = Verdict("duplicate")
HELD = Verdict("held")


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

    def admit(self, stream: Stream, claim: Claim, standing: Standing) -> Verdict:
        """Decides about one message and takes it into its stream when it is new and authentic.

        Args:
            stream: State of (claim.device, claim.epoch); `digests` holds what is stored under
                the claim's number, if anything.
            claim: What `read_claim` returned.
            standing: Of the claim's device; only an epoch start asks for it, and changes it.
        """
        try:
            return self._admit(stream, claim, standing)
        except Refused as refusal:
            return Verdict("refused", refusal.code)

    def disclose(self, claim: Claim) -> Claim:
        """Returns an admitted claim with what only we can read; see `KeyRing.disclose`."""
        return self._keys.disclose(claim)

    def release(self, device: str, epoch: int) -> list[Claim]:
        """Returns, and forgets, what was held for an epoch that has begun now."""
        return self._holding.take(device, epoch)

    def _admit(self, stream: Stream, claim: Claim, standing: Standing) -> Verdict:
        key = self._device_key(claim.device)
        if key is None:
            raise Refused("The device is not registered, or may not send now.", "unknown-device")
        if claim.kind == "batch":
            return self._admit_batch(stream, claim)
        self._verify(claim, key)
        if claim.kind == "epoch-start":
            standing.hear(claim.record)
            return self._begin(stream, claim, standing)
        return _admit_evidence(stream, claim)

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
        self._authenticate(stream.start, claim, stream.kept)
        return _place(stream, seq, claim.message)

    def _authenticate(self, start: bytes, claim: Claim, kept: bytes) -> None:
        begun = Begun(claim.device, claim.epoch, start, kept)
        try:
            self._keys.open(begun, claim.topic, claim.message)
        except Refused:
            raise
        except PeerError as error:
            raise Refused("The batch does not open with its epoch's key.", "tampered") from error

    def _verify(self, claim: Claim, key: bytes) -> None:
        try:
            open_evidence(claim.message, verifier(key), claim.topic, claim.device)
        except PeerError as error:
            raise Refused("The signature is not the device's.", "bad-signature") from error

    def _begin(self, stream: Stream, claim: Claim, standing: Standing) -> Verdict:
        if stream.start is not None:
            if stream.start == claim.message:
                return DUPLICATE
            raise Refused("The epoch began differently before: a copied device?", "epoch-restart")
        issued = standing.judge(claim)
        begun = Begun(claim.device, claim.epoch, claim.message)
        stream.kept = self._keys.begin(begun, standing.ratchet)
        stream.hpke_id = b"" if stream.kept else issued.hpke_id
        standing.begin(issued, claim.epoch)
        stream.begin(claim.message)
        stream.advance()
        return NEW


def _admit_evidence(stream: Stream, claim: Claim) -> Verdict:
    if claim.kind == "gap":
        return _pass_gap(stream, claim)
    if claim.kind == "epoch-close":
        _note_close(stream, claim)
    if claim.seq is None:
        return NEW
    if claim.seq > max(stream.seq, 0) + AHEAD_MAX:
        raise Refused("The evidence is too far ahead of what is stored.", "too-far")
    return _place(stream, claim.seq, claim.message)


def _place(stream: Stream, seq: int, message: bytes) -> Verdict:
    stored = stream.digests.get(seq)
    if stored is not None:
        if stored == digest_of(message):
            return DUPLICATE
        raise Refused("Another message of this number is stored already.", "conflict")
    stream.add(seq, message)
    return NEW


def _pass_gap(stream: Stream, claim: Claim) -> Verdict:
    first = require_number(claim.record, "first", 1, SEQ_MAX)
    last = require_number(claim.record, "last", first, SEQ_MAX)
    gap = Gap(first, last, require_head(claim.record))
    if last <= stream.seq or gap in stream.gaps:
        return DUPLICATE
    stream.gaps.append(gap)
    if stream.start is not None:
        stream.advance()
    return NEW


def _note_close(stream: Stream, claim: Claim) -> None:
    if stream.close is None:
        stream.close = Close(
            require_number(claim.record, "count", 0, SEQ_MAX), require_head(claim.record)
        )
        stream.judge()
