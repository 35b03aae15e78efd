"""An MQTT client for tests: every answer of the broker can be waited for, none is guessed."""

from __future__ import annotations

import queue
import ssl
from typing import TYPE_CHECKING, Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from pathlib import Path

ANSWER_S = 10.0


class Peer:
    """One connection with one certificate; use as a context manager."""

    def __init__(
        self, place: tuple[str, int], ca: Path, identity: tuple[Path, Path] | None, name: str
    ) -> None:
        self.messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._answers: queue.Queue[Any] = queue.Queue()
        self._place = place
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name)
        self._client.tls_set_context(_context(ca, identity))
        self._client.on_connect = lambda *event: self._answers.put(event[3])
        self._client.on_disconnect = lambda *_event: self._answers.put(None)
        self._client.on_subscribe = lambda *event: self._answers.put(event[3][0])
        self._client.on_publish = lambda *event: self._answers.put(event[3])
        self._client.on_message = lambda *event: self.messages.put(
            (event[2].topic, event[2].payload)
        )

    def __enter__(self) -> Self:
        """Connects.

        Raises:
            ConnectionRefusedError: The broker does not want this client.
        """
        try:
            self._client.connect(*self._place)
            self._client.loop_start()
            accepted = self._answers.get(timeout=ANSWER_S)
        except OSError as error:
            raise ConnectionRefusedError(str(error)) from error
        if accepted is None or accepted.is_failure:
            self.__exit__()
            raise ConnectionRefusedError(str(accepted))
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, topic: str) -> bool:
        """Subscribes and says whether the broker granted it."""
        self._client.subscribe(topic, 1)
        return not self._answers.get(timeout=ANSWER_S).is_failure

    def publish(self, topic: str, message: bytes) -> None:
        """Publishes and waits until the broker has confirmed."""
        self._client.publish(topic, message, 1)
        self._answers.get(timeout=ANSWER_S)

    def next(self, wait_s: float = ANSWER_S) -> tuple[str, bytes]:
        """Returns the next message that arrives.

        Raises:
            TimeoutError: None arrives.
        """
        try:
            return self.messages.get(timeout=wait_s)
        except queue.Empty as error:
            raise TimeoutError("no message arrived") from error


def _context(ca: Path, identity: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    if identity is not None:
        context.load_cert_chain(*identity)
    return context
