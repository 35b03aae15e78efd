"""Tests of a connection's rules on hostile bytes, sub-packages and what is never acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from vehicle_gateway.jtt808_frames import Frames, frame
from vehicle_gateway.jtt808_messages import Message, read_message, write_message
from vehicle_gateway.jtt808_session import Session

if TYPE_CHECKING:
    from vehicle_gateway.jtt808_messages import Registration

PHONE = "13800138000"
REPORT = bytes.fromhex("00000000000000030195 8df4065c6d7804d801f4010e260302083000")


class OneCode:
    """A register of one terminal and one code."""

    def admit(self, phone: str, registration: Registration) -> str | None:
        del registration
        return "code" if phone == PHONE else None

    def verify(self, phone: str, code: bytes) -> bool:
        return (phone, code) == (PHONE, b"code")

    def withdraw(self, phone: str) -> None:
        del phone


def trusted() -> Session:
    session = Session(OneCode(), 0)
    assert session.feed(write_message(Message(0x0102, PHONE, 1, b"code")), 0).trusted == PHONE
    return session


def answers(content: bytes) -> list[tuple[int, str]]:
    """Kind and body of each answer."""
    found = [read_message(each) for each in Frames().feed(content)]
    return [(each.kind, each.body.hex()) for each in found]


def test_sub_packages_are_acknowledged_each_once_the_whole_is_there() -> None:
    session = trusted()
    item = len(REPORT).to_bytes(2, "big") + REPORT
    body = bytes.fromhex("0002 01") + item + item
    pieces = [body[:20], body[20:40], body[40:]]
    parts = [
        Message(0x0704, PHONE, 10 + at, piece, packages=3, number=at + 1)
        for at, piece in enumerate(pieces)
    ]
    heard = session.feed(write_message(parts[0]) + write_message(parts[2]), 1)
    assert not heard.deliveries
    assert answers(heard.answers[0]) == [(0x8003, "000a010002")]
    (delivery,) = session.feed(write_message(parts[1]), 2).deliveries
    assert delivery.reports == (REPORT, REPORT)
    told = answers(session.acknowledge(delivery))
    assert told == [(0x8001, f"{serial:04x}070400") for serial in (10, 11, 12)]


def test_a_damaged_report_costs_its_batch_nothing_else() -> None:
    session = trusted()
    body = bytes.fromhex("0002 01 0003 aabbcc") + len(REPORT).to_bytes(2, "big") + REPORT
    (delivery,) = session.feed(write_message(Message(0x0704, PHONE, 2, body)), 0).deliveries
    assert delivery.reports == (REPORT,)
    assert session.counts["jtt808-report"] == 1


def test_encrypted_bodies_and_strangers_are_refused() -> None:
    session = trusted()
    heard = session.feed(write_message(Message(0x0200, PHONE, 2, REPORT, is_encrypted=True)), 0)
    assert answers(heard.answers[0]) == [(0x8001, "0002020003")]
    stranger = Session(OneCode(), 0).feed(write_message(Message(0x0200, PHONE, 2, REPORT)), 0)
    assert answers(stranger.answers[0]) == [(0x8001, "0002020001")]
    assert not stranger.deliveries


def test_another_phone_ends_the_connection() -> None:
    heard = trusted().feed(write_message(Message(0x0002, "13900139000", 2)), 0)
    assert heard.close == "jtt808-other-phone"


KINDS = st.sampled_from([*range(0x0001, 0x0006), 0x0100, 0x0102, 0x0200, 0x0702, 0x0704, 0x0900])
MESSAGES = st.builds(
    Message,
    kind=KINDS,
    phone=st.just(PHONE),
    serial=st.integers(0, 0xFFFF),
    body=st.binary(max_size=70),
    is_2019=st.booleans(),
    is_encrypted=st.booleans(),
).map(write_message)


@given(st.lists(MESSAGES | st.binary(max_size=40) | st.binary(max_size=50).map(frame), max_size=15))
def test_hostile_bytes_raise_nothing_and_deliver_only_what_can_be_read(
    pieces: list[bytes],
) -> None:
    session = trusted()
    for piece in pieces:
        heard = session.feed(piece, 0)
        for each in heard.answers:
            assert answers(each)[0][0] in {0x8001, 0x8003, 0x8100}
        for delivery in heard.deliveries:
            assert delivery.messages
            assert all(body for body in delivery.reports)
        if heard.close:
            return
