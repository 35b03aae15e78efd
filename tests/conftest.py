"""What every test has: an offscreen Qt, and the real recordings where they are present.

Place in the flow: pytest reads this first.

* `real_data` is a fixture and a marker: a test that asks for the fixture must carry the marker.
* Recordings are read where they lie and never copied into the repository.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_QUICK_BACKEND", "software")

ROOT = Path(__file__).resolve().parent.parent


def real_data_folder() -> Path | None:
    """Returns the folder of recordings, or None where there is none.

    `LASTMILE_REAL_DATA` wins over the sibling `../shared/data` of the repository.
    """
    named = os.environ.get("LASTMILE_REAL_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips tests of real data, visibly, where the data is absent."""
    if real_data_folder() is not None:
        return
    skip = pytest.mark.skip(reason="no recordings: set LASTMILE_REAL_DATA to their folder")
    for item in items:
        if item.get_closest_marker("real_data"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings (SOURCES.md lists them); skips where it is absent."""
    folder = real_data_folder()
    if folder is None:
        pytest.skip("no recordings: set LASTMILE_REAL_DATA to their folder")
    return folder
