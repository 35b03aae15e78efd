"""Tests of the door: real bytes of terminals in, what the core opens out, exactly once."""

from __future__ import annotations

from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, Any

import pytest

from edge.catalogue import signal
from edge.columns import decode_columns
from hardware.sim.jtt808 import (
    SimulatedTerminal,
    TerminalOnTcp,
    TerminalSettings,
    time_of,
    wrap,
)
from tests.unit.vehicle_gateway.door_yard import Served, Wire, Yard
from tests.unit.vehicle_gateway.yard import START_US, Core, StillClock
from vehicle_gateway.door_terminal import card_token
from vehicle_gateway.driver import leave_statement, make_statement

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from vehicle_gateway.door import Door

PHONE, OTHER = "13800138000", "13900139000"
SPEED = signal("Vehicle.Speed").id
LATITUDE = signal("Vehicle.CurrentLocation.Latitude").id


@pytest.fixture
def yard(core: Core, tmp_path: Path) -> Yard:
    """A door with two terminals that is not open yet."""
    yard = Yard(tmp_path, core, StillClock(wall_us=START_US))
    yard.enrol(PHONE, "bus-1")
    yard.enrol(OTHER, "bus-2")
    return yard


def terminal(phone: str = PHONE, **changed: Any) -> SimulatedTerminal:
    return SimulatedTerminal(TerminalSettings(phone, START_US, **changed))


def welcome(door: Door, it: SimulatedTerminal) -> Wire:
    """Connects a terminal and lets it register and show its code."""
    wire = Wire(door)
    said = it.hello()
    while said:
        said = it.hear(wire.say(said))
    assert it.is_trusted
    return wire


def agree(door: Door, device: str = "bus-1") -> None:
    """A driver gives consent: without it a batch holds one value of a signal in a window."""
    sink = door._terminals[device].pipeline.sink
    statement = make_statement("driver-1", "zh", START_US - 1, 365, withdrawn=False)
    sink.drivers.take_in(statement, sink.stream)


def deliver(door: Door, wire: Wire, it: SimulatedTerminal, frames: Iterable[bytes]) -> None:
    """Says frames and hears what is acknowledged after the next commit."""
    for frame in frames:
        it.hear(wire.say(frame))
    wire.sent = b""
    door.commit()
    it.hear(wire.sent)


def samples(records: Iterable[dict[str, Any]], signal_id: int = SPEED) -> dict[int, int]:
    """Time → raw value of a signal over all batches; a time that comes twice fails."""
    found: dict[int, int] = {}
    for record in records:
        groups = decode_columns(record["columns"]) if record["columns"] else []
        for group in groups:
            for time, value in zip(group.times_us, group.series.get(signal_id, ()), strict=False):
                assert time not in found or value is None
                if value is not None:
                    found[time] = value
    return found


@pytest.mark.parametrize("is_2019", [False, True])
def test_reports_over_tcp_become_sealed_batches_of_the_terminals_own(
    yard: Yard, is_2019: bool
) -> None:
    it = terminal(is_2019=is_2019, period_s=5)
    bodies = list(it.drive(300))
    yard.clock.advance(300)
    with yard.open() as door:
        agree(door)
        with Served(door) as address:
            on_tcp = TerminalOnTcp(it, address)
            on_tcp.connect()
            on_tcp.send_all([it.report(body) for body in bodies])
            on_tcp.lose()
        door.drain()
        assert door.summary()["reports"] == len(bodies) == it.acknowledged
    records = yard.records("bus-1")
    assert list(samples(records)) == [time_of(body) for body in bodies]
    assert {record["vehicle"] for record in records} == {"bus-of-bus-1"}
    assert not yard.records("bus-2")


def test_nothing_is_acknowledged_before_it_is_on_the_disk(yard: Yard) -> None:
    it = terminal()
    (body,) = it.drive(10)
    yard.clock.advance(10)
    with yard.open() as door:
        wire = welcome(door, it)
        assert wire.say(it.report(body)) == b""
        door.commit()
        it.hear(wire.sent)
        assert it.acknowledged == 1


def test_what_is_sent_again_is_sealed_once(yard: Yard) -> None:
    it = terminal()
    bodies = list(it.drive(200))
    yard.clock.advance(200)
    with yard.open() as door:
        agree(door)
        wire = welcome(door, it)
        for body in bodies:
            wire.say(it.report(body))
        door.commit()
        it.lose()  # the answers were lost on the way
        wire = welcome(door, it)
        deliver(door, wire, it, it.memory())
        assert it.acknowledged == len(bodies)
        door.drain()
        assert door.summary()["repeated"] == len(bodies)
    assert len(samples(yard.records("bus-1"))) == len(bodies)


def test_a_memory_that_comes_after_the_present_is_put_before_it(yard: Yard) -> None:
    it = terminal()
    bodies = list(it.drive(900))
    before, dark, after = bodies[:30], bodies[30:70], bodies[70:]
    with yard.open() as door:
        agree(door)
        wire = welcome(door, it)
        drive(yard, door, wire, it, before)
        yard.clock.advance(10 * len(dark))
        it.kept += dark
        drive(yard, door, wire, it, after[:3])
        deliver(door, wire, it, it.memory())
        drive(yard, door, wire, it, after[3:])
        settle(yard, door, 700)
    records = yard.records("bus-1")
    assert list(samples(records)) == [time_of(body) for body in bodies]
    assert len({record["trip"] for record in records if record["trip"]}) == 1


def test_what_comes_too_late_is_sealed_apart_and_disturbs_no_trip(yard: Yard) -> None:
    it = terminal()
    bodies = list(it.drive(600))
    forgotten = bodies[20:23]
    with yard.open() as door:
        agree(door)
        wire = welcome(door, it)
        drive(yard, door, wire, it, bodies[:20] + bodies[23:])
        settle(yard, door, 200)
        sealed = len(samples(yard.records("bus-1")))
        it.kept += forgotten
        deliver(door, wire, it, it.memory())
        settle(yard, door, 60)
        door.drain()
        totals = door._terminals["bus-1"].pipeline.batcher.totals
    records = yard.records("bus-1")
    assert sealed == len(bodies) - len(forgotten)
    assert totals["frames"] == len(bodies)
    late = [record for record in records if record["start_us"] == time_of(forgotten[0])]
    assert [(each["trip"], each["driver"]) for each in late] == [(None, None)]
    assert len({record["trip"] for record in records if record["trip"]}) == 1


def test_a_clock_of_1970_or_of_the_future_is_not_believed(yard: Yard) -> None:
    it = terminal()
    good, *bad = it.drive(30)
    yard.clock.advance(30)
    bodies = [bad[0][:22] + bytes.fromhex("700101080000") + bad[0][28:]]
    bodies += [bad[1][:22] + bytes.fromhex("360101080000") + bad[1][28:]]
    with yard.open() as door:
        agree(door)
        wire = welcome(door, it)
        for body in (good, *bodies):
            deliver(door, wire, it, [it.report(body)])
            yard.clock.advance(10)
        assert it.acknowledged == 3
        door.drain()
        assert door.counts["jtt808-time-arrival"] == 2
    times = list(samples(yard.records("bus-1")))
    now_us = yard.clock.wall_us
    assert times == [time_of(good), now_us - 20_000_000, now_us - 10_000_000]


def test_killed_at_any_point_the_door_seals_all_once(yard: Yard) -> None:
    it = terminal()
    bodies = list(it.drive(300))
    yard.clock.advance(300)
    with yard.open() as door:
        agree(door)
        wire = welcome(door, it)
        deliver(door, wire, it, [it.report(body) for body in bodies[:20]])
        # The journal was not told that its rows are sealed: a kill between two transactions.
        inner = door._terminals["bus-1"]
        stretch = inner.lane.next(yard.clock.monotonic_us, all_of_it=True)
        assert stretch is not None
        inner._seal(stretch, yard.clock.now())
    with yard.open() as door:
        wire = welcome(door, it)
        deliver(door, wire, it, [it.report(body) for body in bodies])
        door.drain()
    assert list(samples(yard.records("bus-1"))) == [time_of(body) for body in bodies]


# ---------------------------------------------------------------- who may speak
def test_a_code_holds_over_connections_and_a_stranger_gets_none(yard: Yard) -> None:
    it, stranger = terminal(), terminal("18600186000")
    with yard.open() as door:
        welcome(door, it).lose()
        code = it.code
        welcome(door, it)
        assert it.code == code
        wire = Wire(door)
        stranger.hear(wire.say(stranger.hello()))
        assert not stranger.code
        assert not wire.is_open
        assert door.counts["closed-jtt808-unknown"] == 1
    content = (yard.folder / "data" / "door.db").read_bytes()
    assert code.encode() not in content


def test_another_box_with_the_same_phone_is_no_successor(yard: Yard) -> None:
    it, thief = terminal(), terminal(is_2019=True)
    with yard.open() as door:
        welcome(door, it)
        wire = Wire(door)
        said = thief.hello().replace(b"T138000", b"T138001")
        content = said[1:-2].replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
        thief.hear(wire.say(wrap(content, reduce(xor, content))))
        assert not thief.code
        assert not wire.is_open
        it.lose()
        welcome(door, it)


def test_wrong_codes_end_the_connection_at_the_third(yard: Yard) -> None:
    it = terminal()
    with yard.open() as door:
        welcome(door, it)
        wire = Wire(door)
        for _ in range(3):
            it.code = "00" * 10
            wire.say(it.hello())
        assert not wire.is_open


def test_a_second_connection_ends_the_first(yard: Yard) -> None:
    it = terminal()
    with yard.open() as door:
        first = welcome(door, it)
        second = welcome(door, it)
        assert (first.is_open, second.is_open) == (False, True)
        assert door.summary()["online"] == 1
        first.lose()
        assert door.summary()["online"] == 1


def test_logging_out_makes_the_code_void(yard: Yard) -> None:
    it = terminal()
    with yard.open() as door:
        wire = welcome(door, it)
        it.hear(wire.say(it._say(0x0003, b"")))
        it.hear(wire.say(it.hello()))
        assert not it.is_trusted
        welcome(door, it)


def test_silence_and_strangers_are_ended_and_floods_held_back(yard: Yard) -> None:
    it = terminal()
    with yard.open(stranger_s=30, silence_s=100, bytes_per_s=1_000) as door:
        slow = Wire(door)
        slow.say(b"\x7e\x01\x00")
        wire = welcome(door, it)
        yard.clock.advance(31)
        door.tick()
        assert (slow.is_open, wire.is_open) == (False, True)
        for _ in range(70):
            wire.say(bytes(1_000))
        states = [(wire.is_held, wire.is_open)]
        for seconds in (40, 100):
            yard.clock.advance(seconds)
            door.tick()
            states.append((wire.is_held, wire.is_open))
        assert states == [(True, True), (False, True), (False, False)]


def test_nonsense_ends_a_connection_and_is_counted(yard: Yard) -> None:
    it = terminal()
    with yard.open() as door:
        web = Wire(door)
        web.say(b"GET / HTTP/1.1\r\nHost: example\r\n" * 3)
        assert not web.is_open
        wire = welcome(door, it)
        wire.say(b"\x7e" + b"rubbish-rubbish-rubbish\x7e" * 9)
        assert not wire.is_open
        summary = door.summary()
    assert summary["closed-jtt808-garbage"] == summary["closed-jtt808-nonsense"] == 1
    assert summary["jtt808-check"] == 9


def test_a_wrong_check_costs_nothing_but_a_count(yard: Yard) -> None:
    it = terminal(wrong_check_every=3)
    bodies = list(it.drive(100))
    yard.clock.advance(100)
    with yard.open() as door:
        wire = welcome(door, it)
        deliver(door, wire, it, [it.report(body) for body in bodies])
        assert it.acknowledged == len(bodies)
        assert door.summary()["jtt808-check"] == it.sent // 3


def test_what_the_door_does_not_speak_is_answered_with_unsupported(yard: Yard) -> None:
    it = terminal()
    with yard.open() as door:
        wire = welcome(door, it)
        it.hear(wire.say(it._say(0x0801, b"picture")))
        assert it.refused == 1
        it.hear(wire.say(it._say(0x0200, b"short")))
        assert it.refused == 2
        assert door.summary()["jtt808-unsupported"] == 1


# ---------------------------------------------------------------- drivers
def test_a_consent_reaches_nothing_that_was_driven_before_it(yard: Yard) -> None:
    it = terminal()
    bodies = list(it.drive(120))
    yard.clock.advance(120)
    with yard.open() as door:
        wire = welcome(door, it)
        deliver(door, wire, it, [it.report(body) for body in bodies[:6]])
        inner = door._terminals["bus-1"].pipeline
        now_us = yard.clock.wall_us
        statement = make_statement("driver-1", "zh", now_us, 365, withdrawn=False)
        leave_statement(inner.data_dir, statement, inner.sink.drivers.secret)
        yard.clock.advance(6)
        door.tick()
        deliver(door, wire, it, [it.report(body) for body in bodies[6:]])
        door.drain()
    drivers = [record["driver"] for record in yard.records("bus-1")]
    assert drivers[0] is None
    assert drivers[-1] == "driver-1"


def test_a_card_of_nobody_signs_in_nobody_and_leaves_no_name(yard: Yard) -> None:
    it = terminal()
    bodies = list(it.drive(60))
    yard.clock.advance(60)
    with yard.open() as door:
        wire = welcome(door, it)
        frames = [it.card("5226011980"), *(it.report(body) for body in bodies)]
        deliver(door, wire, it, frames)
        door.drain()
        assert not door.summary().get("jtt808-body")
    assert {record["driver"] for record in yard.records("bus-1")} == {None}
    for path in yard.folder.rglob("*.db*"):
        assert b"5226011980" not in path.read_bytes()
        assert card_token("5226011980") not in path.read_bytes()


# ---------------------------------------------------------------- inside
def drive(
    yard: Yard, door: Door, wire: Wire, it: SimulatedTerminal, bodies: Iterable[bytes]
) -> None:
    """Reports one body every ten seconds."""
    for body in bodies:
        yard.clock.advance(10)
        deliver(door, wire, it, [it.report(body)])
        door.tick()


def settle(yard: Yard, door: Door, seconds: int) -> None:
    """Lets time pass."""
    for _ in range(seconds // 10):
        yard.clock.advance(10)
        door.tick()
