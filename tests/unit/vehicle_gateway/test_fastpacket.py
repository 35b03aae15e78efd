"""Fast packets come together per group, sender and sequence, and nothing else does."""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalogue import signal
from edge.codec import decode, encode
from edge.errors import LocalError
from edge.ports import EXTENDED_ID, FrameChunk
from vehicle_gateway.decode import Decoder
from vehicle_gateway.fastpacket import PACKETS_MAX, TIMEOUT_US, FastPackets
from vehicle_gateway.profile import load_profile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GNSS = EXTENDED_ID | 0x0DF8_0523
# One second of a recorded receiver, as packets of 43 bytes: 42.66101, -81.2127566, 173.5 m.
POSITION = bytes.fromhex(
    "881749e80ddf200008182ca09feb050074441448bebaf46066570a0000000023fc0a6400a000b8f2ffff00"
)
ABSENT = bytes(7) + (b"\xff" * 7 + b"\x7f") * 3 + POSITION[31:34] + b"\xff\x7f" + POSITION[36:]


def sent(data: bytes, sequence: int = 0) -> list[bytes]:
    """Splits a packet as the standard draws it."""
    rest = [data[at : at + 7] for at in range(6, len(data), 7)]
    head = sequence << 5
    return [bytes([head, len(data)]) + data[:6]] + [
        bytes([head | number]) + part.ljust(7, b"\xff") for number, part in enumerate(rest, 1)
    ]


def hear(
    frames: Sequence[bytes], into: FastPackets | None = None, *, step_us: int = 1
) -> tuple[list[bytes], dict[str, int]]:
    packets = into or FastPackets()
    told = [packets.feed(GNSS, at * step_us, each) for at, each in enumerate(frames)]
    return [each for each in told if each is not None], dict(packets.counts)


@given(st.binary(min_size=1, max_size=223), st.integers(0, 7))
def test_any_packet_comes_out_as_it_went_in(data: bytes, sequence: int) -> None:
    assert hear(sent(data, sequence)) == ([data], {})


def test_two_sequences_and_two_senders_may_interleave() -> None:
    packets = FastPackets()
    plans = [(GNSS, 1, POSITION), (GNSS, 2, POSITION[::-1]), (GNSS + 1, 1, POSITION * 2)]
    lines = [[(can_id, each) for each in sent(data, seq)] for can_id, seq, data in plans]
    order = [each for turn in zip_longest(*lines) for each in turn if each is not None]
    got = [packets.feed(can_id, at, frame) for at, (can_id, frame) in enumerate(order)]
    assert [each for each in got if each] == [POSITION, POSITION[::-1], POSITION * 2]
    assert not packets.counts


FRAMES = sent(POSITION)
BAD = {
    "a lost frame ends its packet": (FRAMES[:3] + FRAMES[4:], "fastpacket-out-of-order"),
    "a frame without a first is nothing": (FRAMES[1:2], "fastpacket-no-first"),
    "an empty frame is nothing": ([b""], "fastpacket-length"),
    "a packet of no bytes is nothing": ([b"\x00\x00" + bytes(6)], "fastpacket-length"),
    "a packet of more than 223 bytes is nothing": ([b"\x00\xff" + bytes(6)], "fastpacket-length"),
    "a first frame that is not full is nothing": ([FRAMES[0][:6]], "fastpacket-length"),
    "a frame that is not full ends its packet": ([FRAMES[0], FRAMES[1][:6]], "fastpacket-length"),
    "a new packet ends one under way": ([FRAMES[0], FRAMES[0]], "fastpacket-lost"),
}


@pytest.mark.parametrize("claim", BAD)
def test_what_is_odd_is_counted(claim: str) -> None:
    frames, reason = BAD[claim]
    messages, counts = hear(frames)
    assert messages == []
    assert counts[reason] >= 1


def test_a_frame_that_comes_twice_is_taken_once() -> None:
    assert hear([*FRAMES[:3], FRAMES[2], *FRAMES[3:]]) == ([POSITION], {"fastpacket-repeated": 1})


def test_a_packet_that_rests_too_long_is_given_up() -> None:
    assert hear(FRAMES, step_us=TIMEOUT_US) == ([POSITION], {})
    assert hear(FRAMES[:2], step_us=TIMEOUT_US + 1) == ([], {"fastpacket-timeout": 1})


def test_a_flood_of_senders_keeps_a_bounded_number() -> None:
    packets = FastPackets()
    for sender in range(1_000):
        packets.feed(GNSS + sender, 0, FRAMES[0])
    assert len(packets.state()["open"]) == PACKETS_MAX
    assert packets.counts["fastpacket-crowded"] == 1_000 - PACKETS_MAX
    assert hear(FRAMES, packets)[0] == [POSITION]


def test_a_packet_goes_on_after_a_restart() -> None:
    before, after = FastPackets(), FastPackets()
    hear(FRAMES[:3], before)
    after.restore(decode(encode(before.state())))
    assert hear(FRAMES[3:], after) == ([POSITION], {})


@pytest.mark.parametrize("state", [{"open": 3}, {"open": [[1]]}, {"open": [["x"] * 7]}, []])
def test_a_damaged_state_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(LocalError):
        FastPackets().restore(state)


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_no_bytes_raise(frames: list[bytes]) -> None:
    for message in hear(frames)[0]:
        assert 0 < len(message) <= 223


# ------------------------------------------------------------------ as an interpreter
def decoded(data: bytes, can_id: int = GNSS) -> tuple[dict[str, list[int | None]], Counter[str]]:
    frames = sent(data)
    chunk = FrameChunk(list(range(len(frames))), [can_id] * len(frames), frames, len(frames))
    result = Decoder(load_profile("nmea2000")).decode(chunk)
    paths = {
        signal(to.path).id: name
        for name, to in load_profile("nmea2000").messages["gnss_position_data"].targets.items()
    }
    found = {
        paths[key]: list(values) for group in result.groups for key, values in group.series.items()
    }
    return found, Counter(result.counts)


def test_a_position_is_read_from_its_packet_whoever_sends_it() -> None:
    expected = {
        "Latitude": [42_661_010],
        "Longitude": [-81_212_757],
        "Altitude": [1_735],
        "Satellites": [10],
        "Hdop": [100],
    }
    assert decoded(POSITION)[0] == expected
    assert decoded(POSITION, GNSS ^ 0x0400_0042)[0] == expected


def test_what_is_not_available_is_absence() -> None:
    found, counts = decoded(ABSENT)
    assert found.pop("Satellites") == [10]
    assert {value for values in found.values() for value in values} == {None}
    assert counts["not-available"] == 4


def test_another_group_is_not_claimed() -> None:
    assert decoded(POSITION, EXTENDED_ID | 0x0DF8_0623)[0] == {}


def test_a_packet_that_is_too_short_is_counted() -> None:
    found, counts = decoded(POSITION[:20])
    assert found == {}
    assert counts["short-payload"] == 1


def test_a_position_is_whole_over_a_restart_of_the_box() -> None:
    frames, profile = sent(POSITION), load_profile("nmea2000")
    before, after = Decoder(profile), Decoder(profile)
    before.decode(FrameChunk([1, 2], [GNSS] * 2, frames[:2], 2))
    after.restore(decode(encode(before.state())))
    rest = frames[2:]
    (group,) = after.decode(FrameChunk([3] * len(rest), [GNSS] * len(rest), rest, 7)).groups
    assert list(group.times_us) == [3]


def test_a_short_field_is_an_enumeration_without_reserved_codes(tmp_path: Path) -> None:
    dbc = (
        'VERSION ""\nBU_: A\nBO_ 2583168510 own: 8 A\n'
        ' SG_ Short : 0|3@1+ (1,0) [0|0] "" A\n SG_ Long : 8|4@1+ (1,0) [0|0] "" A\n'
    )
    (tmp_path / "own.dbc").write_text(dbc)
    path = tmp_path / "own.toml"
    path.write_text(
        'title = "x"\ndbc = ["own.dbc"]\n[nmea2000]\nmessages = ["own"]\n[messages.own]\n'
        'Short = "Vehicle.Private.GNSS.FixType"\nLong = "Vehicle.Private.GNSS.Satellites"\n'
    )
    frames = sent(b"\xff" * 8)
    chunk = FrameChunk([1, 2], [GNSS] * 2, frames, 2)
    (group,) = Decoder(load_profile(str(path))).decode(chunk).groups
    assert sorted(map(str, group.series.values())) == ["[7]", "[None]"]
    path.write_text(path.read_text().replace("Long", "Wrong"))
    with pytest.raises(LocalError) as refusal:
        Decoder(load_profile(str(path)))
    assert refusal.value.code == "dbc-signal"
