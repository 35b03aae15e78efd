"""Cuts the power: `python -m tests.powercut.run [--cuts N] [--seed N] [--quick] [--planted]`.

Place in the flow: `dev.py powercut`; docs/reference/powercut.md tells what is modelled and checked.

* A campaign is lives of `LIFE_CUTS` cuts each, with the seeds from `--seed` on.
* A broken promise ends the campaign: it is printed with the line that repeats its life; exit 1.
* The last line of output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from tests.powercut.flaws import FLAWS
from tests.powercut.life import WORKS, Life
from tests.powercut.machine import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.powercut.life import Result

CUTS: Final = 2_000
QUICK_CUTS: Final = 300
LIFE_CUTS: Final = 25
PLANTED_LIVES: Final = 3
"""Seeds that must each find a planted bug."""
PLANTED_CUTS: Final = 150
"""How many cuts a planted bug may hide from."""


def campaign(seed: int, cuts: int, works: tuple[str, ...] = WORKS) -> Iterator[Result]:
    """Plays lives until there were so many cuts, or a promise was broken."""
    left = cuts
    while left > 0:
        result = Life(seed, works).run(min(left, LIFE_CUTS))
        yield result
        if result.violation:
            return
        left -= result.cuts
        seed += 1


def hunt(flaw: str, seed: int, lives: int = PLANTED_LIVES) -> list[Result]:
    """Plays lives of a planted bug; it is caught when each of them ends in a violation."""
    return [Life(seed + each, flaw=flaw).run(PLANTED_CUTS) for each in range(lives)]


def caught(results: Sequence[Result]) -> bool:
    """Whether every life found the bug."""
    return all(result.violation for result in results)


def build_parser() -> argparse.ArgumentParser:
    """Builds the command line."""
    parser = argparse.ArgumentParser(
        prog="dev.py powercut",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Cuts the power of a device again and again, on a disk that keeps, drops or"
        " tears what was\nnot synced, and checks that no promised entry or message is lost, no"
        " nonce repeats, and\nevery file opens. What is promised: docs/reference/powercut.md.",
        epilog=(
            "examples:\n"
            "  python3 dev.py powercut --quick             a second or two, before a commit\n"
            "  python3 dev.py powercut --cuts 100000       a long night\n"
            "  python3 dev.py powercut --seed 17 --cuts 25 one life again, as a failure prints it\n"
            "  python3 dev.py powercut --planted           does it find bugs that are there?\n"
            "  python3 dev.py powercut --planted --flaw state-outside --seed 3\n\n"
            "planted bugs:\n"
            + "\n".join(f"  {name:<22}{parts.told}" for name, parts in FLAWS.items())
        ),
    )
    parser.add_argument("--cuts", type=_positive, help=f"how many ({CUTS:,})")
    parser.add_argument("--seed", type=int, default=1, help="of the first life (1)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_CUTS} cuts")
    parser.add_argument(
        "--work", action="append", choices=WORKS, help="only this; may be repeated (all)"
    )
    parser.add_argument("--planted", action="store_true", help="break the product on purpose, one"
                        " bug after the other; each must be found")  # fmt: skip
    parser.add_argument("--flaw", choices=sorted(FLAWS), help="with --planted: only this bug")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a campaign, or the planted bugs; returns 1 when something is not as it must be."""
    chosen = build_parser().parse_args(argv)
    if chosen.planted:
        return _planted([chosen.flaw] if chosen.flaw else list(FLAWS), chosen.seed)
    cuts = chosen.cuts or (QUICK_CUTS if chosen.quick else CUTS)
    works = tuple(work for work in WORKS if work in (chosen.work or WORKS))
    return _cut(chosen.seed, cuts, works)


def _cut(seed: int, cuts: int, works: tuple[str, ...]) -> int:
    started = time.monotonic()
    results: list[Result] = []
    for result in campaign(seed, cuts, works):
        results.append(result)
        if len(results) % 20 == 0:
            print(f"{sum(each.cuts for each in results):>8,} cuts", flush=True)
    for line in table(results, time.monotonic() - started):
        print(line)
    for line in failure(results[-1]):
        print(line)
    print(json.dumps(summary(results)))
    return 1 if results[-1].violation else 0


def _planted(flaws: Sequence[str], seed: int) -> int:
    found = 0
    for flaw in flaws:
        results = hunt(flaw, seed)
        found += caught(results)
        cuts = ", ".join(str(each.cuts + 1) if each.violation else "never" for each in results)
        print(
            f"{'caught' if caught(results) else 'MISSED':<7} {flaw:<22} at cut {cuts}", flush=True
        )
    print(json.dumps({"planted": len(flaws), "caught": found}))
    return 0 if found == len(flaws) else 1


def table(results: Sequence[Result], seconds: float) -> Iterator[str]:
    """Yields what was done, and before what the power failed."""
    cuts = sum(each.cuts for each in results)
    before: Counter[str] = Counter()
    for each in results:
        before.update(each.before)
    acts = sum(each.acts for each in results)
    yield f"{len(results):,} lives, {acts:,} acts, {cuts / max(seconds, 0.001):,.0f} cuts/s"
    yield "power failed before: " + ", ".join(
        f"{act} {count:,}" for act, count in sorted(before.items(), key=lambda pair: -pair[1])
    )


def failure(result: Result) -> Iterator[str]:
    """Yields what to know of a violation, and how to see it again; nothing when there is none."""
    if result.violation is None:
        return
    planted = f" --planted --flaw {result.flaw}" if result.flaw else ""
    works = "" if result.works == WORKS else "".join(f" --work {work}" for work in result.works)
    yield f"\nseed {result.seed}, after cut {result.cuts}: {result.violation}"
    yield (
        f"repeat: python3 dev.py powercut --seed {result.seed} --cuts {LIFE_CUTS}{works}{planted}\n"
    )


def summary(results: Sequence[Result]) -> dict[str, int]:
    """Returns the last line's object."""
    broken = Counter(each.violation.kind for each in results if each.violation)
    return {"cuts": sum(each.cuts for each in results), **{kind: broken[kind] for kind in KINDS}}


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
