"""SDT frames and the text of a card: hostile bytes, real layout, numbers judged by three rules."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import PeerError
from edge.ports import Command
from hardware.drivers.clock import SystemClock
from hardware.drivers.id_reader import (
    FIND,
    FrameDecoder,
    IdReader,
    check_digit,
    check_number,
    decode_card,
    encode_card,
    encode_frame,
)
from hardware.drivers.serial_line import SerialLine
from hardware.sim.cards import place_card, villagers
from hardware.sim.id_reader import ReaderEnd

PERSON = villagers("driver", 1)[0]


def test_the_frame_of_find_card_is_that_of_the_interface_description() -> None:
    # GA 450: AA AA AA 96 69, length 00 03, command 20, parameter 01, XOR 22.
    assert encode_frame(FIND) == bytes.fromhex("AAAAAA9669 0003 20 01 22")


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=4), st.integers(1, 7))
def test_frames_survive_any_cutting(bodies: list[bytes], size: int) -> None:
    stream = b"".join(encode_frame(body) for body in bodies)
    decoder, found = FrameDecoder(), list[bytes]()
    for at in range(0, len(stream), size):
        found += decoder.feed(stream[at : at + size])
    assert found == bodies


@given(st.binary(max_size=200))
def test_hostile_bytes_raise_nothing_but_peer_errors(data: bytes) -> None:
    decoder = FrameDecoder()
    for piece in (data, encode_frame(data[:50] or b"x"), data):
        try:
            decoder.feed(piece)
        except PeerError:
            continue


@given(st.binary(min_size=200, max_size=400))
def test_hostile_card_data_raise_nothing_but_peer_errors(data: bytes) -> None:
    with pytest.raises(PeerError):
        decode_card(b"\x01\x00\x04\x00" + data)


def test_noise_before_a_frame_is_passed_over() -> None:
    assert FrameDecoder().feed(b"\x00\xaa\xaa" + encode_frame(b"ok")) == [b"ok"]


def test_a_damaged_frame_is_an_error_and_the_next_one_is_read() -> None:
    decoder, damaged = FrameDecoder(), bytearray(encode_frame(b"one"))
    damaged[8] ^= 0x40
    with pytest.raises(PeerError):
        decoder.feed(bytes(damaged))
    assert decoder.feed(encode_frame(b"two")) == [b"two"]


def test_the_text_of_a_card_is_256_bytes_utf_16_with_fields_at_their_places() -> None:
    data = encode_card(PERSON.card)
    assert data[:4] == bytes.fromhex("0100 0400")
    text = data[4:260]
    assert text[:30].decode("utf-16-le").rstrip() == PERSON.card.name
    assert text[122:158].decode("utf-16-le") == PERSON.card.number
    assert len(data) == 4 + 256 + 1024
    assert decode_card(data) == PERSON.card


def number(first: str) -> str:
    return first + check_digit(first)


def test_the_example_of_the_standard_is_a_number() -> None:
    check_number("11010519491231002X")


def test_a_county_that_is_in_no_table_is_not_refused() -> None:
    check_number(number("99010119520229001"))


BAD = {
    "too short": "11010519491231002",
    "a letter elsewhere": "1101051949123100AX",
    "a small x": "11010519491231002x",
    "a wrong check digit": "110105194912310021",
    "the thirtieth of February": number("11010519490230002"),
    "two digits swapped": "11010519491213002X",
    "figures of another script": "１1010519491231002X",
}


@pytest.mark.parametrize("wrong", BAD.values(), ids=BAD)
def test_what_cannot_be_a_number_is_refused(wrong: str) -> None:
    with pytest.raises(PeerError) as caught:
        check_number(wrong)
    assert caught.value.code == "id-number"


def test_a_card_is_read_over_a_terminal_line_as_over_a_cable(tmp_path: Path) -> None:
    place_card(tmp_path, PERSON.card)
    device, cable = os.openpty()
    line = SerialLine(Path(os.ttyname(cable)))
    done, end = threading.Event(), ReaderEnd(tmp_path)

    def work() -> None:
        os.set_blocking(device, False)
        while not done.wait(0.005):
            try:
                end.write(os.read(device, 4096))
            except BlockingIOError:
                continue
            os.write(device, end.read(0))

    other_side = threading.Thread(target=work)
    other_side.start()
    completion = IdReader(line, SystemClock()).execute(
        Command("r", "id_reader", "read", timeout_ms=5_000)
    )
    done.set()
    other_side.join()
    line.close()
    os.close(device)
    os.close(cable)
    assert completion.result["number"] == PERSON.card.number
