"""Messages come together as they were sent, and nothing else does."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import isotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.codec import decode, encode
from edge.errors import LocalError
from vehicle_gateway.isotp import (
    HELD_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    TIMEOUT_US,
    TRANSFERS_MAX,
    Reassembler,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Iterable

ECU, OTHER = 0x7EC, 0x7BB
HELLO = b"\x62\xf1\x90LVSHCAMB1CE054249"


def sent(message: bytes, frame_bytes: int = 8) -> list[bytes]:
    """Splits a message as can-isotp sends it: an implementation that is not ours."""
    queue: list[isotp.CanMessage] = []
    flow = [isotp.CanMessage(arbitration_id=2, data=b"\x30\x00\x00", dlc=3)]

    def receive(timeout: float) -> isotp.CanMessage | None:
        del timeout
        return flow.pop() if queue and flow else None

    address = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=1, rxid=2)
    params = {"tx_data_length": frame_bytes, "tx_padding": 0xAA, "can_fd": frame_bytes > 8}
    layer = isotp.TransportLayerLogic(receive, queue.append, address, params=params)
    layer.send(message)
    while layer.transmitting() or not queue:
        layer.process()
    return [bytes(each.data) for each in queue]


def hear(
    frames: Iterable[bytes], into: Reassembler | None = None, *, can_id: int = ECU, step_us: int = 1
) -> tuple[list[bytes], dict[str, int]]:
    """Feeds frames one after another; returns the messages and the counts."""
    reassembler = into or Reassembler()
    told = [reassembler.feed(can_id, at * step_us, each) for at, each in enumerate(frames)]
    return [each for each in told if each is not None], dict(reassembler.counts)


@pytest.mark.parametrize("frame_bytes", [8, 12, 64])
@pytest.mark.parametrize("length", [1, 7, 8, 62, 63, 120, 4095, 4096, 20_000])
def test_what_can_isotp_sends_is_heard_whole(length: int, frame_bytes: int) -> None:
    message = bytes(at * 7 & 0xFF for at in range(length))
    assert hear(sent(message, frame_bytes)) == ([message], {})


@given(st.binary(min_size=1, max_size=300), st.sampled_from([8, 16, 64]))
def test_any_message_comes_out_as_it_went_in(message: bytes, frame_bytes: int) -> None:
    assert hear(sent(message, frame_bytes))[0] == [message]


def test_messages_of_two_ids_may_interleave() -> None:
    reassembler, got = Reassembler(), {}
    for at, (one, two) in enumerate(zip(sent(HELLO), sent(HELLO[::-1]), strict=True)):
        got[ECU] = reassembler.feed(ECU, at, one)
        got[OTHER] = reassembler.feed(OTHER, at, two)
    assert got == {ECU: HELLO, OTHER: HELLO[::-1]}
    assert not reassembler.counts


LONG = bytes(range(200))
FRAMES = sent(LONG)
BAD = {
    "a lost frame ends its message": (FRAMES[:5] + FRAMES[6:], "isotp-out-of-order"),
    "a frame out of order ends its message": (
        [*FRAMES[:4], FRAMES[5], FRAMES[4], *FRAMES[6:]],
        "isotp-out-of-order",
    ),
    "a consecutive frame without a first is nothing": (FRAMES[1:2], "isotp-no-first"),
    "an empty frame is nothing": ([b""], "isotp-length"),
    "a single frame without data is nothing": ([bytes(8)], "isotp-length"),
    "a single frame that claims more than it has is nothing": ([b"\x07\x62"], "isotp-length"),
    "a long frame with a short length is nothing": ([b"\x07" + bytes(11)], "isotp-length"),
    "a long frame that claims more than it has is nothing": (
        [b"\x00\x0b" + bytes(10)],
        "isotp-length",
    ),
    "a first frame for what fits a single one is nothing": (
        [b"\x10\x07" + LONG[:6]],
        "isotp-length",
    ),
    "a first frame that is not full is nothing": ([b"\x10\x14\x01\x02"], "isotp-length"),
    "a first frame of one byte is nothing": ([b"\x10"], "isotp-length"),
    "an escape for a short length is nothing": (
        [b"\x10\x00\x00\x00\x0f\xff\x01\x02"],
        "isotp-length",
    ),
    "four gigabytes are not waited for": (
        [b"\x10\x00\xff\xff\xff\xff\x01\x02"],
        "isotp-too-long",
    ),
    "an unknown frame is nothing": ([b"\x40\x01"], "isotp-unknown-frame"),
    "a consecutive frame that is too short ends its message": (
        [FRAMES[0], FRAMES[1][:5]],
        "isotp-length",
    ),
}


@pytest.mark.parametrize("claim", BAD)
def test_what_is_odd_is_counted(claim: str) -> None:
    frames, reason = BAD[claim]
    messages, counts = hear(frames)
    assert messages == []
    assert counts[reason] >= 1


def test_a_frame_that_comes_twice_is_taken_once() -> None:
    frames = [*FRAMES[:4], FRAMES[3], *FRAMES[4:]]
    assert hear(frames) == ([LONG], {"isotp-repeated": 1})


def test_a_new_message_takes_the_place_of_one_under_way() -> None:
    assert hear([*FRAMES[:3], *FRAMES]) == ([LONG], {"isotp-overlapped": 1})
    assert hear([FRAMES[0], b"\x02\x50\x01"]) == ([b"\x50\x01"], {"isotp-overlapped": 1})


def test_flow_control_is_heard_and_means_nothing() -> None:
    assert hear([FRAMES[0], b"\x30\x00\x00", *FRAMES[1:]]) == ([LONG], {})


def test_a_message_that_rests_too_long_is_given_up() -> None:
    assert hear(FRAMES, step_us=TIMEOUT_US) == ([LONG], {})
    messages, counts = hear(FRAMES[:2], step_us=TIMEOUT_US + 1)
    assert (messages, counts) == ([], {"isotp-timeout": 1})
    assert hear([FRAMES[0], *FRAMES[:1]], step_us=TIMEOUT_US + 1)[1] == {"isotp-timeout": 1}


def test_a_clock_that_goes_back_does_not_break_a_message() -> None:
    assert hear(FRAMES, step_us=-1_000_000_000) == ([LONG], {})


# ------------------------------------------------------------------ floods
def test_first_frames_of_many_ids_keep_a_bounded_number() -> None:
    reassembler = Reassembler()
    for can_id in range(5_000):
        reassembler.feed(can_id, can_id, FRAMES[0])
    assert len(reassembler.state()["open"]) == TRANSFERS_MAX
    assert reassembler.counts["isotp-crowded"] == 5_000 - TRANSFERS_MAX


def test_the_newest_message_survives_a_flood() -> None:
    reassembler = Reassembler()
    for can_id in range(1_000):
        reassembler.feed(can_id, can_id, FRAMES[0])
    assert hear(FRAMES, reassembler)[0] == [LONG]


def held_bytes(reassembler: Reassembler) -> int:
    return sum(len(row[6]) for row in reassembler.state().get("open", []))


def test_floods_of_64_kilobytes_hold_no_more_than_the_limit() -> None:
    reassembler, most = Reassembler(), 0
    first = b"\x10\x00" + MESSAGE_BYTES_MAX.to_bytes(4, "big") + bytes(58)
    for can_id in range(20):
        reassembler.feed(can_id, 0, first)
    for number in range(1, 900):
        for can_id in range(20):
            reassembler.feed(can_id, number, bytes([0x20 | number & 0xF]) + bytes(63))
        most = max(most, held_bytes(reassembler))
    assert HELD_BYTES_MAX - 64 * 64 < most <= HELD_BYTES_MAX
    assert reassembler.counts["isotp-crowded"] >= 18


def test_a_message_of_64_kilobytes_is_taken() -> None:
    message = bytes(MESSAGE_BYTES_MAX)
    assert hear(sent(message, 64)) == ([message], {})


# ------------------------------------------------------------------ restart
@pytest.mark.parametrize("cut", [1, 4, len(FRAMES) - 1])
def test_a_message_goes_on_after_a_restart(cut: int) -> None:
    before, after = Reassembler(), Reassembler()
    assert hear(FRAMES[:cut], before) == ([], {})
    after.restore(decode(encode(before.state())))
    assert hear(FRAMES[cut:], after) == ([LONG], {})
    assert after.state() == {}


@pytest.mark.parametrize("state", [{"open": 3}, {"open": [[1, 2]]}, {"open": [["x"] * 7]}, []])
def test_a_damaged_state_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(LocalError):
        Reassembler().restore(state)


def test_another_source_starts_with_nothing_under_way() -> None:
    reassembler = Reassembler()
    hear(FRAMES[:3], reassembler)
    reassembler.forget()
    assert hear(FRAMES[3:4], reassembler)[1] == {"isotp-no-first": 1}


def test_counts_are_moved_on_once() -> None:
    reassembler, counts = Reassembler(), Counter({"isotp-length": 1})
    hear([b""], reassembler)
    reassembler.drain(counts)
    reassembler.drain(counts)
    assert counts == {"isotp-length": 2}


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=64)), max_size=40))
def test_no_bytes_raise(frames: list[tuple[int, bytes]]) -> None:
    reassembler = Reassembler()
    for at, (can_id, payload) in enumerate(frames):
        message = reassembler.feed(can_id, at, payload)
        assert message is None or len(message) <= MESSAGE_BYTES_MAX
