"""Tests of collection: what rows keep, what the budget leaves, and that nothing is sent twice."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edge.codec import decode, encode
from edge.columns import Group
from tests.unit.vehicle_gateway.yard import SECOND_US, START_US, series, windows_of
from vehicle_gateway.collect import DAY_US, Collected, Collector
from vehicle_gateway.triggers import Occasion
from vehicle_gateway.wanted import Collect, check_collect

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SPEED, RPM = "Vehicle.Speed", "Vehicle.OBD.EngineSpeed"
LATITUDE, LONGITUDE = "Vehicle.CurrentLocation.Latitude", "Vehicle.CurrentLocation.Longitude"


def plan(*rows: dict[str, Any], **more: Any) -> Collect:
    found = msgspec.convert({"signals": list(rows), **more}, Collect)
    check_collect(found)
    return found


def run(
    collect: Collect | None,
    groups: Iterable[Group],
    occasions: Sequence[Occasion] = (),
    *,
    whose: str | None = "tag",
    restart: bool = False,
) -> list[Collected]:
    """Windows through a collector, restarted between any two if asked to."""
    collector = Collector(collect)
    found = []
    for window in windows_of(groups):
        times = sorted(chain.from_iterable(group.times_us for group in window))
        told = [each for each in occasions if times[0] <= each.span[1] <= times[-1]]
        found.append(collector.take(window, told, (times[0], times[-1]), whose))
        if restart:
            state, budget = decode(encode(collector.state())), collector.budget.state()
            collector = Collector(collect)
            collector.restore(state)
            collector.budget.restore(decode(encode(budget)))
    return found


def seconds(groups: Iterable[Group]) -> list[float]:
    return sorted((time - START_US) / SECOND_US for group in groups for time in group.times_us)


def kept(found: Iterable[Collected]) -> list[float]:
    return seconds(group for each in found for group in each.groups)


def captured(found: Iterable[Collected]) -> list[float]:
    return seconds(g for each in found for capture in each.captures for g in capture.groups)


def steady(path: str = SPEED, count: int = 300, hz: int = 10) -> Group:
    return series(path, [10 + place % 7 for place in range(count)], SECOND_US // hz, START_US)


def test_without_a_section_everything_goes_as_it_is() -> None:
    groups = [steady(), steady(RPM)]
    (window,) = [windows_of(groups)[0]]
    (first, *_) = run(None, groups)
    assert first.groups == window
    assert (first.thinned, first.captures) == (0, [])


def test_a_signal_that_no_row_names_is_left_out_and_counted() -> None:
    found = run(plan({"paths": [SPEED]}), [steady(), steady(RPM)])
    assert sum(each.thinned for each in found) == 300
    assert len(kept(found)) == 300


def test_at_most_one_sample_an_interval_is_kept() -> None:
    found = run(plan({"paths": [SPEED], "interval_ms": 1000}), [steady()])
    assert kept(found) == [float(each) for each in range(30)]


def test_what_does_not_change_is_kept_again_at_the_heartbeat() -> None:
    values = [5.0] * 130 + [6.0] * 20 + [5.0] * 50
    found = run(
        plan({"paths": [SPEED], "heartbeat_s": 60}), [series(SPEED, values, SECOND_US, START_US)]
    )
    assert kept(found) == [0, 60, 120, 130, 150]


def test_a_value_that_ends_is_a_change() -> None:
    values = [5.0, 5.0, None, None, 5.0]
    found = run(
        plan({"paths": [SPEED], "heartbeat_s": 60}), [series(SPEED, values, SECOND_US, START_US)]
    )
    assert kept(found) == [0, 2, 4]


def test_signals_measured_together_are_kept_together() -> None:
    north = series(LATITUDE, [29.0, 29.0, 29.0], SECOND_US, START_US)
    east = series(LONGITUDE, [106.0, 106.0, 107.0], SECOND_US, START_US)
    both = Group(north.times_us, {**north.series, **east.series})
    (found,) = run(plan({"paths": [LATITUDE, LONGITUDE], "heartbeat_s": 60}), [both])
    assert seconds(found.groups) == [0, 2]
    assert all(len(group.series) == 2 for group in found.groups)


def test_rows_divide_a_group_and_the_first_that_names_a_signal_decides() -> None:
    one, other = steady(), steady(RPM)
    both = Group(one.times_us, {**one.series, **other.series})
    found = run(
        plan({"paths": [RPM], "interval_ms": 5000}, {"paths": ["Vehicle.*"]}),
        [both],
    )
    counts = Counter(
        key for each in found for g in each.groups for key in g.series for _ in g.times_us
    )
    assert sorted(counts.values()) == [6, 300]


def test_a_condition_keeps_what_falls_into_its_truth() -> None:
    speed = series(SPEED, [0.0] * 10 + [50.0] * 10 + [0.0] * 10, SECOND_US, START_US)
    found = run(plan({"paths": [RPM], "when": "Vehicle.Speed > 5"}), [speed, steady(RPM, 30, 1)])
    assert kept(found) == [float(each) for each in range(10, 20)]


@pytest.mark.parametrize("restart", [False, True])
def test_a_trigger_takes_the_past_out_of_the_ring(restart: bool) -> None:
    speed = series(SPEED, [0.0] * 35 + [50.0] * 25, SECOND_US, START_US)
    collect = plan(
        {"paths": [RPM], "interval_ms": 10_000},
        triggers=[
            {"name": "go", "when": "Vehicle.Speed > 5", "paths": [RPM], "pre_s": 12, "post_s": 8}
        ],
    )
    found = run(collect, [speed, steady(RPM, 600, 10)], restart=restart)
    by_rows, beside = kept(found), captured(found)
    assert by_rows == [0, 10, 20, 30, 40, 50]
    wanted = [each / 10 for each in range(230, 431) if each / 10 not in by_rows]
    assert beside == wanted


def test_nothing_is_sent_twice_by_two_triggers_that_overlap() -> None:
    speed = series(SPEED, [0.0] * 31 + [50.0] * 3 + [0.0] * 2 + [70.0] * 24, SECOND_US, START_US)
    collect = plan(
        {"paths": [SPEED]},
        triggers=[
            {"name": name, "when": f"Vehicle.Speed > {kmh}", "paths": ["Vehicle.*"], "pre_s": 20}
            | {"post_s": 20}
            for name, kmh in (("slow", 5), ("fast", 60))
        ],
    )
    found = run(collect, [speed, steady(RPM, 600, 10)])
    times = captured(found)
    assert len(times) == len(set(times)) > 300
    assert sum(each.thinned for each in found) == 600 - len(times)


def test_an_event_reaches_from_before_its_start_to_after_its_end() -> None:
    collect = plan(
        {"paths": [SPEED]},
        triggers=[
            {"name": "b", "event": "harsh-brake", "paths": [RPM], "pre_s": 3, "post_s": 2},
        ],
    )
    at = Occasion("harsh-brake", (START_US + 18 * SECOND_US, START_US + 21 * SECOND_US))
    found = run(collect, [steady(count=600), steady(RPM, 600, 10)], [at])
    times = captured(found)
    assert (times[0], times[-1], len(times)) == (15, 23, 81)


def test_a_trigger_rests_for_its_pause() -> None:
    values = [0.0, 50.0] * 30
    collect = plan(
        {"paths": [SPEED]},
        triggers=[{"name": "t", "when": "Vehicle.Speed > 5", "paths": [RPM], "pause_s": 30}],
    )
    found = run(collect, [series(SPEED, values, SECOND_US, START_US), steady(RPM, 600, 10)])
    assert captured(found) == [1.0, 31.0]


def test_nobodys_past_is_kept_for_another() -> None:
    collect = plan(
        {"paths": [SPEED]},
        triggers=[
            {"name": "go", "when": "Vehicle.Speed > 5", "paths": [RPM], "pre_s": 30, "post_s": 5}
        ],
    )
    speed = series(SPEED, [0.0] * 15 + [50.0] * 5, SECOND_US, START_US)
    collector = Collector(collect)
    one, two = windows_of([speed, steady(RPM, 200, 10)])
    span = 10 * SECOND_US
    collector.take(one, [], (START_US, START_US + span - 1), "first")
    found = collector.take(two, [], (START_US + span, START_US + 2 * span - 1), "second")
    assert captured([found])[0] == 10
    assert captured(run(collect, [speed, steady(RPM, 200, 10)], whose=None)) == []


def test_a_snapshot_captures_everything_for_a_while() -> None:
    collector = Collector(plan({"paths": [SPEED], "interval_ms": 10_000}))
    collector.ask(5)
    found = [
        collector.take(window, [], (window[0].times_us[0], window[0].times_us[-1]), "tag")
        for window in windows_of([steady(), steady(RPM)])
    ]
    assert len(captured(found)) == 51 + 51 - 1


def spend(percent: int, **row: Any) -> Collected:
    collector = Collector(plan({"paths": [SPEED], **row}, bytes_per_day=100_000))
    collector.budget.begin(START_US)
    collector.budget.spend(percent * 1_000)
    return collector.take([steady(count=100)], [], (START_US, START_US + 9_900_000), "tag")


def test_the_less_important_is_thinned_first_and_the_most_important_last() -> None:
    assert len(seconds(spend(59, priority=9).groups)) == 100
    assert len(seconds(spend(60, priority=9).groups)) == 1
    assert spend(60, priority=9).over_budget == 99
    assert len(seconds(spend(60, priority=1).groups)) == 100
    assert spend(100, priority=1).groups == []
    assert spend(100, priority=1).over_budget == 100


def test_what_the_campaign_leaves_out_is_not_laid_to_the_budget() -> None:
    found = spend(100, priority=1, interval_ms=1000)
    assert (found.over_budget, found.thinned) == (10, 90)


def test_a_capture_that_cannot_be_afforded_is_counted() -> None:
    collect = plan(
        {"paths": [RPM], "priority": 1},
        triggers=[{"name": "t", "when": "Vehicle.Speed > 5", "paths": [SPEED], "post_s": 5}],
        bytes_per_day=100,
    )
    collector = Collector(collect)
    collector.budget.begin(START_US)
    collector.budget.spend(100)
    found = collector.take([steady(count=100)], [], (START_US, START_US + 9_900_000), "tag")
    assert not found.captures
    assert found.over_budget == 51


def test_another_day_has_its_own_bytes_and_the_old_one_is_not_forgotten() -> None:
    collector = Collector(plan({"paths": [SPEED]}, bytes_per_day=1_000))
    collector.budget.begin(START_US)
    collector.budget.spend(1_000)
    assert collector.budget.percent == 100
    assert collector.budget.tell() is not None
    assert collector.budget.tell() is None
    collector.budget.begin(START_US + DAY_US)
    assert collector.budget.percent == 0
    collector.budget.begin(START_US)
    assert collector.budget.percent == 100


def test_the_day_begins_at_midnight_in_china() -> None:
    collector = Collector(plan({"paths": [SPEED]}, bytes_per_day=1_000))
    midnight = START_US - START_US % DAY_US + 16 * 3_600 * SECOND_US
    collector.budget.begin(midnight - 1)
    collector.budget.spend(1_000)
    collector.budget.begin(midnight)
    assert collector.budget.percent == 0


@pytest.mark.parametrize(
    "row", [{"interval_ms": 700}, {"heartbeat_s": 3}, {"interval_ms": 700, "heartbeat_s": 9}]
)
def test_a_restart_between_any_two_windows_changes_nothing(row: dict[str, int]) -> None:
    collect = plan({"paths": ["Vehicle.*"], **row, "when": "held(Vehicle.Speed > 10, 1)"})
    groups = [steady(count=900), steady(RPM, 900, 10)]
    assert run(collect, groups) == run(collect, groups, restart=True)
