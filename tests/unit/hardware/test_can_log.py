"""Recorded logs: formats by content, damaged lines counted, hostile bytes answered."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

import can
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import DeviceFault
from edge.ports import EXTENDED_ID, Instant
from hardware.drivers.can_log import LogSource, Pace, recognise
from hardware.drivers.can_log_candump import LINE_BYTES_MAX, CandumpParser

if TYPE_CHECKING:
    from pathlib import Path

    from edge.ports import FrameChunk

Frames = list[tuple[int, int, bytes]]

WHOLE = "(1627305599.790450) can2 009#95A44F410202B07F R\n"
FRAME = (1_627_305_599_790_450, 9, bytes.fromhex("95A44F410202B07F"))


def frames_of(chunks: list[FrameChunk]) -> Frames:
    return [
        frame
        for chunk in chunks
        for frame in zip(chunk.times_us, chunk.ids, chunk.payloads, strict=True)
    ]


def read(path: Path, skip_frames: int = 0) -> tuple[Frames, dict[str, int]]:
    source = LogSource(path)
    return frames_of(list(source.chunks(skip_frames))), dict(source.skipped)


def read_text(tmp_path: Path, text: str) -> tuple[Frames, dict[str, int]]:
    path = tmp_path / "bus.log"
    path.write_text(text, encoding="latin-1")
    return read(path)


LINES = {
    "with direction": (WHOLE, FRAME),
    "without direction": (WHOLE.replace(" R", ""), FRAME),
    "sent by the box": (WHOLE.replace(" R", " T"), FRAME),
    "of an extended id": (
        "(1.000002) can0 18F75E89#FF35\n",
        (1_000_002, 0x18F75E89 | EXTENDED_ID, b"\xff\x35"),
    ),
    "of an extended id below 0x800": (
        "(1.000002) can0 000007E8#00\n",
        (1_000_002, 0x7E8 | EXTENDED_ID, b"\x00"),
    ),
    "without data": ("(1.000002) can0 123#\n", (1_000_002, 0x123, b"")),
    "of CAN FD": ("(1.000002) can0 123##1" + "AB" * 12 + "\n", (1_000_002, 0x123, b"\xab" * 12)),
    "of CAN FD without data": ("(1.000002) can0 123##0\n", (1_000_002, 0x123, b"")),
    "with a raw DLC": (
        "(1.000002) can0 123#1122334455667788_E\n",
        (1_000_002, 0x123, bytes.fromhex("1122334455667788")),
    ),
    "with nanoseconds": ("(1.000002999) can0 123#00 R\n", (1_000_002, 0x123, b"\0")),
    "with Windows line ends": (WHOLE.replace("\n", "\r\n"), FRAME),
}


@pytest.mark.parametrize("case", LINES)
def test_a_line_is_read(case: str, tmp_path: Path) -> None:
    line, frame = LINES[case]
    assert read_text(tmp_path, line) == ([frame], {})


@pytest.mark.parametrize("case", LINES)
def test_a_line_is_read_alike_among_irregular_ones(case: str, tmp_path: Path) -> None:
    line, frame = LINES[case]
    frames, skipped = read_text(tmp_path, WHOLE + "oops\n" + line)
    assert (frames, skipped) == ([FRAME, frame], {"damaged-line": 1})


DAMAGED = {
    "cut in the middle": ("(1627305599.79", "damaged-line"),
    "odd number of digits": ("(1.000002) can0 123#123 R", "damaged-line"),
    "nine bytes of classic CAN": ("(1.000002) can0 123#" + "00" * 9, "damaged-line"),
    "standard id above 0x7FF": ("(1.000002) can0 FFF#00 R", "damaged-line"),
    "id of five digits": ("(1.000002) can0 12345#00 R", "damaged-line"),
    "id of more than 29 bits": ("(1.000002) can0 9FFFFFFF#00 R", "damaged-line"),
    "CAN FD of nine bytes": ("(1.000002) can0 123##1" + "00" * 9, "damaged-line"),
    "time without a point": ("(1000002) can0 123#00 R", "damaged-line"),
    "remote frame": ("(1.000002) can0 123#R8", "remote-frame"),
    "error frame": ("(1.000002) can0 20000080#0000000000000000", "error-frame"),
    "not ASCII": ("(1.000002) can0 123#\xff\xff R", "damaged-line"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_line_is_counted_and_reading_goes_on(case: str, tmp_path: Path) -> None:
    line, reason = DAMAGED[case]
    frames, skipped = read_text(tmp_path, f"{WHOLE}{line}\n{WHOLE}")
    assert (frames, skipped) == ([FRAME, FRAME], {reason: 1})


def test_a_last_line_without_its_end_is_never_taken(tmp_path: Path) -> None:
    cut = WHOLE[: WHOLE.index("B07F")]  # would still be a frame, of six bytes
    assert read_text(tmp_path, WHOLE + cut) == ([FRAME], {"truncated-line": 1})


def test_blocks_of_any_size_give_the_same_frames() -> None:
    text = (WHOLE * 5 + LINES["of an extended id"][0] * 3 + "oops\n" + WHOLE).encode()
    results = []
    for size in (1, 7, 64, len(text)):
        parser, ids = CandumpParser(), []
        for at in range(0, len(text), size):
            ids += parser.feed(text[at : at + size]).ids
        parser.finish()
        results.append((ids, parser.skipped))
    assert all(result == results[0] for result in results)
    assert results[0] == (
        [9] * 5 + [0x18F75E89 | EXTENDED_ID] * 3 + [9],
        Counter({"damaged-line": 1}),
    )


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    parser = CandumpParser()
    for _ in range(10):
        parser.feed(b"x" * LINE_BYTES_MAX)
    assert parser.skipped["overlong-line"] == 5
    assert parser.feed(b"\n" + WHOLE.encode()).ids == [9]


@given(st.binary(max_size=300))
def test_the_parser_takes_any_bytes(data: bytes) -> None:
    parser = CandumpParser()
    columns = parser.feed(data)
    parser.finish()
    assert len(columns.times_us) == len(columns.ids) == len(columns.payloads)


@given(st.text("0123456789ABCDEF#(). \ncanRT_", max_size=200))
def test_bulk_and_line_reader_agree(text: str) -> None:
    bulk, lines = CandumpParser(), CandumpParser()
    data = (WHOLE + text + "\n").encode()
    # The overture makes the block irregular, so that every line goes through the line reader.
    one, other = bulk.feed(data), lines.feed(b"oops\n" + data)
    assert one == other
    assert bulk.skipped + Counter({"damaged-line": 1}) == lines.skipped


# ------------------------------------------------------------------ whole files
@pytest.fixture
def message() -> can.Message:
    return can.Message(
        timestamp=1_700_000_000.5, arbitration_id=0x18F75E89, is_extended_id=True, data=b"\1\2\3"
    )


@pytest.mark.parametrize("suffix", ["asc", "blf"])
def test_other_formats_are_recognised_by_content(
    suffix: str, message: can.Message, tmp_path: Path
) -> None:
    written, renamed = tmp_path / f"bus.{suffix}", tmp_path / "bus.dat"
    with can.Logger(written) as writer:
        writer(message)
        writer(can.Message(timestamp=1_700_000_001.0, is_error_frame=True))
    renamed.write_bytes(written.read_bytes())
    frames, skipped = read(renamed)
    assert [(can_id, payload) for _, can_id, payload in frames] == [
        (0x18F75E89 | EXTENDED_ID, b"\1\2\3")
    ]
    assert abs(frames[0][0] - 1_700_000_000_500_000) < 1_000
    assert skipped == {"error-frame": 1}


NO_LOG = {
    "an empty file": b"",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "text": b"Dear technician,\nthe log is on the other stick.\n",
    "a BLF of its first bytes": b"LOGG\x90\0\0\0",
    "an MF4 of its first bytes": b"MDF     4.11    " + bytes(10),
    "an MF4 of zeros": b"MDF     4.11    " + bytes(4_000),
    "a BLF of zeros": b"LOGG" + bytes(4_000),
}


@pytest.mark.parametrize("case", NO_LOG)
def test_what_is_no_log_is_refused_in_a_sentence(case: str, tmp_path: Path) -> None:
    path = tmp_path / "bus.log"
    path.write_bytes(NO_LOG[case])
    with pytest.raises(DeviceFault, match=r"bus\.log .*;") as caught:
        read(path)
    assert caught.value.code in {"log-format", "log-unreadable"}


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceFault, match=r"gone\.log cannot be opened"):
        recognise(tmp_path / "gone.log")


def test_random_bytes_never_raise_anything_else(tmp_path: Path) -> None:
    path = tmp_path / "bus.log"

    @settings(deadline=None)  # the first log of a format imports its reader
    @given(st.sampled_from([b"", b"LOGG", b"date ", WHOLE.encode()]), st.binary(max_size=600))
    def check(head: bytes, data: bytes) -> None:
        path.write_bytes(head + data)
        with contextlib.suppress(DeviceFault):
            read(path)

    check()


def test_a_cut_blf_gives_what_is_whole_and_says_so(tmp_path: Path, message: can.Message) -> None:
    whole, cut = tmp_path / "whole.blf", tmp_path / "cut.blf"
    with can.BLFWriter(whole, max_container_size=1_000) as writer:
        for _ in range(500):
            writer(message)
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3])
    frames, skipped = read(cut)
    assert 0 < len(frames) < 500
    assert skipped["truncated-file"] == 1


@pytest.mark.parametrize("bytes_left", [70, 150, 500])
def test_an_mf4_cut_in_its_header_is_refused(
    bytes_left: int, real_data: Path, tmp_path: Path
) -> None:
    data = (real_data / "can" / "uds_tp" / "uds_ev.MF4").read_bytes()
    path = tmp_path / "cut.mf4"
    path.write_bytes(data[:bytes_left])
    with pytest.raises(DeviceFault, match=r"cut\.mf4 cannot be read as MF4"):
        read(path)


def test_a_cut_mf4_is_refused(tmp_path: Path, message: can.Message) -> None:
    whole, cut = tmp_path / "whole.mf4", tmp_path / "cut.mf4"
    with can.MF4Writer(whole) as writer:
        for _ in range(500):
            writer(message)
    assert len(read(whole)[0]) == 500
    data = whole.read_bytes()
    for size in range(150, len(data), len(data) // 20):
        cut.write_bytes(data[:size])
        with pytest.raises(DeviceFault, match="it ends too early"):
            read(cut)


def test_an_mf4_of_a_logger_that_lost_power_is_read(real_data: Path, tmp_path: Path) -> None:
    whole = real_data / "can" / "uds_tp" / "uds_ev.MF4"
    assert whole.read_bytes().startswith(b"UnFinMF ")
    path = tmp_path / "cut.mf4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    frames, _ = read(path)
    assert frames
    assert frames == read(whole)[0][: len(frames)]


# ------------------------------------------------------------------ resume and pace
def test_a_resumed_log_passes_over_what_was_handled(tmp_path: Path) -> None:
    path = tmp_path / "bus.log"
    lines = [f"({at}.000000) can0 123#{at:02X}\n" for at in range(100, 200)]
    path.write_text("".join(lines))
    chunks = list(LogSource(path).chunks(skip_frames=37))
    assert [payload[0] for chunk in chunks for payload in chunk.payloads] == list(range(137, 200))
    assert chunks[-1].position == 100


class ManualClock:
    """Moves when somebody sleeps."""

    def __init__(self) -> None:
        self.us = 5_000_000

    def now(self) -> Instant:
        return Instant(self.us, "0" * 16, self.us)

    def sleep(self, seconds: float) -> None:
        self.us += round(seconds * 1_000_000)


def test_real_speed_hands_frames_on_when_they_are_due(tmp_path: Path) -> None:
    path = tmp_path / "bus.log"
    path.write_text("".join(f"(10.{at:06d}) can0 123#00\n" for at in range(0, 1_000_000, 20_000)))
    clock = ManualClock()
    seen = [(clock.us, chunk) for chunk in LogSource(path, Pace(clock, clock.sleep)).chunks()]
    assert len(seen) >= 9
    assert all(chunk.times_us[-1] - chunk.times_us[0] <= 100_000 for _, chunk in seen)
    started_us, first = seen[0]
    for at_us, chunk in seen:
        assert at_us - started_us == chunk.times_us[-1] - first.times_us[-1]
    assert [chunk.position for _, chunk in seen][-1] == 50


def test_a_gap_of_hours_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "bus.log"
    path.write_text("(10.000000) can0 123#00\n(90000.000000) can0 123#00\n")
    clock = ManualClock()
    list(LogSource(path, Pace(clock, clock.sleep)).chunks())
    assert clock.us == 15_000_000
