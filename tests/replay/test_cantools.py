"""Every signal of the recorded buses, value by value, as cantools decodes it one frame at a time.

Place in the flow: recording → our compiled decoders, and cantools → the same values, or a failure.

* Nothing is rounded: each column is in a step that its factor and its offset are multiples of.
* What J1939 does not call a value is left out by a rule of its own here, from the bits.
* The counts are those of the recordings: a decoder that skips everything agrees with nothing.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cantools
import pytest

from edge.catalogue import signal
from edge.ports import EXTENDED_ID, FrameChunk
from hardware.drivers.can_log import LogSource
from vehicle_gateway.dbc import ColumnDecoder, decode_message, load_dbc, pick
from vehicle_gateway.decode import Decoder
from vehicle_gateway.j1939 import J1939Interpreter
from vehicle_gateway.j1939_ids import pgn_of
from vehicle_gateway.j1939_messages import Group, reserved
from vehicle_gateway.profile import load_profile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cantools.database.can import Database
    from cantools.database.can import Message as CantoolsMessage

    from vehicle_gateway.bits import Field
    from vehicle_gateway.columns import Columns
    from vehicle_gateway.dbc import Message

EBUS = "can/ebus_j1939/ebus_j1939.log"
DEMO = "can/ebus_j1939/CSS-Electronics-SAE-J1939-DEMO.dbc"
FMS = Path(__file__).resolve().parents[2] / "vehicle_gateway" / "vehicles" / "fms_bus.dbc"
J1939_MASK = 0x03FF_FF00  # cantools compares what the mask leaves: neither priority nor source


@dataclass
class Keys:
    """Gives each signal a column and a step in which it is a whole number."""

    names: list[str] = field(default_factory=list)
    steps: list[Fraction] = field(default_factory=list)

    def wanted(self, message: Message) -> dict[str, tuple[int, Fraction]]:
        found = {}
        for each in message.fields.values():
            found[each.name] = len(self.names), _step(each)
            self.names.append(f"{message.name}.{each.name}")
            self.steps.append(_step(each))
        return found


def _step(own: Field) -> Fraction:
    factor, offset = abs(own.factor) or Fraction(1), own.offset
    common = math.lcm(factor.denominator, offset.denominator)
    return Fraction(math.gcd(int(factor * common), int(offset * common)) or 1, common)


Frame = tuple[int, int, bytes]
"""When, id, data."""
Values = dict[str, list[tuple[int, Fraction]]]
"""Signal → when and what, where there is a value."""


def collect(found: Iterator[Columns], keys: Keys) -> Values:
    values: defaultdict[str, list[tuple[int, Fraction]]] = defaultdict(list)
    for columns in found:
        for key, column in columns.series.items():
            step = keys.steps[key]
            values[keys.names[key]] += [
                (time_us, raw * step)
                for time_us, raw in zip(columns.times_us, column, strict=True)
                if raw is not None
            ]
    return {name: column for name, column in values.items() if column}


def chunks(path: Path) -> Iterator[FrameChunk]:
    yield from LogSource(path).chunks()


def ours_j1939(log: Path, dbc: Path, counts: Counter[str]) -> Values:
    keys = Keys()
    groups = {
        pgn_of(message.can_id): Group(
            ColumnDecoder(message, keys.wanted(message), reserved=reserved)
        )
        for message in load_dbc(dbc)
    }
    bus = J1939Interpreter(groups)

    def found() -> Iterator[Columns]:
        for chunk in chunks(log):
            own = [place for place, can_id in enumerate(chunk.ids) if bus.claims(can_id)]
            yield from bus.decode(chunk, own, counts).columns

    return collect(found(), keys)


def ours_plain(log: Path, dbc: Path) -> Values:
    keys = Keys()
    decoders = {
        message.can_id: ColumnDecoder(message, keys.wanted(message)) for message in load_dbc(dbc)
    }

    def found() -> Iterator[Columns]:
        for chunk in chunks(log):
            places: defaultdict[int, list[int]] = defaultdict(list)
            for place, can_id in enumerate(chunk.ids):
                places[can_id].append(place)
            for can_id in places.keys() & decoders.keys():
                own = places[can_id]
                times_us, payloads = pick(chunk.times_us, own), pick(chunk.payloads, own)
                yield decode_message(decoders[can_id], own, times_us, payloads, Counter())

    return collect(found(), keys)


# ------------------------------------------------------------------ cantools
def theirs(message: CantoolsMessage, payload: bytes) -> Iterator[tuple[str, Fraction, float, int]]:
    """Yields name, exact value, value as cantools scales it, and the bits, of each signal."""
    bits: Any = message.decode(payload, decode_choices=False, scaling=False, allow_truncated=True)
    scaled: Any = message.decode(payload, decode_choices=False, allow_truncated=True)
    for each in message.signals:
        if each.name not in bits:
            continue  # another page of a multiplexed message
        raw = int(bits[each.name])
        factor, offset = each.conversion.scale, each.conversion.offset
        exact = raw * Fraction(repr(factor)) + Fraction(repr(offset))
        yield each.name, exact, scaled[each.name], raw


def is_value(raw: int, length: int) -> bool:
    """SAE J1939-71 clause 5.1.4, said another way than in the code under test."""
    if length == 1:
        return True
    if length >= 8 and (length == 8 or length >= 16):
        return raw >> (length - 8) <= 0xFA
    return raw < (1 << length) - 2


def decode_all(
    frames: Iterator[Frame], database: Database, *, is_j1939: bool
) -> tuple[Values, Counter[str]]:
    values: defaultdict[str, list[tuple[int, Fraction]]] = defaultdict(list)
    tally: Counter[str] = Counter()
    first: dict[str, int] = {}
    for time_us, can_id, payload in frames:
        try:
            message = database.get_message_by_frame_id(can_id & ~EXTENDED_ID)
        except KeyError:
            continue
        if message.is_extended_frame != bool(can_id & EXTENDED_ID):
            continue
        if is_j1939 and first.setdefault(message.name, can_id & 0xFF) != can_id & 0xFF:
            tally["second"] += 1
            continue
        tally["frames"] += 1
        lengths = {each.name: each.length for each in message.signals}
        for name, exact, scaled, raw in theirs(message, payload):
            there = not is_j1939 or is_value(raw, lengths[name])
            tally["values" if there else "absent"] += 1
            assert math.isclose(scaled, exact, rel_tol=1e-12, abs_tol=1e-12)
            if there:
                values[f"{message.name}.{name}"].append((time_us, exact))
    return dict(values), tally


def frames_of(log: Path) -> Iterator[Frame]:
    for chunk in chunks(log):
        yield from zip(chunk.times_us, chunk.ids, chunk.payloads, strict=True)


def database_of(dbc: Path, mask: int | None = None) -> Database:
    database: Any = cantools.database.load_file(dbc, strict=False, frame_id_mask=mask)
    return database  # type: ignore[no-any-return]


def compare(own: Values, their: Values) -> None:
    assert own.keys() == their.keys()
    for name, column in their.items():
        assert own[name] == column, name


# ------------------------------------------------------------------ recordings
J1939_CASES: Mapping[str, tuple[str, dict[str, int]]] = {
    "with the DBC of the recording": (DEMO, {"frames": 7_986, "values": 7_986}),
    "with our own DBC": (
        "",
        {"frames": 30_873, "values": 167_475, "absent": 179_273, "second": 11_958},
    ),
}


@pytest.mark.parametrize("case", J1939_CASES)
def test_every_value_of_the_electric_bus_is_what_cantools_says(case: str, real_data: Path) -> None:
    name, expected = J1939_CASES[case]
    dbc = real_data / name if name else FMS
    counts: Counter[str] = Counter()
    own = ours_j1939(real_data / EBUS, dbc, counts)
    database = database_of(dbc, J1939_MASK)
    their, tally = decode_all(frames_of(real_data / EBUS), database, is_j1939=True)
    compare(own, their)
    absent = sum(counts[f"j1939-{why}"] for why in ("not-available", "error", "reserved"))
    assert (absent, counts["j1939-second-source"]) == (tally["absent"], tally["second"])
    assert tally == expected


def test_the_profile_of_the_bus_takes_speeds_as_they_are(real_data: Path) -> None:
    """The whole way: VSS paths in the units of the data catalogue, which these signals fit."""
    own: defaultdict[int, list[tuple[int, int | None]]] = defaultdict(list)
    decoder = Decoder(load_profile("fms_bus"))
    for chunk in chunks(real_data / EBUS):
        for group in decoder.decode(chunk).groups:
            for key, column in group.series.items():
                own[key] += zip(group.times_us, column, strict=True)
    database = database_of(real_data / DEMO, J1939_MASK)
    their, _ = decode_all(frames_of(real_data / EBUS), database, is_j1939=True)
    for path, name in (
        ("Vehicle.Speed", "CCVS1.WheelBasedVehicleSpeed"),
        ("Vehicle.OBD.EngineSpeed", "EEC1.EngineSpeed"),
    ):
        spec = signal(path)
        step = Fraction(spec.numerator, spec.denominator)
        told = [(time_us, raw * step) for time_us, raw in own[spec.id] if raw is not None]
        assert told == their[name]


def test_every_value_of_the_toyota_is_what_cantools_says(real_data: Path) -> None:
    log = real_data / "can/toyota/toyota_60s_bus0.log"
    dbc = real_data / "can/toyota/toyota_new_mc_pt_generated.dbc"
    their, tally = decode_all(frames_of(log), database_of(dbc), is_j1939=False)
    compare(ours_plain(log, dbc), their)
    assert tally == {"frames": 38_983, "values": 210_706}


def test_a_long_message_is_what_cantools_says_of_its_bytes(real_data: Path) -> None:
    log, dbc = real_data / "can/uds_tp/j1939_tp.MF4", real_data / "can/uds_tp/tp_j1939.dbc"
    counts: Counter[str] = Counter()
    own = ours_j1939(log, dbc, counts)
    database = database_of(dbc, J1939_MASK)
    their, tally = decode_all(rejoin(frames_of(log)), database, is_j1939=True)
    compare(own, their)
    assert tally == {"frames": 13, "values": 13}
    assert own["EC1.EngineSpeedAtPoint5"][0][1] == Fraction("1566.5")


def rejoin(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Joins what each sender sends to all, in the plainest way; the recording lost nothing."""
    under_way: dict[int, tuple[int, int, bytes]] = {}
    for time_us, can_id, payload in frames:
        kind, source = can_id >> 8 & 0xFFFF, can_id & 0xFF
        if kind == 0xECFF and payload[0] == 32:
            size, pgn = (
                int.from_bytes(payload[1:3], "little"),
                int.from_bytes(payload[5:], "little"),
            )
            under_way[source] = size, pgn, b""
        elif kind == 0xEBFF and source in under_way:
            size, pgn, data = under_way[source]
            data += payload[1:]
            under_way[source] = size, pgn, data
            if len(data) >= size:
                yield time_us, EXTENDED_ID | 6 << 26 | pgn << 8 | source, data[:size]
                del under_way[source]
