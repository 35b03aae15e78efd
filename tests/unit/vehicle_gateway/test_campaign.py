"""Tests of campaigns: every number has a source, and a wrong file changes nothing."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from edge.errors import DeviceFault, LocalError
from tests.unit.vehicle_gateway.test_gateway import provision, spawn
from vehicle_gateway.campaign import built_in, default_campaign, load_campaign, read_campaign
from vehicle_gateway.shape import SHAPE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.vehicle_gateway.yard import Core


def default_json() -> dict[str, Any]:
    file = resources.files("vehicle_gateway").joinpath("campaigns", "default.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def test_the_default_names_a_source_for_every_number() -> None:
    campaign = default_campaign()
    figures = [each for rule in campaign.rules.values() for each in rule.values()]
    assert len(figures) == sum(map(len, SHAPE.values()))
    assert all(len(each.source) >= 10 for each in figures)


def test_the_default_holds_the_figures_of_the_design() -> None:
    campaign = default_campaign()
    brake = campaign.figures("harsh-brake")
    assert (brake["mean_mmps2"], brake["slope_mmps2"], brake["severe_mmps2"]) == (
        -2_700,
        -2_500,
        -4_000,
    )
    assert campaign.figures("idling")["hold_ms"] == 300_000
    assert campaign.figures("overspeed")["night_percent"] == 80


def _set(*path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(campaign: dict[str, Any]) -> None:
        inner = campaign
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value

    return change


WRONG: dict[str, Callable[[dict[str, Any]], None]] = {
    "another format": _set("v", value=2),
    "a rule too many": _set("rules", "fatigue", value={}),
    "a rule too few": lambda campaign: campaign["rules"].pop("idling"),
    "a figure too few": lambda campaign: campaign["rules"]["trip"].pop("moving_kmh"),
    "a brake that pushes": _set("rules", "harsh-brake", "mean_mmps2", "value", value=2_700),
    "another unit": _set("rules", "overspeed", "limit_kmh", "unit", value="mph"),
    "no source": _set("rules", "overspeed", "limit_kmh", "source", value=" "),
    "a number in words": _set("rules", "overspeed", "limit_kmh", "value", value="70"),
    "a fraction": _set("rules", "overspeed", "limit_kmh", "value", value=70.5),
    "an unknown key": _set("colour", value="red"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_campaign_is_refused_with(case: str) -> None:
    campaign = default_json()
    WRONG[case](campaign)
    with pytest.raises(LocalError) as refused:
        load_campaign(json.dumps(campaign).encode())
    assert refused.value.code == "campaign-refused"


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff", b'{"v": 1, "id": "\xff"}', b"x" * (1 << 19)]
)
def test_bytes_that_are_no_campaign_are_refused(data: bytes) -> None:
    with pytest.raises(LocalError):
        load_campaign(data)


def test_the_thrifty_campaign_has_the_rules_of_the_default() -> None:
    thrifty = built_in("thrifty")
    assert thrifty.rules == default_campaign().rules
    assert thrifty.collect is not None
    assert default_campaign().collect is None


@pytest.mark.parametrize("name", ["thirsty", "", "../default", "default.json"])
def test_a_campaign_of_ours_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(LocalError) as refused:
        built_in(name)
    assert refused.value.code == "campaign-refused"


@pytest.mark.parametrize(("named", "code"), [("thrifty", 0), ("own.json", 0), ("thirsty", 2)])
def test_the_configuration_names_a_campaign_of_ours_or_a_file(
    named: str, code: int, tmp_path: Path, core: Core
) -> None:
    config = provision(tmp_path, core)
    config.write_text(f'{config.read_text()}\n[campaign]\nfile = "{named}"\n')
    rows = [{"paths": ["Vehicle.Speed"], "interval_ms": 10_000}]
    own = {"v": 1, "id": "own", "version": 1, "collect": {"signals": rows}}
    (tmp_path / "own.json").write_text(json.dumps(own))
    with spawn(config, "--sim", "60") as program:
        out, _ = program.communicate()
    assert program.returncode == code
    if not code:
        assert json.loads(out)["thinned"] > 1_000


def test_a_missing_file_says_what_to_correct(tmp_path: Path) -> None:
    with pytest.raises(DeviceFault, match=r"\[campaign\] file"):
        read_campaign(tmp_path / "none.json")
