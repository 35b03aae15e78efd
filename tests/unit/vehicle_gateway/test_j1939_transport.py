"""Long J1939 messages: put together from what is heard, whatever happens on the way."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.codec import decode, encode
from edge.errors import LocalError
from vehicle_gateway.j1939_ids import GLOBAL
from vehicle_gateway.j1939_transport import (
    ABORT,
    BAM,
    CTS,
    END,
    RTS,
    TRANSFERS_MAX,
    Long,
    Transport,
)

PGN = 0xFECA
MESSAGE = bytes(range(20))
TO_ALL, DIRECT, BACK = (0x21, GLOBAL), (0x21, 0x17), (0x17, 0x21)
MS = 1_000


def control(kind: int, size: int = 0, count: int = 0, pgn: int = PGN) -> bytes:
    size_and_count = size.to_bytes(2, "little") + bytes([count])
    return bytes([kind]) + size_and_count + b"\xff" + pgn.to_bytes(3, "little")


def packets(message: bytes = MESSAGE) -> list[bytes]:
    count = -(-len(message) // 7)
    return [
        bytes([number + 1]) + message[7 * number : 7 * number + 7].ljust(7, b"\xff")
        for number in range(count)
    ]


class Line:
    """A transport and a clock that goes on by 50 ms a frame."""

    def __init__(self) -> None:
        self.transport, self.counts, self.now = Transport(), Counter[str](), 0

    def say(self, pair: tuple[int, int], *payloads: bytes) -> list[Long]:
        whole = []
        for payload in payloads:
            self.now += 50 * MS
            if len(payload) == 8 and payload[0] in (RTS, CTS, END, BAM, ABORT):
                self.transport.announce(pair, self.now, payload, self.counts)
            else:
                found = self.transport.take(pair, 7, self.now, payload, self.counts)
                whole += [] if found is None else [found]
        return whole


@pytest.mark.parametrize("size", [9, 14, 15, 1_785])
def test_a_broadcast_is_whole_with_its_last_packet(size: int) -> None:
    line, message = Line(), bytes(number & 0xFF for number in range(size))
    announced = control(BAM, size, -(-size // 7))
    line.transport.announce(TO_ALL, 0, announced, line.counts)
    whole = [
        found
        for packet in packets(message)
        if (found := line.transport.take(TO_ALL, 3, 10, packet, line.counts)) is not None
    ]
    assert whole == [Long(PGN, 0x21, 3, 10, message)]
    assert not line.counts
    assert line.transport.state() == []


def test_transfers_between_many_are_apart_when_interleaved() -> None:
    line = Line()
    other = bytes(reversed(MESSAGE))
    line.say(TO_ALL, control(BAM, 20, 3))
    line.say(DIRECT, control(RTS, 20, 3))
    line.say((0x21, 0x30), control(RTS, 20, 3, 0xFEEC))
    line.say(BACK, control(CTS, 3))
    whole = []
    for one, two in zip(packets(), packets(other), strict=True):
        whole += line.say(TO_ALL, one) + line.say(DIRECT, two) + line.say((0x21, 0x30), one)
    assert [(long.pgn, long.data) for long in whole] == [
        (PGN, MESSAGE),
        (PGN, other),
        (0xFEEC, MESSAGE),
    ]
    assert not line.counts


def test_a_packet_that_comes_again_or_late_in_order_is_taken() -> None:
    line = Line()
    first, second, third = packets()
    line.say(DIRECT, control(RTS, 20, 3))
    assert line.say(DIRECT, third, first, first) == []
    assert [long.data for long in line.say(DIRECT, second)] == [MESSAGE]
    assert line.counts == {"j1939-tp-repeated-packet": 1}


def test_a_broadcast_that_lost_a_packet_is_given_up_with_its_last() -> None:
    line = Line()
    first, _, third = packets()
    line.say(TO_ALL, control(BAM, 20, 3))
    assert line.say(TO_ALL, first, third) == []
    assert line.counts == {"j1939-tp-lost-packet": 1}
    line.say(TO_ALL, packets()[1])
    assert line.counts["j1939-tp-stray-packet"] == 1


LATE = {
    "a broadcast after 0.75 s": (TO_ALL, BAM, 751 * MS),
    "a transfer between two after 1.25 s": (DIRECT, RTS, 1_251 * MS),
    "a clock that was set back": (DIRECT, RTS, -3_600_000 * MS),
}


@pytest.mark.parametrize("case", LATE)
def test_a_transfer_that_rests_too_long_is_given_up(case: str) -> None:
    pair, kind, gap_us = LATE[case]
    line = Line()
    line.say(pair, control(kind, 20, 3), *packets()[:2])
    line.now += gap_us - 50 * MS
    assert line.say(pair, packets()[2]) == []
    assert line.counts == {"j1939-tp-timeout": 1, "j1939-tp-stray-packet": 1}


def test_a_receiver_that_asks_to_wait_keeps_a_transfer_alive() -> None:
    line = Line()
    line.say(DIRECT, control(RTS, 20, 3), *packets()[:2])
    line.now += 1_000 * MS
    line.say(BACK, control(CTS))
    line.now += 1_000 * MS
    assert len(line.say(DIRECT, packets()[2])) == 1


def test_an_abort_of_either_side_or_an_early_end_gives_it_up() -> None:
    for pair, kind, reason in (
        (BACK, ABORT, "j1939-tp-aborted"),
        (DIRECT, ABORT, "j1939-tp-aborted"),
        (BACK, END, "j1939-tp-lost-packet"),
    ):
        line = Line()
        line.say(DIRECT, control(RTS, 20, 3), packets()[0])
        line.say(pair, control(kind))
        assert line.counts == {reason: 1}
        assert line.transport.state() == []


WRONG = {
    "shorter than a frame": control(RTS, 8, 2),
    "longer than the protocol": control(RTS, 1_786, 256 & 0xFF),
    "more packets than the size takes": control(RTS, 20, 4),
    "one to all, announced to one": control(BAM, 20, 3),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_announcement_of_a_wrong_size_opens_nothing(case: str) -> None:
    line = Line()
    line.say(DIRECT, WRONG[case])
    assert line.counts == {"j1939-tp-wrong-size": 1}
    assert line.transport.state() == []


def test_a_new_announcement_replaces_what_was_under_way() -> None:
    line = Line()
    line.say(TO_ALL, control(BAM, 20, 3), packets()[0], control(BAM, 20, 3))
    assert [long.data for long in line.say(TO_ALL, *packets())] == [MESSAGE]
    assert line.counts == {"j1939-tp-replaced": 1}


def test_a_flood_of_announcements_stays_bounded_and_counted() -> None:
    transport, counts = Transport(), Counter[str]()
    for source in range(254):
        transport.announce((source, 0x17), source, control(RTS, 1_785, 255), counts)
    assert len(transport.state()) == TRANSFERS_MAX
    assert counts == {"j1939-tp-too-many": 254 - TRANSFERS_MAX}
    transport.announce((0, 0x18), 3_000 * MS, control(RTS, 20, 3), counts)
    assert len(transport.state()) == 1
    assert counts["j1939-tp-timeout"] == TRANSFERS_MAX


def test_a_restart_in_the_middle_loses_nothing() -> None:
    line = Line()
    line.say(TO_ALL, control(BAM, 20, 3), *packets()[:2])
    after = Line()
    after.transport.restore(decode(encode(line.transport.state())))
    after.now = line.now
    assert [long.data for long in after.say(TO_ALL, packets()[2])] == [MESSAGE]
    with pytest.raises(LocalError, match="long J1939 messages is damaged"):
        after.transport.restore([[1, 2]])


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, GLOBAL]),
            st.sampled_from([0, 1, GLOBAL]),
            st.integers(-(10**7), 10**7),
            st.sampled_from([RTS, CTS, END, BAM, ABORT, 3]).flatmap(
                lambda kind: st.binary(max_size=9).map(lambda rest: bytes([kind]) + rest)
            )
            | st.binary(max_size=9),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_hostile_frames_never_raise(frames: list[tuple[int, int, int, bytes, bool]]) -> None:
    transport, counts = Transport(), Counter[str]()
    for source, destination, time_us, payload, is_control in frames:
        if is_control:
            transport.announce((source, destination), time_us, payload, counts)
        else:
            found = transport.take((source, destination), 0, time_us, payload, counts)
            assert found is None or len(found.data) >= 9
        transport.restore(decode(encode(transport.state())))
    transport.expire(10**12, counts)
    assert transport.state() == []
