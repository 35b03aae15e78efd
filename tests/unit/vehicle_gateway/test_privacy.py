"""Tests of what is sealed of a drive to which nobody has agreed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.catalogue import load_catalogue, signal
from edge.columns import Group
from edge.outbox import PRIORITY_EVENT, PRIORITY_RAW, PRIORITY_TRIP
from tests.unit.vehicle_gateway.yard import START_US, Box, Core, feed
from vehicle_gateway.driver import make_statement
from vehicle_gateway.privacy import allowed, allowed_part, is_personal
from vehicle_gateway.record import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

SPEED, RPM = signal("Vehicle.Speed").id, signal("Vehicle.OBD.EngineSpeed").id
LATITUDE = signal("Vehicle.CurrentLocation.Latitude").id
VOLTAGE = signal("Vehicle.OBD.ControlModuleVoltage").id
WINDOW = [
    Group([1, 2, 3], {SPEED: [10, 20, None], LATITUDE: [5, 6, 7]}),
    Group([4, 5], {LATITUDE: [8, 9]}),
    Group([6, 7, 8], {RPM: [1, 2, 3], VOLTAGE: [None, 12, None]}),
]


def event(kind: str) -> dict[str, object]:
    return {"kind": kind, "start_us": 1, "end_us": 2}


def part(events: Sequence[dict[str, object]] = (), groups: Sequence[Group] = ()) -> Part:
    return Part(PRIORITY_EVENT, 1, "trip-1", groups=groups, events=events, frames=9)


def test_with_a_consent_everything_is_allowed() -> None:
    assert allowed(WINDOW, "driver-1") == WINDOW
    whole = part([event("harsh-brake")], WINDOW)
    assert allowed_part(whole, "driver-1") is whole


def test_without_one_each_signal_of_the_vehicle_keeps_its_last_value() -> None:
    assert allowed(WINDOW, None) == [
        Group([2], {SPEED: [20]}),
        Group([7, 8], {RPM: [None, 3], VOLTAGE: [12, None]}),
    ]


@pytest.mark.parametrize(
    "path",
    [
        "Vehicle.CurrentLocation.Latitude",
        "Vehicle.CurrentLocation.Longitude",
        "Vehicle.CurrentLocation.Altitude",
        "Vehicle.CurrentLocation.Heading",
        "Vehicle.Acceleration.Longitudinal",
        "Vehicle.Acceleration.Lateral",
        "Vehicle.AngularVelocity.Yaw",
        "Vehicle.OBD.ThrottlePosition",
    ],
)
def test_where_and_how_a_person_drives_is_personal(path: str) -> None:
    assert is_personal(signal(path).id)
    assert allowed([Group([1], {signal(path).id: [1]})], None) == []


def test_no_signal_of_place_or_motion_is_taken_for_the_vehicles() -> None:
    private = ("Latitude", "Longitude", "Altitude", "Heading", "Acceleration.", "AngularVelocity.")
    told = [
        path
        for path, spec in load_catalogue().by_path.items()
        if any(word in path for word in private) and spec.law.data_class == "V"
    ]
    assert told == []


def test_a_judgement_of_the_driver_is_not_told_but_a_collision_is() -> None:
    mixed = [event("harsh-brake"), event("collision"), event("fatigue"), event("rollover")]
    told = allowed_part(part(mixed), None)
    assert told is not None
    assert [each["kind"] for each in told.events] == ["collision", "rollover"]
    assert told.trip is None
    assert allowed_part(part([event("overspeed")]), None) is None


def test_fault_codes_are_told_beside_an_event_that_is_not() -> None:
    mixed = Part(PRIORITY_EVENT, 1, "trip-1", events=[event("idling")], snapshots=[{"kind": "dtc"}])
    told = allowed_part(mixed, None)
    assert told is not None
    assert (list(told.events), list(told.snapshots)) == ([], [{"kind": "dtc"}])


def test_no_trip_is_summed_up_and_no_window_says_its_trip() -> None:
    assert allowed_part(Part(PRIORITY_TRIP, 1, "trip-1", summary={"trip": "trip-1"}), None) is None
    told = allowed_part(Part(PRIORITY_RAW, 1, "trip-1", groups=WINDOW, frames=9), None)
    assert told is not None
    assert (told.trip, told.frames) == (None, 9)


def test_a_drive_without_consent_reaches_the_core_as_a_vehicle_only(box: Box, core: Core) -> None:
    box.consented = None
    batcher = box.open()
    for _ in feed(batcher, 400.0):
        pass
    batcher.finish()
    records = core.records(box.messages())
    assert len(records) == 41
    assert {record["driver"] for record in records} == {None}
    assert {record["trip"] for record in records} == {None}
    assert not any(record["events"] or "trip_summary" in record for record in records)
    assert 41 <= batcher.totals["samples"] <= 41 * 20
    assert batcher.totals["events"] == 0


def test_the_tag_of_a_driver_is_steady_and_tells_no_name(box: Box) -> None:
    box.consented = None
    box.open()
    drivers = box.sink.drivers
    assert drivers.tag(START_US) is None
    drivers.take_in(make_statement("driver-1", "zh", START_US, 1, withdrawn=False), box.sink.stream)
    tag = drivers.tag(START_US)
    assert tag == drivers.tag_of("driver-1")
    assert tag is not None
    assert len(bytes.fromhex(tag)) == 8
    assert tag != drivers.tag_of("driver-2")
    assert drivers.tag(START_US + 86_400_000_000) is None
