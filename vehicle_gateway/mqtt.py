"""The outbox over MQTT: paho moves the bytes, one thread owns the store.

Place in the flow: outbox, publish → **mqtt** → broker; what the core says → answers → outbox.

* paho's thread only leaves notes in a queue; the gateway's own thread settles and sends, so that
  SQLite has one writer.
* TLS 1.3 with the device's certificate both ways; QoS 1; the connection is made again for ever,
  after pauses that `edge.retry` draws: paho would double them without jitter, and a county of boxes
  would come back at once.
* The session is persistent: what the core says while the box is in a tunnel waits at the broker.
* Where there are several brokers, `handover` says which; the old one is left in good order by a
  thread of its own, for it may be hanging in a connection that never comes.
* The data plan is asked before anything is sent, and told of all that was.
* What arrives is hostile until the listener of its type has checked it (`answers`).
"""

from __future__ import annotations

import contextlib
import logging
import queue
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge.errors import LocalError
from edge.outbox import PRIORITY_EVENT
from edge.retry import Backoff, Pauses
from vehicle_gateway.handover import HandOver

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.ports import Randomness
    from vehicle_gateway.answers import Answers
    from vehicle_gateway.batch import Sink
    from vehicle_gateway.data_plan import DataPlan
    from vehicle_gateway.publish import Key, SendPlan

QOS: Final = 1
KEEPALIVE_S: Final = 30
RECONNECT: Final = Pauses(base_us=1_000_000, cap_us=30_000_000, least_us=200_000)
SECOND_US: Final = 1_000_000
PUMP_US: Final = 250_000
ANSWER_BYTES_MAX: Final = 4_096
NOTES_MAX: Final = 4_096

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BrokerPlace:
    """The broker, and who we are to it.

    Attributes:
        host: As its certificate spells it.
        ca: PEM roots its certificate must chain to.
        certificate: PEM of the device; its common name is the device in the broker's ACL.
        key: PEM private key of it.
    """

    host: str
    port: int
    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Address:
    """The two topics of a device."""

    org: str
    device: str

    @property
    def up(self) -> str:
        """Where the device speaks."""
        return f"lastmile/v1/{self.org}/{self.device}/up"

    @property
    def down(self) -> str:
        """Where it hears the core."""
        return f"lastmile/v1/{self.org}/{self.device}/down"


class Publisher:
    """Sends what waits, and lets what the core says be heard.

    Args:
        places: The broker, and those to go to while it is away.
        address: The topics of this device.
        sink: Its outbox holds what waits.
        answers: Hears what arrives.
        plan: Decides what is sent when.
        randomness: Spreads the reconnects of many boxes.
    """

    data_plan: DataPlan | None = None
    """What the SIM card may carry; None is no limit."""
    hand_over: HandOver
    """Says which broker is the present one."""

    def __init__(
        self,
        places: Sequence[BrokerPlace],
        address: Address,
        sink: Sink,
        answers: Answers,
        plan: SendPlan,
        randomness: Randomness,
    ) -> None:
        self._places = list(places)
        self.hand_over = HandOver(len(self._places), sink.clock.now().monotonic_us)
        self._address = address
        self._sink = sink
        self._answers = answers
        self._plan = plan
        self._reconnects = Backoff(RECONNECT, randomness)  # of paho's thread alone
        self._mids: dict[int, Key] = {}
        self._notes: queue.Queue[tuple[str, Any]] = queue.Queue(NOTES_MAX)
        self._is_connected = False
        self._connections = self._known_connections = 0
        self._pumped_us = 0
        self._client = self._make_client(self._places[0])

    @property
    def place(self) -> BrokerPlace:
        """The broker of now."""
        return self._places[self.hand_over.current]

    def open(self) -> None:
        """Begins to connect; from here on paho connects again by itself whenever it must."""
        self._client.connect_async(self.place.host, self.place.port, KEEPALIVE_S)
        self._client.loop_start()

    def close(self) -> None:
        """Leaves the broker in good order; what waits stays in the outbox."""
        _leave(self._client)
        self._is_connected = False
        if self.data_plan:
            self.data_plan.save()

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there now."""
        return self._is_connected

    def pump(self, *, wait_s: float = 0.0) -> None:
        """Acts on what has arrived and sends what is due.

        Args:
            wait_s: How long to wait for the first arrival.
        """
        news = self._read_notes(wait_s)
        if self._connections != self._known_connections:
            self._known_connections = self._connections
            self._plan.reconnect()
            news = True
        now_us = self._sink.clock.now().monotonic_us
        move = self.hand_over.due(is_connected=self._is_connected, now_us=now_us)
        if move is not None:
            self._move(self._places[move])
        if self._is_connected and (news or now_us - self._pumped_us >= PUMP_US):
            self._pumped_us = now_us
            self._send(now_us)

    # ------------------------------------------------------------ inside
    def _read_notes(self, wait_s: float) -> bool:
        """Returns whether room for more to send has come up."""
        news = False
        try:
            note = self._notes.get(timeout=wait_s) if wait_s else self._notes.get_nowait()
            while True:
                news |= self._act(*note)
                note = self._notes.get_nowait()
        except queue.Empty:
            return news

    def _act(self, kind: str, value: Any) -> bool:  # noqa: ANN401 - what paho's callbacks carry
        if kind == "puback":
            key = self._mids.pop(value, None)
            if key is not None:
                self._plan.confirm(key)
            return False
        return kind == "message" and self._answers.hear(value)

    def _send(self, now_us: int) -> None:
        room = self._room()
        waiting = self._sink.outbox.due(self._plan.window) if room != 0 else []
        for message in self._plan.next(waiting, now_us, room) if waiting else ():
            key = (message.epoch, message.seq)
            sent = self._client.publish(self._address.up, message.payload, QOS)
            if sent.rc == mqtt.MQTT_ERR_QUEUE_SIZE:
                self._plan.forget(key)
                continue
            self._mids[sent.mid] = key
            if self.data_plan:
                self.data_plan.spend(len(message.payload))

    def _room(self) -> int | None:
        """Bytes that the data plan has for us now; None without a plan."""
        if self.data_plan is None:
            return None
        is_urgent = self._sink.outbox.holds(PRIORITY_EVENT)
        return self.data_plan.room(self._sink.clock.now().wall_us, is_urgent=is_urgent)

    def _move(self, place: BrokerPlace) -> None:
        """Goes to a broker, or to the same one with the certificate that is on the disk now."""
        try:
            client = self._make_client(place)
        except LocalError as error:
            log.warning("%s Staying with the old one.", error)
            return
        log.info("going to the broker %s:%d", place.host, place.port)
        old, self._client = self._client, client
        self._is_connected = False
        threading.Thread(target=_leave, args=(old,), daemon=True).start()
        self._mids.clear()
        self._plan.move()
        self.open()

    def _make_client(self, place: BrokerPlace) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=self._address.device, clean_session=False
        )
        client.tls_set_context(tls_context(place))
        client.max_inflight_messages_set(self._plan.window)
        client.max_queued_messages_set(4 * self._plan.window)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    def _on_connect(self, client: mqtt.Client, *event: Any) -> None:  # noqa: ANN401 - paho's shape
        reason = event[2]
        if client is not self._client:
            return  # it was left meanwhile
        if reason.is_failure:
            log.error("the broker refuses this device: %s", reason)
            return
        self._reconnects.succeed()
        client.subscribe(self._address.down, QOS)
        self._connections += 1
        self._is_connected = True
        self._note("wake", None)
        log.info("connected to %s:%d", self.place.host, self.place.port)

    def _on_publish(self, client: mqtt.Client, *event: Any) -> None:  # noqa: ANN401
        if client is self._client:
            self._note("puback", event[1])

    def _on_disconnect(self, client: mqtt.Client, *_: object) -> None:
        if client is self._client:
            self._is_connected = False
            self._pause(client)

    def _on_connect_fail(self, client: mqtt.Client, *_: object) -> None:
        if client is not self._client:
            return
        self._pause(client)
        log.warning(
            "broker %s:%d cannot be reached or refuses our certificate, trying again",
            self.place.host,
            self.place.port,
        )

    def _pause(self, client: mqtt.Client) -> None:
        """Sets the pause that paho makes next, before it tries again."""
        pause_s = self._reconnects.fail() / SECOND_US
        client.reconnect_delay_set(pause_s, pause_s)  # type: ignore[arg-type] # a float serves

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if len(message.payload) <= ANSWER_BYTES_MAX:
            self._note("message", message.payload)

    def _note(self, kind: str, value: object) -> None:
        """Leaves a note for the gateway's thread; an answer without room is given again."""
        with contextlib.suppress(queue.Full):
            self._notes.put_nowait((kind, value))


def _leave(client: mqtt.Client) -> None:
    """Says good-bye and waits for paho's thread."""
    client.disconnect()
    client.loop_stop()


def tls_context(place: BrokerPlace) -> ssl.SSLContext:
    """Returns a context that speaks TLS 1.3 alone, with the device's own certificate.

    Raises:
        LocalError: A certificate or key is missing or damaged.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(place.ca)
        context.load_cert_chain(place.certificate, place.key)
    except OSError as error:
        raise LocalError(
            f"The certificate {place.certificate} or its CA cannot be used ({error}). "
            "Provision this device again.",
            "gateway-certificate",
        ) from error
    return context
