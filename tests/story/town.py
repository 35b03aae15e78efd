"""A bank's core, a broker, a vehicle box and a village kiosk, set up by the real commands.

Place in the flow: `lastmile-core init`, `lastmile-provision` → **town** → drive, counter, tests.

* Everything lives below one folder and listens on loopback.
* Whatever is set up here is set up as a technician would: command lines and files, no calls inside.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hardware.drivers.broker import LOOPBACK, answers, choose_kind, free_port
from hardware.drivers.clock import SystemRandomness
from hardware.drivers.vault_file import FileVault
from hardware.sim.cards import villagers
from tests.story.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.cards import Villager
    from tests.story.world import World

T = TypeVar("T")
CORE = "backend_sync.core"
PROVISION = "hardware.provision"
GATEWAY = "vehicle_gateway"
AGENT = "backend_sync.agent"
BROKER = "hardware.drivers.broker"
ORG = "demo-bank"
BOX, KIOSK, PAD = "box-0417", "kiosk-0001", "pad-0001"
PLATE = "川A·D0417"
VILLAGE = "新立村"
CUSTOMER = "customer-0001"
SERVICES = Path(__file__).resolve().parents[2] / "kiosk_app" / "services"
START_S_MAX = 60.0


@dataclass(slots=True)
class Town:
    """The parts of one story and where their files are.

    Attributes:
        world: The processes.
        broker_kind: `auto`, `mosquitto` or `amqtt`.
        api_port, broker_port: TCP ports on loopback.
        villager: Who comes to the counter.
    """

    world: World
    broker_kind: str = "auto"
    api_port: int = field(default_factory=free_port)
    broker_port: int = field(default_factory=free_port)
    villager: Villager = field(default_factory=lambda: villagers("demo", 1)[0])

    # ------------------------------------------------------------ places
    @property
    def core_dir(self) -> Path:
        """The core's folder."""
        return self.world.directory / "core"

    @property
    def core_config(self) -> Path:
        """core.toml."""
        return self.core_dir / "core.toml"

    @property
    def box_dir(self) -> Path:
        """The vehicle box's folder."""
        return self.world.directory / "box"

    @property
    def kiosk_dir(self) -> Path:
        """The kiosk's folder."""
        return self.world.directory / "kiosk"

    def kiosk_key(self, name: str) -> bytes:
        """Returns what a file of the kiosk is encrypted with, from its vault."""
        return FileVault(self.kiosk_dir / "keys" / "vault.key", SystemRandomness()).key(name)

    @property
    def broker_dir(self) -> Path:
        """The broker's folder."""
        return self.world.directory / "broker"

    @property
    def gateway_config(self) -> Path:
        """gateway.toml of the box."""
        return self.box_dir / "gateway.toml"

    @property
    def kiosk_config(self) -> Path:
        """kiosk.toml."""
        return self.kiosk_dir / "kiosk.toml"

    @property
    def agent_config(self) -> Path:
        """agent.toml of the kiosk."""
        return self.kiosk_dir / "agent.toml"

    @property
    def url(self) -> str:
        """Where devices reach the core."""
        return f"https://{LOOPBACK}:{self.api_port}"

    @property
    def core_public(self) -> bytes:
        """The core's public signing key, as the kiosk knows it."""
        return bytes.fromhex((self.kiosk_dir / "core" / "signing.pub").read_text(encoding="ascii"))

    # ------------------------------------------------------------ core and broker
    def found(self) -> str:
        """Makes a core and a broker, starts both; returns the kind of the broker."""
        self.world.call(
            CORE, "init", str(self.core_dir), "--org", ORG, "--api-port", str(self.api_port),
            "--broker-host", LOOPBACK, "--broker-port", str(self.broker_port),
        )  # fmt: skip
        kind = self.start_broker()
        self.start_core()
        return kind

    def start_broker(self) -> str:
        """Starts the broker and returns its kind once it answers."""
        kind = choose_kind(self.broker_kind)
        pki = self.core_dir / "pki"
        self.world.start(
            "broker", BROKER, "--dir", str(self.broker_dir), "--kind", kind,
            "--ca", str(pki / "ca.pem"), "--certificate", str(pki / "server.pem"),
            "--key", str(pki / "server.key"), "--port", str(self.broker_port),
        )  # fmt: skip
        ready = lambda: answers(LOOPBACK, self.broker_port, pki / "ca.pem")  # noqa: E731
        self.world.wait_until("the broker answers", ready, START_S_MAX)
        return kind

    def start_core(self) -> None:
        """Starts the core and returns once it says that it is ready."""
        self.world.start("core", CORE, "run", "all", "--config", str(self.core_config))
        ready = lambda: f"ready {self.url}" in self.world.said("core")  # noqa: E731
        self.world.wait_until(f"the core says `ready {self.url}`", ready, START_S_MAX)

    def core(self, *arguments: str) -> str:
        """Runs a verb of the core; `--config` is added behind the verb."""
        return self.world.call(CORE, *arguments, "--config", str(self.core_config))

    def report(self) -> dict[str, Any]:
        """Returns what the core reports about books, sync and telemetry."""
        found = json.loads(self.core("report", "--json"))
        assert isinstance(found, dict)
        return found

    # ------------------------------------------------------------ devices
    def provision_box(self) -> str:
        """Makes the vehicle box; returns what the technician was told last."""
        self._prepare(self.box_dir, "--device", BOX, "--kind", "gateway")
        return self._install(self.box_dir, "--vehicle", PLATE)

    def provision_kiosk(self, *screens: str) -> str:
        """Makes the kiosk; `screens` are options of `install`."""
        self._prepare(self.kiosk_dir, "--device", KIOSK, "--kind", "kiosk", "--pad", PAD)
        return self._install(self.kiosk_dir, "--village", VILLAGE, *screens)

    def provision_both(self, *screens: str) -> list[str]:
        """Makes box and kiosk at the same time; returns what each technician was told last."""
        return _together(self.provision_box, lambda: self.provision_kiosk(*screens))

    def _prepare(self, folder: Path, *order: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.world.call(PROVISION, "prepare", "--dir", str(folder), *order)

    def _install(self, folder: Path, *place: str) -> str:
        bundle = folder / "bundle.json"
        self.core("device", "add", str(folder / "request.json"), "--out", str(bundle))
        return self.world.call(PROVISION, "install", "--dir", str(folder), str(bundle), *place)

    # ------------------------------------------------------------ people and money
    def open_account(self, opening: str) -> None:
        """Registers the villager with a deposit (yuan) and a PIN."""
        card = self.villager.card
        pin_file = self.world.directory / "pin"
        pin_file.write_text(self.villager.pin, encoding="ascii")
        pin_file.chmod(0o600)
        try:
            self.core(
                "customer", "add", "--customer", CUSTOMER, "--name", card.name,
                "--id-number", card.number, "--pin-file", str(pin_file),
                "--kiosk", KIOSK, "--opening", opening,
            )  # fmt: skip
        finally:
            pin_file.unlink()

    def fund_drawer(self, amount: str, transfer: str = "float-1") -> None:
        """Hands the agent cash (yuan)."""
        self.core("drawer", "fund", "--kiosk", KIOSK, "--amount", amount, "--transfer", transfer)

    def grant_lease(self, amount: str, per_op: str, count: int = 20) -> str:
        """Reserves money for the counter; returns the lease's id."""
        return self.core(
            "lease", "grant", "--customer", CUSTOMER, "--kiosk", KIOSK, "--amount", amount,
            "--per-op", per_op, "--count", str(count), "--days", "7",
        ).split()[-1]  # fmt: skip

    def publish_catalogue(self) -> list[str]:
        """Publishes every service of the kiosk; returns their names."""
        files = sorted(SERVICES.glob("*.json"))
        self.core("catalogue", "publish", "--kiosk", KIOSK, *(str(path) for path in files))
        return [path.stem for path in files]

    def settle(self, *screens: str) -> str:
        """Sets a whole town up, what does not wait for another at the same time.

        Args:
            screens: Options of the kiosk's `install`.

        Returns:
            The kind of the broker.
        """
        kind = self.found()
        self.provision_both(*screens)
        _together(
            lambda: self._welcome("3000"),
            lambda: self._equip("5000"),
        )
        return kind

    def _welcome(self, opening: str) -> None:
        self.open_account(opening)
        self.grant_lease("1000", "500")

    def _equip(self, amount: str) -> None:
        self.fund_drawer(amount)
        self.publish_catalogue()

    # ------------------------------------------------------------ looking on
    def listen(self) -> Transcript:
        """Begins to write down all that the broker delivers."""
        pki = self.core_dir / "pki"
        transcript = Transcript(self.broker_port, pki / "ca.pem")
        transcript.listen(
            "ear-up", "lastmile/v1/+/+/up", pki / "core.pem", self.core_dir / "keys" / "core.pem"
        )
        transcript.listen(
            "ear-down",
            f"lastmile/v1/{ORG}/{BOX}/down",
            self.box_dir / "core" / "certificate.pem",
            self.box_dir / "keys" / "identity.pem",
        )
        return transcript


def _together(*acts: Callable[[], T]) -> list[T]:
    with ThreadPoolExecutor(len(acts)) as hands:
        return [done.result() for done in [hands.submit(act) for act in acts]]
