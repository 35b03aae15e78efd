"""One target under one engine in a process of its own: `python -m tests.fuzz.child TARGET ...`.

Place in the flow: run → **child** (atheris or hypothesis → judge → target) → a report file.

    report    { inputs, found: [{key, told, hex}] }   JSON, replaced as a whole

* atheris instruments our modules as they are imported, and ends the process itself: so it has one
  of its own, and the report is written while it runs.
* hypothesis knows nothing of coverage; it edits seeds, and shrinks what it finds.
* The process may take `ADDRESS_SPACE` of memory and no more: a bomb is a `MemoryError`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fuzz.judge import Finding, Judge

ENGINES: Final = ("atheris", "hypothesis")
INSTRUMENTED: Final = ("edge", "backend_sync", "tests")
PLAIN: Final = ("tests.fuzz.judge", "tests.fuzz.child")
"""Whose branches say nothing of an input."""
ADDRESS_SPACE: Final = 3 * 1024**3
REPORT_S: Final = 0.5
EXAMPLES: Final = 500


class Engine(Protocol):
    """Feeds a judge for some seconds."""

    def __call__(self, report: Report, seconds: float, seed: int) -> None:
        """Runs, and may end the process."""
        ...


class Report:
    """What a judge has seen so far, as a file.

    Args:
        judge: Whose.
        path: Of the file.
    """

    def __init__(self, judge: Judge, path: Path) -> None:
        self.judge = judge
        self._path = path
        self._next_s = 0.0

    def feed(self, data: bytes) -> Finding | None:
        """Judges an input; writes the file when something new was found, or now and then."""
        before = len(self.judge.found)
        finding = self.judge(data)
        if len(self.judge.found) != before or time.monotonic() >= self._next_s:
            self.write()
        return finding

    def write(self) -> None:
        """Writes the file."""
        self.judge.flush()
        self._next_s = time.monotonic() + REPORT_S
        found = [
            {"key": each.key, "told": each.told, "hex": each.data.hex()}
            for each in self.judge.found.values()
        ]
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps({"inputs": self.judge.inputs, "found": found}))
        draft.replace(self._path)


def run_atheris(report: Report, seconds: float, seed: int) -> None:
    """Fuzzes by coverage. Ends the process."""
    import atheris

    target = report.judge.target
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=report._path.parent))
    for number, data in enumerate(target.seeds()):
        (folder / f"seed{number:05}").write_bytes(data[: target.bytes_max])

    def feed(data: bytes) -> None:
        report.feed(data)

    options = [
        "fuzz", f"-max_total_time={max(1, round(seconds))}", f"-max_len={target.bytes_max}",
        f"-seed={seed}", "-rss_limit_mb=0", "-timeout=60", "-verbosity=0", "-print_final_stats=0",
        f"-artifact_prefix={folder}/", str(folder),
    ]  # fmt: skip
    atheris.Setup(options, feed)
    atheris.Fuzz()


def run_hypothesis(report: Report, seconds: float, seed: int) -> None:
    """Edits seeds at random; the first input with a new finding is shrunk."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    from tests.fuzz.edits import edited

    ends = time.monotonic() + seconds
    known: set[str] = set()

    def feed(data: bytes) -> None:
        finding = report.feed(data)
        assert finding is None or finding.key in known, finding.told

    feeding: Any = given(edited(st, report.judge.target))
    profile: Any = settings(
        max_examples=EXAMPLES, database=None, deadline=None, report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    while time.monotonic() < ends:
        seed += 1
        examine = profile(seeded(seed)(feeding(feed)))
        with contextlib.suppress(AssertionError):
            examine()
        known = set(report.judge.found)
    report.write()


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzzes one target."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.child")
    parser.add_argument("target")
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--report", type=Path, required=True)
    chosen = parser.parse_args(argv)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    random.seed(chosen.seed)
    with _instrumented(chosen.engine):
        from tests.fuzz.judge import Judge
        from tests.fuzz.targets import target_of
    report = Report(Judge(target_of(chosen.target)), chosen.report)
    for data in report.judge.target.seeds():
        report.feed(data)
    report.write()
    engine: Engine = run_atheris if chosen.engine == "atheris" else run_hypothesis
    engine(report, chosen.seconds, chosen.seed)
    return 0


def _instrumented(engine: str) -> contextlib.AbstractContextManager[object]:
    if engine != "atheris":
        return contextlib.nullcontext()
    import atheris

    found: contextlib.AbstractContextManager[object] = atheris.instrument_imports(
        include=list(INSTRUMENTED), exclude=list(PLAIN)
    )
    return found


if __name__ == "__main__":
    sys.exit(main())
