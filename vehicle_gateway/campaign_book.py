"""The campaigns that the core has sent, and which of them acts now.

Place in the flow: down topic → orders → **campaign_book** → batch, which changes its rules.

    COSE_Sign1(kid "core", aad "lastmile campaign")
      {type: "campaign", device or group, seq, campaign: JSON, not_before_us, expiry_us,
       purpose, consent}

* Of those that may act at this instant the newest does; where there is none, the file of
  gateway.toml or the built-in one. So what is refused, not begun or over leaves the rules before.
* One that says so, or whose rows or triggers name personal signals, acts only while a consent
  lives.
* It is read whole before anything of it is kept: what is malformed changes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal_by_id
from edge.errors import LocalError
from edge.orders import CAMPAIGN_TYPE, PURPOSE_CHARACTERS
from edge.purposes import CAMPAIGN
from edge.sqlite import Migrations
from edge.store import create_tables
from vehicle_gateway.campaign import load_campaign
from vehicle_gateway.orders import Form, OrderBook, OrderRefused, open_order
from vehicle_gateway.wanted import ids_of

if TYPE_CHECKING:
    from edge.sqlite import Database
    from edge.store import Store
    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.orders import Addressee, Order, Verify

FORM: Final = Form(
    CAMPAIGN,
    CAMPAIGN_TYPE,
    {"type": str, "campaign": bytes, "not_before_us": int, "purpose": str, "consent": bool},
)
KEPT_MAX: Final = 4
PERSONAL: Final = "P"
MIGRATIONS = Migrations("gateway_campaign")


@MIGRATIONS()
def gateway_campaign_001(database: Database) -> None:
    """The campaigns that may act, as they came."""
    create_tables(
        database,
        """CREATE TABLE gateway_campaign (
            seq           INTEGER PRIMARY KEY,
            body          BLOB    NOT NULL,
            purpose       TEXT    NOT NULL,
            not_before_us INTEGER NOT NULL,
            expiry_us     INTEGER NOT NULL,
            consent       INTEGER NOT NULL
        )""",
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """The campaign that acts; `seq` is 0 for that of the disk."""

    seq: int
    campaign: Campaign


class CampaignBook:
    """The campaigns of one box.

    Args:
        store: Opened with `MIGRATIONS` and those of `orders`.
        addressee: Whom a campaign must name.
        base: Acts where no other may.
    """

    def __init__(self, store: Store, addressee: Addressee, base: Campaign) -> None:
        self._store = store
        self._addressee = addressee
        self._base = base
        self.orders = OrderBook(store, CAMPAIGN_TYPE)

    def standing(self, now_us: int, *, has_consent: bool) -> int:
        """Returns the number of the campaign that acts at an instant, 0 for that of the disk."""
        row = self._store.row(
            "SELECT seq FROM gateway_campaign WHERE not_before_us <= ? AND ? < expiry_us"
            " AND consent <= ? ORDER BY seq DESC LIMIT 1",
            (now_us, now_us, int(has_consent)),
        )
        return int(row["seq"]) if row else 0

    def find(self, seq: int) -> Standing:
        """Returns a campaign that was taken; that of the disk where it is no longer kept."""
        row = self._store.row("SELECT body FROM gateway_campaign WHERE seq = ?", (seq,))
        if row is None:
            return Standing(0, self._base)
        return Standing(seq, load_campaign(bytes(row["body"])))

    def take(self, message: bytes, verify: Verify, now_us: int) -> dict[str, Any] | None:
        """Keeps a newer campaign, inside the transaction of its caller.

        Args:
            message: Hostile bytes.
            verify: Checks against the core's signing key.
            now_us: The present, microseconds UTC.

        Returns:
            What to tell of it; None for the one that was taken last, which changes nothing.

        Raises:
            OrderRefused: Older, over or malformed: nothing of it is kept.
            PeerError: Not the core's, of another shape, or for another box.
        """
        order = open_order(message, verify, FORM, self._addressee)
        body = order.record["campaign"]
        if self._is_last(order):
            return None
        self.orders.require_due(order, now_us)
        campaign = _read(order)
        self.orders.take(order.seq)
        self._store.execute(
            "INSERT INTO gateway_campaign (seq, body, purpose, not_before_us, expiry_us, consent)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                order.seq,
                body,
                order.record["purpose"],
                order.record["not_before_us"],
                order.expiry_us,
                int(order.record["consent"] or needs_consent(campaign)),
            ),
        )
        self._store.execute(
            "DELETE FROM gateway_campaign WHERE seq NOT IN"
            " (SELECT seq FROM gateway_campaign ORDER BY seq DESC LIMIT ?)",
            (KEPT_MAX,),
        )
        return {
            "order": order.seq,
            "campaign": campaign.id,
            "version": campaign.version,
            "sha256": hashlib.sha256(body).digest(),
        }

    def _is_last(self, order: Order) -> bool:
        """Whether the very order is kept: the core sends it until it hears that it was taken."""
        row = self._store.row(
            "SELECT body, expiry_us FROM gateway_campaign WHERE seq = ?", (order.seq,)
        )
        found = (bytes(row["body"]), row["expiry_us"]) if row else None
        return found == (order.record["campaign"], order.expiry_us)


def needs_consent(campaign: Campaign) -> bool:
    """Says whether a campaign names signals that tell how or where a person drives."""
    collect = campaign.collect
    if collect is None:
        return False
    lists = [*(row.paths for row in collect.signals), *(each.paths for each in collect.triggers)]
    named = ids_of(path for paths in lists for path in paths)
    return any(signal_by_id(each).law.data_class == PERSONAL for each in named)


def _read(order: Order) -> Campaign:
    low, high = PURPOSE_CHARACTERS
    if not low <= len(order.record["purpose"].strip()) <= high:
        raise OrderRefused(
            f"A campaign says what its data is for, in {low} to {high} characters.",
            "campaign-purpose",
            order.seq,
        )
    if not 0 <= order.record["not_before_us"] < order.expiry_us:
        raise OrderRefused("A campaign ends after it begins.", "campaign-span", order.seq)
    try:
        return load_campaign(order.record["campaign"])
    except LocalError as error:
        raise OrderRefused(str(error), error.code, order.seq) from error
