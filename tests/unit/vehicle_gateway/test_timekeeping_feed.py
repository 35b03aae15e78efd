"""Receivers among the live sources teach the clock; the data pass as they came."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from edge.codec import decode
from edge.errors import DeviceFault
from edge.ports import NMEA_LINE, SOURCE_SHIFT, FrameChunk, Instant
from edge.seal import read_sign1
from hardware.drivers.clock_disciplined import DisciplinedClock
from hardware.drivers.clock_floor import ClockFloor
from tests.unit.vehicle_gateway.test_nmea_sentences import framed
from tests.unit.vehicle_gateway.yard import StillClock
from vehicle_gateway.driver import make_statement
from vehicle_gateway.nmea_epochs import Epoch
from vehicle_gateway.timekeeping import SECOND_US, Kept, Timekeeper
from vehicle_gateway.timekeeping_feed import ClockFeed, time_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.unit.vehicle_gateway.yard import Box

TRUE_US = 1_798_765_200 * SECOND_US  # 1 January 2027, 01:00 UTC
KNOWN = Kept(TRUE_US - 10**12, TRUE_US - 10**12)
Clocks = DisciplinedClock[Kept]


@dataclass
class Receiver:
    """A receiver on a line, read by the clock that it teaches; fulfils `FrameSource`."""

    raw: StillClock
    clock: Clocks
    seconds: int
    fix: int = 1
    source: int = 0
    name: str = "gnss:test"
    skipped: Mapping[str, int] = field(default_factory=dict)
    is_open: bool = True

    def chunks(self, skip_frames: int = 0) -> Iterator[FrameChunk]:
        del skip_frames
        for place in range(self.seconds):
            self.raw.advance(1)
            at = f"{3_600 + place:05d}"
            time = f"{int(at) // 3600:02d}{int(at) // 60 % 60:02d}{int(at) % 60:02d}.00"
            place_text = f"{time},2634.70,N,10642.81,E,{self.fix},14,0.8,1240.1,M,,M,,"
            lines = [
                framed(f"GNRMC,{time},A,2634.70,N,10642.81,E,9.5,70.0,010127,,,A,V"),
                framed(f"GNGGA,{place_text}"),
            ]
            tag = NMEA_LINE | self.source << SOURCE_SHIFT
            now_us = self.clock.now().wall_us
            yield FrameChunk([now_us, now_us], [tag, tag], lines, 2 * place + 2)

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def raw() -> StillClock:
    """A machine that woke up in 1970."""
    return StillClock(wall_us=0, monotonic_us=5_000_000)


@pytest.fixture
def clock(raw: StillClock) -> Clocks:
    return DisciplinedClock(raw, Timekeeper(KNOWN))


@pytest.mark.parametrize("source", [0, 3])
def test_a_receiver_sets_the_clock_and_its_data_stay_as_they_came(
    raw: StillClock, clock: Clocks, tmp_path: Path, source: int
) -> None:
    receiver = Receiver(raw, clock, 20, source=source)
    chunks = list(ClockFeed(receiver, clock, ClockFloor(tmp_path)).chunks())
    assert [chunk.position for chunk in chunks] == [*range(2, 42, 2)]
    assert chunks[0].times_us[0] == KNOWN.until_us  # what the box believed then
    assert clock.report() == {
        "source": "gnss",
        "ahead_s": 0,
        "steps": 1,
        "system_refused": 1,
    }
    assert clock.now().wall_us == TRUE_US + 19 * SECOND_US


def test_a_receiver_without_a_fix_teaches_nothing(
    raw: StillClock, clock: Clocks, tmp_path: Path
) -> None:
    list(ClockFeed(Receiver(raw, clock, 20, fix=0), clock, ClockFloor(tmp_path)).chunks())
    assert clock.report()["source"] == "floor"


def test_the_floor_is_kept_at_the_step_and_at_the_stop(
    raw: StillClock, clock: Clocks, tmp_path: Path
) -> None:
    receiver = Receiver(raw, clock, 20)
    feed = ClockFeed(receiver, clock, ClockFloor(tmp_path))
    list(feed.chunks())
    known = ClockFloor(tmp_path).read()
    assert known is not None
    assert known["source"] == "gnss"
    feed.close()
    known = ClockFloor(tmp_path).read()
    assert known is not None
    assert known["at_us"] == known["until_us"] == clock.now().wall_us
    assert not receiver.is_open


def test_a_disk_that_keeps_nothing_stops_no_vehicle(
    raw: StillClock, clock: Clocks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    floor = ClockFloor(tmp_path / "absent")
    with pytest.raises(DeviceFault, match="last known time"):
        floor.write({"at_us": 1, "until_us": 1})
    assert len(list(ClockFeed(Receiver(raw, clock, 20), clock, floor).chunks())) == 20
    assert "last known time" in caplog.text


@pytest.mark.parametrize(
    ("numbers", "teaches"),
    [
        ({}, True),
        ({"satellites": 4}, True),
        ({"satellites": 3}, False),
        ({"hdop": 1_000}, True),
        ({"hdop": 1_001}, False),
        ({"fix": 1}, False),
        ({"mode": 1}, False),
    ],
)
def test_only_a_good_fix_teaches(numbers: dict[str, int], *, teaches: bool) -> None:
    epoch = Epoch(0, numbers={"time_us": 5, "day": 1, "fix": 3, "altitude_dm": 1, **numbers})
    assert (time_of(epoch) is not None) == teaches


def test_a_time_without_a_date_teaches_nothing() -> None:
    assert time_of(Epoch(0, numbers={"time_us": 5, "fix": 3})) is None


def test_two_instants_of_one_boot_are_told_apart_by_the_monotonic_clock(raw: StillClock) -> None:
    clock = DisciplinedClock(raw, Timekeeper(KNOWN))
    first = clock.now()
    raw.advance(1)
    assert clock.now() == Instant(first.wall_us + SECOND_US, first.boot_id, 6_000_000)


def test_consent_and_epoch_go_by_the_disciplined_clock(
    box: Box, raw: StillClock, clock: Clocks
) -> None:
    box.clock = cast("StillClock", clock)
    days = 10
    given_us = KNOWN.until_us - days * 86_400 * SECOND_US + 100 * SECOND_US
    box.consented = None
    box.open()
    box.sink.drivers.heed(make_statement("driver-1", "zh", given_us, days, withdrawn=False))
    assert box.sink.drivers.live(box.sink.clock.now().wall_us) == "driver-1"
    box.sink.stream.begin()
    start = decode(read_sign1(box.messages()[0].payload)[1])
    assert start["start_us"] == KNOWN.until_us  # not 1970
    raw.advance(101)
    assert box.sink.drivers.live(box.sink.clock.now().wall_us) is None
    again = DisciplinedClock(StillClock(0, 3_000_000), Timekeeper(clock.keep(stopping=False)))
    assert box.sink.drivers.live(again.now().wall_us) is None  # a power cut revives no consent
