"""Runs test vectors against our own code: `python -m tests.vectors.run [DIR]`.

Place in the flow: `dev.py vectors [DIR]`, and pytest through test_vectors.py.

    envelope.json                       agree  68  differ   0  refused   0
    envelope.json on MicroPython        agree  47  differ   0  refused  21
        21  a cipher that the microcontroller has not got
    {"agree": 115, "differ": 0, "refused": 21}

* Without DIR our own released vectors run, on CPython and on MicroPython, whose answers must be the
  same bytes: valid and invalid cases, never edited once released.
* With DIR every file runs that holds Wycheproof or RFC 9180 vectors of what our code uses, or
  vectors of our own; other files are named and passed over.
* The last line is one JSON object; with our own vectors it counts a case once per interpreter.
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

from tests.vectors import foreign, micro, own

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


def summary(tallies: Sequence[Tally]) -> dict[str, int]:
    """Counts the cases of all files."""
    return {
        "agree": sum(tally.agree for tally in tallies),
        "differ": sum(len(tally.differences) for tally in tallies),
        "refused": sum(sum(tally.refused.values()) for tally in tallies),
    }


def run_micropython(folder: Path) -> list[Tally]:
    """Runs our own files on MicroPython and compares its answers with those of CPython.

    Raises:
        RuntimeError: The interpreter stopped before it had answered.
    """
    files = sorted(folder.glob("*.json"))
    tallies = []
    for name, given in micro.answers(files).items():
        tally = Tally(f"{name} on MicroPython")
        for case, verdict in micro.verdicts(folder / name, given):
            tally.add(case, verdict)
        tallies.append(tally)
    return tallies


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
    absent = "" if arguments.folder != OWN else micro.why_absent()
    if arguments.folder == OWN and not absent:
        tallies += run_micropython(OWN)
    for tally in tallies:
        print("\n".join(tally.lines()))
    for name in others:
        print(f"{name:<{WIDTH}} holds no vectors that we know")
    if absent:
        print(f"Not run on MicroPython: {absent}")
    if not tallies:
        print(f"{arguments.folder} holds no vectors. Name a folder of *.json.", file=sys.stderr)
        return 2
    print(json.dumps(summary(tallies)))
    return 1 if summary(tallies)["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
