"""A core with one kiosk, one customer and money: what the tests of the core play on.

Place in the flow: fixtures → **village** → accept, post, leases and the rest under test.

* The kiosk's journal is made byte by byte here, so that a test can also make a wrong one.
* Keys and signatures are real.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from backend_sync.core.accept import accept_frame
from backend_sync.core.leases import Terms, grant_lease, seal_stored_pin
from backend_sync.core.pins import verifier_digest
from backend_sync.core.post import post_queued
from backend_sync.core.registry import (
    Customer,
    Pad,
    add_customer,
    add_device,
    add_pad,
    derived_id,
    fund_drawer,
)
from backend_sync.messages import Frame, Position, sign_frame
from edge.codec import encode
from edge.journal import chain, genesis, op_id
from edge.keys import FileIdentity, HpkeKeypair, sign_evidence
from edge.purposes import PIN_ANSWER_TOPIC, id_key

if TYPE_CHECKING:
    from pathlib import Path

    from backend_sync.core.database import Connection
    from backend_sync.messages import Answer

NOW_US = 1_790_000_000_000_000
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
LOOKUP = b"\x05" * 32


def lease_id(number: int) -> str:
    return f"{number:032x}"


@dataclass
class Kiosk:
    """A kiosk's journal and keys."""

    identity: FileIdentity
    pad: FileIdentity
    epoch: int = 1
    verifiers: dict[str, bytes] = field(default_factory=dict)
    answers: int = 0
    entries: list[bytes] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)

    @property
    def device(self) -> str:
        return self.identity.kid

    def head(self) -> Position:
        return Position(self.epoch, len(self.entries), self.link(len(self.entries)))

    def link(self, seq: int) -> bytes:
        return self.hashes[seq - 1] if seq else genesis(self.device, self.epoch)

    def append(self, entry: bytes) -> UUID:
        """Adds any bytes to the chain."""
        self.hashes.append(chain(self.link(len(self.entries)), entry))
        self.entries.append(entry)
        return UUID(op_id(self.device, self.epoch, len(self.entries)))

    def write(self, kind: str, body: dict[str, Any], /, **changed: Any) -> UUID:
        """Appends an entry as `edge.journal` would, with any field changed."""
        record = {
            "device": self.device, "epoch": self.epoch, "seq": len(self.entries) + 1,
            "class": "FACT", "kind": kind, "body": body, "wall_us": NOW_US, "boot": "00" * 8,
            "mono_us": 1, "counter": len(self.entries) + 1, "policy": 0,
        }  # fmt: skip
        return self.append(encode({**record, **changed}))

    def withdraw(self, lease: str, fen: Any, /, wall_us: int = NOW_US, **changed: Any) -> UUID:
        """Appends a cash withdrawal as the teller writes it, with any field of the body changed."""
        body = {
            "lease": lease, "account": "customer:c-1", "customer": "c-1", "amount_fen": fen,
            "pin_answer": self.pin_answer(lease, fen), "receipt": f"R{len(self.entries) + 1}",
            "service": "cash", "service_sha256": "00" * 32,
        }  # fmt: skip
        return self.write("cash-withdrawal", {**body, **changed}, wall_us=wall_us)

    def pin_answer(self, lease: str, fen: int, **changed: Any) -> bytes:
        """The pad's answer: a new one each time, as its counter rises."""
        self.answers += 1
        record = {"type": "pin-answer", "ok": True, "lease": lease, "pad": self.pad.kid}
        record |= {"counter": self.answers, "amount_fen": fen}
        record |= {"verifier": self.verifiers.get(lease, b"")}
        return sign_evidence(self.pad, {**record, **changed}, PIN_ANSWER_TOPIC)

    def frame(self, first: int = 1, last: int | None = None) -> bytes:
        """Signs the entries first to last."""
        end = len(self.entries) if last is None else last
        parts = tuple(self.entries[first - 1 : end])
        record = Frame(self.device, self.epoch, first, end, self.link(end), parts)
        return sign_frame(self.identity, record)


@dataclass
class Village:
    """A core, its kiosk `kiosk-1` with 20,000 yuan, its customer `c-1` with 3,000."""

    connection: Connection
    core: FileIdentity
    catalogue: FileIdentity
    hpke: HpkeKeypair
    pad_hpke: HpkeKeypair
    kiosk: Kiosk
    leases: int = 0

    def lease(self, fen: int = 100_000, per_op: int = 50_000, count: int = 5, **way: Any) -> str:
        """Grants a lease and returns its id."""
        self.leases += 1
        name = way.get("name") or lease_id(self.leases)
        expires_us = NOW_US + way.get("days", 7) * DAY_US
        terms = Terms(name, "c-1", "kiosk-1", fen, per_op, count, NOW_US, expires_us)
        document = grant_lease(self.connection, self.core, self.hpke, terms)
        self.kiosk.verifiers[name] = verifier_digest(document)
        return name

    def send(self, message: bytes | None = None) -> Answer:
        """The kiosk sends what it has, or the given bytes."""
        body = self.kiosk.frame() if message is None else message
        return accept_frame(self.connection, self.kiosk.device, body, NOW_US)

    def post(self, now_us: int = NOW_US) -> int:
        """Posts until nothing waits and returns how many were posted."""
        return sum(iter(lambda: post_queued(self.connection, now_us), 0))

    def outcome(self, op: UUID) -> tuple[str, str]:
        row = self.connection.execute(
            "SELECT status, reason FROM outcomes WHERE op_id = %s", [op]
        ).fetchone()
        assert row is not None
        return str(row[0]), str(row[1])

    def number(self, query: str) -> int:
        row = self.connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def balance(self, account: str) -> int:
        row = self.connection.execute(
            "SELECT balance_fen FROM accounts WHERE account = %s", [account]
        ).fetchone()
        assert row is not None
        return int(row[0])

    def reasons(self, kind: str) -> list[str]:
        """Reasons of the open exceptions of a kind."""
        rows = self.connection.execute(
            "SELECT reason FROM exceptions WHERE kind = %s ORDER BY exception", [kind]
        ).fetchall()
        return [str(reason) for (reason,) in rows]


def make_kiosk(folder: Path, device: str = "kiosk-1") -> Kiosk:
    """Makes the keys of a kiosk and its pad."""
    identity = FileIdentity.create(folder / f"{device}.pem", device)
    return Kiosk(identity, FileIdentity.create(folder / f"{device}-pad.pem", f"pad-{device}"))


def make_customer(hpke: HpkeKeypair, name: str = "c-1", pin: str = "123456") -> Customer:
    sealed = seal_stored_pin(hpke, name, pin, b"\x06" * 16)
    return Customer(name, "王小明", id_key(LOOKUP, f"id of {name}"), False, sealed)


def found_village(connection: Connection, folder: Path) -> Village:
    """Registers everything in an empty database."""
    core = FileIdentity.create(folder / "core.pem", "core")
    catalogue = FileIdentity.create(folder / "catalogue.pem", "catalogue")
    hpke, pad_hpke = HpkeKeypair.create(folder / "hpke"), HpkeKeypair.create(folder / "pad-hpke")
    kiosk = make_kiosk(folder)
    add_device(connection, "kiosk-1", "kiosk", kiosk.identity.public_bytes, "pem", NOW_US)
    pad = Pad(kiosk.pad.kid, "kiosk-1", kiosk.pad.public_bytes, pad_hpke.public_bytes)
    add_pad(connection, pad)
    add_customer(connection, make_customer(hpke), ["kiosk-1"], 300_000, NOW_US)
    fund_drawer(connection, "kiosk-1", 2_000_000, derived_id("float", "1"), NOW_US)
    return Village(connection, core, catalogue, hpke, pad_hpke, kiosk)
