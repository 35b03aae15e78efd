"""Checks style, types, import contracts, tidiness and docs: the verb `lint` of dev.py.

Place in the flow: outside it. Two checks run at once, and each says how long it took.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
AT_ONCE: Final = 2
LINTERS: Final = {
    "mypy": ["-m", "mypy"],
    "tidy, docs": ["-m", "pytest", "-q", "tests/test_tidy.py", "tests/test_docs.py"],
    "ruff check": ["-m", "ruff", "check", "."],
    "ruff format": ["-m", "ruff", "format", "--check", "."],
    "imports": ["-c", "from importlinter.cli import lint_imports_command as lint; lint()"],
}


def run_linter(name: str) -> tuple[str, int, float, str]:
    """Returns (name, exit code, seconds, output)."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, *LINTERS[name]],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return name, done.returncode, time.monotonic() - started, done.stdout


def main(argv: Sequence[str] | None = None) -> int:
    """Runs all checks, or those that are named; returns 1 when one finds something."""
    parser = argparse.ArgumentParser(prog="dev.py lint", description=__doc__)
    there = ", ".join(LINTERS)
    parser.add_argument("names", nargs="*", metavar="CHECK", help=f"only these: {there}")
    names = parser.parse_args(argv).names or list(LINTERS)
    unknown = [name for name in names if name not in LINTERS]
    if unknown:
        parser.error(f"no check is called {unknown[0]}; there are: {there}")
    failed = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for job in as_completed([pool.submit(run_linter, name) for name in names]):
            name, code, seconds, output = job.result()
            print(f"{'ok  ' if code == 0 else 'FAIL'} {name:<12} {seconds:5.1f} s", flush=True)
            if code != 0:
                failed += 1
                print(output.rstrip(), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
