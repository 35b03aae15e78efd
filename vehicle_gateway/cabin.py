"""The driver's place: who sits there, what they are shown, and what they do about it.

Place in the flow: card reader, panel → **cabin** → gateway, which acts between two windows; and
events, today, grades, outbox → **cabin** → panels.

    touch                                while moving (over 5 km/h)
    pin {number, pin}, sign-out          refused: nobody types while driving
    agree {language, text_sha256}        refused
    decline, withdraw {language}         refused
    mute                                 taken
    a card                               taken where nobody is signed in; no change of driver

* What a panel says is anybody's content: what is no touch is passed over.
* The cabin decides; the gateway carries a change out after it has sealed what was before it.
* Consent is asked once per sign-in, and is to the exact text whose hash the touch names.
* A reader or panel that is gone is told in the log, once, and asked again; the bus goes on.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from edge.errors import DeviceFault, LocalError
from edge.points import read_table, score_of, shipped_table
from vehicle_gateway.alarms import Alarms, sound_of
from vehicle_gateway.driver import make_statement
from vehicle_gateway.panel_view import (
    VERSION,
    clock_of,
    view_alerts,
    view_driver,
    view_official,
    view_today,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edge.epochs import SealedStream
    from edge.points import PointsTable
    from edge.ports import DriverPanel, DriverReader, Instant
    from vehicle_gateway.alarms import Alert
    from vehicle_gateway.driver import DriverBook, Statement
    from vehicle_gateway.roster import RosterBook
    from vehicle_gateway.signin import Attempt, SignIn
    from vehicle_gateway.today import Today

MOVING_MMPS: Final = 5_000_000 // 3_600
CONSENT_DAYS: Final = 365
NOTICE_US: Final = 8_000_000
SEEN_US: Final = 60_000_000
LOOK_US: Final = 1_000_000
MINUTE_US: Final = 60_000_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CabinSettings:
    """How the place behaves.

    Attributes:
        sign_out_us: After the last trip; 0 for never.
        consent_days: How long a consent that is given here lives.
    """

    sign_out_us: int = 30 * MINUTE_US
    consent_days: int = CONSENT_DAYS


@dataclass(frozen=True, slots=True)
class Books:
    """What the box knows of drivers."""

    drivers: DriverBook
    roster: RosterBook
    signin: SignIn


@dataclass(frozen=True, slots=True)
class Moment:
    """What goes on outside of the cabin.

    Attributes:
        speed_mmps: Last known speed of the trip that is open, else None.
        trip: The trip that is open.
        alerts: What calls for the driver's ear.
        driving_left_s: Seconds of driving until the next rest is due, None while unknown.
        today: Today's figures.
        waiting: Messages that the core has not signed for.
        online: Whether the broker is connected; None where there is none.
    """

    speed_mmps: int | None
    trip: str | None
    alerts: Sequence[Alert]
    today: Today
    waiting: int
    online: bool | None
    driving_left_s: int | None = None

    @property
    def is_moving(self) -> bool:
        """Whether nobody should touch anything."""
        return (self.speed_mmps or 0) > MOVING_MMPS


@dataclass(frozen=True, slots=True)
class Change:
    """Another driver, nobody, or a word about consent; the gateway carries it out."""

    subject: str | None = None
    statement: Statement | None = None

    @property
    def is_withdrawal(self) -> bool:
        """It takes effect before anything more is sealed."""
        return self.statement is not None and self.statement.withdrawn


@dataclass(slots=True)
class _Told:
    """What the panel says of the last act."""

    code: str = ""
    until_us: int = 0
    declined: bool = False
    looked_us: int = -LOOK_US
    view: dict[str, Any] = field(default_factory=dict)


class Cabin:
    """Serves readers and panels.

    Args:
        books: What the box knows of drivers.
        readers: Of cards.
        panels: Screen, lights.
        settings: How it behaves.
    """

    def __init__(
        self,
        books: Books,
        readers: Sequence[DriverReader],
        panels: Sequence[DriverPanel],
        settings: CabinSettings,
    ) -> None:
        self._books = books
        self._readers = readers
        self._panels = panels
        self._settings = settings
        self._alarms = Alarms()
        self._told = _Told()
        self._rest_us: int | None = None  # monotonic time since when no trip is open
        self._is_fresh = True
        self._faults: set[str] = set()
        self._tables: tuple[str, PointsTable] = ("", shipped_table())

    # ------------------------------------------------------------ in
    def changes(self, now: Instant, moment: Moment) -> Iterator[Change]:
        """Yields what the driver did, and what time did; carry each out before the next."""
        yield from self._time_out(now, moment)
        for reader in self._readers:
            for uid in self._guard(reader.cards) or ():
                yield from self._card(uid, now, moment)
        for panel in self._panels:
            for touch in self._guard(panel.touches) or ():
                yield from self._touch(touch, now, moment)

    def carry_out(self, change: Change, stream: SealedStream, now: Instant) -> None:
        """Makes a change; the gateway has sealed what was before it.

        Raises:
            DeviceFault: The disk is full or failing; nothing has changed.
        """
        drivers = self._books.drivers
        if change.statement is not None:
            drivers.take_in(change.statement, stream)
            if change.statement.withdrawn:
                self._books.roster.forget(change.statement.subject)
        elif change.subject is None:
            drivers.sign_out()
        else:
            drivers.sign_in(change.subject, now.wall_us)
        self._told.declined = False
        self._told.looked_us = now.monotonic_us - LOOK_US

    def _card(self, uid: bytes, now: Instant, moment: Moment) -> Iterator[Change]:
        present = self._books.drivers.present()
        if present is not None and moment.is_moving:
            self._say("moving", now)
            return
        yield from self._admit(self._books.signin.by_card(uid, present, now), now)

    def _touch(self, touch: Mapping[str, Any], now: Instant, moment: Moment) -> Iterator[Change]:
        kind = touch.get("touch")
        if kind == "mute":
            self._alarms.mute(now.monotonic_us)
        elif moment.is_moving:
            self._say("moving", now)
        elif kind == "pin":
            number, pin = _text(touch, "number"), _text(touch, "pin")
            yield from self._admit(self._books.signin.by_pin(number, pin, now), now)
        elif self._books.drivers.present() is not None:
            yield from self._word(str(kind), touch, now)

    def _admit(self, attempt: Attempt, now: Instant) -> Iterator[Change]:
        self._say(attempt.code, now)
        if attempt.driver is not None:
            out = attempt.code == "goodbye"
            yield Change(None if out else attempt.driver.subject)

    def _word(self, kind: str, touch: Mapping[str, Any], now: Instant) -> Iterator[Change]:
        """What somebody who is signed in says."""
        if kind == "sign-out":
            self._say("goodbye", now)
            yield Change()
        elif kind == "decline":
            self._told.declined = True
        elif kind in ("agree", "withdraw"):
            statement = self._statement(touch, now, withdrawn=kind == "withdraw")
            if statement is not None:
                self._say("withdrawn" if statement.withdrawn else "agreed", now)
                yield Change(statement=statement)

    def _statement(
        self, touch: Mapping[str, Any], now: Instant, *, withdrawn: bool
    ) -> Statement | None:
        """Returns what was said; None where it is of another text than ours."""
        subject, language = self._books.drivers.present(), _text(touch, "language")
        assert subject is not None
        try:
            statement = make_statement(
                subject, language, now.wall_us, self._settings.consent_days, withdrawn=withdrawn
            )
        except LocalError as error:
            log.warning("a word about consent is refused: %s", error)
            return None
        agreed_to = statement.text_sha256 if withdrawn else touch.get("text_sha256")
        return statement if agreed_to == statement.text_sha256 else None

    def _time_out(self, now: Instant, moment: Moment) -> Iterator[Change]:
        """Signs out who has long left, also over a restart and a clock that was set back."""
        after_us, drivers = self._settings.sign_out_us, self._books.drivers
        if not after_us or drivers.present() is None:
            self._rest_us = now.monotonic_us
            return
        away_us = now.wall_us - drivers.seen_us()
        if self._is_fresh and not -MINUTE_US <= away_us <= after_us:
            yield Change()
        elif moment.trip is not None:
            self._rest_us = now.monotonic_us
            if not 0 <= away_us < SEEN_US:
                drivers.see(now.wall_us)
        elif now.monotonic_us - (self._rest_us or now.monotonic_us) >= after_us:
            yield Change()
        self._rest_us = self._rest_us or now.monotonic_us
        self._is_fresh = False

    # ------------------------------------------------------------ out
    def show(self, now: Instant, moment: Moment) -> None:
        """Shows what goes on; cheap enough for every turn of the gateway's loop."""
        told = self._alarms.hear(moment.alerts, now.monotonic_us)
        if now.monotonic_us - self._told.looked_us >= LOOK_US:
            self._told.looked_us = now.monotonic_us
            self._told.view = self._look(now, moment)
        state = {
            "v": VERSION,
            **self._told.view,
            "moving": moment.is_moving,
            "speed_kmh": None
            if moment.speed_mmps is None
            else round(moment.speed_mmps * 36 / 10_000),
            "alerts": view_alerts(told, now.wall_us, moment.driving_left_s),
            "level": told[0].level if told else "",
            "sound": sound_of(told),
            "mutes_left": self._alarms.mutes_left(now.monotonic_us),
            "notice": self._told.code if now.monotonic_us < self._told.until_us else "",
            "mono_us": now.monotonic_us,
        }
        for panel in self._panels:
            self._guard(partial(panel.show, state))

    def close(self) -> None:
        """Lets go of readers and panels."""
        for reader in self._readers:
            self._guard(reader.close)
        for panel in self._panels:
            self._guard(panel.close)

    def _look(self, now: Instant, moment: Moment) -> dict[str, Any]:
        """What needs the store: who is signed in, their grade, the queue."""
        books = self._books
        present, live = books.drivers.present(), books.drivers.live(now.wall_us)
        driver = None
        if present is not None:
            roster = books.roster.roster()
            known = roster.find(present) if roster else None
            driver = view_driver(known.name if known else "", consented=live is not None)
        return {
            "clock": clock_of(now.wall_us),
            "driver": driver,
            "ask": present is not None and live is None and not self._told.declined,
            "locked_s": books.signin.locked_s("pin", now),
            "pin": books.roster.roster() is not None,
            "card": bool(self._readers),
            "today": self._grade(live, now, moment) if live is not None else None,
            "official": view_official(books.roster.grade(live)) if live is not None else None,
            "link": {"online": moment.online, "waiting": moment.waiting},
        }

    def _grade(self, subject: str, now: Instant, moment: Moment) -> dict[str, Any]:
        table = self._table(subject)
        tag = self._books.drivers.tag_of(subject)
        return view_today(table, score_of(table, moment.today.features(tag, now.wall_us)))

    def _table(self, subject: str) -> PointsTable:
        """The table of the last official grade; before there is one, that of this release."""
        grade = self._books.roster.grade(subject)
        text = grade.table if grade else ""
        if text != self._tables[0]:
            try:
                self._tables = text, read_table(text.encode()) if text else shipped_table()
            except LocalError as error:
                log.warning("the core's points table cannot be read here: %s", error)
                self._tables = text, shipped_table()
        return self._tables[1]

    def _say(self, code: str, now: Instant) -> None:
        self._told.code, self._told.until_us = code, now.monotonic_us + NOTICE_US
        self._told.looked_us = now.monotonic_us - LOOK_US

    def _guard(self, act: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the device returns
        """Asks a device; one that is gone is told once, and asked again the next time."""
        try:
            return act()
        except DeviceFault as fault:
            if str(fault) not in self._faults:
                self._faults.add(str(fault))
                log.warning("the driver's place: %s", fault)
            return None


def _text(touch: Mapping[str, Any], name: str) -> str:
    value = touch.get(name)
    return value if isinstance(value, str) else ""
