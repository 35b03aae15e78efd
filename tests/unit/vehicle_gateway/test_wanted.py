"""Tests of the `collect` section as data: whole, or refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from edge.errors import LocalError
from vehicle_gateway.wanted import Collect, check_collect, ids_of

GOOD: dict[str, Any] = {
    "signals": [
        {"paths": ["Vehicle.Speed"], "interval_ms": 1000, "priority": 1},
        {"paths": ["Vehicle.OBD.*"], "heartbeat_s": 60, "when": "Vehicle.Speed > 0"},
    ],
    "triggers": [
        {"name": "brake", "event": "harsh-brake", "paths": ["Vehicle.*"], "pre_s": 5, "post_s": 5},
        {"name": "hot", "when": "Vehicle.OBD.CoolantTemperature > 110", "paths": ["Vehicle.OBD.*"]},
    ],
    "bytes_per_day": 1_600_000,
}


def read(section: dict[str, Any]) -> Collect:
    found = msgspec.json.decode(json.dumps(section).encode(), type=Collect)
    check_collect(found)
    return found


def test_a_section_is_read() -> None:
    assert len(read(GOOD).signals) == 2


def test_a_family_is_all_below_its_stem_and_nothing_beside() -> None:
    named = ids_of(["Vehicle.OBD.*"])
    assert ids_of(["Vehicle.OBD.EngineSpeed"]) < named
    assert not ids_of(["Vehicle.Speed"]) & named


WRONG: dict[str, tuple[tuple[str | int, ...], object]] = {
    "no rows": (("signals",), []),
    "too many rows": (("signals",), [GOOD["signals"][0]] * 65),
    "a path of nothing": (("signals", 0, "paths"), ["Vehicle.Sped"]),
    "a family of nothing": (("signals", 0, "paths"), ["Vehicle.Sp.*"]),
    "no paths": (("signals", 0, "paths"), []),
    "a negative interval": (("signals", 0, "interval_ms"), -1),
    "a day's interval": (("signals", 0, "interval_ms"), 86_400_000),
    "a fraction": (("signals", 0, "interval_ms"), 0.5),
    "a priority of nought": (("signals", 0, "priority"), 0),
    "a condition that is none": (("signals", 0, "when"), "Vehicle.Speed"),
    "an unknown key": (("signals", 0, "rate"), 5),
    "a trigger with neither": (("triggers", 0, "event"), ""),
    "a trigger with both": (("triggers", 0, "when"), "Vehicle.Speed > 1"),
    "an event of nobody": (("triggers", 0, "event"), "sunset"),
    "an hour before": (("triggers", 0, "pre_s"), 3_600),
    "two of one name": (("triggers", 1, "name"), "brake"),
    "a nameless one": (("triggers", 0, "name"), ""),
    "a negative budget": (("bytes_per_day",), -1),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_section_is_refused_with(case: str) -> None:
    path, value = WRONG[case]
    section = json.loads(json.dumps(GOOD))
    inner = section
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises((LocalError, msgspec.ValidationError)):
        read(section)
