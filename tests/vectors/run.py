"""Runs test vectors against our own code: `python -m tests.vectors.run [DIR]`.

Place in the flow: `dev.py vectors [DIR]`, and pytest through test_vectors.py.

    envelope.json                       agree  24  differ   0  refused   0
    aes_gcm_test.json                   agree  66  differ   0  refused 250
        250  nonces of other than 96 bits: a suite has one size

* Without DIR our own released vectors run: valid and invalid cases, never edited once released.
* With DIR every file runs that holds Wycheproof or RFC 9180 vectors of what our code uses, or
  vectors of our own; other files are named and passed over.
* Any difference ends with exit code 1; a folder without any vectors with 2.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.vectors import foreign, own

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OWN = Path(__file__).resolve().parent
SCHEMA = "lastmile-vectors-1"
REFUSED = "refused: "
WIDTH = 46


@dataclass(slots=True)
class Tally:
    """What became of the cases of one file.

    Attributes:
        agree: Cases on which our code and the file agree.
        differences: One line for each case on which they do not.
        refused: Reason → cases that our code cannot be asked.
    """

    name: str
    agree: int = 0
    differences: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, case: str, verdict: str) -> None:
        """Counts one case."""
        if verdict == "agree":
            self.agree += 1
        elif verdict.startswith(REFUSED):
            self.refused[verdict.removeprefix(REFUSED)] += 1
        else:
            self.differences.append(f"{case}: {verdict}")

    def lines(self) -> Iterator[str]:
        """Yields the report of a file."""
        refused = sum(self.refused.values())
        yield (
            f"{self.name:<{WIDTH}} agree {self.agree:>4}  differ {len(self.differences):>3}  "
            f"refused {refused:>4}"
        )
        for reason, count in sorted(self.refused.items()):
            yield f"    {count:>4}  {reason}"
        for difference in self.differences:
            yield f"    DIFFERS  {difference}"


def run_file(path: Path) -> Tally | None:
    """Runs one file, or returns None where it holds no vectors that we know."""
    content = json.loads(path.read_text(encoding="utf-8"))
    tally = Tally(path.name)
    if isinstance(content, dict) and content.get("schema") == SCHEMA:
        for suite in content["suites"]:
            for case in suite["cases"]:
                verdict = own.judge(suite["subject"], case)
                tally.add(f"{suite['subject']} {case['name']}", verdict)
        return tally
    cases = foreign.cases_of(content)
    if cases is None:
        return None
    for algorithm, group, case in cases:
        tally.add(f"case {case['tcId']}", foreign.judge(algorithm, group, case))
    return tally


def run_folder(folder: Path) -> tuple[list[Tally], list[str]]:
    """Runs a folder; returns a tally for each file, and the names of files passed over."""
    tallies, others = [], []
    for path in sorted(folder.glob("*.json")):
        tally = run_file(path)
        if tally is None:
            others.append(path.name)
        else:
            tallies.append(tally)
    return tallies, others


def build_parser() -> argparse.ArgumentParser:
    """Builds the command line."""
    parser = argparse.ArgumentParser(
        prog="dev.py vectors", description="Runs test vectors against our own code."
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=OWN, metavar="DIR",
        help="a folder of Wycheproof or RFC 9180 files; our own vectors when left out",
    )  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs and reports."""
    arguments: Any = build_parser().parse_args(argv)
    tallies, others = run_folder(arguments.folder)
    for tally in tallies:
        print("\n".join(tally.lines()))
    for name in others:
        print(f"{name:<{WIDTH}} holds no vectors that we know")
    if not tallies:
        print(f"{arguments.folder} holds no vectors. Name a folder of *.json.", file=sys.stderr)
        return 2
    differ = sum(len(tally.differences) for tally in tallies)
    print(f"{sum(tally.agree for tally in tallies)} agree, {differ} differ")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
