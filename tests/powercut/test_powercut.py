"""What is claimed of the power cuts: the product stands them, they repeat, and they find bugs.

Place in the flow: pytest, with a short campaign; `dev.py powercut` cuts as often as one likes.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.powercut import run
from tests.powercut.connection import open_on_disk
from tests.powercut.disk import Content, Disk, DiskVfs, PowerCut
from tests.powercut.flaws import FLAWS
from tests.powercut.life import WORKS, Life
from tests.powercut.machine import KINDS

if TYPE_CHECKING:
    from tests.powercut.life import Result

PATH = Path("/x.db")


@pytest.fixture(scope="module")
def campaign() -> list[Result]:
    """The results of three hundred cuts."""
    return list(run.campaign(1, 300))


def test_no_promise_is_broken_by_three_hundred_cuts(campaign: list[Result]) -> None:
    assert [each.violation for each in campaign] == [None] * len(campaign)
    assert sum(each.cuts for each in campaign) == 300


def test_the_power_fails_before_every_kind_of_act(campaign: list[Result]) -> None:
    before = {act for result in campaign for act in result.before}
    assert before == {"write", "sync", "truncate", "create", "delete", "outside"}


@pytest.mark.parametrize("work", WORKS)
def test_each_work_stands_cuts_alone(work: str) -> None:
    results = list(run.campaign(100, 75, (work,)))
    assert [each.violation for each in results] == [None] * len(results)


def test_a_seed_is_a_life() -> None:
    first, again, other = (Life(seed).run(25) for seed in (7, 7, 8))
    assert (first.acts, first.before) == (again.acts, again.before)
    assert (first.acts, first.before) != (other.acts, other.before)


@pytest.mark.parametrize("flaw", sorted(FLAWS))
def test_a_planted_bug_is_found_each_time(flaw: str) -> None:
    assert run.caught(run.hunt(flaw, 1))


def test_a_failure_says_what_it_saw_and_how_to_repeat_it() -> None:
    result = Life(1, flaw="synchronous-off").run(run.LIFE_CUTS)
    text = "\n".join(run.failure(result))
    assert str(result.violation) in text
    assert "repeat: python3 dev.py powercut --seed 1 --cuts 25 --planted" in text
    assert sum(run.summary([result])[kind] for kind in KINDS) == 1


def test_the_command_ends_with_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--cuts", "40", "--seed", "5"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said == {"cuts": 40, "lost": 0, "nonce_repeats": 0, "corrupt": 0}
    assert run.main(["--planted", "--flaw", "lying-disk"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said == {"planted": 1, "caught": 1}


# ---------------------------------------------------------------- the disk itself
def test_what_was_synced_stays_and_what_was_not_may_go() -> None:
    content = Content()
    content.write(0, b"a" * 1024)
    content.sync(lazy=False)
    content.write(512, b"b" * 512)
    left = {bytes(content.survive(Random(seed), 512).live) for seed in range(200)}
    assert all(each.startswith(b"a" * 512) and len(each) == 1024 for each in left)
    assert b"a" * 1024 in left
    assert b"a" * 512 + b"b" * 512 in left
    assert len(left) > 2, "a sector is torn now and then"


def test_a_name_is_durable_once_its_folder_is() -> None:
    left = set()
    for seed in range(40):
        disk = Disk(Random(seed), 512)
        disk.create("/a").sync(lazy=False)
        disk.sync_folder()
        disk.create("/b").sync(lazy=False)
        disk.cut()
        assert disk.left is not None
        left.add(tuple(sorted(disk.left.names)))
    assert left == {("/a",), ("/a", "/b")}


def test_a_ghost_does_not_touch_what_is_left() -> None:
    disk = Disk(Random(1), 512)
    vfs = DiskVfs("ghost", disk)
    store = open_on_disk("ghost", PATH, [], 10)
    disk.arm(1)
    with pytest.raises(PowerCut), store.transaction():
        store.execute("CREATE TABLE t (a)")
    left = disk.left
    assert left is not None
    before = {name: bytes(content.live) for name, content in left.names.items()}
    store.execute("CREATE TABLE u (a)")
    store.close()
    assert {name: bytes(content.live) for name, content in left.names.items()} == before
    vfs.unregister()
