"""A temporary folder with a world in it, and the promise that nothing of either stays.

Place in the flow: demo, tests → **stage** → world.

* Leaving ends every process, stops databases, and removes the folder; a second Ctrl-C meanwhile
  changes nothing.
* What still works in the folder afterwards, such as a database that was just starting, is killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from psycopg.conninfo import conninfo_to_dict

from backend_sync.core.postgres import EmbeddedServer
from tests.story.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

PREFIX = "lastmile-demo-"


class Stage:
    """Makes the folder on entering and clears it away on leaving.

    Args:
        keep: Leave the folder and say where it is; processes end all the same.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self._keep = keep
        self.world = World(Path(tempfile.mkdtemp(prefix=PREFIX)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asked = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
        for each in asked:
            signal.signal(each, signal.SIG_IGN)
        try:
            self._clear()
        finally:
            for each, handler in asked.items():
                signal.signal(each, handler)

    def _clear(self) -> None:
        directory = self.world.directory
        self.world.close()
        stop_databases(directory)
        for number in workers_in(directory):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        if self._keep:
            print(f"The data is in {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory)


def stop_databases(directory: Path) -> None:
    """Stops embedded PostgreSQL servers below a folder that their killed core left serving."""
    for version in directory.rglob("cluster/PG_VERSION"):
        server = EmbeddedServer(version.parent.parent)
        server.stop()
        sockets = conninfo_to_dict(server.dsn())["host"]
        shutil.rmtree(str(sockets), ignore_errors=True)


def workers_in(directory: Path) -> list[int]:
    """Returns the processes that stand in a folder or were started with a path in it."""
    return [number for number in _processes() if number != os.getpid() and _uses(number, directory)]


def _processes() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _uses(number: int, directory: Path) -> bool:
    process = Path("/proc") / str(number)
    try:
        named = os.fsencode(directory) in (process / "cmdline").read_bytes()
        return named or (process / "cwd").readlink().is_relative_to(directory)
    except OSError:
        return False
