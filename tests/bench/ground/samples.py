"""Every signal of every frame of a recording, in windows of ten seconds.

Place in the flow: log and DBCs → **samples** → columns, JSON and Sparkplug B of `tests.bench.edge`.

* The gateway's own windows and column decoders run, on all signals that the DBC has instead of
  those of a vehicle profile: a sample is a decoded value of a frame, whether it changes or not.
* A signal is counted in steps of its DBC: no digit is lost, and none is made up.
* A signal that its multiplexer does not select is absent and no sample.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.columns import Group
from hardware.drivers.can_log import LogSource
from vehicle_gateway.dbc import ColumnDecoder, Message, load_dbc
from vehicle_gateway.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from edge.ports import FrameChunk


@dataclass(frozen=True, slots=True)
class Batch:
    """Ten seconds: what each message said."""

    start_us: int
    groups: Sequence[Group]


@dataclass(frozen=True, slots=True)
class Recording:
    """A log, decoded.

    Attributes:
        frames: Of the log; `decoded` of them are of a message that a DBC knows.
        names: Signal name by the id that `Group.series` has.
        samples: Values that are present.
    """

    name: str
    frames: int
    decoded: int
    samples: int
    names: Mapping[int, str]
    batches: Sequence[Batch]


def read_recording(name: str, log: Path, dbcs: Sequence[Path]) -> Recording:
    """Decodes a log."""
    signals = _Signals([message for path in dbcs for message in load_dbc(path)])
    windows = list(_cut(log))
    batches = [Batch(window.times_us[0], list(signals.decode(window))) for window in windows]
    groups = [group for batch in batches for group in batch.groups]
    return Recording(
        name,
        frames=sum(len(window.ids) for window in windows),
        decoded=sum(len(group.times_us) for group in groups),
        samples=sum(
            len(values) - values.count(None) for group in groups for values in group.series.values()
        ),
        names=signals.names,
        batches=batches,
    )


def _cut(log: Path) -> Iterator[FrameChunk]:
    windows = Windows()
    for chunk in LogSource(log).chunks():
        yield from windows.add(chunk)
    rest = windows.cut()
    if rest is not None:
        yield rest


class _Signals:
    """Decoders of all messages that have a signal."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.names: dict[int, str] = {}
        self._decoders: dict[int, ColumnDecoder] = {}
        for message in sorted(messages, key=lambda each: each.can_id):
            wanted = {}
            for field in message.fields.values():
                wanted[field.name] = (len(self.names) + 1, field.factor)
                self.names[len(self.names) + 1] = f"{message.name}.{field.name}"
            if wanted:
                self._decoders[message.can_id] = ColumnDecoder(message, wanted)

    def decode(self, window: FrameChunk) -> Iterator[Group]:
        places: defaultdict[int, list[int]] = defaultdict(list)
        for place, can_id in enumerate(window.ids):
            places[can_id].append(place)
        for can_id, found in places.items():
            decoder = self._decoders.get(can_id)
            if decoder is None:
                continue
            whole = [
                place for place in found if len(window.payloads[place]) >= decoder.bytes_needed
            ]
            if whole:
                series = decoder.decode([window.payloads[place] for place in whole], Counter())
                yield Group([window.times_us[place] for place in whole], series)
