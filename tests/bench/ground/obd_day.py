"""What eight hours of OBD and GNSS cost a data plan under the thrifty campaign.

Place in the flow: recording, over and over → the whole box → **obd_day** → `tests.bench.gateway`.

* The recording is replayed as often as it takes, each time later by its own length, through
  windows, decoder, events, trips, collection, seals and the durable outbox.
* Every byte that waits in the outbox counts: batches, events, trips, evidence.
* `python -m tests.bench.ground.obd_day LOG` prints the day, and what it says of each signal costs:
  how much smaller the day is without it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from edge.catalogue import signal_by_id
from edge.ports import FrameChunk
from hardware.drivers.can_log import LogSource
from tests.bench.ground.box import DEVICE, open_box
from vehicle_gateway.batch import Batcher, Vehicle
from vehicle_gateway.campaign import built_in
from vehicle_gateway.decode import Decoder
from vehicle_gateway.profile import load_profile
from vehicle_gateway.wanted import Row
from vehicle_gateway.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vehicle_gateway.campaign import Campaign

SECOND_US: Final = 1_000_000
ROUND_S: Final = 600
ROUNDS: Final = 48
MEGABYTE: Final = 1e6
ALL_MESSAGES: Final = 1_000_000


def obd_day_mb(log: Path) -> float:
    """Returns megabytes (10^6) that an eight-hour day leaves in the outbox.

    Args:
        log: Ten minutes of OBD-II answers, GNSS and IMU.
    """
    return round(_outbox_bytes(log, built_in("thrifty"), ROUNDS) / MEGABYTE, 3)


def signals_kb(log: Path) -> dict[str, float]:
    """Returns kilobytes of an eight-hour day by path: how much less it is without the signal."""
    campaign, rounds = built_in("thrifty"), 6
    whole = _outbox_bytes(log, campaign, rounds)
    costs = {
        path: (whole - _outbox_bytes(log, _without(campaign, path), rounds)) * ROUNDS / rounds
        for path in _paths(log)
    }
    return {path: round(cost / 1e3, 1) for path, cost in costs.items() if cost > 0}


def _paths(log: Path) -> list[str]:
    decoder = Decoder(load_profile())
    groups = [g for chunk in LogSource(log).chunks() for g in decoder.decode(chunk).groups]
    return sorted({signal_by_id(each).path for group in groups for each in group.series})


def _without(campaign: Campaign, path: str) -> Campaign:
    assert campaign.collect is not None
    rows = [Row([path], skip=True), *campaign.collect.signals]
    collect = msgspec.structs.replace(campaign.collect, signals=rows)
    return msgspec.structs.replace(campaign, collect=collect)


def _outbox_bytes(log: Path, campaign: Campaign, rounds: int) -> int:
    with tempfile.TemporaryDirectory(prefix="lastmile-day-") as name, open_box(Path(name)) as sink:
        vehicle, decoder = Vehicle(DEVICE, "car-1"), Decoder(load_profile())
        batcher = Batcher(sink, vehicle, decoder, campaign)
        batcher.resume(log.name, repeatable=True)
        windows = Windows()
        for chunk in _day(log, rounds):
            for window in windows.add(chunk):
                batcher.take(window)
        rest = windows.cut()
        if rest is not None:
            batcher.take(rest)
        batcher.finish()
        sink.stream.close()
        return sum(len(each.payload) for each in sink.outbox.due(ALL_MESSAGES))


def _day(log: Path, rounds: int) -> Iterator[FrameChunk]:
    """Yields the frames of a recording again and again, each time a round later."""
    chunks = list(LogSource(log).chunks())
    for number in range(rounds):
        later_us, done = number * ROUND_S * SECOND_US, number * chunks[-1].position
        for each in chunks:
            times = [time + later_us for time in each.times_us]
            yield FrameChunk(times, each.ids, each.payloads, done + each.position)


def main(log: Path) -> None:
    """Prints the figures."""
    print(f"{obd_day_mb(log):.3f} MB for eight hours; of it, in kB:")
    for path, cost in sorted(signals_kb(log).items(), key=lambda item: -item[1]):
        print(f"  {path:48} {cost:8.1f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
