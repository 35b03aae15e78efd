"""A receiver's bytes become sentences; binary and garbage between them are skipped and counted."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import DeviceFault
from edge.ports import LINE_BYTES_MAX, NMEA_LINE
from hardware.drivers.clock import SystemClock
from hardware.drivers.gnss_line import GnssCutter, GnssSource, crc_24q, is_whole
from hardware.sim.drive import Drive, scenario
from hardware.sim.gnss import RTCM_MESSAGE, UBX_MESSAGE, Receiver, framed
from hardware.sim.talker import GNSS_TICKS, TalkerOnPty

RMC = b"$GNRMC,000653.00,A,4404.12994,N,12118.84613,W,0.052,,090624,,,A,V*08"
START_US = 1_772_411_400_000_000


def cut(data: bytes, step: int = 10_000) -> tuple[list[bytes], dict[str, int]]:
    cutter = GnssCutter()
    lines = [line for at in range(0, len(data), step) for line in cutter.feed(data[at : at + step])]
    return lines, dict(+cutter.counts)


def test_a_sentence_comes_without_its_line_end() -> None:
    assert cut(RMC + b"\r\n" + RMC + b"\n" + RMC + b"\r") == ([RMC] * 3, {})


@pytest.mark.parametrize("step", [1, 2, 3, 7, 10_000])
def test_binary_between_sentences_is_skipped_whole_however_it_arrives(step: int) -> None:
    data = RMC + b"\r\n" + UBX_MESSAGE + RMC + b"\r\n" + RTCM_MESSAGE + UBX_MESSAGE + RMC + b"\r\n"
    assert cut(data, step) == ([RMC] * 3, {"ubx-message": 2, "rtcm-message": 1})


def test_damaged_binary_is_garbage_and_the_next_sentence_is_found() -> None:
    damaged = UBX_MESSAGE[:-1] + b"\x00" + RTCM_MESSAGE[:-1] + b"\x00"
    lines, counts = cut(damaged + RMC + b"\r\n")
    assert lines[-1] == RMC
    assert "ubx-message" not in counts
    assert "rtcm-message" not in counts


def test_a_sentence_that_is_cut_off_ends_where_the_next_begins() -> None:
    assert cut(RMC[:20] + RMC + b"\r\n") == ([RMC[:20], RMC], {})
    assert cut(RMC[:20] + UBX_MESSAGE + RMC + b"\r\n") == ([RMC[:20], RMC], {"ubx-message": 1})


def test_noise_and_comments_are_counted_by_the_byte() -> None:
    assert cut(b"\xff\x00boot 1.0\r\n" + RMC + b"\r\n") == ([RMC], {"garbage-byte": 10})


def test_a_line_without_end_is_given_up() -> None:
    lines, counts = cut(b"$" + b"A" * (LINE_BYTES_MAX + 40) + b"\r\n" + RMC + b"\r\n", 100)
    assert lines == [RMC]
    assert counts["overlong-line"] == 1


def test_a_false_start_of_binary_holds_no_sentence_for_long() -> None:
    data = b"\xb5\x62\x01\x01\x40\x04" + (RMC + b"\r\n") * 30
    lines, _ = cut(data, 16)
    assert len(lines) >= 29


def test_the_crc_of_rtcm_is_that_of_its_standard() -> None:
    # RTCM 10403.1, appendix: the example of message 1005.
    message = bytes.fromhex("d300133ed7d30202980edeef34b4bd62ac0941986f33360b98")
    assert crc_24q(message) == 0
    assert crc_24q(message[:-1] + b"\x99") != 0


@given(st.binary(max_size=400), st.integers(1, 50))
def test_arbitrary_bytes_never_raise_and_give_lines_of_bounded_length(
    data: bytes, step: int
) -> None:
    lines, _ = cut(data, step)
    assert all(line[:1] == b"$" and len(line) <= LINE_BYTES_MAX for line in lines)
    assert lines == cut(data)[0]


@given(st.lists(st.binary(max_size=60)))
def test_two_whole_sentences_in_a_row_are_found_behind_any_garbage(parts: list[bytes]) -> None:
    # What looks like the beginning of binary may take a kilobyte with it, and no more.
    data = b"".join(parts) + (RMC + b"\r\n") * 20
    assert RMC in cut(data)[0]


@pytest.mark.parametrize(
    ("line", "is_proof"), [(RMC, True), (RMC[:-1], False), (b"$", False), (b"$A*41", True)]
)
def test_a_checksum_proves_the_speed_of_a_line(line: bytes, *, is_proof: bool) -> None:
    assert is_whole(line) == is_proof


# ------------------------------------------------------------------ a real terminal
def test_sentences_come_from_a_terminal_and_a_pulled_cable_is_a_fault() -> None:
    master, slave = os.openpty()
    source = GnssSource(Path(os.ttyname(slave)), 115_200, SystemClock())
    chunks = source.chunks()
    next(chunks)
    os.write(master, framed("GPRMC,,V,,,,,,,,,,N") + UBX_MESSAGE)
    found = next(chunk for chunk in chunks if chunk.ids)
    assert (list(found.ids), list(found.payloads)) == ([NMEA_LINE], [b"$GPRMC,,V,,,,,,,,,,N*53"])
    assert next(chunks).position == 1
    assert source.skipped == {"ubx-message": 1}
    assert source.name.startswith("gnss:/dev/")
    os.close(master)
    os.close(slave)
    with pytest.raises(DeviceFault, match="cable"):
        list(chunks)


def test_a_simulated_receiver_is_heard_over_its_terminal() -> None:
    clock, receiver = SystemClock(), Receiver()
    talker = TalkerOnPty(
        Drive(scenario("calm"), 1),
        lambda state, tick: receiver.burst(state, START_US) if tick % 10 == 0 else b"",
        clock,
    )
    source = GnssSource(talker.path, 0, clock)
    lines: list[bytes] = []
    for chunk in source.chunks():
        lines += chunk.payloads
        talker.step()
        if len(lines) > 100:
            source.close()
    talker.unplug()
    assert GNSS_TICKS == 100
    assert any(line.startswith(b"$GBGSV") for line in lines)
    assert source.skipped["ubx-message"] >= 1
    assert not select.select([], [], [], 0)[0]
