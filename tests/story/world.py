"""The processes of one story: started, watched, killed on purpose, and always gone at the end.

Place in the flow: beneath the demo and the end-to-end tests; it knows processes and files, not
banking.

* Every process runs the real command line that a deployment runs, in a session of its own: Ctrl-C
  at the keyboard reaches the story alone, which then ends them in order.
* `close` leaves no process behind, whatever happened before.
* A process that ends early takes the story down with the last lines of its own log.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import DeviceFault, LocalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
POLL_S = 0.05
GRACE_S = 10.0
LOG_TAIL_LINES = 12


def pause() -> None:
    """Lets a moment pass between two looks at something."""
    select.select([], [], [], POLL_S)


@dataclass(slots=True)
class World:
    """A folder, the processes that work in it, and their logs.

    Attributes:
        directory: Where everything of this story lives.
        environment: Extra environment of every process.
        idle: What is done while waiting; a story with windows runs Qt's loop here.
    """

    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    idle: Callable[[], None] = pause
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _log_starts: dict[str, int] = field(default_factory=dict)

    def start(self, name: str, module: str, *arguments: str) -> None:
        """Starts `python -m module arguments` in the background under a name of ours.

        Raises:
            LocalError: A process of that name is still running.
        """
        if self.alive(name):
            raise LocalError(f"{name} runs already; stop it first.", "story-running")
        with self.log_path(name).open("ab") as log:
            self._log_starts[name] = log.tell()
            self._running[name] = subprocess.Popen(
                self._command(module, arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                start_new_session=True,
            )

    def call(self, module: str, *arguments: str, timeout_s: float = 120.0) -> str:
        """Runs a command to its end and returns what it printed.

        Raises:
            DeviceFault: It ended with anything but 0; the text carries what it said.
        """
        result = self.attempt(module, *arguments, timeout_s=timeout_s)
        if result.returncode != 0:
            said = (result.stderr or result.stdout).strip()
            line = " ".join((module, *arguments))
            raise DeviceFault(f"`{line}` ended with {result.returncode}:\n{said}", "story-call")
        return result.stdout

    def attempt(
        self, module: str, *arguments: str, timeout_s: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, whatever it says; Ctrl-C ends the command too."""
        process = subprocess.Popen(
            self._command(module, arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment(),
            start_new_session=True,
        )
        try:
            said, complained = process.communicate(timeout=timeout_s)
        except BaseException:
            self._kill_group(process)
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, said, complained)

    def alive(self, name: str) -> bool:
        """Says whether the named process runs now."""
        process = self._running.get(name)
        return process is not None and process.poll() is None

    def finish(self, name: str, timeout_s: float) -> int:
        """Waits for the named process to end by itself and returns its exit code.

        Raises:
            DeviceFault: It still ran when the time was over.
        """
        process = self._running[name]
        deadline = time.monotonic() + timeout_s
        while process.poll() is None:
            if time.monotonic() > deadline:
                said = self.tail(name)
                raise DeviceFault(f"{name} did not end in {timeout_s:.0f} s:\n{said}", "story")
            self.idle()
        return int(process.wait())

    def stop(self, name: str) -> None:
        """Asks the named process to end (SIGTERM), and makes sure that it does."""
        process = self._running.pop(name, None)
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._kill_group(process)

    def kill(self, name: str) -> None:
        """Kills the named process and its children as a power cut would: SIGKILL, no farewell."""
        self._kill_group(self._running.pop(name))

    def wait_until(self, claim: str, true: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Waits until something observable is true.

        Raises:
            DeviceFault: Time ran out, or a process of the story ended with an error meanwhile.
        """
        deadline = time.monotonic() + timeout_s
        while not true():
            self.raise_if_failed()
            if time.monotonic() > deadline:
                logs = "\n".join(f"--- {name}\n{self.tail(name)}" for name in self._running)
                raise DeviceFault(f"Not true after {timeout_s:.0f} s: {claim}\n{logs}", "story")
            self.idle()

    def said(self, name: str) -> str:
        """Returns everything that the named process wrote since it was last started."""
        with self.log_path(name).open("rb") as log:
            log.seek(self._log_starts[name])
            return log.read().decode(errors="replace")

    def tail(self, name: str) -> str:
        """Returns the last lines that the named process logged."""
        path = self.log_path(name)
        if not path.exists():
            return ""
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def log_path(self, name: str) -> Path:
        """Names the log file of a process."""
        folder = self.directory / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.log"

    def close(self) -> None:
        """Ends every process that is still there, last started first."""
        for name in reversed(list(self._running)):
            self.stop(name)

    def _command(self, module: str, arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-P", "-m", module, *arguments]

    def _environment(self) -> dict[str, str]:
        """Every process imports this very checkout, wherever the story was started."""
        return {**os.environ, "PYTHONPATH": str(ROOT), **self.environment}

    def raise_if_failed(self) -> None:
        """Looks whether a process of the story has ended with an error.

        Raises:
            DeviceFault: One has; the text carries its last lines.
        """
        for name, process in self._running.items():
            code = process.poll()
            if code not in (None, 0):
                raise DeviceFault(f"{name} ended with {code}:\n{self.tail(name)}", "story-ended")

    def _kill_group(self, process: subprocess.Popen[Any]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(GRACE_S)
