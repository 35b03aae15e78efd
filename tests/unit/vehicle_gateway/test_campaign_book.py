"""Tests of signed campaigns: taken whole, in order, for a while, losing nothing that goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edge.errors import PeerError
from edge.keys import sign_evidence
from edge.purposes import CAMPAIGN
from tests.unit.vehicle_gateway.test_campaign import default_json
from tests.unit.vehicle_gateway.yard import (
    DEVICE,
    GROUP,
    SECOND_US,
    START_US,
    Box,
    Core,
    feed,
)
from vehicle_gateway.campaign import load_campaign
from vehicle_gateway.campaign_book import KEPT_MAX, needs_consent
from vehicle_gateway.driver import make_statement

if TYPE_CHECKING:
    from vehicle_gateway.batch import Batcher

DAY_US = 86_400 * SECOND_US
DRIVE_S = 400.0
SPEED_ALONE = {"signals": [{"paths": ["Vehicle.Speed"], "interval_ms": 1000}]}
FAST = {"signals": [{"paths": ["Vehicle.Acceleration.Lateral"], "interval_ms": 10_000}]}


def body(name: str = "county", version: int = 1, **sections: Any) -> bytes:
    return json.dumps({"v": 1, "id": name, "version": version, **sections}).encode()


def campaign(core: Core, seq: int, content: bytes, **changed: Any) -> bytes:
    record = {
        "type": "campaign", "device": DEVICE, "seq": seq, "campaign": content,
        "not_before_us": START_US, "expiry_us": START_US + DAY_US,
        "purpose": "measuring how smoothly brakes work", "consent": False,
    }  # fmt: skip
    record = {name: value for name, value in {**record, **changed}.items() if value is not None}
    return sign_evidence(core.signer, record, CAMPAIGN)


def told(box: Box, core: Core, kind: str) -> list[tuple[Any, ...]]:
    names = {
        "campaign-taken": ("order", "campaign", "version"),
        "campaign-refused": ("order", "code"),
    }
    return [
        tuple(each[name] for name in names[kind])
        for each in core.evidence(box.messages())
        if each["type"] == kind
    ]


def stands(batcher: Batcher) -> tuple[int, str]:
    batcher.keep_to_campaign()
    return batcher.standing.seq, batcher.standing.campaign.id


def test_a_campaign_is_taken_told_and_acts(box: Box, core: Core) -> None:
    batcher = box.open()
    assert batcher.take_campaign(campaign(core, 1, body(collect=SPEED_ALONE)), core.verify)
    assert stands(batcher) == (1, "county")
    assert told(box, core, "campaign-taken") == [(1, "county", 1)]
    for _ in feed(batcher, 60.0):
        pass
    columns = [record["counts"]["samples"] for record in core.records(box.messages())]
    assert sum(columns) <= 61


def test_sent_again_it_changes_nothing_and_is_not_told_again(box: Box, core: Core) -> None:
    message = campaign(core, 1, body())
    batcher = box.open()
    batcher.take_campaign(message, core.verify)
    assert not batcher.take_campaign(message, core.verify)
    batcher = box.open()
    assert not batcher.take_campaign(message, core.verify)
    assert len(told(box, core, "campaign-taken")) == 1


def test_a_group_is_meant_as_a_box_is(box: Box, core: Core) -> None:
    batcher = box.open()
    batcher.take_campaign(campaign(core, 1, body(), device=None, group=GROUP), core.verify)
    assert stands(batcher) == (1, "county")


REFUSED: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "older": (body(), {"seq": 4}, "order-old"),
    "of a number that another had": (body(version=9), {"seq": 5}, "order-old"),
    "over": (body(), {"expiry_us": START_US}, "order-expired"),
    "over before it begins": (body(), {"not_before_us": START_US + 2 * DAY_US}, "campaign-span"),
    "for no purpose": (body(), {"purpose": " "}, "campaign-purpose"),
    "no JSON": (b"{", {}, "campaign-refused"),
    "of a shape unknown": (body(colour="red"), {}, "campaign-refused"),
    "of half the rules": (body(rules={"idling": {}}), {}, "campaign-refused"),
    "with rows for nothing": (body(collect={"signals": []}), {}, "campaign-refused"),
    "with a condition that is none": (
        body(collect={"signals": [{"paths": ["Vehicle.*"], "when": "import os"}]}), {},
        "campaign-refused",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_the_campaign_before_stays_where_another_is(case: str, box: Box, core: Core) -> None:
    content, changed, code = REFUSED[case]
    batcher = box.open()
    batcher.take_campaign(campaign(core, 5, body("first")), core.verify)
    message = campaign(core, content=content, **{"seq": 6, **changed})
    for _ in range(2):
        with pytest.raises(PeerError):
            batcher.take_campaign(message, core.verify)
    assert stands(batcher) == (5, "first")
    assert stands(box.open()) == (5, "first")
    assert told(box, core, "campaign-refused") == [(changed.get("seq", 6), code)]
    batcher = box.open()
    assert batcher.take_campaign(campaign(core, 7, body("next")), core.verify)


def test_the_highest_number_counts_though_its_campaign_is_over(box: Box, core: Core) -> None:
    batcher = box.open()
    batcher.take_campaign(campaign(core, 5, body("first")), core.verify)
    box.clock.advance(2 * 86_400)
    assert stands(batcher) == (0, "default")
    late = {"expiry_us": START_US + 9 * DAY_US}
    with pytest.raises(PeerError):
        batcher.take_campaign(campaign(core, 5, body("again"), **late), core.verify)
    batcher.take_campaign(campaign(core, 6, body("again"), **late), core.verify)
    assert stands(batcher) == (6, "again")


@pytest.mark.parametrize("forgery", ["signer", "purpose", "bytes", "device"])
def test_what_the_core_did_not_sign_for_us_is_not_even_answered(
    forgery: str, box: Box, core: Core
) -> None:
    batcher = box.open()
    good = campaign(core, 1, body())
    other = Core(core.hpke, box.identity)
    messages = {
        "signer": campaign(other, 1, body()),
        "purpose": sign_evidence(core.signer, {"type": "campaign"}, "lastmile policy"),
        "bytes": good[:-1] + bytes([good[-1] ^ 1]),
        "device": campaign(core, 1, body(), device="box-2"),
    }
    with pytest.raises(PeerError):
        batcher.take_campaign(messages[forgery], core.verify)
    assert stands(batcher) == (0, "default")
    assert told(box, core, "campaign-refused") == []


def test_one_that_is_not_due_waits_and_the_one_before_acts_until_then(box: Box, core: Core) -> None:
    batcher = box.open()
    batcher.take_campaign(campaign(core, 1, body("now")), core.verify)
    later = {"not_before_us": START_US + 3_600 * SECOND_US}
    batcher.take_campaign(campaign(core, 2, body("later"), **later), core.verify)
    assert stands(batcher) == (1, "now")
    box.clock.advance(3_600)
    assert stands(batcher) == (2, "later")


@pytest.mark.parametrize("asks", ["by its word", "by a personal signal"])
def test_one_that_needs_a_consent_acts_only_while_one_lives(
    asks: str, box: Box, core: Core
) -> None:
    box.consented = None
    batcher = box.open()
    content = body(collect=FAST) if asks == "by a personal signal" else body()
    message = campaign(core, 1, content, consent=asks == "by its word")
    batcher.take_campaign(message, core.verify)
    assert stands(batcher) == (0, "default")
    now_us = box.clock.now().wall_us
    given = make_statement("driver-1", "zh", now_us, 365, withdrawn=False)
    box.sink.drivers.take_in(given, box.sink.stream)
    assert stands(batcher) == (1, "county")
    box.clock.advance(1)
    gone = make_statement("driver-1", "zh", box.clock.now().wall_us, 365, withdrawn=True)
    box.sink.drivers.take_in(gone, box.sink.stream)
    assert stands(batcher) == (0, "default")


def test_a_campaign_of_vehicle_signals_needs_none() -> None:
    assert not needs_consent(load_campaign(body(collect=SPEED_ALONE)))
    assert not needs_consent(load_campaign(body()))
    assert needs_consent(load_campaign(body(collect=FAST)))


def test_few_campaigns_are_kept(box: Box, core: Core) -> None:
    batcher = box.open()
    for seq in range(1, 3 * KEPT_MAX):
        batcher.take_campaign(campaign(core, seq, body(f"c-{seq}")), core.verify)
    assert len(box.sink.store.rows("SELECT seq FROM gateway_campaign")) == KEPT_MAX
    assert stands(batcher)[0] == 3 * KEPT_MAX - 1


# ------------------------------------------------------------------ between two windows
def other_rules() -> dict[str, Any]:
    rules: dict[str, Any] = default_json()["rules"]
    rules["overspeed"]["limit_kmh"]["value"] += 5
    return rules


def drive(box: Box, core: Core, changes: dict[int, bytes], *, cut: bool) -> list[dict[str, Any]]:
    """A drive with campaigns before some of its windows, with or without a power cut at each."""
    batcher, windows = box.open(), 0
    while True:
        if windows in changes:
            batcher.take_campaign(changes[windows], core.verify)
        batcher = box.open() if cut else batcher
        try:
            next(feed(batcher, DRIVE_S, chunk=777))
        except StopIteration:
            break
        windows += 1
    batcher.finish()
    return [
        {name: value for name, value in record.items() if name not in ("boot", "mono_us")}
        for record in core.records(box.messages())
    ]


def test_a_change_of_rules_and_power_cuts_lose_and_repeat_nothing(
    box: Box, core: Core, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ring = {
        "signals": [{"paths": ["Vehicle.*"], "interval_ms": 5000, "heartbeat_s": 20}],
        "triggers": [
            {"name": "b", "event": "harsh-brake", "paths": ["Vehicle.*"], "pre_s": 10, "post_s": 9}
        ],
        "bytes_per_day": 60_000,
    }
    changes = {
        5: campaign(core, 1, body("thin", collect=ring)),
        18: campaign(core, 2, body("other", rules=other_rules(), collect=ring)),
        30: campaign(core, 3, body("last", rules=other_rules())),
    }
    with Box(tmp_path_factory.mktemp("whole"), core.policy) as whole:
        expected = drive(whole, core, changes, cut=False)
    found = drive(box, core, changes, cut=True)
    assert found == expected
    summaries = [each["trip_summary"] for each in found if "trip_summary" in each]
    assert len(summaries) == 1
    kinds = sorted(event["kind"] for each in found for event in each["events"])
    assert sum(summaries[0]["events"].values()) == len(kinds)


def test_what_goes_on_is_told_under_the_old_rules_and_begins_anew_under_the_new(
    box: Box, core: Core, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Box(tmp_path_factory.mktemp("plain"), core.policy) as plain:
        whole = drive(plain, core, {}, cut=False)
    (long,) = [e for each in whole for e in each["events"] if e["kind"] == "overspeed"]
    middle = ((long["start_us"] + long["end_us"]) // 2 - START_US) // (10 * SECOND_US)
    change = campaign(core, 1, body("other", rules=other_rules()))
    found = drive(box, core, {middle: change}, cut=False)
    parts = [e for each in found for e in each["events"] if e["kind"] == "overspeed"]
    assert parts[0]["start_us"] == long["start_us"]
    assert len(parts) == 2
    assert parts[0]["end_us"] <= START_US + middle * 10 * SECOND_US < parts[1]["end_us"]


def test_another_campaign_does_not_get_another_days_bytes(box: Box, core: Core) -> None:
    batcher = box.open()
    for seq in (1, 2):
        collect = {**SPEED_ALONE, "bytes_per_day": 1_000_000}
        batcher.take_campaign(campaign(core, seq, body(collect=collect)), core.verify)
        if seq == 1:
            next(feed(batcher, DRIVE_S))
            spent = batcher._conduct.collector.budget.spent
    assert batcher.standing.seq == 2
    assert batcher._conduct.collector.budget.spent == spent > 0


def test_a_change_of_collection_alone_leaves_events_as_they_were(
    box: Box, core: Core, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Box(tmp_path_factory.mktemp("plain"), core.policy) as plain:
        expected = drive(plain, core, {}, cut=False)
    changes = {
        each: campaign(core, each, body(f"c-{each}", collect=SPEED_ALONE)) for each in range(1, 40)
    }
    found = drive(box, core, changes, cut=False)
    assert [e for each in found for e in each["events"]] == [
        e for each in expected for e in each["events"]
    ]


def test_what_the_budget_leaves_out_is_counted_and_told(box: Box, core: Core) -> None:
    collect = {"signals": [{"paths": ["Vehicle.*"]}], "bytes_per_day": 10_000}
    batcher = box.open()
    batcher.take_campaign(campaign(core, 1, body(collect=collect)), core.verify)
    for _ in feed(batcher, DRIVE_S):
        pass
    batcher.finish()
    records = core.records(box.messages())
    assert batcher.totals["over_budget"] > 0
    spent = [each for each in core.evidence(box.messages()) if each["type"] == "budget-spent"]
    assert [each["bytes_per_day"] for each in spent] == [10_000]
    assert sum(len(each["events"]) for each in records) == 4
    assert any("trip_summary" in each for each in records)
    raw = sum(len(m.payload) for m in box.messages() if m.payload[0] == 0x83)
    assert raw < 20_000
    counted = sum(each["counts"].get("dropped", {}).get("over-budget", 0) for each in records)
    assert 0 < counted <= batcher.totals["over_budget"]


def test_no_sample_of_the_ring_lies_readable_on_the_disk(box: Box, core: Core) -> None:
    ring = {
        "signals": [{"paths": ["Vehicle.Speed"], "interval_ms": 10_000}],
        "triggers": [{"name": "b", "event": "rollover", "paths": ["Vehicle.*"], "pre_s": 60}],
    }
    batcher = box.open()
    batcher.take_campaign(campaign(core, 1, body(collect=ring)), core.verify)
    for _ in feed(batcher, 60.0):
        pass
    state = batcher._conduct.collector.state()
    packed = [each[2] for each in state[-1][1]]
    assert packed
    content = box.path.read_bytes() + box.path.with_name("outbox.db-wal").read_bytes()
    assert not any(each[:64] in content for each in packed)


def test_what_the_day_counts_is_no_less_than_what_is_sealed(box: Box, core: Core) -> None:
    del core
    batcher = box.open()
    for _ in feed(batcher, 120.0):
        pass
    spent = batcher._conduct.collector.budget.spent
    assert batcher.totals["sealed_bytes"] <= spent
    assert spent < batcher.totals["sealed_bytes"] + 40 * batcher.totals["batches"]
