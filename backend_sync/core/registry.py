"""Who may speak to this core: devices, their PIN pads, and the customers a kiosk serves.

Place in the flow: `lastmile-core device|customer add` → **registry** → accept, leases, downlink.

* Adding the same thing again changes nothing; adding something else under its name is refused.
* The ID number is never stored: `id_key` is its HMAC under a key that only core and kiosks hold.
* The PIN verifier is stored sealed to the core's own key (DESIGN §8): see leases.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

from psycopg.rows import class_row

from backend_sync.core.accounts import (
    VAULT,
    customer_account,
    drawer_account,
    open_customer,
    open_drawer,
    read_holdings,
)
from backend_sync.core.downlink import Item, publish
from backend_sync.core.ledger import Transfer, post_batch
from edge.codec import encode
from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend_sync.core.database import Connection

MASK: Final = "*"
DEVICE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Also the rule for customer ids; the schema has it too."""


@dataclass(frozen=True, slots=True)
class Device:
    """A registered device."""

    device: str
    kind: str
    public_key: bytes
    state: str


@dataclass(frozen=True, slots=True)
class Pad:
    """The PIN pad of a kiosk: it signs with `public_key`, and opens what is sealed to the other."""

    pad: str
    device: str
    public_key: bytes
    hpke_public: bytes


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as the registry keeps them."""

    customer: str
    name: str
    id_key: str
    large_type: bool
    sealed_pin: bytes | None


def add_device(
    connection: Connection, device: str, kind: str, public_key: bytes, certificate: str, now_us: int
) -> None:
    """Registers a device, or renews its certificate; a kiosk gets a cash drawer account.

    Raises:
        LocalError: The name is taken by a device with another key, or the key by another device.
    """
    require_id(device)
    with connection.transaction():
        connection.execute(
            "INSERT INTO devices (device, kind, public_key, certificate, added_us) "
            "VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [device, kind, public_key, certificate, now_us],
        )
        found = find_device(connection, device)
        if found is None or (found.kind, found.public_key) != (kind, public_key):
            raise LocalError(
                f"{device} is registered with another key, or this key under another name. "
                "Give the new device a new name and a new key.",
                "device-taken",
            )
        connection.execute(
            "UPDATE devices SET certificate = %s WHERE device = %s AND certificate <> %s",
            [certificate, device, certificate],
        )
        if kind == "kiosk":
            open_drawer(connection, device)
            publish(connection, drawer_items(connection, [device], now_us))


def add_pad(connection: Connection, pad: Pad) -> None:
    """Registers the PIN pad of a kiosk.

    Raises:
        LocalError: The kiosk has another pad already, or the pad another kiosk.
    """
    with connection.transaction():
        connection.execute(
            "INSERT INTO pads (pad, device, public_key, hpke_public) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT DO NOTHING",
            [pad.pad, pad.device, pad.public_key, pad.hpke_public],
        )
        if find_pad(connection, pad.device) != pad:
            raise LocalError(f"{pad.device} has another PIN pad already.", "pad-taken")


def add_customer(
    connection: Connection,
    customer: Customer,
    kiosks: Sequence[str],
    opening_fen: int,
    now_us: int,
) -> str:
    """Registers a customer, opens the account, and tells the kiosks that serve them.

    Args:
        connection: Outside of a transaction.
        customer: Whom; a PIN that is registered already stays as it is.
        kiosks: Which kiosks serve them offline.
        opening_fen: Deposit to open with; booked once, however often this is repeated.
        now_us: The present, microseconds UTC.

    Returns:
        The name of the account.

    Raises:
        LocalError: The name, or the ID number, belongs to another customer, or no such kiosk.
    """
    require_id(customer.customer)
    _require_kiosks(connection, kiosks)
    with connection.transaction():
        connection.execute(
            "INSERT INTO customers (customer, name, id_key, large_type, sealed_pin, added_us) "
            "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [customer.customer, customer.name, customer.id_key, customer.large_type,
             customer.sealed_pin, now_us],
        )  # fmt: skip
        found = find_customer(connection, customer.customer)
        if found is None or (found.name, found.id_key) != (customer.name, customer.id_key):
            raise LocalError(
                "This customer id or ID number is registered for somebody else.", "customer-taken"
            )
        account = open_customer(connection, customer.customer)
        if opening_fen:
            order = Transfer(
                derived_id("opening", customer.customer), "single", VAULT, account, opening_fen,
                code="opening",
            )  # fmt: skip
            _post_one(connection, order, now_us)
        _assign(connection, found, kiosks, now_us)
    return account


def fund_drawer(
    connection: Connection, kiosk: str, amount_fen: int, transfer: UUID, now_us: int
) -> None:
    """Books cash that was handed to a kiosk's agent as float, once per transfer id.

    Raises:
        LocalError: Unknown kiosk, or its float is frozen because the device is quarantined.
    """
    device = find_device(connection, kiosk)
    if device is None or device.kind != "kiosk" or device.state != "active":
        raise LocalError(f"{kiosk} is not an active kiosk; it gets no float.", "kiosk-inactive")
    with connection.transaction():
        order = Transfer(transfer, "single", drawer_account(kiosk), VAULT, amount_fen, code="float")
        _post_one(connection, order, now_us)
        publish(connection, drawer_items(connection, [kiosk], now_us))


def find_device(connection: Connection, device: str) -> Device | None:
    """Returns a device, or None."""
    with connection.cursor(row_factory=class_row(Device)) as cursor:
        return cursor.execute(
            "SELECT device, kind, public_key, state FROM devices WHERE device = %s", [device]
        ).fetchone()


def find_certificate(connection: Connection, device: str) -> str:
    """Returns the PEM chain of a device; empty when there is none."""
    row = connection.execute(
        "SELECT certificate FROM devices WHERE device = %s", [device]
    ).fetchone()
    return str(row[0]) if row else ""


def find_pad(connection: Connection, device: str) -> Pad | None:
    """Returns the PIN pad of a kiosk, or None."""
    with connection.cursor(row_factory=class_row(Pad)) as cursor:
        return cursor.execute(
            "SELECT pad, device, public_key, hpke_public FROM pads WHERE device = %s", [device]
        ).fetchone()


def find_customer(connection: Connection, customer: str) -> Customer | None:
    """Returns a customer, or None."""
    with connection.cursor(row_factory=class_row(Customer)) as cursor:
        return cursor.execute(
            "SELECT customer, name, id_key, large_type, sealed_pin FROM customers "
            "WHERE customer = %s",
            [customer],
        ).fetchone()


def require_id(name: str) -> str:
    """Refuses a name that devices and customers cannot have.

    Raises:
        LocalError: It says which are possible.
    """
    if DEVICE.fullmatch(name) is None:
        raise LocalError(
            f"{name!r} is no id: use 1 to 64 letters, digits, dots, dashes and underscores.", "id"
        )
    return name


def mask_name(name: str) -> str:
    """Keeps the family name and hides the rest: 王小明 becomes 王**."""
    return name[:1] + MASK * max(1, len(name) - 1)


def derived_id(*parts: str) -> UUID:
    """Makes the id of an act that happens once by its nature, such as an opening deposit."""
    digest = hashlib.sha256(b"lastmile act" + encode(list(parts))).digest()
    return UUID(bytes=digest[:16])


# ------------------------------------------------------------------ what devices are told
def balance_items(connection: Connection, customers: Sequence[str], now_us: int) -> list[Item]:
    """Returns the balances of customers, for every kiosk that serves them."""
    rows = connection.execute(
        "SELECT device, customer FROM kiosk_customers WHERE customer = ANY (%s)", [list(customers)]
    ).fetchall()
    accounts = {customer_account(str(customer)) for _, customer in rows}
    held = {each.account: each for each in read_holdings(connection, accounts)}
    items = []
    for device, customer in rows:
        holding = held[customer_account(str(customer))]
        value = {
            "balance_fen": holding.balance_fen,
            "available_fen": holding.available_fen,
            "as_of_us": now_us,
        }
        items.append(Item(str(device), "balances", holding.account, value))
    return items


def drawer_items(connection: Connection, kiosks: Sequence[str], now_us: int) -> list[Item]:
    """Returns the cash in drawers (fen, positive), for their kiosks."""
    held = read_holdings(connection, [drawer_account(kiosk) for kiosk in kiosks])
    cash = {each.account: -each.balance_fen for each in held}
    return [
        Item(
            kiosk,
            "drawer",
            kiosk,
            {"balance_fen": cash[drawer_account(kiosk)], "as_of_us": now_us},
        )
        for kiosk in sorted(set(kiosks))
    ]


def _require_kiosks(connection: Connection, kiosks: Sequence[str]) -> None:
    for kiosk in kiosks:
        device = find_device(connection, kiosk)
        if device is None or device.kind != "kiosk":
            raise LocalError(f"{kiosk} is not a registered kiosk; add it first.", "kiosk-unknown")


def _assign(connection: Connection, customer: Customer, kiosks: Sequence[str], now_us: int) -> None:
    connection.execute(
        "INSERT INTO kiosk_customers (device, customer) SELECT unnest(%s::text[]), %s "
        "ON CONFLICT DO NOTHING",
        [list(kiosks), customer.customer],
    )
    value = {
        "name": customer.name,
        "name_masked": mask_name(customer.name),
        "id_key": customer.id_key,
        "account": customer_account(customer.customer),
        "large_type": customer.large_type,
    }
    publish(
        connection,
        [
            *(Item(kiosk, "customers", customer.customer, value) for kiosk in kiosks),
            *balance_items(connection, [customer.customer], now_us),
        ],
    )


def _post_one(connection: Connection, order: Transfer, now_us: int) -> None:
    outcome = post_batch(connection, [order], now_us)[0]
    if outcome.status == "refused":
        raise LocalError(f"The ledger refused {order.code}: {outcome.reason}.", outcome.reason)
