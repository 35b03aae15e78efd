"""Claims about orders: numbered, sent in turn until answered, and what a real box does."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from backend_sync.telemetry.orders import (
    PAUSE_US,
    PAUSE_US_MAX,
    Draft,
    issue,
    list_orders,
    take_due,
)
from backend_sync.telemetry.store import take_in
from edge.errors import LocalError
from edge.keys import FileIdentity, open_evidence, verifier
from edge.policy import Policy
from edge.purposes import CAMPAIGN, COMMAND
from tests.unit.backend_sync.telemetry.box import ORG, START_US, Box, Core
from tests.unit.vehicle_gateway import yard
from vehicle_gateway.answers import Answers
from vehicle_gateway.commands import Commands
from vehicle_gateway.orders import Addressee

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend_sync.core.database import Connection

HOUR_US = 3_600_000_000


def command(verb: str = "report-status", expiry_us: int = START_US + HOUR_US) -> Draft:
    record = {"type": "command", "verb": verb, "arguments": {}, "expiry_us": expiry_us}
    return Draft(verb, record)


def campaign(name: str = "county", expiry_us: int = START_US + HOUR_US, **more: Any) -> Draft:
    body = json.dumps({"v": 1, "id": name, "version": 1, **more}).encode()
    record = {
        "type": "campaign", "campaign": body, "not_before_us": 0, "expiry_us": expiry_us,
        "purpose": "find out how smoothly brakes work", "consent": False,
    }  # fmt: skip
    return Draft(f"{name} 1", record)


def states(connection: Connection, kind: str) -> list[tuple[int, str | None, str | None]]:
    lines = list_orders(connection, kind, None)
    return sorted((line.seq, line.outcome, line.code) for line in lines)


def answer(connection: Connection, core: Core, box: Box, seq: int, **record: Any) -> None:
    place = {"device": box.device, "epoch": box.epoch, "seq": seq}
    take_in(connection, core.ingest(), ORG, [box.evidence({**record, **place})], START_US + seq)


def test_numbers_count_up_by_device_and_kind(
    connection: Connection, core: Core, box: Box, other_box: Box
) -> None:
    def sent(draft: Draft, *devices: str) -> dict[str, int]:
        return issue(connection, core.signer, draft, devices, START_US)

    assert sent(command(), box.device) == {"box-1": 1}
    assert sent(command(), box.device, other_box.device) == {"box-1": 2, "box-2": 1}
    assert sent(campaign(), box.device) == {"box-1": 1}
    assert sent(replace(campaign(), group="buses"), "box-1", "box-2") == {"box-1": 2, "box-2": 2}


def test_a_group_gets_the_same_bytes_and_others_their_own(
    connection: Connection, core: Core, box: Box, other_box: Box
) -> None:
    devices = (box.device, other_box.device)
    issue(connection, core.signer, replace(campaign(), group="buses"), devices, START_US)
    first, second = take_due(connection, START_US)
    assert first[1] == second[1]
    issue(connection, core.signer, command(), devices, START_US)
    first, second = take_due(connection, START_US)
    assert first[1] != second[1]
    record = open_evidence(first[1], verifier(core.signer.public_bytes), COMMAND, "core")
    assert (record["device"], record["seq"]) == ("box-1", 1)


def test_an_order_is_sent_ever_more_rarely_until_it_is_over(
    connection: Connection, core: Core, box: Box
) -> None:
    expiry_us = START_US + 10 * HOUR_US
    issue(connection, core.signer, command(expiry_us=expiry_us), [box.device], START_US)
    times, now_us = [], START_US
    while now_us < START_US + 12 * HOUR_US:
        if take_due(connection, now_us):
            times.append(now_us)
        now_us += PAUSE_US
    pauses = [(after - before) // PAUSE_US for before, after in pairwise(times)]
    assert pauses[:4] == [1, 2, 4, 8]
    assert max(pauses) == PAUSE_US_MAX // PAUSE_US
    assert times[-1] < expiry_us


def test_no_command_overtakes_another(connection: Connection, core: Core, box: Box) -> None:
    for verb in ("report-status", "read-dtc"):
        issue(connection, core.signer, command(verb), [box.device], START_US)
    verify = verifier(core.signer.public_bytes)

    def verbs(now_us: int) -> list[str]:
        due = [message for _, message in take_due(connection, now_us)]
        return [open_evidence(each, verify, COMMAND, "core")["verb"] for each in due]

    take_in(connection, core.ingest(), ORG, [box.start()], START_US)
    assert verbs(START_US) == ["report-status"]
    done = {"verb": "report-status", "outcome": "done", "code": ""}
    answer(connection, core, box, 1, type="command-done", order=1, **done)
    assert verbs(START_US + PAUSE_US) == ["read-dtc"]


def test_a_command_that_is_over_does_not_hold_the_next_one_back(
    connection: Connection, core: Core, box: Box
) -> None:
    issue(connection, core.signer, command(expiry_us=START_US + 1), [box.device], START_US)
    issue(connection, core.signer, command("read-dtc"), [box.device], START_US)
    assert len(take_due(connection, START_US + 2)) == 1


def test_a_newer_campaign_supersedes_what_is_not_answered(
    connection: Connection, core: Core, box: Box
) -> None:
    for name in ("first", "second"):
        issue(connection, core.signer, campaign(name), [box.device], START_US)
    assert states(connection, "campaign") == [(1, "superseded", None), (2, None, None)]
    ((_, message),) = take_due(connection, START_US)
    record = open_evidence(message, verifier(core.signer.public_bytes), CAMPAIGN, "core")
    assert record["seq"] == 2


WRONG_ANSWERS: dict[str, dict[str, Any]] = {
    "no number": {"type": "command-done", "outcome": "done", "code": ""},
    "a number in words": {"type": "command-done", "order": "1", "outcome": "done", "code": ""},
    "a number too large": {"type": "command-done", "order": 2**60, "outcome": "done", "code": ""},
    "an outcome of nobody": {"type": "command-done", "order": 1, "outcome": "maybe", "code": ""},
    "a code that is none": {"type": "command-done", "order": 1, "outcome": "done", "code": 7},
    "another type": {"type": "command-dune", "order": 1, "outcome": "done", "code": ""},
}


@pytest.mark.parametrize("case", WRONG_ANSWERS)
def test_an_answer_of_another_form_is_stored_and_settles_nothing(
    case: str, connection: Connection, core: Core, box: Box
) -> None:
    issue(connection, core.signer, command(), [box.device], START_US)
    take_in(connection, core.ingest(), ORG, [box.start()], START_US)
    answer(connection, core, box, 1, **WRONG_ANSWERS[case])
    assert states(connection, "command") == [(1, None, None)]


def test_the_first_answer_counts_and_that_of_another_box_does_not(
    connection: Connection, core: Core, box: Box, other_box: Box
) -> None:
    issue(connection, core.signer, command(), [box.device], START_US)
    take_in(connection, core.ingest(), ORG, [box.start(), other_box.start()], START_US)
    told = {"type": "command-done", "order": 1, "verb": "report-status"}
    answer(connection, core, other_box, 1, **told, outcome="refused", code="order-old")
    answer(connection, core, box, 1, **told, outcome="done", code="")
    answer(connection, core, box, 2, **told, outcome="refused", code="order-old")
    assert states(connection, "command") == [(1, "done", "")]


def test_nobody_is_ordered_who_is_no_gateway_here(
    connection: Connection, core: Core, box: Box
) -> None:
    for devices in ([], ["box-9"], [box.device, "box-9"]):
        with pytest.raises(LocalError) as refused:
            issue(connection, core.signer, command(), devices, START_US)
        assert refused.value.code == "order-device"
    assert take_due(connection, START_US) == []
    with pytest.raises(LocalError):
        issue(connection, core.signer, command(expiry_us=START_US), [box.device], START_US)


# ------------------------------------------------------------------ with the vehicle's box itself
class Road:
    """The gateway's own box, in touch with this core."""

    def __init__(self, connection: Connection, core: Core, folder: Path) -> None:
        self.connection, self.core = connection, core
        self.ingest = core.ingest()
        self.box = yard.Box(folder, Policy(yard.DEVICE, 1, (3, 30), core.hpke.public_bytes))
        core.register(connection, FileIdentity.load(folder / "identity.pem"))
        self.asked: list[str] = []
        self.start()

    def start(self) -> None:
        self.batcher = self.box.open()
        verify = verifier(self.core.signer.public_bytes)
        actions = {"read-dtc": lambda _: self.asked.append("read-dtc")}
        addressee = Addressee(yard.DEVICE, yard.GROUP)
        commands = Commands(self.box.sink, addressee, verify, actions)
        self.answers = Answers(
            self.box.sink,
            verify,
            yard.ADDRESS.down,
            {
                "campaign": lambda message: self.batcher.take_campaign(message, verify),
                "command": commands.hear,
            },
        )

    def meet(self, now_us: int) -> None:
        """The core sends what is due, the box answers, the core stores it."""
        for _, message in take_due(self.connection, now_us):
            self.answers.hear(message)
        arrivals = [(yard.ADDRESS.up, each.payload) for each in self.box.messages()]
        take_in(self.connection, self.ingest, ORG, arrivals, now_us)


@pytest.fixture
def road(connection: Connection, core: Core, tmp_path: Path) -> Iterator[Road]:
    """The box is on the road, and in touch."""
    road = Road(connection, core, tmp_path)
    with road.box:
        yield road


def test_a_box_takes_follows_and_refuses_and_the_core_reads_it(
    connection: Connection, core: Core, road: Road
) -> None:
    start_us = yard.START_US
    devices, expiry_us = [yard.DEVICE], start_us + HOUR_US
    issue(connection, core.signer, campaign("brakes", expiry_us), devices, start_us)
    issue(connection, core.signer, command("read-dtc", expiry_us), devices, start_us)
    road.meet(start_us)
    assert states(connection, "campaign") == [(1, "taken", "")]
    assert states(connection, "command") == [(1, "done", "")]
    assert (road.asked, road.batcher.standing.campaign.id) == (["read-dtc"], "brakes")

    issue(connection, core.signer, campaign("odd", expiry_us, colour="red"), devices, start_us)
    issue(connection, core.signer, command("reboot-program", expiry_us), devices, start_us)
    road.start()
    road.meet(start_us + 1)
    assert states(connection, "campaign")[1] == (2, "refused", "campaign-refused")
    assert states(connection, "command")[1] == (2, "refused", "verb-unavailable")
    assert road.batcher.standing.campaign.id == "brakes"


def test_an_answer_that_is_lost_is_given_again_and_nothing_is_done_twice(
    connection: Connection, core: Core, road: Road
) -> None:
    start_us = yard.START_US
    issue(connection, core.signer, command("read-dtc", start_us + HOUR_US), [yard.DEVICE], start_us)
    ((_, message),) = take_due(connection, start_us)
    road.answers.hear(message)  # and what the box says of it is away with its broker
    road.start()
    road.meet(start_us + PAUSE_US)
    assert road.asked == ["read-dtc"]
    assert states(connection, "command") == [(1, "done", "")]
