"""The rules that act now: events, trips and collection of one campaign, and the change to another.

Place in the flow: campaign_book → **conduct** → batch, which gives it each window.

    change of               events                       trip        collection
    collect alone           go on, untouched             goes on     begins anew, the budget stays
    rules or places         what goes on is ended and    goes on     the same
                            told under the old rules

* What was learned of the vehicle and of hours at the wheel is carried from rules to rules: it is
  measured, not ruled. So is the count of the day's bytes, whatever is wanted of them.
* What collection remembers are samples: it is sealed for this box before it lies on the disk.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.codec import decode, encode
from vehicle_gateway.collect import Collector
from vehicle_gateway.events import Events
from vehicle_gateway.trips import Trips

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.keys import LocalSecret
    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.campaign_book import Standing
    from vehicle_gateway.events import Event

STATE_ITEMS_MAX: Final = 1_000_000
LAYOUT: Final = b"1"
"""Of what collection remembers; another release with another one begins anew."""


class Conduct:
    """Events, trips and collection under the campaign that stands.

    Args:
        device: Id of the box, in the ids of trips.
        secret: Seals what collection remembers.
        standing: The campaign to begin with.
    """

    seq: int
    campaign: Campaign
    events: Events
    trips: Trips
    collector: Collector

    def __init__(self, device: str, secret: LocalSecret, standing: Standing) -> None:
        self._device = device
        self._secret = secret
        self._build(standing)

    def change(self, standing: Standing) -> list[Event]:
        """Goes over to another campaign; returns the events that end with the old rules."""
        before, events, trips = self.campaign, self.events, self.trips
        budget = self.collector.budget.state()
        is_same = (before.rules, before.places) == (
            standing.campaign.rules,
            standing.campaign.places,
        )
        told = [] if is_same else events.finish()
        self._build(standing)
        if is_same:
            self.events, self.trips = events, trips
        else:
            self.events.restore(events.state())
            self.trips.restore(trips.state())
        self.collector.budget.restore(budget)
        return told

    def state(self) -> dict[str, Any]:
        """Returns all that the next window depends on, fit to lie on the disk."""
        return {
            "campaign": self.seq,
            "events": self.events.state(),
            "trips": self.trips.state(),
            "budget": self.collector.budget.state(),
            "collect": self._sealed(),
        }

    def restore(self, state: Mapping[str, Any], standing: Standing) -> None:
        """Goes on from what `state` returned, under the campaign that it names.

        Raises:
            PeerError: It was sealed by another box.
        """
        self._build(standing)
        self.events.restore(state["events"])
        self.trips.restore(state["trips"])
        kept = state.get("collect")
        if kept and kept["of"] == _digest(self.campaign):
            opened = decode(self._secret.open(kept["sealed"]), items_max=STATE_ITEMS_MAX)
            self.collector.restore(opened)
        self.restore_budget(state)

    def restore_budget(self, state: Mapping[str, Any]) -> None:
        """Goes on with the day's count alone: the day is the same, whatever is read in it."""
        if "budget" in state:
            self.collector.budget.restore(state["budget"])

    def _build(self, standing: Standing) -> None:
        self.seq, self.campaign = standing.seq, standing.campaign
        self.events = Events(standing.campaign)
        self.trips = Trips(standing.campaign, self._device)
        self.collector = Collector(standing.campaign.collect)

    def _sealed(self) -> dict[str, bytes]:
        if self.campaign.collect is None:
            return {}
        plain = encode(self.collector.state())
        return {"of": _digest(self.campaign), "sealed": self._secret.seal(plain)}


def _digest(campaign: Campaign) -> bytes:
    """Returns what tells what two campaigns remember apart."""
    return hashlib.sha256(LAYOUT + msgspec.json.encode(campaign.collect)).digest()
