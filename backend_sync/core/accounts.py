"""The accounts of the ledger: their names, how they are opened, what they hold.

Place in the flow: registry, leases, post → **accounts** → ledger.

* A name says what the account is: `customer:{id}`, `drawer:{kiosk}`, `vault`, `suspense`.
* balance_fen = credits - debits: a deposit is positive, cash is negative.
* A customer's account has a floor of 0: there is no overdraft.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from psycopg.rows import class_row

from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backend_sync.core.database import Connection

VAULT: Final = "vault"
SUSPENSE: Final = "suspense"


@dataclass(frozen=True, slots=True)
class Holding:
    """An account and what it holds, fen. `available_fen` leaves out what leases reserve."""

    account: str
    kind: str
    balance_fen: int
    available_fen: int


def customer_account(customer: str) -> str:
    """Names a customer's account."""
    return f"customer:{customer}"


def drawer_account(kiosk: str) -> str:
    """Names the account of a kiosk's cash drawer."""
    return f"drawer:{kiosk}"


def open_customer(connection: Connection, customer: str) -> str:
    """Opens a customer's account if it is not open yet, and returns its name."""
    return _open(connection, customer_account(customer), "customer", 0)


def open_drawer(connection: Connection, kiosk: str) -> str:
    """Opens the account of a kiosk's drawer if it is not open yet, and returns its name."""
    return _open(connection, drawer_account(kiosk), "drawer", None)


def read_holdings(connection: Connection, accounts: Iterable[str]) -> list[Holding]:
    """Reads what accounts hold, in order of name.

    Raises:
        LocalError: One of them is not open.
    """
    wanted = sorted(set(accounts))
    with connection.cursor(row_factory=class_row(Holding)) as cursor:
        found = cursor.execute(
            "SELECT account, kind, balance_fen, balance_fen - pending_debit_fen AS available_fen "
            "FROM accounts WHERE account = ANY (%s) ORDER BY account",
            [wanted],
        ).fetchall()
    if len(found) != len(wanted):
        missing = sorted(set(wanted) - {each.account for each in found})
        raise LocalError(f"No such account: {', '.join(missing)}.", "account-unknown")
    return found


def _open(connection: Connection, account: str, kind: str, floor_fen: int | None) -> str:
    connection.execute(
        "INSERT INTO accounts (account, kind, floor_fen) VALUES (%s, %s, %s) "
        "ON CONFLICT (account) DO NOTHING",
        [account, kind, floor_fen],
    )
    return account
