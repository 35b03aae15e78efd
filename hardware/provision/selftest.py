"""Is this machine fit to hold keys and money? Asked before it is given either.

Place in the flow: first step of `lastmile-provision prepare`, and `lastmile-provision selftest`.

* Every check does the real thing once (writes, syncs, reads back); none trusts a version number.
* A check that fails says what the technician can do at the roadside.
* Nothing that a check writes stays behind.
"""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import LastmileError
from edge.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.ports import Clock

FREE_BYTES_MIN = 256 * 1024 * 1024
"""Room for weeks of sealed batches (about 0.1 MB an hour of driving) and the operating system."""

YEAR_US = 365 * 86_400 * 1_000_000
FUTURE_US_MAX = 20 * YEAR_US


@dataclass(frozen=True, slots=True)
class Check:
    """One finding of the self-test.

    Attributes:
        name: What was tried, in kebab-case.
        ok: Whether the machine passed.
        detail: What was measured, or what to do when it failed.
    """

    name: str
    ok: bool
    detail: str


def run_selftest(directory: Path, clock: Clock, floor_us: int) -> list[Check]:
    """Tries disk, database, clock and entropy.

    Args:
        directory: The data directory the device will use; created when missing.
        clock: The device's clock.
        floor_us: The last known time, microseconds UTC; the clock must not stand before it.

    Returns:
        One `Check` per trial, in the order they ran.
    """
    return [
        _guarded("disk-writes", lambda: _check_disk(directory)),
        _guarded("disk-space", lambda: _check_space(directory)),
        _guarded("database-full-sync", lambda: _check_database(directory)),
        _guarded("clock", lambda: _check_clock(clock.now().wall_us, floor_us)),
        _guarded("entropy", _check_entropy),
    ]


def _guarded(name: str, trial: Callable[[], tuple[bool, str]]) -> Check:
    try:
        ok, detail = trial()
    except (OSError, LastmileError) as error:
        return Check(name, ok=False, detail=str(error))
    return Check(name, ok, detail)


def _check_disk(directory: Path) -> tuple[bool, str]:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f".selftest-{secrets.token_hex(4)}"
    pattern = secrets.token_bytes(64 * 1024)
    try:
        with path.open("wb") as file:
            file.write(pattern)
            file.flush()
            os.fsync(file.fileno())
        same = path.read_bytes() == pattern
    finally:
        path.unlink(missing_ok=True)
    return same, "64 KiB written, synced and read back" if same else "replace the storage medium"


def _check_space(directory: Path) -> tuple[bool, str]:
    free = shutil.disk_usage(directory).free
    said = f"{free // (1024 * 1024)} MiB free"
    return free >= FREE_BYTES_MIN, said + ("" if free >= FREE_BYTES_MIN else "; free 256 MiB first")


def _check_database(directory: Path) -> tuple[bool, str]:
    path = directory / f".selftest-{secrets.token_hex(4)}.db"
    try:
        store = open_store(path, [])
        try:
            level = store.row("PRAGMA synchronous")
            mode = store.row("PRAGMA journal_mode")
        finally:
            store.close()
    finally:
        for leftover in directory.glob(path.name + "*"):
            leftover.unlink(missing_ok=True)
    ok = level is not None and mode is not None and level["synchronous"] == 2
    return ok, "synchronous=FULL, WAL" if ok else "this SQLite does not sync; reinstall the system"


def _check_clock(wall_us: int, floor_us: int) -> tuple[bool, str]:
    if wall_us < floor_us:
        return False, "the clock stands before the last known time; set it, then repeat"
    if wall_us > floor_us + FUTURE_US_MAX:
        return False, "the clock is more than 20 years ahead; set it, then repeat"
    return True, "not before the last known time"


def _check_entropy() -> tuple[bool, str]:
    first, second = os.getrandom(32), os.getrandom(32)
    return first != second, "kernel random generator is ready"
