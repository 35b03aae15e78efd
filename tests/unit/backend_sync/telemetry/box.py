"""A vehicle box and a core with real keys: what the tests of telemetry let speak to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backend_sync.core.policies import Issuer, ensure_policy
from backend_sync.core.registry import add_device
from backend_sync.telemetry.ingest import Ingest
from backend_sync.telemetry.keyring import KeyRing
from backend_sync.telemetry.ratchets import PURPOSE
from backend_sync.telemetry.stream import digest_of
from edge.catalogue import signal
from edge.codec import deflate, encode
from edge.columns import Group, encode_columns
from edge.keys import LocalSecret, hpke_seal, ratchet, sign_evidence, wrap_chain_key
from edge.policy import hpke_id
from edge.purposes import PRIVATE_INFO
from edge.seal import seal_encrypt0
from edge.suites import AEADS
from hardware.drivers.clock import SystemRandomness

if TYPE_CHECKING:
    from backend_sync.core.database import Connection
    from backend_sync.core.keypairs import KeyFolder
    from edge.keys import FileIdentity, HpkeKeypair

ORG = "org"
ALG = 3
START_US = 1_700_000_000_000_000
SECOND_US = 1_000_000
SPEED = "Vehicle.Speed"

Message = tuple[str, bytes]


def plaintext(number: int, driver: str | None = "driver-1", **changed: Any) -> bytes:
    """The `number`-th ten seconds of a drive at 36 km/h, with one event."""
    spec = signal(SPEED)
    start_us = START_US + number * 10 * SECOND_US
    raw = 36 * spec.denominator // spec.numerator
    times = [start_us + i * SECOND_US for i in range(10)]
    record = {
        "v": 1,
        "start_us": start_us,
        "boot": "00" * 8,
        "mono_us": number,
        "trip": "trip-1",
        "driver": driver,
        "vehicle": "bus-1",
        "columns": encode_columns([Group(times, {spec.id: [raw] * 9 + [None]})], start_us),
        "events": [
            {
                "kind": "harsh-brake",
                "start_us": start_us,
                "end_us": start_us + SECOND_US,
                "peak": -2700,
                "unit": "mm/s2",
                "severity": "normal",
                "rule": "harsh-brake-imu",
            }
        ],
        "counts": {"frames": 100, "samples": 9, "dropped": {}},
    }
    return deflate(encode({**record, **changed}))


@dataclass
class Box:
    """The device's side of one epoch, as `vehicle_gateway` does it."""

    identity: FileIdentity
    backend_public: bytes
    device: str = "box-1"
    epoch: int = 1
    seed: bytes = b"\x07" * 32
    alg: int = ALG
    policy: int = 1
    heads: list[bytes] = field(default_factory=list)

    @property
    def topic(self) -> str:
        return f"lastmile/v1/{ORG}/{self.device}/up"

    def evidence(self, record: dict[str, Any], topic: str | None = None) -> Message:
        message = sign_evidence(self.identity, record, topic or self.topic)
        return topic or self.topic, message

    def start(self, **changed: Any) -> Message:
        record = {
            "type": "epoch-start",
            "device": self.device,
            "epoch": self.epoch,
            "alg": self.alg,
            "wrap": wrap_chain_key(self.backend_public, self.seed, self.device, self.epoch),
            "hpke": hpke_id(self.backend_public),
            "policy": self.policy,
            "start_us": START_US,
            "boot": "00" * 8,
            "mono_us": 0,
        }
        return self._begin({**record, **changed})

    def bare_start(self, **changed: Any) -> Message:
        """A start that wraps nothing, of a device that ratchets from its seed."""
        record = {
            "type": "epoch-start",
            "device": self.device,
            "epoch": self.epoch,
            "alg": self.alg,
            "policy": self.policy,
        }
        return self._begin({**record, **changed})

    def batch(self, seq: int, opened: bytes | None = None, topic: str | None = None) -> Message:
        """Seals a batch; calls in order of `seq` also extend the chain."""
        kid = self.device.encode() + b"/" + self.epoch.to_bytes((self.epoch.bit_length() + 7) // 8)
        suite = AEADS[self.alg]
        keys = ratchet(self.seed, suite)[1]
        aad = (topic or self.topic).encode()
        sealed = seal_encrypt0(suite, keys, kid, seq, opened or plaintext(seq), aad)
        self._chain(seq, sealed)
        return topic or self.topic, sealed

    def close(self, count: int, **changed: Any) -> Message:
        record = {
            "type": "epoch-close",
            "device": self.device,
            "epoch": self.epoch,
            "count": count,
            "head": self.heads[count] if len(self.heads) > count else b"\0" * 32,
        }
        topic, message = self.evidence({**record, **changed})
        self._chain(count + 1, message)
        return topic, message

    def gap(self, first: int, last: int) -> Message:
        record = {"type": "gap", "device": self.device, "epoch": self.epoch}
        return self.evidence({**record, "first": first, "last": last, "head": self.heads[last]})

    def consent(self, *, given_us: int, withdrawn: bool = False, **changed: Any) -> Message:
        body = {
            "subject": "driver-1",
            "purpose": "driving-grade",
            "text_sha256": "aa" * 32,
            "language": "zh",
            "given_us": given_us,
            "channel": "box",
            "expires_us": given_us + 10**15,
            "withdrawn": withdrawn,
        }
        sealed = hpke_seal(self.backend_public, encode({**body, **changed}), PRIVATE_INFO)
        return self.evidence({"type": "consent", "device": self.device, "sealed": sealed})

    def drive(self, count: int) -> list[Message]:
        """A whole epoch: start, `count` batches, close."""
        return [self.start(), *(self.batch(seq) for seq in range(1, count + 1)), self.close(count)]

    def next(self) -> None:
        """Steps the ratchet on: `seed` is the chain key of `epoch`."""
        self.seed = ratchet(self.seed, AEADS[self.alg])[0]
        self.epoch += 1

    def _begin(self, record: dict[str, Any]) -> Message:
        topic, message = self.evidence(record)
        self.heads = [digest_of(message)]
        return topic, message

    def _chain(self, seq: int, message: bytes) -> None:
        if len(self.heads) == seq:
            self.heads.append(digest_of(self.heads[-1] + message))


@dataclass
class Core:
    """The core's side: its keys, its register, its rules."""

    signer: FileIdentity
    pairs: KeyFolder
    devices: dict[str, bytes] = field(default_factory=dict)

    @property
    def hpke(self) -> HpkeKeypair:
        """The key pair that it was made with."""
        return self.pairs[list(self.pairs)[-1]]

    @property
    def secret(self) -> LocalSecret:
        return LocalSecret(self.signer, PURPOSE, SystemRandomness())

    @property
    def issuer(self) -> Issuer:
        return Issuer(self.signer, self.pairs)

    def ring(self) -> KeyRing:
        return KeyRing(self.pairs, self.secret)

    def ingest(self) -> Ingest:
        return Ingest(self.ring(), self.devices.get)

    def register(self, connection: Connection, identity: FileIdentity, *algs: int) -> Box:
        """Registers a gateway and issues its policy."""
        key, device = identity.public_bytes, identity.kid
        self.devices[device] = key
        add_device(connection, device, "gateway", key, "", START_US)
        ensure_policy(connection, self.issuer, device, algs or (ALG, 30), START_US)
        return Box(identity, self.hpke.public_bytes, device)
