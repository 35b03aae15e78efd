"""Feeds hostile bytes to every decoder: `python -m tests.fuzz.run [--seconds N] [--target NAME]`.

Place in the flow: `dev.py fuzz`; docs/reference/fuzz.md tells what is fed and what is checked.

* Each target has a process of its own, as many at once as there are cores; the time is shared out.
* What is found is written to a folder, one file of hexadecimal digits for each finding, and printed
  with the line that repeats it; exit 1.
* The last line of output is one JSON object.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.fuzz.child import ENGINES
from tests.fuzz.judge import Judge
from tests.fuzz.targets import TARGETS, target_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SECONDS: Final = 60.0
QUICK_SECONDS: Final = 20.0
SECONDS_MIN: Final = 1.0
START_S: Final = 120.0
"""How long a child may take beyond its time: importing, and ending."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one target.

    Attributes:
        told: Last words of a process that ended without a report.
    """

    target: str
    inputs: int
    found: Sequence[dict[str, str]]
    told: str = ""


def default_engine() -> str:
    """Returns the engine that knows coverage, where it is installed."""
    return ENGINES[0] if importlib.util.find_spec("atheris") else ENGINES[1]


def fuzz(target: str, engine: str, seconds: float, seed: int) -> Outcome:
    """Runs one target in a child and returns what it reported."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "tests.fuzz.child", target, "--engine", engine]
        command += ["--seconds", str(seconds), "--seed", str(seed), "--report", str(report)]
        with (Path(folder) / "output").open("w+b") as output:
            code = _run(command, output.fileno(), seconds + START_S)
            output.seek(0)
            words = output.read().decode(errors="replace")[-2_000:]
        said: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
    failed = code != 0 or not said
    return Outcome(target, said.get("inputs", 0), said.get("found", []), words if failed else "")


def _run(command: Sequence[str], output: int, limit_s: float) -> int:
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=output, stderr=output, timeout=limit_s, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return -1
    return done.returncode


def build_parser() -> argparse.ArgumentParser:
    """Builds the command line."""
    parser = argparse.ArgumentParser(
        prog="dev.py fuzz",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Feeds hostile bytes to every decoder. Whatever comes, it is taken or refused"
        " with PeerError,\nwithin its limit of memory, and what is taken comes out again as it"
        " went in. See\ndocs/reference/fuzz.md.",
        epilog=(
            "examples:\n"
            "  python3 dev.py fuzz --quick                        before a commit\n"
            "  python3 dev.py fuzz --seconds 3600                 a long night\n"
            "  python3 dev.py fuzz --target columns --seconds 60  one decoder\n"
            "  python3 dev.py fuzz --target codec --input x.hex   one input again\n\n"
            "targets:\n" + "\n".join(f"  {t.name:<10}{t.told}" for t in TARGETS.values())
        ),
    )
    parser.add_argument("--seconds", type=float, help=f"of all targets together ({SECONDS:.0f})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SECONDS:.0f} seconds")
    parser.add_argument(
        "--target", action="append", choices=sorted(TARGETS), help="only this; may be repeated"
    )
    parser.add_argument("--engine", choices=ENGINES, help="atheris where it is installed, which"
                        " goes by coverage; else hypothesis")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the engine (1)")
    parser.add_argument("--out", type=Path, help="folder for what is found (a new temporary one)")
    parser.add_argument(
        "--input", type=Path, help="run this file of hexadecimal digits once, and measure it"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzzes; returns 1 when something was found."""
    parser = build_parser()
    chosen = parser.parse_args(argv)
    names = chosen.target or list(TARGETS)
    if chosen.input:
        if len(names) != 1:
            parser.error("--input needs the --target that it is for")
        return _repeat(names[0], chosen.input)
    seconds = chosen.seconds or (QUICK_SECONDS if chosen.quick else SECONDS)
    engine = chosen.engine or default_engine()
    started = time.monotonic()
    outcomes = list(_all(names, engine, seconds, chosen.seed))
    findings = sum(len(each.found) + bool(each.told) for each in outcomes)
    if findings:
        out = chosen.out or Path(tempfile.mkdtemp(prefix="fuzz-found-"))
        for line in failures(outcomes, out):
            print(line)
    print(json.dumps(summary(outcomes, time.monotonic() - started)))
    return 1 if findings else 0


def _all(names: Sequence[str], engine: str, seconds: float, seed: int) -> Iterator[Outcome]:
    at_once = min(len(names), os.cpu_count() or 1)
    share = max(SECONDS_MIN, seconds * at_once / len(names))
    print(
        f"{len(names)} targets, {share:.0f} s each, {at_once} at once, engine {engine}", flush=True
    )
    with ThreadPoolExecutor(at_once) as pool:
        for outcome in pool.map(lambda name: fuzz(name, engine, share, seed), names):
            state = "FOUND" if outcome.found or outcome.told else "ok"
            print(f"{outcome.target:<10} {outcome.inputs:>10,} inputs  {state}", flush=True)
            yield outcome


def _repeat(name: str, path: Path) -> int:
    """Runs one input under the judge, with its memory measured."""
    data = bytes.fromhex(path.read_text())
    judge = Judge(target_of(name))
    finding = judge(data) or judge.weigh(data)
    print(finding.told if finding else "It is taken or refused as it should be.")
    found = 1 if finding else 0
    print(json.dumps({"seconds": 0, "inputs": 1, "foreign_exceptions": found}))
    return found


def failures(outcomes: Sequence[Outcome], out: Path) -> Iterator[str]:
    """Writes each finding to a file; yields what it is and how to see it again."""
    for outcome in outcomes:
        for finding in outcome.found:
            name = sha256(bytes.fromhex(finding["hex"])).hexdigest()[:12]
            path = out / outcome.target / f"{name}.hex"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(finding["hex"] + "\n")
            yield f"\n{outcome.target}: {finding['key']}: {finding['told']}"
            yield f"repeat: python3 dev.py fuzz --target {outcome.target} --input {path}"
        if outcome.told:
            yield f"\n{outcome.target}: the process ended by itself:\n{outcome.told}"


def summary(outcomes: Sequence[Outcome], seconds: float) -> dict[str, int]:
    """Returns the last line's object."""
    return {
        "seconds": round(seconds),
        "inputs": sum(each.inputs for each in outcomes),
        "foreign_exceptions": sum(len(each.found) + bool(each.told) for each in outcomes),
    }


if __name__ == "__main__":
    sys.exit(main())
