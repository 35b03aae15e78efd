"""A window becomes sealed messages and a checkpoint, in one transaction.

Place in the flow: windows → decode → events → trips → collect → **batch** → epochs, outbox.

    raw batch      what is collected of the window             dropped first when the outbox is full
    trip batch     summary of a trip that has ended            outlives raw columns
    capture        what a trigger wants, at full rate          outlives raw columns
    event batch    events that have ended in the window        outlives all

* One transaction holds the messages of a window, where the source stands after it and all that
  decoder, events, trips and collection remember. Killed anywhere, the gateway goes on at the last window that
  is whole on the disk: nothing is counted twice and nothing is left out.
* Rules change between two windows alone, in a transaction of their own: what goes on is told under
  the old ones, the trip goes on, and what was learned of the vehicle stays (`conduct`).
* When a transaction fails, what is in memory goes back to the checkpoint too.
* The driver stands in a batch only while their consent lives; without, `privacy` says what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.codec import decode, encode
from edge.outbox import PRIORITY_EVENT, PRIORITY_RAW, PRIORITY_TRIP
from edge.sqlite import Migrations
from edge.store import create_tables
from vehicle_gateway.events import Events
from vehicle_gateway.privacy import allowed_part
from vehicle_gateway.record import Part, count_samples, fitting
from vehicle_gateway.today import Today
from vehicle_gateway.trips import Trips

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.epochs import SealedStream
    from edge.outbox import Outbox
    from edge.ports import Clock, FrameChunk
    from edge.sqlite import Database
    from edge.store import Store
    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.decode import Decoded, Decoder
    from vehicle_gateway.decoders import Decoders
    from vehicle_gateway.driver import DriverBook
    from vehicle_gateway.events import Event
    from vehicle_gateway.trips import Summary

TOTALS: Final = ("frames", "samples", "events", "batches", "sealed_bytes", "unknown_frames")
MIGRATIONS = Migrations("gateway_batch")


@MIGRATIONS()
def gateway_batch_001(database: Database) -> None:
    """The checkpoint: one row."""
    create_tables(
        database,
        """CREATE TABLE gateway_checkpoint (
            id       INTEGER PRIMARY KEY CHECK (id = 1),
            source   TEXT    NOT NULL,
            position INTEGER NOT NULL,
            totals   BLOB    NOT NULL,
            state    BLOB    NOT NULL
        )""",
    )


@dataclass(frozen=True, slots=True)
class Vehicle:
    """What every batch of this box says of itself."""

    device: str
    vehicle: str


@dataclass(frozen=True, slots=True)
class Sink:
    """Where batches go.

    Attributes:
        store: Holds outbox, driver and checkpoint.
    """

    store: Store
    outbox: Outbox
    stream: SealedStream
    drivers: DriverBook
    clock: Clock


class Batcher:
    """Takes windows of one source in, seals them, and knows where it stands.

    Attributes:
        events: The rules; what is going on right now.
        today: What the driver's own screen shows of today.
        position: Frames of the source that are safely sealed.
        totals: Counts since the start of the source, by the names of `TOTALS`.
    """

    def __init__(
        self, sink: Sink, vehicle: Vehicle, decoder: Decoder | Decoders, campaign: Campaign
    ) -> None:
        self._sink = sink
        self._vehicle = vehicle
        self._decoder = decoder
        self.events = Events(campaign)
        self._trips = Trips(campaign, vehicle.device)
        self.today = Today()
        self._fresh = self._state()
        self._source, self._repeatable = "", True
        self.position = 0
        self.totals = dict.fromkeys(TOTALS, 0)

    def resume(self, source: str, *, repeatable: bool) -> None:
        """Goes on from the checkpoint, if there is one of this source.

        Args:
            source: Name of what is read; another source begins at nothing.
            repeatable: Whether it can be read again from any frame: a recording, not a bus.
        """
        self._source, self._repeatable = source, repeatable
        row = self._sink.store.row("SELECT source, position, totals, state FROM gateway_checkpoint")
        if row is None or row["source"] != source:
            self.position, self.totals = 0, dict.fromkeys(TOTALS, 0)
            self._restore(self._fresh)
            return
        self.position = row["position"] if repeatable else 0
        self.totals = decode(bytes(row["totals"]))
        self._restore(decode(bytes(row["state"])))

    def take(self, window: FrameChunk) -> None:
        """Seals one window.

        Raises:
            DeviceFault: The disk is full or failing: nothing of the window was kept, and it may be
                given again.
        """
        try:
            with self._sink.store.transaction():
                self._take(window)
        except BaseException:
            self._go_back()
            raise

    def rest(self, now_us: int) -> None:
        """Ends a trip when the vehicle has been silent for long; for live sources."""
        summary = self._trips.expire(now_us)
        if summary is not None:
            self._seal_end(summary, self.events.finish())

    def finish(self) -> None:
        """Ends events and trip because the source has ended for good.

        Raises:
            DeviceFault: The disk is full or failing: nothing has changed.
        """
        events = self.events.finish()
        self._trips.feed([], events)
        self.today.feed([], events, self._trips.current, self._tag())
        summary = self._trips.finish()
        if events or summary is not None:
            self._seal_end(summary, events)

    @property
    def trip(self) -> str | None:
        """The trip that is open, None between trips."""
        return self._trips.current

    # ------------------------------------------------------------ inside
    def _tag(self) -> str | None:
        return self._sink.drivers.tag(self._sink.clock.now().wall_us)

    def _take(self, window: FrameChunk) -> None:
        start_us = window.times_us[0]
        decoded = self._decoder.decode(window)
        events = self.events.feed(decoded.groups)
        ended = self._trips.expire(start_us)
        trip = self._trips.feed(decoded.groups, events)
        self.today.feed(decoded.groups, events, trip, self._tag())
        if ended is not None:
            self._seal(_summary_part(ended))
        self._seal(_raw_part(window, decoded, trip))
        if events or decoded.snapshots:
            told = Part(PRIORITY_EVENT, start_us, trip, events=events, snapshots=decoded.snapshots)
            self._seal(told)
        self.position = window.position
        self.totals["frames"] += decoded.frames
        self.totals["unknown_frames"] += decoded.unknown_frames
        self._save()

    def _seal_end(self, summary: Summary | None, events: Sequence[Event]) -> None:
        trip = summary["trip"] if summary is not None else None
        try:
            with self._sink.store.transaction():
                if events:
                    self._seal(Part(PRIORITY_EVENT, events[0]["start_us"], trip, events=events))
                if summary is not None:
                    self._seal(_summary_part(summary))
                self._save()
        except BaseException:
            self._go_back()
            raise

    def _seal(self, part: Part) -> None:
        now = self._sink.clock.now()
        driver = self._sink.drivers.live(now.wall_us)
        told = allowed_part(part, driver)
        if told is None:
            return
        common = {
            "boot": now.boot_id,
            "mono_us": now.monotonic_us,
            "driver": driver,
            "vehicle": self._vehicle.vehicle,
        }
        for piece, plaintext in fitting(told, common):
            seq = self._sink.stream.seal(plaintext, piece.priority)
            self.totals["batches"] += 1
            self.totals["samples"] += count_samples(piece.groups)
            self.totals["events"] += len(piece.events)
            self.totals["sealed_bytes"] += self._size_of(seq)

    def _size_of(self, seq: int) -> int:
        epoch = self._sink.stream.epoch
        found = self._sink.outbox.due(1, after=(epoch, seq - 1))
        kept = found and (found[0].epoch, found[0].seq) == (epoch, seq)
        return len(found[0].payload) if kept else 0

    def _save(self) -> None:
        self._sink.store.execute(
            "INSERT INTO gateway_checkpoint (id, source, position, totals, state) "
            "VALUES (1, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET source = excluded.source, "
            "position = excluded.position, totals = excluded.totals, state = excluded.state",
            (self._source, self.position, encode(self.totals), encode(self._state())),
        )

    def _go_back(self) -> None:
        """Forgets what a failed transaction had moved in memory."""
        self.resume(self._source, repeatable=self._repeatable)

    def _state(self) -> dict[str, Any]:
        return {
            "decoder": self._decoder.state(),
            "events": self.events.state(),
            "trips": self._trips.state(),
            "today": self.today.state(),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._decoder.restore(state["decoder"])
        self.events.restore(state["events"])
        self._trips.restore(state["trips"])
        self.today.restore(state.get("today", {}))


def _raw_part(window: FrameChunk, decoded: Decoded, trip: str | None) -> Part:
    return Part(
        PRIORITY_RAW,
        window.times_us[0],
        trip,
        groups=decoded.groups,
        frames=decoded.frames,
        unknown=decoded.unknown_frames,
        dropped=decoded.counts,
    )


def _summary_part(summary: Summary) -> Part:
    return Part(PRIORITY_TRIP, summary["start_us"], summary["trip"], summary=summary)
