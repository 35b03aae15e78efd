"""What every test has: an offscreen Qt, and the real recordings where they are present.

Place in the flow: pytest reads this first.

* `real_data` is a fixture and a marker: a test that asks for the fixture carries the marker.
* Recordings are read where they lie and never copied into the repository.
* Property tests have no deadline: machines are shared, and a suite that measures time is luck.
* What was skipped for lack of recordings is counted at the end, so that nobody takes it for passed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_QUICK_BACKEND", "software")

settings.register_profile(
    "shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared-machine")

NO_RECORDINGS = "no recordings; set LASTMILE_REAL_DATA to their folder"
ROOT = Path(__file__).resolve().parent.parent


def real_data_folder() -> Path | None:
    """Returns the folder of recordings, or None where there is none.

    `LASTMILE_REAL_DATA` wins over the sibling `../shared/data` of the repository.
    """
    named = os.environ.get("LASTMILE_REAL_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests that ask for recordings, and skips them, visibly, where there are none."""
    absent = real_data_folder() is None
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("real_data")
        if absent and item.get_closest_marker("real_data"):
            item.add_marker(pytest.mark.skip(reason=NO_RECORDINGS))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Counts the tests that real recordings would have run."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum("real_data" in report.keywords for report in skipped)
    if count:
        terminalreporter.write_line(f"{count} tests of real data skipped: {NO_RECORDINGS}")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings (SOURCES.md lists them); skips where it is absent."""
    folder = real_data_folder()
    if folder is None:
        pytest.skip(NO_RECORDINGS)
    return folder
