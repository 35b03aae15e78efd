"""Claims about the loop: it sends what is new, waits out trouble, and says each thing once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend_sync.agent.agent import Agent
from backend_sync.agent.config import ContactSection
from backend_sync.agent.link import Unreachable
from backend_sync.agent.schedule import Schedule
from backend_sync.agent.status import Files, read_status
from backend_sync.messages import downlink_path, open_request
from edge.keys import verifier
from edge.purposes import JOURNAL_KEY, MIRROR_KEY
from tests.unit.backend_sync.agent.village import DEVICE, START_US

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from edge.store import Store
    from tests.unit.backend_sync.agent.village import Core, Kiosk, Wire


@dataclass
class Turns:
    """Instead of sleeping, lets something happen; ends the loop after so many turns."""

    kiosk: Kiosk
    turns: int
    each: Callable[[int], None] = lambda _: None
    taken: int = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.kiosk.clock.wall_us += int((timeout or 0) * 1_000_000)
        self.taken += 1
        self.each(self.taken)
        return self.taken >= self.turns


def make_agent(kiosk: Kiosk, wire: Wire, store: Store) -> Agent:
    schedule = Schedule(ContactSection(), kiosk.randomness)
    return Agent(kiosk.contact(wire, store), schedule, kiosk.journal, store, kiosk.clock)


def lose(*_: object) -> bytes:
    raise Unreachable("no route")


def test_new_entries_go_up_as_they_are_written(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    with kiosk.open_mirror() as store:
        make_agent(kiosk, wire, store).run(Turns(kiosk, 6, lambda _: kiosk.write(1)))
    assert len(core.entries()) == 5
    assert core.entries() == kiosk.chain()[:5]


def test_an_idle_kiosk_calls_seldom(kiosk: Kiosk, wire: Wire) -> None:
    with kiosk.open_mirror() as store:
        make_agent(kiosk, wire, store).run(Turns(kiosk, 200))
    assert kiosk.clock.wall_us - START_US < 900 * 1_000_000
    assert len(wire.carried) == 1


def test_trouble_is_logged_when_it_begins_and_when_it_ends(
    core: Core, kiosk: Kiosk, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    kiosk.write(1)
    with kiosk.open_mirror() as store:
        agent = make_agent(kiosk, wire, store)
        wire.before = lose
        for _ in range(5):
            agent.make_contact()
        wire.before = lambda _, body: body
        agent.make_contact()
    told = [record.getMessage() for record in caplog.records]
    assert sum("no route" in line for line in told) == 2, "once for each direction"
    assert sum("works again" in line for line in told) == 2
    assert core.entries() == kiosk.chain()


def test_a_halt_is_an_error_in_the_log_once(
    kiosk: Kiosk, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    kiosk.write(2)
    with kiosk.open_mirror() as store:
        agent = make_agent(kiosk, wire, store)
        agent.make_contact()
        kiosk.journal.unlink()
        agent.make_contact()
        agent.make_contact()
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "rollback" in errors[0].getMessage()


def test_once_brings_everything(
    core: Core, kiosk: Kiosk, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend_sync.agent.contact.FRAMES_MAX", 1)
    monkeypatch.setattr("backend_sync.agent.contact.FRAME_PLAIN_BYTES", 500)
    kiosk.write(9)
    with kiosk.open_mirror() as store:
        outcome = make_agent(kiosk, wire, store).run_once()
    assert (outcome.good, outcome.more) == (True, False)
    assert core.entries() == kiosk.chain()


def files_of(kiosk: Kiosk) -> Files:
    journal_key, mirror_key = kiosk.key(JOURNAL_KEY), kiosk.key(MIRROR_KEY)
    return Files(kiosk.journal, journal_key, kiosk.mirror, mirror_key, "file", "tpm")


def test_status_tells_how_far_sync_has_come(kiosk: Kiosk, wire: Wire) -> None:
    assert read_status(DEVICE, files_of(kiosk)).uplink == "never"
    kiosk.write(3)
    with kiosk.open_mirror() as store:
        make_agent(kiosk, wire, store).run_once()
        kiosk.write(2)
        status = read_status(DEVICE, files_of(kiosk))
    assert (status.uplink, status.code) == ("ready", "")
    assert (status.journal_seq, status.mark_seq) == (5, 3)
    assert status.contact_us is not None
    assert status.next_contact_us is not None
    assert status.contact_us <= status.next_contact_us
    assert status.scopes["drawer"] >= 1
    told = "\n".join(status.lines())
    assert "entry 5; the core holds up to 3" in told
    assert "keys          in a file: who takes the whole machine" in told
    assert "counter       in the TPM" in told


def test_status_says_why_uploads_stopped(kiosk: Kiosk, wire: Wire) -> None:
    kiosk.write(1)
    kiosk.meet(wire)
    kiosk.journal.unlink()
    kiosk.meet(wire)
    status = read_status(DEVICE, files_of(kiosk))
    assert (status.uplink, status.code, status.journal_seq) == ("halted", "rollback", None)
    assert "call the bank" in status.lines()[-1]
    assert status.as_dict()["code"] == "rollback"


# ------------------------------------------------------------------ the stated time
def stated_times(kiosk: Kiosk, wire: Wire) -> list[int]:
    """The times that the kiosk has stated on this wire."""
    key = verifier(kiosk.identity.public_bytes)
    bodies = [body for path, body in wire.carried if path == downlink_path(DEVICE)]
    return [open_request(body, key, DEVICE).wall_us for body in bodies]


def test_a_clock_that_is_set_back_takes_no_stated_time_back(kiosk: Kiosk, wire: Wire) -> None:
    kiosk.meet(wire)
    kiosk.clock.wall_us = 1_000_000
    kiosk.meet(wire)
    first, second = stated_times(kiosk, wire)
    assert second == first == kiosk.noted("stated_us")


def test_what_is_stated_after_a_clock_went_mad_is_what_the_kiosk_was_told(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    """Else the core gives leases back for a time that the kiosk, told a mad one, passes over."""
    kiosk.clock.wall_us = mad_us = START_US + 10 * 366 * 86_400_000_000
    wire.after = lambda _, _answer: b""
    kiosk.meet(wire)
    assert kiosk.noted("stated_us") > mad_us
    kiosk.clock.wall_us = START_US
    wire.after = lambda _, answer: answer
    kiosk.meet(wire)
    assert stated_times(kiosk, wire)[-1] > mad_us
    told_us = kiosk.noted("stated_us")
    assert START_US < told_us <= core.clock.wall_us
    kiosk.meet(wire)
    assert told_us <= stated_times(kiosk, wire)[-1] <= core.clock.wall_us + 86_400_000_000


def test_a_mad_time_is_not_stated_over_a_sane_one(kiosk: Kiosk, wire: Wire) -> None:
    """The kiosk passes over a leap of years; it must still hear of the time that was stated."""
    kiosk.meet(wire)
    wire.after = lambda _, _answer: b""
    kiosk.clock.wall_us = START_US + 7 * 86_400_000_000
    kiosk.meet(wire)
    sane_us = kiosk.noted("stated_us")
    kiosk.clock.wall_us = START_US + 10 * 366 * 86_400_000_000
    kiosk.meet(wire)
    assert stated_times(kiosk, wire)[-2:] == [sane_us, sane_us]
    assert kiosk.noted("stated_us") == sane_us
