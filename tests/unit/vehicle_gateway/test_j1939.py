"""A J1939 bus: messages by PGN and source, long ones, faults, and only what a profile wants."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalogue import signal
from edge.codec import decode as read
from edge.codec import encode
from edge.columns import decode_columns, encode_columns
from edge.errors import LocalError
from edge.ports import EXTENDED_ID, FrameChunk
from vehicle_gateway.decode import Decoded, Decoder
from vehicle_gateway.j1939 import SNAPSHOTS_MAX, J1939Interpreter
from vehicle_gateway.j1939_ids import destination_of, pgn_of, source_of
from vehicle_gateway.profile import load_profile

if TYPE_CHECKING:
    from pathlib import Path

BUS = load_profile("fms_bus")
STILL, MOVING = "F3000003FF001FFF", "F3002803FF001FFF"


def chunk(*frames: tuple[str, str], start_us: int = 0) -> FrameChunk:
    return FrameChunk(
        [start_us + 10_000 * place for place in range(len(frames))],
        [int(can_id, 16) | EXTENDED_ID for can_id, _ in frames],
        [bytes.fromhex(data) for _, data in frames],
        len(frames),
    )


def values(decoded: Decoded, path: str) -> list[int | None]:
    key = signal(f"Vehicle.{path}").id
    return [each for group in decoded.groups for each in group.series.get(key, [])]


IDS = {
    "PDU2, to all": (0x18FEF127, 0xFEF1, 0x27, 0xFF),
    "PDU1, to one": (0x18EA17F9, 0xEA00, 0xF9, 0x17),
    "the data page is part of it": (0x19F11223, 0x1F112, 0x23, 0xFF),
    "the border of the two formats": (0x00EFAB01, 0xEF00, 0x01, 0xAB),
}


@pytest.mark.parametrize("case", IDS)
def test_an_id_tells_what_by_whom_and_to_whom(case: str) -> None:
    can_id, pgn, source, destination = IDS[case]
    for whole in (can_id | EXTENDED_ID, can_id & 0x03FF_FFFF | EXTENDED_ID):
        found = pgn_of(whole), source_of(whole), destination_of(whole)
        assert found == (pgn, source, destination)


def test_a_message_is_known_by_its_pgn_whatever_priority_it_has() -> None:
    frames = [("18FEF100", STILL), ("0CFEF100", MOVING), ("18FEF100", STILL)]
    decoded = Decoder(BUS).decode(chunk(*frames))
    assert values(decoded, "Speed") == [0, 40 * 256, 0]
    assert [list(group.times_us) for group in decoded.groups] == [[0, 10_000, 20_000]]
    assert not decoded.unknown_frames


def test_two_clocks_and_odometers_are_never_mixed() -> None:
    """As on the recorded bus: the cluster says 2001, the calibrated tachograph 2023."""
    cluster, tachograph = ("18FEE617", "0001080104100000"), ("18FEE6EE", "B407110B77267D7D")
    decoder = Decoder(BUS)
    decoded = decoder.decode(chunk(cluster, tachograph, cluster))
    assert values(decoded, "Private.Clock.Year") == [2023]
    assert decoded.counts["j1939-second-source"] == 2
    assert decoded.counts["j1939-sources-disagree"] == 1
    again = Decoder(BUS)
    again.restore(read(encode(decoder.state())))
    assert values(again.decode(chunk(cluster)), "Private.Clock.Year") == []


def test_codes_that_are_no_value_are_absence_and_counted() -> None:
    decoded = Decoder(BUS).decode(chunk(("18FEF100", "FFFFFFFFFFFFFFFF")))
    assert not decoded.groups
    assert decoded.counts == {"j1939-not-available": 9}


def test_an_enumeration_is_its_listed_codes() -> None:
    frames = [("18FE4EEC", f"0{code:X}FFFFFFFFFFFFFF") for code in (0, 1, 2, 3, 14, 15)]
    decoded = Decoder(BUS).decode(chunk(*frames))
    assert values(decoded, "Private.Door.Any.IsOpen") == [1, 1, 0, None, None, None]
    assert decoded.counts == {"unlisted-code": 1, "j1939-error": 1, "j1939-not-available": 1}


def test_a_gear_may_be_park() -> None:
    decoded = Decoder(BUS).decode(chunk(("0CF00503", "FBFFFF7DFFFFFFFF")))
    assert values(decoded, "Powertrain.Transmission.SelectedGear") == [126]
    assert values(decoded, "Powertrain.Transmission.CurrentGear") == [0]


BELT = [("18E0FF31", "FFFFFF7FFFFFFFFF"), ("18E00031", "FFFFFF3FFFFFFFFF")]


def test_a_message_to_one_and_to_all_is_the_same() -> None:
    decoded = Decoder(BUS).decode(chunk(*BELT))
    assert values(decoded, "Cabin.Seat.Row1.DriverSide.IsBelted") == [1, 0]


def long(pgn: int, data: bytes, source: int = 0x17) -> list[tuple[str, str]]:
    count = -(-len(data) // 7)
    head = bytes([32]) + len(data).to_bytes(2, "little") + bytes([count, 0xFF])
    frames = [(f"1CECFF{source:02X}", (head + pgn.to_bytes(3, "little")).hex())]
    for number in range(count):
        part = data[7 * number : 7 * number + 7].ljust(7, b"\xff")
        frames.append((f"1CEBFF{source:02X}", (bytes([number + 1]) + part).hex()))
    return frames


def test_a_long_message_is_read_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "long.dbc").write_text(
        'VERSION ""\nBU_: A\nBO_ 2566841342 EC1: 40 A\n'
        ' SG_ SpeedAtPoint5 : 96|16@1+ (0.125,0) [0|0] "rpm" A\n'
    )
    (tmp_path / "long.toml").write_text(
        'title = "long"\ndbc = ["long.dbc"]\n[j1939]\n'
        '[messages.EC1]\nSpeedAtPoint5 = "Vehicle.OBD.EngineSpeed"\n'
    )
    decoder = Decoder(load_profile(str(tmp_path / "long.toml")))
    frames = long(0xFEE3, bytes(12) + (16_000).to_bytes(2, "little") + bytes(26))
    first = decoder.decode(chunk(*frames[:3]))
    assert not first.groups
    second = decoder.decode(chunk(*frames[3:], start_us=30_000))
    assert values(second, "OBD.EngineSpeed") == [16_000]
    assert second.groups[0].times_us == [10_000 * (len(frames) - 1)]
    other = decoder.decode(chunk(*long(0xFEE4, bytes(9)), start_us=100_000))
    assert other.counts == {"j1939-tp-unknown-group": 1}


NONE, ONE = "00FF00000000FFFF", "04FFB804030AFFFF"
DM1 = "18FECA00"
SECOND_US = 1_000_000


def test_faults_are_told_when_they_change_and_every_ten_minutes() -> None:
    decoder, told = Decoder(BUS), []
    for second in range(0, 1_300, 10):
        data = ONE if 20 <= second < 1_000 else NONE
        found = decoder.decode(chunk((DM1, data), (DM1, data), start_us=second * SECOND_US))
        told += [(second, each["codes"]) for each in found.snapshots]
        after = Decoder(BUS)
        after.restore(read(encode(decoder.state())))
        decoder = after
    one = ["SPN 1208 FMI 3 OC 10"]
    assert told == [(20, one), (620, one), (1_000, [])]


def test_a_vehicle_says_its_number_once_and_never_in_clear() -> None:
    decoder = Decoder(BUS)
    frames = long(0xFEEC, b"WDB9634031L123456*")
    decoded = decoder.decode(chunk(*frames, *frames))
    assert [each["kind"] for each in decoded.snapshots] == ["vehicle-identity"]
    assert b"WDB9634" not in encode([dict(decoded.snapshots[0]), decoder.state()])


def test_a_unit_whose_faults_change_with_every_message_is_cut_short() -> None:
    frames = [(DM1, f"04FF{number:02X}01030AFFFF") for number in range(100)]
    decoded = Decoder(BUS).decode(chunk(*frames))
    assert len(decoded.snapshots) == SNAPSHOTS_MAX
    assert decoded.counts == {"j1939-snapshots-cut": 100 - SNAPSHOTS_MAX}


def test_address_claims_are_counted_and_nobody_is_answered() -> None:
    decoded = Decoder(BUS).decode(chunk(("18EEFF17", "0102030405060708")))
    assert decoded.counts == {"j1939-address-claim": 1}


def test_what_a_profile_does_not_want_is_unmapped_or_unknown() -> None:
    decoded = Decoder(BUS).decode(chunk(("18FEE017", "00" * 8), ("18FFAF21", "00" * 8)))
    assert decoded.counts == {"unmapped-frame": 1}
    assert decoded.unknown_frames == 1


def test_two_messages_of_one_group_are_refused(tmp_path: Path) -> None:
    (tmp_path / "two.dbc").write_text(
        'VERSION ""\nBU_: A\nBO_ 2566844926 one: 8 A\n SG_ a : 0|8@1+ (1,0) [0|0] "" A\n\n'
        'BO_ 2566844672 two: 8 A\n SG_ a : 0|8@1+ (1,0) [0|0] "" A\n'
    )
    (tmp_path / "two.toml").write_text(
        'title = "two"\ndbc = ["two.dbc"]\n[j1939]\n'
        '[messages.one]\na = "Vehicle.Speed"\n[messages.two]\na = "Vehicle.Speed"\n'
    )
    with pytest.raises(LocalError, match="two messages of PGN 65265"):
        Decoder(load_profile(str(tmp_path / "two.toml")))


@pytest.mark.parametrize(
    "state", [{"groups": {"x": [1, None]}}, {"groups": {"1": [1]}}, {"groups": 3}, {"faulty": 3}]
)
def test_a_damaged_state_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(LocalError, match="J1939 state is damaged"):
        J1939Interpreter({}).restore(state)


GROUPS = ["FEF1", "F004", "FECA", "FECB", "FEEC", "EBFF", "ECFF", "EB17", "EC17", "EEFF", "FDA5"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(GROUPS), st.integers(0, 3), st.binary(max_size=9), st.integers(0, 10**7)
        ),
        min_size=1,
        max_size=40,
    )
)
def test_hostile_frames_become_columns_that_can_be_sent(
    frames: list[tuple[str, int, bytes, int]],
) -> None:
    decoder = Decoder(BUS)
    window = FrameChunk(
        [time_us for *_, time_us in frames],
        [int(f"18{pgn}{source:02X}", 16) | EXTENDED_ID for pgn, source, *_ in frames],
        [payload for _, _, payload, _ in frames],
        len(frames),
    )
    for _ in range(2):
        decoded = decoder.decode(window)
        assert len(decode_columns(encode_columns(decoded.groups, 0))) == len(decoded.groups)
        encode([dict(each) for each in decoded.snapshots])
        decoder.restore(read(encode(decoder.state())))


def test_the_wishes_of_a_profile_are_checked(tmp_path: Path) -> None:
    text = 'title = "x"\ndbc = []\n[messages.m]\na = "Vehicle.Speed"\n[j1939]\n'
    for wish in (
        'specific = ["m.b"]',
        "sources = {n = [1]}",
        "sources = {m = [254]}",
        "more = 1",
    ):
        (tmp_path / "x.toml").write_text(text + wish)
        with pytest.raises(LocalError, match="lacks or misspells"):
            load_profile(str(tmp_path / "x.toml"))
    (tmp_path / "x.toml").write_text(text + 'specific = ["m.a"]\nsources = {m = [0, 0xFD]}')
    section = load_profile(str(tmp_path / "x.toml")).j1939
    assert section is not None
    assert section.sources == {"m": (0, 0xFD)}
    assert Counter(section.specific) == {"m.a": 1}
