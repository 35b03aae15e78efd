"""The sealed stream of one device: epochs with keys of their own, a hash chain, signed ends.

Place in the flow: batch → **epochs** (seal, chain, count) → outbox → publisher.

Theory of operation. An epoch begins with a chain key of its own and a start that the device signs:
it names the cipher, the policy that allows it, and how the backend has the chain key (`ratchet`).
Its messages are numbered 1, 2, 3 ... and chained:

    h0 = SHA-256(epoch start)      hn = SHA-256(hn-1 ‖ message n)
    close {epoch, count, head} stands at count + 1 and makes the whole epoch evidence

* Keys live in memory alone. A process that starts again begins a new epoch, and closes the one it
  left open from what is on disk: so the disk of a stolen box opens nothing, and no number is ever
  used twice under one key, whatever was lost in a power cut (ADR 0004, 0009).
* The number of an epoch and its signed start are on disk no later than its first message, in the
  same transaction, and so before anything of it can be sent.
* A number that was sealed and then rolled back is not used again: the stream begins a new epoch.
* A new epoch every hour of use, by the monotonic clock; with every boot; with every new policy;
  and long before a cipher has sealed as much under one key as it may.
* What a signed record says of a person is sealed to the core inside of it: the broker learns of
  what kind it is, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.chain import close_record, next_head, start_head, start_record
from edge.codec import encode
from edge.errors import LocalError
from edge.keys import hpke_seal, ratchet, sign_evidence
from edge.outbox import PRIORITY_EVIDENCE, PRIORITY_START, Message
from edge.policies import PolicyBook
from edge.purposes import PRIVATE_INFO
from edge.ratchet import RandomKeys
from edge.seal import epoch_kid, seal_encrypt0

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge.gaps import Dropped, Gap
    from edge.outbox import Outbox
    from edge.policy import Policy
    from edge.ports import Clock, Instant, Randomness, Signer
    from edge.ratchet import Drawn, KeySource
    from edge.store import Store
    from edge.suites import Aead
    from edge.verdicts import Verify

EPOCH_US_MAX: Final = 3_600_000_000
DOUBT_US: Final = 60_000_000
EPOCH_MESSAGES_MAX: Final = 1 << 20
"""Below what any cipher of the table may seal under one key (RFC 9001 §6.6: AES-CCM 2^21.5)."""


@dataclass(frozen=True, slots=True)
class StreamPorts:
    """What a stream is made of.

    Attributes:
        signer: The device's identity.
        policy: That of the device's file, verified; a newer one in the store outranks it.
        clock: Reads the present.
        randomness: Makes chain keys.
        topic: The device's uplink; it is authenticated with every message.
    """

    signer: Signer
    policy: Policy
    clock: Clock
    randomness: Randomness
    topic: str


@dataclass(slots=True)
class _Live:
    """The epoch under way; gone with the process."""

    epoch: int
    suite: Aead
    keys: tuple[Any, bytes]  # the cipher under its key, ready, and base_iv
    kid: bytes
    since: Instant
    sealed: int = 0

    def is_over(self, now: Instant) -> bool:
        """The wall clock is not asked: it may be set to any time at any time."""
        used_us = now.monotonic_us - self.since.monotonic_us
        return now.boot_id != self.since.boot_id or not 0 <= used_us < EPOCH_US_MAX


class SealedStream:
    """Seals batches and signs evidence into the outbox.

    Args:
        store: The outbox's store, opened with `policies.MIGRATIONS` too.
        outbox: Takes every message.
        ports: Who signs, under which policy, and when.
        keys: Where chain keys come from; None draws them at random and wraps them.

    Raises:
        LocalError: The policy is that of another device.
        PeerError: The policy allows no cipher that this machine has.
    """

    def __init__(
        self, store: Store, outbox: Outbox, ports: StreamPorts, keys: KeySource | None = None
    ) -> None:
        if ports.policy.device != ports.signer.kid:
            raise LocalError(
                f"The policy is for {ports.policy.device} and this is {ports.signer.kid}. Install "
                "the bundle of this device.",
                "policy-device",
            )
        self._store = store
        self._outbox = outbox
        self._ports = ports
        self._aad = ports.topic.encode()
        self._keys = keys or RandomKeys(ports.randomness)
        self._book = PolicyBook(store, ports.policy, self._keys.fits)
        self._live: _Live | None = None
        self._doubted_us = 0

    @property
    def epoch(self) -> int:
        """The epoch under way, or 0."""
        return self._live.epoch if self._live else 0

    def begin(self) -> int:
        """Closes what was left open and begins a new epoch; returns its number.

        Raises:
            DeviceFault: The disk is full or failing; no epoch is under way then.
        """
        self._live = None
        now = self._ports.clock.now()
        policy, suite = self._book.standing()
        drawn = self._keys.draw(self._next_epoch(), suite)
        with self._store.transaction():
            self._outbox.held.try_next()
            self._close_open()
            self._put_start(drawn, policy, suite, now)
        _, (key, base_iv) = ratchet(drawn.chain_key, suite)
        kid = epoch_kid(self._ports.signer.kid, drawn.epoch)
        self._live = _Live(drawn.epoch, suite, (suite.ready(key), base_iv), kid, now)
        return drawn.epoch

    def take_policy(self, message: bytes, verify: Callable[[bytes, bytes], None]) -> bool:
        """Takes a newer policy; the next message begins an epoch under it.

        Args:
            message: Hostile bytes, from the down topic.
            verify: Checks against the core's signing key.

        Returns:
            Whether it is new here.

        Raises:
            PeerError: Not the core's, not for this device, without a cipher of ours, or older than
                what stands (`policy-downgrade`).
            DeviceFault: The disk is full or failing; the old one stands.
        """
        taken = self._book.take(message, verify)
        if taken:
            self._live = None
        return taken

    def seal(self, plaintext: bytes, priority: int) -> int:
        """Seals a batch as the next message and returns its number in the epoch.

        Begins a new epoch first when none is under way, the present one is over, or the last
        number was rolled back.

        Raises:
            DeviceFault: The disk or the outbox is full; nothing was kept.
        """
        with self._store.transaction():
            live, count, head = self._current()
            seq = count + 1
            live.sealed = seq
            self._keys.spend()
            sealed = seal_encrypt0(live.suite, live.keys, live.kid, seq, plaintext, self._aad)
            self._keep(Message(live.epoch, seq, sealed), priority, head)
        return seq

    def state_privately(self, kind: str, body: Mapping[str, Any]) -> int:
        """Signs a record of which only the core can read the body: {type: kind, sealed}.

        Raises:
            DeviceFault: As `state`.
        """
        policy, _ = self._book.standing()
        sealed = hpke_seal(policy.hpke, encode(dict(body)), PRIVATE_INFO)
        return self.state({"type": kind, "sealed": sealed})

    def state(self, record: Mapping[str, Any], priority: int = PRIORITY_EVIDENCE) -> int:
        """Signs a record into the chain, as the next message; returns its number in the epoch.

        Args:
            record: With its `type`; device, epoch and seq are added. Everybody can read it.
            priority: Of the outbox.

        Raises:
            DeviceFault: The disk or the outbox is full; nothing was kept.
        """
        with self._store.transaction():
            live, count, head = self._current()
            seq = count + 1
            live.sealed = seq
            place = {"device": self._ports.signer.kid, "epoch": live.epoch, "seq": seq}
            message = self._sign({**record, **place})
            self._keep(Message(live.epoch, seq, message), priority, head)
        return seq

    def close(self) -> None:
        """Signs the end of the epoch under way; the next seal begins another.

        Raises:
            DeviceFault: The disk or the outbox is full; it is closed at the next start.
        """
        self._live = None
        with self._store.transaction():
            self._close_open()

    def heed(self, refusal: bytes, verify: Verify, topic: str) -> bool:
        """Acts on the core's signed word that it can never take a message.

        The message goes out of the queue and a gap tells of it. Where it is the start of the epoch
        under way, the next message begins another epoch; but not twice within a minute: a core
        that refuses every start is not to be asked with each batch.

        Args:
            refusal: Hostile bytes.
            verify: Checks against the core's signing key.
            topic: The down topic they arrived on.

        Returns:
            Whether a message of ours was refused by it now.

        Raises:
            PeerError: Not the core's, or not about a message of ours; nothing has changed.
            DeviceFault: The disk is full or failing; nothing has changed.
        """
        with self._store.transaction():
            given_up = self._outbox.set_aside(refusal, verify, topic)
            if given_up is not None and given_up.seq > 0:
                self._tell_gaps([given_up])
        return given_up is not None

    # ------------------------------------------------------------ inside
    def _current(self) -> tuple[_Live, int, bytes]:
        live = self._live
        row = self._row(live.epoch) if live else None
        if live is None or row is None or not self._can_go_on(live, row):
            self.begin()
            live = self._live
            assert live is not None
            row = self._row(live.epoch)
        assert row is not None
        return live, int(row["count"]), bytes(row["head"])

    def _can_go_on(self, live: _Live, row: Mapping[str, Any]) -> bool:
        fits = live.sealed <= row["count"] < EPOCH_MESSAGES_MAX
        now = self._ports.clock.now()
        return (
            fits and not row["closed"] and not live.is_over(now) and not self._is_doubted(row, now)
        )

    def _is_doubted(self, row: Mapping[str, Any], now: Instant) -> bool:
        """Whether the core refuses the epoch under way, and another one may be begun already."""
        since_us = self._doubted_us
        if row["held"] is None or (since_us and now.monotonic_us - since_us < DOUBT_US):
            return False
        self._doubted_us = now.monotonic_us
        return True

    def _row(self, epoch: int) -> dict[str, Any] | None:
        return self._store.row(
            "SELECT count, head, closed, held FROM outbox_epochs WHERE epoch = ?", (epoch,)
        )

    def _next_epoch(self) -> int:
        row = self._store.row("SELECT coalesce(max(epoch), 0) + 1 AS epoch FROM outbox_epochs")
        assert row is not None
        return int(row["epoch"])

    def _put_start(self, drawn: Drawn, policy: Policy, suite: Aead, now: Instant) -> None:
        instant = now.wall_us, now.boot_id, now.monotonic_us
        key = self._keys.tell(drawn, policy)
        record = start_record(self._ports.signer.kid, drawn.epoch, suite.alg, key, instant)
        start = self._sign(record)
        head = start_head(start)
        self._store.execute(
            "INSERT INTO outbox_epochs (epoch, head) VALUES (?, ?)", (drawn.epoch, head)
        )
        message = Message(drawn.epoch, 0, start)
        self._tell_gaps(self._outbox.put(message, PRIORITY_START, head, now))

    def _close_open(self) -> None:
        rows = self._store.rows(
            "SELECT epoch, count, head FROM outbox_epochs WHERE closed = 0 ORDER BY epoch"
        )
        for row in rows:
            epoch, count, head = row["epoch"], row["count"], bytes(row["head"])
            record = close_record(self._ports.signer.kid, epoch, count, head)
            self._keep(Message(epoch, count + 1, self._sign(record)), PRIORITY_EVIDENCE, head)
            self._store.execute("UPDATE outbox_epochs SET closed = 1 WHERE epoch = ?", (epoch,))

    def _keep(self, message: Message, priority: int, before: bytes) -> None:
        """Chains a message and hands it to the outbox."""
        head = next_head(before, message.payload)
        self._store.execute(
            "UPDATE outbox_epochs SET count = ?, head = ? WHERE epoch = ?",
            (message.seq, head, message.epoch),
        )
        now = self._ports.clock.now()
        self._tell_gaps(self._outbox.put(message, priority, head, now))

    def _tell_gaps(self, dropped: Sequence[Dropped]) -> None:
        """Signs for what was given up; neighbouring losses become one gap."""
        self._outbox.keep_gaps(dropped, self._sign_gap)

    def _sign_gap(self, gap: Gap) -> bytes:
        return self._sign(gap.record(self._ports.signer.kid))

    def _sign(self, record: Mapping[str, Any]) -> bytes:
        return sign_evidence(self._ports.signer, record, self._ports.topic)
