"""What is claimed of the simulated world: the product holds in it, it repeats, and it finds bugs.

Place in the flow: pytest, with a few short seeds; `dev.py sim` plays as many as one likes.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from tests.sim import run
from tests.sim.flaws import FLAWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sim.run import Ground
    from tests.sim.world import Result

STEPS = 300
SEEDS_MAX = 8
"""How many seeds a planted bug may hide from."""


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """A database server and a place for disks."""
    with run.ground() as built:
        yield built


def find(ground: Ground, flaw: str) -> Result | None:
    """Plays seeds until one of them finds the bug."""
    results = (ground.play(seed, STEPS, flaw) for seed in range(1, SEEDS_MAX + 1))
    return next((result for result in results if result.violation), None)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_lost_or_paid_twice_in(ground: Ground, seed: int) -> None:
    result = ground.play(seed, STEPS)
    assert result.violation == ""
    assert result.counts["withdrawal"] > 0
    assert result.counts["kill"] > 0


def test_the_same_seed_is_the_same_world(ground: Ground) -> None:
    first, second, other = (ground.play(seed, 150) for seed in (11, 11, 12))
    assert (first.trace, first.counts) == (second.trace, second.counts)
    assert first.trace != other.trace


@pytest.mark.parametrize("flaw", sorted(FLAWS))
def test_a_planted_bug_is_found(ground: Ground, flaw: str) -> None:
    assert find(ground, flaw) is not None


def test_a_failure_says_what_it_saw_and_how_to_repeat_it(ground: Ground) -> None:
    result = find(ground, "queue-outside")
    assert result is not None
    text = "\n".join(run.failure(result))
    assert result.violation in text
    assert f"repeat: python3 dev.py sim --seed {result.seed} --steps {STEPS}" in text
    assert run.summary([result], 1.0)["sim"] == "violated"


def test_a_world_leaves_the_log_as_it_was(ground: Ground) -> None:
    logger = logging.getLogger("backend_sync")
    before = logger.level
    ground.play(1, 5)
    assert logger.level == before < logging.CRITICAL


def test_the_command_ends_with_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--seed", "5", "--steps", "60"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["sim"], said["seeds"], said["steps"]) == ("ok", 1, 60)
