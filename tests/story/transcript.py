"""Everything the broker hands out, written down: what a curious broker could read.

Place in the flow: broker → **transcript** → the search for a planted marker.

* Two listeners with certificates of their own: the core's hears every uplink, the box's every
  downlink. The broker's rules let nobody hear more, so together they hear all.
* Topics and payloads are kept exactly as delivered.
"""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING, Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge.errors import DeviceFault

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

CONNECT_S_MAX = 10.0


class Transcript:
    """Listens on the broker until it is closed.

    Args:
        port: The broker's port on loopback.
        ca: PEM roots of the broker.
    """

    def __init__(self, port: int, ca: Path) -> None:
        self._port = port
        self._ca = ca
        self._clients: list[mqtt.Client] = []
        self._guard = threading.Lock()
        self.messages: list[tuple[str, bytes]] = []

    def listen(self, name: str, topic: str, certificate: Path, key: Path) -> None:
        """Adds a listener and returns once the broker granted its subscription.

        Raises:
            DeviceFault: The broker did not grant it in time.
        """
        granted = threading.Event()
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(self._ca)
        context.load_cert_chain(certificate, key)
        client.tls_set_context(context)
        client.on_connect = lambda client, *_event: client.subscribe(topic, 1)
        client.on_subscribe = lambda *_event: granted.set()
        client.on_message = self._note
        self._clients.append(client)
        client.connect("127.0.0.1", self._port)
        client.loop_start()
        if not granted.wait(CONNECT_S_MAX):
            raise DeviceFault(f"The broker did not let {name} listen on {topic}.", "transcript")

    def holds(self, marker: bytes) -> bool:
        """Says whether the marker stands in any topic or payload."""
        with self._guard:
            return any(marker in topic.encode() or marker in body for topic, body in self.messages)

    def count(self, level: str) -> int:
        """Counts messages whose topic ends with `level`."""
        with self._guard:
            return sum(topic.endswith(level) for topic, _ in self.messages)

    def close(self) -> None:
        """Stops listening."""
        for client in self._clients:
            client.disconnect()
            client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _note(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        with self._guard:
            self.messages.append((message.topic, bytes(message.payload)))


def files_holding(folder: Path, marker: bytes) -> list[Path]:
    """Returns the files below a folder whose bytes hold the marker."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and marker in path.read_bytes()
    ]
