"""One terminal behind the door: its reports through the pipeline of a box, into its own outbox.

Place in the flow: door_journal, door_lane → **door_terminal** → batch → epochs → outbox → mqtt.

    door.db     what was acknowledged          outbox.db of the terminal
    row 17 ──────────── sealed ──────────────> batch, checkpoint, "17 is taken": one transaction
    deleted <────────── after it ────────────  and "17" goes with the next one

* Killed between the two, the door finds row 17 taken and deletes it: sealed once, never twice.
* A consent takes effect from its statement on: what came before is sealed first, without it.
* A driver's card signs in who the bank's roster knows by it; a stranger's changes nothing. Only a
  hash of the certificate's number is ever kept, until it is judged.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.ports import JTT808_LINE, FrameChunk
from edge.sqlite import Migrations
from edge.store import create_tables
from vehicle_gateway.door_lane import Item, Lane
from vehicle_gateway.driver import waiting_statements

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.ports import Instant
    from edge.sqlite import Database
    from vehicle_gateway.batch import Batcher, Sink
    from vehicle_gateway.decode import Decoder
    from vehicle_gateway.door_journal import Entry, Journal
    from vehicle_gateway.door_lane import Stretch
    from vehicle_gateway.mqtt import Publisher
    from vehicle_gateway.signin import SignIn

SOURCE: Final = "jtt808"
REST_US: Final = 7_200_000_000
"""Two hours: until then the memory of a terminal that was out of reach may tell of a drive."""
TOKEN_BYTES: Final = 16
MIGRATIONS = Migrations("gateway_terminal")

log = logging.getLogger(__name__)


@MIGRATIONS()
def gateway_terminal_001(database: Database) -> None:
    """How far reports are sealed in order, and which rows of the journal were the last."""
    create_tables(
        database,
        """CREATE TABLE door_lane (
            id        INTEGER PRIMARY KEY CHECK (id = 1),
            sealed_us INTEGER NOT NULL
        )""",
        "CREATE TABLE door_taken (row INTEGER PRIMARY KEY)",
    )


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What a terminal's reports run through.

    Attributes:
        sink: Its own store, outbox, stream and driver.
        aside: Decodes what came too late.
        signin: Judges cards.
        data_dir: Where statements of its drivers are left.
        publisher: Makes a connection to the broker under its own certificate; None without one.
    """

    device: str
    sink: Sink
    batcher: Batcher
    aside: Decoder
    signin: SignIn
    data_dir: Path
    publisher: Callable[[], Publisher] | None


class Terminal:
    """A terminal from its journal to its outbox.

    Args:
        pipeline: Its own, opened.
        journal: That of the door.
        now: Every clock.
    """

    def __init__(self, pipeline: Pipeline, journal: Journal, now: Instant) -> None:
        self.device = pipeline.device
        self.pipeline = pipeline
        self._journal = journal
        self._store = pipeline.sink.store
        self._is_resting = False
        pipeline.batcher.resume(SOURCE, repeatable=False)
        row = self._store.row("SELECT sealed_us FROM door_lane")
        self.lane = Lane(row["sealed_us"] if row else 0)
        taken = [each["row"] for each in self._store.rows("SELECT row FROM door_taken")]
        journal.remove(self.device, taken)
        for number, entry in journal.waiting(self.device, taken):
            self.add(number, entry, now.monotonic_us)

    def add(self, row: int, entry: Entry, now_us: int) -> None:
        """Takes in what the journal has under a row."""
        self._is_resting = False
        self.lane.add(Item(row, entry.time_us, now_us, entry.body, entry.is_card))

    def step(self, now: Instant, *, all_of_it: bool = False) -> None:
        """Seals what may be sealed now.

        Raises:
            DeviceFault: The disk is full or failing: what was not sealed stays in the journal.
        """
        while (stretch := self.lane.next(now.monotonic_us, all_of_it=all_of_it)) is not None:
            self._seal(stretch, now)
            self.lane.done(stretch)
            self._journal.remove(self.device, [item.row for item in stretch.items])
        is_silent = not len(self.lane) and self.lane.silent_us(now.monotonic_us) >= REST_US
        if is_silent and not self._is_resting:
            self._is_resting = True
            self.pipeline.batcher.rest(now.wall_us)

    def take_statements(self, now: Instant) -> None:
        """Acts on what drivers have said at this vehicle.

        Raises:
            DeviceFault: The disk is full or failing, or a statement is damaged.
        """
        sink = self.pipeline.sink
        for path, statement in waiting_statements(self.pipeline.data_dir, sink.drivers.secret):
            if not statement.withdrawn:
                self.step(now, all_of_it=True)
            sink.drivers.take_in(statement, sink.stream)
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Signs the end of the epoch; what is not sealed waits in the journal."""
        if self.pipeline.sink.stream.epoch:
            self.pipeline.sink.stream.close()
        self._store.close()

    # ------------------------------------------------------------ inside
    def _seal(self, stretch: Stretch, now: Instant) -> None:
        batcher = self.pipeline.batcher
        try:
            with self._store.transaction():
                if stretch.items[0].is_card:
                    self._heed_card(stretch.items[0], now)
                elif stretch.is_late:
                    batcher.take_aside(_window(stretch), self.pipeline.aside)
                else:
                    batcher.take(_window(stretch))
                self._note(stretch)
        except BaseException:
            batcher.resume(SOURCE, repeatable=False)
            raise

    def _note(self, stretch: Stretch) -> None:
        self._store.execute("DELETE FROM door_taken")
        self._store.execute_many(
            "INSERT INTO door_taken (row) VALUES (?)", [(item.row,) for item in stretch.items]
        )
        if not stretch.is_late:
            self._store.execute(
                "INSERT INTO door_lane (id, sealed_us) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET"
                " sealed_us = max(sealed_us, excluded.sealed_us)",
                (stretch.items[-1].time_us,),
            )

    def _heed_card(self, item: Item, now: Instant) -> None:
        drivers = self.pipeline.sink.drivers
        if not item.body:
            drivers.sign_out()
            return
        attempt = self.pipeline.signin.by_card(item.body, None, now)
        if attempt.driver is not None:
            drivers.sign_in(attempt.driver.subject, item.time_us)
        else:
            drivers.sign_out()  # whoever drives now, it is not the one before
        log.info("%s: a driver's card: %s", self.device, attempt.code)


def card_token(certificate: str) -> bytes:
    """Returns what stands for a qualification card, as its bank enters it in the roster.

    Args:
        certificate: Number of the qualification certificate (从业资格证号).
    """
    return hashlib.sha256(b"jtt808 card\0" + certificate.encode()).digest()[:TOKEN_BYTES]


def _window(stretch: Stretch) -> FrameChunk:
    items = stretch.items
    return FrameChunk(
        [item.time_us for item in items],
        [JTT808_LINE] * len(items),
        [item.body for item in items],
        max(item.row for item in items),
    )
