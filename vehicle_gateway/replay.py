"""What a recorded drive holds: signals, events and trips, with no box, key or store.

Place in the flow: log → windows → decode → events → trips → **replay** (a report).

* The same windows and rules as the running gateway, so a report shows what a box would have told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal_by_id
from vehicle_gateway.events import Events
from vehicle_gateway.trips import Trips
from vehicle_gateway.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.columns import Group
    from edge.ports import FrameChunk, FrameSource
    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.decode import Decoder

DEVICE: Final = "replay"


def replay(source: FrameSource, decoder: Decoder, campaign: Campaign) -> dict[str, Any]:
    """Reads a source to its end.

    Returns:
        `frames`, `samples`, `unknown_frames`, `skipped` and `counts` by reason, `signals` by path,
        `events`, `trips`, and `imu`: how the acceleration sensor was found to sit.

    Raises:
        DeviceFault: The recording cannot be read.
    """
    events, trips = Events(campaign), Trips(campaign, DEVICE)
    report: dict[str, Any] = {"log": source.name, "frames": 0, "samples": 0, "unknown_frames": 0}
    counts: dict[str, int] = {}
    signals: dict[int, list[int]] = {}
    told: list[dict[str, Any]] = []
    summaries: list[dict[str, Any] | None] = []
    for window in _windows(source):
        decoded = decoder.decode(window)
        found = events.feed(decoded.groups)
        told += found
        summaries.append(trips.expire(window.times_us[0]))
        trips.feed(decoded.groups, found)
        report["frames"] += decoded.frames
        report["samples"] += decoded.samples
        report["unknown_frames"] += decoded.unknown_frames
        for reason, count in decoded.counts.items():
            counts[reason] = counts.get(reason, 0) + count
        _measure(signals, decoded.groups)
    last = events.finish()
    trips.feed([], last)
    summaries.append(trips.finish())
    axis = events.motion.mounting.axis
    return {
        **report,
        "skipped": dict(source.skipped),
        "counts": counts,
        "signals": dict(sorted(_describe(signals))),
        "events": told + last,
        "trips": [each for each in summaries if each is not None],
        "imu": axis._asdict() if axis else None,
    }


def _windows(source: FrameSource) -> Iterator[FrameChunk]:
    windows = Windows()
    for chunk in source.chunks():
        yield from windows.add(chunk)
    rest = windows.cut()
    if rest is not None:
        yield rest


def _measure(signals: dict[int, list[int]], groups: Sequence[Group]) -> None:
    """Keeps count, lowest and highest of each signal."""
    for group in groups:
        for identity, series in group.series.items():
            values = [value for value in series if value is not None]
            if values:
                known = signals.setdefault(identity, [0, values[0], values[0]])
                known[0] += len(values)
                known[1] = min(known[1], *values)
                known[2] = max(known[2], *values)


def _describe(signals: dict[int, list[int]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for identity, (count, low, high) in signals.items():
        spec = signal_by_id(identity)
        scale = spec.numerator / spec.denominator
        yield (
            spec.path,
            {
                "samples": count,
                "min": round(low * scale, 6),
                "max": round(high * scale, 6),
                "unit": spec.unit,
            },
        )
