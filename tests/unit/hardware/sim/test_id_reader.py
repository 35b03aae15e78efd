"""The simulated reader through the real driver: frames both ways, cards there or not there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from edge.ports import Command
from hardware.drivers.clock import SystemClock
from hardware.drivers.id_reader import FIND, NO_CARD, READ, FrameDecoder, encode_frame
from hardware.sim.cards import place_card, remove_card, villagers
from hardware.sim.id_reader import CARD_NAME, ReaderEnd, simulated_id_reader

if TYPE_CHECKING:
    from pathlib import Path

READ_NOW = Command("r1", "id_reader", "read", timeout_ms=2_000)
PERSON = villagers("reader", 1)[0]


def test_a_card_that_lies_there_is_read_whole(tmp_path: Path) -> None:
    place_card(tmp_path, PERSON.card)
    completion = simulated_id_reader(tmp_path, SystemClock()).execute(READ_NOW)
    assert completion.status == "ok"
    assert completion.result["name"] == PERSON.card.name
    assert completion.result["number"] == PERSON.card.number
    assert completion.result["nation"] == "汉"


def test_the_same_card_can_be_read_again_without_being_lifted(tmp_path: Path) -> None:
    place_card(tmp_path, PERSON.card)
    reader = simulated_id_reader(tmp_path, SystemClock())
    assert [reader.execute(READ_NOW).status for _ in range(3)] == ["ok"] * 3


def test_a_card_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    hand = threading.Timer(0.1, place_card, (tmp_path, PERSON.card))
    hand.start()
    completion = simulated_id_reader(tmp_path, SystemClock()).execute(READ_NOW)
    hand.join()
    assert completion.result["number"] == PERSON.card.number


def test_no_card_ends_in_a_timeout(tmp_path: Path) -> None:
    command = Command("r1", "id_reader", "read", timeout_ms=90)
    completion = simulated_id_reader(tmp_path, SystemClock()).execute(command)
    assert (completion.status, completion.code) == ("timeout", "timeout")


def test_waiting_can_be_cancelled(tmp_path: Path) -> None:
    reader = simulated_id_reader(tmp_path, SystemClock())
    threading.Timer(0.05, reader.cancel, ("r1",)).start()
    command = Command("r1", "id_reader", "read", timeout_ms=30_000)
    assert reader.execute(command).status == "cancelled"


def test_another_card_is_another_person(tmp_path: Path) -> None:
    reader = simulated_id_reader(tmp_path, SystemClock())
    first, second = villagers("two", 2)
    numbers = []
    for person in (first, second):
        place_card(tmp_path, person.card)
        numbers.append(reader.execute(READ_NOW).result["number"])
    assert numbers == [first.card.number, second.card.number]


def test_presence_follows_the_card(tmp_path: Path) -> None:
    reader = simulated_id_reader(tmp_path, SystemClock())
    ask = Command("p", "id_reader", "present", timeout_ms=500)
    seen = [reader.execute(ask).result["present"]]
    place_card(tmp_path, PERSON.card)
    seen.append(reader.execute(ask).result["present"])
    remove_card(tmp_path)
    seen.append(reader.execute(ask).result["present"])
    assert seen == [False, True, False]


UNREADABLE = {
    "no JSON": b"\xff{",
    "a list": b"[]",
    "a card without a number": b'{"name": "x"}',
    "a nation that is none": b'{"name":"x","sex":"1","nation":"?","birth":"","address":"",'
    b'"number":"","authority":"","valid_from":"","valid_until":""}',
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_a_card_that_cannot_be_read_is_a_fault(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CARD_NAME).write_bytes(content)
    completion = simulated_id_reader(tmp_path, SystemClock()).execute(READ_NOW)
    assert (completion.status, completion.code) == ("fault", "card-unreadable")


def test_the_reader_end_answers_each_frame_and_keeps_silent_on_damage(tmp_path: Path) -> None:
    end = ReaderEnd(tmp_path)
    damaged = bytearray(encode_frame(FIND))
    damaged[-1] ^= 1
    end.write(bytes(damaged))
    assert end.read(0) == b""
    end.write(encode_frame(FIND)[:4])
    end.write(encode_frame(FIND)[4:] + encode_frame(READ))
    assert FrameDecoder().feed(end.read(0)) == [NO_CARD, NO_CARD]
