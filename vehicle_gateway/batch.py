"""A window becomes sealed messages and a checkpoint, in one transaction.

Place in the flow: windows → decode → events → trips → collect → **batch** → epochs, outbox.

    raw batch      what is collected of the window             dropped first when the outbox is full
    trip batch     summary of a trip that has ended            outlives raw columns
    capture        what a trigger wants, at full rate          outlives raw columns
    event batch    events that have ended in the window        outlives all

* One transaction holds the messages of a window, where the source stands after it and all that
  decoder, events, trips and collection remember. Killed anywhere, the gateway goes on at the last
  window that is whole on the disk: nothing is counted twice and nothing is left out.
* Rules change between two windows alone, in a transaction of their own: what goes on is told under
  the old ones, the trip goes on, and what was learned of the vehicle stays (`conduct`).
* When a transaction fails, what is in memory goes back to the checkpoint too.
* The driver stands in a batch only while their consent lives; without, `privacy` says what is left.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from edge.codec import decode, encode
from edge.errors import PeerError
from edge.outbox import PRIORITY_EVENT, PRIORITY_RAW, PRIORITY_TRIP
from edge.sqlite import Migrations
from edge.store import create_tables
from vehicle_gateway.campaign_book import Standing
from vehicle_gateway.collect import sealed_size
from vehicle_gateway.conduct import STATE_ITEMS_MAX, Conduct
from vehicle_gateway.orders import OrderRefused
from vehicle_gateway.privacy import allowed_part
from vehicle_gateway.record import Part, count_samples, fitting
from vehicle_gateway.today import Today
from vehicle_gateway.triggers import Occasion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.epochs import SealedStream
    from edge.outbox import Outbox
    from edge.ports import Clock, FrameChunk
    from edge.sqlite import Database
    from edge.store import Store
    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.campaign_book import CampaignBook
    from vehicle_gateway.collect import Collected
    from vehicle_gateway.decode import Decoded, Decoder
    from vehicle_gateway.decoders import Decoders
    from vehicle_gateway.driver import DriverBook
    from vehicle_gateway.events import Event, Events
    from vehicle_gateway.orders import Verify
    from vehicle_gateway.trips import Summary

TOTALS: Final = (
    *("frames", "samples", "events", "batches", "sealed_bytes", "unknown_frames"),
    *("thinned", "over_budget"),
)
FRAMES, UNKNOWN, OVER_BUDGET = "frames", "unknown", "over-budget"
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

    Args:
        sink: Where batches go.
        vehicle: What each of them says.
        decoder: Of the source.
        campaign: The rules of the disk.
        book: The campaigns that the core sends; None where none are taken.

    Attributes:
        today: What the driver's own screen shows of today.
        position: Frames of the source that are safely sealed.
        totals: Counts since the start of the source, by the names of `TOTALS`.
    """

    def __init__(
        self,
        sink: Sink,
        vehicle: Vehicle,
        decoder: Decoder | Decoders,
        campaign: Campaign,
        book: CampaignBook | None = None,
    ) -> None:
        self._sink = sink
        self._vehicle = vehicle
        self._decoder = decoder
        self._book = book
        self._base = Standing(0, campaign)
        self._conduct = Conduct(vehicle.device, sink.drivers.secret, self._base)
        self.today = Today()
        self._unsaid: Counter[str] = Counter()
        self._fresh = self._state()
        self._source, self._repeatable = "", True
        self.position = 0
        self.totals = dict.fromkeys(TOTALS, 0)

    @property
    def sink(self) -> Sink:
        """Where batches go."""
        return self._sink

    @property
    def events(self) -> Events:
        """Driving events under the rules that act now."""
        return self._conduct.events

    @property
    def standing(self) -> Standing:
        """The campaign that acts now."""
        return Standing(self._conduct.seq, self._conduct.campaign)

    def resume(self, source: str, *, repeatable: bool) -> None:
        """Goes on from the checkpoint, if there is one of this source.

        Args:
            source: Name of what is read; another source begins at nothing.
            repeatable: Whether it can be read again from any frame: a recording, not a bus.
        """
        self._source, self._repeatable = source, repeatable
        row = self._sink.store.row("SELECT source, position, totals, state FROM gateway_checkpoint")
        state = decode(bytes(row["state"]), items_max=STATE_ITEMS_MAX) if row else {}
        if row is None or row["source"] != source:
            self.position, self.totals = 0, dict.fromkeys(TOTALS, 0)
            self._restore(self._fresh)
            self._conduct.restore_budget(state)
            return
        self.position = row["position"] if repeatable else 0
        self.totals = {**dict.fromkeys(TOTALS, 0), **decode(bytes(row["totals"]))}
        self._restore(state)

    def take(self, window: FrameChunk) -> None:
        """Seals one window.

        Raises:
            DeviceFault: The disk is full or failing: nothing of the window was kept, and it may be
                given again.
        """
        self.keep_to_campaign()
        try:
            with self._sink.store.transaction():
                self._take(window)
        except BaseException:
            self._go_back()
            raise

    def take_campaign(self, message: bytes, verify: Verify) -> bool:
        """Takes a signed campaign from the core, tells of it, and changes the rules.

        Args:
            message: Hostile bytes, from the down topic.
            verify: Checks against the core's signing key.

        Returns:
            Whether there is something to send because of it.

        Raises:
            PeerError: Not the core's, not for this box, older, over or malformed: the rules before
                stay.
            DeviceFault: The disk is full or failing; nothing has changed.
        """
        assert self._book is not None, "who listens for campaigns has a book of them"
        try:
            with self._sink.store.transaction():
                told = self._book.take(message, verify, self._sink.clock.now().wall_us)
                if told is not None:
                    self._sink.stream.state({"type": "campaign-taken", **told})
                    self.keep_to_campaign()
        except OrderRefused as refusal:
            with self._sink.store.transaction():
                if self._book.orders.note_refusal(refusal.seq):
                    told = {"order": refusal.seq, "code": refusal.code}
                    self._sink.stream.state({"type": "campaign-refused", **told})
            raise
        except PeerError:
            raise  # nothing has changed, in memory either: a stranger's bytes cost no more
        except BaseException:
            self._go_back()
            raise
        return told is not None

    def keep_to_campaign(self) -> None:
        """Goes over to the campaign that may act now, if it is another one than acts.

        Raises:
            DeviceFault: The disk is full or failing: nothing has changed.
        """
        if self._book is None:
            return
        now_us = self._sink.clock.now().wall_us
        has_consent = self._sink.drivers.live(now_us) is not None
        seq = self._book.standing(now_us, has_consent=has_consent)
        if seq == self._conduct.seq:
            return
        standing = self._book.find(seq)
        self._seal_end(None, self._conduct.change(standing))

    def capture(self, seconds: int) -> None:
        """Keeps all signals at full rate for so long, from the next window on."""
        self._conduct.collector.ask(seconds)

    def seal_health(self, health: Mapping[str, Any]) -> None:
        """Seals what the box says of itself.

        Raises:
            DeviceFault: The disk is full or failing: nothing was kept.
        """
        start_us = self._sink.clock.now().wall_us
        try:
            with self._sink.store.transaction():
                self._seal(Part(PRIORITY_EVENT, start_us, None, health=health))
                self._save()
        except BaseException:
            self._go_back()
            raise

    def take_aside(self, window: FrameChunk, decoder: Decoder) -> None:
        """Seals what comes too late for events and trips, which do not see it.

        Nobody can say any more who drove then: it carries no driver.

        Args:
            window: Frames of the past.
            decoder: Its own, for the one of the present remembers the present.

        Raises:
            DeviceFault: As `take`.
        """
        decoded, start_us = decoder.decode(window), window.times_us[0]
        try:
            with self._sink.store.transaction():
                self._note(decoded)
                columns = Part(PRIORITY_RAW, start_us, None, groups=decoded.groups)
                self._seal(columns, is_late=True)
                if decoded.snapshots:
                    told = Part(PRIORITY_EVENT, start_us, None, snapshots=decoded.snapshots)
                    self._seal(told, is_late=True)
                self.totals["frames"] += decoded.frames
                self._save()
        except BaseException:
            self._go_back()
            raise

    def rest(self, now_us: int) -> None:
        """Ends a trip when the vehicle has been silent for long; for live sources."""
        summary = self._conduct.trips.expire(now_us)
        if summary is not None:
            self._seal_end(summary, self.events.finish(self._tag()))

    def finish(self) -> None:
        """Ends events and trip because the source has ended for good.

        Raises:
            DeviceFault: The disk is full or failing: nothing has changed.
        """
        events, trips = self.events.finish(self._tag()), self._conduct.trips
        trips.feed([], events)
        self.today.feed([], events, trips.current, self._tag())
        summary = trips.finish()
        if events or summary is not None:
            self._seal_end(summary, events)

    @property
    def trip(self) -> str | None:
        """The trip that is open, None between trips."""
        return self._conduct.trips.current

    @property
    def speed_mmps(self) -> int | None:
        """The last speed of the trip that is open, else None."""
        return self._conduct.trips.speed_mmps

    # ------------------------------------------------------------ inside
    def _tag(self) -> str | None:
        return self._sink.drivers.tag(self._sink.clock.now().wall_us)

    def _take(self, window: FrameChunk) -> None:
        start_us = window.times_us[0]
        trips = self._conduct.trips
        decoded = self._decoder.decode(window)
        events = self.events.feed(decoded.groups, self._tag())
        ended = trips.expire(start_us)
        trip = trips.feed(decoded.groups, events)
        self.today.feed(decoded.groups, events, trip, self._tag())
        if ended is not None:
            self._seal(_summary_part(ended))
        collected = self._collect(window, decoded, events)
        self._seal_columns(start_us, trip, collected)
        if events or decoded.snapshots:
            told = Part(PRIORITY_EVENT, start_us, trip, events=events, snapshots=decoded.snapshots)
            self._seal(told)
        self._tell_budget()
        self.position = window.position
        self.totals["frames"] += decoded.frames
        self.totals["unknown_frames"] += decoded.unknown_frames
        self._save()

    def _collect(self, window: FrameChunk, decoded: Decoded, events: Sequence[Event]) -> Collected:
        """Divides a window's columns, and notes what the next raw batch says of its frames."""
        occasions = [Occasion(each["kind"], (each["start_us"], each["end_us"])) for each in events]
        occasions += [
            Occasion(each["kind"], (each["at_us"], each["at_us"])) for each in decoded.snapshots
        ]
        span = window.times_us[0], window.times_us[-1]
        collected = self._conduct.collector.take(decoded.groups, occasions, span, self._tag())
        self._note(decoded)
        self._unsaid[OVER_BUDGET] += collected.over_budget
        self.totals["thinned"] += collected.thinned
        self.totals["over_budget"] += collected.over_budget
        return collected

    def _note(self, decoded: Decoded) -> None:
        self._unsaid.update(decoded.counts)
        self._unsaid.update({FRAMES: decoded.frames, UNKNOWN: decoded.unknown_frames})

    def _seal_columns(self, start_us: int, trip: str | None, collected: Collected) -> None:
        """Seals what is collected; of a window that leaves nothing the next message tells."""
        if collected.groups or self._conduct.campaign.collect is None:
            self._seal(Part(PRIORITY_RAW, start_us, trip, groups=collected.groups))
        for each in collected.captures:
            self._seal(Part(PRIORITY_TRIP, start_us, trip, groups=each.groups))

    def _say(self, part: Part) -> Part:
        """Returns a message that also tells of the frames of which none has told yet."""
        said, self._unsaid = +self._unsaid, Counter()
        frames, unknown = said.pop(FRAMES, 0), said.pop(UNKNOWN, 0)
        return replace(part, frames=frames, unknown=unknown, dropped=dict(sorted(said.items())))

    def _tell_budget(self) -> None:
        spent = self._conduct.collector.budget.tell()
        if spent is not None:
            self._sink.stream.state({"type": "budget-spent", **spent})

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

    def _seal(self, part: Part, *, is_late: bool = False) -> None:
        now = self._sink.clock.now()
        driver = None if is_late else self._sink.drivers.live(now.wall_us)
        told = allowed_part(part, driver)
        if told is None:
            return
        common = {
            "boot": now.boot_id,
            "mono_us": now.monotonic_us,
            "driver": driver,
            "vehicle": self._vehicle.vehicle,
        }
        for piece, plaintext in fitting(self._say(told), common):
            seq = self._sink.stream.seal(plaintext, piece.priority)
            if piece.health is not None:
                continue  # of the box, not of what it heard
            self.totals["batches"] += 1
            self.totals["samples"] += count_samples(piece.groups)
            self.totals["events"] += len(piece.events)
            self.totals["sealed_bytes"] += self._size_of(seq)
            self._conduct.collector.budget.spend(sealed_size(plaintext))

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
            "today": self.today.state(),
            "unsaid": dict(self._unsaid),
            **self._conduct.state(),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        seq = state.get("campaign", 0)
        standing = self._book.find(seq) if self._book and seq else self._base
        self._decoder.restore(state["decoder"])
        self.today.restore(state.get("today", {}))
        self._unsaid = Counter(state.get("unsaid", {}))
        self._conduct.restore(state, standing)


def _summary_part(summary: Summary) -> Part:
    return Part(PRIORITY_TRIP, summary["start_us"], summary["trip"], summary=summary)
