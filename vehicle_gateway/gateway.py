"""The loop of the vehicle box: frames in, sealed batches out, answers settled.

Place in the flow: source → windows → batch → outbox → mqtt; `__main__` composes it.

* One thread reads, decodes, seals and settles: there is one writer, and no lock.
* Killed at any instant it goes on at its checkpoint. Asked to stop, it seals what it holds, signs
  the end of its epoch and leaves.
* A withdrawn consent takes effect before the next batch is sealed; a given one never reaches back.
* A live bus that is lost is opened again for ever; a recording that cannot be read ends the run.
* Asleep (`power`) a box has sealed what it heard, ended its epoch and left the broker, as soon as
  nothing waits or the broker had time enough; a frame or the key wakes it. Cut, it ends.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.errors import DeviceFault
from edge.ports import LINE_ID, FrameChunk
from vehicle_gateway.cabin import Change, Moment
from vehicle_gateway.driver import waiting_statements
from vehicle_gateway.ticks import mmps_of
from vehicle_gateway.windows import Windows

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.ports import FrameSource, PowerReading, Requester
    from vehicle_gateway.batch import Batcher, Sink
    from vehicle_gateway.cabin import Cabin
    from vehicle_gateway.health import Health
    from vehicle_gateway.mqtt import Publisher
    from vehicle_gateway.power import Power

SILENCE_US: Final = 15_000_000
PROGRESS_US: Final = 5_000_000
REOPEN_S: Final = 2.0
WAIT_S: Final = 0.25
FAREWELL_US: Final = 300_000_000
MOVING_MMPS: Final = mmps_of(3)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Feed:
    """Where frames come from.

    Attributes:
        is_live: A bus in the present, whose silence means something, not a recording.
        requesters: Who asks on it; with the key off they are silent.
    """

    source: FrameSource
    is_live: bool
    requesters: Sequence[Requester] = ()


class Gateway:
    """One run of the box.

    Args:
        feed: Where frames come from.
        batcher: Seals windows.
        sink: The store behind it.
        publisher: Sends; None where there is no broker.
        data_dir: Where statements of drivers are left.
        power: Says when to sleep and when to let go; None never does.
    """

    def __init__(
        self,
        feed: Feed,
        batcher: Batcher,
        sink: Sink,
        publisher: Publisher | None,
        data_dir: Path,
        power: Power | None = None,
    ) -> None:
        self._feed = feed
        self._batcher = batcher
        self._sink = sink
        self._publisher = publisher
        self._data_dir = data_dir
        self._power = power
        self._asleep_us: int | None = None
        self._is_paused = False
        self._is_online = publisher is not None
        self._cabin: Cabin | None = None
        self._health: Health | None = None
        self._windows = Windows()
        self._heard_us = self._told_us = sink.clock.now().monotonic_us

    def attend(self, cabin: Cabin) -> None:
        """Serves the driver's place too, from the next run on."""
        self._cabin = cabin

    def report(self, health: Health) -> None:
        """Tells of the box's health too, from the next run on."""
        self._health = health

    def run(self, stop: threading.Event, *, exit_when_settled: bool = False) -> dict[str, Any]:
        """Works until `stop` is set, or the source has ended and everything is acknowledged.

        Returns:
            The totals of `summary`.

        Raises:
            DeviceFault: The disk is full or failing, or a recording cannot be read. The next run
                goes on where the last transaction ended.
        """
        self._sink.stream.begin()
        self._batcher.resume(self._feed.source.name, repeatable=not self._feed.is_live)
        if self._health:
            self._health.begin()
        try:
            is_over = self._read(stop)
        finally:
            self._feed.source.close()
        self._seal_rest()
        if is_over:
            self._batcher.finish()
        if self._health:
            self._health.end(seals=self._feed.is_live)
        self._sink.stream.close()
        self._tell(force=True)
        while self._publisher and not stop.is_set() and not self.is_cut:
            if exit_when_settled and self._sink.outbox.empty:
                break
            self._publisher.pump(wait_s=WAIT_S)
            self._take_statements()
            self._serve_cabin()
            self._tell()
            self._step_health()
        return self.summary()

    @property
    def is_cut(self) -> bool:
        """Whether the vehicle's battery was too low to go on."""
        return self._power is not None and self._power.state == "cut"

    def summary(self) -> dict[str, Any]:
        """Counts of this source so far, and what waits or was dropped."""
        totals, counts = self._batcher.totals, self._sink.outbox.counts()
        samples = totals["samples"]
        return {
            "source": self._feed.source.name,
            **totals,
            "bytes_per_sample": round(totals["sealed_bytes"] / samples, 3) if samples else None,
            "skipped": dict(self._feed.source.skipped),
            "refuted": self._batcher.events.refuted,
            "waiting": counts["waiting"],
            "settled": counts["settled"],
            "dropped": counts["dropped"],
            **({"ended": "low-battery"} if self.is_cut else {}),
        }

    # ------------------------------------------------------------ inside
    def _read(self, stop: threading.Event) -> bool:
        """Reads until the end; says whether that was the source's and not ours."""
        self._take_statements()
        for chunk in self._frames(stop):
            if self._watch_power(chunk) == "cut":
                return False
            for window in self._windows.add(chunk):
                self._batcher.take(window)
            self._watch_silence(chunk)
            self._take_statements()
            self._serve_cabin()
            if self._publisher and self._is_online:
                self._publisher.pump()
            self._tell()
            self._step_health()
            if stop.is_set():
                return False
        return not stop.is_set()

    def _frames(self, stop: threading.Event) -> Iterator[FrameChunk]:
        while not stop.is_set():
            try:
                yield from self._feed.source.chunks(self._batcher.position)
            except DeviceFault as error:
                if not self._feed.is_live:
                    raise
                log.warning("%s Trying again.", error)
                yield FrameChunk([], [], [], self._batcher.position)
                stop.wait(REOPEN_S)
            else:
                return

    def _watch_silence(self, chunk: FrameChunk) -> None:
        """Seals what is held, and ends the trip, when a live bus says nothing for long."""
        if not self._feed.is_live:
            return
        now = self._sink.clock.now()
        if _hears_bus(chunk):
            self._heard_us = now.monotonic_us
        elif now.monotonic_us - self._heard_us >= SILENCE_US:
            self._seal_rest()
            self._batcher.rest(now.wall_us)

    def _watch_power(self, chunk: FrameChunk) -> str:
        """Wakes, falls asleep or lets go; a recording is always awake."""
        if self._power is None or not self._feed.is_live:
            return "awake"
        now_us = self._sink.clock.now().monotonic_us
        is_moving = bool(chunk.ids) and (self._batcher.speed_mmps or 0) >= MOVING_MMPS
        is_alive = _hears_bus(chunk) or is_moving
        state = self._power.step(is_heard=is_alive, now_us=now_us)
        self._pause(self._power.reading)
        if state == "asleep":
            self._sleep(now_us)
        elif self._asleep_us is not None:
            self._wake()
        return state

    def _sleep(self, now_us: int) -> None:
        if self._asleep_us is None:
            log.info("falling asleep: the key is off or the bus silent")
            self._asleep_us = now_us
            self._seal_rest()
            self._sink.stream.close()
        is_late = now_us - self._asleep_us >= FAREWELL_US
        if self._publisher and self._is_online and (is_late or self._sink.outbox.empty):
            self._is_online = False
            self._publisher.close()

    def _wake(self) -> None:
        log.info("awake again")
        self._asleep_us = None
        if self._publisher and not self._is_online:
            self._is_online = True
            self._publisher.open()

    def _pause(self, reading: PowerReading | None) -> None:
        """With the key off asking would keep computers awake, and empty the battery."""
        is_off = reading is not None and reading.ignition is False
        if is_off != self._is_paused:
            self._is_paused = is_off
            for each in self._feed.requesters:
                each.pause(paused=is_off)

    def _seal_rest(self) -> None:
        window = self._windows.cut()
        if window is not None:
            self._batcher.take(window)

    def _take_statements(self) -> None:
        for path, statement in waiting_statements(self._data_dir, self._sink.drivers.secret):
            self._change_driver(Change(statement=statement))
            path.unlink(missing_ok=True)
            log.info("consent %s", "withdrawn" if statement.withdrawn else "given")

    def _serve_cabin(self) -> None:
        """Lets the driver act, then shows them what goes on."""
        if self._cabin is None:
            return
        now, moment = self._sink.clock.now(), self._moment()
        for change in self._cabin.changes(now, moment):
            self._change_driver(change)
        self._cabin.show(now, moment)

    def _change_driver(self, change: Change) -> None:
        """Ends what one person drove before another begins; a withdrawal reaches that, too."""
        now, drivers, said = self._sink.clock.now(), self._sink.drivers, change.statement
        is_known = said is not None and drivers.live(now.wall_us) == said.subject
        if not change.is_withdrawal and not is_known:
            self._seal_rest()
            self._batcher.finish()
        if self._cabin is not None:
            self._cabin.carry_out(change, self._sink.stream, now)
        elif said is not None:
            drivers.take_in(said, self._sink.stream)
        if said is not None and said.withdrawn:
            self._batcher.today.forget(drivers.tag_of(said.subject))

    def _moment(self) -> Moment:
        return Moment(
            speed_mmps=self._batcher.speed_mmps,
            trip=self._batcher.trip,
            alerts=self._batcher.events.alerts(),
            today=self._batcher.today,
            waiting=self._sink.outbox.counts()["waiting"],
            online=self._publisher.is_connected if self._publisher else None,
            driving_left_s=self._batcher.events.driving_left_s,
        )

    def _step_health(self) -> None:
        if self._health:
            self._health.step(seals=self._feed.is_live)

    def _tell(self, *, force: bool = False) -> None:
        now_us = self._sink.clock.now().monotonic_us
        if force or now_us - self._told_us >= PROGRESS_US:
            self._told_us = now_us
            totals, counts = self._batcher.totals, self._sink.outbox.counts()
            log.info(
                "frames %d, samples %d, events %d, waiting %d",
                totals["frames"],
                totals["samples"],
                totals["events"],
                counts["waiting"],
            )


def _hears_bus(chunk: FrameChunk) -> bool:
    """Whether a frame came from a bus: adapters, receivers and sensors on lines talk for ever."""
    return any(not can_id & LINE_ID for can_id in chunk.ids)
