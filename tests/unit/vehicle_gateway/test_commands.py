"""Tests of commands: a short list, each once, each answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.errors import DeviceFault, PeerError
from edge.keys import sign_evidence
from edge.orders import VERBS
from edge.purposes import COMMAND
from tests.unit.vehicle_gateway.yard import DEVICE, GROUP, SECOND_US, START_US, Box, Core
from vehicle_gateway.commands import Commands
from vehicle_gateway.orders import Addressee

if TYPE_CHECKING:
    from collections.abc import Mapping


class Ground:
    """A box with actions that count, and the core that commands it."""

    def __init__(self, box: Box, core: Core) -> None:
        self.box, self.core = box, core
        self.done: list[tuple[str, dict[str, int]]] = []
        self.error: Exception | None = None
        self.start()

    def start(self, *absent: str) -> None:
        self.box.open()
        actions = {verb: self._action(verb) for verb in VERBS if verb not in absent}
        addressee = Addressee(DEVICE, GROUP)
        self.commands = Commands(self.box.sink, addressee, self.core.verify, actions)

    def command(self, seq: int, verb: str = "report-status", **changed: Any) -> bytes:
        record = {
            "type": "command", "device": DEVICE, "seq": seq, "verb": verb, "arguments": {},
            "expiry_us": START_US + SECOND_US,
        }  # fmt: skip
        return sign_evidence(self.core.signer, {**record, **changed}, COMMAND)

    def answers(self) -> list[tuple[int, str, str, str]]:
        return [
            (each["order"], each["verb"], each["outcome"], each["code"])
            for each in self.core.evidence(self.box.messages())
            if each["type"] == "command-done"
        ]

    def _action(self, verb: str) -> Any:
        def act(arguments: Mapping[str, int]) -> None:
            self.done.append((verb, dict(arguments)))
            if self.error:
                raise self.error

        return act


@pytest.fixture
def ground(box: Box, core: Core) -> Ground:
    return Ground(box, core)


def test_a_command_is_carried_out_and_answered(ground: Ground) -> None:
    assert ground.commands.hear(ground.command(1, "snapshot", arguments={"seconds": 5}))
    assert ground.done == [("snapshot", {"seconds": 5})]
    assert ground.answers() == [(1, "snapshot", "done", "")]


def test_the_same_command_again_is_not_carried_out_again(ground: Ground) -> None:
    message = ground.command(1)
    ground.commands.hear(message)
    assert not ground.commands.hear(message)
    ground.start()
    assert not ground.commands.hear(message)
    assert (len(ground.done), len(ground.answers())) == (1, 1)


def test_what_fails_is_told_with_its_code(ground: Ground) -> None:
    ground.error = DeviceFault("The bus is away.", "bus-off")
    ground.commands.hear(ground.command(1, "read-dtc"))
    assert ground.answers() == [(1, "read-dtc", "failed", "bus-off")]


def test_power_that_fails_on_the_way_makes_the_outcome_unknown(ground: Ground) -> None:
    message = ground.command(4)
    ground.error = RuntimeError("power")
    with pytest.raises(RuntimeError):
        ground.commands.hear(message)
    ground.error = None
    ground.start()
    assert ground.commands.hear(message)
    assert not ground.commands.hear(message)
    assert ground.answers() == [(4, "report-status", "unknown", "interrupted")]
    assert len(ground.done) == 1


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a verb of nobody": ({"verb": "clear-faults"}, "verb"),
    "a verb without end": ({"verb": "x" * 9_000}, "verb"),
    "an argument too many": ({"arguments": {"seconds": 5}}, "verb-arguments"),
    "an argument too few": ({"verb": "snapshot"}, "verb-arguments"),
    "an argument out of range": (
        {"verb": "snapshot", "arguments": {"seconds": 61}}, "verb-arguments",
    ),
    "an argument in words": (
        {"verb": "snapshot", "arguments": {"seconds": "5"}}, "verb-arguments",
    ),
    "an expiry that has passed": ({"expiry_us": START_US}, "order-expired"),
    "an old number": ({"seq": 1}, "order-old"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_command_is_refused_and_told_once_for(case: str, ground: Ground) -> None:
    ground.commands.hear(ground.command(2))
    changed, code = REFUSED[case]
    message = ground.command(**{"seq": 3, **changed})
    for _ in range(3):
        with pytest.raises(PeerError) as refused:
            ground.commands.hear(message)
        assert refused.value.code == code
    (_, (_, verb, outcome, told)) = ground.answers()
    assert (outcome, told) == ("refused", code)
    assert len(verb) <= 40
    assert len(ground.done) == 1


def test_a_verb_that_this_box_cannot_is_refused(ground: Ground) -> None:
    ground.start("read-dtc")
    with pytest.raises(PeerError):
        ground.commands.hear(ground.command(1, "read-dtc"))
    assert ground.answers() == [(1, "read-dtc", "refused", "verb-unavailable")]


def test_nobody_but_the_core_makes_the_box_answer(ground: Ground) -> None:
    record = {
        "type": "command", "device": DEVICE, "seq": 1, "verb": "reboot-program", "arguments": {},
        "expiry_us": START_US + SECOND_US,
    }  # fmt: skip
    forged = sign_evidence(ground.box.identity, record, COMMAND)
    for message in (forged, b"", b"\x84", ground.command(1, device="box-2")):
        with pytest.raises(PeerError):
            ground.commands.hear(message)
    assert ground.done == []
    assert ground.answers() == []
