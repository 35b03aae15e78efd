"""What an input may do: be taken, or be refused with `PeerError`; and how much memory it may cost.

Place in the flow: engine → **judge** → target → a finding, or nothing.

* Any other exception is foreign: also `LocalError` and `DeviceFault`, which would blame the wrong
  one, `AssertionError`, `RecursionError` and `MemoryError`.
* Memory is measured twice: the high-water mark of the process is looked at after every few inputs;
  when it has risen, they run again under `tracemalloc`, and that peak is judged.
* A finding is known by its kind and place: the same bug is told once, by its smallest input.
"""

from __future__ import annotations

import time
import traceback
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Callable

KIB: Final = 1024
MIB: Final = 1024 * KIB
RISE_KIB: Final = 512
RECENT: Final = 64
"""After so many inputs the memory of the process is looked at."""
STATUS: Final = Path("/proc/self/status")
CLEAR_REFS: Final = Path("/proc/self/clear_refs")
HIGH_WATER: Final = "VmHWM:"
MEMORY: Final = "memory"
SECONDS_MAX: Final = 10.0
"""Processor time of one input, after which it is a finding: a decoder that hangs."""


class Mismatch(Exception):  # noqa: N818 - it is what was found
    """A value that was taken does not come out again as it went in."""


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder and its bounds.

    Attributes:
        name: On the command line.
        told: What is reached, in a sentence.
        run: Takes hostile bytes.
        seeds: Returns inputs to begin with, most of them valid.
        bytes_max: Longest input that is worth trying.
        memory_base: Bytes that any input may cost.
        memory_factor: Bytes more for each byte of the input.
    """

    name: str
    told: str
    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    bytes_max: int = 4 * KIB
    memory_base: int = MIB
    memory_factor: int = 300

    def memory_max(self, size: int) -> int:
        """Returns how many bytes an input of `size` bytes may cost."""
        return self.memory_base + self.memory_factor * size


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that an input must not do.

    Attributes:
        key: Kind and place; two inputs with one key show one bug.
        told: For people.
        data: The input.
    """

    key: str
    told: str
    data: bytes


class Judge:
    """Runs inputs and remembers what was found, each finding with its smallest input.

    Args:
        target: What is fed.

    Attributes:
        inputs: How many ran.
        found: By key.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.inputs = 0
        self.found: dict[str, Finding] = {}
        self._recent: list[bytes] = []
        self._high_kib = _reset_high_water()

    def __call__(self, data: bytes) -> Finding | None:
        """Runs one input; returns the exception that it found, or None.

        What costs too much memory is noted in `found` alone, up to `RECENT` inputs later.
        """
        self.inputs += 1
        started = time.process_time()
        finding = self._run(data)
        if finding is None and time.process_time() - started > SECONDS_MAX:
            finding = Finding("slow", f"It takes more than {SECONDS_MAX} s.", data)
        self._note(finding)
        self._recent.append(data)
        if len(self._recent) >= RECENT:
            self.flush()
        return finding

    def flush(self) -> None:
        """Looks whether one of the last inputs took memory, and weighs them if so."""
        if _high_water() > self._high_kib + RISE_KIB:
            for data in self._recent:
                self._note(self.weigh(data))
            self._high_kib = _reset_high_water()
        self._recent.clear()

    def _note(self, finding: Finding | None) -> None:
        if finding is None:
            return
        before = self.found.get(finding.key)
        if before is None or len(finding.data) < len(before.data):
            self.found[finding.key] = finding

    def weigh(self, data: bytes) -> Finding | None:
        """Runs an input with its memory measured exactly."""
        tracemalloc.start()
        try:
            finding = self._run(data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        allowed = self.target.memory_max(len(data))
        if finding is None and peak > allowed:
            told = f"It takes {peak:,} bytes of memory for {len(data):,}; {allowed:,} are allowed."
            return Finding(MEMORY, told, data)
        return finding

    def _run(self, data: bytes) -> Finding | None:
        try:
            self.target.run(data)
        except PeerError:
            return None
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            return Finding(_key(error), f"{type(error).__name__}: {error}"[:500], data)
        return None


def _key(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__} at {place}"


def _high_water() -> int:
    """Returns the most memory that this process had since the mark was reset, KiB (proc(5))."""
    text = STATUS.read_text()
    return int(text[text.index(HIGH_WATER) :].split()[1])


def _reset_high_water() -> int:
    """Sets the mark to what the process has now, and returns it."""
    CLEAR_REFS.write_text("5")
    return _high_water()
