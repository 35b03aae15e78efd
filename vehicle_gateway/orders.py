"""What the core orders a box to do: signed, numbered, addressed, and over at its expiry.

Place in the flow: down topic → answers → **orders** (verifies) → campaign_book, commands.

    COSE_Sign1(kid "core", aad = a purpose) {type, device or group, seq, expiry_us, ...}

* The purpose is authenticated: a campaign is no command, and neither is a policy.
* `seq` counts up for each device and kind. The highest that was ever taken is durable, so what is
  old or was recorded on its way acts no second time, whatever the clock says.
* What is refused is told once for each order, and only where the core had signed it: nobody else
  can make a box sign and send.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.errors import PeerError
from edge.keys import open_evidence
from edge.orders import SEQ_MAX
from edge.sqlite import Migrations
from edge.store import create_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.sqlite import Database
    from edge.store import Store

    Verify = Callable[[bytes, bytes], None]

CORE: Final = "core"
TIME_US_MAX: Final = 2**62
REFUSALS_KEPT: Final = 256
COMMON: Final = frozenset({"type", "seq", "expiry_us"})
MIGRATIONS = Migrations("gateway_orders")


@MIGRATIONS()
def gateway_orders_001(database: Database) -> None:
    """The highest order taken of each kind, and which refusals were told."""
    create_tables(
        database,
        """CREATE TABLE gateway_orders (
            kind TEXT    PRIMARY KEY,
            seq  INTEGER NOT NULL CHECK (seq >= 1)
        )""",
        """CREATE TABLE gateway_order_refusals (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            kind   TEXT    NOT NULL,
            seq    INTEGER NOT NULL,
            UNIQUE (kind, seq)
        )""",
    )


class OrderRefused(PeerError):  # noqa: N818 - a verdict, spoken of as such everywhere
    """An order that the core did sign, and that this box does not follow.

    Attributes:
        seq: Its number.
    """

    def __init__(self, message: str, code: str, seq: int) -> None:
        super().__init__(message, code)
        self.seq = seq


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom orders may name to mean this box."""

    device: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """A verified order for this box; whether it is new and in time is still to be asked."""

    seq: int
    expiry_us: int
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """What orders of one kind look like: purpose of the signature, `type`, and further fields."""

    purpose: str
    word: str
    fields: Mapping[str, type]


def open_order(message: bytes, verify: Verify, form: Form, addressee: Addressee) -> Order:
    """Returns an order once its signature holds.

    Args:
        message: Hostile bytes.
        verify: Checks against the core's signing key.
        form: What it must be.
        addressee: Whom it must name.

    Raises:
        PeerError: Not the core's, for something else, of another shape, or for another box.
    """
    record = open_evidence(message, verify, form.purpose, CORE)
    names = set(record)
    named = names & {"device", "group"}
    if names - named != COMMON | set(form.fields) or len(named) != 1:
        raise _malformed(form)
    expected = {**form.fields, "seq": int, "expiry_us": int}
    if record["type"] != form.word or not all(
        type(record[name]) is kind for name, kind in expected.items()
    ):
        raise _malformed(form)
    seq, expiry_us = record["seq"], record["expiry_us"]
    if not 1 <= seq <= SEQ_MAX or not 0 <= expiry_us <= TIME_US_MAX:
        raise _malformed(form)
    if not _names(record, addressee):
        raise PeerError(
            f"The {form.word} is for another box than {addressee.device}.", "order-device"
        )
    return Order(seq, expiry_us, record)


def _names(record: Mapping[str, Any], addressee: Addressee) -> bool:
    if "device" in record:
        return bool(record["device"] == addressee.device)
    return bool(addressee.group) and bool(record["group"] == addressee.group)


def _malformed(form: Form) -> PeerError:
    return PeerError(f"The message is no {form.word} of this release.", "order-shape")


class OrderBook:
    """Which orders of one kind were taken, and of which it was told that they were not.

    Args:
        store: Opened with `MIGRATIONS`.
        kind: Type of the orders.
    """

    def __init__(self, store: Store, kind: str) -> None:
        self._store = store
        self._kind = kind

    @property
    def highest(self) -> int:
        """The highest number ever taken, 0 for none."""
        row = self._store.row("SELECT seq FROM gateway_orders WHERE kind = ?", (self._kind,))
        return int(row["seq"]) if row else 0

    def require_due(self, order: Order, now_us: int) -> None:
        """Makes sure that an order is newer than all before, and not over.

        Raises:
            OrderRefused: `order-old`, `order-expired`.
        """
        highest = self.highest
        if order.seq <= highest:
            raise OrderRefused(
                f"The {self._kind} {order.seq} is not newer than {highest}, which was taken.",
                "order-old",
                order.seq,
            )
        if order.expiry_us <= now_us:
            raise OrderRefused(
                f"The {self._kind} {order.seq} is over; issue another.", "order-expired", order.seq
            )

    def take(self, seq: int) -> None:
        """Notes that an order is taken; inside the transaction that acts on it."""
        self._store.execute(
            "INSERT INTO gateway_orders (kind, seq) VALUES (?, ?) "
            "ON CONFLICT (kind) DO UPDATE SET seq = excluded.seq",
            (self._kind, seq),
        )

    def note_refusal(self, seq: int) -> bool:
        """Notes that an order was refused; says whether that is to be told."""
        told = self._store.row(
            "SELECT 1 AS known FROM gateway_order_refusals WHERE kind = ? AND seq = ?",
            (self._kind, seq),
        )
        if told is not None:
            return False
        self._store.execute(
            "INSERT INTO gateway_order_refusals (kind, seq) VALUES (?, ?)", (self._kind, seq)
        )
        self._store.execute(
            "DELETE FROM gateway_order_refusals WHERE kind = ? AND number <= "
            "(SELECT max(number) FROM gateway_order_refusals) - ?",
            (self._kind, REFUSALS_KEPT),
        )
        return True
