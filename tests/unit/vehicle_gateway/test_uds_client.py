"""The box asks control units for what a profile names, and can say nothing that changes them."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import isotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vehicle_gateway
from edge.errors import LocalError
from vehicle_gateway.uds_client import (
    FLOW_CONTROL,
    MISSES_MAX,
    PATIENCE_US,
    RARELY_US,
    TIMEOUT_US,
    YIELD_US,
    Question,
    UdsClient,
    clear_codes,
    read_codes,
    read_did,
)
from vehicle_gateway.uds_ecus import DidRequest, Ecu, UdsSection

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST, RESPONSE = 0x7E4, 0x7EC
SECOND = 1_000_000
BATTERY = Ecu(
    "battery",
    REQUEST,
    RESPONSE,
    dids=(DidRequest(0x0101, 5 * SECOND), DidRequest(0xF190, 0)),
    codes_us=60 * SECOND,
)
STATE = bytes.fromhex("620101") + bytes(range(58))
ANSWERS = {
    "220101": STATE,
    "22f190": b"\x62\xf1\x90LVSHCAMB1CE054249",
    "19028c": b"\x59\x02\xff" + bytes.fromhex("0A801108"),
    "14ffffff": b"\x54",
}


class Unit:
    """A control unit whose transport is can-isotp: an implementation that is not ours."""

    def __init__(self, answer: Callable[[bytes], list[bytes]]) -> None:
        self._inbox: deque[isotp.CanMessage] = deque()
        self._answer = answer
        self.outbox: list[bytes] = []
        self.asked: list[bytes] = []
        address = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=RESPONSE, rxid=REQUEST)
        self._layer = isotp.TransportLayerLogic(
            self._receive,
            lambda message: self.outbox.append(bytes(message.data)),
            address,
            params={"override_receiver_stmin": 0},
        )

    def _receive(self, timeout: float) -> isotp.CanMessage | None:
        del timeout
        return self._inbox.popleft() if self._inbox else None

    def hear(self, can_id: int, data: bytes) -> list[bytes]:
        """Takes a frame in and returns the frames that it calls for."""
        self._inbox.append(isotp.CanMessage(arbitration_id=can_id, data=data, dlc=len(data)))
        self._layer.process()
        while self._layer.available():
            request = bytes(self._layer.recv() or b"")
            self.asked.append(request)
            for each in self._answer(request):
                self._layer.send(each)
            self._layer.process()
        self._layer.process()
        frames, self.outbox = self.outbox, []
        return frames


def client_of(*ecus: Ecu, may_clear: bool = False) -> UdsClient:
    return UdsClient(UdsSection(ecus or (BATTERY,)), may_clear=may_clear)


def talk(client: UdsClient, unit: Unit, until_us: int, start_us: int = 0) -> list[bytes]:
    """Lets both talk, a step a 10 ms; returns the questions that the unit was asked."""
    unit.asked.clear()
    for now_us in range(start_us, until_us, 10_000):
        for can_id, data in client.due(now_us):
            for frame in unit.hear(can_id, data):
                client.heard(RESPONSE, frame, now_us)
    return list(unit.asked)


def answering() -> Unit:
    return Unit(lambda request: [ANSWERS[request.hex()]])


def test_what_a_profile_names_is_asked_at_its_periods_and_what_has_none_once() -> None:
    client = client_of()
    asked = [each.hex() for each in talk(client, answering(), 11 * SECOND)]
    assert asked == ["220101", "22f190", "19028c", "220101", "220101"]
    assert not client.counts


def test_a_long_answer_is_let_go_on_and_heard_to_its_end() -> None:
    client = client_of()
    ((can_id, data),) = client.due(0)
    unit = answering()
    (first,) = unit.hear(can_id, data)
    assert first[0] >> 4 == 1
    client.heard(RESPONSE, first, 1_000)
    assert client.due(2_000) == [(REQUEST, FLOW_CONTROL)]
    assert client.due(3_000) == []
    for frame in unit.hear(REQUEST, FLOW_CONTROL):
        client.heard(RESPONSE, frame, 4_000)
    ((_, following),) = client.due(5_000)
    assert following[:4] == b"\x03\x22\xf1\x90"


def test_the_long_answer_to_another_tester_is_theirs() -> None:
    client = client_of()
    client.due(0)
    client.heard(RESPONSE, b"\x10\x14\x59\x02\xff\x00\x00\x00", 1_000)
    assert client.due(2_000) == []


def test_the_requests_are_those_of_the_standard() -> None:
    asked = [read_did(0xF190), read_codes(), clear_codes()]
    assert [each.payload.hex() for each in asked] == ["22f190", "19028c", "14ffffff"]


# ------------------------------------------------------------------ what goes wrong
def test_a_unit_that_says_later_is_waited_for() -> None:
    client = client_of()
    client.due(0)
    client.heard(RESPONSE, b"\x03\x7f\x22\x78", 1_000)
    assert client.due(PATIENCE_US) == []
    client.heard(RESPONSE, b"\x04\x62\x01\x01\x00", PATIENCE_US + 500)
    assert len(client.due(PATIENCE_US + 1_000)) == 1
    assert not client.counts


def test_a_unit_that_says_later_for_ever_is_given_up() -> None:
    client = client_of()
    client.due(0)
    for number in range(20):
        client.heard(RESPONSE, b"\x03\x7f\x22\x78", number)
    assert client.counts["uds-refused"] == 1


def test_a_refusal_ends_the_question_and_what_is_asked_once_is_not_asked_again() -> None:
    unit = Unit(lambda request: [bytes([0x7F, request[0], 0x31])])
    client = client_of()
    asked = talk(client, unit, 4 * SECOND)
    assert [each.hex() for each in asked] == ["220101", "22f190", "19028c"]
    assert client.counts == {"uds-refused": 3}


def test_a_silent_unit_is_asked_rarely() -> None:
    client = client_of()
    sent = [now for now in range(0, RARELY_US, TIMEOUT_US // 10) if client.due(now)]
    assert len(sent) == MISSES_MAX
    assert client.counts == {"uds-no-answer": MISSES_MAX}
    assert client.due(RARELY_US + MISSES_MAX * TIMEOUT_US)


@pytest.mark.parametrize(
    "answer",
    [
        b"\x62\x01\x02\x00",  # of another identifier
        b"\x59\x02\xff",  # of another service
        b"\x7f\x19\x31",  # a refusal of another service
        b"\x7f",
        b"\x22\x01\x01",
    ],
)
def test_an_answer_to_something_else_is_not_taken(answer: bytes) -> None:
    client = client_of()
    client.due(0)
    client.heard(RESPONSE, bytes([len(answer)]) + answer, 1_000)
    assert client.counts == {"uds-other-answer": 1}
    assert client.due(2_000) == []


def test_another_tester_goes_first() -> None:
    client = client_of()
    client.heard(REQUEST, b"\x02\x10\x03", 0)
    assert client.due(YIELD_US - 1) == []
    assert client.due(YIELD_US)
    assert client.counts == {"uds-other-tester": 1}


def test_nothing_is_asked_while_the_vehicle_sleeps() -> None:
    client = client_of()
    client.pause(paused=True)
    assert client.due(0) == []
    client.pause(paused=False)
    assert client.due(SECOND)


def test_only_ids_of_the_profile_are_claimed() -> None:
    client = client_of()
    assert [client.claims(each) for each in (REQUEST, RESPONSE, 0x7E8)] == [True, True, False]


def test_many_units_do_not_fill_the_bus() -> None:
    dids = tuple(DidRequest(number, SECOND) for number in range(64))
    ecus = [Ecu(f"unit {n}", 0x600 + n, 0x680 + n, dids=dids) for n in range(32)]
    client = client_of(*ecus)
    frames = [frame for now in range(0, SECOND, 1_000) for frame in client.due(now)]
    # 2 % of 500 kbit/s are 10,000 bits: less than a hundred frames of some 130 bits, with the
    # quarter of a second that may be saved up.
    assert 32 <= len(frames) <= 105


def test_fault_codes_may_be_asked_for_at_once() -> None:
    client = client_of(Ecu("battery", REQUEST, RESPONSE))
    client.ask_for_codes()
    assert talk(client, answering(), SECOND) == [b"\x19\x02\x8c"]
    assert client.codes == {"7EC": {"stored": ["P0A80-11"], "pending": []}}
    assert client.is_idle


# ------------------------------------------------------------------ what cannot be said
def test_fault_codes_are_cleared_for_a_technician_only() -> None:
    with pytest.raises(LocalError) as refusal:
        client_of().clear_codes()
    assert refusal.value.code == "uds-refused"
    client = client_of(Ecu("battery", REQUEST, RESPONSE), may_clear=True)
    client.clear_codes()
    assert not client.is_idle
    assert talk(client, answering(), SECOND) == [b"\x14\xff\xff\xff"]
    assert client.cleared == {"7EC"}
    assert client.is_idle


ids = st.integers(0, 0xFFFF)


@given(st.lists(ids, max_size=8), st.lists(st.binary(max_size=8), max_size=30))
def test_whatever_is_answered_only_reading_is_ever_asked(
    dids: list[int], answers: list[bytes]
) -> None:
    ecu = Ecu("x", REQUEST, RESPONSE, dids=tuple(DidRequest(each, 0) for each in dids), codes_us=1)
    client = client_of(ecu)
    for number, answer in enumerate(answers):
        for can_id, data in client.due(number * 50_000):
            assert can_id == REQUEST
            assert data == FLOW_CONTROL or data[1] in {0x19, 0x22}
        client.heard(RESPONSE, answer, number * 50_000)


def test_a_question_is_made_by_its_own_module_only() -> None:
    folder = Path(vehicle_gateway.__file__).parent
    makers = [path.name for path in folder.glob("*.py") if "Question(" in path.read_text()]
    assert makers == ["uds_client.py"]
    assert {each(*args).service for each, args in (
        (read_did, (1,)), (read_codes, ()), (clear_codes, ())
    )} == {0x22, 0x19, 0x14}  # fmt: skip
    assert Question(b"\x22\x00\x01") == read_did(1)
