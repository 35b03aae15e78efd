"""Claims about the data catalogue: what is not in it is refused, and it is whole itself."""

from __future__ import annotations

import copy
import tomllib
from importlib import resources
from typing import Any

import pytest

from edge.catalogue import (
    check_body,
    read_catalogue,
    require_event,
    require_kind,
    signal,
    signal_by_id,
    signals,
)
from edge.errors import LocalError

TABLES = tomllib.loads((resources.files("edge") / "catalogue.toml").read_text(encoding="utf-8"))
# Released ids: one that changes its meaning would falsify every batch that was ever stored.
RELEASED = {
    1: ("Vehicle.Speed", "km/h", 1, 256),
    2: ("Vehicle.OBD.EngineSpeed", "rpm", 1, 8),
    3: ("Vehicle.OBD.EngineLoad", "percent", 100, 255),
    32: ("Vehicle.CurrentLocation.Latitude", "degrees", 1, 1_000_000),
    37: ("Vehicle.Private.GNSS.Speed", "m/s", 1, 1_000),
    48: ("Vehicle.Acceleration.Longitudinal", "m/s^2", 1, 8),
}


@pytest.mark.parametrize("number", RELEASED)
def test_a_released_signal_keeps_its_meaning(number: int) -> None:
    spec = signal_by_id(number)
    assert (spec.path, spec.unit, spec.numerator, spec.denominator) == RELEASED[number]
    assert signal(spec.path) is spec


def test_every_signal_says_why_it_may_be_kept() -> None:
    for spec in signals():
        assert spec.law.purpose
        assert spec.law.source
        assert spec.law.readers
        assert spec.law.retention_days > 0
    assert [spec.id for spec in signals()] == sorted(spec.id for spec in signals())


def test_what_is_not_in_the_catalogue_is_refused() -> None:
    with pytest.raises(LocalError) as refusal:
        signal("Vehicle.Driver.HeartRate")
    assert refusal.value.code == "signal-unknown"
    with pytest.raises(LocalError):
        signal_by_id(0)
    with pytest.raises(LocalError) as refusal:
        require_kind("gossip")
    assert refusal.value.code == "kind-unknown"


def test_a_field_that_is_not_listed_may_not_be_stored() -> None:
    check_body("cash-withdrawal", {"lease": "a", "amount_fen": 1})
    with pytest.raises(LocalError, match="name, pin may not be stored") as refusal:
        check_body("cash-withdrawal", {"lease": "a", "pin": "123456", "name": "Wang"})
    assert refusal.value.code == "field-unknown"


def broken(**changes: Any) -> dict[str, Any]:
    tables = copy.deepcopy(TABLES)
    for path, value in changes.items():
        section, name, field = path.split("__")
        tables[section][name.replace("_", ".")][field] = value
    return tables


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "one id for two signals": ({"signals__Vehicle_Speed__id": 2}, "catalogue-twice"),
    "an id of zero": ({"signals__Vehicle_Speed__id": 0}, "catalogue-signal"),
    "an id past the limit": ({"signals__Vehicle_Speed__id": 32_768}, "catalogue-signal"),
    "a scale over zero": ({"signals__Vehicle_Speed__denominator": 0}, "catalogue-signal"),
    "a negative scale": ({"signals__Vehicle_Speed__numerator": -1}, "catalogue-signal"),
    "an unknown class": ({"signals__Vehicle_Speed__class": "X"}, "catalogue-class"),
    "no purpose": ({"defaults__V__purpose": ""}, "catalogue-law"),
    "no source": ({"defaults__P__source": ""}, "catalogue-law"),
    "no readers": ({"defaults__M__readers": []}, "catalogue-law"),
    "no retention": ({"defaults__T__retention_days": 0}, "catalogue-law"),
}


@pytest.mark.parametrize("claim", MISTAKES)
def test_the_catalogue_may_not_have(claim: str) -> None:
    changes, code = MISTAKES[claim]
    with pytest.raises(LocalError) as refusal:
        read_catalogue(broken(**changes))
    assert refusal.value.code == code


def test_every_kind_of_event_says_its_unit_and_why_it_may_be_kept() -> None:
    spec = require_event("harsh-brake")
    assert (spec.unit, spec.law.data_class) == ("mm/s2", "P")
    with pytest.raises(LocalError) as refusal:
        require_event("yawning")
    assert refusal.value.code == "event-unknown"
