"""What a recorded drive holds: signals, events and trips, with no box, key or store.

Place in the flow: log → windows → decode → events → trips → **replay** (a report).

* The same windows and rules as the running gateway, so a report shows what a box would have told.
* `report_text` says the same for people; fault codes are explained there and nowhere else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal_by_id
from vehicle_gateway.dtc import describe
from vehicle_gateway.events import Events
from vehicle_gateway.trips import Trips
from vehicle_gateway.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge.columns import Group
    from edge.ports import FrameChunk, FrameSource
    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.decode import Decoded, Decoder

DEVICE: Final = "replay"
BAR: Final = 30
DECIMALS: Final = 6


def replay(
    source: FrameSource,
    decoder: Decoder,
    campaign: Campaign,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Reads a source to its end.

    Args:
        source: A recording.
        decoder: Of the vehicle that was recorded.
        campaign: The rules of events and trips.
        progress: Is told how many frames were read so far, after each window.

    Returns:
        `log`, `frames`, `decoded` (messages that gave a row), `samples`, `unknown_frames`,
        `skipped` and `dropped` by reason, `signals` by path, `events`, `trips`, `snapshots`, and
        `imu`: how the acceleration sensor was found to sit.

    Raises:
        DeviceFault: The recording cannot be read.
    """
    events, trips, tally = Events(campaign), Trips(campaign, DEVICE), _Tally()
    told: list[dict[str, Any]] = []
    summaries: list[dict[str, Any] | None] = []
    for window in _windows(source):
        decoded = decoder.decode(window)
        found = events.feed(decoded.groups)
        told += found
        summaries.append(trips.expire(window.times_us[0]))
        trips.feed(decoded.groups, found)
        tally.add(decoded)
        if progress is not None:
            progress(tally.figures["frames"])
    last = events.finish()
    trips.feed([], last)
    summaries.append(trips.finish())
    axis = events.motion.mounting.axis
    return {
        "log": source.name,
        **tally.figures,
        "skipped": dict(source.skipped),
        "dropped": dict(sorted(tally.dropped.items())),
        "signals": tally.signals(),
        "events": told + last,
        "trips": [each for each in summaries if each is not None],
        "snapshots": tally.snapshots,
        "imu": axis._asdict() if axis else None,
    }


def _windows(source: FrameSource) -> Iterator[FrameChunk]:
    windows = Windows()
    for chunk in source.chunks():
        yield from windows.add(chunk)
    rest = windows.cut()
    if rest is not None:
        yield rest


class _Tally:
    """Adds up what windows hold."""

    def __init__(self) -> None:
        self.figures = dict.fromkeys(("frames", "decoded", "samples", "unknown_frames"), 0)
        self.dropped: dict[str, int] = {}
        self.snapshots: list[dict[str, Any]] = []
        self._signals: dict[int, _Signal] = {}

    def add(self, decoded: Decoded) -> None:
        """Takes a window in."""
        self.figures["frames"] += decoded.frames
        self.figures["decoded"] += sum(len(group.times_us) for group in decoded.groups)
        self.figures["samples"] += decoded.samples
        self.figures["unknown_frames"] += decoded.unknown_frames
        for reason, count in decoded.counts.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + count
        self.snapshots += decoded.snapshots
        for group in decoded.groups:
            for identity, series in group.series.items():
                self._signals.setdefault(identity, _Signal()).add(group, series)

    def signals(self) -> dict[str, dict[str, Any]]:
        """Returns what was seen of each signal, by VSS path, in its unit."""
        rows = {}
        for identity, seen in self._signals.items():
            if seen.count:
                spec = signal_by_id(identity)
                rows[spec.path] = {**seen.told(spec.numerator, spec.denominator), "unit": spec.unit}
        return dict(sorted(rows.items()))


class _Signal:
    """Count, ends and latest value of one signal, in integers of the data catalogue."""

    def __init__(self) -> None:
        self.count = self._low = self._high = self._last = self._last_us = 0

    def add(self, group: Group, series: Sequence[int | None]) -> None:
        """Takes the values of one group in."""
        values = [value for value in series if value is not None]
        if not values:
            return
        low, high = min(values), max(values)
        self._low = min(self._low, low) if self.count else low
        self._high = max(self._high, high) if self.count else high
        self.count += len(values)
        at_us = group.times_us[_last_place(series)]
        # Several messages may give one signal: the latest value is that of the latest time.
        if self.count == len(values) or at_us >= self._last_us:
            self._last, self._last_us = values[-1], at_us

    def told(self, numerator: int, denominator: int) -> dict[str, Any]:
        """Returns the figures in the unit of the signal."""
        scaled = {"min": self._low, "max": self._high, "last": self._last}
        return {
            "count": self.count,
            **{
                name: round(raw * numerator / denominator, DECIMALS) for name, raw in scaled.items()
            },
        }


def _last_place(series: Sequence[int | None]) -> int:
    return next(place for place in reversed(range(len(series))) if series[place] is not None)


# ------------------------------------------------------------------ for people
def report_text(report: dict[str, Any]) -> str:
    """Returns a report as lines of text."""
    head = (
        f"{report['log']}: {report['frames']:,} frames, {report['decoded']:,} messages decoded, "
        f"{report['samples']:,} samples, {report['unknown_frames']:,} frames unknown"
    )
    lines = [head]
    if not report["decoded"]:
        lines.append("  Nothing is known: choose another --profile, or bring the DBC by --dbc.")
    for path, row in report["signals"].items():
        ends = f"{row['min']:g} .. {row['max']:g}, last {row['last']:g} {row['unit']}"
        lines.append(f"  {path:58} {row['count']:>9,}  {ends}")
    for name in ("skipped", "dropped"):
        if report[name]:
            counted = ", ".join(f"{reason} {count:,}" for reason, count in report[name].items())
            lines.append(f"{name}: {counted}")
    for name in ("events", "trips", "snapshots"):
        lines.append(f"{name}: {len(report[name]) or 'none'}")
        lines += [f"  {json.dumps(row, ensure_ascii=False)}" for row in report[name]]
    lines += [f"  {code}: {describe(code)}" for code in _codes(report["snapshots"])]
    if report["imu"]:
        lines.append(f"imu: {json.dumps(report['imu'])}")
    return "\n".join(lines)


def _codes(snapshots: Sequence[dict[str, Any]]) -> list[str]:
    """Fault codes of SAE J2012, each once; those of J1939 are numbers and say nothing here."""
    codes = {code for each in snapshots for code in each.get("codes", [])}
    return sorted(code for code in codes if code[:1] in {"P", "C", "B", "U"})


def bar(name: str, frames: int, fraction: float | None) -> str:
    """Returns a line that shows how far a recording has been read."""
    if fraction is None:
        return f"{name} {frames:,} frames"
    full = round(fraction * BAR)
    return f"{name} [{'#' * full}{' ' * (BAR - full)}] {fraction:4.0%} {frames:,} frames"
