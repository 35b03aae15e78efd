"""Starts an MQTT broker on loopback: Mosquitto where it is installed, else amqtt.

Place in the flow: between the outbox of a vehicle box and the core's ingest, in the demonstration,
the tests and a branch office of one machine. A real deployment runs Mosquitto under systemd with
the same configuration file (`hardware/deploy/mosquitto.conf`).

* Loopback only, TLS 1.3 only, and only clients with a certificate of our own issuer.
* The common name of the certificate is the device; it reaches its own two topics and no other.
* "Ready" means that a TLS handshake with the configured CA succeeded, not that a process exists.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Self

from edge.errors import DeviceFault, LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

LOOPBACK = "127.0.0.1"
KINDS = ("auto", "mosquitto", "amqtt")
MOSQUITTO_PLACES = (
    "/usr/sbin/mosquitto",
    "/usr/local/sbin/mosquitto",
    "/opt/homebrew/sbin/mosquitto",
)
READY_TIMEOUT_S = 15.0
STOP_GRACE_S = 5.0
START_ATTEMPTS = 5
LOG_NAME = "broker.log"


@dataclass(frozen=True, slots=True)
class BrokerFiles:
    """What a broker needs on disk.

    Attributes:
        directory: Working folder of the broker: configuration, persistence, log.
        ca: PEM bundle that client certificates must chain to.
        certificate: PEM certificate (with chain) of the broker.
        key: PEM private key of the broker, unencrypted.
        core: Common name of the core's certificate, which may read every uplink.
    """

    directory: Path
    ca: Path
    certificate: Path
    key: Path
    core: str = "core"


@dataclass(slots=True)
class RunningBroker:
    """A broker process of ours.

    Attributes:
        kind: `mosquitto` or `amqtt`.
        host: Address it listens on, always loopback.
        port: TCP port.
        shared: Whether `$share/group/filter` subscriptions are honoured.
        log_path: What the process wrote to standard error.
    """

    kind: str
    host: str
    port: int
    shared: bool
    log_path: Path
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """Process id, so that a caller can kill it the hard way."""
        return self.process.pid

    def close(self) -> None:
        """Ends the process with SIGTERM, and with SIGKILL when it does not go."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_GRACE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def find_mosquitto() -> str | None:
    """Returns the path of an installed Mosquitto, or None."""
    found = shutil.which("mosquitto")
    if found:
        return found
    return next((place for place in MOSQUITTO_PLACES if os.access(place, os.X_OK)), None)


def choose_kind(kind: str) -> str:
    """Resolves `auto`, and checks that what is asked for can run here.

    Raises:
        LocalError: The kind is unknown, or Mosquitto is asked for and not installed.
    """
    if kind not in KINDS:
        raise LocalError(
            f"Broker kind {kind!r} is unknown; use one of {', '.join(KINDS)}.", "broker-kind"
        )
    installed = find_mosquitto()
    if kind == "mosquitto" and installed is None:
        raise LocalError(
            "Mosquitto is not installed; install it (apt install mosquitto) or use kind amqtt.",
            "broker-missing",
        )
    if kind == "auto":
        return "mosquitto" if installed else "amqtt"
    return kind


def start_broker(files: BrokerFiles, kind: str = "auto", port: int = 0) -> RunningBroker:
    """Starts a broker in the background and returns once it answers.

    Args:
        files: Folder, CA, certificate and key.
        kind: `auto`, `mosquitto` or `amqtt`.
        port: TCP port on loopback, 0 for any free one.

    Raises:
        LocalError: A file is missing or the kind cannot run here.
        DeviceFault: The process ended or did not answer in time; the text holds its last lines.
    """
    chosen = choose_kind(kind)
    attempts = START_ATTEMPTS if port == 0 else 1
    for attempt in range(1, attempts + 1):
        bound = port or free_port()
        broker = _spawn(files, chosen, bound)
        try:
            _wait_ready(broker, files.ca)
        except DeviceFault:
            broker.close()
            if attempt == attempts or "in use" not in _tail(broker.log_path):
                raise
        else:
            return broker
    raise AssertionError("unreachable: the last attempt returns or raises")


def command_line(files: BrokerFiles, kind: str, port: int) -> list[str]:
    """Writes the configuration and returns the command that runs the broker in the foreground.

    Raises:
        LocalError: A certificate file is missing.
    """
    for path in (files.ca, files.certificate, files.key):
        if not path.is_file():
            raise LocalError(
                f"Broker file {path} is missing; provision the broker first.", "broker-file"
            )
    files.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if kind == "amqtt":
        return _amqtt_command(files, port)
    configuration = write_mosquitto_configuration(files, port)
    return [find_mosquitto() or "mosquitto", "-c", str(configuration)]


def write_mosquitto_configuration(files: BrokerFiles, port: int) -> Path:
    """Fills the deployment's templates in and returns the path of the configuration."""
    folder = files.directory.resolve()
    data = folder / "persistence"
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    values: Mapping[str, object] = {
        "port": port,
        "address": LOOPBACK,
        "ca": files.ca.resolve(),
        "certificate": files.certificate.resolve(),
        "key": files.key.resolve(),
        "acl": folder / "mosquitto.acl",
        "data": data,
        "user": getpass.getuser(),
        "core": files.core,
    }
    for name in ("mosquitto.conf", "mosquitto.acl"):
        template = resources.files("hardware.deploy").joinpath(name).read_text(encoding="utf-8")
        path = folder / name
        path.write_text(Template(template).substitute(values), encoding="utf-8")
        path.chmod(0o600)
    return folder / "mosquitto.conf"


def free_port() -> int:
    """Returns a TCP port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def answers(host: str, port: int, ca: Path) -> bool:
    """Says whether a TLS 1.3 server with a certificate of `ca` answers there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.load_verify_locations(ca)
    try:
        with (
            socket.create_connection((host, port), timeout=1.0) as plain,
            context.wrap_socket(plain) as secured,
        ):
            return secured.version() == "TLSv1.3"
    except OSError:
        return False


def main(argv: Sequence[str] | None = None) -> int:
    """Becomes the broker process: the signals that end this command end the broker.

    Returns:
        2 for a wrong command line; else it does not return.
    """
    arguments = _parser().parse_args(argv)
    files = BrokerFiles(
        arguments.dir, arguments.ca, arguments.certificate, arguments.key, arguments.core
    )
    try:
        kind = choose_kind(arguments.kind)
        port = arguments.port or free_port()
        command = command_line(files, kind, port)
    except LocalError as error:
        print(f"lastmile broker: {error}", file=sys.stderr)
        return 2
    place = {"broker": kind, "host": LOOPBACK, "port": port, "shared": kind == "mosquitto"}
    print(json.dumps(place), flush=True)
    return os.execve(command[0], command, _environment())  # noqa: S606 - no shell is wanted


def _spawn(files: BrokerFiles, kind: str, port: int) -> RunningBroker:
    command = command_line(files, kind, port)
    log_path = files.directory / LOG_NAME
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        )
    return RunningBroker(kind, LOOPBACK, port, kind == "mosquitto", log_path, process)


def _environment() -> dict[str, str]:
    """The child imports this very package, wherever the parent was started."""
    root = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, inherited)))}


def _amqtt_command(files: BrokerFiles, port: int) -> list[str]:
    return [
        sys.executable,
        "-m",
        "hardware.drivers.broker_amqtt",
        *("--port", str(port)),
        *("--ca", str(files.ca)),
        *("--certificate", str(files.certificate)),
        *("--key", str(files.key)),
        *("--core", files.core),
    ]


def _wait_ready(broker: RunningBroker, ca: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not answers(broker.host, broker.port, ca):
        if broker.process.poll() is not None or time.monotonic() > deadline:
            raise DeviceFault(
                f"The {broker.kind} broker does not answer on {broker.host}:{broker.port}. "
                "It said:\n"
                f"{_tail(broker.log_path)}",
                "broker-start",
            )
        try:
            broker.process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue


def _tail(path: Path, lines: int = 8) -> str:
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hardware.drivers.broker",
        description="Runs an MQTT broker on loopback with TLS 1.3 and client certificates.",
        epilog="The first line on standard output is JSON: broker, host, port, shared.",
    )
    parser.add_argument("--dir", type=Path, required=True, help="working folder of the broker")
    parser.add_argument("--ca", type=Path, required=True, help="PEM of the issuer of all clients")
    parser.add_argument("--certificate", type=Path, required=True, help="PEM of the broker")
    parser.add_argument("--key", type=Path, required=True, help="PEM private key of the broker")
    parser.add_argument("--core", default="core", help="common name of the core (default: core)")
    parser.add_argument(
        "--kind", choices=KINDS, default="auto", help="default: Mosquitto if installed"
    )
    parser.add_argument("--port", type=int, default=0, help="TCP port, 0 for a free one")
    return parser


if __name__ == "__main__":
    sys.exit(main())
