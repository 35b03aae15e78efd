"""Frames are believed when their checksum is right and their counter goes on, and not otherwise."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from edge.catalogue import signal
from edge.codec import decode, encode
from edge.errors import LocalError
from edge.ports import FrameChunk
from hardware.drivers.can_log import LogSource
from vehicle_gateway.decode import Decoder
from vehicle_gateway.profile import CHECKSUMS, load_profile
from vehicle_gateway.validity import REPEATS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from vehicle_gateway.decode import Decoded

TEXT = """VERSION ""
BU_: A
BO_ 180 SPEED: 8 A
 SG_ SPEED : 0|8@1+ (1,0) [0|0] "km/h" A
 SG_ COUNTER : 8|4@1+ (1,0) [0|0] "" A
 SG_ FIRST : 0|8@1+ (1,0) [0|0] "" A
 SG_ LAST : 63|8@0+ (1,0) [0|0] "" A
 SG_ ODD : 52|8@1+ (1,0) [0|0] "" A
"""
SPEED_ID = 180
SPEED = signal("Vehicle.Speed").id


def profile_of(folder: Path, **rules: Any) -> Path:
    (folder / "own.dbc").write_text(TEXT)
    table = {**rules, "SPEED": "Vehicle.Speed"}
    path = folder / "own.toml"
    path.write_text(tomli_w.dumps({"title": "x", "dbc": ["own.dbc"], "messages": {"SPEED": table}}))
    return path


def decoder_of(folder: Path, **rules: Any) -> Decoder:
    return Decoder(load_profile(str(profile_of(folder, **rules))))


def hear(decoder: Decoder, payloads: Iterable[bytes], start_us: int = 0) -> Decoded:
    listed = list(payloads)
    times = [start_us + 10_000 * number for number in range(len(listed))]
    return decoder.decode(FrameChunk(times, [SPEED_ID] * len(listed), listed, len(listed)))


def speeds(decoded: Decoded) -> list[int]:
    return [value // 256 for group in decoded.groups for value in group.series[SPEED] if value]


# ------------------------------------------------------------------ checksums, one byte at a time
def crc(data: bytes, start: int) -> int:
    total = start
    for byte in data:
        total ^= byte
        for _ in range(8):
            total = (total << 1 ^ 0x1D if total & 0x80 else total << 1) & 0xFF
    return total


def right(kind: str, data: bytes) -> bytes:
    """Puts the checksum of a kind to seven bytes of data."""
    if kind == "e2e-p1":
        return bytes([crc(b"\x23\x01" + data, 0)]) + data
    exclusive = 0
    for byte in data:
        exclusive ^= byte
    told = {
        "toyota": SPEED_ID + 8 + sum(data),
        "sum": sum(data),
        "xor": exclusive,
        "crc8-j1850": crc(data, 0xFF) ^ 0xFF,
    }[kind]
    return data + bytes([told & 0xFF])


def test_the_checksums_of_this_test_are_those_of_the_standards() -> None:
    assert crc(b"123456789", 0xFF) ^ 0xFF == 0x4B  # SAE J1850, check value of the catalogues
    assert right("e2e-p1", bytes(7))[0] == 0xCC  # AUTOSAR PRS_E2EProtocol, example of profile 1


@pytest.fixture(scope="module")
def by_kind(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    rules = {kind: {"kind": kind, "data_id": 0x0123} for kind in CHECKSUMS}
    return {
        kind: profile_of(tmp_path_factory.mktemp(kind), checksum=rule)
        for kind, rule in rules.items()
    }


@pytest.mark.parametrize("kind", CHECKSUMS)
@given(data=st.data())
def test_right_frames_pass_and_a_flipped_bit_never(
    by_kind: dict[str, Path], kind: str, data: st.DataObject
) -> None:
    seven = st.binary(min_size=7, max_size=7)
    payloads = [right(kind, each) for each in data.draw(st.lists(seven, min_size=1, max_size=20))]
    decoder = Decoder(load_profile(str(by_kind[kind])))
    assert "checksum-wrong" not in hear(decoder, payloads).counts
    at = data.draw(st.integers(0, len(payloads) - 1))
    bit = data.draw(st.integers(0, 63))
    flipped = int.from_bytes(payloads[at], "big") ^ 1 << bit
    damaged = [*payloads[:at], flipped.to_bytes(8, "big"), *payloads[at + 1 :]]
    decoded = hear(decoder, damaged)
    assert decoded.counts == {"checksum-wrong": 1}
    assert sum(len(group.times_us) for group in decoded.groups) == len(payloads) - 1


def test_a_frame_that_fails_is_absence_and_its_neighbours_are_not(tmp_path: Path) -> None:
    decoder = decoder_of(tmp_path, checksum={"kind": "toyota"})
    frames = [right("toyota", bytes([speed, *range(6)])) for speed in (10, 20, 30)]
    frames[1] = frames[1][:1] + b"\xff" + frames[1][2:]
    decoded = hear(decoder, frames)
    assert speeds(decoded) == [10, 30]
    assert list(decoded.groups[0].times_us) == [0, 20_000]


def test_a_checksum_may_be_a_signal_of_the_message(tmp_path: Path) -> None:
    good = right("sum", bytes(range(1, 8)))
    last = decoder_of(tmp_path, checksum={"kind": "sum", "signal": "LAST"})
    assert not hear(last, [good]).counts
    first = decoder_of(tmp_path, checksum={"kind": "sum", "signal": "FIRST"})
    assert hear(first, [good]).counts == {"checksum-wrong": 1}
    assert not hear(first, [good[-1:] + good[:-1]]).counts


def test_frames_of_another_length_are_checked_for_themselves(tmp_path: Path) -> None:
    decoder = decoder_of(tmp_path, checksum={"kind": "xor"})
    payloads = [b"\x05\x05", right("xor", bytes(range(7))), b"\x05\x06", b"\x00"]
    decoded = hear(decoder, payloads)
    assert decoded.counts == {"checksum-wrong": 1}
    at_byte_7 = decoder_of(tmp_path, checksum={"kind": "xor", "signal": "LAST"})
    assert hear(at_byte_7, [b"\x05\x05"]).counts == {"checksum-wrong": 1}


# ------------------------------------------------------------------ counters
def counted(counters: Sequence[int]) -> list[bytes]:
    return [bytes([50, counter, *bytes(6)]) for counter in counters]


def test_a_counter_that_goes_on_passes_also_over_lost_frames(tmp_path: Path) -> None:
    decoder = decoder_of(tmp_path, counter="COUNTER")
    assert not hear(decoder, counted([14, 15, 0, 1, 7, 2, 2, 3])).counts


def test_a_sender_that_hangs_is_absence_until_it_goes_on(tmp_path: Path) -> None:
    decoder = decoder_of(tmp_path, counter="COUNTER")
    decoded = hear(decoder, counted([1, *[2] * (REPEATS_MAX + 3), 3, 4]))
    assert decoded.counts == {"counter-frozen": 3}
    assert len(speeds(decoded)) == 1 + REPEATS_MAX + 2


def test_it_hangs_over_chunks_and_a_restart(tmp_path: Path) -> None:
    decoder, after = (decoder_of(tmp_path, counter="COUNTER") for _ in range(2))
    assert not hear(decoder, counted([2] * REPEATS_MAX)).counts
    after.restore(decode(encode(decoder.state())))
    for each in (decoder, after):
        assert hear(each, counted([2, 2])).counts == {"counter-frozen": 2}
        assert hear(each, counted([3])).counts == {}


def test_a_message_with_both_is_refused_for_its_checksum_first(tmp_path: Path) -> None:
    decoder = decoder_of(tmp_path, counter="COUNTER", checksum={"kind": "sum"})
    frames = [right("sum", bytes([50, 3, *bytes(5)]))] * (REPEATS_MAX + 2)
    frames[0] = bytes(7) + b"\x01"
    assert hear(decoder, frames).counts == {"checksum-wrong": 1, "counter-frozen": 1}


@pytest.mark.parametrize("state", [{"SPEED": 1}, {"SPEED": []}, {"SPEED": ["x", 1]}, []])
def test_a_damaged_state_is_refused(state: Any, tmp_path: Path) -> None:
    decoder = decoder_of(tmp_path, counter="COUNTER")
    with pytest.raises(LocalError):
        decoder.restore({"validity": state})


# ------------------------------------------------------------------ log and profile
def test_what_is_not_believed_is_logged_once_a_second(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    decoder = decoder_of(tmp_path, checksum={"kind": "sum"})
    with caplog.at_level(logging.WARNING):
        for tenth in range(25):
            hear(decoder, [b"\x01" * 8], start_us=tenth * 100_000)
    assert len(caplog.records) == 3
    assert "1 frames with a wrong checksum" in caplog.text


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ({"counter": "NONE"}, "dbc-signal"),
        ({"checksum": {"kind": "sum", "signal": "NONE"}}, "dbc-signal"),
        ({"checksum": {"kind": "sum", "signal": "ODD"}}, "profile-checksum"),
        ({"checksum": {"kind": "sum", "signal": "COUNTER"}}, "profile-checksum"),
        ({"checksum": {"kind": "md5"}}, "profile-shape"),
        ({"checksum": {"kind": "sum", "byte": 7}}, "profile-shape"),
        ({"checksum": {"kind": "e2e-p1", "data_id": 0x1_0000}}, "profile-shape"),
    ],
)
def test_a_wrong_rule_is_refused(rules: dict[str, Any], code: str, tmp_path: Path) -> None:
    with pytest.raises(LocalError) as refusal:
        decoder_of(tmp_path, **rules)
    assert refusal.value.code == code


def test_a_rule_that_would_not_be_looked_at_is_refused(tmp_path: Path) -> None:
    path = profile_of(tmp_path, counter="COUNTER")
    path.write_text(path.read_text() + '\n[nmea2000]\nmessages = ["SPEED"]\n')
    with pytest.raises(LocalError) as refusal:
        Decoder(load_profile(str(path)))
    assert refusal.value.code == "profile-validity"


# ------------------------------------------------------------------ a real bus
def test_every_frame_of_a_real_bus_passes_and_no_flipped_bit_does(real_data: Path) -> None:
    folder = real_data / "can" / "toyota"
    profile = load_profile("toyota_tnga")
    dbc = folder / "toyota_new_mc_pt_generated.dbc"
    guarded = {name for name, each in profile.messages.items() if each.checksum}
    assert len(guarded) >= 8
    decoder, flipped = Decoder(profile, [dbc]), Decoder(profile, [dbc])
    counts, damaged = Counter[str](), Counter[str]()
    for chunk in LogSource(folder / "toyota_60s_bus0.log").chunks():
        counts.update(decoder.decode(chunk).counts)
        # One bit of each frame, another one in each.
        payloads = [
            (int.from_bytes(data, "big") ^ 1 << at % (8 * len(data))).to_bytes(len(data), "big")
            for at, data in enumerate(chunk.payloads)
        ]
        damaged.update(
            flipped.decode(FrameChunk(chunk.times_us, chunk.ids, payloads, chunk.position)).counts
        )
    assert counts["checksum-wrong"] == 0
    assert damaged["checksum-wrong"] == 4_974 * 2 + 2_487 + 2_547 + 1_890 * 3 + 3_000 + 1_243
