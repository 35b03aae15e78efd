"""Reads one NMEA 0183 sentence: frame, checksum, and the facts in its fields.

Place in the flow: `NMEA_LINE` payload → **nmea_sentences** → nmea_epochs → nmea, timekeeping.

    $GNRMC,000653.00,A,4404.12994,N,12118.84613,W,0.052,,090624,,,A,V*08<CR><LF>
     |  |  fields between commas, any may be empty                    |
     |  formatter                      exclusive or of all between $ and *
     talker: GP GPS, BD or GB BeiDou, GL GLONASS, GA Galileo, GQ QZSS, GI NavIC, GN several

* Fields may be missing at the end (NMEA 2.1) or added (2.3 mode, 4.1 status, 4.11 system): what a
  sentence does not say is absent, what we do not know is passed over.
* Whatever comes before the last `$` or after the checksum is garbage: counted, and passed over.
* Without a checksum that holds nothing is believed; a sentence with one impossible field says
  nothing at all. Every refusal is counted by its reason, none raises.
* Numbers become integers of the data catalogue's scales by integer arithmetic, halves up.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping

Facts = dict[str, Any]
"""What a sentence says: `time_us` of the day, `day` since 1970, `place` (latitude and longitude in
millionths of a degree), `altitude_dm`, `speed_mmps`, `course_ddeg`, `accuracy_m`, `satellites`,
`hdop` and `pdop` in hundredths, `fix` (the most that it can be), `mode`, `used`, `view`,
`simulated`."""

SYSTEMS: Final[Mapping[str, str]] = {
    # Talker → constellation, as NMEA 4.11 and the makers' manuals name them.
    "GP": "gps",
    "GL": "glonass",
    "GA": "galileo",
    "GB": "beidou",
    "BD": "beidou",
    "PQ": "beidou",  # one maker's own talker for BeiDou: $PQGSV, $PQGSA
    "GQ": "qzss",
    "QZ": "qzss",
    "GI": "navic",
    "GN": "",  # several at once: the system id or the satellite's number says which
}
SYSTEM_IDS: Final = dict(
    zip("123456", ("gps", "glonass", "galileo", "beidou", "qzss", "navic"), strict=True)
)
ID_RANGES: Final = (
    # Satellite numbers in a GN sentence without a system id, after the receivers' manuals.
    (range(1, 65), "gps"),  # 33 to 64 are the augmentation satellites
    (range(65, 100), "glonass"),
    (range(193, 203), "qzss"),
    (range(201, 264), "beidou"),
    (range(301, 337), "galileo"),
    (range(401, 464), "beidou"),
)
POSITION, ESTIMATED, NONE = 3, 1, 0
MODES: Final[Mapping[str, int]] = {
    # Mode indicator of NMEA 2.3 and later; the positioning system in use.
    "A": POSITION,
    "D": POSITION,
    "P": POSITION,
    "R": POSITION,
    "F": POSITION,
    "E": ESTIMATED,
    "N": NONE,
    "M": NONE,  # typed in by hand
    "S": NONE,  # simulated
}
QUALITIES: Final[Mapping[str, int]] = {
    # GGA: 1 autonomous, 2 differential, 3 PPS, 4 RTK, 5 float RTK, 9 some makers' augmentation.
    **dict.fromkeys("123459", POSITION),
    "6": ESTIMATED,
    "0": NONE,
    "7": NONE,
    "8": NONE,
}
DAY_US: Final = 86_400_000_000
SATELLITES_MAX: Final = 200
NUMBER: Final = re.compile(r"-?(?:\d{1,9}\.?\d{0,12}|\.\d{1,12})")
TIME: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d|60)(?:\.(\d{0,9}))?")
ANGLE: Final = re.compile(r"(\d{1,3})([0-5]\d)(?:\.(\d{0,9}))?")
CHECKSUM: Final = re.compile(rb"\*([0-9A-Fa-f]{2})")
QUIRKS: Final = ("PQGSV", "PQGSA")
END: Final = b"\r\n\0 "


class Sentence(NamedTuple):
    """A whole sentence; `fields` are those after the address."""

    talker: str
    formatter: str
    fields: list[str]

    @property
    def kind(self) -> str:
        """Talker and formatter, such as `GNRMC`."""
        return self.talker + self.formatter


def open_line(line: bytes, counts: Counter[str]) -> Sentence | None:
    """Finds the sentence in a line.

    Args:
        line: What a receiver sent between two line ends.
        counts: What was passed over, by reason.

    Returns:
        None where there is none of a satellite receiver that we understand.
    """
    start = line.rfind(b"$")
    if start < 0:
        counts["nmea-no-sentence"] += 1
        return None
    end = CHECKSUM.search(line, start)
    if end is None:
        counts["nmea-no-checksum"] += 1
        return None
    body = line[start + 1 : end.start()]
    if checksum(body) != int(end[1], 16):
        counts["nmea-checksum"] += 1
        return None
    if start or line[end.end() :].strip(END):
        counts["nmea-garbage"] += 1
    return _address(body, counts)


def checksum(body: bytes) -> int:
    """Returns the exclusive or of all bytes between `$` and `*`."""
    value = 0
    for byte in body:
        value ^= byte
    return value


def read_facts(sentence: Sentence, counts: Counter[str]) -> Facts | None:
    """Returns what a sentence says; None where one of its fields cannot be."""
    try:
        return READERS[sentence.formatter](sentence)
    except (ValueError, LookupError):
        counts["nmea-field"] += 1
        return None


def _address(body: bytes, counts: Counter[str]) -> Sentence | None:
    address, *fields = body.decode("ascii", "replace").split(",")
    talker, formatter = address[:2], address[2:]
    if address.startswith("P") and address not in QUIRKS:
        counts["nmea-proprietary"] += 1
    elif talker not in SYSTEMS or formatter not in READERS:
        counts["nmea-foreign"] += 1
    else:
        return Sentence(talker, formatter, fields)
    return None


# ------------------------------------------------------------------ the sentences
def _read_rmc(sentence: Sentence) -> Facts:
    time, status, north, ns, east, ew, knots, course, day, *_ = _fields(sentence, 13)
    return {
        "time_us": _time(time),
        "day": _day(day),
        "place": _place(north, ns, east, ew),
        "speed_mmps": _scaled(knots, 1_852_000, 3_600, least=0),
        "course_ddeg": _scaled(course, 10, least=0, most=3_600),
        **_status(status, sentence, 11),
    }


def _read_gga(sentence: Sentence) -> Facts:
    time, north, ns, east, ew, quality, satellites, hdop, altitude, *_ = _fields(sentence, 9)
    return {
        "time_us": _time(time),
        "place": _place(north, ns, east, ew),
        "satellites": _count(satellites),
        "hdop": _dop(hdop),
        "altitude_dm": _scaled(altitude, 10),
        "fix": QUALITIES[quality] if quality else None,
        "simulated": quality in {"7", "8"},
    }


def _read_gns(sentence: Sentence) -> Facts:
    time, north, ns, east, ew, modes, satellites, hdop, altitude = _fields(sentence, 9)
    return {
        "time_us": _time(time),
        "place": _place(north, ns, east, ew),
        "satellites": _count(satellites),
        "hdop": _dop(hdop),
        "altitude_dm": _scaled(altitude, 10),
        "fix": max(MODES[letter] for letter in modes) if modes else None,
        "simulated": "S" in modes or "M" in modes,
    }


def _read_gll(sentence: Sentence) -> Facts:
    north, ns, east, ew, time, status = _fields(sentence, 6)
    return {
        "time_us": _time(time),
        "place": _place(north, ns, east, ew),
        **_status(status, sentence, 6),
    }


def _read_vtg(sentence: Sentence) -> Facts:
    # NMEA 2.x has letters between the numbers; very old receivers leave them out.
    course, *_, knots, _, kmh, _ = _fields(sentence, 8)
    mode = _at(sentence, 8)
    speed = _scaled(kmh, 1_000_000, 3_600, least=0)
    return {
        "speed_mmps": _scaled(knots, 1_852_000, 3_600, least=0) if speed is None else speed,
        "course_ddeg": _scaled(course, 10, least=0, most=3_600),
        "fix": MODES[mode] if mode else None,
        "simulated": mode in {"M", "S"},
    }


def _read_zda(sentence: Sentence) -> Facts:
    time, day, month, year = _fields(sentence, 4)
    whole = day and month and year
    return {
        "time_us": _time(time),
        "day": _days(int(year), int(month), int(day)) if whole else None,
    }


def _read_gsa(sentence: Sentence) -> Facts:
    _, mode, *rest = _fields(sentence, 17)
    named = SYSTEM_IDS.get(_at(sentence, 17), "") or SYSTEMS[sentence.talker]
    used = [number for number in rest[:12] if number]
    return {
        "mode": int(mode) if mode in {"1", "2", "3"} else None,
        "used": {(named or _system(number), int(number)) for number in used},
        "pdop": _dop(rest[12]),
        "hdop": _dop(rest[13]),
    }


def _read_gsv(sentence: Sentence) -> Facts:
    _, _, in_view, *rest = sentence.fields
    _count(in_view)
    whole = len(rest) - len(rest) % 4
    return {
        "view": {
            (SYSTEMS[sentence.talker] or _system(number), int(number)): _count(noise) or 0
            for number, noise in zip(rest[0:whole:4], rest[3:whole:4], strict=True)
            if number
        }
    }


def _read_gst(sentence: Sentence) -> Facts:
    north, east = (_scaled(_at(sentence, place), 100, least=0) for place in (5, 6))
    whole = north is not None and east is not None
    metres = round(((north or 0) ** 2 + (east or 0) ** 2) ** 0.5 / 100)
    return {"time_us": _time(_at(sentence, 0)), "accuracy_m": metres if whole else None}


READERS: Final[Mapping[str, Callable[[Sentence], Facts]]] = {
    "RMC": _read_rmc,
    "GGA": _read_gga,
    "GNS": _read_gns,
    "GLL": _read_gll,
    "VTG": _read_vtg,
    "ZDA": _read_zda,
    "GSA": _read_gsa,
    "GSV": _read_gsv,
    "GST": _read_gst,
}


# ------------------------------------------------------------------ the fields
def _fields(sentence: Sentence, number: int) -> list[str]:
    """The first fields, empty where an old receiver sends fewer."""
    return (sentence.fields + [""] * number)[:number]


def _at(sentence: Sentence, place: int) -> str:
    return sentence.fields[place] if place < len(sentence.fields) else ""


def _status(status: str, sentence: Sentence, mode_place: int) -> Facts:
    """A of a receiver that has a position, V of one that warns; then the mode, if it says one."""
    if status not in {"A", "V", ""}:
        raise ValueError(status)
    mode = _at(sentence, mode_place)
    most = MODES[mode] if mode else POSITION
    fix = {"A": most, "V": NONE, "": None}[status]
    return {"fix": fix, "simulated": mode in {"M", "S"}}


def _scaled(
    text: str,
    multiply: int,
    divide: int = 1,
    *,
    least: int | None = None,
    most: int | None = None,
) -> int | None:
    """Reads a decimal number times `multiply` / `divide`, halves up; None where it is empty."""
    if not text:
        return None
    if NUMBER.fullmatch(text) is None:
        raise ValueError(text)
    whole, _, rest = text.partition(".")
    number, unit = int(whole + rest), divide * int(10 ** len(rest))
    value = (2 * number * multiply + unit) // (2 * unit)
    if (least is not None and value < least) or (most is not None and value > most):
        raise ValueError(text)
    return value


def _dop(text: str) -> int | None:
    """A dilution of precision in hundredths; 99.99 is how receivers write that there is none."""
    value = _scaled(text, 100, least=0)
    return None if value is None or value >= 9_900 or value == 0 else value


def _count(text: str) -> int | None:
    return _scaled(text, 1, least=0, most=SATELLITES_MAX)


def _time(text: str) -> int | None:
    """Microseconds of the day; second 60, a leap second, is the first of the next minute."""
    if not text:
        return None
    found = TIME.fullmatch(text)
    if found is None:
        raise ValueError(text)
    hours, minutes, seconds = (int(part) for part in found.groups()[:3])
    rest = int((found[4] or "").ljust(9, "0")) // 1_000
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + rest


def _day(text: str) -> int | None:
    """Days since 1970 of ddmmyy; the years are 1980 to 2079."""
    if not text:
        return None
    if len(text) != 6 or not text.isdecimal():
        raise ValueError(text)
    year = int(text[4:])
    return _days(year + (1900 if year >= 80 else 2000), int(text[2:4]), int(text[:2]))


def _days(year: int, month: int, day: int) -> int:
    return date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()


def _place(north: str, ns: str, east: str, ew: str) -> tuple[int, int] | None:
    if not (north and ns and east and ew):
        return None
    latitude = _angle(north, {"N": 1, "S": -1}[ns], 90)
    return latitude, _angle(east, {"E": 1, "W": -1}[ew], 180)


def _angle(text: str, sign: int, most: int) -> int:
    """Millionths of a degree of dddmm.mmmm."""
    found = ANGLE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    rest = found[3] or ""
    unit = 60 * int(10 ** len(rest))
    minutes = int(found[2] + rest)
    value = int(found[1]) * 1_000_000 + (2 * minutes * 1_000_000 + unit) // (2 * unit)
    if value > most * 1_000_000:
        raise ValueError(text)
    return sign * value


def _system(number: str) -> str:
    """Which constellation a satellite's number belongs to, where nothing else says so."""
    return next((name for ids, name in ID_RANGES if int(number) in ids), "")
