"""Tests of what commands do in a box: each verb reaches what it acts on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.keys import sign_evidence
from edge.orders import VERBS
from edge.purposes import COMMAND
from tests.unit.vehicle_gateway.yard import DEVICE, SECOND_US, START_US, Box, Core, feed
from vehicle_gateway.answers import Answers
from vehicle_gateway.duties import Duties
from vehicle_gateway.mqtt import Address
from vehicle_gateway.obd_schedule import ObdSchedule
from vehicle_gateway.orders import Addressee
from vehicle_gateway.profile import ObdSection
from vehicle_gateway.uds_client import UdsClient
from vehicle_gateway.uds_ecus import Ecu, UdsSection

if TYPE_CHECKING:
    from vehicle_gateway.batch import Batcher


class Cabin:
    """A box under way, commanded by its core."""

    def __init__(self, box: Box, core: Core) -> None:
        self.box, self.core = box, core
        self.batcher: Batcher = box.open()
        self.is_stopped = False
        self.asked: list[bytes] = []
        self.schedule = ObdSchedule(ObdSection())
        self.duties = Duties(box.sink, self.batcher, self._stop, [[self.schedule]])
        listeners = self.duties.listeners(Addressee(DEVICE), core.verify)
        self.answers = Answers(box.sink, core.verify, Address("org", DEVICE).down, listeners)
        self._seq = 0

    def command(self, verb: str, **arguments: int) -> tuple[str, str]:
        """Sends a command down and returns outcome and code of its answer."""
        self._seq += 1
        record = {
            "type": "command", "device": DEVICE, "seq": self._seq, "verb": verb,
            "arguments": arguments, "expiry_us": START_US + SECOND_US,
        }  # fmt: skip
        self.answers.hear(sign_evidence(self.core.signer, record, COMMAND))
        evidence = self.core.evidence(self.box.messages())
        answers = [each for each in evidence if each["type"] == "command-done"]
        (done,) = [each for each in answers if each["order"] == self._seq]
        return done["outcome"], done["code"]

    def _stop(self) -> None:
        self.is_stopped = True


@pytest.fixture
def cabin(box: Box, core: Core) -> Cabin:
    return Cabin(box, core)


def test_a_report_is_sealed_as_health_and_names_nobody(cabin: Cabin) -> None:
    assert cabin.command("report-status") == ("done", "")
    (record,) = cabin.core.records(cabin.box.messages())
    health = record["health"]
    assert (health["campaign"], health["campaign_id"]) == (0, "default")
    assert health["driver"] in {"none", "signed in"}
    assert all(type(value) in (int, str) for value in health.values())


def test_a_restart_is_answered_before_the_loop_ends(cabin: Cabin) -> None:
    assert cabin.command("reboot-program") == ("done", "")
    assert cabin.is_stopped


def test_a_vehicle_is_asked_for_its_fault_codes_and_for_nothing_else(
    cabin: Cabin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cabin.schedule, "ask", cabin.asked.append)
    assert cabin.command("read-dtc") == ("done", "")
    assert cabin.asked == [b"\x01\x01", b"\x03", b"\x07", b"\x0a"]  # the lamp, then the codes


def test_the_schedule_does_take_these_questions(cabin: Cabin) -> None:
    assert cabin.command("read-dtc") == ("done", "")


def test_control_units_are_asked_for_their_fault_codes_too(box: Box, core: Core) -> None:
    cabin = Cabin(box, core)
    units = UdsClient(UdsSection((Ecu("battery", 0x7E4, 0x7EC),)))
    duties = Duties(box.sink, cabin.batcher, cabin._stop, [[units]])
    listeners = duties.listeners(Addressee(DEVICE), core.verify)
    cabin.answers = Answers(box.sink, core.verify, Address("org", DEVICE).down, listeners)
    assert units.is_idle
    assert cabin.command("read-dtc") == ("done", "")
    assert not units.is_idle


def test_without_a_schedule_fault_codes_are_not_to_be_had(box: Box, core: Core) -> None:
    cabin = Cabin(box, core)
    bare = Duties(box.sink, cabin.batcher, cabin._stop)
    listeners = bare.listeners(Addressee(DEVICE), core.verify)
    cabin.answers = Answers(box.sink, core.verify, Address("org", DEVICE).down, listeners)
    assert cabin.command("read-dtc") == ("refused", "verb-unavailable")


def test_health_is_sealed_again_where_somebody_keeps_it(cabin: Cabin) -> None:
    assert cabin.command("resend-health") == ("failed", "health-none")
    told: list[int] = []
    cabin.duties.tell_health = lambda: told.append(1)
    assert cabin.command("resend-health") == ("done", "")
    assert told == [1]


def test_a_snapshot_captures_what_no_row_keeps(cabin: Cabin) -> None:
    collect = (
        b'{"v": 1, "id": "t", "version": 1, "collect": {"signals":'
        b' [{"paths": ["Vehicle.Speed"], "interval_ms": 10000}]}}'
    )
    record = {
        "type": "campaign", "device": DEVICE, "seq": 1, "campaign": collect, "not_before_us": 0,
        "expiry_us": START_US + SECOND_US, "purpose": "try what a snapshot holds",
        "consent": False,
    }  # fmt: skip
    cabin.answers.hear(sign_evidence(cabin.core.signer, record, "lastmile campaign"))
    assert cabin.command("snapshot", seconds=2) == ("done", "")
    progress = feed(cabin.batcher, 60.0)
    next(progress)
    next(progress)
    counts = [each["counts"]["samples"] for each in cabin.core.records(cabin.box.messages())]
    assert counts[0] == counts[2] == 1
    assert counts[1] > 1_000
    assert len(counts) == 3


def test_every_verb_is_wired_or_refused_by_name(cabin: Cabin) -> None:
    outcomes = {
        verb: cabin.command(verb, **{name: low for name, (low, _) in arguments.items()})
        for verb, arguments in VERBS.items()
    }
    assert {code for _, code in outcomes.values()} == {"", "health-none"}
