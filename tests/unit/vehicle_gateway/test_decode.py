"""Frames to columns: what is known gives samples, everything else a count, nothing raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalogue import signal
from edge.columns import decode_columns, encode_columns
from edge.errors import LocalError
from edge.ports import EXTENDED_ID, FrameChunk
from vehicle_gateway.decode import Decoded, Decoder
from vehicle_gateway.profile import load_profile, profile_names

if TYPE_CHECKING:
    from pathlib import Path

Frame = tuple[int, str]

# Frames of the recorded car, and what cantools makes of them.
STATUS, POSITION = (1, "7B"), (3, "1D99639142336A05")
ALTITUDE, IMU = (4, "0FD91100"), (9, "95A44F410202B07F")
NO_FIX = (1, "00")
LOST = (4, (1 | (-5_400 + 6_000) * 10 << 1).to_bytes(4, "little").hex())
BOX = load_profile()


def chunk(*frames: Frame) -> FrameChunk:
    return FrameChunk(
        [1_000_000 + 10_000 * place for place in range(len(frames))],
        [can_id for can_id, _ in frames],
        [bytes.fromhex(data) for _, data in frames],
        len(frames),
    )


def values(decoded: Decoded) -> dict[str, list[int | None]]:
    """VSS path below `Vehicle.` → values."""
    names = {
        signal(to.path).id: to.path.removeprefix("Vehicle.")
        for each in BOX.messages.values()
        for to in each.targets.values()
    }
    return {
        names[key]: list(column)
        for group in decoded.groups
        for key, column in group.series.items()
        if key in names
    }


def test_one_group_per_message_shares_the_times_of_its_frames() -> None:
    decoded = Decoder(BOX).decode(chunk(STATUS, IMU, POSITION, IMU, IMU))
    assert [list(group.times_us) for group in decoded.groups] == [
        [1_000_000],
        [1_010_000, 1_030_000, 1_040_000],
        [1_020_000],
    ]
    assert (decoded.frames, decoded.unknown_frames, decoded.samples) == (5, 0, 2 + 18 + 3)


def test_values_are_integers_of_the_data_catalogue() -> None:
    found = values(Decoder(BOX).decode(chunk(STATUS, POSITION, ALTITUDE)))
    assert found == {
        "Private.GNSS.FixType": [3],
        "Private.GNSS.Satellites": [15],
        "CurrentLocation.Latitude": [55_869_966],
        "CurrentLocation.Longitude": [9_897_236],
        "CurrentLocation.HorizontalAccuracy": [1],
        "CurrentLocation.Altitude": [551],
    }


def test_the_axes_of_the_module_become_those_of_the_vehicle() -> None:
    word = int.from_bytes(bytes.fromhex(IMU[1]), "little")
    x, y, z = ((word >> shift & 0x3FF) - 512 for shift in (1, 11, 21))
    found = values(Decoder(BOX).decode(chunk(IMU)))
    assert found["Acceleration.Vertical"] == [x]
    assert found["Acceleration.Longitudinal"] == [-y]
    assert found["Acceleration.Lateral"] == [-z]
    assert x == 74  # 9.25 m/s^2: the axis that gravity acts on


def test_a_position_without_a_fix_is_absent_although_it_is_flagged_valid() -> None:
    decoder = Decoder(BOX)
    decoded = decoder.decode(chunk(NO_FIX, POSITION, LOST))
    found = values(decoded)
    assert found["CurrentLocation.Latitude"] == found["CurrentLocation.Longitude"] == [None]
    assert found["CurrentLocation.Altitude"] == [None]
    assert decoded.counts == {"gnss-no-fix": 2}
    assert decoded.samples == 2  # fix type and satellites
    assert values(decoder.decode(chunk(STATUS, POSITION)))["CurrentLocation.Latitude"] != [None]


def test_the_last_fix_survives_a_restart() -> None:
    before, after = Decoder(BOX), Decoder(BOX)
    before.decode(chunk(STATUS, (0x7E8, "03410D5000000000")))
    after.restore(before.state())
    for each in (before, after):
        assert values(each.decode(chunk(POSITION)))["CurrentLocation.Latitude"] == [55_869_966]
    assert after.state() == before.state()
    after.restore({})
    assert values(after.decode(chunk(POSITION)))["CurrentLocation.Latitude"] == [None]


def test_a_frame_that_no_dbc_knows_is_counted() -> None:
    decoded = Decoder(BOX).decode(chunk((0x17F00010 | EXTENDED_ID, "00"), (0x7A0, ""), IMU))
    assert (decoded.frames, decoded.unknown_frames) == (3, 2)
    assert len(decoded.groups) == 1


def test_a_known_frame_that_the_profile_does_not_want_is_counted_apart() -> None:
    decoded = Decoder(BOX).decode(chunk((2, "03F8F95A840B")))
    assert (decoded.unknown_frames, decoded.counts, decoded.groups) == (
        0,
        {"unmapped-frame": 1},
        [],
    )


def test_an_extended_id_is_another_id() -> None:
    assert Decoder(BOX).decode(chunk((9 | EXTENDED_ID, IMU[1]))).unknown_frames == 1


def test_short_payloads_are_absent_and_counted() -> None:
    decoded = Decoder(BOX).decode(chunk((9, "95A4"), IMU, (3, ""), (0x7E8, "04410C")))
    assert [list(group.times_us) for group in decoded.groups] == [[1_010_000]]
    assert decoded.counts["short-payload"] == 3


def test_obd_groups_have_the_times_of_their_answers() -> None:
    speed, other = (0x7E8, "03410D5000000000"), (0x7E8, "037F011200000000")
    decoded = Decoder(BOX).decode(chunk(speed, IMU, other, speed))
    by_signal = {next(iter(group.series)): group for group in decoded.groups}
    group = by_signal[signal("Vehicle.Speed").id]
    assert list(group.times_us) == [1_000_000, 1_030_000]
    assert list(group.series.values()) == [[80 * 256, 80 * 256]]
    assert decoded.counts == {"obd-refused": 1}


def test_an_empty_chunk_gives_nothing() -> None:
    assert Decoder(BOX).decode(chunk()) == Decoded([], 0, 0, {})


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 2, 3, 4, 5, 6, 7, 9, 0x7E8, 0x7E9, 0x123]), st.binary(max_size=64)
        ),
        max_size=40,
    )
)
def test_any_frames_become_columns_that_can_be_sent(frames: list[tuple[int, bytes]]) -> None:
    decoded = Decoder(BOX).decode(chunk(*((can_id, data.hex()) for can_id, data in frames)))
    groups = decode_columns(encode_columns(decoded.groups, 1_000_000))
    assert [list(group.times_us) for group in groups] == [
        list(group.times_us) for group in decoded.groups
    ]


# ------------------------------------------------------------------ profiles and DBC files
@pytest.fixture
def dbc(tmp_path: Path) -> Path:
    path = tmp_path / "engine.dbc"
    path.write_text(
        'VERSION ""\nBU_: A\nBO_ 180 SPEED: 8 A\n SG_ SPEED : 47|16@0+ (0.01,0) [0|0] "" A\n'
        'BO_ 452 ENGINE_RPM: 8 A\n SG_ RPM : 7|16@0- (0.78125,0) [0|0] "" A\n'
        "BO_ 36 KINEMATICS: 8 A\n"
        ' SG_ ACCEL_X : 17|10@0+ (0.03589,-18.375) [0|0] "" A\n'
        ' SG_ ACCEL_Y : 33|10@0+ (0.03589,-18.375) [0|0] "" A\n'
        "BO_ 9 gnss_imu: 8 A\n"
    )
    return path


def test_another_vehicle_is_another_profile_and_dbc(dbc: Path, tmp_path: Path) -> None:
    profile = tmp_path / "car.toml"
    profile.write_text('title = "car"\ndbc = []\n[messages.SPEED]\nSPEED = "Vehicle.Speed"\n')
    decoder = Decoder(load_profile(str(profile)), [dbc])
    decoded = decoder.decode(chunk((180, "0000000000138800"), (9, "00")))
    assert [dict(group.series) for group in decoded.groups] == [{1: [50 * 256]}]
    assert decoded.counts == {"unmapped-frame": 1}


def test_a_dbc_may_be_added_to_the_profile(tmp_path: Path) -> None:
    path = tmp_path / "door.dbc"
    path.write_text('VERSION ""\nBU_: A\nBO_ 291 DOOR: 1 A\n SG_ open : 0|1@1+ (1,0) [0|1] "" A\n')
    decoded = Decoder(BOX, [path]).decode(chunk((291, "01"), IMU))
    assert decoded.unknown_frames == 0
    assert decoded.counts == {"unmapped-frame": 1}


def test_a_dbc_may_replace_a_message_of_the_profile(tmp_path: Path) -> None:
    path = tmp_path / "status.dbc"
    path.write_text(
        'VERSION ""\nBU_: A\nBO_ 17 gnss_status: 2 A\n'
        ' SG_ FixType : 8|3@1+ (1,0) [0|5] "" A\n SG_ Satellites : 0|5@1+ (1,0) [0|31] "" A\n'
    )
    found = values(Decoder(BOX, [path]).decode(chunk((17, "0C03"), POSITION)))
    assert found["Private.GNSS.Satellites"] == [12]
    assert found["CurrentLocation.Latitude"] == [55_869_966]


def test_a_profile_without_its_dbc_says_what_to_bring() -> None:
    with pytest.raises(LocalError, match=r"message SPEED .* bring its DBC with --dbc"):
        Decoder(load_profile("toyota_tnga"))


def test_a_dbc_without_a_wanted_signal_is_refused(dbc: Path) -> None:
    with pytest.raises(LocalError, match="gnss_imu of the DBC has no integer signal"):
        Decoder(BOX, [dbc])


def test_our_profiles_load() -> None:
    assert {"hyundai_ev", "nmea2000", "obd_gnss_imu", "toyota_tnga"} <= set(profile_names())
    for name in profile_names():
        assert load_profile(name).title


WRONG_PROFILES = {
    "no TOML": ("title =", "is no TOML"),
    "no title": ("dbc = []", "'title'"),
    "an unknown table": ('title = "x"\ndbc = []\n[signals]', "unknown signals"),
    "a path outside the catalogue": (
        'title = "x"\ndbc = []\n[messages.A]\nB = "Vehicle.Passenger.Name"',
        "not in the data catalogue",
    ),
    "a request too often": (
        'title = "x"\ndbc = []\n[obd]\nrequests = [{pid = 13, rate_hz = 99}]',
        "99.0 Hz",
    ),
    "a signal mapped to a number": (
        'title = "x"\ndbc = []\n[messages.A]\nB = 7',
        "lacks or misspells",
    ),
}


@pytest.mark.parametrize("case", WRONG_PROFILES)
def test_a_wrong_profile_is_refused(case: str, tmp_path: Path) -> None:
    text, sentence = WRONG_PROFILES[case]
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(LocalError, match=sentence):
        load_profile(str(path))


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(LocalError, match="obd_gnss_imu, toyota_tnga"):
        load_profile("bicycle")
