"""The embedded broker: amqtt with the certificate rules that Mosquitto's configuration gives.

Place in the flow: where Mosquitto is not installed, `hardware.drivers.broker` runs this module as
a process of its own. For demonstration and tests on loopback: it forgets everything when it ends
and does not know `$share`, which DESIGN §4.5 makes harmless.

* A client without a certificate of our issuer does not get past the TLS handshake.
* Who may do what stands in `hardware.drivers.broker_rules`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType

from hardware.drivers.broker_rules import peer_name

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOPBACK = "127.0.0.1"
LISTENER = "default"
RULES = "hardware.drivers.broker_rules"


def tls_context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Makes the server side of mutual TLS 1.3."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ca)
    context.load_cert_chain(certificate, key)
    return context


async def serve(context: ssl.SSLContext, port: int, core: str) -> None:
    """Serves until SIGTERM or SIGINT."""
    broker = Broker(
        BrokerConfig(
            listeners={LISTENER: ListenerConfig(type=ListenerType.EXTERNAL)},
            plugins={
                f"{RULES}.CertificateAuthentication": {},
                f"{RULES}.CertificateTopics": {"core": core},
            },
        )
    )
    await broker.start()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer_name.set(_common_name(writer.get_extra_info("peercert")))
        try:
            await broker.external_connected(
                StreamReaderAdapter(reader), StreamWriterAdapter(writer), LISTENER
            )
        finally:
            writer.close()

    server = await asyncio.start_server(connected, LOOPBACK, port, ssl=context)
    await _until_signal()
    server.close()
    await broker.shutdown()


def _common_name(certificate: dict[str, tuple[tuple[tuple[str, str], ...], ...]] | None) -> str:
    if certificate is None:
        return ""
    for relative_name in certificate["subject"]:
        for key, value in relative_name:
            if key == "commonName":
                return value
    return ""


async def _until_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the embedded broker in the foreground."""
    parser = argparse.ArgumentParser(prog="python -m hardware.drivers.broker_amqtt")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--core", default="core")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    context = tls_context(arguments.ca, arguments.certificate, arguments.key)
    try:
        asyncio.run(serve(context, arguments.port, arguments.core))
    except OSError as error:
        print(f"lastmile broker: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
