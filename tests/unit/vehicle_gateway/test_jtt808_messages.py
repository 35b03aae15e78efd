"""Tests of headers and bodies: frames by the standard's tables, of both versions, and hostile ones.

The frames are laid out by hand from the tables of JT/T 808-2013 and -2019; each field has a value
of its own, so that no two can be exchanged unseen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import PeerError
from vehicle_gateway import jtt808_messages as messages
from vehicle_gateway.jtt808_frames import Frames, frame
from vehicle_gateway.jtt808_messages import Assemblies, Message, read_message, write_message

if TYPE_CHECKING:
    from collections.abc import Callable

PLATE = bytes.fromhex("b9f3") + b"A12345"  # 贵A12345 in GBK
REGISTRATION_2013 = (
    "0034 0064"  # province 52, county 100
    + b"70111".hex()
    + b"MODEL-2013".ljust(20, b"\0").hex()
    + b"T000017".hex()
    + "02"
    + PLATE.hex()
)
REGISTRATION_2019 = (
    "0034 0064"
    + b"70111".ljust(11, b"\0").hex()
    + b"MODEL-2019".ljust(30, b"\0").hex()
    + b"T000017".ljust(30, b"\0").hex()
    + "02"
    + PLATE.hex()
)
# id, properties, phone, serial, body: table 2 of 2013.
HEADER_2013 = "0100 002d 013800138000 00a4"
HEADER_2019 = "0100 4054 01 00000000013800138000 00a4"


def message_of(*parts: str) -> Message:
    (content,) = Frames().feed(frame(bytes.fromhex("".join(parts))))
    return read_message(content)


@pytest.mark.parametrize(
    ("header", "body", "is_2019", "model"),
    [
        (HEADER_2013, REGISTRATION_2013, False, "MODEL-2013"),
        (HEADER_2019, REGISTRATION_2019, True, "MODEL-2019"),
    ],
)
def test_a_registration_is_read_as_each_version_lays_it_out(
    header: str, body: str, is_2019: bool, model: str
) -> None:
    message = message_of(header, body)
    assert (message.kind, message.phone, message.serial) == (0x0100, "13800138000", 0xA4)
    assert message.is_2019 is is_2019
    registration = messages.read_registration(message)
    assert registration == messages.Registration("70111", model, "T000017", 2, "贵A12345")
    assert write_message(message) == frame(bytes.fromhex(header + body))


def test_authentication_is_the_code_alone_in_2013_and_has_a_length_in_2019() -> None:
    old = message_of("0102 0005 013800138000 0001", b"45612".hex())
    assert messages.read_code(old) == b"45612"
    body = "05" + b"45612".hex() + b"867959033000000".hex() + "02" + b"V1".hex()
    new = message_of("0102 4018 01 00000000013800138000 0001", body)
    assert messages.read_code(new) == b"45612"


CARD = "01 260315083000 00 04 d5c5c8fd" + b"5226011980".ljust(20, b"\0").hex()
CARD_REST = "06" + b"GY-BUS".hex() + "20301231"


@pytest.mark.parametrize("identity", ["", b"522601198001010011".ljust(20, b"\0").hex()])
def test_a_card_gives_its_certificate_and_nothing_else_of_the_person(identity: str) -> None:
    body = bytes.fromhex(CARD + CARD_REST + identity)
    card = messages.read_card(Message(messages.CARD, "1", 1, body, is_2019=bool(identity)))
    assert card == messages.Card(True, bytes.fromhex("260315083000"), "5226011980")


def test_a_card_that_was_pulled_out_or_not_read_names_nobody() -> None:
    out = messages.read_card(Message(messages.CARD, "1", 1, bytes.fromhex("02 260315120000")))
    assert (out.inserted, out.certificate) == (False, "")
    bad = messages.read_card(Message(messages.CARD, "1", 1, bytes.fromhex("01 260315120000 02")))
    assert (bad.inserted, bad.certificate) == (True, "")


def test_a_batch_gives_its_reports_in_order() -> None:
    body = bytes.fromhex("0002 01 0003 aabbcc 0001 dd")
    message = Message(messages.BATCH, "1", 1, body)
    assert list(messages.read_batch(message)) == [b"\xaa\xbb\xcc", b"\xdd"]


def test_answers_are_laid_out_as_the_standard_says() -> None:
    to = Message(0x0200, "13800138000", 0xEE)
    assert messages.general_answer(to, 3).hex() == "00ee020003"
    assert messages.register_answer(to, 0, "ab12").hex() == "00ee00" + b"ab12".hex()
    part = replace(to, serial=0x10, packages=4, number=4)
    assert messages.resend_request(part, [2, 3]).hex() == "000d0200020003"
    assert messages.resend_request(replace(part, is_2019=True), [2]).hex() == "000d00010002"


@pytest.mark.parametrize(
    "content",
    [
        "0200 0003 013800138000 0001 aabb",  # one byte less than the header says
        "0200 0001 013800138000 0001 aabb",  # one more
        "0200 0002 0138001380fa 0001 aabb",  # a phone that is no number
        "0200 0002 000000000000 0001 aabb",  # and one that is none
        "0200 2002 013800138000 0001 0002 0003 aabb",  # the third of two packages
        "0200 2002 013800138000 0001 0002 0000 aabb",
        "0200 2002 013800138000 0001 ffff 0001 aabb",  # more packages than are put together
        "0200 2000 013800138000 0001 00",  # ends within a number
        "0200 4000 01 0000000001",
    ],
)
def test_a_header_that_cannot_be_is_refused(content: str) -> None:
    with pytest.raises(PeerError) as refused:
        read_message(bytes.fromhex(content))
    assert refused.value.code == "jtt808-header"


def test_an_encrypted_body_is_known_as_such() -> None:
    assert message_of("0200 0402 013800138000 0001 aabb").is_encrypted


# ---------------------------------------------------------------- sub-packages
def parts_of(count: int, serial: int = 0xFFFF, kind: int = 0x0704) -> list[Message]:
    """Sub-packages whose serials run over the end."""
    return [
        Message(
            kind,
            "1",
            (serial + number - 1) & 0xFFFF,
            bytes([number]),
            packages=count,
            number=number,
        )
        for number in range(1, count + 1)
    ]


def test_sub_packages_come_together_in_any_order_and_twice() -> None:
    first, second, third = parts_of(3)
    assemblies = Assemblies()
    assert assemblies.add(third, 0) == []
    assert assemblies.missing(third) == [1, 2]
    assert assemblies.add(third, 1) == []
    assert assemblies.add(first, 2) == []
    assert assemblies.missing(first) == []
    whole = assemblies.add(second, 3)
    assert b"".join(each.body for each in whole) == b"\1\2\3"
    assert not assemblies._open


def test_unfinished_messages_make_room_and_end() -> None:
    assemblies = Assemblies()
    for number in range(10):
        assemblies.add(parts_of(2, serial=10 * number)[0], number)
    assert len(assemblies._open) == messages.ASSEMBLIES_MAX
    assemblies.add(parts_of(2, serial=500)[0], messages.ASSEMBLY_US_MAX + 100)
    assert len(assemblies._open) == 1


# ---------------------------------------------------------------- hostile bytes
READERS = (messages.read_registration, messages.read_code, messages.read_card)


def refusal_of(read: Callable[[], object]) -> str:
    """The code of our error, or nothing; any other error fails the test."""
    try:
        read()
    except PeerError as error:
        return error.code
    return ""


@given(st.binary(max_size=90), st.booleans(), st.sampled_from(READERS))
def test_bodies_raise_nothing_but_our_errors(
    body: bytes, is_2019: bool, reader: Callable[[Message], object]
) -> None:
    message = Message(0x0100, "1", 1, body, is_2019=is_2019)
    assert refusal_of(lambda: reader(message)) in {"", "jtt808-body"}


@given(st.binary(max_size=60))
def test_batches_raise_nothing_but_our_errors(body: bytes) -> None:
    message = Message(0x0704, "1", 1, body)
    code = refusal_of(lambda: list(messages.read_batch(message)))
    assert code in {"", "jtt808-body", "jtt808-header"}


@given(st.binary(max_size=60))
def test_headers_raise_nothing_but_our_errors_and_are_written_as_they_were_read(
    content: bytes,
) -> None:
    code = refusal_of(lambda: read_message(content))
    assert code in {"", "jtt808-header"}
    if not code and len(content) >= 12:
        message = read_message(content)
        assert read_message(Frames().feed(write_message(message))[0]) == message
