"""Plays towns in virtual time: `python -m tests.sim.run [--seed N] [--seeds COUNT] [--steps N]`.

Place in the flow: `dev.py sim`; docs/reference/sim.md tells what is simulated and what is checked.

* One embedded PostgreSQL for the whole run, one fresh database and one fresh folder per seed.
* A violation is printed with its seed, its step, and the line that repeats it; exit code 1.
* The last line of output is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backend_sync.core.database import connect, create_database, prepare
from backend_sync.core.postgres import EmbeddedServer
from tests.sim.world import World
from tests.unit.backend_sync.conftest import server_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.sim.world import Result

SEEDS: Final = 30
STEPS: Final = 600
QUICK_SEEDS: Final = 10
QUICK_STEPS: Final = 300
PATTERN: Final = "pattern"
COLUMNS: Final = {
    "withdrawals": "withdrawal", "frames": "frame", "batches": "batches", "losses": "loss",
    "kills": "kill", "posted": "posted", "suspense": "suspense", "gaps": "gaps",
}  # fmt: skip


@contextlib.contextmanager
def ground() -> Iterator[Ground]:
    """A database server and a place for disks, for as many worlds as one likes."""
    with server_folder() as folder:
        server = EmbeddedServer(folder / "postgres")
        try:
            dsn = server.start()
            prepare(create_database(dsn, PATTERN))
            yield Ground(dsn, folder)
        finally:
            server.stop()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the core's log still: refused and broken messages are what is wanted here."""
    log = logging.getLogger("backend_sync")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


class Ground:
    """What worlds are built on.

    Args:
        dsn: Maintenance DSN of the server.
        folder: Where disks may lie.
    """

    def __init__(self, dsn: str, folder: Path) -> None:
        self._dsn, self._folder = dsn, folder
        self._worlds = 0

    def play(self, seed: int, steps: int, flaw: str = "") -> Result:
        """Plays one seed in a world of its own."""
        self._worlds += 1
        name = f"world{self._worlds}"
        dsn = create_database(self._dsn, name, template=PATTERN)
        try:
            with (
                _quiet(),
                tempfile.TemporaryDirectory(dir=self._folder, prefix="disks-") as disks,
                contextlib.closing(World(seed, dsn, Path(disks), flaw)) as world,
            ):
                return world.run(steps)
        finally:
            with connect(self._dsn) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def build_parser() -> argparse.ArgumentParser:
    """Builds the command line."""
    parser = argparse.ArgumentParser(
        prog="dev.py sim",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Plays towns of kiosks, boxes and a core in virtual time, where everything"
        " that can fail does, and checks that no money and no message is lost.",
        epilog=(
            "examples:\n"
            "  python3 dev.py sim --quick               half a minute, before a commit\n"
            "  python3 dev.py sim --seeds 100           a long night\n"
            "  python3 dev.py sim --seed 17 --steps 600 one seed again, as a failure prints it"
        ),
    )
    parser.add_argument("--seed", type=int, default=None, help="play this seed alone, or begin"
                        " with it when --seeds is given")  # fmt: skip
    parser.add_argument("--seeds", type=_positive, default=None, help=f"how many ({SEEDS})")
    parser.add_argument("--steps", type=_positive, default=None, help=f"of each ({STEPS})")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_SEEDS} seeds of {QUICK_STEPS} steps"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Plays; returns 1 on a violation."""
    chosen = build_parser().parse_args(argv)
    first = 1 if chosen.seed is None else chosen.seed
    one = 1 if chosen.seed is not None else SEEDS
    count = chosen.seeds or (QUICK_SEEDS if chosen.quick and chosen.seed is None else one)
    steps = chosen.steps or (QUICK_STEPS if chosen.quick else STEPS)
    results: list[Result] = []
    started = time.monotonic()
    with ground() as built:
        for seed in range(first, first + count):
            results.append(built.play(seed, steps))
            print(progress(results[-1]), flush=True)
            if results[-1].violation:
                break
    for line in table(results):
        print(line)
    failed = results[-1].violation
    if failed:
        for line in failure(results[-1]):
            print(line)
    print(json.dumps(summary(results, time.monotonic() - started)))
    return 1 if failed else 0


def progress(result: Result) -> str:
    """Returns the line of one seed."""
    state = "VIOLATED" if result.violation else f"quiet after {result.hours} h"
    counts = result.counts
    return (
        f"seed {result.seed:<6} trace {result.trace}  {counts.get('withdrawal', 0):>4} withdrawals"
        f"  {counts.get('kill', 0):>3} kills  {counts.get('loss', 0):>4} losses  {state}"
    )


def table(results: Sequence[Result]) -> Iterator[str]:
    """Yields the table of the whole run."""
    totals = total(results)
    columns = {"seeds": len(results), "steps": sum(each.step for each in results), **totals}
    yield ""
    yield "  ".join(f"{name:>11}" for name in columns)
    yield "  ".join(f"{value:>11,}" for value in columns.values())


def failure(result: Result) -> Iterator[str]:
    """Yields what to know of a violation, and how to see it again."""
    yield f"\nseed {result.seed}, step {result.step} of {result.steps}: {result.violation}"
    yield from (f"    {line}" for line in result.last)
    yield f"repeat: python3 dev.py sim --seed {result.seed} --steps {result.steps}\n"


def total(results: Sequence[Result]) -> dict[str, int]:
    """Returns the sums of the table's columns."""
    counts: Counter[str] = Counter()
    for each in results:
        counts.update(each.counts)
    return {name: counts[word] for name, word in COLUMNS.items()}


def summary(results: Sequence[Result], seconds: float) -> dict[str, object]:
    """Returns the last line's object."""
    failed = results[-1].violation
    return {
        "sim": "violated" if failed else "ok",
        "seeds": len(results),
        "steps": sum(each.step for each in results),
        **total(results),
        "traces": [each.trace for each in results[-3:]],
        "seconds": round(seconds, 1),
    }


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
