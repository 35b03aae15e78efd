"""Tests of the driver's place: who may do what when, and what the panel is told."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from edge.drivers import Grade, Roster, RosterDriver, sign_grade, sign_roster, stretch
from edge.points import shipped_table
from hardware.sim.panel import SimulatedPanel, SimulatedReader
from tests.unit.vehicle_gateway.yard import DEVICE, SECOND_US, START_US, Box, Core, frames
from vehicle_gateway.cabin import MINUTE_US, Books, Cabin, CabinSettings, Moment
from vehicle_gateway.driver import consent_text, leave_statement, make_statement
from vehicle_gateway.gateway import Feed, Gateway
from vehicle_gateway.roster import RosterBook
from vehicle_gateway.signin import SignIn
from vehicle_gateway.today import Today

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SALT = b"s" * 16
CARDS = {"driver-1": b"\1\1", "driver-2": b"\2\2"}
AGREE = {"touch": "agree", "language": "zh", "text_sha256": consent_text().sha256("zh")}
WITHDRAW = {"touch": "withdraw", "language": "zh"}
PIN = {"touch": "pin", "number": "17", "pin": "4711"}
KMH = 1_000_000 // 3_600


class Going(NamedTuple):
    """An alert."""

    kind: str
    level: str
    since_us: int


class Place:
    """A box with a driver's place, and hands to act there."""

    def __init__(self, box: Box, core: Core) -> None:
        self.box, self.core = box, core
        self.batcher = box.open()
        assert box.store is not None
        self.roster = RosterBook(box.store, box.identity, box.secret)
        self.reader, self.screen, self.today = SimulatedReader(), SimulatedPanel(), Today()
        self.settings = CabinSettings(sign_out_us=30 * MINUTE_US)
        self.cabin = self.make()

    def make(self) -> Cabin:
        assert self.box.store is not None
        books = Books(
            self.box.sink.drivers, self.roster, SignIn(self.box.store, self.roster.roster)
        )
        return Cabin(books, [self.reader], [self.screen], self.settings)

    def enrol(self) -> None:
        drivers = [
            RosterDriver(name, number, f"{name}师傅", stretch(card, SALT), SALT, pin)
            for (name, card), number, pin in zip(
                CARDS.items(), ("17", "18"), (stretch(b"4711", SALT), b""), strict=True
            )
        ]
        to = (DEVICE, self.box.identity.public_bytes)
        message = sign_roster(self.core.signer, to, Roster(SALT, drivers), 1)
        self.roster.take_roster(message, self.core.verify)

    def act(
        self, *touches: dict[str, Any], card: str = "", kmh: int = 0, trip: str | None = None
    ) -> None:
        """Does something, lets the cabin act on it and shows what came of it."""
        self.screen.touched += touches
        self.reader.held += [CARDS[card]] if card else []
        self.look(kmh=kmh, trip=trip)

    def look(self, *alerts: Going, kmh: int = 0, trip: str | None = None) -> Mapping[str, Any]:
        now = self.box.clock.now()
        moment = Moment(kmh * KMH, trip, alerts, self.today, 3, online=False, driving_left_s=899)
        for change in self.cabin.changes(now, moment):
            self.cabin.carry_out(change, self.box.sink.stream, now)
        self.cabin.show(now, moment)
        return self.screen.state

    @property
    def present(self) -> str | None:
        return self.box.sink.drivers.present()

    @property
    def live(self) -> str | None:
        return self.box.sink.drivers.live(self.box.clock.now().wall_us)

    @property
    def consents(self) -> list[bool]:
        return [each["withdrawn"] for each in self.core.consents(self.box.messages())]


@pytest.fixture
def place(box: Box, core: Core) -> Place:
    box.consented = None
    place = Place(box, core)
    place.enrol()
    return place


# ------------------------------------------------------------------ signing in
def test_a_card_signs_in_and_asks_for_consent_and_again_signs_out(place: Place) -> None:
    assert place.look()["driver"] is None
    place.act(card="driver-1")
    assert (place.present, place.live, place.screen.state["ask"]) == ("driver-1", None, True)
    assert place.screen.state["notice"] == "welcome"
    place.act(card="driver-1")
    assert (place.present, place.screen.state["notice"]) == (None, "goodbye")


def test_a_pin_signs_in_and_a_wrong_one_says_so(place: Place) -> None:
    place.act({**PIN, "pin": "0000"})
    assert (place.present, place.screen.state["notice"]) == (None, "unknown")
    place.act(PIN)
    assert place.present == "driver-1"


def test_five_wrong_pins_lock_and_the_panel_counts_down(place: Place) -> None:
    for _ in range(5):
        place.act({**PIN, "pin": "0000"})
    assert (place.screen.state["notice"], place.screen.state["locked_s"]) == ("locked", 300)
    place.box.clock.advance(100)
    assert place.look()["locked_s"] == 200
    place.act(PIN)
    assert place.present is None


def test_without_a_roster_there_is_no_pin_pad(box: Box, core: Core) -> None:
    box.consented = None
    place = Place(box, core)
    assert place.look()["pin"] is False
    place.act(card="driver-1")
    assert (place.present, place.screen.state["notice"]) == (None, "no-roster")


# ------------------------------------------------------------------ consent
def test_agreeing_is_evidence_and_shows_the_name_and_the_day(place: Place) -> None:
    place.act(card="driver-1")
    assert place.screen.state["driver"] == {"name": "", "consented": False}
    place.act(AGREE)
    assert (place.live, place.consents) == ("driver-1", [False])
    state = place.look()
    assert state["driver"] == {"name": "driver-1师傅", "consented": True}
    assert state["today"]["grade"] == "unrated"
    assert state["ask"] is False


def test_who_declines_drives_without_a_record_and_is_asked_at_the_next_sign_in(
    place: Place,
) -> None:
    place.act(card="driver-1")
    place.act({"touch": "decline"})
    place.box.clock.advance(2)
    state = place.look()
    assert (place.present, place.live, state["ask"]) == ("driver-1", None, False)
    assert (state["driver"], state["today"], state["official"]) == (
        {"name": "", "consented": False},
        None,
        None,
    )
    place.act(card="driver-1")
    place.box.clock.advance(5)
    place.act(card="driver-1")
    assert place.screen.state["ask"] is True


@pytest.mark.parametrize(
    "touch",
    [
        {**AGREE, "text_sha256": "0" * 64},
        {**AGREE, "language": "en"},
        {**AGREE, "language": "fr"},
        {"touch": "agree"},
        {"touch": "agree", "language": ["zh"], "text_sha256": 5},
        {"touch": "withdraw", "language": "fr"},
        {"touch": "dance"},
        {"touch": {"a": 1}},
        {},
    ],
)
def test_a_word_about_another_text_is_no_word(place: Place, touch: dict[str, Any]) -> None:
    place.act(card="driver-1")
    place.act(touch)
    assert (place.present, place.live, place.consents) == ("driver-1", None, [])


def test_a_consent_is_withdrawn_at_the_panel_and_what_was_known_goes(place: Place) -> None:
    place.act(card="driver-1")
    place.act(AGREE)
    to = (DEVICE, place.box.identity.public_bytes)
    told = Grade("driver-1", START_US, "B", 700, {}, "")
    place.roster.take_grade(sign_grade(place.core.signer, to, told, 2), place.core.verify)
    place.box.clock.advance(2)
    assert place.look()["official"] == {"grade": "B", "score": 700, "as_of": "2026-03-02"}
    place.act(WITHDRAW)
    assert (place.live, place.consents) == (None, [False, True])
    assert place.roster.grade("driver-1") is None
    place.act(card="driver-1")
    assert place.screen.state["ask"] is True


def test_two_drivers_of_a_shift_are_asked_once_each(place: Place) -> None:
    for name in CARDS:
        place.act(card=name)
        place.act(AGREE)
    place.act(card="driver-1")
    assert (place.live, place.screen.state["ask"]) == ("driver-1", False)


# ------------------------------------------------------------------ while moving
def test_nobody_types_agrees_or_hands_over_while_driving(place: Place) -> None:
    place.act(PIN, kmh=6)
    assert (place.present, place.screen.state["notice"]) == (None, "moving")
    place.act(card="driver-1", kmh=50)
    assert place.present == "driver-1", "nobody was signed in, and a card takes no eyes"
    for touch in (AGREE, {"touch": "sign-out"}, {"touch": "decline"}):
        place.act(touch, kmh=50)
    place.act(card="driver-2", kmh=50)
    assert (place.present, place.live) == ("driver-1", None)
    place.act(AGREE, kmh=5)
    assert place.live == "driver-1"


def test_an_alert_is_shown_at_once_and_may_be_silenced_while_driving(place: Place) -> None:
    going = Going("overspeed", "alarm", START_US - 61 * SECOND_US)
    state = place.look(going, kmh=90)
    assert (state["level"], state["sound"], state["speed_kmh"]) == ("alarm", "alarm", 90)
    assert state["alerts"] == [
        {"kind": "overspeed", "level": "alarm", "muted": False, "minutes": 1}
    ]
    place.screen.touched = [{"touch": "mute"}]
    place.look(going, kmh=90)
    state = place.look(going, kmh=90)
    assert (state["level"], state["sound"], state["mutes_left"]) == ("alarm", "", 2)


def test_of_a_rest_that_is_near_the_minutes_are_told(place: Place) -> None:
    near, belt = Going("fatigue", "warn", START_US), Going("seat-belt", "warn", START_US)
    assert [each.get("left_min") for each in place.look(near, belt)["alerts"]] == [14, None]


# ------------------------------------------------------------------ time
def test_half_an_hour_after_the_last_trip_nobody_is_signed_in(place: Place) -> None:
    place.act(card="driver-1", trip="t")
    for _ in range(100):
        place.box.clock.advance(60)
        place.look(trip="t")
    assert place.present == "driver-1"
    place.look()
    place.box.clock.advance(30 * 60 - 1)
    place.look()
    assert place.present == "driver-1"
    place.box.clock.advance(1)
    place.look()
    assert place.present is None


@pytest.mark.parametrize(("seconds", "stays"), [(60, True), (3_600, False), (-3_600, False)])
def test_after_a_restart_only_who_was_just_here_is_still_signed_in(
    place: Place, seconds: int, stays: bool
) -> None:
    place.act(card="driver-1")
    place.box.clock.advance(seconds)
    place.box.clock.monotonic_us = 0
    place.cabin = place.make()
    place.look()
    assert (place.present == "driver-1") is stays


def test_where_nobody_is_signed_out_by_time_they_stay(place: Place) -> None:
    place.settings = CabinSettings(sign_out_us=0)
    place.cabin = place.make()
    place.act(card="driver-1")
    place.box.clock.advance(100_000)
    place.look()
    assert place.present == "driver-1"


# ------------------------------------------------------------------ what is shown
def test_the_queue_and_the_network_are_told_as_they_are(place: Place) -> None:
    assert place.look()["link"] == {"online": False, "waiting": 3}


def test_todays_grade_names_what_costs_most_and_what_would_raise_it(place: Place, box: Box) -> None:
    place.act(card="driver-1")
    place.act(AGREE)
    today = Today()
    today.restore(
        {"day": (START_US + 8 * 3_600 * SECOND_US) // (86_400 * SECOND_US),
         "sums": {box.sink.drivers.tag_of("driver-1"):
                  [2 * 256 * 60 * 3_600_000_000, 3_600_000_000, 0, 0, 3, 0, 144_000_000]}}
    )  # fmt: skip
    place.today = today
    box.clock.advance(2)
    shown = place.look()["today"]
    assert (shown["grade"], shown["km"]) == ("C", 60.0)
    first, second = shown["reasons"]
    assert (first["cost"], first["raise_points"]) == (100, 60)
    assert first["raise_zh"] == "超速时间占比：现在 4%，降到 1% 以下可加 60 分"
    assert second["raise_en"] == "harsh brakes per 100 km: 5 now, below 3 adds 40 points"


def test_the_table_of_the_official_grade_is_what_today_is_graded_by(place: Place) -> None:
    place.act(card="driver-1")
    place.act(AGREE)
    to = (DEVICE, place.box.identity.public_bytes)
    for seq, table in enumerate(("{", '{"id": "nothing"}'), 2):
        told = Grade("driver-1", START_US, "B", 700, {}, table)
        place.roster.take_grade(sign_grade(place.core.signer, to, told, seq), place.core.verify)
        place.box.clock.advance(2)
        assert place.look()["today"]["score"] == shipped_table().base


def test_a_reader_that_is_gone_holds_up_nothing_and_is_told_once(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.reader.broken = True
    for _ in range(3):
        assert place.look()["v"] == 1
    assert caplog.text.count("unplugged") == 1
    place.reader.broken = False
    place.act(card="driver-1")
    assert place.present == "driver-1"


def test_no_state_of_the_panel_is_on_the_disk(place: Place) -> None:
    place.act(card="driver-1")
    place.act(AGREE)
    place.box.cut_power()
    content = b"".join(path.read_bytes() for path in place.box.folder.rglob("*") if path.is_file())
    assert b"driver-1" not in content
    assert "师傅".encode() not in content


# ------------------------------------------------------------------ in the gateway
class Journey:
    """A drive during which a test acts between two chunks."""

    name = "journey"
    skipped: Mapping[str, int] = {}

    def __init__(self, place: Place, acts: Mapping[int, Sequence[Any]]) -> None:
        self._place, self._acts = place, acts

    def chunks(self, skip_frames: int = 0) -> Iterator[Any]:
        assert skip_frames == 0
        for number, chunk in enumerate(frames(150.0, 400)):
            for act in self._acts.get(number, ()):
                if callable(act):
                    act()
                elif isinstance(act, str):
                    self._place.reader.held.append(CARDS[act])
                else:
                    self._place.screen.touched.append(act)
            yield chunk

    def close(self) -> None:
        pass


def journey(place: Place, acts: Mapping[int, Sequence[Any]]) -> list[dict[str, Any]]:
    """Drives with both drivers enrolled and agreed, the first at the wheel; returns the batches."""
    for name in CARDS:
        place.act(card=name)
        place.act(AGREE)
    place.act(card="driver-1")
    feed = Feed(Journey(place, acts), is_live=False)
    gateway = Gateway(feed, place.batcher, place.box.sink, None, place.box.folder)
    gateway.attend(place.cabin)
    gateway.run(threading.Event())
    return place.core.records(place.box.messages())


def frames_of(records: Sequence[dict[str, Any]], driver: str | None) -> int:
    return sum(each["counts"]["frames"] for each in records if each["driver"] == driver)


@pytest.fixture
def _slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulated vehicle counts as standing, so that drivers may change at any chunk."""
    monkeypatch.setattr("vehicle_gateway.cabin.MOVING_MMPS", 1 << 40)


@pytest.mark.usefixtures("_slowly")
def test_a_change_of_driver_on_the_way_parts_the_trip_and_mixes_nobodys_windows(
    place: Place, box: Box
) -> None:
    records = journey(place, {12: ["driver-2"], 24: [WITHDRAW]})
    drivers = [record["driver"] for record in records]
    changes = [one for one, two in zip(drivers, [*drivers[1:], "end"], strict=True) if one != two]
    assert changes == ["driver-1", "driver-2", None]
    trips = {(record["driver"], record["trip"]) for record in records if record["trip"]}
    assert len({trip for _, trip in trips}) == len(trips) == 2
    (summary,) = [record for record in records if "trip_summary" in record]
    assert summary["driver"] == "driver-1", "who withdrew has no summary"
    features = place.batcher.today.features
    assert features(box.sink.drivers.tag_of("driver-2"), START_US) == {}
    assert features(box.sink.drivers.tag_of("driver-1"), START_US) != {}


@pytest.mark.usefixtures("_slowly")
def test_what_is_held_goes_to_who_drove_and_after_a_withdrawal_to_nobody(place: Place) -> None:
    chunks = [len(chunk.ids) for chunk in frames(150.0, 400)]
    records = journey(place, {12: ["driver-2"], 24: [WITHDRAW]})
    assert frames_of(records, "driver-1") == sum(chunks[:13])
    assert 0 < frames_of(records, "driver-2") < sum(chunks[13:25])
    assert frames_of(records, None) > sum(chunks[25:])


@pytest.mark.usefixtures("_slowly")
def test_a_withdrawal_of_who_is_not_driving_leaves_the_drive_alone(place: Place) -> None:
    def withdraw() -> None:
        now_us = place.box.clock.now().wall_us + 1
        statement = make_statement("driver-2", "zh", now_us, 1, withdrawn=True)
        leave_statement(place.box.folder, statement, place.box.secret)

    records = journey(place, {12: [withdraw]})
    assert {record["driver"] for record in records} == {"driver-1"}
    assert len({record["trip"] for record in records if record["trip"]}) == 1
    assert place.consents == [False, False, True]
