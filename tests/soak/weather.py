"""Which faults come when: drawn once, from the seed alone, before anything runs.

Place in the flow: seed → **weather** → life does what it says.

* The same seed and length give the same acts everywhere. What they hit differs from run to run:
  processes and network are real.
* Every kind of fault comes at least once, however short the drive.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CALM: Final = 0.9
"""The last fault begins before so much of the time is over."""


@dataclass(frozen=True, slots=True)
class Climate:
    """How often a kind of fault comes, and for how long.

    Attributes:
        every_s: Mean time between two.
        least_s, most_s: How long it lasts.
        told: What it is, for people.
    """

    every_s: float
    least_s: float
    most_s: float
    told: str


CLIMATES: Final[Mapping[str, Climate]] = {
    "kill": Climate(9, 0.0, 2.0, "kill -9 of the gateway"),
    "term": Climate(60, 0.0, 1.0, "SIGTERM to the gateway, and a new start"),
    "broker-kill": Climate(40, 0.0, 3.0, "kill -9 of the broker"),
    "broker-term": Climate(60, 0.0, 3.0, "SIGTERM to the broker, and a new start"),
    "core-kill": Climate(110, 0.0, 3.0, "kill -9 of the core and its PostgreSQL"),
    "cut": Climate(12, 0.0, 0.0, "the connection is reset"),
    "cut-within": Climate(15, 0.0, 0.0, "the connection is reset in the middle of a message"),
    "half-open": Climate(30, 1.0, 4.0, "bytes vanish, nobody is told, then it is reset"),
    "refuse": Climate(40, 1.0, 6.0, "the network is away"),
    "slow": Climate(30, 2.0, 6.0, "every piece comes late and in small parts"),
}


@dataclass(frozen=True, slots=True)
class Act:
    """A fault begins or ends.

    Attributes:
        at_s: Seconds since the drive began.
        kind: A name of `CLIMATES`.
        begins: Whether it begins; a fault that lasts no time has no end.
        bytes_left: What still passes of the next piece, for `cut-within`.
    """

    at_s: float
    kind: str
    begins: bool
    bytes_left: int = 0


def acts(seed: int, seconds: float, kinds: Sequence[str] = tuple(CLIMATES)) -> list[Act]:
    """Draws what happens during a drive of so many seconds, in order."""
    chance = random.Random(seed)
    drawn: list[Act] = []
    for kind, climate in ((each, CLIMATES[each]) for each in kinds):
        for at_s in _times(chance, climate.every_s, seconds * CALM):
            drawn.append(Act(at_s, kind, begins=True, bytes_left=chance.randrange(1, 900)))
            if climate.most_s:
                lasts_s = chance.uniform(climate.least_s, climate.most_s)
                drawn.append(Act(at_s + lasts_s, kind, begins=False))
    return sorted(drawn, key=lambda act: (act.at_s, act.kind, act.begins))


def kill_places(seed: int, count: int) -> list[float]:
    """Draws at which parts of a drive, 0 to 1 and in order, the gateway is killed."""
    chance = random.Random(f"kills {seed}")
    return sorted(chance.uniform(0.05, 0.9) for _ in range(count))


def _times(chance: random.Random, every_s: float, until_s: float) -> list[float]:
    times: list[float] = []
    at_s = chance.expovariate(1 / every_s)
    while at_s < until_s:
        times.append(at_s)
        at_s += chance.expovariate(1 / every_s)
    return times or [chance.uniform(0.1, 1.0) * until_s]
