"""Somebody who stole a device's keys, or stands between it and the core, and sends what hurts.

Place in the flow: a box's own identity → **forger** → broker → core; the tests of bad input.

* It seals and signs with the real code and the real keys: what it sends is wrong in one way only.
* It knows what a broker's certificate rules allow: it publishes with the box's own certificate.
"""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge.catalogue import signal
from edge.codec import deflate, encode
from edge.columns import Group, encode_columns
from edge.errors import DeviceFault
from edge.keys import FileIdentity, ratchet, sign_evidence, verifier, wrap_chain_key
from edge.policy import Policy, open_policy
from edge.seal import epoch_kid, seal_encrypt0
from edge.suites import A256GCM, AEADS
from hardware.drivers.broker import LOOPBACK
from tests.story.town import BOX, ORG, PLATE

if TYPE_CHECKING:
    from types import TracebackType

    from tests.story.town import Town

CONNECT_S_MAX = 10.0
START_US = 1_790_000_000_000_000
SECOND_US = 1_000_000
BATCH_S = 10


@dataclass(slots=True)
class Epoch:
    """One epoch of a box, sealed message by message.

    Attributes:
        number: Of the epoch; keys follow from it.
        device: Whom the messages say they are from.
    """

    signer: FileIdentity
    policy: Policy
    number: int
    device: str = BOX
    topic: str = f"lastmile/v1/{ORG}/{BOX}/up"
    _seed: bytes = field(default=b"")

    def __post_init__(self) -> None:
        self._seed = self.number.to_bytes(1, "big") * 32

    def start(self) -> bytes:
        """Returns the signed start."""
        record = {
            "type": "epoch-start",
            "device": self.device,
            "epoch": self.number,
            "alg": A256GCM,
            "wrap": wrap_chain_key(self.policy.hpke, self._seed, self.device, self.number),
            "hpke": self.policy.hpke_id,
            "policy": self.policy.seq,
            "start_us": START_US,
            "boot": "00" * 8,
            "mono_us": 0,
        }
        return sign_evidence(self.signer, record, self.topic)

    def batch(self, seq: int, topic: str | None = None) -> bytes:
        """Returns ten sealed seconds at 36 km/h."""
        suite = AEADS[A256GCM]
        _, keys = ratchet(self._seed, suite)
        kid = epoch_kid(self.device, self.number)
        aad = (topic or self.topic).encode()
        return seal_encrypt0(suite, keys, kid, seq, ten_seconds(seq), aad)


def ten_seconds(number: int) -> bytes:
    """Returns the plaintext of a batch: one speed a second."""
    speed = signal("Vehicle.Speed")
    start_us = START_US + number * BATCH_S * SECOND_US
    times = [start_us + i * SECOND_US for i in range(BATCH_S)]
    raw = 36 * speed.denominator // speed.numerator
    record: dict[str, Any] = {
        "v": 1,
        "start_us": start_us,
        "boot": "00" * 8,
        "mono_us": number,
        "trip": None,
        "driver": None,
        "vehicle": PLATE,
        "columns": encode_columns([Group(times, {speed.id: [raw] * BATCH_S})], start_us),
        "events": [],
        "counts": {"frames": BATCH_S, "samples": BATCH_S, "unknown": 0, "dropped": {}},
    }
    return deflate(encode(record))


class Forger:
    """Publishes to the broker as the box.

    Args:
        town: With a provisioned box; its gateway does not run.
    """

    def __init__(self, town: Town) -> None:
        folder = town.box_dir
        self.signer = FileIdentity.load(folder / "keys" / "identity.pem")
        core = verifier(bytes.fromhex((folder / "core" / "signing.pub").read_text()))
        self.policy = open_policy((folder / "core" / "policy.cose").read_bytes(), core, BOX)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="forger")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(folder / "core" / "ca.pem")
        certificate = folder / "core" / "certificate.pem"
        context.load_cert_chain(certificate, folder / "keys" / "identity.pem")
        self._client.tls_set_context(context)
        connected = threading.Event()
        self._client.on_connect = lambda *_event: connected.set()
        self._client.connect(LOOPBACK, town.broker_port)
        self._client.loop_start()
        if not connected.wait(CONNECT_S_MAX):
            raise DeviceFault("The broker does not let the box in.", "forger")

    def epoch(self, number: int) -> Epoch:
        """Returns an epoch of the box itself."""
        return Epoch(self.signer, self.policy, number)

    def send(self, *messages: bytes, topic: str = f"lastmile/v1/{ORG}/{BOX}/up") -> None:
        """Publishes messages in this order and waits until the broker has them."""
        for message in messages:
            self._client.publish(topic, message, qos=1).wait_for_publish(CONNECT_S_MAX)

    def close(self) -> None:
        """Leaves the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
