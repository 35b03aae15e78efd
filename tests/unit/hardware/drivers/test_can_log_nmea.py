"""A receiver's log is read line by line, at the times that its sentences tell."""

from __future__ import annotations

import datetime as dt
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import DeviceFault
from edge.ports import LINE_BYTES_MAX, NMEA_LINE
from hardware.drivers.can_log import LogSource, recognise
from hardware.drivers.can_log_nmea import CHUNK_LINES, WAITING_MAX

if TYPE_CHECKING:
    from pathlib import Path

DAY = int(dt.datetime(2024, 6, 9, tzinfo=dt.UTC).timestamp()) * 1_000_000
SECOND = 1_000_000


def sentence(body: str) -> str:
    return f"${body}*{reduce(xor, body.encode(), 0):02X}"


def rmc(time: str, date: str = "090624") -> str:
    return sentence(f"GNRMC,{time},A,3000.00,N,10400.00,E,0.1,0.0,{date},,,A")


def gga(time: str) -> str:
    return sentence(f"GNGGA,{time},3000.00,N,10400.00,E,1,08,1.0,500.0,M,0.0,M,,")


VTG = sentence("GNVTG,0.0,T,,M,0.1,N,0.2,K,A")


def read(folder: Path, *lines: str) -> list[tuple[int, bytes]]:
    path = folder / "receiver.log"
    path.write_bytes("\r\n".join(lines).encode("latin-1") + b"\r\n")
    return [
        row
        for chunk in LogSource(path).chunks()
        for row in zip(chunk.times_us, chunk.payloads, strict=True)
    ]


def times(folder: Path, *lines: str) -> list[int]:
    return [time - DAY for time, _ in read(folder, *lines)]


def test_lines_are_handed_on_as_they_are(tmp_path: Path) -> None:
    lines = [rmc("120000.00"), VTG, "# no sentence", "$GNRMC,damaged*00", "\xb5b\x01"]
    assert [payload for _, payload in read(tmp_path, *lines)] == [
        line.encode("latin-1") for line in lines
    ]
    (chunk,) = LogSource(tmp_path / "receiver.log").chunks()
    assert set(chunk.ids) == {NMEA_LINE}
    assert chunk.position == 5


def test_a_line_has_the_time_that_was_told_last(tmp_path: Path) -> None:
    lines = [rmc("000001.00"), VTG, gga("000001.50"), VTG, rmc("000002")]
    assert times(tmp_path, *lines) == [
        SECOND,
        SECOND,
        SECOND * 3 // 2,
        SECOND * 3 // 2,
        2 * SECOND,
    ]


def test_what_comes_before_the_first_date_waits_for_it(tmp_path: Path) -> None:
    lines = ["# header", VTG, gga("000001.00"), gga("000002.00"), rmc("000003.00")]
    assert times(tmp_path, *lines) == [SECOND, SECOND, SECOND, 2 * SECOND, 3 * SECOND]


def test_what_comes_before_a_first_sentence_with_a_date_has_its_time(tmp_path: Path) -> None:
    found = times(tmp_path, "# a comment", VTG, rmc("000653.00"))
    assert found == [413 * SECOND] * 3


def test_midnight_before_and_after_the_first_date(tmp_path: Path) -> None:
    before = [gga("235959.00"), gga("000001.00"), rmc("000002.00")]
    assert times(tmp_path, *before) == [-SECOND, SECOND, 2 * SECOND]
    after = [rmc("235959.00", "080624"), gga("000001.00"), rmc("000002.00")]
    assert times(tmp_path, *after) == [-SECOND, SECOND, 2 * SECOND]


def test_without_a_date_the_day_is_the_first_of_1970(tmp_path: Path) -> None:
    assert [time for time, _ in read(tmp_path, VTG, gga("000001.00"))] == [SECOND, SECOND]
    assert [time for time, _ in read(tmp_path, VTG)] == [0]


def test_a_date_is_also_told_by_zda_and_of_the_last_century(tmp_path: Path) -> None:
    assert times(tmp_path, sentence("GNZDA,000001.00,09,06,2024,00,00")) == [SECOND]
    (old,) = times(tmp_path, rmc("000000.00", "060180"))
    assert dt.datetime.fromtimestamp((old + DAY) / 1e6, dt.UTC).date() == dt.date(1980, 1, 6)


@pytest.mark.parametrize(
    "odd",
    [
        rmc("000009.00")[:-1] + "Z",
        rmc("000009.00").replace("A,3000", "V,3000"),  # its checksum is that of another
        rmc("240000.00"),
        rmc("006000.00"),
        rmc("1.5"),
        rmc("000001.00", "310224"),
        rmc("000001.00", "x"),
        sentence("GNRMC,000001.00,A"),
        sentence("GNZDA,000001.00"),
        sentence("GNGLL"),
    ],
)
def test_an_odd_sentence_moves_no_clock_by_a_day(odd: str, tmp_path: Path) -> None:
    assert times(tmp_path, rmc("000001.00"), odd, VTG) == [SECOND] * 3


def test_a_line_that_is_too_long_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "receiver.nmea"
    source = LogSource(path)
    for length, taken in ((LINE_BYTES_MAX, 3), (LINE_BYTES_MAX + 1, 2), (5 * LINE_BYTES_MAX, 2)):
        path.write_text(f"{rmc('000001.00')}\n{'x' * length}\n{VTG}\n")
        (chunk,) = source.chunks()
        assert len(chunk.ids) == taken
        assert source.skipped.get("overlong-line", 0) == 3 - taken


def test_a_log_is_read_in_chunks_also_where_no_date_ever_comes(tmp_path: Path) -> None:
    path = tmp_path / "receiver.log"
    path.write_text(f"{VTG}\n" * (WAITING_MAX + 10))
    source = LogSource(path)
    before = source.fraction
    assert [len(chunk.ids) for chunk in source.chunks()] == [WAITING_MAX, 10]
    assert (before, source.fraction) == (None, 1)
    path.write_text(f"{rmc('000001.00')}\n" * (CHUNK_LINES + 10))
    assert [len(chunk.ids) for chunk in source.chunks()] == [CHUNK_LINES, 10]


def test_a_text_without_a_sentence_is_no_log(tmp_path: Path) -> None:
    path = tmp_path / "receiver.nmea"
    path.write_text("$GNRMC,of,no,checksum\n# hello\n")
    with pytest.raises(DeviceFault) as fault:
        recognise(path)
    assert fault.value.code == "log-format"


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_no_bytes_raise(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("log") / "receiver.log"
    path.write_bytes(rmc("000001.00").encode() + b"\n" + b"\n".join(lines))
    for chunk in LogSource(path).chunks():
        assert len(chunk.times_us) == len(chunk.ids) == len(chunk.payloads)
