"""What one message says before it is sealed: a record, small enough to be sent.

Place in the flow: batch → **record** → epochs (seals) → outbox.

    record {v, start_us, boot, mono_us, trip, driver, vehicle, columns, events, counts}, and
           trip_summary in a trip batch, snapshots and health where there are any

* A batch that would be too large for a message is split; no sample is left out for its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.codec import deflate, encode
from edge.columns import Group, encode_columns
from vehicle_gateway.cadence import evened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vehicle_gateway.columns import Snapshot
    from vehicle_gateway.events import Event
    from vehicle_gateway.trips import Summary

VERSION: Final = 1
# The core takes 256 KiB a message; seal and headers need less than 256 bytes of it.
PLAINTEXT_BYTES_MAX: Final = 200 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """One message to be sealed."""

    priority: int
    start_us: int
    trip: str | None
    groups: Sequence[Group] = ()
    events: Sequence[Event] = ()
    summary: Summary | None = None
    snapshots: Sequence[Snapshot] = ()
    health: Mapping[str, Any] | None = None
    frames: int = 0
    unknown: int = 0
    dropped: Mapping[str, int] | None = None


def count_samples(groups: Sequence[Group]) -> int:
    """Counts the values that are present."""
    return sum(
        len(values) - values.count(None) for each in groups for values in each.series.values()
    )


def fitting(part: Part, common: Mapping[str, Any]) -> Iterator[tuple[Part, bytes]]:
    """Yields a part with its plaintext, halved as often as it takes to fit into a message."""
    plaintext = deflate(encode(record_of(part, common)))
    halves = _halves(part) if len(plaintext) > PLAINTEXT_BYTES_MAX else None
    if halves is None:
        yield part, plaintext
        return
    for half in halves:
        yield from fitting(half, common)


def record_of(part: Part, common: Mapping[str, Any]) -> dict[str, Any]:
    """Lays out the record that the core reads."""
    record: dict[str, Any] = {
        "v": VERSION,
        **common,
        "start_us": part.start_us,
        "trip": part.trip,
        "columns": encode_columns(evened(part.groups), part.start_us) if part.groups else b"",
        "events": list(part.events),
        "counts": _counts(part),
    }
    if part.summary is not None:
        record["trip_summary"] = part.summary
    if part.snapshots:
        record["snapshots"] = list(part.snapshots)
    if part.health is not None:
        record["health"] = dict(part.health)
    return record


def _counts(part: Part) -> dict[str, Any]:
    """What is nought is left out: it would cost a day's plan fifty kilobytes to say so."""
    counts: dict[str, Any] = {"frames": part.frames, "samples": count_samples(part.groups)}
    if part.unknown:
        counts["unknown"] = part.unknown
    if part.dropped:
        counts["dropped"] = dict(part.dropped)
    return counts


def _halves(part: Part) -> tuple[Part, Part] | None:
    """Splits columns by group, or a single group by time; None where nothing is left to split."""
    groups = part.groups
    if len(groups) > 1:
        middle = len(groups) // 2
        first, second = list(groups[:middle]), list(groups[middle:])
    elif groups and len(groups[0].times_us) > 1:
        middle = len(groups[0].times_us) // 2
        first, second = [_slice(groups[0], 0, middle)], [_slice(groups[0], middle, None)]
    else:
        return None
    one = Part(
        part.priority,
        part.start_us,
        part.trip,
        groups=first,
        frames=part.frames,
        unknown=part.unknown,
        dropped=part.dropped,
    )
    return one, Part(part.priority, part.start_us, part.trip, groups=second)


def _slice(group: Group, start: int, end: int | None) -> Group:
    series = {signal: values[start:end] for signal, values in group.series.items()}
    return Group(group.times_us[start:end], series)
