"""Soaks a vehicle box: `python -m tests.soak.run [--hours N] [--seed N] [--quick] [--planted]`.

Place in the flow: `dev.py soak`; docs/reference/soak.md tells what happens and what is checked.

* What went wrong is printed with the line that plays the same weather again; exit code 1.
* The last line of output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tests.soak.flaws import FLAWS
from tests.soak.life import Plan, Result, Soak
from tests.soak.weather import CLIMATES
from tests.story.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

BEGAN: Final = time.monotonic()
HOURS: Final = 2.0
QUICK: Final = Plan(drive_s=360, overflow_s=240, overflow_kills=1)


def soak(plan: Plan, *, keep: bool = False, loud: bool = True) -> Result:
    """Plays one plan in a world of its own."""
    with Stage(keep=keep) as stage:
        return Soak(stage.world, plan, _say if loud else _hush).run()


def build_parser() -> argparse.ArgumentParser:
    """Builds the command line."""
    parser = argparse.ArgumentParser(
        prog="dev.py soak",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Drives a simulated vehicle for hours, in fast time, while network, broker, box"
        " and core\nbreak again and again, and checks that the core has every batch once, and that"
        " what the\nbox counts as dropped is what is missing. See docs/reference/soak.md.",
        epilog=(
            "examples:\n"
            "  python3 dev.py soak --quick              within a minute, before a commit\n"
            "  python3 dev.py soak                      two hours of driving\n"
            "  python3 dev.py soak --seed 17 --hours 8  another weather, and more of it\n"
            "  python3 dev.py soak --planted            does it find bugs that are there?\n"
            "  python3 dev.py soak --planted --flaw puback-settles\n\n"
            "faults:\n"
            + "\n".join(f"  {name:<22}{each.told}" for name, each in CLIMATES.items())
            + "\n\nplanted bugs:\n"
            + "\n".join(f"  {name:<22}{told}" for name, told in FLAWS.items())
        ),
    )
    parser.add_argument("--hours", type=float, default=HOURS, help=f"of the drive ({HOURS:g})")
    parser.add_argument("--seed", type=int, default=1, help="of drive and weather (1)")
    parser.add_argument("--quick", action="store_true", help=f"a drive of {QUICK.drive_s} s")
    parser.add_argument("--keep", action="store_true", help="leave the folder of it all")
    parser.add_argument("--planted", action="store_true", help="break the product on purpose, one"
                        " bug after the other; each must be found")  # fmt: skip
    parser.add_argument("--flaw", choices=sorted(FLAWS), help="with --planted: only this bug")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Soaks, or hunts planted bugs; returns 1 when something is not as it must be."""
    chosen = build_parser().parse_args(argv)
    if chosen.planted:
        return _planted([chosen.flaw] if chosen.flaw else list(FLAWS), chosen.seed)
    whole = QUICK if chosen.quick else Plan(drive_s=round(chosen.hours * 3_600))
    plan = replace(whole, seed=chosen.seed)
    result = soak(plan, keep=chosen.keep)
    print("happened: " + ", ".join(f"{name} {n}" for name, n in sorted(result.done.items())))
    for violation in result.finding.violations:
        print(f"VIOLATED: {violation}")
    if result.finding.violations:
        size = "--quick" if chosen.quick else f"--hours {chosen.hours:g}"
        print(f"the same weather again: python3 dev.py soak --seed {chosen.seed} {size}")
    print(json.dumps(summary(result)))
    return 1 if result.finding.violations else 0


def summary(result: Result) -> dict[str, object]:
    """Returns the last line's object."""
    finding, done = result.finding, result.done
    return {
        "soak": "gateway",
        "hours": round(result.hours, 2),
        "batches": finding.batches,
        "delivered": finding.delivered,
        "lost": finding.lost,
        "twice": finding.twice,
        "dropped": result.status["dropped"],
        "dropped_expected": finding.dropped,
        "kills": done["kill"],
        "broker_restarts": done["broker-kill"] + done["broker-term"],
        "cuts": result.resets,
        "seconds": round(result.seconds, 1),
    }


def _planted(flaws: Sequence[str], seed: int) -> int:
    found = 0
    for flaw in flaws:
        result = soak(replace(QUICK, seed=seed, flaw=flaw), loud=False)
        violations = result.finding.violations
        found += bool(violations)
        told = violations[0] if violations else ""
        print(f"{'caught' if violations else 'MISSED':<7} {flaw:<22} {told}", flush=True)
    print(json.dumps({"planted": len(flaws), "caught": found}))
    return 0 if found == len(flaws) else 1


def _say(line: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.1f} s  {line}", flush=True)


def _hush(_: str) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
