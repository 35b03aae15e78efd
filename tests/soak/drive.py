"""A drive of the simulated vehicle as a recording, and what an undisturbed box makes of it.

Place in the flow: hardware.sim.vehicle → **drive** → the recording that the box plays; and, by
windows, decoder, events and trips in one go → what the core must have in the end.

* Samples are told by spans of ten seconds: how many, and sums of hashes, which say the same
  whatever the order. A sample that is missing, changed or there twice changes them.
* Times are those that are sent: the box evens out what does not change, window by window.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from backend_sync.telemetry.fields import plain
from hardware.drivers.can_log import LogSource
from hardware.sim.vehicle import START_US, SimSettings, SimulatedSource
from vehicle_gateway.cadence import evened
from vehicle_gateway.campaign import default_campaign
from vehicle_gateway.decode import Decoded, Decoder
from vehicle_gateway.profile import DEFAULT, load_profile
from vehicle_gateway.replay import replay
from vehicle_gateway.windows import SPAN_US

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from edge.ports import FrameChunk

DAY_US: Final = 86_400_000_000
HASH_MODULUS: Final = 1 << 64
MIX: Final = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
FOLD: Final = 29


@dataclass(frozen=True, slots=True)
class Span:
    """The samples of ten seconds.

    Attributes:
        count: How many.
        values: Sum of the hashes of signal and value, modulo 2^64.
        rows: Sum of the hashes of signal, value and time.
    """

    count: int = 0
    values: int = 0
    rows: int = 0

    def __add__(self, other: Span) -> Span:
        """Joins the samples of both."""
        return Span(
            self.count + other.count,
            (self.values + other.values) % HASH_MODULUS,
            (self.rows + other.rows) % HASH_MODULUS,
        )


@dataclass(frozen=True, slots=True)
class Drive:
    """A recording, and what must come of it.

    Attributes:
        path: candump text.
        frames: How many it holds.
        samples: By span.
        events, trips: Each as a line of text; with how often it must be there.
    """

    path: Path
    frames: int
    samples: Mapping[int, Span]
    events: Counter[str]
    trips: Counter[str]


def record(path: Path, seconds: int, seed: int, day: int = 0) -> Drive:
    """Drives for so long, writes the recording, and works out what must come of it.

    Args:
        path: Of the recording.
        seconds: Length of the drive.
        seed: Of the drive.
        day: Drives of different days share no span.
    """
    vehicle = SimulatedSource(
        SimSettings(seconds=seconds, seed=seed, start_us=START_US + day * DAY_US)
    )
    with path.open("w", encoding="ascii") as log:
        for chunk in vehicle.chunks():
            log.writelines(_lines(chunk))
    return expect(path)


def expect(path: Path) -> Drive:
    """Plays a recording without box, store or network, and returns what must come of it."""
    decoder = Noting(load_profile(DEFAULT), [])
    told = replay(LogSource(path), decoder, default_campaign())
    return Drive(
        path,
        told["frames"],
        spans_of(decoder.tables),
        Counter(event_line(each) for each in told["events"]),
        Counter(trip_line(plain(each)) for each in told["trips"]),
    )


class Noting(Decoder):
    """Decodes, and keeps every sample: signal, time and value of each."""

    def __init__(self, *of: Any) -> None:
        super().__init__(*of)
        self.tables: list[pa.Table] = []

    def decode(self, chunk: FrameChunk) -> Decoded:
        """Decodes one window."""
        decoded = super().decode(chunk)
        for group in evened(decoded.groups):
            times = pa.array(group.times_us, pa.int64())
            for signal, values in group.series.items():
                raw = pa.array(values, pa.int64())
                rows = pa.table({"time_us": times, "raw": raw}).filter(raw.is_valid())
                numbers = pa.repeat(pa.scalar(signal, pa.int32()), len(rows))
                self.tables.append(rows.append_column("signal", numbers))
        return decoded


def spans_of(tables: Iterable[pa.Table]) -> dict[int, Span]:
    """Adds samples up by span.

    Args:
        tables: With columns `signal`, `time_us` and `raw`.
    """
    sums: dict[int, Span] = {}
    for table in filter(len, tables):
        values = _mixed([table["signal"].cast(pa.int64()), table["raw"]])
        columns = {
            "span": pc.divide(table["time_us"], SPAN_US),
            "values": values,
            "rows": _mixed([values, table["time_us"]]),
        }
        wanted = [("values", "count"), ("values", "sum"), ("rows", "sum")]
        for row in pa.table(columns).group_by("span").aggregate(wanted).to_pylist():
            found = Span(row["values_count"], row["values_sum"], row["rows_sum"])
            sums[row["span"]] = sums.get(row["span"], Span()) + found
    return sums


def event_line(event: Mapping[str, Any]) -> str:
    """Returns an event as a line: all that the lake keeps of it."""
    names = ("kind", "start_us", "end_us", "peak", "unit", "severity", "rule")
    return " ".join(f"{name}={event[name]}" for name in names)


def trip_line(summary: Any) -> str:
    """Returns the summary of a trip as a line, without its id, which names the device."""
    return " ".join(f"{name}={value}" for name, value in sorted(summary.items()) if name != "trip")


def _lines(chunk: FrameChunk) -> Iterable[str]:
    return (
        f"({time_us // 1_000_000}.{time_us % 1_000_000:06d}) can0 "
        f"{number:03X}#{payload.hex().upper()}\n"
        for time_us, number, payload in zip(chunk.times_us, chunk.ids, chunk.payloads, strict=True)
    )


def _mixed(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Hashes rows; arithmetic of 64 bits that wraps around."""
    mixed = pa.scalar(0, pa.uint64())
    for column, factor in zip(columns, MIX, strict=False):
        words = pc.multiply(_unsigned(column), pa.scalar(factor, pa.uint64()))
        mixed = _stirred(pc.bit_wise_xor(mixed, words))
    return mixed


def _stirred(words: pa.ChunkedArray) -> pa.ChunkedArray:
    shifted = pc.shift_right(words, pa.scalar(FOLD, pa.uint64()))
    return pc.multiply(pc.bit_wise_xor(words, shifted), pa.scalar(MIX[0], pa.uint64()))


def _unsigned(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([chunk.view(pa.uint64()) for chunk in column.chunks], pa.uint64())
