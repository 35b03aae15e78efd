"""What is claimed of what the status bar says about the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.journal import Head
from edge.mirror import Mirror
from kiosk_app.uplink import FRESH_US, UplinkWatch
from tests.unit.kiosk_app.village import START_US

if TYPE_CHECKING:
    from tests.unit.kiosk_app.village import Village

MINUTE_US = 60_000_000


class Agent:
    """Notes what the agent notes, in its order."""

    def __init__(self, village: Village) -> None:
        self.mirror = Mirror(village.bank.store)
        self.watch = UplinkWatch()
        self.now_us = START_US

    def contact(self, *, good: bool, look_between: bool = False) -> None:
        self.now_us += MINUTE_US
        if good:
            self.mirror.note("contact_us", self.now_us)
        if look_between:
            self.watch.read(self.mirror)
        self.mirror.note("next_contact_us", self.now_us + 15 * MINUTE_US)
        self.watch.read(self.mirror)

    def online(self) -> bool:
        return self.watch.is_online(self.now_us)


def test_without_notes_nothing_is_online(village: Village) -> None:
    assert not Agent(village).online()
    watch = UplinkWatch()
    watch.read(None)
    assert not watch.is_online(START_US)
    assert watch.as_of_us is None


def test_a_good_contact_is_online_and_a_failed_one_after_it_is_not(village: Village) -> None:
    agent = Agent(village)
    agent.contact(good=True)
    assert agent.online()
    agent.contact(good=False)
    assert not agent.online()
    agent.contact(good=True)
    assert agent.online()
    agent.contact(good=True)
    assert agent.online()


def test_looking_in_the_middle_of_a_contact_does_not_mislead(village: Village) -> None:
    agent = Agent(village)
    for good, online in ((True, True), (False, False), (True, True), (True, True)):
        agent.contact(good=good, look_between=True)
        assert agent.online() == online


def test_an_old_contact_is_not_online(village: Village) -> None:
    agent = Agent(village)
    agent.contact(good=True)
    agent.now_us += FRESH_US + 1
    assert not agent.online()


def test_unsent_is_what_lies_behind_the_mark(village: Village) -> None:
    agent = Agent(village)
    assert agent.watch.unsent(Head(1, 3, b"")) == 3
    agent.mirror.note("mark", {"epoch": 1, "seq": 2, "head": b""})
    agent.watch.read(agent.mirror)
    assert agent.watch.unsent(Head(1, 3, b"")) == 1
    assert agent.watch.unsent(Head(1, 1, b"")) == 0
    assert agent.watch.unsent(Head(2, 3, b"")) == 3


def test_notes_of_other_kinds_are_passed_over(village: Village) -> None:
    agent = Agent(village)
    for name in ("contact_us", "next_contact_us", "mark"):
        agent.mirror.note(name, "soon")
    agent.watch.read(agent.mirror)
    assert not agent.online()
