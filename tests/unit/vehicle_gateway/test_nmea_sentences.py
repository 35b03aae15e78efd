"""One NMEA sentence: what is believed, what is passed over, and under which reason."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_gateway.nmea_sentences import (
    NUMBER,
    READERS,
    SYSTEMS,
    Facts,
    Sentence,
    checksum,
    open_line,
    read_facts,
)


def framed(body: str) -> bytes:
    """A sentence with its checksum."""
    return b"$%s*%02X\r\n" % (body.encode(), checksum(body.encode()))


def facts_of(body: str) -> Facts:
    counts: Counter[str] = Counter()
    sentence = open_line(framed(body), counts)
    assert sentence is not None
    facts = read_facts(sentence, counts)
    assert facts is not None
    assert not counts
    return {key: value for key, value in facts.items() if value is not None}


def refusal(line: bytes) -> dict[str, int]:
    counts: Counter[str] = Counter()
    sentence = open_line(line, counts)
    assert sentence is None or read_facts(sentence, counts) is None
    return dict(counts)


# ------------------------------------------------------------------ what is believed
def test_rmc_says_time_date_place_speed_course_and_fix() -> None:
    body = "GNRMC,000653.50,A,4404.12994,N,12118.84613,W,0.052,359.9,090624,,,A,V"
    assert facts_of(body) == {
        "time_us": 413_500_000,
        "day": 19_883,
        "place": (44_068_832, -121_314_102),
        "speed_mmps": 27,
        "course_ddeg": 3_599,
        "fix": 3,
        "simulated": False,
    }


@pytest.mark.parametrize(
    ("body", "fix"),
    [
        ("GPRMC,,V,,,,,,,,,,N", 0),
        ("GPRMC,120000,A,2634.70,N,10642.81,E,9.5,70,020326", 3),  # 2.1: nothing after the date
        ("GPRMC,120000,A,2634.70,N,10642.81,E,9.5,70,020326,,", 3),
        ("GNRMC,120000,A,2634.70,N,10642.81,E,9.5,70,020326,,,E", 1),
        ("GNRMC,120000,A,2634.70,N,10642.81,E,9.5,70,020326,,,S,V", 0),
        ("GPGGA,120000,2634.70,N,10642.81,E,0,00,99.99,,M,,M,,", 0),
        ("GPGGA,120000,2634.70,N,10642.81,E,4,12,0.7,1240.1,M,,M,,", 3),
        ("GPGGA,120000,2634.70,N,10642.81,E,6,00,,,M,,M,,", 1),
        ("GPGGA,120000,2634.70,N,10642.81,E,8,12,0.7,1240.1,M,,M,,", 0),
        ("GNGNS,191434.96,,,,,NNN,,,,,,", 0),
        ("GNGNS,120000,2634.70,N,10642.81,E,NAN,09,1.5,1240.1,-22,,,V", 3),
        ("GPGLL,2634.70,N,10642.81,E,120000,A", 3),
        ("GPGLL,2634.70,N,10642.81,E,120000,V,N", 0),
        ("BDVTG,,T,,M,,N,,K,N", 0),
    ],
)
def test_every_version_says_whether_there_is_a_fix(body: str, fix: int) -> None:
    assert facts_of(body)["fix"] == fix


@pytest.mark.parametrize(
    ("text", "speed"), [("10,T,,M,36.0,N,66.672,K,A", 18_520), ("10,T,,M,10,N,,K", 5_144)]
)
def test_vtg_says_speed_in_whichever_unit_it_has(text: str, speed: int) -> None:
    assert facts_of(f"GPVTG,{text}")["speed_mmps"] == speed


def test_zda_says_a_date_with_four_digits_of_year_and_a_leap_second_is_the_next_minute() -> None:
    found = facts_of("GPZDA,235960.00,31,12,2016,00,00")
    assert (found["day"], found["time_us"]) == (17_166, 86_400_000_000)


@pytest.mark.parametrize(
    ("body", "used"),
    [
        ("GBGSA,A,3,06,,,,,,,,,,,,1.8,0.9,1.5", {("beidou", 6)}),
        ("BDGSA,A,3,206,,,,,,,,,,,,1.8,0.9,1.5", {("beidou", 206)}),
        ("GNGSA,A,3,13,37,,,,,,,,,,,1.5,0.9,1.2,4", {("beidou", 13), ("beidou", 37)}),
        ("GNGSA,A,3,13,,,,,,,,,,,,1.5,0.9,1.2,1", {("gps", 13)}),
        (
            "GNGSA,A,3,13,78,213,305,407,,,,,,,,1.5,0.9,1.2",
            {("gps", 13), ("glonass", 78), ("beidou", 213), ("galileo", 305), ("beidou", 407)},
        ),
    ],
)
def test_a_beidou_satellite_is_known_by_talker_system_or_number(
    body: str, used: set[tuple[str, int]]
) -> None:
    assert facts_of(body)["used"] == used


@pytest.mark.parametrize(
    ("body", "view"),
    [
        ("GPGSV,1,1,00", {}),
        ("GPGSV,1,1,00,,,,,,,,,,,,,,,,", {}),
        ("GPGSV,1,1,02,14,79,041,29,15,31,297,,1", {("gps", 14): 29, ("gps", 15): 0}),
        ("BDGSV,1,1,01,13,19,043,17", {("beidou", 13): 17}),
        ("PQGSV,4,4,15,28,08,040,31,29,,,,0,4", {("beidou", 28): 31, ("beidou", 29): 0}),
    ],
)
def test_gsv_says_what_is_in_view_and_how_strong(
    body: str, view: dict[tuple[str, int], int]
) -> None:
    assert facts_of(body)["view"] == view


def test_gst_says_the_accuracy() -> None:
    assert facts_of("GPGST,120000,1.2,3,2,40,3.0,4.0,9.9")["accuracy_m"] == 5


def test_a_dilution_of_99_99_is_absence() -> None:
    assert "hdop" not in facts_of("GPGSA,A,1,,,,,,,,,,,,,99.99,99.99,99.99")


# ------------------------------------------------------------------ what is passed over
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "nmea-no-sentence"),
        (b"# a comment", "nmea-no-sentence"),
        (b"\xb5\x62\x01\x07\x5c\x00", "nmea-no-sentence"),
        (b"!AIVDM,1,1,,A,1,0*2D", "nmea-no-sentence"),
        (b"$GPRMC,,V,,,,,,,,,,N", "nmea-no-checksum"),
        (b"$GPRMC,,V,,,,,,,,,,N*5", "nmea-no-checksum"),
        (b"$GPRMC,,V,,,,,,,,,,N*54", "nmea-checksum"),
        (framed("PDTINFO,UM621-02"), "nmea-proprietary"),
        (framed("SNRSTAT,1,1,0,0"), "nmea-foreign"),
        (framed("GYOACC,090624"), "nmea-foreign"),
        (framed("GPTXT,01,01,02,u-blox"), "nmea-foreign"),
        (framed("IIRMC,,V,,,,,,,,,,N"), "nmea-foreign"),
        (framed(""), "nmea-foreign"),
    ],
)
def test_what_is_no_sentence_of_ours_is_counted_by_reason(line: bytes, reason: str) -> None:
    assert refusal(line) == {reason: 1}


@pytest.mark.parametrize(
    "body",
    [
        "GPRMC,240000,A,2634.70,N,10642.81,E,9.5,70,020326,,,A",
        "GPRMC,120000,X,2634.70,N,10642.81,E,9.5,70,020326,,,A",
        "GPRMC,120000,A,9034.70,N,10642.81,E,9.5,70,020326,,,A",
        "GPRMC,120000,A,2664.70,N,10642.81,E,9.5,70,020326,,,A",
        "GPRMC,120000,A,2634.70,Q,10642.81,E,9.5,70,020326,,,A",
        "GPRMC,120000,A,2634.70,N,18042.81,E,9.5,70,020326,,,A",
        "GPRMC,120000,A,2634.70,N,10642.81,E,-9.5,70,020326,,,A",
        "GPRMC,120000,A,2634.70,N,10642.81,E,nan,70,020326,,,A",
        "GPRMC,120000,A,2634.70,N,10642.81,E,9.5,370,020326,,,A",
        "GPRMC,120000,A,2634.70,N,10642.81,E,9.5,70,310226,,,A",
        "GPRMC,120000,A,2634.70,N,10642.81,E,9.5,70,020326,,,Z",
        "GPGGA,120000,2634.70,N,10642.81,E,X,12,0.7,1240.1,M,,M,,",
        "GPGSA,A,3,1x,,,,,,,,,,,,1.8,0.9,1.5",
        "GPGSV,1,1,999,14,79,041,29",
        "GPGSV",
        "GPZDA,120000,31,02,2026,00,00",
    ],
)
def test_a_field_that_cannot_be_makes_the_sentence_say_nothing(body: str) -> None:
    assert refusal(framed(body)) == {"nmea-field": 1}


@pytest.mark.parametrize(
    "line",
    [
        b"\xb5\x62\x01\x07noise" + framed("GPRMC,,V,,,,,,,,,,N"),
        b"$GPGGA,1200" + framed("GPRMC,,V,,,,,,,,,,N"),
        framed("GPRMC,,V,,,,,,,,,,N").strip() + b"\xd3\x00\x13",
    ],
)
def test_garbage_around_a_sentence_is_counted_and_the_sentence_taken(line: bytes) -> None:
    counts: Counter[str] = Counter()
    sentence = open_line(line, counts)
    assert sentence == Sentence("GP", "RMC", ["", "V", *[""] * 9, "N"])
    assert counts == {"nmea-garbage": 1}


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise(line: bytes) -> None:
    refusal(b"$GP" + line) if b"$" not in line else open_line(line, Counter())


FIELD = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="$*,"))
NUMERIC = st.from_regex(NUMBER, fullmatch=True)


@given(
    st.sampled_from(sorted(set(SYSTEMS) - {"PQ"})),
    st.sampled_from(sorted(READERS)),
    st.lists(
        FIELD | st.from_regex(NUMBER, fullmatch=True) | st.sampled_from("ANVEWSMK"), max_size=24
    ),
)
def test_arbitrary_fields_under_a_good_checksum_never_raise(
    talker: str, formatter: str, fields: list[str]
) -> None:
    counts: Counter[str] = Counter()
    sentence = open_line(framed(",".join([talker + formatter, *fields])), counts)
    assert sentence is not None
    assert (read_facts(sentence, counts) is None) == (counts["nmea-field"] == 1)
