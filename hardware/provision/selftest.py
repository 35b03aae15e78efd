"""Is this machine fit to hold keys and money? Asked before it is given either.

Place in the flow: first step of `lastmile-provision prepare`, and `lastmile-provision selftest`.

* Every check does the real thing once (writes, syncs, reads back); none trusts a version number.
* A check that fails says what the technician can do at the roadside.
* Nothing that a check writes stays behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.errors import LastmileError
from edge.sqlite import HAS_CIPHER
from edge.store import open_store
from hardware.provision.keeping import judge_counter, judge_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.ports import Clock, Randomness

MEBIBYTE: Final = 1024 * 1024
FREE_BYTES_MIN: Final = 256 * MEBIBYTE
"""Room for weeks of sealed batches (about 0.1 MB an hour of driving) and the operating system."""

YEAR_US: Final = 365 * 86_400 * 1_000_000
FUTURE_US_MAX: Final = 15 * YEAR_US
"""Fifteen years: a device built today and set to its twentieth year has a clock that is wrong."""

PATTERN_BYTES: Final = 64 * 1024
KEY_BYTES: Final = 32
TRIAL: Final = "written_by_the_selftest"
DISTINCT_MIN: Final = 32
"""Of 64 random bytes fewer than 32 distinct ones are less likely than 1 in 10^13."""


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


def run_selftest(
    directory: Path, clock: Clock, randomness: Randomness, floor_us: int
) -> list[Check]:
    """Tries disk, database, clock, entropy and encryption, and a kiosk's keys and counter.

    Args:
        directory: The data directory the device will use; created when missing.
        clock: The device's clock.
        randomness: The device's source of keys and nonces.
        floor_us: The last known time, microseconds UTC; the clock must not stand before it.

    Returns:
        One `Check` per trial, in the order they ran.
    """
    return [
        _guarded("disk-writes", lambda: _check_disk(directory, randomness)),
        _guarded("disk-space", lambda: judge_space(shutil.disk_usage(directory).free)),
        _guarded("database-full-sync", lambda: _check_database(directory, randomness)),
        _guarded("clock", lambda: judge_clock(clock.now().wall_us, floor_us)),
        _guarded("entropy", lambda: _check_entropy(randomness)),
        _guarded("encryption", lambda: _check_encryption(directory, randomness)),
        _guarded("keys", lambda: judge_keys(directory, randomness)),
        _guarded("counter", lambda: judge_counter(directory)),
    ]


def _guarded(name: str, trial: Callable[[], tuple[bool, str]]) -> Check:
    try:
        ok, detail = trial()
    except (OSError, LastmileError) as error:
        return Check(name, ok=False, detail=str(error))
    return Check(name, ok, detail)


def judge_space(free_bytes: int) -> tuple[bool, str]:
    """Says whether so much free disk will do, and what was found or is to be done."""
    said = f"{free_bytes // MEBIBYTE} MiB free"
    if free_bytes < FREE_BYTES_MIN:
        return False, f"{said}; free {FREE_BYTES_MIN // MEBIBYTE} MiB first, then repeat"
    return True, said


def judge_clock(wall_us: int, floor_us: int) -> tuple[bool, str]:
    """Says whether a clock may be believed, given a time that has certainly passed."""
    if wall_us < floor_us:
        return False, "the clock stands before the last known time; set it, then repeat"
    if wall_us > floor_us + FUTURE_US_MAX:
        return False, "the clock is far ahead, beyond any device's life; set it, then repeat"
    return True, "not before the last known time"


def _check_disk(directory: Path, randomness: Randomness) -> tuple[bool, str]:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f".selftest-{randomness.token(4).hex()}"
    pattern = randomness.token(PATTERN_BYTES)
    try:
        with path.open("wb") as file:
            file.write(pattern)
            file.flush()
            os.fsync(file.fileno())
        same = path.read_bytes() == pattern
    finally:
        path.unlink(missing_ok=True)
    return same, "64 KiB written, synced and read back" if same else "replace the storage medium"


def _check_database(directory: Path, randomness: Randomness) -> tuple[bool, str]:
    """`open_store` itself refuses a disk on which SQLite cannot be kept safe."""
    with _trial_path(directory, randomness) as path:
        _write_trial(path, None)
    return True, "a transaction was synced to disk through a write-ahead log"


def _check_encryption(directory: Path, randomness: Randomness) -> tuple[bool, str]:
    if not HAS_CIPHER:
        return True, "no SQLCipher here: fit for a vehicle box, not for a kiosk"
    with _trial_path(directory, randomness) as path:
        _write_trial(path, randomness.token(KEY_BYTES))
        hidden = TRIAL.encode() not in path.read_bytes()
    return hidden, "a store was encrypted" if hidden else "SQLCipher writes in plain; install anew"


@contextlib.contextmanager
def _trial_path(directory: Path, randomness: Randomness) -> Iterator[Path]:
    path = directory / f".selftest-{randomness.token(4).hex()}.db"
    try:
        yield path
    finally:
        for leftover in directory.glob(path.name + "*"):
            leftover.unlink(missing_ok=True)


def _write_trial(path: Path, key: bytes | None) -> None:
    with open_store(path, [], key) as store, store.transaction():
        store.execute(f"CREATE TABLE {TRIAL} (line TEXT)")


def _check_entropy(randomness: Randomness) -> tuple[bool, str]:
    first, second = randomness.token(KEY_BYTES), randomness.token(KEY_BYTES)
    if first == second or len(set(first + second)) < DISTINCT_MIN:
        return False, "the random generator repeats itself; replace this machine"
    return True, "two draws of 32 bytes differ"
