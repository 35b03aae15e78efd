"""A village for tests: real keys, journal, mirror and devices, and a bank that signs what it likes.

Place in the flow: beneath the tests of kiosk_app; stands where core, agent and people stand.

* The bank signs with real keys, and can be made to sign what is wrong.
* Time is a clock that tests turn; it fulfils `edge.ports.Clock`.
* Devices are the simulators of hardware/sim, or `QuickPad`, which fulfils the same port without
  waiting for fingers.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import journal as edge_journal
from edge import mirror as edge_mirror
from edge.codec import encode
from edge.journal import Journal, decode_entry
from edge.keys import FileIdentity, hpke_seal, sign_evidence
from edge.mirror import Mirror, checksum
from edge.ports import Command, Completion, Instant
from edge.purposes import JOURNAL_KEY, MIRROR_KEY, PIN_INFO, id_key
from edge.store import open_store
from hardware.drivers.clock import SystemRandomness
from hardware.drivers.vault_file import FileVault
from hardware.sim.cards import place_card, type_pin, villagers
from hardware.sim.id_reader import simulated_id_reader
from hardware.sim.pin_pad import PinPad, create_pad
from hardware.sim.printer import simulated_printer
from kiosk_app import catalogue, till
from kiosk_app.catalogue import Shelf
from kiosk_app.desk import Desk, Hands, Parts
from kiosk_app.mirror import MirrorFile
from kiosk_app.service_checks import read_service
from kiosk_app.teller import Site, Teller
from kiosk_app.till import Till

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge.store import Store
    from kiosk_app.service import Service

KIOSK, PAD, CUSTOMER = "kiosk-0001", "pad-0001", "customer-0001"
ACCOUNT = f"customer:{CUSTOMER}"
LEASE = "1f" * 16
START_US = 1_795_500_000_000_000
DAY_US = 86_400_000_000
SECOND_US = 1_000_000
SERVICES = Path(edge_journal.__file__).resolve().parents[1] / "kiosk_app" / "services"


def document(name: str) -> bytes:
    return (SERVICES / f"{name}.json").read_bytes()


def service(name: str) -> Service:
    return read_service(document(name))


class Clock:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.wall_us = START_US
        self.monotonic_us = 0

    def now(self) -> Instant:
        return Instant(self.wall_us, "0123456789abcdef", self.monotonic_us)

    def turn(self, seconds: float) -> None:
        self.wall_us += int(seconds * SECOND_US)
        self.monotonic_us += int(seconds * SECOND_US)


class QuickPad:
    """A PIN pad that needs no fingers: it says what it is told to, signed with the pad's key."""

    kind = "pin_pad"

    def __init__(self, identity: FileIdentity) -> None:
        self.identity = identity
        self.code = ""
        self.counter = 0
        self.changes: dict[str, object] = {}

    def execute(self, command: Command) -> Completion:
        if self.code:
            result = {"ok": False, "tries_left": 3}
            return Completion(command.request_id, "refused", result, self.code)
        self.counter += 1
        parameters = command.parameters
        verifier = parameters["verifier"]
        assert isinstance(verifier, bytes)
        record = {
            "type": "pin-answer", "ok": True, "lease": parameters["lease"], "pad": PAD,
            "counter": self.counter, "amount_fen": parameters["amount_fen"],
            "verifier": sha256(verifier).digest(), **self.changes,
        }  # fmt: skip
        answer = sign_evidence(self.identity, record, "lastmile pin answer")
        return Completion(command.request_id, "ok", {"answer": answer, "ok": True, "tries_left": 5})

    def cancel(self, request_id: str) -> None:
        pass


@dataclass
class Bank:
    """The core, as far as a kiosk can see it: keys, and pages for the mirror."""

    folder: Path
    clock: Clock
    core: FileIdentity
    signer: FileIdentity
    lookup_key: bytes
    store: Store
    pad_hpke: bytes
    scopes: dict[str, dict[str, Any]] = field(default_factory=dict)
    seq: int = 0

    def say(self, scope: str, key: str, value: object) -> None:
        items = self.scopes.setdefault(scope, {})
        items.pop(key, None)
        if value is not None:
            items[key] = value
        pairs = [(name, encode(each)) for name, each in items.items()]
        Mirror(self.store).apply({
            "scope": scope, "cursor": 1, "upserts": list(items.items()), "tombstones": [],
            "checksum": checksum(pairs), "as_of_us": self.clock.wall_us, "snapshot": True,
        })  # fmt: skip

    def publish(self, documents: Mapping[str, bytes], signer: Any = None, **changes: Any) -> None:
        from hashlib import sha256

        self.seq += 1
        digests = {name: sha256(content).hexdigest() for name, content in documents.items()}
        for name, content in documents.items():
            self.say("blobs", digests[name], content)
        record = {
            "type": "catalogue", "target": KIOSK, "seq": self.seq,
            "valid_from_us": self.clock.wall_us, "valid_to_us": self.clock.wall_us + 30 * DAY_US,
            "services": digests, **changes,
        }  # fmt: skip
        manifest = sign_evidence(signer or self.signer, record, "lastmile catalogue")
        self.say("catalogue", "current", manifest)

    def lend(self, pin: str = "", signer: Any = None, **changes: Any) -> str:
        from backend_sync.core.leases import make_pin_verifier

        lease = str(changes.get("lease", LEASE))
        block = {"alg": "none"}
        if pin:
            verifier = make_pin_verifier(pin, b"0123456789abcdef")
            block = {**verifier, "customer": CUSTOMER, "lease": lease}
        record = {
            "type": "lease", "lease": lease, "account": ACCOUNT, "customer": CUSTOMER,
            "kiosk": KIOSK, "amount_fen": 150_000, "count": 5, "per_op_fen": 100_000,
            "issued_us": self.clock.wall_us, "expires_us": self.clock.wall_us + 7 * DAY_US,
            "accepts": ["pin"], "pin_verifier": hpke_seal(self.pad_hpke, encode(block), PIN_INFO),
            "pad": PAD, **changes,
        }  # fmt: skip
        self.say(
            "leases", lease, {"lease": sign_evidence(signer or self.core, record, "lastmile lease")}
        )
        return lease

    def tell(self, op_id: str, status: str) -> None:
        self.say(
            "results", op_id, {"status": status, "posted_us": self.clock.wall_us, "reason": ""}
        )


@dataclass
class Village:
    """Everything of one kiosk, run by hand: nothing happens that a test does not make happen."""

    folder: Path
    clock: Clock
    bank: Bank
    quick: bool
    kiosk: FileIdentity
    pad: FileIdentity

    def __post_init__(self) -> None:
        self.villager = villagers("test", 1)[0]
        self.pad_device = QuickPad(self.pad)
        self.orders: deque[Command] = deque()
        self.cancelled: list[str] = []
        self.cut_before_print = False

    # ------------------------------------------------------------ the machine
    def open(self) -> None:
        """Switches the kiosk on."""
        self.orders.clear()
        self.store = open_store(
            self.folder / "data" / "journal.db",
            [edge_journal.MIGRATIONS, till.MIGRATIONS, catalogue.MIGRATIONS],
            village_key(self.folder, JOURNAL_KEY),
        )
        self.devices: dict[str, Any] = {
            "id_reader": simulated_id_reader(self.folder / "sim", self.clock),
            "printer": simulated_printer(self.folder / "sim", self.clock),
            "pin_pad": self.pad_device if self.quick else PinPad(self.folder / "pad", self.clock),
        }
        self.mirror = MirrorFile(self.folder / "mirror.db", village_key(self.folder, MIRROR_KEY))
        self.journal = Journal(self.store, KIOSK, self.clock)
        site = Site(
            KIOSK,
            "新立村",
            self.bank.lookup_key,
            self.bank.core.public_bytes,
            PAD,
            self.pad.public_bytes,
        )
        self.teller = Teller(
            site, self.journal, Till(self.store), lambda: self.mirror.reader, self.clock
        )
        self.shelf = Shelf(self.store, self.bank.signer.public_bytes, KIOSK)
        parts = Parts(
            self.journal, self.teller, self.shelf, self.mirror, self.clock, frozenset(self.devices)
        )
        self.desk = Desk(parts, Hands(self.orders.append, self.cancelled.append))

    def cut(self) -> None:
        """Pulls the plug."""
        self.store.close()
        self.mirror.close()

    # ------------------------------------------------------------ people and time
    def intend(self, kind: str, side: str = "operator", **fields: object) -> None:
        self.desk.handle({"type": kind, "side": side, **fields})

    def press(self, side: str, button: str) -> None:
        self.intend("press", side, button=button)

    def run(self) -> None:
        """Lets devices work until none has anything to do."""
        while self.orders:
            command = self.orders.popleft()
            if command.request_id in self.cancelled:
                continue
            self.desk.complete(self.devices[command.device].execute(command))

    def type_pin(self, pin: str) -> None:
        """Types a PIN while the pad waits for one, as a finger would."""
        done = threading.Event()

        def finger() -> None:
            while not done.wait(0.02):
                if not (self.folder / "pad" / "typed").exists():
                    type_pin(self.folder / "pad", pin)

        hand = threading.Thread(target=finger)
        hand.start()
        command = self.orders.popleft()
        try:
            completion = self.devices[command.device].execute(command)
        finally:
            done.set()
            hand.join()
        self.desk.complete(completion)

    def turn(self, seconds: float) -> None:
        """Lets time pass, noticed every second."""
        for _ in range(int(seconds)):
            self.clock.turn(1)
            self.desk.tick()

    # ------------------------------------------------------------ shortcuts
    @property
    def step(self) -> str:
        return self.desk.state.step

    def begin(self, name: str = "cash_withdrawal") -> None:
        """Chooses a service with the villager's card on the reader."""
        place_card(self.folder / "sim", self.villager.card)
        self.intend("choose", choice=name)
        self.run()

    def ask_for(self, fen: int) -> None:
        self.intend("enter", "customer", name="amount_fen", value=fen)

    def confirm(self) -> None:
        self.press("customer", "confirm")
        self.press("operator", "confirm")

    def withdraw(self, fen: int) -> None:
        """A whole withdrawal with the quick pad, up to its last step."""
        self.begin()
        self.ask_for(fen)
        self.run()
        self.confirm()
        self.run()

    def entries(self) -> list[dict[str, Any]]:
        return [decode_entry(entry) for entry, _ in self.journal.read(0, 1_000, 1 << 20)]

    def facts(self, kind: str = "cash-withdrawal") -> list[dict[str, Any]]:
        return [entry["body"] for entry in self.entries() if entry["kind"] == kind]

    def slips(self) -> list[str]:
        folder = self.folder / "sim" / "slips"
        return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))]


def village_key(folder: Path, name: str) -> bytes:
    """What a kiosk's file is encrypted with: the vault lies in `vault.key`, as settings name it."""
    return FileVault(folder / "vault.key", SystemRandomness()).key(name)


def build_village(folder: Path, *, quick: bool = True) -> Village:
    """Makes a village with one customer, lease and catalogue; its kiosk is still switched off."""
    clock = Clock()
    pad = create_pad(folder / "pad", PAD)
    bank = Bank(
        folder, clock,
        FileIdentity.create(folder / "core.pem", "core"),
        FileIdentity.create(folder / "catalogue.pem", "catalogue"),
        bytes(range(32)),
        open_store(
            folder / "mirror.db", [edge_mirror.MIGRATIONS], village_key(folder, MIRROR_KEY)
        ),
        pad.hpke_public,
    )  # fmt: skip
    kiosk = FileIdentity.create(folder / "kiosk.pem", KIOSK)
    identity = FileIdentity.load(folder / "pad" / "identity.pem")
    village = Village(folder, clock, bank, quick, kiosk, identity)
    card = village.villager.card
    bank.say("customers", CUSTOMER, {
        "name": card.name, "name_masked": card.name[0] + "*" * (len(card.name) - 1),
        "id_key": id_key(bank.lookup_key, card.number), "account": ACCOUNT, "large_type": False,
    })  # fmt: skip
    held = {"balance_fen": 328_650, "available_fen": 178_650, "as_of_us": clock.wall_us}
    bank.say("balances", ACCOUNT, held)
    bank.say("drawer", KIOSK, {"balance_fen": 500_000, "as_of_us": clock.wall_us})
    bank.lend(village.villager.pin)
    bank.publish({name: document(name) for name in ("balance", "cash_withdrawal")})
    return village


@contextlib.contextmanager
def opened_village(folder: Path, *, quick: bool = True) -> Iterator[Village]:
    """A village whose kiosk is switched on, and off again whatever happens."""
    village = build_village(folder, quick=quick)
    try:
        village.open()
        yield village
    finally:
        if hasattr(village, "store"):
            village.cut()
        village.bank.store.close()
