"""The shell of ingest: MQTT in, PostgreSQL, signed acknowledgements out, Parquet behind.

Place in the flow: broker → **consumer** → ingest and store → broker. It moves bytes; every rule
about them is in `ingest`.

Theory of operation. paho's thread puts arrivals into a bounded queue. The main loop takes up to
`BATCH_MESSAGES_MAX` of them, stores them in one transaction, and only then confirms them to the
broker and signs "stored through seq n, head h" to the devices. A second thread flushes to the lake
on a connection of its own, so that Parquet never delays an acknowledgement.

* An arrival is confirmed to the broker after the commit, whatever the verdict: a refused message
  would come again for ever. What a device deletes rests on the signed acknowledgement alone.
* Campaigns and commands that are due go down between two takings (`orders`).
* A message that can never be taken is told to its device too, by digest, so many a minute; its
  box sets it aside and goes on (`refusal`).
* When the database is away arrivals wait in hand and are stored when it is back; the broker holds
  the rest, because nothing more is confirmed.
"""

from __future__ import annotations

import logging
import queue
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

from backend_sync.telemetry import lake
from backend_sync.telemetry.claim import down_topic
from backend_sync.telemetry.ingest import Ingest
from backend_sync.telemetry.keyring import KeyRing
from backend_sync.telemetry.orders import take_due
from backend_sync.telemetry.refusal import RefusalLimit, refusal_record
from backend_sync.telemetry.seeds import sweep_keys
from backend_sync.telemetry.store import BATCH_MESSAGES_MAX, Stored, Taken, take_in
from backend_sync.telemetry.words import due_words, note_told
from edge.errors import DeviceFault
from edge.keys import sign_evidence
from edge.retry import Backoff, Pauses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from backend_sync.telemetry.refusal import Refusal
    from edge.keys import HpkeKeypair, LocalSecret
    from edge.ports import Clock, Randomness, Signer

QUEUE_MAX = 5_000
QOS = 1
WAIT_S = 0.25
TELL_US = 2_000_000
SECOND_US = 1_000_000
KEEPALIVE_S = 30
DATABASE = Pauses(base_us=1_000_000, cap_us=8_000_000, least_us=200_000)
RECONNECT = Pauses(base_us=1_000_000, cap_us=15_000_000, least_us=200_000)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TelemetrySettings:
    """What `run` needs; composition fills it in from the core's configuration.

    Attributes:
        org: The organisation whose uplinks are read, the third level of a topic.
        host: Name or address of the broker, as its certificate spells it.
        port: TCP port of the broker.
        ca: PEM bundle the broker's certificate must chain to.
        certificate: PEM certificate of the core; its common name is the core in the broker's ACL.
        key: PEM private key of that certificate.
        lake: Root folder of the lake.
        connect: Opens a new PostgreSQL connection (`backend_sync.core.database.connect`).
        device_key: Public key (SEC1, 65 bytes) of a device that may send now, else None.
        hpke: Key pairs that devices wrap their epoch keys to, by id.
        secret: Under which ratchets are kept, for the purpose `ratchets.PURPOSE`.
        signer: Signs acknowledgements, `kid` "core".
        clock: Reads the present.
        randomness: Draws the jitter of what is tried again.
        shared: Subscribe as `$share/core/...`: on Mosquitto, EMQX; not on amqtt.
        client_id: Of the MQTT session, one per consumer process.
        flush_interval_s: Pause between two flushes to the lake.
    """

    org: str
    host: str
    port: int
    ca: Path
    certificate: Path
    key: Path
    lake: Path
    connect: Callable[[], psycopg.Connection[Any]]
    device_key: Callable[[str], bytes | None]
    hpke: Mapping[bytes, HpkeKeypair]
    secret: LocalSecret
    signer: Signer
    clock: Clock
    randomness: Randomness
    shared: bool = False
    client_id: str = "core-ingest"
    flush_interval_s: float = 1.0


def run(settings: TelemetrySettings, stop: threading.Event) -> None:
    """Consumes until `stop` is set, then writes what is left to the lake and returns.

    A broker or a database that is away is waited for, not an error.

    Raises:
        DeviceFault: The thread that writes the lake ended by itself; its trace is in the log.
    """
    consumed = threading.Event()
    consumer = Consumer(settings)
    flusher = threading.Thread(target=_keep_flushing, args=(settings, stop, consumed), name="lake")
    consumer.open()
    flusher.start()
    try:
        consumer.consume(stop)
    finally:
        consumer.close()
        alive = flusher.is_alive()
        consumed.set()
        flusher.join()
    if not alive:
        raise DeviceFault("The lake cannot be written; see the log of the ingest.", "lake-ended")


class Consumer:
    """One MQTT session and the loop over what it brings."""

    def __init__(self, settings: TelemetrySettings) -> None:
        self._settings = settings
        self._ingest = Ingest(KeyRing(settings.hpke, settings.secret), settings.device_key)
        self._arrivals: queue.Queue[mqtt.MQTTMessage] = queue.Queue(QUEUE_MAX)
        self._refusals = RefusalLimit()
        self._told_us = -TELL_US
        self._database = Backoff(DATABASE, settings.randomness)
        self._reconnects = Backoff(RECONNECT, settings.randomness)  # of paho's thread alone
        self._client = self._make_client()

    def open(self) -> None:
        """Begins to connect; from here on paho connects again by itself whenever it must."""
        settings = self._settings
        self._client.connect_async(settings.host, settings.port, KEEPALIVE_S)
        self._client.loop_start()

    def consume(self, stop: threading.Event) -> None:
        """Stores arrivals until `stop`, reconnecting to the database when it goes away."""
        while not stop.is_set():
            try:
                with self._settings.connect() as connection:
                    self._database.succeed()
                    self._consume_on(connection, stop)
            except (psycopg.OperationalError, DeviceFault) as error:
                log.warning("database away, trying again: %s", error)
                stop.wait(self._database.fail() / SECOND_US)

    def close(self) -> None:
        """Leaves the broker in good order."""
        self._client.disconnect()
        self._client.loop_stop()

    def _consume_on(self, connection: psycopg.Connection[Any], stop: threading.Event) -> None:
        while not stop.is_set():
            self._send_orders(connection)
            arrivals = self._collect()
            self._tell_words(connection)
            if not arrivals:
                continue
            try:
                taken = self._store(connection, arrivals)
            except psycopg.OperationalError:
                self._put_back(arrivals)
                raise
            for arrival in arrivals:
                self._client.ack(arrival.mid, arrival.qos)
            for each in taken.stored:
                self._acknowledge(each)
            for device, policy in taken.policies:
                self._client.publish(down_topic(self._settings.org, device), policy, QOS)
            for refusal in taken.refusals:
                self._refuse(refusal)

    def _collect(self) -> list[mqtt.MQTTMessage]:
        """Waits a moment for the first arrival and takes those along that are there."""
        arrivals: list[mqtt.MQTTMessage] = []
        try:
            arrivals.append(self._arrivals.get(timeout=WAIT_S))
            while len(arrivals) < BATCH_MESSAGES_MAX:
                arrivals.append(self._arrivals.get_nowait())
        except queue.Empty:
            pass
        return arrivals

    def _store(
        self, connection: psycopg.Connection[Any], arrivals: list[mqtt.MQTTMessage]
    ) -> Taken:
        pairs = [(arrival.topic, bytes(arrival.payload)) for arrival in arrivals]
        now_us = self._settings.clock.now().wall_us
        return take_in(connection, self._ingest, self._settings.org, pairs, now_us)

    def _tell_words(self, connection: psycopg.Connection[Any]) -> None:
        """Hands over what is due to be told, every few seconds."""
        now = self._settings.clock.now()
        if now.monotonic_us - self._told_us < TELL_US or not self._client.is_connected():
            return
        self._told_us = now.monotonic_us
        words = due_words(connection, now.wall_us)
        for word in words:
            self._client.publish(down_topic(self._settings.org, word.device), word.message, QOS)
        note_told(connection, words, now.wall_us)

    def _put_back(self, arrivals: list[mqtt.MQTTMessage]) -> None:
        """Keeps arrivals for the next try; those without room are sent again by their device."""
        for arrival in arrivals:
            try:
                self._arrivals.put_nowait(arrival)
            except queue.Full:
                return

    def _send_orders(self, connection: psycopg.Connection[Any]) -> None:
        """Hands over what is due; while the broker is away it stays due."""
        if not self._client.is_connected():
            return
        for device, order in take_due(connection, self._settings.clock.now().wall_us):
            self._client.publish(down_topic(self._settings.org, device), order, QOS)

    def _acknowledge(self, stored: Stored) -> None:
        topic = down_topic(self._settings.org, stored.device)
        message = sign_evidence(self._settings.signer, acknowledgement(stored), topic)
        self._client.publish(topic, message, QOS)

    def _refuse(self, refusal: Refusal) -> None:
        if self._refusals.allows(refusal.device, self._settings.clock.now().monotonic_us):
            topic = down_topic(self._settings.org, refusal.device)
            message = sign_evidence(self._settings.signer, refusal_record(refusal), topic)
            self._client.publish(topic, message, QOS)

    def _make_client(self) -> mqtt.Client:
        settings = self._settings
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            clean_session=True,
            manual_ack=True,
        )
        client.tls_set_context(_tls_context(settings))
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = lambda client, *_: self._pause(client)
        client.on_message = self._on_message
        return client

    def _on_connect(self, client: mqtt.Client, *event: Any) -> None:  # noqa: ANN401 - paho's
        reason = event[2]
        if reason.is_failure:
            log.error("broker refuses the core: %s", reason)
            return
        self._reconnects.succeed()
        uplinks = f"lastmile/v1/{self._settings.org}/+/up"
        group = "$share/core/" if self._settings.shared else ""
        client.subscribe(group + uplinks, QOS)
        log.info("listening on %s", group + uplinks)

    def _on_connect_fail(self, client: mqtt.Client, *_event: object) -> None:
        self._pause(client)
        place = f"{self._settings.host}:{self._settings.port}"
        log.warning("broker %s cannot be reached or refuses our certificate, trying again", place)

    def _pause(self, client: mqtt.Client) -> None:
        """Sets the pause that paho makes next: its own ones double without jitter."""
        pause_s = self._reconnects.fail() / SECOND_US
        client.reconnect_delay_set(pause_s, pause_s)  # type: ignore[arg-type] # a float serves

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        try:
            self._arrivals.put_nowait(message)
        except queue.Full:
            log.warning("too much in hand: a message is left to its device to send again")


def acknowledgement(stored: Stored) -> dict[str, object]:
    """Returns the record that tells a device what it may delete."""
    return {
        "type": "stored",
        "device": stored.device,
        "epoch": stored.epoch,
        "seq": stored.seq,
        "head": stored.head,
    }


def _tls_context(settings: TelemetrySettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(settings.ca)
    context.load_cert_chain(settings.certificate, settings.key)
    return context


def _keep_flushing(
    settings: TelemetrySettings, stop: threading.Event, consumed: threading.Event
) -> None:
    """Flushes every now and then, and once more when the last arrival is stored."""
    ring = KeyRing(settings.hpke, settings.secret)
    try:
        while not consumed.wait(settings.flush_interval_s):
            _try_flush(settings, ring)
        _try_flush(settings, ring)
    finally:
        stop.set()


def _try_flush(settings: TelemetrySettings, ring: KeyRing) -> None:
    try:
        with settings.connect() as connection:
            if lake.flush(connection, ring, settings.lake):
                swept = sweep_keys(connection, settings.clock.now().wall_us)
                log.debug("kept keys deleted: %d ended, %d expired", *swept)
    except (psycopg.OperationalError, DeviceFault, OSError) as error:
        log.warning("the lake waits, trying again: %s", error)
