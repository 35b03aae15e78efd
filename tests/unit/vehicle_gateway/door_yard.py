"""A door for tests: terminals' folders as provisioning leaves them, real keys, real TCP.

Place in the flow: tests of the door import it; nothing else does.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.codec import decode, inflate
from edge.config import load_config, write_config
from edge.keys import FileIdentity, ratchet, unwrap_chain_key
from edge.policy import Policy, sign_policy
from edge.seal import open_encrypt0, read_encrypt0, read_sign1
from edge.store import open_reader
from edge.suites import AEADS
from hardware.drivers.clock import SystemRandomness
from hardware.drivers.tcp_lines import TcpServer, TcpSettings
from vehicle_gateway.door_build import open_door
from vehicle_gateway.door_config import DoorConfig
from vehicle_gateway.mqtt import Address

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.unit.vehicle_gateway.yard import Core, StillClock
    from vehicle_gateway.door import Door

READY_S = 20.0


def provision(folder: Path, device: str, core: Core) -> None:
    """Leaves in a folder what `lastmile-provision install` leaves for a gateway."""
    FileIdentity.create(folder / "keys" / "identity.pem", device)
    (folder / "core").mkdir()
    policy = Policy(device, 1, (3, 30), core.hpke.public_bytes)
    (folder / "core" / "policy.cose").write_bytes(sign_policy(core.signer, policy))
    (folder / "core" / "signing.pub").write_text(core.signer.public_bytes.hex() + "\n")
    settings = {
        "gateway": {
            "device": device,
            "org": "org",
            "vehicle": f"bus-of-{device}",
            "data_dir": "data",
            "identity": "keys/identity.pem",
        },
        "core": {"signing_public": "core/signing.pub", "policy": "core/policy.cose"},
    }
    write_config(folder / "gateway.toml", settings)


@dataclass
class Yard:
    """A door.toml with its terminals."""

    folder: Path
    core: Core
    clock: StillClock
    phones: dict[str, str] = field(default_factory=dict)

    def enrol(self, phone: str, device: str) -> None:
        folder = self.folder / "terminals" / device
        folder.mkdir(parents=True)
        provision(folder, device, self.core)
        self.phones[phone] = device

    @property
    def path(self) -> Path:
        return self.folder / "door.toml"

    def config(self, **limits: int) -> DoorConfig:
        rows = [
            {"phone": phone, "folder": f"terminals/{device}"}
            for phone, device in self.phones.items()
        ]
        listen = {"port": 0}
        values: dict[str, Any] = {"door": {"data_dir": "data"}, "listen": listen, "terminal": rows}
        write_config(self.path, {**values, "limits": limits} if limits else values)
        return load_config(self.path, DoorConfig)

    def open(self, **limits: int) -> Any:
        return open_door(self.config(**limits), self.clock, SystemRandomness())

    def records(self, device: str) -> list[dict[str, Any]]:
        """The opened batches of a terminal's outbox, as the core would open them."""
        path = self.folder / "terminals" / device / "data" / "outbox.db"
        with open_reader(path) as store:
            rows = store.rows("SELECT epoch, seq, message FROM outbox_messages ORDER BY epoch, seq")
        topic = Address("org", device).up
        return CoreOf(self.core, device, topic).records(
            [Row(each["epoch"], each["seq"], bytes(each["message"])) for each in rows]
        )


@dataclass(frozen=True)
class Row:
    """One waiting message."""

    epoch: int
    seq: int
    payload: bytes


@dataclass
class CoreOf:
    """The core's side of one device."""

    core: Core
    device: str
    topic: str

    def records(self, rows: Iterable[Row]) -> list[dict[str, Any]]:
        keys, opened = {}, []
        for row in rows:
            if row.payload[0] == 0x84:
                start = decode(read_sign1(row.payload)[1])
                if start["type"] == "epoch-start":
                    chain = unwrap_chain_key(self.core.hpke, start["wrap"], self.device, row.epoch)
                    keys[row.epoch] = ratchet(chain, AEADS[start["alg"]])[1]
                continue
            suite = AEADS[read_encrypt0(row.payload)[0]]
            plain = open_encrypt0(row.payload, suite, keys[row.epoch], self.topic.encode())
            opened.append(decode(inflate(plain, 1 << 23), items_max=1_000_000))
        return opened


class Wire:
    """A line that a test leads: fulfils `edge.ports.Line`."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.sent = b""
        self.is_open, self.is_held = True, False
        door.opened(self)

    def say(self, content: bytes) -> bytes:
        """Says something and returns what is answered at once."""
        self.sent = b""
        self.door.heard(self, content)
        return self.sent

    def send(self, content: bytes) -> None:
        if self.is_open:
            self.sent += content

    def hold(self, *, held: bool) -> None:
        self.is_held = held

    def close(self) -> None:
        self.is_open = False

    def lose(self) -> None:
        """The connection ends from outside."""
        self.is_open = False
        self.door.closed(self)


class Served:
    """A door on a real port, in a thread."""

    def __init__(self, door: Door) -> None:
        self._stop = threading.Event()
        self._ready = threading.Event()
        self.server = TcpServer(TcpSettings(), door)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> tuple[str, int]:
        self._thread.start()
        assert self._ready.wait(READY_S), "the door did not begin to listen"
        return self.server.address

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(READY_S)

    def _run(self) -> None:
        self.server.run(self._stop.is_set, self._ready.set)
